"""Where relevance starts, against loops over every output."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relcomp_kit.relevance.lrp.initial_relevance import STARTS, start_relevance

VOID = 255
CLASSES = 4


@st.composite
def outputs(draw):
    """Logits of images or pixels, the highest of them no tie, and targets, void in places."""
    pixels = draw(st.sampled_from([(), (5,), (2, 3)]))
    seed = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    shape = (draw(st.integers(1, 3)), *pixels)
    target = torch.randint(CLASSES + 1, shape, generator=seed)
    return torch.randn(shape[0], CLASSES, *pixels, generator=seed), torch.where(target == CLASSES, VOID, target)


def by_loop(output, target, start, class_):
    """The start from its definition, one output at a time."""
    result = torch.zeros_like(output)
    for sample, *place in product(*map(range, target.shape)):
        logits = [float(output[(sample, c, *place)]) for c in range(CLASSES)]
        true, predicted = int(target[(sample, *place)]), logits.index(max(logits))
        for c, logit in enumerate(logits):
            chosen = {"true": c == true, "predicted": c == predicted, "positive": logit > 0}[start]
            if chosen and class_ in (None, c):
                result[(sample, c, *place)] = logit
    return result


@pytest.mark.parametrize("start", STARTS)
@given(case=outputs(), class_=st.sampled_from([None, 0, CLASSES - 1]), kind=st.sampled_from([torch.uint8, torch.int64]))
@settings(max_examples=30)
def test_named_starts(start, case, class_, kind):
    output, target = case
    before = output.clone()
    found = start_relevance(output, target.to(kind), start, class_=class_)
    assert torch.equal(found, by_loop(output, target, start, class_))
    assert torch.equal(output, before)


@pytest.mark.parametrize("start", STARTS)
@given(case=outputs())
@settings(max_examples=10)
def test_classes_add_up(start, case):
    output, target = case
    parts = [start_relevance(output, target, start, class_=c) for c in range(CLASSES)]
    assert torch.equal(sum(parts), start_relevance(output, target, start))


@pytest.mark.parametrize("start", STARTS)
@given(case=outputs())
@settings(max_examples=10)
def test_normalised_samples_weigh_the_same(start, case):
    output, target = case
    raw = start_relevance(output, target, start)
    found = start_relevance(output, target, start, normalize=True)
    for one, before in zip(found, raw):
        if before.any():
            assert one.abs().sum() == pytest.approx(1)
            torch.testing.assert_close(one * before.abs().sum(), before)
        else:
            assert not one.any(), "a sample without a start stays without"


def test_a_tensor_of_ones_own_fits_or_is_spread():
    output = torch.randn(2, CLASSES, 3, 3, generator=torch.Generator().manual_seed(0))
    own = torch.arange(output.numel()).reshape(output.shape)  # whole numbers too
    assert torch.equal(start_relevance(output, None, own), own.float())
    one_hot = torch.tensor([0.0, 1.0, 0.0, 0.0]).reshape(-1, 1, 1)
    assert torch.equal(start_relevance(output, None, one_hot)[:, 1], torch.ones(2, 3, 3))


def test_a_function_of_ones_own_sees_outputs_and_targets():
    output, target = torch.tensor([[1.0, 2.0], [3.0, -4.0]]), torch.tensor([0, 1])

    def margin(logits, labels):
        """The true class against the other."""
        sign = torch.nn.functional.one_hot(labels, 2) * 2 - 1
        return logits * sign

    assert torch.equal(start_relevance(output, target, margin), torch.tensor([[1.0, -2.0], [-3.0, -4.0]]))
    assert torch.equal(start_relevance(output, None, lambda logits, labels: logits), output)
