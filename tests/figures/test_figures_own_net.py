"""The figures of lesson 10 and of the page of `relcomp compress`."""

import pytest
from matplotlib.colors import to_hex

from relcomp_kit import figures
from relcomp_kit.figures.style import FOR


@pytest.mark.slow
def test_layers_have_a_bar_of_relevance_and_one_of_weights(draw):
    (axis,) = draw(figures.relevance_by_layer, {"conv1": (0.7, 0.1), "fc": (0.3, 0.9)}).axes
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([70, 30, 10, 90])
    assert [text.get_text() for text in axis.get_xticklabels()] == ["conv1", "fc"]
    (axis,) = draw(figures.relevance_by_layer, {f"layer{i}": (0.02, 0.02) for i in range(50)}).axes
    assert axis.get_xlabel() == "50 layers, from the input to the output"


@pytest.mark.slow
def test_curves_begin_at_the_whole_net(draw):
    curves = {"relevance": [0.8, 0.4], "magnitude": [0.7, 0.5], "random": [0.2, 0.1]}
    panels = {"weights set to 0": ([0.25, 0.5], 0.9, curves), "filters gone": ([0.1, 0.2], 0.8, curves)}
    made = draw(figures.what_goes, panels, "accuracy")
    line = made.axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 25, 50] and line.get_ydata().tolist() == pytest.approx([90, 80, 40])
    assert to_hex(line.get_color()) == FOR and len(made.axes) == 2
    kept = []
    figures.what_goes(panels, "accuracy", keep=kept)
    assert kept[0].startswith(b"\x89PNG")


@pytest.mark.slow
def test_nets_are_dots_and_the_first_one_a_star(draw):
    points = {"relevance": [(30_000, 0.9), (20_000, 0.8)], "without relevance": [(31_000, 0.91)]}
    (axis,) = draw(figures.sizes_and_scores, points, (120_000, 0.92), "accuracy").axes
    assert [line.get_marker() for line in axis.lines] == ["*", "o", "s"]
    assert axis.lines[1].get_xdata().tolist() == [30, 20]
