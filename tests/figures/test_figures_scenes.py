"""The figures of lesson 03: one small PNG each, classes in their own colours, nothing left unsaid."""

import io
import re

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from relcomp_kit import figures
from relcomp_kit.datasets.layouts import RAILSEM19
from relcomp_kit.datasets.rail_scenes import CLASSES, PALETTE, RailScenes
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.figures import scenes

SETS = {7: (CLASSES, PALETTE), 19: (tuple(RAILSEM19), tuple(RAILSEM19.values()))}
NAN = float("nan")


class Shown:
    """What a figure shows: its pixels, and all that is written on it."""

    def __init__(self, made: Figure, png: bytes):
        self.made, self.texts = made, [text.get_text() for text in made.findobj(Text)]
        self.pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def count(self, colour: tuple[int, int, int]) -> int:
        return int((self.pixels == colour).all(-1).sum())


@pytest.fixture
def draw(figure_and_png):
    """Draw a figure without any warning: ``draw(function, arguments)`` gives what it shows."""
    return lambda function, *arguments, **more: Shown(*figure_and_png(function, *arguments, **more))


@pytest.fixture(scope="module", params=SETS)
def some(request):
    """Scenes of 7 or 19 classes: (images, truths, predictions), classes, palette; the last class never occurs."""
    classes, palette = SETS[request.param]
    images, truths = zip(*(RailScenes("test")[index] for index in range(10, 18)))
    band = 7 * torch.arange(3).repeat_interleave(54)[:160]  # three bands of the scene become different classes
    truths = [torch.where(truth == VOID, truth, (truth + band) % (len(classes) - 1)).byte() for truth in truths]
    predictions = [torch.where(moved == VOID, 0, moved).byte() for moved in (truth.roll(2, 1) for truth in truths)]
    return (list(images), truths, predictions), classes, palette


@pytest.mark.slow
def test_scene_sheet(draw, some):
    (images, truths, _), classes, palette = some
    shown = draw(figures.scene_sheet, images[:7], [truth.numpy() for truth in truths[:7]], classes, palette)
    assert {*classes, "void"} <= set(shown.texts)
    assert all(shown.count(colour) > 100 for colour in palette)  # in the legend at least: exact, however rare
    titles = [f"scene {number}" for number in range(7)]
    named = draw(figures.scene_sheet, images[:7], [truth.numpy() for truth in truths[:7]], classes, palette, 5, titles)
    assert [axis.get_title() for axis in named.made.axes[:5]] == titles[:5]
    assert [axis.get_title() for axis in named.made.axes[10:12]] == titles[5:]


@pytest.mark.slow
def test_predictions_beside_truth(draw, some):
    (images, truths, predictions), classes, palette = some
    shown = draw(figures.predictions_beside_truth, images[:4], truths[:4], predictions[:4], classes, palette)
    wrong = [((p != t) & (t != VOID)).sum() / (t != VOID).sum() for p, t in zip(predictions[:4], truths)]
    assert [text for text in shown.texts if text.endswith(" %")] == [f"{100 * share:.1f} %" for share in wrong]
    assert shown.count(scenes.WRONG) > 1000


@pytest.mark.slow
def test_void_is_never_wrong(draw, some):
    (images, truths, _), classes, palette = some
    right = [torch.where(truth == VOID, 1, truth).byte() for truth in truths[:2]]
    shown = draw(figures.predictions_beside_truth, images[:2], truths[:2], right, classes, palette)
    assert shown.count(scenes.WRONG) == 0
    assert shown.texts.count("0.0 %") == 2


@pytest.mark.slow
def test_crops_show_every_class(draw, some):
    (images, truths, predictions), classes, palette = some
    predictions = [torch.where(prediction == 1, 0, prediction) for prediction in predictions]
    shown = draw(figures.crops_of_class, images, truths, predictions, classes, palette)
    assert set(classes) <= set(shown.texts)
    found = set(torch.stack(truths).unique().tolist()) - {VOID}
    assert shown.texts.count("in none of the scenes") == len(classes) - len(found) > 0
    assert "missed" in shown.texts
    assert all(shown.count(palette[index]) > 20 for index in found)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 32), (97, 41)])
@pytest.mark.parametrize("corner", [0, -1])
def test_crops_of_single_pixels_at_the_edge(draw, shape, corner):
    truth = np.full(shape, VOID, np.uint8)
    truth[corner, corner] = 0
    shown = draw(figures.crops_of_class, [np.zeros((3, *shape), np.uint8)], [truth], [truth], ["speck"], [(1, 200, 3)])
    assert shown.count((1, 200, 3)) > 10


@pytest.mark.slow
def test_crop_of_a_bent_thin_piece_shows_some_of_it(draw):
    truth = np.ones((300, 300), np.uint8)
    truth[:, (0, -1)] = truth[-1] = 0
    image = np.zeros((3, 300, 300), np.uint8)
    shown = draw(figures.crops_of_class, [image], [truth], [truth], ["frame", "inside"], [(1, 200, 3), (3, 1, 200)])
    assert "missed" not in shown.texts


@pytest.mark.slow
@pytest.mark.parametrize("count", SETS)
def test_class_shares(draw, count):
    shares = dict.fromkeys(SETS[count][0], 0.25) | {SETS[count][0][0]: 0.0, SETS[count][0][1]: 0.00034}
    shown = draw(figures.class_shares, shares, "some scenes")
    assert {"none", "0.034 %", "25 %", "some scenes"} <= set(shown.texts)
    assert not shown.made.axes[0].patches  # no bars on a logarithmic axis


def history(rows: int, seed: int) -> list[dict]:
    values = np.sort(np.random.default_rng(seed).random((2, rows)))
    return [{"epoch": i / 3, "pixel_accuracy": a, "miou": b} for i, (a, b) in enumerate(values.T, start=1)]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_learning_curves(draw, seeds):
    runs = {"compact": [history(9 - seed, seed) for seed in range(seeds)], "resnet50": [history(1, 5)]}
    shown = draw(figures.learning_curves, runs, 0.912)
    assert {"compact", "resnet50", "published: 91.2 %"} <= set(shown.texts)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "digits"), [(7, 1), (19, 0)])
def test_confusion(draw, count, digits):
    counts = torch.from_numpy(np.random.default_rng(0).integers(1, 10_000, (count, count)) ** 2)
    counts[2] = 0
    shown = draw(figures.confusion, counts, SETS[count][0])
    assert shown.texts.count("absent") == 1
    percent = 100 * counts / counts.sum(1, keepdim=True)  # NaN in the empty row
    expected = [f"{value:.{digits}f}" for value in percent.flatten().tolist() if value >= 10**-digits]
    assert [text for text in shown.texts if re.fullmatch(r"[\d.]+", text)][: len(expected)] == expected


@pytest.mark.slow
@pytest.mark.parametrize("count", SETS)
def test_iou_per_class(draw, count):
    classes = SETS[count][0]
    one = {name: [0.5] for name in classes} | {classes[1]: [NAN]}
    three = {name: [0.4, 0.5, NAN] for name in classes} | {classes[1]: [NAN, NAN, NAN]}
    shares = {name: 0.5**index for index, name in enumerate(classes)}
    shown = draw(figures.iou_per_class, {"compact": three, "resnet50": one}, shares)
    assert shown.texts.count("absent") == 2
    assert f"{classes[1]}, 50 %" in shown.texts
    alone = draw(figures.iou_per_class, {"compact": one})
    assert set(classes) <= set(alone.texts) and "compact" not in alone.texts


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_accuracy_by_weather(draw, seeds):
    values = {"day": [0.9, 0.95, 0.91][:seeds], "snow": [0.6, 0.5, 0.7][:seeds]}
    shown = draw(figures.accuracy_by_weather, values, 0.93, "compact")
    assert {"day", "snow (not in training)", "60.0", "usual mixture: 93.0 %"} <= set(shown.texts)


def test_bytes_of_nets(draw):
    shown = draw(figures.bytes_of_nets, {"compact": 7.9, "resnet101": 234.5}, 235.0)
    assert {"7.9 MB", "234.5 MB", "published: 235 MB"} <= set(shown.texts)
