"""The grid: its percentile, its levels, its least-squares form."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relcomp_kit.compression.ecqx import centroid_step, level_range
from relcomp_kit.compression.ecqx.centroids import SAMPLE, kth_smallest
from relcomp_kit.errors import UserError


@pytest.mark.parametrize("kind", ["normal", "ties", "constant", "infinite", "sorted"])
def test_kth_smallest_is_that_of_the_sorted_numbers(kind):
    values = torch.randn(100 * SAMPLE, generator=torch.Generator().manual_seed(0)) ** 3
    if kind == "ties":
        values = values.round()
    elif kind == "constant":
        values = torch.full_like(values, -2.5)
    elif kind == "infinite":
        values[::3], values[1::3] = torch.inf, -torch.inf
    elif kind == "sorted":
        values = values.sort().values
    expected = values.sort().values
    for k in (1, 2, 50, len(values) // 3, len(values) // 2, len(values) - 50, len(values) - 1, len(values)):
        assert kth_smallest(values, k) == expected[k - 1]


def test_kth_smallest_where_the_sample_misleads(monkeypatch):
    """A sample that is the first number again and again."""
    first = SimpleNamespace(integers=lambda high, size: np.zeros(size, int))
    monkeypatch.setattr(np.random, "default_rng", lambda seed: first)
    values = torch.arange(100_000.0)
    for k in (1, 500, 50_000, 99_999, 100_000):
        assert kth_smallest(values, k) == k - 1


@pytest.mark.slow
@given(count=st.integers(1, 3000), bits=st.integers(2, 8), seed=st.integers(0, 100), exponent=st.integers(-30, 30))
def test_step_of_the_nearest_rank_is_a_size_over_the_levels_of_a_side(count, bits, seed, exponent):
    w = torch.randn(count, generator=torch.Generator().manual_seed(seed)) * 10.0**exponent
    top = centroid_step(w, bits, rule="p99.9") * (2 ** (bits - 1) - 1)
    sizes = w.abs()
    assert (sizes <= top * (1 + 1e-6)).sum() >= 0.999 * count
    assert (sizes < top * (1 - 1e-6)).sum() < 0.999 * count


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_odd_tensors(dtype):
    assert centroid_step(torch.zeros(5, dtype=dtype), 4) == 1
    nearly = torch.zeros(5000, dtype=dtype)
    nearly[7] = -3.5
    assert centroid_step(nearly, 4) == pytest.approx(0.5)
    smallest = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    assert centroid_step(torch.full((5,), smallest, dtype=dtype), 8) == smallest
    step = centroid_step(torch.tensor([0.1], dtype=dtype), 4)
    assert torch.tensor(step, dtype=dtype).item() == step, "a number of the weights' own type"


@given(seed=st.integers(0, 1000), bits=st.integers(2, 8))
def test_the_odd_level_lies_on_the_heavier_side(seed, bits):
    w = torch.randn(9, generator=torch.Generator().manual_seed(seed)) ** 3
    k = 2 ** (bits - 1)
    assert level_range(w, bits) == ((1 - k, k) if w.sum() > 0 else (-k, k - 1))
    assert level_range(w.abs(), bits) == (1 - k, k)
    assert level_range(-w.abs(), bits) == (-k, k - 1)
    assert level_range(torch.zeros(3), bits) == (1 - k, k)


@pytest.mark.parametrize("bits", [2, 3, 4, 6])
def test_least_squares_step_is_a_minimum_and_beats_the_percentile(bits):
    w = torch.randn(20_000, generator=torch.Generator().manual_seed(0)).double()
    levels = level_range(w, bits)

    def error(step):
        return ((w - (w / step).round().clamp(*levels) * step) ** 2).mean().item()

    step = centroid_step(w, bits, rule="least-squares")
    assert error(step) < error(centroid_step(w, bits))
    assert error(step) <= 1.001 * min(error(step * factor) for factor in torch.linspace(0.7, 1.4, 50).tolist())


@pytest.mark.parametrize("bits", [1, 9, 0, -4, 4.5, math.nan, "4"])
def test_bits_outside_their_range_are_refused(bits):
    for call in (centroid_step, level_range):
        with pytest.raises(UserError, match="bit width must be a whole number from 2 to 8, not"):
            call(torch.ones(3), bits)


def test_bad_input_is_refused():
    with pytest.raises(UserError, match="no rule 'max' for the step"):
        centroid_step(torch.ones(3), 4, rule="max")
    with pytest.raises(UserError, match="holds NaN"):
        centroid_step(torch.tensor([1.0, math.nan]), 4)
