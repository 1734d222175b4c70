"""A new task for a trained net: other classes, a new classifier on its backbone, a short training."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import tv_tensors

from relcomp_kit.datasets.scene_names import DRAWN_SIZE
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.models.device import device_of
from relcomp_kit.models.masked_net_training import Batches
from relcomp_kit.models.scene_batches import stack

# The classes that the new task of lesson 03 calls one: what a train, or a car, drives on.
WAY = {
    **dict.fromkeys(DRAWN_SIZE, ("rail", "trackbed", "anomaly on track")),
    "berdiba": ("rail", "trackbed", "anomaly on track"),
    "railsem19": ("tram-track", "rail-track", "trackbed", "rail-raised", "rail-embedded"),
    "railsem19-rail8": ("tram-track", "rail-track", "rail-raised", "rail-embedded"),
    "cityscapes": ("road",),
    "camvid": ("road",),
}


class Relabelled(Dataset):
    """A split whose classes are merged.

    Parameters
    ----------
    split : Dataset
        Of images and classes of every pixel.
    groups : sequence of int
        ``groups[old class]`` is the new class; what has none is void.
    """

    def __init__(self, split: Dataset, groups: Sequence[int]):
        self.split = split
        self.table = torch.full((VOID + 1,), VOID, dtype=torch.uint8)
        self.table[: len(groups)] = torch.tensor(groups, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        image, label = self.split[index]
        return image, tv_tensors.Mask(self.table[label.as_subclass(Tensor).long()])


def new_classifier(net: nn.Module, classes: int, seed: int) -> nn.Module:
    """Return a copy whose last convolution is new and has so many outputs; all else is frozen.

    Parameters
    ----------
    net : nn.Module
        A DeepLabV3; it stays as it is.
    classes : int
        The outputs of the new convolution.
    seed : int
        Of its initial weights.
    """
    made = copy.deepcopy(net).requires_grad_(False)
    last = made.classifier[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made.classifier[-1] = nn.Conv2d(last.in_channels, classes, last.kernel_size).to(last.weight.device)
    return made


@torch.no_grad()
def settle(net: nn.Module, split: Dataset, scenes: int = 40) -> nn.Module:
    """Let the batch-norm of an untrained net measure the means and variances of its features; it ends in eval mode.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    split : Dataset
        The scenes, taken in batches of 8.
    scenes : int
        How many of the first ones.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average of all batches
    net.train()
    device = device_of(net)
    for first in range(0, min(scenes, len(split)), 8):
        images, _ = stack([split[index] for index in range(first, min(first + 8, len(split)))])
        net(normalize(images.to(device)))
    return net.eval()


def train_classifier(net: nn.Module, split: Dataset, steps: int, seed: int, learning_rate: float = 1e-2) -> nn.Module:
    """Train what is not frozen, by Adam on batches of 8; the net stays in eval mode, so batch-norm does too.

    Parameters
    ----------
    net : nn.Module
        Changed in place, and returned.
    split : Dataset
        What it is trained on.
    steps : int
        How many batches.
    seed : int
        Of the order of the scenes.
    learning_rate : float
        Of Adam.
    """
    batches, device = Batches(len(split), seed, 8), device_of(net)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], learning_rate)
    for step in range(steps):
        images, labels = (part.to(device) for part in stack([split[index] for index in batches[step].tolist()]))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(normalize(images))["out"], labels.long(), ignore_index=VOID).backward()
        optimizer.step()
    return net
