"""The nets that ECQ^x was published on, and the small ResNets of CIFAR-10.

`mlp_gsc` for Speech Commands (Wiedemann et al. 2021, FantastIC4, and Becking et al. 2022), VGG16 (Simonyan and
Zisserman 2015) and ResNet-20 to -56 (He et al. 2016, section 4.2) for CIFAR-10, ResNet-18 for Pascal VOC.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from relcomp_kit.errors import UserError
from relcomp_kit.models.pretrained import downloaded_state

WIDTHS = (512, 512, 256, 256, 128, 128)  # of the hidden layers of MLP_GSC
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)  # filters; 0: pooling


def mlp_gsc(inputs: int = 98 * 40, classes: int = 12) -> nn.Sequential:
    """Return the fully connected net for Speech Commands: six hidden layers, each with batch-norm and ReLU.

    Parameters
    ----------
    inputs : int
        Numbers of a picture; (N, 1, frames, bands) is flattened by the net.
    classes : int
        Outputs.

    Returns
    -------
    nn.Sequential
        Gives logits (N, classes).
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in zip((inputs, *WIDTHS), WIDTHS):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTHS[-1], classes))


def vgg16(classes: int = 10) -> nn.Sequential:
    """Return VGG16 for pictures of 32x32: thirteen convolutions with batch-norm, and one linear layer.

    Parameters
    ----------
    classes : int
        Outputs.

    Returns
    -------
    nn.Sequential
        Takes (N, 3, 32, 32), gives logits (N, classes).
    """
    layers: list[nn.Module] = []
    before = 3
    for after in VGG16:
        if after == 0:
            layers.append(nn.MaxPool2d(2))
        else:
            convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
            before = after
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before, classes))


class Shortcut(nn.Module):
    """The shortcut without parameters (option A): every second pixel, and channels of zeros on both sides.

    Parameters
    ----------
    channels : int
        Channels that come out.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H / 2, W / 2) for (N, channels / 2, H, W)."""
        more = self.channels - x.shape[1]
        return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more // 2, more - more // 2))


class Block(nn.Module):
    """Two 3x3 convolutions with batch-norm, and what came in added to what they give.

    Parameters
    ----------
    before, channels : int
        Channels that go in and that come out.
    stride : int
        Of the first convolution, in pixels.
    """

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity() if before == channels else Shortcut(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, channels, H / stride, W / stride)."""
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """A ResNet for pictures of 32x32: three stages of 16, 32 and 64 channels.

    Parameters
    ----------
    depth : int
        6 n + 2: 20, 32, 44, 56.
    classes : int
        Outputs.

    Raises
    ------
    UserError
        If there is no such depth.
    """

    def __init__(self, depth: int = 20, classes: int = 10):
        super().__init__()
        blocks, rest = divmod(depth - 2, 6)
        if rest or blocks < 1:
            raise UserError(f"a ResNet of CIFAR-10 has 6 n + 2 layers, such as 20 or 56, not {depth}")
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1)
        self.layer2 = self._stage(16, 32, blocks, 2)
        self.layer3 = self._stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, classes)

    @staticmethod
    def _stage(before: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        first = Block(before, channels, stride)
        return nn.Sequential(first, *(Block(channels, channels, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) of pictures (N, 3, H, W)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


NETS: dict[str, Callable[..., nn.Module]] = {
    "mlp-gsc": mlp_gsc,
    "vgg16": vgg16,
    **{f"resnet{depth}": partial(CifarResNet, depth) for depth in (20, 32, 44, 56)},
    "resnet18": partial(resnet18, num_classes=20),
}
DATASETS = {name: "speech-commands" if name == "mlp-gsc" else "cifar10" for name in NETS} | {"resnet18": "voc"}


def classifier(name: str, seed: int = 0, *, pretrained: bool = False) -> nn.Module:
    """Return a net by its name, to be trained.

    Parameters
    ----------
    name : str
        A key of `NETS`; `DATASETS` names the set that it is for.
    seed : int
        Of the weights, drawn as torch draws them; convolutions by He et al. (2015).
    pretrained : bool
        Start from ImageNet's weights, but for the last layer; "resnet18" alone has them.

    Returns
    -------
    nn.Module
        In training mode.

    Raises
    ------
    UserError
        If there is no such net, or no weights of it.
    relcomp_kit.datasets.download.Unreachable
        If ImageNet's weights are neither in the cache nor to be downloaded.
    """
    if name not in NETS:
        raise UserError(f"there is no net {name!r}; choose one of {', '.join(NETS)}")
    if pretrained and name != "resnet18":
        raise UserError(f"there are no pre-trained weights of {name}: train it from scratch, or take resnet18")
    state = downloaded_state(ResNet18_Weights.IMAGENET1K_V1, "ResNet-18 trained on ImageNet") if pretrained else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = NETS[name]()
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    net.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")}, strict=False)
    return net
