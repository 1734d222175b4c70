"""The figures of lesson 06: one small PNG each, no warning, and what is drawn is what they were given."""

import io
from itertools import combinations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from relcomp_kit import figures
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.rail_scenes import CLASSES, PALETTE, RailScenes
from relcomp_kit.figures import style

NAN = float("nan")


@pytest.fixture
def draw(figure_and_png):
    """Draw a figure without any warning: ``draw(function, arguments)`` gives figure and pixels of a small PNG."""

    def drawn(function, *arguments, **more) -> tuple[Figure, np.ndarray]:
        made, png = figure_and_png(function, *arguments, **more)
        return made, np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    return drawn


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


@pytest.mark.slow
def test_filters_stand_with_the_class_that_they_serve_most(draw):
    shares = torch.tensor([[0.1, 0.2, 0.0, 0.3, 0.4], [0.3, 0.1, 0.6, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])
    made, _ = draw(figures.filters_by_class, shares, ["rail", "sky", "ground"], "conv1")
    axis = made.axes[0]
    assert texts(axis) == ["3", "2", "0", "filters"]
    doublings = axis.images[0].get_array()
    np.testing.assert_allclose(doublings[0], [1, np.log2(1.5), 0, -3, -1], atol=1e-6)  # filters 4, 3, 1; 2, 0
    np.testing.assert_allclose(doublings[1, 3:], np.log2([3, 1.5]), atol=1e-6)
    np.testing.assert_allclose(doublings[2], 0, atol=1e-6)
    frames = [(frame.get_x(), frame.get_y(), frame.get_width()) for frame in axis.patches]
    assert frames == [(-0.5, -0.5, 3), (2.5, 0.5, 2)]


@pytest.mark.slow
def test_path_similarity_writes_every_number(draw):
    matrix = np.array([[1, 0.254, 0], [0.254, 1, 0.5], [0, 0.5, 1]])
    for names, angle in ((["rail", "sky", "random"], 0), (["rail", "anomaly on track", "sky"], 40)):
        axis = draw(figures.path_similarity, matrix, names)[0].axes[0]
        assert texts(axis) == ["100", "25", "0", "25", "100", "50", "0", "50", "100"]
        assert [label.get_rotation() for label in axis.get_xticklabels()] == [angle] * 3


@pytest.mark.slow
def test_growing_keeps_the_colour_of_the_wanted_class_alone(draw):
    image, truth = RailScenes("test")[3]
    predictions = {f"{keep} %: {keep // 3} % MACs": truth.clamp(max=6).roll(keep, 1) for keep in (100, 80, 60, 40, 20)}
    for wanted in (None, 0):
        made, pixels = draw(figures.growing, image, truth.numpy(), predictions, CLASSES, PALETTE, wanted)
        titles = [axis.get_title() for axis in made.axes]
        assert titles == ["image", "truth", *predictions, ""]
        exact = [int((pixels == colour).all(-1).sum()) > 20 for colour in PALETTE]
        assert exact == [wanted is None or index == wanted for index in range(7)]


@pytest.mark.slow
def test_path_layers_draw_a_bar_for_each_entry(draw):
    kept = {"backbone.conv1": 0.25, "backbone.layer1.0.conv1": 0.5, "backbone.layer1.0.conv2": 1.0, "classifier.1": 0.1}
    made, _ = draw(figures.path_layers, {"filters kept": kept | {ALL: 0.444}, "relevance kept": {"classifier.1": 0.2}})
    above, below = made.axes
    assert above.get_title("left") == "filters kept: 44 % over all" and below.get_title("left") == "relevance kept"
    assert [bar.get_height() for bar in above.patches] == [25, 50, 100, 10, 75, 50, 0, 90]
    assert np.isnan([bar.get_height() for bar in below.patches[:3]]).all() and below.patches[3].get_height() == 20
    assert [label.get_text() for label in below.get_xticklabels()] == ["layer1"]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [[True, False, True, False], [True] * 4])
def test_leak_counts_masked_channels(draw, kept):
    mask = torch.tensor(kept)
    before = torch.tensor([0.5, -3.8, 9.0, 0.2])
    left, right = draw(figures.leak, before, before * mask, mask)[0].axes
    most = "3.8" if not all(kept) else "0"
    assert left.get_title().endswith(f"masked channel: {most}") and right.get_title().endswith("masked channel: 0")
    blue = [to_hex(bar.get_facecolor()) == style.AGAINST for bar in left.patches]
    assert blue == [not one for one in kept]


@pytest.mark.slow
def test_expert_curves_draw_mean_and_lines(draw):
    seeds = [[(1.0, 0.6), (0.5, 0.5), (0.1, 0.1)], [(1.0, 0.6), (0.7, 0.3), (0.1, NAN)]]
    panels = {"as cut": {"average": seeds, "relevance": seeds[:1]}, "fine-tuned": {"random": seeds, "joined": seeds}}
    made, _ = draw(figures.expert_curves, panels, "IoU of rail", 0.6, 0.58)
    cut, tuned = made.axes
    assert cut.get_xlim() == tuned.get_xlim() == (102, 0)
    average = next(line for line in cut.lines if line.get_label() == "average")
    np.testing.assert_allclose(average.get_xydata(), [[100, 60], [60, 40], [10, 10]])
    assert average.get_color() == style.LOOKS["average"].colour and average.get_linestyle() == "-."
    shown = [text.get_text() for text in made.legends[0].get_texts()]
    assert shown == ["average", "relevance", "super-net", "2 points lost", "random", "joined"]
    assert len({line.get_color() for line in made.legends[0].get_lines()}) == 5


@pytest.mark.slow
def test_names_of_classes_keep_apart(draw):
    generator = np.random.default_rng(0)
    points = {f"some class {i}": (0.5**i, generator.normal(0, 0.05, 3)) for i in range(9)}
    points |= {"twin": (0.5**3 * 1.02, points["some class 3"][1]), "unseen": (0.1, [NAN]), "nowhere": (0.0, [0.3])}
    axis = draw(figures.advantage_by_frequency, points, "share of the pixels", "advantage")[0].axes[0]
    assert texts(axis) == [name for name in points if name not in ("unseen", "nowhere")]
    boxes = [text.get_window_extent() for text in axis.texts]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert all((line.get_color() == style.FOR) == (line.get_ydata()[0] > 0) for line in dots)


@pytest.mark.slow
def test_dots_that_would_cover_each_other_stand_side_by_side(draw):
    ranges = [-0.02, 0.01, 0.04]
    points = {"sky": (0.251, ranges), "alone": (0.001, ranges), "trackbed": (0.249, ranges), "ground": (0.25, ranges)}
    axis = draw(figures.advantage_by_frequency, points, "share of the pixels", "advantage")[0].axes[0]
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    at = {name: line.get_transform().transform(line.get_xydata())[0] for name, line in zip(points, dots)}
    assert at["alone"][0] < at["trackbed"][0] < at["ground"][0] < at["sky"][0]
    wide = dots[0].get_markersize() * axis.figure.dpi / 72
    for one, other in combinations(at.values(), 2):
        assert np.abs(one - other).max() > wide
    assert dots[1].get_xdata()[0] == pytest.approx(0.1)  # percent: what covers nothing stays where it is
    lines = [segment for each in axis.collections for segment in each.get_segments()]
    assert sorted(x for (x, _), _ in lines) == pytest.approx(sorted(dot.get_xdata()[0] for dot in dots))


@pytest.mark.slow
def test_weather_bars_write_the_mean_and_draw_every_seed(draw):
    day = {"cut by day": [0.3, 0.4], "cut in snow": [0.2, NAN], "magnitude": [0.1]}
    values = {"tested by day": day, "tested in snow": {"cut in snow": [0.0], "magnitude": [NAN]}}
    axis = draw(figures.bars_by_group, values, "IoU of rail")[0].axes[0]
    assert texts(axis) == ["35.0", "20.0", "0.0", "10.0", "undefined"]
    assert [list(line.get_ydata()) for line in axis.lines] == [[30, 40], [20], [0], [10], []]
    assert to_hex(axis.patches[0].get_facecolor()) == style.FOR
