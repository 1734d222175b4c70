"""A small net that has everything: convolutions, batch-norm in use, a linear layer, and its quantized self."""

import pytest
import torch
from torch import nn

from relcomp_kit.compression import ecqx


@pytest.fixture(scope="session")
def small_net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(200, 5)
        )
        for _ in range(20):  # batch-norm's statistics are no longer those of the start
            net(torch.randn(4, 3, 5, 5) * 3 + 1)
        with torch.no_grad():
            net[1].weight.uniform_(0.5, 2)
            net[1].bias.normal_()
    return net.eval()


@pytest.fixture(scope="session")
def small(small_net) -> ecqx.Quantized:
    return ecqx.quantize(small_net, 3, 0.05)


def bits(value: torch.Tensor) -> tuple:
    """All that a tensor is, to be compared."""
    return value.dtype, value.shape, bytes(value.contiguous().reshape(-1).view(torch.uint8).tolist())


@pytest.fixture(scope="session")
def same():
    """A function that compares two quantized nets bit by bit, and the order of their entries."""

    def compare(first: ecqx.Quantized, second: ecqx.Quantized) -> None:
        for part in ("indices", "steps", "rest"):
            one, other = getattr(first, part), getattr(second, part)
            assert list(one) == list(other)
            for name in one:
                assert bits(one[name]) == bits(other[name]), name

    return compare
