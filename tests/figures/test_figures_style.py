"""One look in all figures: a colour and a name an arm, in one table, for every eye."""

import ast
import inspect
import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import is_color_like, to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image

from relcomp_kit import figures
from relcomp_kit.datasets import labelled
from relcomp_kit.figures import saliency_maps, style
from relcomp_kit.studies.experts.experiment import ARMS as EXPERTS
from relcomp_kit.studies.quantization import measurement as quantization
from relcomp_kit.studies.quantization.results import ARMS as QUANTIZED
from relcomp_kit.studies.quantization.results import arm_label
from relcomp_kit.studies.relevance.measurement import MEASURES

MODULES = sorted(Path(inspect.getfile(figures)).parent.glob("*.py"))
# what people without the red or green cones see of linear RGB (Machado et al., 2009)
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deuteranopia": [[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
}
WORDS = ("none", "snow")  # that are colours too
TOGETHER = ("relevance", "none", "magnitude", "magnitude per layer", "random", "average", "float")


def colours(source: str) -> list[str]:
    """Return the literals in some code that matplotlib takes for a colour, but single letters, numbers and `WORDS`."""
    words = [node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    words = [word for word in words if isinstance(word, str) and len(word) > 1 and word not in WORDS]
    return [word for word in words if is_color_like(word) and not word.replace(".", "").isdigit()]


def test_colours_are_found():
    assert colours('plot(x, color="white", edge="#c0392b"); f("0.5", axis="y", n="none")') == ["white", "#c0392b"]


@pytest.mark.parametrize("module", [path for path in MODULES if path.name != "style.py"], ids=lambda path: path.stem)
def test_colours_stand_in_the_style_alone(module):
    assert colours(module.read_text()) == []


def test_one_name_has_one_look():
    by_name = {}
    for look in style.LOOKS.values():
        assert by_name.setdefault(look.name, look) == look
        assert to_hex(look.colour) == look.colour


def test_every_arm_of_the_lessons_is_in_the_table():
    broken = quantization.BROKEN
    for arm in (*QUANTIZED, *EXPERTS, *MEASURES, broken, "float", "super-net", "rail expert"):
        assert any(arm.startswith(name) for name in style.LOOKS), arm
    look = style.looks(("lrp", "relevance", "LRP-ε, mean of abs", "rail expert, relevance", broken))
    assert look["lrp"][1:] == look["relevance"][1:]
    assert {look[name].colour for name in ("lrp", "LRP-ε, mean of abs", "rail expert, relevance")} == {style.FOR}
    assert look[broken].name == "LRP, sums left out" and look[broken].colour != style.FOR
    assert look["rail expert, relevance"].name == "rail expert, relevance"


def test_the_gradient_alone_is_drawn_unlike_what_multiplies_it():
    look = style.looks(("gradient", "weight x gradient", "gradient × input", "Taylor"))
    assert look["gradient"].colour != look["weight x gradient"].colour
    assert look["weight x gradient"][1:] == look["gradient × input"][1:] == look["Taylor"][1:]


def test_tables_call_arms_as_figures_do():
    for arm, look in style.looks((*QUANTIZED, quantization.BROKEN)).items():
        assert arm_label(arm) == look.name
    assert arm_label("float") == "float"


def test_arms_that_no_lesson_knows_differ():
    found = style.looks(["this", "that", "this"])
    assert list(found) == ["this", "that"] and len({look.colour for look in found.values()}) == 2
    assert [look.name for look in found.values()] == ["this", "that"]
    alike = style.looks(["this", "that", "random"], alike=True)
    assert alike["this"].colour == alike["that"].colour != alike["random"].colour


@pytest.mark.parametrize("eyes", EYES)
def test_arms_are_told_apart_by_every_eye(eyes):
    seen = {arm: lab(style.LOOKS[arm].colour, EYES[eyes]) for arm in TOGETHER}
    for one, other in combinations(TOGETHER, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 14, (one, other)
        assert style.LOOKS[one][2:] != style.LOOKS[other][2:]


@pytest.mark.parametrize("eyes", EYES)
def test_nets_have_colours_of_their_own_and_the_whole_net_another(eyes):
    """Green is a net that nothing was done to, in all lessons, so no size of a net is green."""
    names = ("compact", "compact, this run", "resnet50", "resnet101", "whole net")
    seen = {name: lab(style.LOOKS[name].colour, EYES[eyes]) for name in names}
    for one, other in combinations(names, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 14, (one, other)


def lab(colour: str, eyes) -> np.ndarray:
    """Return a colour in CIELAB, in which a distance of 2 is just seen."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(eyes) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(np.maximum(xyz / [0.9505, 1, 1.089], 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_data_sets_have_names():
    assert {"mnist", "rail-scenes", *labelled.NAMES} <= set(style.DATASETS)
    assert style.set_name("cifar10") == "CIFAR-10" and style.set_name("my scenes") == "my scenes"


def test_png_keeps_steady_colours_exact(figure_and_png):
    _, png = figure_and_png(figures.two_orders, np.array([1.0, 2.0]), np.array([0.3, 0.7]))
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    for colour in (style.FOR, style.AGAINST, style.PAPER):
        assert (pixels == np.round(255 * np.array(to_rgb(colour)))).all(1).sum() > 1000


@pytest.mark.slow
def test_a_colour_bar_has_no_steps(figure_and_png):
    importance = torch.rand(12, 784, generator=torch.Generator().manual_seed(0))
    _, png = figure_and_png(figures.neuron_tiles, importance, "all alike")
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    assert set(map(tuple, saliency_maps.EXACT.tolist())) <= set(map(tuple, pixels.tolist()))


@pytest.mark.parametrize(("share", "number", "label"), [(True, "52.5", "accuracy, %"), (False, "0.53", "accuracy")])
def test_shares_are_drawn_in_percent(draw, share, number, label):
    shown = draw(figures.measures, {"tanh": [0.5, 0.551], "random": [0.25]}, "accuracy", share=share)
    assert {number, label} <= {text.get_text() for text in shown.findobj(Text)}
