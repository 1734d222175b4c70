"""Metrics of segmentation against counting by hand, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torchvision import tv_tensors

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.transforms import MEAN, STD
from relcomp_kit.errors import UserError
from relcomp_kit.models.metrics import evaluate, plain, scores


class ReadsRed(nn.Module):
    """Predicts the class that the red channel names; its one parameter says where it runs."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes, self.unused = classes, nn.Parameter(torch.zeros(1))

    def forward(self, x):
        red = ((x[:, 0] * STD[0] + MEAN[0]) * 255).round().long()
        return {"out": nn.functional.one_hot(red, self.classes).permute(0, 3, 1, 2).float()}


def scene(predicted, truth) -> tuple:
    """A scene for which `ReadsRed` predicts what is asked for."""
    image = torch.as_tensor(predicted, dtype=torch.uint8).expand(3, *truth.shape)
    return tv_tensors.Image(image), tv_tensors.Mask(torch.as_tensor(truth, dtype=torch.uint8))


@st.composite
def splits(draw):
    """Scenes of 2x3 pixels with predictions and labels of some classes, some void, at least one labelled."""
    classes = draw(st.integers(1, 4))
    count = draw(st.integers(1, 5))
    numbers = st.lists(st.integers(0, classes - 1), min_size=6 * count, max_size=6 * count)
    predicted, truth = (np.reshape(draw(numbers), (count, 2, 3)) for _ in range(2))
    void = np.reshape(draw(st.lists(st.booleans(), min_size=6 * count, max_size=6 * count)), truth.shape)
    void[0, 0, 0] = False
    return classes, predicted, np.where(void, VOID, truth)


@pytest.mark.slow
@given(splits(), st.integers(1, 4))
def test_metrics_are_those_counted_by_hand(split, batch):
    classes, predicted, truth = split
    names = [f"class {index}" for index in range(classes)]
    found = evaluate(ReadsRed(classes), [scene(*pair) for pair in zip(predicted, truth)], names, batch=batch)
    pixels = [(t, p) for t, p in zip(truth.flatten().tolist(), predicted.flatten().tolist()) if t != VOID]
    assert found["pixel_accuracy"] == pytest.approx(sum(t == p for t, p in pixels) / len(pixels))
    ious = []
    for index, name in enumerate(names):
        either = sum(index in pair for pair in pixels)
        if either:
            ious.append(pixels.count((index, index)) / either)
            assert found["iou"][name] == pytest.approx(ious[-1])
        else:
            assert math.isnan(found["iou"][name])
        for other in range(classes):
            assert found["confusion"][index, other] == pixels.count((index, other))
    assert found["miou"] == pytest.approx(sum(ious) / len(ious))


def test_a_class_that_occurs_nowhere_is_left_out_of_the_mean():
    found = scores(torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert found["iou"] == pytest.approx({"a": 0.75, "b": 0.8, "c": math.nan}, nan_ok=True)
    assert plain(found["iou"]) == {**found["iou"], "c": None}
    assert found["miou"] == pytest.approx(0.775)
    only_predicted = scores(torch.tensor([[3, 0, 1], [0, 4, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert only_predicted["iou"]["c"] == 0 and only_predicted["miou"] == pytest.approx((0.75 + 1 + 0) / 3)


def test_the_net_is_left_in_its_mode():
    net = ReadsRed(2)
    for mode in (True, False):
        net.train(mode)
        evaluate(net, [scene(np.zeros((2, 2)), np.zeros((2, 2)))], ("a", "b"))
        assert net.training is mode


@pytest.mark.parametrize(
    ("split", "classes", "words"),
    [
        ([], 2, "the split is empty"),
        ([scene(np.zeros((2, 2)), np.full((2, 2), VOID))], 2, "no labelled pixel"),
        ([scene(np.zeros((2, 2)), np.full((2, 2), 2))], 2, "hold the label 2, and the classes are 0 to 1"),
        ([scene(np.zeros((2, 2)), np.zeros((2, 2)))], 3, "the net has 2 outputs and the set 3 classes"),
        ([scene(np.zeros(s), np.zeros(s)) for s in ((2, 2), (2, 3))], 2, "2x2 and 2x3 cannot share a batch"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(split, classes, words):
    net = ReadsRed(2)
    with pytest.raises(UserError, match=words):
        evaluate(net, split, [str(index) for index in range(classes)])
    assert net.training, "it has its mode back"
