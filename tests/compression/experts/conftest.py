"""Nets, inputs and paths that the tests of experts share; no random number of torch's own is used up."""

import pytest
import torch
from torch import nn

from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.deeplab import deeplab


def enlivened(net: nn.Module, seed: int = 0) -> nn.Module:
    """The net in eval mode with batch-norms as a trained one has them: no scale is 1 and no shift is 0."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            for vector, low, high in (
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2),
            ):
                nn.init.uniform_(vector, low, high, generator=generator)
    return net.eval()


@pytest.fixture(scope="session")
def enliven():
    """A function that puts a net in eval mode, with batch-norms as a trained one has them."""
    return enlivened


@pytest.fixture(scope="session")
def draw():
    """A function that draws a tensor from a seed."""
    return lambda *shape, seed=0: torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def build():
    """A function that builds a DeepLabV3 of random weights."""
    return lambda size, classes=5: enlivened(deeplab(size, classes))


@pytest.fixture(scope="session")
def trained():
    """The compact DeepLabV3, trained on rail scenes."""
    return load_net("compact-rail-scenes-0")


@pytest.fixture(scope="session")
def compact_net(build):
    """A compact DeepLabV3 of random weights, which tests leave as it is."""
    return build("compact")


@pytest.fixture(scope="session")
def x(draw):
    """Two small images."""
    return draw(2, 3, 40, 48)


@pytest.fixture
def make_mixed():
    """A function that makes a small net with every kind of coupling: a sum, a concatenation, a depth-wise layer."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
            self.left, self.norm2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
            self.depth, self.norm3 = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6)
            self.side = nn.Conv2d(3, 4, 1)
            self.hidden = nn.Linear(10, 7)
            self.last = nn.Linear(7, 3)

        def forward(self, x):
            a = self.norm1(self.first(x)).relu()
            a = (a + self.norm2(self.left(a))).relu()
            a = self.norm3(self.depth(a)).relu()
            both = torch.cat([self.side(x).relu(), a], 1)
            pooled = nn.functional.adaptive_avg_pool2d(both, 1).flatten(1)
            return self.last(self.hidden(pooled).tanh())

    def make():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return enlivened(Mixed())

    return make
