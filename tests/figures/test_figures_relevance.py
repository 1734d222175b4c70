"""The figures of lesson 04: one small PNG each, no warning, and what they say is what they were given."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from relcomp_kit import figures
from relcomp_kit.datasets.rail_scenes import CLASSES, RailScenes
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.figures import style
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.scene_batches import stack

NAN = float("nan")
MEASURES = ("LRP epsilon", "LRP z+", "gradient × weight", "random", "magnitude (L2)")


class Shown:
    """What a figure shows: its pixels, and all that is written on it."""

    def __init__(self, made: Figure, png: bytes):
        self.texts = [text.get_text() for text in made.findobj(Text)]
        self.pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)

    def mask(self, colour: str) -> np.ndarray:
        """Return where the figure has nearly a colour."""
        return np.abs(self.pixels - 255 * np.array(to_rgb(colour))).max(-1) < 30

    def red(self) -> int:
        return int(self.mask(style.FOR).sum())

    def blue(self) -> int:
        return int(self.mask(style.AGAINST).sum())


@pytest.fixture
def draw(figure_and_png):
    """Draw a figure without any warning: ``draw(function, arguments)`` gives what it shows."""
    return lambda function, *arguments, **more: Shown(*figure_and_png(function, *arguments, **more))


@pytest.fixture(scope="module")
def scenes():
    """Four scenes, their rails, and the gradient of the committed net's logits for rail."""
    rail = CLASSES.index("rail")
    data = RailScenes("test")
    images, labels = stack([data[index] for index in range(4)])
    x = normalize(images).requires_grad_()
    logits = load_net("compact-rail-scenes-0")(x)["out"]
    (gradient,) = torch.autograd.grad(logits[:, rail].clamp(min=0).sum(), x)
    return list(images), list(labels == rail), list(gradient.sum(1))


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(2, 1), (3, 2, 2), (4, 3, 3, 2)])
def test_small_net_writes_every_number(draw, sizes):
    weights = [normal(after, before, seed=after) for before, after in pairwise(sizes)]
    relevance = [2 * weight for weight in weights]
    values, neurons = [normal(size, seed=3) for size in sizes], [normal(size, seed=4) for size in sizes]
    shown = draw(figures.small_net, values[0], weights, values[1:], relevance, neurons)
    expected = [value for part in (*relevance, *values, *neurons) for value in part.flatten().tolist()]
    assert {f"{value:.2f}".replace("-", "−") for value in expected} <= set(shown.texts)
    assert shown.texts.count("hidden") == len(sizes) - 2


@pytest.mark.slow
def test_small_net_gives_zero_neither_sign_nor_colour(draw):
    tiny = torch.full((2, 2), -1e-7)
    shown = draw(figures.small_net, torch.zeros(2), [tiny], [torch.zeros(2)], [tiny], [tiny[0], tiny[0]])
    assert not [text for text in shown.texts if "−" in text]
    assert shown.red() == shown.blue() == 0
    with pytest.raises(ValueError):
        figures.small_net(torch.zeros(2), [tiny], [torch.zeros(2)], [tiny], [torch.zeros(2)])


@pytest.mark.slow
def test_heatmaps_of_scenes(draw, scenes):
    images, rails, gradients = scenes
    rows = {"gradient": gradients, "gradient × pixel": [g * i.float().mean(0) for g, i in zip(gradients, images)]}
    rows["smooth"] = [normal(6, 10, seed=i).repeat_interleave(16, 0).repeat_interleave(16, 1) for i in range(4)]
    shown = draw(figures.heatmaps, images, rows, outlines=rails, titles=["rail"] * 4)
    assert {"gradient", "gradient ×\npixel", "smooth", "rail"} <= set(shown.texts)
    assert shown.red() > 500 and shown.blue() > 500


@pytest.mark.slow
def test_heatmaps_are_red_for_and_blue_against_whatever_one_pixel_says(draw):
    map_ = torch.ones(28, 28)
    map_[:, 14:] = -1
    calm = draw(figures.heatmaps, [torch.rand(28, 28)], {"LRP": [map_]})
    assert calm.red() > 10_000 and calm.blue() > 10_000
    map_[3, 3] = 1e6
    assert draw(figures.heatmaps, [torch.rand(28, 28)], {"LRP": [map_]}).red() > 0.99 * calm.red()
    assert draw(figures.heatmaps, [torch.rand(28, 28)], {"LRP": [map_]}, style.HEAT).blue() == 0


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(28, 28), (97, 161)])
def test_heatmaps_of_nothing(draw, shape):
    nothing = torch.zeros(shape)
    photograph = torch.zeros(3, *shape, dtype=torch.uint8)
    for mask in (nothing, nothing + 1):
        shown = draw(figures.heatmaps, [photograph], {"LRP": [nothing]}, outlines=[mask.bool()])
        assert shown.red() == shown.blue() == 0
    speck = nothing.clone()
    speck[0, 0] = 1e-9  # its 99.5th percentile is 0 as well
    assert draw(figures.heatmaps, [photograph], {"LRP": [speck]}).red() > 0


@pytest.mark.slow
def test_reference_crops(draw, scenes):
    images = scenes[0]
    crops = [[images[(row + k) % 4][:, 50:90, 24 * k : 24 * k + 40] for k in range(6)] for row in range(5)]
    shown = draw(figures.reference_crops, [7, 3, 127, 60, 1], {"RelMax": crops, "ActMax": crops[::-1]}, [0.2] * 5)
    assert {"RelMax: most relevant", "ActMax: most active", "channel 127\n20.0 %"} <= set(shown.texts)
    blocks = int(0.57 * shown.pixels.shape[1])  # where the second one begins
    frames = shown.mask(style.FOR)
    assert frames[:, :blocks].sum() > 1000 > 10 * frames[:, blocks:].sum()
    few = draw(figures.reference_crops, [7], {"RelMax": [[images[0]]], "ActMax": [[]]}, [-0.011])
    assert "channel 7\n−1.1 %" in few.texts


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(10, 30), (60, 50, 3, 3)])
def test_weight_against_relevance_counts_the_corners(draw, shape):
    weight = normal(*shape)
    for relevance, share in ((weight.abs(), 0.0), (1 / weight.abs(), 25.0)):
        shown = draw(figures.weight_against_relevance, weight, relevance)
        assert {f"large, yet\nirrelevant\n{share} %", f"small, yet\nrelevant\n{share} %"} <= set(shown.texts)
    shown = draw(figures.weight_against_relevance, weight, 0 * weight, quartiles=False)
    assert not [text for text in shown.texts if "yet" in text]


@pytest.mark.slow
def test_equal_weights_are_ranked_by_lot(draw):
    shown = draw(figures.weight_against_relevance, torch.zeros(100_000), torch.zeros(100_000))
    shares = [float(text.split("\n")[-1].removesuffix(" %")) for text in shown.texts if "yet" in text]
    assert shares == pytest.approx([6.25, 6.25], abs=0.25)


@pytest.mark.slow
def test_gradient_identity(draw):
    gradient = normal(200, 50) ** 3
    shown = draw(figures.gradient_identity, {"epsilon": (gradient, gradient), "z+": (gradient, 5 * gradient.abs())})
    cosine = torch.nn.functional.cosine_similarity(gradient.flatten(), gradient.abs().flatten(), dim=0)
    assert {"epsilon: cosine 1.0000", f"z+: cosine {cosine:.4f}"} <= set(shown.texts)
    nothing = torch.zeros(3, 2)
    assert "gamma: cosine undefined" in draw(figures.gradient_identity, {"gamma": (nothing, nothing)}).texts


CUTS = [f"classifier.{i}" for i in range(4)]
CUTS += [f"backbone.layer{i}.{j}" for i in (4, 3, 2, 1) for j in (1, 0)]
CUTS += ["backbone.maxpool", "backbone.conv1", "input"]


@pytest.mark.slow
def test_conservation_names_stages_and_writes_plain_numbers(draw):
    intact = {cut: (1 - i / 20, i / 20) for i, cut in enumerate(CUTS)}
    broken = {cut: (9e4 ** (i / 14), 0.1) for i, cut in enumerate(CUTS)}
    shown = draw(figures.conservation, {"canonizer intact": intact, "sums broken": broken})
    named = {"classifier", "layer4", "layer1", "input"}
    assert named <= set(shown.texts) and "maxpool" not in shown.texts
    assert {"canonizer intact", "sums broken", "1,000", "100,000", "0.50"} <= set(shown.texts)


@pytest.mark.slow
def test_conservation_of_odd_numbers(draw):
    pairs = [(0.0, 0.0), (NAN, 1.0), (float("inf"), NAN), (1.4, -0.4), (-1e21, 0.1)]
    shown = draw(figures.conservation, {str(pair): dict.fromkeys(CUTS, pair) | {"input": (1.0, 0.0)} for pair in pairs})
    assert shown.texts.count("input") >= 5 and "−$10^{11}$" in shown.texts
    draw(figures.conservation, {str(pair): {"input": pair} for pair in pairs[:3]})


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_agreement_is_sorted_and_controls_are_grey(draw, seeds):
    values = dict(zip(MEASURES, ([0.31] * seeds, [0.585] * seeds, [NAN] * seeds, [-0.02] * seeds, [0.4] * seeds)))
    shown = draw(figures.agreement, values)
    assert {"0.58", "0.40", "0.31", "−0.02", "undefined"} <= set(shown.texts)
    names = [text for text in dict.fromkeys(shown.texts) if text in MEASURES]
    assert names == ["LRP z+", "magnitude (L2)", "LRP epsilon", "random", "gradient × weight"]
    assert draw(figures.agreement, {"random": [0.3], "magnitude": [0.5, NAN]}).red() == 0 < shown.red()


@pytest.mark.slow
@pytest.mark.parametrize("highest_first", [True, False])
def test_areas(draw, highest_first):
    values = {"LRP": [0.8, 0.82, NAN], "random": [0.4], "gradient": [0.0, 0.0]}
    shown = draw(figures.areas, values, "area", highest_first=highest_first)
    order = ["LRP", "random", "gradient"]
    assert [text for text in dict.fromkeys(shown.texts) if text in values] == (order if highest_first else order[::-1])
    assert {"81.0", "40.0", "0.0", "area, %"} <= set(shown.texts)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_removal_curves(draw, seeds):
    shares = [0.0, 0.2, 0.4, 0.6]
    least = {name: [[0.9, 0.8 - k / 10, NAN, 0.2] for _ in range(seeds)] for k, name in enumerate(MEASURES)}
    most = {"LRP epsilon": [[NAN] * 4] * seeds, "only here": [[0.9, 0.0, 0.0, 0.0]] * seeds}
    shown = draw(figures.removal_curves, shares, {"least": least, "most": most}, 0.9, "pixel accuracy")
    assert {"least relevant first", "most relevant first", "whole net", "pixel accuracy, %"} <= set(shown.texts)
    assert all(shown.texts.count(name) == 1 for name in (*MEASURES, "only here"))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3])
def test_flipping(draw, seeds):
    curves = {name: [np.linspace(9, k, 29).tolist()] * seeds for k, name in enumerate(MEASURES[:4])}
    curves["LRP z+"][0][5] = NAN
    shown = draw(figures.flipping, curves, "logit of the true class")
    assert {*curves, "logit of the true class"} <= set(shown.texts)
    grey = draw(figures.flipping, {"random": [[0.0] * 29]}, "logit")
    assert grey.red() == grey.blue() == 0
