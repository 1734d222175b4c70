"""The figures of lesson 07: one small PNG each, no warning, and what is drawn is what they were given."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from relcomp_kit import figures
from relcomp_kit.figures.coding import BEST


@pytest.mark.slow
def test_the_interval_shrinks_as_the_message_says(draw):
    (axis,) = draw(figures.shrinking_interval, {"0": 0.8, "+": 0.1, "-": 0.1}, ["0", "+", "0", "0"]).axes
    ends = [text.get_text() for text in axis.texts if text.get_text()[0].isdigit() and text.get_text() != "0"]
    assert ends == ["1", "0.8", "0.64", "0.72", "0.64", "0.704"]


@pytest.mark.slow
def test_the_smallest_code_has_a_colour_of_its_own(draw):
    (axis,) = draw(figures.code_sizes, {"Huffman": 1.4, "entropy": 1.0, "DeepCABAC": 0.9}, "bits", mark="entropy").axes
    assert [to_hex(bar.get_facecolor()) == BEST for bar in axis.patches] == [False, False, True]
    assert axis.lines[-1].get_xdata()[0] == 1.0
    assert [text.get_text() for text in axis.texts] == ["1.4", "1", "0.9"]


@pytest.mark.slow
def test_ladders_say_how_many_times_smaller_and_how_good(draw):
    rungs = {"float32": ([8000.0, 8000.0], [0.9, 0.92]), "NNC": ([400.0, 400.0], [0.9, 0.9])}
    made = draw(figures.size_ladder, {"one": rungs, "two": rungs}, "accuracy")
    assert not made.axes[0].patches  # no bars on a logarithmic axis
    words = [text.get_text() for text in made.axes[0].texts]
    assert {"1.0x", "20.0x", "91.0 %", "90.0 %", "accuracy"} == set(words)


@pytest.mark.slow
def test_the_other_figures_are_drawn(draw):
    layers = {f"backbone.layer{i // 5}.{i}.weight": (1000.0 * i, 2.0) for i in range(1, 15)}
    assert len(draw(figures.bytes_by_layer, layers).axes) == 2
    draw(figures.bytes_by_layer, {"layers.0.weight": (100.0, 1.0), "layers.1.weight": (50.0, 2.0)})
    draw(figures.signs_of_indices, np.array([[0, 1, -3], [0, 0, 2]]), "pixel", "neuron")
    wide, enlarged = draw(figures.signs_of_indices, np.eye(3, 784), "pixel", "neuron").axes
    assert wide.get_xlim() == (-0.5, 783.5) and enlarged.get_xlim() == (335.5, 447.5)
    draw(
        figures.code_curves, {"entropy": ([0.5, 0.9], [1.5, 0.6]), "Huffman": ([0.5, 0.9], [1.5, 1.1])}, "zeros", "bits"
    )
    channels = draw(figures.folded_lines, [-2, 2], [(2.0, 1.0, 0.5, 0.25)] * 4, [(8.0, -3.0)] * 4).axes
    assert [axis.get_title() for axis in channels] == [f"channel {number}" for number in range(1, 5)]
    four, two = channels[0].lines[:2]
    assert np.allclose(four.get_ydata(), two.get_ydata())
