"""Training on a GPU: like the processor's, in bf16, by `relcomp train`, by two processes on one card; its memory."""

import copy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from relcomp_kit.files import read_json
from relcomp_kit.models import segmentation_training
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.device import autocast, choose_precision
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.segmentation_training import Recipe, train
from relcomp_kit.relevance.lrp import weight_relevance

FACTOR = 8  # see conftest.py
BF16 = 2**-8  # the rounding of bf16, relative
STEPS = 6
RECIPE = Recipe(
    "compact",
    "rail-scenes",
    (48, 80),
    steps=STEPS,
    batch=4,
    learning_rate=2e-3,
    weight_decay=1e-4,
    class_weights="inverse_sqrt",
    validate_every=3,
    augment=False,
    precision="fp32",
)


def rows(run) -> np.ndarray:
    return np.array([[row["loss"], row["pixel_accuracy"]] for row in run.history])


def test_a_short_training_ends_like_the_processors(card, scenes, use, in_another_order, without_dropout, monkeypatch):
    monkeypatch.setattr(segmentation_training, "deeplab", lambda *what, **how: without_dropout(deeplab(*what, **how)))
    use(torch.device("cpu"))
    expected = rows(train(RECIPE, scenes, 0))
    with in_another_order():
        spread = np.abs(rows(train(RECIPE, scenes, 0)) - expected).max(0)
    use(card)
    found = rows(train(RECIPE, scenes, 0))
    assert np.isfinite(found).all()
    assert (np.abs(found - expected).max(0) <= FACTOR * np.maximum(spread, 1e-4)).all(), (found, expected, spread)


def test_a_killed_training_goes_on_on_the_card(card, scenes, use, tmp_path):
    use(card)
    whole = rows(train(RECIPE, scenes, 0))

    def kill(step, steps, text):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, scenes, 0, partial=tmp_path / "run.partial", report=kill)
    resumed = rows(train(RECIPE, scenes, 0, partial=tmp_path / "run.partial"))
    assert np.allclose(resumed, whole, rtol=1e-2)  # additions on a card come in any order, and rounding grows


def test_bf16_is_close(card, net, scenes, images, use):
    """Logits are sums of products that were rounded to 8 bits in each of some 30 layers, at random."""
    there, x = copy.deepcopy(net).to(card), images[0][0].to(card)
    with torch.no_grad():
        exact = there(x)["out"]
        with autocast("bf16", card):
            coarse = there(x)["out"].float()
    assert coarse.isfinite().all()
    assert (coarse - exact).norm() <= 30**0.5 * BF16 * exact.norm()
    use(card)
    assert np.isfinite(rows(train(replace(RECIPE, precision="bf16"), scenes, 0))).all()
    scores = [evaluate(there, scenes.test, scenes.classes, precision=one)["pixel_accuracy"] for one in ("fp32", "bf16")]
    assert abs(scores[0] - scores[1]) < 0.02


def test_auto_is_bf16(card, only_card):
    assert choose_precision("auto", card) == "bf16"


@pytest.mark.parametrize("devices", [1, 2])
def test_relcomp_train_with_one_process_and_with_two_on_one_card(card, devices, tmp_path, monkeypatch):
    """Two processes average gradients over the same batch: the losses are those of one, but for batch-norm's halves."""
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path / "cache"))
    small = ("--size", "32x48", "--steps", "2", "--batch", "4", "--class-weights", "none", "--precision", "fp32")
    command = ("train", "compact", "--profile", "quick", *small, "--devices", str(devices), "--out", str(tmp_path))
    start = "from relcomp_kit.cli.app import main; main()"
    done = subprocess.run([sys.executable, "-c", start, *command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    if card.type == "cuda" and torch.cuda.device_count() < devices:
        assert "2 processes share 1 GPU" in done.stderr
    scores = read_json(tmp_path / "compact-rail-scenes-0.json")
    assert 0 < scores["test"]["pixel_accuracy"] < 1


def peak(work) -> int:
    """The most memory that a piece of work has held on the card, in bytes, beyond what lay there before."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    return torch.cuda.max_memory_allocated() - before


def test_the_memory_of_relevance_is_a_small_multiple_of_a_pass(card, only_card, capsys):
    """Of ResNet-101 at 192x320, 8 scenes at once.

    A pass with gradients keeps what each layer gives. Relevance keeps it, too, and works on one layer at a time: on its
    weights for each of the 8 scenes, the largest of which have 4.7 M weights. It may take that, and twice the pass.
    """
    net = deeplab("resnet101", 7).to(card).eval()
    x, target = torch.rand(8, 3, 192, 320, device=card), torch.zeros(8, 192, 320, dtype=torch.long, device=card)
    largest = 4 * 8 * max(value.numel() for value in net.parameters())
    weights = sum(value.nbytes for value in net.parameters())
    weight_relevance(net, [(x[:1], target[:1])])  # cuDNN's own room
    step = peak(lambda: net(x)["out"].sum().backward())
    net.zero_grad(set_to_none=True)
    relevance = peak(lambda: weight_relevance(net, [(x, target)]))
    with capsys.disabled():
        print(f"\nResNet-101, 8 scenes of 192x320: a pass with gradients {step / 1e9:.1f} GB, "
              f"relevance {relevance / 1e9:.1f} GB, {relevance / step:.2f} times as much")  # fmt: skip
    assert relevance <= 2 * step + 2 * largest + 2 * weights


def test_the_pass_of_a_large_net_is_the_processors(card, only_card, in_double, check_sums):
    net, x = deeplab("resnet101", 7).eval(), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        found = [
            {"out": one(x.to(next(one.parameters())))["out"]}
            for one in (copy.deepcopy(net).to(card), net, in_double(net))
        ]
    check_sums(*found)
