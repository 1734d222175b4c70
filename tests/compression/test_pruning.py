"""Pruning rules against a plain-Python loop over the neurons, and their bounds."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relcomp_kit.compression import pruning
from relcomp_kit.errors import UserError

SMALL = st.integers(0, 6).map(float)


@st.composite
def layers(draw, values=SMALL):
    """Importance with many ties, and a mask that leaves every neuron a weight."""
    neurons, inputs = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    rows = draw(st.lists(st.lists(values, min_size=inputs, max_size=inputs), min_size=neurons, max_size=neurons))
    kept = draw(st.lists(st.lists(st.booleans(), min_size=inputs, max_size=inputs), min_size=neurons, max_size=neurons))
    mask = torch.tensor(kept)
    mask[
        torch.arange(neurons),
        torch.tensor(draw(st.lists(st.integers(0, inputs - 1), min_size=neurons, max_size=neurons))),
    ] = True
    return torch.tensor(rows), mask


def by_hand(importance, mask, sf, ties_go):
    """The median threshold rule, one neuron after the other."""
    result = []
    for values, kept in zip(importance.tolist(), mask.tolist(), strict=True):
        left = sorted(value for value, on in zip(values, kept, strict=True) if on)
        bar = left[(len(left) - 1) // 2] * sf ** (len(values) / len(left))
        stays = [value > bar if ties_go else value >= bar for value in values]
        result.append([on and stay for on, stay in zip(kept, stays, strict=True)])
    return result


@pytest.mark.slow
@given(layer=layers(), sf=st.sampled_from([0.25, 0.5, 1.0]), ties_go=st.booleans())
def test_median_rule_is_the_plain_loop_ties_included(layer, sf, ties_go):
    assert pruning.median_threshold_step(*layer, sf, ties_go=ties_go).tolist() == by_hand(*layer, sf, ties_go)


@given(seed=st.integers(0, 10_000), sf=st.floats(0.01, 1))
def test_median_rule_is_the_plain_loop_for_any_sf(seed, sf):
    draw = torch.Generator().manual_seed(seed)
    importance, mask = torch.rand(5, 40, generator=draw), torch.rand(5, 40, generator=draw) > 0.4
    assert pruning.median_threshold_step(importance, mask, sf).tolist() == by_hand(importance, mask, sf, True)


@pytest.mark.slow
@given(layer=layers(st.floats(0, 1e6, width=32)), sf=st.floats(0.001, 1), exponent=st.integers(-20, 20))
def test_masks_only_shrink_and_the_unit_of_importance_does_not_matter(layer, sf, exponent):
    importance, mask = layer
    importance = torch.where(importance < 1e-6, 0, importance)  # so that no scaled value underflows
    new = pruning.median_threshold_step(importance, mask, sf)
    assert not (new & ~mask).any()
    assert torch.equal(pruning.median_threshold_step(importance * 2.0**exponent, mask, sf), new)
    stay = pruning.median_threshold_step(importance, mask, sf, ties_go=False)
    assert not (new & ~stay).any() and not (stay & ~mask).any()
    assert stay.any(1).all()  # without ties going, the median itself always stays


def test_the_worked_row_of_ten():
    row, full = torch.arange(1.0, 11)[None], torch.ones(1, 10, dtype=torch.bool)
    assert pruning.thresholds(row, full, 0.6).tolist() == pytest.approx([3.0])  # the lower median is 5
    assert pruning.median_threshold_step(row, full, 0.6).sum() == 7
    assert pruning.median_threshold_step(row, full, 1.0).sum() == 5
    assert pruning.median_threshold_step(row, full, 1.0, ties_go=False).sum() == 6
    seven = row > 3
    assert pruning.thresholds(row, seven, 0.6).tolist() == pytest.approx([7 * 0.6 ** (10 / 7)])


@pytest.mark.slow
@given(layer=layers(), data=st.data())
def test_keep_ranks_keeps_exactly_that_many_and_the_best(layer, data):
    importance, mask = layer
    keep = torch.tensor(data.draw(st.lists(st.integers(0, 14), min_size=len(mask), max_size=len(mask))))
    new = pruning.keep_ranks(importance, mask, keep)
    assert new.sum(1).tolist() == torch.minimum(keep, mask.sum(1)).tolist()
    assert not (new & ~mask).any()
    for values, kept, gone in zip(importance, new, mask & ~new, strict=True):
        if kept.any() and gone.any():
            assert values[kept].min() >= values[gone].max()
    one = int(keep[0])
    assert torch.equal(pruning.keep_ranks(importance, mask, one)[0], new[0])


@pytest.mark.slow
@given(layer=layers(), rate=st.floats(0.01, 1))
def test_constant_rate_removes_at_least_one_and_empties_in_the_end(layer, rate):
    importance, mask = layer
    for _ in range(mask.shape[1]):
        new = pruning.constant_rate_step(importance, mask, rate)
        for before, after in zip(mask.sum(1).tolist(), new.sum(1).tolist(), strict=True):
            assert after == before - math.ceil(round(rate * before, 9))
            assert after < before or before == 0
        assert not (new & ~mask).any()
        mask = new
    assert not mask.any()


def test_seven_percent_of_a_hundred_are_seven():
    left = pruning.constant_rate_step(torch.rand(1, 100), torch.ones(1, 100), 0.07)
    assert left.sum() == 93


@given(seed=st.integers(0, 10_000), target=st.floats(0.05, 0.95), rate=st.floats(0.01, 1))
def test_probabilities_stay_probabilities_and_follow_the_rank(seed, target, rate):
    draw = torch.Generator().manual_seed(seed)
    importance, probability = torch.rand(3, 9, generator=draw), torch.rand(3, 9, generator=draw)
    probability[0, 2] = 1.0
    new = pruning.probabilistic_update(importance, probability, target, rate)
    assert new.min() >= 0 and new.max() <= 1
    assert new[0, 2] == 1
    assert (new - probability).abs().max() <= rate + 1e-6
    for values, before, after in zip(importance[1:], probability[1:], new[1:], strict=True):
        order, change = values.argsort(), after - before
        assert change[order[0]] == pytest.approx(min(rate, 1 - float(before[order[0]])), abs=1e-6)
        inner = [float(change[i]) for i in order if 0 < after[i] < 1]
        assert all(low >= high - 1e-6 for low, high in pairwise(inner))


def test_probabilistic_rule_ends_at_its_target():
    importance = torch.rand(4, 20, generator=torch.Generator().manual_seed(0))
    probability = torch.zeros(4, 20)
    for _ in range(400):
        probability = pruning.probabilistic_update(importance, probability, 0.75)
    assert (probability == 1).sum(1).tolist() == [15] * 4
    assert torch.equal(probability < 1, pruning.keep_ranks(importance, torch.ones(4, 20), 5))


ONE, FULL = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)
NAN = torch.tensor([[1.0, 1, 1], [1, float("nan"), 1]])
DEAD = torch.tensor([[True, True, True], [False, False, False]])


@pytest.mark.parametrize("sf", [0, -0.5, 1.0001, float("nan"), float("inf")])
def test_sf_outside_its_range_is_refused(sf):
    with pytest.raises(UserError, match=r"SF must lie in \(0, 1\], not"):
        pruning.median_threshold_step(ONE, FULL, sf)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pruning.median_threshold_step(NAN, FULL, 0.5), "importance of neuron 1 holds NaN"),
        (lambda: pruning.keep_ranks(NAN, FULL, 1), "importance of neuron 1 holds NaN"),
        (lambda: pruning.constant_rate_step(NAN, FULL, 0.1), "importance of neuron 1 holds NaN"),
        (lambda: pruning.probabilistic_update(NAN, ONE, 0.5), "importance of neuron 1 holds NaN"),
        (lambda: pruning.median_threshold_step(ONE, DEAD, 0.5), "neuron 1 has no weight left"),
        (lambda: pruning.median_threshold_step(ONE[:, :2], FULL, 0.5), "must be of one shape"),
        (lambda: pruning.median_threshold_step(ONE[0], FULL[0], 0.5), "must be of one shape"),
        (lambda: pruning.constant_rate_step(ONE, FULL, 0), "rate must lie in"),
        (lambda: pruning.constant_rate_step(ONE, FULL, 1.1), "rate must lie in"),
        (lambda: pruning.probabilistic_update(ONE, ONE, 1), "share of weights to remove"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()
