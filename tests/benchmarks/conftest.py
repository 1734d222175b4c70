"""Timing: variants interleaved in one run, their medians compared, so that a busy machine slows all alike."""

import statistics
import time
from collections.abc import Callable

import pytest
import torch

from relcomp_kit.models.masked_net import MaskedNet


@pytest.fixture
def say(capsys):
    """Print in spite of pytest's capturing: the figures are what a benchmark is for."""

    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}", end="")

    return show


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def interleaved():
    """A function that runs variants in turn and returns the median seconds of each."""

    def measure(variants: dict[str, Callable[[], object]], rounds: int, inner: int = 1) -> dict[str, float]:
        for run in variants.values():
            run()
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, run in variants.items():
                start = time.perf_counter()
                for _ in range(inner):
                    run()
                seconds[name].append((time.perf_counter() - start) / inner)
        return {name: statistics.median(values) for name, values in seconds.items()}

    return measure


@pytest.fixture
def thesis_net() -> MaskedNet:
    """784-36-25-10 with a third of the weights masked."""
    net = MaskedNet()
    draw = torch.Generator().manual_seed(0)
    for layer in net.layers:
        layer.weight_mask.copy_(torch.rand(layer.weight_mask.shape, generator=draw) > 1 / 3)
    return net


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    """2,000 noise images of MNIST's size, and labels."""
    draw = torch.Generator().manual_seed(0)
    return torch.rand(2000, 784, generator=draw) * 2 - 1, torch.randint(10, (2000,), generator=draw)
