"""ECQ^x on a GPU: the assignment of weights to centroids, and quantization-aware training."""

import copy

import numpy as np
import pytest
import torch

from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net
from relcomp_kit.relevance.lrp import weight_relevance

FACTOR = 8  # see conftest.py
BORDER = 2**-19  # relative: see `test_weights_go_to_the_processors_centroids`


@pytest.mark.parametrize(("bits", "step"), [(4, "p99.9-interpolated"), (2, "least-squares")])
@pytest.mark.parametrize("with_relevance", [False, True])
def test_weights_go_to_the_processors_centroids(card, net, images, bits, step, with_relevance):
    """All of them, but for those that lie on a border within rounding.

    Steps, probabilities and borders come from counts and from double precision: they are equal, but for the step by
    least squares, which comes from sums. Relevance decides by a quotient of two logarithms: a few roundings on both
    sides, 2^-19 of it in all. Critical exponents are spread over more than one unit, so hardly more than this share of
    the weights has one within that of beta; 16 times as many are allowed, and two weights of a small tensor.
    """
    relevance = weight_relevance(net, images) if with_relevance else None
    there = copy.deepcopy(net).to(card)
    moved = relevance and {name: value.to(card) for name, value in relevance.items()}
    expected = ecqx.quantize(net, bits, 0.1, relevance=relevance, step=step)
    found = ecqx.quantize(there, bits, 0.1, relevance=moved, step=step)
    for name, index in expected.indices.items():
        torch.testing.assert_close(found.steps[name], expected.steps[name], rtol=1e-5, atol=0)
        others = int((found.indices[name] != index).sum())
        assert others <= 2 + 16 * BORDER * index.numel(), f"{name}: {others} of {index.numel()}"


def test_a_short_training_ends_like_the_processors(card, net, scenes, use, own_cache, monkeypatch, in_another_order):
    recipe = QatRecipe("lrp", 4, 0.1, steps=6, batch=4, relevance_every=3, validate_every=3, precision="fp32")

    def run(device, folder):
        monkeypatch.setenv("RELCOMP_CACHE", str(own_cache / folder))
        use(device)
        quantized, history = quantized_net(recipe, net, scenes, 0)
        return quantized, np.array([[row["loss"], row["score"], row["miou"], row["sparsity"]] for row in history])

    processor, expected = run(torch.device("cpu"), "one")
    with in_another_order():
        other, again = run(torch.device("cpu"), "other")
    quantized, found = run(card, "card")
    assert np.isfinite(found).all()
    spread = np.abs(again - expected).max(0)
    assert (np.abs(found - expected).max(0) <= FACTOR * np.maximum(spread, 1e-4)).all(), (found, expected, again)
    changed = [share_changed(one, processor) for one in (quantized, other)]
    assert changed[0] <= FACTOR * max(changed[1], 1e-4), changed


def share_changed(one: ecqx.Quantized, other: ecqx.Quantized) -> float:
    """The share of the weights that have another index."""
    pairs = [(one.indices[name], index) for name, index in other.indices.items()]
    return sum(int((a != b).sum()) for a, b in pairs) / sum(b.numel() for _, b in pairs)
