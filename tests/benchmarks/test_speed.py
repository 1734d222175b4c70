"""Speed, as ratios within one run. Not part of the tests: ``python -m pytest tests/benchmarks``."""

import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load

from relcomp_kit.artifacts import peek, write_artifact
from relcomp_kit.models.masked_net import weight_names
from relcomp_kit.models.masked_net_training import LEARNING_RATE, one_hot_others_cold, sgd_step
from relcomp_kit.relevance.oracle import weight_oracle
from relcomp_kit.relevance.saliency import loss_per_image, weight_importance


def test_weight_importance_against_a_loop_over_single_images(thesis_net, images, interleaved, say):
    """The sum of outer products is one matrix product: at least 50 times faster over 2,000 images, the same numbers."""
    x, labels = images
    results = {}

    def loop():
        total = {name: 0 for name in weight_names(thesis_net)}
        for i in range(len(x)):
            for name, value in weight_importance(thesis_net, x[i : i + 1], labels[i : i + 1]).items():
                total[name] = total[name] + value
        results["loop"] = total

    def product():
        results["product"] = weight_importance(thesis_net, x, labels)

    seconds = interleaved({"loop": loop, "product": product}, rounds=5)
    ratio = seconds["loop"] / seconds["product"]
    say(f"weight importance, 2,000 images: {1000 * seconds['product']:.1f} ms, {ratio:.0f}x faster than the loop")
    for name, value in results["loop"].items():
        torch.testing.assert_close(results["product"][name], value, rtol=1e-5, atol=1e-5)
    assert ratio >= 50


MEMORY = """
import threading, psutil, torch
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.saliency import weight_importance
torch.set_num_threads(1)
net, x, labels = MaskedNet(), torch.rand(2000, 784) * 2 - 1, torch.randint(10, (2000,))
weight_importance(net, x[:2], labels[:2])  # what the first call loads is not counted
process, done = psutil.Process(), threading.Event()
before = peak = process.memory_info().rss
def watch():
    global peak
    while not done.wait(0.0002):
        peak = max(peak, process.memory_info().rss)
watcher = threading.Thread(target=watch)
watcher.start()
for _ in range(30):
    weight_importance(net, x, labels)
done.set()
watcher.join()
print((peak - before) / 1e6)
"""


def test_weight_importance_needs_less_than_200_mb_extra(say):
    """Highest resident size of a fresh process, sampled; a tensor of images x weights alone would take 226 MB."""
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    megabytes = float(done.stdout)
    say(f"weight importance, 2,000 images: {megabytes:.0f} MB extra")
    assert 1 < megabytes < 200  # less than 1 would mean that nothing was measured


def test_training_step_is_bound_by_two_matrix_products(thesis_net, images, interleaved, say):
    """A step takes at most twice the time of the two products that bound it.

    They are the first layer's: 200 x 784 times 784 x 36 forward and 36 x 200 times 200 x 784 for the gradient,
    2 * 2 * 200 * 784 * 36 = 22.6 million operations. The other layers add 3 %; 150 pruning steps with 775 steps each
    are 116,250 of them. Autograd's step is shown for comparison.
    """
    x, labels = images[0][:200].contiguous(), images[1][:200]
    target = one_hot_others_cold(labels, 10)
    weight, delta = thesis_net.layers[0].weight.detach(), torch.rand(200, 36)
    optimizer = torch.optim.SGD(thesis_net.parameters(), lr=LEARNING_RATE)

    def by_autograd():
        optimizer.zero_grad()
        ((thesis_net(x) - target) ** 2).mean().backward()
        optimizer.step()

    variants = {
        "products": lambda: (x @ weight.T, delta.T @ x),
        "step": lambda: sgd_step(thesis_net, x, target),
        "autograd": by_autograd,
    }
    seconds = interleaved(variants, rounds=31, inner=20)
    step, other = seconds["step"] / seconds["products"], seconds["autograd"] / seconds["products"]
    say(
        f"one SGD step: {1e6 * seconds['step']:.0f} us, {step:.2f}x its two matrix products "
        f"({22.6e6 / seconds['products'] / 1e9:.0f} GFLOP/s); autograd {other:.2f}x"
    )
    assert step <= 2


SINGLE = """
import sys, time, torch
torch.set_num_threads(1)
x, weight, delta = torch.rand(200, 784), torch.rand(36, 784), torch.rand(200, 36)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    x @ weight.T, delta.T @ x
start = time.perf_counter()
for _ in range(int(sys.argv[1])):
    x @ weight.T, delta.T @ x
print((time.perf_counter() - start) / int(sys.argv[1]))
"""


def test_batched_arms_against_single_arms_in_processes(say):
    """Time per arm and step: 15 arms in one batched product on two threads, against two processes with one arm each.

    Arms have different images in a batch, so batching them shares no operand. The ratio is documented, not bounded:
    it decides whether arms run in processes (as they do) or as one batched net.
    """
    x, weight, delta = torch.rand(15, 200, 784), torch.rand(15, 36, 784), torch.rand(15, 200, 36)
    batched, single = [], []
    for _ in range(3):
        torch.set_num_threads(2)
        for repetition in range(2):
            start = time.perf_counter()
            for _ in range(10):
                torch.bmm(x, weight.mT), torch.bmm(delta.mT, x)
            if repetition:
                batched.append((time.perf_counter() - start) / 10 / 15)
        command = [sys.executable, "-c", SINGLE, "100"]
        workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        outputs = []
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        outputs = [float(worker.communicate()[0]) for worker in workers]
        single.append(statistics.mean(outputs) / 2)
    ratio = statistics.median(batched) / statistics.median(single)
    say(f"one arm and step, batched on two threads over alone in two processes: {ratio:.2f}")
    assert 0.05 < ratio < 20


def test_help_takes_less_than_half_a_second(say):
    """Best of five; on a free machine most of it is Python's own start."""
    program = shutil.which("relcomp", path=Path(sys.executable).parent)
    assert program, "relcomp is not installed beside this Python"

    def wall(words, expected):
        start = time.perf_counter()
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
        assert expected in done.stdout
        return seconds

    pairs = [(wall([program, "--help"], "Usage"), wall([sys.executable, "-c", "pass"], "")) for _ in range(5)]
    shown, bare = (min(column) for column in zip(*pairs, strict=True))
    say(f"relcomp --help: {shown:.2f} s, {shown / bare:.1f}x a bare interpreter")
    assert shown < 0.5


def test_weight_oracle_against_the_naive_loop(thesis_net, images, interleaved, say):
    """Rank-one updates instead of a run of the whole net for every weight: time per weight of the first layers."""
    x, labels = images[0][:100], images[1][:100]
    left = [(index, place) for index in range(3) for place in thesis_net.layers[index].weight_mask.nonzero().tolist()]
    some = left[:: len(left) // 150]
    found = {}

    @torch.no_grad()
    def naive():
        before = loss_per_image(thesis_net, thesis_net(x), labels)
        for index, (neuron, column) in some:
            weight = thesis_net.layers[index].weight
            kept = weight[neuron, column].clone()
            weight[neuron, column] = 0
            after = loss_per_image(thesis_net, thesis_net(x), labels)
            weight[neuron, column] = kept
            found[index, neuron, column] = float((after - before).mean())

    oracle = {}

    def updates():
        oracle["signed"], _ = weight_oracle(thesis_net, x, labels)

    seconds = interleaved({"naive": naive, "updates": updates}, rounds=3)
    ratio = (seconds["naive"] / len(some)) / (seconds["updates"] / len(left))
    say(f"weight oracle, 100 images, {len(left):,} weights: {seconds['updates']:.2f} s, {ratio:.0f}x faster than naive")
    names = weight_names(thesis_net)
    for (index, neuron, column), change in found.items():
        assert abs(float(oracle["signed"][names[index]][neuron, column]) - change) < 1e-5
    assert ratio >= 3


def test_reading_an_artifact_with_its_digest(tmp_path, interleaved, say):
    """What it costs to know that a file of the cache is whole: reading takes three times as long at most."""
    path = write_artifact(tmp_path / "x.safetensors", {f"w{i}": torch.randn(512, 512, 3) for i in range(32)}, {})
    seconds = interleaved({"checked": lambda: peek(path), "unchecked": lambda: load(path.read_bytes())}, rounds=7)
    ratio = seconds["checked"] / seconds["unchecked"]
    say(f"an artifact of {path.stat().st_size / 1e6:.0f} MB: with its digest {ratio:.2f}x as long as without")
    assert peek(path) is not None and ratio <= 3
