"""Assignment of all weights of DeepLabV3-ResNet101 at 4 bit, beside the way through a tensor of all costs; a step of
quantization-aware training, beside one without quantization."""

import itertools
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx.qat_loop import Run
from relcomp_kit.compression.ecqx.recipe import QatRecipe, resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.models.classifiers import classifier
from relcomp_kit.models.deeplab import deeplab

BITS, GIVE_BACK = 4, 0.1


def dense(w, step, levels, price=0.0, factor=1.0):
    """Indices by a tensor of all costs, (centroids, weights); ``factor`` multiplies those of 0."""
    level = torch.arange(levels[0], levels[1] + 1, dtype=w.dtype)[:, None]
    costs = (w.flatten() - step * level).square_() + price
    costs[-levels[0]] *= factor
    return costs.argmin(0) + levels[0]


def dense_ecq(w, step, levels, lam):
    """Indices, and the price of every level."""
    nearest = dense(w, step, levels)
    share = torch.bincount(nearest - levels[0], minlength=levels[1] - levels[0] + 1).double() / w.numel()
    zero = share[-levels[0]].item()
    if zero < 0.5:
        share *= 0.5 / (1 - zero)
        share[-levels[0]] = 0.5
    price = -lam * share.log2().float()[:, None]
    return dense(w, step, levels, price), price


def dense_search(w, step, levels, price, relevance, most):
    """Indices, and how many betas were tried until the sparsity was in its range.

    Steps of a fifth: larger ones try fewer and give back more sparsity than they need to. The kit's beta gives back the
    least that is possible.
    """
    r, beta = relevance.flatten(), math.log(0.5) / math.log(relevance.mean().item())
    for tries in itertools.count(1):
        index = dense(w, step, levels, price, 2 * r**beta)
        sparsity = (index == 0).sum().item() / w.numel()
        if most - GIVE_BACK <= sparsity <= most:
            return index, tries
        beta *= 0.8 if sparsity > most else 1.25


@pytest.fixture(scope="module")
def layers() -> list[tuple]:
    """Weight, step, levels, lambda and relevance of every tensor; Lambda 0.05 as published."""
    draw = torch.Generator().manual_seed(0)
    net = deeplab("resnet101", 21)
    weights, grids = ecqx.quantizable(net), ecqx.plan(net, BITS, 0.05)
    made = []
    for name, weight in weights.items():
        relevance = ecqx.normalized(torch.randn(weight.shape, generator=draw).abs() ** 3)
        made.append((weight, grids[name].step, grids[name].levels, grids[name].lam, relevance))
    return made


def timed(run: Callable) -> tuple[float, object]:
    start = time.process_time()  # of this process alone: other work on the machine does not count
    result = run()
    return time.process_time() - start, result


def test_assignment_against_one_bucketize(layers, interleaved, say):
    """ECQ takes at most 1.6 times as long as one `bucketize` of all weights; a copy is what any pass costs at least."""

    def kit():
        for w, *grid, _ in layers:
            ecqx.assign(w, *grid)

    def bucketize():
        for w, step, (low, high), *_ in layers:
            torch.bucketize(w, (torch.arange(low, high) + 0.5) * step, out_int32=True)

    room = torch.empty(max(w.numel() for w, *_ in layers))

    def copy():
        for w, *_ in layers:
            room[: w.numel()].copy_(w.view(-1))

    seconds = interleaved({"kit": kit, "bucketize": bucketize, "copy": copy}, rounds=5)
    ratio = seconds["kit"] / seconds["bucketize"]
    say(
        f"ECQ of {sum(w.numel() for w, *_ in layers) / 1e6:.1f} M weights at {BITS} bit: {seconds['kit']:.2f} s, "
        f"{ratio:.2f}x one bucketize, which is {seconds['bucketize'] / seconds['copy']:.0f} copies"
    )
    assert ratio <= 1.6


def test_assignment_against_all_costs(layers, say):
    """ECQ at least 10 times, ECQ^x at least 50 times as fast as by all costs, which are made anew for each beta.

    The dense way runs once, between the kit's rounds. Its indices are the same but for ties in its float32 costs; under
    ECQ^x, where each way stops at another beta, the sparsity is in its range. Keeping the costs of the other centroids
    would save the dense way about a third.
    """
    seconds: dict[str, list[float]] = {"ECQ": [], "ECQ^x": []}

    def kit(times: int) -> None:
        for _ in range(times):
            for way, give_back in (("ECQ", {}), ("ECQ^x", {"give_back": GIVE_BACK})):
                took = 0.0
                for w, *grid, relevance in layers:
                    options = give_back and give_back | {"relevance": relevance}
                    took += timed(lambda: ecqx.assign(w, *grid, **options))[0]  # noqa: B023 (called at once)
                seconds[way].append(took)

    kit(3)
    plain = search = 0.0
    tried = different = 0
    for w, *grid, relevance in layers:
        took, (expected, price) = timed(lambda: dense_ecq(w, *grid))  # noqa: B023
        plain += took
        most = (expected == 0).sum().item() / w.numel()
        took, (searched, tries) = timed(lambda: dense_search(w, *grid[:2], price, relevance, most))  # noqa: B023
        search += took
        tried += tries
        different += int((ecqx.assign(w, *grid).flatten() != expected).sum())
        for found in (ecqx.assign(w, *grid, relevance=relevance, give_back=GIVE_BACK), searched):
            assert most - GIVE_BACK - 1e-3 <= (found == 0).sum().item() / w.numel() <= most + 1e-3
    kit(3)
    median = {way: statistics.median(values) for way, values in seconds.items()}
    ecq, ecqx_ratio = plain / median["ECQ"], (plain + search) / median["ECQ^x"]
    say(
        f"against all costs: ECQ {median['ECQ']:.2f} s, {ecq:.0f}x as fast; ECQ^x {median['ECQ^x']:.2f} s, "
        f"{ecqx_ratio:.0f}x, with {tried / len(layers):.1f} betas tried a tensor"
    )
    assert different <= 1e-5 * sum(w.numel() for w, *_ in layers)
    assert ecq >= 10
    assert ecqx_ratio >= 50


MEMORY = """
import sys, threading, psutil, torch
sys.path.insert(0, sys.argv[1])
from test_ecqx_speed import dense_ecq, dense_search, ecqx
torch.set_num_threads(1)
draw = torch.Generator().manual_seed(0)
w = torch.randn(256, 2048, 3, 3, generator=draw)
r = ecqx.normalized(torch.randn(w.shape, generator=draw).abs() ** 3)
step, levels = ecqx.centroid_step(w, 4), ecqx.level_range(w, 4)
def run(w, r):
    if sys.argv[2] == "dense":
        index, price = dense_ecq(w, step, levels, step**2 / 3)
        dense_search(w, step, levels, price, r, (index == 0).sum().item() / w.numel())
    else:
        ecqx.assign(w, step, levels, step**2 / 3, relevance=r if sys.argv[2] == "ECQ^x" else None)
run(w[:1], r[:1])  # what the first call loads is not counted
process, done = psutil.Process(), threading.Event()
before = peak = process.memory_info().rss
def watch():
    global peak
    while not done.wait(0.0002):
        peak = max(peak, process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
run(w, r)
done.set()
watcher.join()
print((peak - before) / 1e6)
"""


def test_extra_memory_is_a_fifth_of_all_costs(say):
    """Highest resident size of a fresh process on the largest tensor, 256 x 2048 x 3 x 3 weights of 19 MB, sampled."""
    here, megabytes = str(__file__).rsplit("/", 1)[0], {}
    for way in ("ECQ", "ECQ^x", "dense"):
        command = [sys.executable, "-c", MEMORY, here, way]
        returned = os.environ | {
            "MALLOC_MMAP_THRESHOLD_": "65536"
        }  # freed blocks go back, and count anew when used again
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=returned)
        megabytes[way] = float(done.stdout)
    say("extra memory: " + ", ".join(f"{way} {size:.0f} MB" for way, size in megabytes.items()))
    assert megabytes["ECQ"] > 1, "less would mean that nothing was measured"
    assert max(megabytes["ECQ"], megabytes["ECQ^x"]) <= megabytes["dense"] / 5


def test_a_step_of_training_against_one_without_quantization(interleaved, say):
    """A step of ResNet-20 on CIFAR-10's size takes at most 1.25 times as long quantized, relevance every 20 steps.

    Both are bound by the operations of forward and backward (41 M multiply-adds an image, times three); what comes on
    top is a pass over 0.27 M weights a step, and relevance every 20 steps: forward and backward for two batches.
    """
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1024, 3, 32, 32), generator=draw).to(torch.uint8)
    split = Split(images, torch.arange(1024) % 10)
    data = ImageSet("cifar10", split, split, split, tuple("0123456789"), "noise", "drawn")
    recipe = resolve(QatRecipe(arm="lrp", batch=128, relevance_every=20, relevance_batches=2, gradient_scale="abs"))

    def training(arm: str) -> Callable:
        own = replace(recipe, arm=arm)
        net = classifier("resnet20", 0).eval()
        run = Run(net, own, task_of(net, own, data, 0), 0)

        def twenty_steps() -> None:
            for _ in range(20):
                run.fit()
                run.step()
                run.assign()

        return twenty_steps

    seconds = interleaved({arm: training(arm) for arm in ("float", "lrp")}, rounds=2)
    ratio = seconds["lrp"] / seconds["float"]
    say(f"a step of ResNet-20: {seconds['float'] / 20:.3f} s, by ECQ^x {ratio:.2f}x as long")
    assert ratio <= 1.25
