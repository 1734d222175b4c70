"""Figures of lesson 05 that show how weights are quantized: what levels cost, and what relevance does to the zeros."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from relcomp_kit.figures.relevance_weights import _percentiles
from relcomp_kit.figures.style import (
    AGAINST,
    DIVERGING,
    FOR,
    INK,
    KEPT,
    PAPER,
    REMOVED,
    REST,
    SMALL,
    figure,
)

DRAWN = 6000  # points of a scatter: more only cover each other
BINS = 101  # of a histogram of weights: odd, so that 0 lies in the middle of one if both sides are alike
ACROSS = 5  # tiles in a row
MANY = 8  # levels: of more, the numbers of all would not be readable
# what ECQ and ECQ^x make of a weight, by 1 for an index of ECQ that is not 0 plus 2 for one of ECQ^x
GROUPS = {
    "0 in both": REST,
    "dropped by relevance": AGAINST,
    "kept by relevance": FOR,
    "kept by both": KEPT,
}


def cost_parabolas(panels: dict[str, tuple[ArrayLike, ArrayLike, Sequence[int]]]) -> None:
    """Draw what every level costs a weight, a panel per case: the cheapest wins, and where it changes lies a border.

    Each level is a thin line with its number at its lowest visible place, the cheapest cost of all a thick one. The
    band below has the colour of the level that wins: blue below 0, grey 0, red above. Of more than `MANY` levels only
    the even ones are named.

    Parameters
    ----------
    panels : dict of str to (array, array, sequence of int)
        Per case the weights, (n,), what each level costs them, (levels, n), infinite where it cannot be taken, and the
        levels, in ascending order.
    """
    cases = [_sorted(*case) for case in panels.values()]
    top = 1.3 * max(costs.min(0).max() for _, costs, _ in cases) or 1.0
    size = (max(7, 1 + 4.4 * len(cases)), 5.4)
    with figure(2, len(cases), size=size, height_ratios=[9, 1], sharex="col", sharey="row") as (_, axes):
        for axis, band, title, case in zip(axes, axes[len(cases) :], panels, cases):
            _costs(axis, *case, top)
            _cheapest(band, *case)
            axis.set(title=title, ylim=(-0.09 * top, top))
            band.set(xlabel="weight", yticks=[], ylim=(0, 1))
            band.grid(False)
            band.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))  # three panels: more numbers would touch
            for part in (axis, band):
                part.margins(x=0)
        axes[0].set_ylabel("cost")
        axes[len(cases)].set_ylabel("cheapest", rotation=0, ha="right", va="center")


def _costs(axis: Axes, weights: np.ndarray, costs: np.ndarray, levels: Sequence[int], top: float) -> None:
    """Draw each level's cost and, thick, the cheapest, and where that changes."""
    winner, cheapest = costs.argmin(0), costs.min(0)
    for place, (level, cost) in enumerate(zip(levels, costs)):
        lowest = cost.argmin()
        shown = np.where(np.isfinite(cost), cost, np.nan)
        axis.plot(weights, shown, color=_shade(level, levels), linewidth=1.5)
        if winner[lowest] == place:  # below the cheapest of all there is room, if its borders are not too close
            ends = weights[winner == place][[0, -1]]
            margin = min(0.04 * np.ptp(weights), np.ptp(ends) / 2)
            at = np.clip(weights[lowest], ends[0] + margin, ends[1] - margin)
            _number(axis, level, levels, (at, cost[lowest]), -12)
        elif cost[lowest] < 0.95 * top:
            _number(axis, level, levels, (weights[lowest], cost[lowest]), 12)
    axis.plot(weights, cheapest, color=INK, linewidth=4, zorder=3)
    changes, borders = _borders(weights, winner)
    axis.vlines(borders, -top, cheapest[changes], color=INK, linewidth=1.2, linestyle="--")


def _cheapest(band: Axes, weights: np.ndarray, costs: np.ndarray, levels: Sequence[int]) -> None:
    """Colour a band by the level that is the cheapest."""
    winner = costs.argmin(0)
    changes, borders = _borders(weights, winner)
    ends = [weights[0], *borders, weights[-1]]
    for left, right, at in zip(ends, ends[1:], [0, *changes]):
        level = levels[winner[at]]
        band.axvspan(left, right, color=_shade(level, levels), linewidth=0)
        if right - left > 0.04 * (ends[-1] - ends[0]):
            _number(band, level, levels, ((left + right) / 2, 0.5), 0)
    band.vlines(borders, 0, 1, color=INK, linewidth=1.2, linestyle="--")


def _borders(weights: np.ndarray, winner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return at which weights the cheapest level is a new one, and what lies halfway to the weight before."""
    changes = 1 + np.flatnonzero(np.diff(winner))
    return changes, (weights[changes - 1] + weights[changes]) / 2


def _sorted(weights: ArrayLike, costs: ArrayLike, levels: Sequence[int]) -> tuple[np.ndarray, np.ndarray, list[int]]:
    weights, costs = _numbers(weights), _numbers(costs)
    order = weights.argsort()
    return weights[order], costs[:, order], [int(level) for level in levels]


def _numbers(values: ArrayLike) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().double().numpy()


def _shade(level: int, levels: Sequence[int]) -> tuple[float, ...] | str:
    """Return the colour of a level: the farther from 0, the darker."""
    if level == 0:
        return REMOVED
    return DIVERGING(0.5 + np.sign(level) * (0.15 + 0.35 * abs(level) / max(map(abs, levels))))


def _number(axis: Axes, level: int, levels: Sequence[int], at: tuple[float, float], up: float) -> None:
    """Write a level some points above a place; of many levels, only the even ones."""
    if len(levels) > MANY and level % 2:
        return
    halo = [withStroke(linewidth=3, foreground=PAPER)]
    look = {"ha": "center", "va": "center", "fontsize": SMALL, "path_effects": halo, "zorder": 4}
    axis.annotate(str(level).replace("-", "−"), at, (0, up), textcoords="offset points", annotation_clip=False, **look)


def weights_on_grid(weight: ArrayLike, panels: dict[str, tuple[float, ArrayLike]]) -> None:
    """Draw how weights are distributed, as an outline, and how many of them each centroid takes, as dots.

    Parameters
    ----------
    weight : array
        The weights of one layer.
    panels : dict of str to (float, array)
        Per grid its step and the integer indices of all weights; a centroid lies at index * step.
    """
    values = _numbers(weight).ravel()
    with figure(1, len(panels), size=(max(7, 1 + 4.4 * len(panels)), 4.8), sharex=True, sharey=True) as (made, axes):
        for axis, (title, (step, indices)) in zip(axes, panels.items()):
            axis.hist(values, BINS, histtype="step", color=KEPT, linewidth=1.8, label=f"weights, in {BINS} bins")
            levels, counts = np.unique(np.asarray(indices), return_counts=True)
            for name, colour, own in (("centroids", INK, levels != 0), ("centroid 0", FOR, levels == 0)):
                places = float(step) * levels[own]
                axis.vlines(places, 0.5, counts[own], color=colour, linewidth=0.8, linestyle=":")
                axis.plot(places, counts[own], "o", color=colour, markersize=11, label=name)
            zeros = counts[levels == 0].sum() / counts.sum()
            axis.set(title=f"{title}: {100 * zeros:.0f} % zeros", xlabel="weight", yscale="log")
            axis.yaxis.set_major_formatter("{x:,.0f}")
        axes[0].set(ylabel="weights", ylim=(0.5, None))
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)


def zero_cluster(weight: ArrayLike, relevance: ArrayLike, plain: ArrayLike, adjusted: ArrayLike) -> None:
    """Draw which weights of a layer are 0 under ECQ and under ECQ^x, over their value and the rank of their relevance.

    Of many weights only `DRAWN` are drawn, chosen by lot; the shares are of all.

    Parameters
    ----------
    weight, relevance : array
        Of one shape; relevance is 0 or more.
    plain, adjusted : array
        Their integer indices by ECQ and by ECQ^x.
    """
    generator = np.random.default_rng(0)
    values, groups = _numbers(weight).ravel(), _groups(plain, adjusted).ravel()
    ranks = _percentiles(torch.as_tensor(relevance), generator)
    drawn = generator.permutation(len(values))[:DRAWN]
    with figure(size=(11, 5.6)) as (made, (axis,)):
        for group, (name, colour) in enumerate(GROUPS.items()):
            own = drawn[groups[drawn] == group]
            label = f"{name}: {100 * np.mean(groups == group):.1f} %"
            order = 3 if colour in (FOR, AGAINST) else 2
            axis.scatter(values[own], ranks[own], s=15, color=colour, linewidths=0, label=label, zorder=order)
        axis.set(xlabel="weight", ylabel="rank by relevance, %", ylim=(-1, 101))
        axis.set_axisbelow(True)
        made.legend(loc="outside upper center", ncols=2, markerscale=3)


def _groups(plain: ArrayLike, adjusted: ArrayLike) -> np.ndarray:
    """Return the place of every weight's group in `GROUPS`."""
    return (np.asarray(plain) != 0) + 2 * (np.asarray(adjusted) != 0)
