"""XI, XII and the empirical recurrence: published numbers, limits, and exactness against the rule itself."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from relcomp_kit.compression.convergence import empirical_count, empirical_recurrence, lambertw_limit, recurrence
from relcomp_kit.compression.pruning import median_threshold_step
from relcomp_kit.errors import UserError

FIGURE_4 = {0: 100, 0.1: 65, 0.2: 49, 0.3: 40, 0.4: 32, 0.5: 26, 0.6: 21, 0.7: 16, 0.8: 12, 0.9: 7}


@pytest.mark.parametrize(("sf", "limit"), FIGURE_4.items())
def test_figure_4(sf, limit):
    assert recurrence(100, sf)[-1] == limit
    assert abs(math.floor(lambertw_limit(100, sf)) - limit) <= 1


def test_worked_example():
    assert round(lambertw_limit(100, 0.3), 4) == 40.1421
    assert round(36 * lambertw_limit(784, 0.95)) == 655
    assert 36 * recurrence(784, 0.95)[-1] == 648
    assert round(lambertw_limit(28_224, 0.95), -1) == 290


def test_both_ends():
    assert recurrence(100, 0) == [100]
    assert lambertw_limit(100, 0) == 100
    assert recurrence(100, 1) == [100, 50, 25, 13, 7, 4, 2, 1]
    assert lambertw_limit(100, 1) == 2
    assert lambertw_limit(100, 1, m=0.25) == 4
    assert recurrence(10, 1, m=1) == [10, 0]


@given(c0=st.integers(1, 2000), sf=st.floats(0.001, 1), m=st.floats(0.01, 1))
def test_recurrence_starts_at_c0_and_only_falls_until_nothing_goes(c0, sf, m):
    counts = recurrence(c0, sf, m)
    assert counts[0] == c0
    assert all(before > after >= 0 for before, after in pairwise(counts))
    for before, after in pairwise(counts):
        assert after == before - math.floor(before * m * sf ** (c0 / before))
    assert counts[-1] == 0 or counts[-1] * m * sf ** (c0 / counts[-1]) < 1


@given(c0=st.floats(1, 1e5), sf=st.floats(0.001, 0.999), m=st.floats(0.01, 1))
def test_limit_is_where_a_step_removes_one_weight(c0, sf, m):
    assume(c0 * m * sf >= 1)  # else not even the first step removes a weight
    limit = lambertw_limit(c0, sf, m)
    assert limit <= c0 * (1 + 1e-9)
    assert limit * m * sf ** (c0 / limit) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("c0", [36, 100, 784, 900, 28_224])
def test_formula_is_within_one_of_the_recurrence(c0):
    for sf in [step / 50 for step in range(1, 51)]:
        if c0 * 0.5 * sf >= 1:  # else not even the first step removes a weight
            assert abs(math.floor(lambertw_limit(c0, sf)) - recurrence(c0, sf)[-1]) <= 1, sf
        else:
            assert recurrence(c0, sf) == [c0]


@pytest.mark.slow
@given(values=st.lists(st.integers(0, 9), min_size=1, max_size=40), sf=st.floats(0.05, 1))
def test_empirical_count_measured_every_step_is_the_pruning_ties_included(values, sf):
    importance = torch.tensor([values], dtype=torch.float32)
    mask = torch.ones_like(importance, dtype=torch.bool)
    while mask.any():
        left = int(mask.sum())
        new = median_threshold_step(importance, mask, sf)
        assert empirical_count(importance[mask], left, len(values), sf) == int(new.sum())
        if torch.equal(new, mask):
            return
        mask = new


def test_a_weight_on_the_bar_to_the_last_bit():
    row = torch.tensor([[1.0, 24, 25, 30, 40, 0, 0, 0, 0, 0]])
    mask = row > 0  # half the weights left: the bar is 25 * 0.2 ** 2, 1 but for rounding
    for row[0, 0] in (torch.tensor(1.0).nextafter(torch.tensor(float(to))) for to in (0, 1, 2)):
        left = int(median_threshold_step(row, mask, 0.2).sum())
        assert empirical_count(row[mask], 5, 10, 0.2) == left


@pytest.mark.slow
@given(seed=st.integers(0, 1000), sf=st.sampled_from([0.3, 0.55, 0.6, 0.75, 0.9, 0.95]))
def test_the_same_for_a_layer(seed, sf):
    importance = torch.rand(36, 50, generator=torch.Generator().manual_seed(seed)) ** 3
    mask = torch.ones(36, 50, dtype=torch.bool)
    for _ in range(4):
        new = median_threshold_step(importance, mask, sf)
        rows = zip(importance, mask, strict=True)
        assert [empirical_count(row[kept], int(kept.sum()), 50, sf) for row, kept in rows] == new.sum(1).tolist()
        mask = new


@pytest.mark.parametrize("sf", [0.3, 0.6, 0.9])
def test_on_uniform_importance_the_empirical_recurrence_is_xi(sf):
    uniform = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    formula, empirical = recurrence(1000, sf), empirical_recurrence(uniform.expand(3, 1000), sf)
    assert empirical[0] == 3000
    assert empirical[-1] / 3 == pytest.approx(formula[-1], abs=3)
    for mine, theirs in zip(empirical, formula, strict=False):
        assert mine / 3 == pytest.approx(theirs, abs=10)


def test_empirical_recurrence_adds_up_the_neurons_and_may_empty():
    rows = torch.rand(4, 30, generator=torch.Generator().manual_seed(0))
    alone = [empirical_recurrence(row[None], 0.8) for row in rows]
    assert empirical_recurrence(rows, 0.8)[-1] == sum(counts[-1] for counts in alone)
    assert empirical_recurrence(torch.ones(2, 5), 1.0) == [10, 0]


@pytest.mark.parametrize("sf", [-0.1, 1.1, float("nan")])
def test_sf_outside_its_range_is_refused(sf):
    for call in (
        lambda: recurrence(10, sf),
        lambda: lambertw_limit(10, sf),
        lambda: empirical_count(torch.ones(3), 3, 3, sf),
    ):
        with pytest.raises(UserError, match="SF must lie in"):
            call()


@pytest.mark.parametrize(("c0", "m"), [(0, 0.5), (-3, 0.5), (10, 0), (10, 1.5)])
def test_counts_and_shares_that_make_no_sense_are_refused(c0, m):
    for function in (recurrence, lambertw_limit):
        with pytest.raises(UserError, match="count at the start must be at least 1"):
            function(c0, 0.5, m)
