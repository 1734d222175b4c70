"""The figures of lesson 05: one small PNG each, no warning, and what is drawn is what they were given."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from relcomp_kit import figures
from relcomp_kit.figures import style
from relcomp_kit.figures.quantization import GROUPS

NAN = float("nan")
STEP, LEVELS = 0.25, [-2, -1, 0, 1]


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def lines(axis) -> dict:
    return {line.get_label(): line for line in axis.lines}


def costs(weights: torch.Tensor, price: list[float]) -> torch.Tensor:
    return (weights - STEP * torch.tensor(LEVELS)[:, None]) ** 2 + torch.tensor(price)[:, None]


@pytest.mark.slow
def test_cost_parabolas_show_the_cheapest_levels_and_their_borders(draw):
    weights = torch.linspace(-0.7, 0.5, 1201)
    shuffled = weights[torch.randperm(1201, generator=torch.Generator().manual_seed(0))]
    panels = {"even": [0.0] * 4, "0 cheaper": [0.02, 0.02, 0.0, 0.02], "-1 never": [0.01, np.inf, 0.0, 0.01]}
    made = draw(figures.cost_parabolas, {k: (shuffled, costs(shuffled, price), LEVELS) for k, price in panels.items()})
    names = [["−2", "−1", "0", "1"], ["−2", "−1", "0", "1"], ["−2", "0", "1"]]
    borders = [[-0.375, -0.125, 0.125], [-0.375, -0.165, 0.165], [-0.26, 0.145]]
    for panel, (axis, band, price) in enumerate(zip(made.axes, made.axes[3:], panels.values())):
        assert texts(axis) == texts(band) == names[panel]
        x, envelope = next(line for line in axis.lines if line.get_linewidth() == 4).get_data()
        np.testing.assert_allclose(x, weights)
        np.testing.assert_allclose(envelope, costs(weights, price).min(0).values, atol=1e-7)
        drawn = [part[0][0] for part in axis.collections[0].get_segments()]
        np.testing.assert_allclose(drawn, borders[panel], atol=1e-3)
        top = axis.get_ylim()[1]
        assert envelope.max() < top < costs(weights, [0.0] * 4).max()
        numbers = [label.get_window_extent() for label in band.get_xticklabels() if label.get_text()]
        shown = [box for box in numbers if axis.bbox.x0 <= (box.x0 + box.x1) / 2 <= axis.bbox.x1]
        assert len(shown) >= 3 and all(left.x1 + 20 < right.x0 for left, right in pairwise(shown))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_cost_parabolas_of_hardly_anything(draw, count):
    weights = np.zeros(count)
    draw(figures.cost_parabolas, {"one level": (weights, np.zeros((1, count)), [0])})
    draw(figures.cost_parabolas, {"ties": (weights, np.zeros((3, count)), [-1, 0, 1])})


@pytest.mark.slow
def test_many_levels_are_named_by_the_even_ones(draw):
    levels = list(range(-8, 8))
    weights = np.linspace(-8.5, 7.5, 600)
    made = draw(figures.cost_parabolas, {"4 bit": (weights, (weights - np.array(levels)[:, None]) ** 2, levels)})
    assert texts(made.axes[0]) == [str(level).replace("-", "−") for level in levels if level % 2 == 0]


@pytest.mark.slow
@pytest.mark.parametrize("size", [7, 20_000])
def test_zero_cluster_counts_all_and_draws_some(draw, size):
    generator = torch.Generator().manual_seed(0)
    weight, relevance = torch.randn(size, generator=generator), torch.rand(size, generator=generator)
    plain, adjusted = (torch.randint(-1, 2, (size,), generator=generator, dtype=torch.int8) for _ in range(2))
    made = draw(figures.zero_cluster, weight, relevance, plain, adjusted)
    (axis,) = made.axes
    both = ((plain == 0) & (adjusted == 0), (plain != 0) & (adjusted == 0), (plain == 0) & (adjusted != 0))
    shares = [100 * group.double().mean().item() for group in (*both, (plain != 0) & (adjusted != 0))]
    assert [c.get_label() for c in axis.collections] == [f"{n}: {s:.1f} %" for n, s in zip(GROUPS, shares)]
    points = [collection.get_offsets() for collection in axis.collections]
    assert sum(map(len, points)) == min(size, 6000)
    below = {float(w): (relevance < r).double().mean().item() for w, r in zip(weight[:7], relevance[:7])}
    ranks = {float(x): float(y) for x, y in np.concatenate(points)}
    for place, share in below.items():
        assert ranks.get(place, 100 * share) == pytest.approx(100 * share)


@pytest.mark.slow
def test_weights_on_grid_stand_where_and_as_high_as_they_are(draw):
    weight = torch.linspace(-0.5, 0.5, 1001)
    index = (weight / 0.2).round().to(torch.int8)
    panels = {"wide": (torch.tensor(0.2), index), "no 0": (1.0, 0 * index + 1)}
    made = draw(figures.weights_on_grid, weight, panels)
    wide, none = made.axes
    np.testing.assert_allclose(lines(wide)["centroids"].get_xdata(), [-0.4, -0.2, 0.2, 0.4], rtol=1e-6)
    counts = [int((index == level).sum()) for level in (-2, -1, 1, 2)]
    assert list(lines(wide)["centroids"].get_ydata()) == counts
    assert lines(wide)["centroid 0"].get_ydata() == int((index == 0).sum())
    assert not len(lines(none)["centroid 0"].get_xdata()) and lines(none)["centroids"].get_ydata() == 1001
    assert [axis.get_title() for axis in made.axes] == ["wide: 20 % zeros", "no 0: 0 % zeros"]
    assert wide.get_ylim()[1] > 1001


def seeds(*scores: float, x: float = 0.5) -> list[list[tuple[float, float]]]:
    return [[(x + place / 10, score - seed / 100) for place, score in enumerate(scores)] for seed in range(3)]


@pytest.mark.slow
@pytest.mark.parametrize("panels", [1, 5])
def test_pareto_draws_mean_and_range(draw, panels):
    arms = {"random": seeds(0.8, 0.7), "ecq": seeds(0.9, 0.85), "lrp": seeds(0.91, NAN), "magnitude": seeds(NAN, NAN)}
    made = draw(figures.pareto, {f"{bits} bit": arms for bits in range(panels)}, "sparsity", "accuracy", 0.92)
    axes = made.axes[:panels]
    assert [axis.get_title() for axis in axes] == [f"{bits} bit" for bits in range(panels)]
    for axis in axes:
        np.testing.assert_allclose(lines(axis)["ECQ"].get_xydata(), [[50, 89], [60, 84]])
        spans = [part[:, 1] for part in axis.collections[1].get_segments()]
        np.testing.assert_allclose(spans, [[88, 90], [83, 85]])
        assert lines(axis)["ECQ"].get_linestyle() == "--" and lines(axis)["ECQ"].get_color() == style.INK
        assert lines(axis)["float, before"].get_ydata()[0] == 92
    shown = [text.get_text() for text in made.legends[0].get_texts()]
    assert shown == ["ECQ", "LRP", "random", "float, before"]  # of magnitude there is no point


@pytest.mark.slow
def test_pareto_draws_the_fair_baseline(draw):
    (axis,) = draw(figures.pareto, {"4 bit": {"lrp": seeds(0.9, 0.8)}}, "zeros", "accuracy", 0.92, fair=0.94).axes
    assert lines(axis)["float, trained as long"].get_ydata()[0] == 94
    assert lines(axis)["float, trained as long"].get_linewidth() > lines(axis)["float, before"].get_linewidth()


@pytest.mark.slow
def test_pareto_of_collapsed_nets_is_cut(draw):
    made = draw(figures.pareto, {"2 bit": {"ecq": seeds(0.9, 0.88, 0.1)}}, "sparsity", "accuracy", 0.91)
    low, high = made.axes[0].get_ylim()
    assert 70 < low < 86 and high > 91
    deep = [line for line in made.axes[0].lines if line.get_marker() == "v" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in deep] == [[pytest.approx(70)]]
    made = draw(figures.pareto, {"2 bit": {"ecq": seeds(0.3, 0.2)}}, "sparsity", "accuracy", 0.91)
    low, high = made.axes[0].get_ylim()
    assert low < 19 and high > 91  # all have collapsed: the best of them is seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "shown"),
    [
        ((2_100, 12_000), ["2 kB", "3 kB", "5 kB", "10 kB"]),
        ((900, 110_000), ["1 kB", "2 kB", "5 kB", "10 kB", "20 kB", "50 kB", "100 kB"]),
        ((700_000, 1_500_000), ["800 kB", "1 MB", "1.2 MB", "1.4 MB"]),
    ],
)
def test_pareto_of_sizes_has_plain_numbers(draw, sizes, shown):
    curve = [[(size, 0.9) for size in sizes]]
    made = draw(figures.pareto, {"4 bit": {"lrp": curve}}, "coded size", "accuracy", None, log=True)
    (axis,) = made.axes
    ticks = [label.get_text() for label in axis.get_xticklabels()]
    assert axis.get_xscale() == "log" and set(shown) <= set(ticks) and len(ticks) <= 8
    assert made.get_supxlabel() == "coded size" and made.get_supylabel() == "accuracy, %"


@pytest.mark.slow
@pytest.mark.parametrize("log", [False, True])
def test_pareto_of_nothing(draw, log):
    for curves in ([[(NAN, NAN)]], [[(0.5, NAN)], [(NAN, 0.5)]]):
        draw(figures.pareto, {"2 bit": {"ecq": curves}}, "x", "y", 0.9 if log else None, log=log)


@pytest.mark.slow
def test_training_draws_score_and_sparsity(draw):
    rows = [{"step": 50 * i, "score": 0.5 + i / 10, "sparsity": 0.6 + i / 100, "loss": 1.0} for i in range(3)]
    float_net = [row | {"sparsity": None} for row in rows]
    made = draw(figures.training, {"lrp": rows, "float": float_net, "ECQ, signed gradient": rows[:1], "random": []})
    score, sparsity = map(lines, made.axes)
    np.testing.assert_allclose(score["LRP"].get_xydata(), [[0, 50], [50, 60], [100, 70]])
    np.testing.assert_allclose(sparsity["LRP"].get_ydata(), [60, 61, 62])
    assert set(score) == {"LRP", "float", "ECQ, signed gradient"} == {"float", *sparsity}
    assert "float" not in sparsity


@pytest.mark.slow
def test_bars_write_the_mean_and_draw_every_seed(draw):
    values = {"ecq": [0.5, 0.6], "unconserved": [0.547], "random": [NAN], "lrp": np.array([-0.1, NAN])}
    (axis,) = draw(figures.bars, values, "accuracy", 0.9, "float").axes
    assert texts(axis) == ["55.0", "54.7", "undefined", "−10.0", "float"]
    named = [label.get_text() for label in axis.get_yticklabels()]
    assert named == ["ECQ", "unconserved", "random", "LRP"]
    means = [line.get_xdata()[0] for line in axis.lines if line.get_markersize() == 14]
    np.testing.assert_allclose(means, [55, 54.7, -10])
    np.testing.assert_allclose(axis.lines[0].get_xdata(), [50, 60])
    draw(figures.bars, {"only one": [0.2]}, "accuracy")
