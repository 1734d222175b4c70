"""torchvision's families of nets, each as small as its own constructors make it, disturbed as by a training."""

from functools import partial

import torch
from torch import nn
from torchvision import models
from torchvision.models import efficientnet, mobilenetv3, regnet
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.segmentation import deeplabv3, fcn, lraspp
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

CLASSES, SIZE = 5, 64


def mobilenet_v3():
    row = partial(mobilenetv3.InvertedResidualConfig, width_mult=1)
    rows = [row(16, 3, 24, 16, True, "RE", 2, 1), row(16, 5, 32, 24, True, "HS", 2, 1)]
    rows += [row(24, 5, 48, 24, True, "HS", 1, 1)]
    return models.MobileNetV3(rows, 32, num_classes=CLASSES)


def efficientnet_v1():
    row = efficientnet.MBConvConfig
    rows = [row(1, 3, 1, 16, 8, 1), row(4, 3, 2, 8, 16, 2), row(4, 5, 2, 16, 24, 2)]
    return models.EfficientNet(rows, 0.1, num_classes=CLASSES, last_channel=48)


def efficientnet_v2():
    rows = [
        efficientnet.FusedMBConvConfig(1, 3, 1, 8, 8, 1), efficientnet.FusedMBConvConfig(4, 3, 2, 8, 16, 2),
        efficientnet.MBConvConfig(4, 3, 2, 16, 24, 2),
    ]  # fmt: skip
    return models.EfficientNet(
        rows, 0.1, num_classes=CLASSES, last_channel=48, norm_layer=partial(nn.BatchNorm2d, eps=1e-3)
    )


def regnet_of(se_ratio):
    params = regnet.BlockParams([1, 2], [8, 16], [4, 8], [1.0, 1.0], [2, 2], se_ratio)
    return models.RegNet(params, num_classes=CLASSES, stem_width=8)


def resnet(block, layers=(1, 1, 1, 1), **options):
    return models.ResNet(block, list(layers), num_classes=CLASSES, **options)


def vgg(norm):
    net = models.VGG(
        models.vgg.make_layers([8, "M", 12, "M", 16, 16, "M"], norm), num_classes=CLASSES, init_weights=True
    )
    net.classifier = nn.Sequential(nn.Linear(16 * 49, 24), nn.ReLU(True), nn.Dropout(), nn.Linear(24, CLASSES))
    return net


def alexnet():
    net = models.AlexNet(num_classes=CLASSES)
    net.classifier = nn.Sequential(nn.Dropout(), nn.Linear(256 * 36, 8), nn.ReLU(True), nn.Linear(8, CLASSES))
    return net


def backbone(net, **layers):
    return models._utils.IntermediateLayerGetter(net, layers)


def small_resnet():
    return resnet(Bottleneck, replace_stride_with_dilation=[False, True, True])


SMALL = {
    "alexnet": alexnet,
    "vgg": partial(vgg, False),
    "vgg with batch-norm": partial(vgg, True),
    "resnet": partial(resnet, BasicBlock),
    "resnext": partial(resnet, Bottleneck, (1, 2, 1, 1), groups=4, width_per_group=4),
    "squeezenet": partial(models.SqueezeNet, "1_1", CLASSES),
    "densenet": partial(models.DenseNet, 4, (2, 2), 8, 2, num_classes=CLASSES),
    "googlenet": partial(models.GoogLeNet, CLASSES, transform_input=True, init_weights=False),
    "inception": partial(models.Inception3, CLASSES, transform_input=True, init_weights=False),
    "shufflenet_v2": partial(models.ShuffleNetV2, [2, 2, 1], [8, 16, 24, 32, 48], CLASSES),
    "mobilenet_v2": partial(
        models.MobileNetV2, CLASSES, 1.0, [[1, 8, 1, 1], [4, 12, 2, 2], [4, 16, 2, 2]], 4
    ),
    "mobilenet_v3": mobilenet_v3,
    "mnasnet": partial(models.MNASNet, 0.25, CLASSES),
    "regnet_x": partial(regnet_of, None),
    "regnet_y": partial(regnet_of, 0.25),
    "efficientnet": efficientnet_v1,
    "efficientnet_v2": efficientnet_v2,
    "convnext": partial(
        models.ConvNeXt, [CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 2)], layer_scale=0.3, num_classes=CLASSES
    ),
    "swin": partial(models.SwinTransformer, [4, 4], 8, [2, 2], [2, 4], [4, 4], num_classes=CLASSES),
    "swin_v2": partial(
        models.SwinTransformer, [4, 4], 8, [2, 2], [2, 4], [4, 4], num_classes=CLASSES,
        block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2,
    ),
    "vit": partial(models.VisionTransformer, SIZE, 16, 2, 2, 16, 32, num_classes=CLASSES),
    "maxvit": partial(
        models.MaxVit, input_size=(SIZE, SIZE), stem_channels=8, partition_size=4, block_channels=[8, 16],
        block_layers=[1, 1], head_dim=4, stochastic_depth_prob=0.2, num_classes=CLASSES,
    ),
    "fcn": lambda: fcn.FCN(backbone(small_resnet(), layer4="out"), fcn.FCNHead(2048, CLASSES)),
    "deeplabv3": lambda: deeplabv3.DeepLabV3(
        backbone(resnet(BasicBlock), layer4="out"), deeplabv3.DeepLabHead(512, CLASSES, (2, 3))
    ),
    "deeplabv3 on mobilenet_v3": lambda: deeplabv3.DeepLabV3(
        backbone(mobilenet_v3().features, **{"3": "out"}), deeplabv3.DeepLabHead(24, CLASSES, (2, 3))
    ),
    "lraspp": lambda: lraspp.LRASPP(
        backbone(mobilenet_v3().features, **{"1": "low", "3": "high"}), 16, 24, CLASSES, 16
    ),
}  # fmt: skip


def build(make, size=SIZE, seed=0):
    """Make a net as `make` does, disturb it so that no number in it is 0 or 1 by chance, and give it in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = make()
        for name, parameter in net.named_parameters():
            with torch.no_grad():
                if not parameter.any():  # as the last layer of a ViT begins
                    parameter.normal_(0, 0.1)
                if name.endswith("layer_scale"):
                    parameter.fill_(0.3)
                elif parameter.ndim == 1 or "token" in name or "pos_embedding" in name or "position_bias" in name:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the mean over all batches, which is one
        with torch.no_grad():
            net.train()(torch.randn(4, 3, size, size))
    return net.eval()
