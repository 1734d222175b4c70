"""Nets and images that the tests of LRP share; no random number of torch's own is used up."""

import pytest
import torch
from torch import nn

from relcomp_kit.datasets import load_scenes
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.scene_batches import stack


@pytest.fixture(scope="session")
def seeded():
    """A function that builds a net with weights that depend on a seed alone, and gives it in eval mode."""

    def build(kind, *args, seed=0, **options):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = kind(*args, **options)
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):  # as a trained net has it: no scale is 1 and no shift is 0
                    nn.init.uniform_(module.weight, 0.5, 1.5)
                    nn.init.normal_(module.bias, 0, 0.3)
                    nn.init.normal_(module.running_mean, 0, 0.3)
                    nn.init.uniform_(module.running_var, 0.5, 2)
            return net.eval()

    return build


@pytest.fixture(scope="session")
def random():
    """A function that draws a tensor from a seed."""

    def draw(*shape, seed=0, dtype=torch.float32):
        return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    return draw


@pytest.fixture(scope="session")
def trained():
    """The compact DeepLabV3, trained on rail scenes."""
    return load_net("compact-rail-scenes-0")


@pytest.fixture(scope="session")
def scenes():
    """Four small rail scenes as the net sees them, and their labels."""
    split = load_scenes("rail-scenes", (48, 80)).test
    images, labels = stack([split[index] for index in range(4)])
    return normalize(images), labels


@pytest.fixture(scope="session")
def flat():
    """A function that lays all tensors of a dict end to end, in double precision."""
    return lambda relevance: torch.cat([value.flatten().double() for value in relevance.values()])
