"""DeepLabV3 in three sizes, from torchvision's own parts: every convolution and ReLU is a module with a name.

Chen, Papandreou, Schroff, Adam: "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.resnet import Bottleneck
from torchvision.models.segmentation import (
    DeepLabV3,
    DeepLabV3_ResNet50_Weights,
    DeepLabV3_ResNet101_Weights,
    deeplabv3_resnet50,
    deeplabv3_resnet101,
)
from torchvision.models.segmentation.deeplabv3 import ASPP

from relcomp_kit.errors import UserError
from relcomp_kit.models.pretrained import downloaded_state

SIZES = ("compact", "resnet50", "resnet101")
PLANES = (16, 32, 64, 128)  # of compact's four stages of two Bottlenecks: a quarter of ResNet-50's
ASPP_CHANNELS = 64  # a quarter of 256
# 96x160 at output stride 8 is a feature map of 12x20, where the usual rates 12, 24 and 36 would look only at padding.
ASPP_RATES = (3, 6, 9)
BUILD = {"resnet50": deeplabv3_resnet50, "resnet101": deeplabv3_resnet101}
COCO_WEIGHTS = {
    "resnet50": DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1,
    "resnet101": DeepLabV3_ResNet101_Weights.COCO_WITH_VOC_LABELS_V1,
}


def deeplab(size: str, classes: int, *, pretrained: bool = False, seed: int = 0) -> nn.Module:
    """Return a DeepLabV3 without auxiliary classifier, at output stride 8.

    ``net(x)`` with x (N, 3, H, W), normalised as by `relcomp_kit.datasets.transforms.normalize`, gives
    ``{"out": logits (N, classes, H, W)}``. Parameters with 21 classes: compact 1.9 M, resnet50 39.6 M and resnet101
    58.6 M, which at 4 bytes each are the published 235 MB.

    Parameters
    ----------
    size : str
        One of `SIZES`. "compact" has the modules and names of torchvision's net at a quarter of its width, with two
        blocks a stage; the others are torchvision's.
    classes : int
        Number of output channels.
    pretrained : bool
        Start from torchvision's COCO weights; the last convolution is new. Not for "compact".
    seed : int
        Decides the initial weights.

    Returns
    -------
    nn.Module
        The net, in train mode.

    Raises
    ------
    UserError
        If there is no such size, or no pre-trained weights of it.
    relcomp_kit.datasets.download.Unreachable
        Within 10 s if pre-trained weights are neither in the cache nor to be downloaded.
    """
    if size not in SIZES:
        raise UserError(f"there is no DeepLabV3 of size {size!r}; choose one of {', '.join(SIZES)}")
    if classes < 1:
        raise UserError(f"a net needs 1 class at least, not {classes}")
    if pretrained and size not in COCO_WEIGHTS:
        raise UserError(f"there are no pre-trained weights of the {size} net: train it from scratch, or take resnet50")
    state = coco_state(size) if pretrained else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if size == "compact":
            return _compact(classes)
        net = BUILD[size](weights=None, weights_backbone=None, num_classes=classes, aux_loss=False)
    if state is not None:
        take_over(net, state, "the pre-trained weights are of another net: delete them from the cache and try again")
    return net


def coco_state(size: str) -> dict[str, Tensor]:
    """Return torchvision's weights of "resnet50" or "resnet101" from the cache, downloaded on first use.

    Parameters
    ----------
    size : str
        "resnet50" or "resnet101".

    Returns
    -------
    dict of str to Tensor
        The state of torchvision's net, with its auxiliary classifier, on the CPU.

    Raises
    ------
    relcomp_kit.datasets.download.Unreachable
        Within 10 s if there is no network, no answer, or ``$RELCOMP_OFFLINE`` is set.
    UserError
        If the server sends other bytes, or the file is damaged.
    """
    return downloaded_state(COCO_WEIGHTS[size], f"DeepLabV3 {size} trained on COCO")


def take_over(net: nn.Module, state: dict[str, Tensor], otherwise: str) -> None:
    """Load the weights of another DeepLabV3 of the same size into all but the last convolution.

    Parameters
    ----------
    net : nn.Module
        Changed in place; its last convolution stays.
    state : dict of str to Tensor
        Of the other one; an auxiliary classifier is left out.
    otherwise : str
        What to say if the state is that of another net.

    Raises
    ------
    UserError
        If the state is that of another net.
    """
    last = ("classifier.4.weight", "classifier.4.bias")
    kept = {name: value for name, value in state.items() if name not in last and not name.startswith("aux_classifier.")}
    new = {name: value for name, value in net.state_dict().items() if name in last}
    try:
        net.load_state_dict(kept | new)
    except RuntimeError as error:
        raise UserError(otherwise) from error


def _compact(classes: int) -> DeepLabV3:
    """Return the net at quarter width; its last two stages are dilated instead of strided, as torchvision does it."""
    inputs = PLANES[0] * Bottleneck.expansion
    backbone = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, PLANES[0], 7, stride=2, padding=3, bias=False),
            bn1=nn.BatchNorm2d(PLANES[0]),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(3, stride=2, padding=1),
            layer1=_stage(PLANES[0], PLANES[0], stride=1, dilations=(1, 1)),
            layer2=_stage(inputs, PLANES[1], stride=2, dilations=(1, 1)),
            layer3=_stage(2 * inputs, PLANES[2], stride=1, dilations=(1, 2)),
            layer4=_stage(4 * inputs, PLANES[3], stride=1, dilations=(2, 4)),
        )
    )
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):  # as torchvision's ResNet starts
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    classifier = nn.Sequential(
        ASPP(8 * inputs, ASPP_RATES, ASPP_CHANNELS),
        nn.Conv2d(ASPP_CHANNELS, ASPP_CHANNELS, 3, padding=1, bias=False),
        nn.BatchNorm2d(ASPP_CHANNELS),
        nn.ReLU(),
        nn.Conv2d(ASPP_CHANNELS, classes, 1),
    )
    return DeepLabV3(IntermediateLayerGetter(backbone, {"layer4": "out"}), classifier)


def _stage(inputs: int, planes: int, stride: int, dilations: tuple[int, ...]) -> nn.Sequential:
    """Return a stage of Bottlenecks; the first one changes the number of channels and, if asked to, the size."""
    outputs = planes * Bottleneck.expansion
    shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs))
    first, *others = dilations
    return nn.Sequential(
        Bottleneck(inputs, planes, stride, shortcut, dilation=first),
        *(Bottleneck(outputs, planes, dilation=dilation) for dilation in others),
    )
