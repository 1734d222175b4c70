"""Relevance of weights on two threads, against what it cannot be cheaper than: a forward and a backward pass."""

import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from relcomp_kit.models.classifiers import mlp_gsc
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.relevance.lrp import weight_relevance, weight_relevance_per_class

CLASSES = 7
AGGREGATES = {"sum": 1.5, "abs_of_mean": 2.5, "mean_of_abs": 2.5}  # and how many times a plain pass each may take


@pytest.fixture(autouse=True)
def two_threads(one_thread):
    torch.set_num_threads(2)  # `one_thread` puts back what was set before


def task() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """Return DeepLabV3-ResNet50 and a batch of four noise images, in which every class is somewhere."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 128, 128, generator=draw)
    return deeplab("resnet50", CLASSES).eval(), (x, torch.randint(CLASSES, (4, 128, 128), generator=draw))


def plain(net: nn.Module, batch: tuple[Tensor, Tensor], classes: int = 1) -> None:
    """One forward pass, and for each class a backward pass to all parameters."""
    output = net(batch[0])["out"]
    for class_ in range(classes):
        torch.autograd.grad(output[:, class_].sum(), list(net.parameters()), retain_graph=class_ < classes - 1)


def test_epsilon_against_a_plain_pass(interleaved, say):
    """The aggregate "sum" takes at most 1.5 times forward and backward, the others at most 2.5 times."""
    net, batch = task()
    work = {"plain": partial(plain, net, batch)}
    for aggregate in AGGREGATES:
        work[aggregate] = partial(weight_relevance, net, [batch], aggregate=aggregate)
    work["sum, zennit's way"] = partial(weight_relevance, net, [batch], aggregate="sum", way="zennit")
    seconds = interleaved(work, rounds=7)
    ratios = {name: taken / seconds["plain"] for name, taken in seconds.items()}
    listed = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in ratios.items())
    say(f"resnet50, 4 images of 128x128, plain pass {seconds['plain']:.2f} s: {listed}")
    assert {name: ratios[name] for name, bound in AGGREGATES.items() if ratios[name] > bound} == {}


def test_absolute_relevance_of_a_dense_net(interleaved, say):
    """Samples need not be kept apart where each has one row: at most 1.3 times what the sum takes."""
    net = mlp_gsc().eval()
    x, target = torch.randn(128, 1, 98, 40), torch.randint(12, (128,))
    work = {"plain": lambda: torch.autograd.grad(net(x).sum(), list(net.parameters()))}
    for aggregate in ("sum", "mean_of_abs"):
        work[aggregate] = partial(weight_relevance, net, [(x, target)], aggregate=aggregate)
    seconds = interleaved(work, rounds=7)
    ratios = {name: taken / seconds["plain"] for name, taken in seconds.items()}
    say(f"MLP_GSC, 128 pictures: {', '.join(f'{name} {ratio:.2f}x' for name, ratio in ratios.items())}")
    assert ratios["mean_of_abs"] <= 1.3 * ratios["sum"]


@pytest.mark.parametrize("aggregate", ["sum", "mean_of_abs"])
def test_seven_classes_against_plain_backwards(aggregate, interleaved, say):
    """All classes at once take at most 1.4 times one forward and seven backward passes."""
    net, batch = task()
    work = {
        "plain": partial(plain, net, batch, CLASSES),
        "relevance": partial(weight_relevance_per_class, net, [batch], range(CLASSES), aggregate=aggregate),
    }
    seconds = interleaved(work, rounds=3)
    ratio = seconds["relevance"] / seconds["plain"]
    say(f"{CLASSES} classes, {aggregate}: {seconds['relevance']:.2f} s, {ratio:.2f}x forward and plain backwards")
    assert ratio <= 1.4


def memory(kind: str) -> int:
    """Return kB of this process' memory: "VmRSS" now, "VmHWM" the most ever."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def growth(name: str) -> float:
    """Return by how many MB two batches make a fresh process grow at most, with the net already there.

    Nothing is run before: memory that is free again, but still the process' own, would hide what the batches take.
    """
    torch.set_num_threads(2)
    net, batch = task()
    before = memory("VmRSS")
    if name == "plain":
        plain(net, batch)
        plain(net, batch)
    else:
        weight_relevance(net, [batch, batch], aggregate=name)
    return (memory("VmHWM") - before) / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_against_a_plain_pass(say):
    """Two batches by "sum" take at most 1.5 times the memory of two plain passes."""
    megabytes = {}
    for name in ("plain", *AGGREGATES):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            megabytes[name] = pool.submit(growth, name).result()
    listed = ", ".join(
        f"{name} {taken:.0f} MB ({taken / megabytes['plain']:.2f}x)" for name, taken in megabytes.items()
    )
    say(f"resnet50, 2 batches, on top of the net: {listed}")
    assert megabytes["sum"] <= 1.5 * megabytes["plain"]
