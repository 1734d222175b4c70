"""Figures of lesson 04 that show numbers: is relevance conserved, does it agree with what removing things does?"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from relcomp_kit.figures.parts import asides, band, dots, rows, spread, stages
from relcomp_kit.figures.style import FOR, INK, REMOVED, WHOLE, figure, looks

LINEAR = 10  # values up to which an axis stays linear
FLIPS = 6  # markers on a curve of pixel flipping


def conservation(curves: dict[str, dict[str, tuple[float, float]]]) -> None:
    """Draw how relevance and what constants have kept of it add up, from the output to the input, a panel per case.

    If relevance is conserved, both together stay at 1. A panel whose values exceed `LINEAR` is drawn linearly up to 1
    and logarithmically beyond, with dots instead of bars. What is infinite or NaN is left out.

    Parameters
    ----------
    curves : dict of str to dict of str to (float, float)
        Per case and cut, the output's first: the relevance at the cut, and what biases and shifts behind it have kept,
        both as shares of the start.
    """
    with figure(len(curves), 1, size=(12, min(7.2, 1.2 + 2.6 * len(curves)))) as (made, axes):
        for axis, (case, cuts) in zip(axes, curves.items()):
            relevance, kept = np.array(list(cuts.values()), float).reshape(-1, 2).T
            relevance, kept = (np.where(np.isfinite(part), part, np.nan) for part in (relevance, kept))
            places, linear = np.arange(len(cuts)), np.nanmax(np.abs([relevance, kept, relevance + kept]), initial=0)
            if linear <= LINEAR:
                above = np.where(relevance * kept > 0, relevance, 0)  # what has another sign lies beyond 0
                axis.bar(places, relevance, 0.9, color=FOR)
                axis.bar(places, kept, 0.9, above, color=REMOVED)
            else:
                axis.plot(places, relevance, "o", color=FOR, markersize=11)
                axis.plot(places, kept, "s", color=REMOVED, markersize=9)
            axis.plot(places, relevance + kept, "_", color=INK, markersize=16, markeredgewidth=3)
            axis.axhline(1, color=INK, linewidth=1.5, linestyle="--", zorder=1)
            axis.set_title(case, loc="left")
            stages(axis, list(cuts))
            _plain_numbers(axis, np.nan_to_num([relevance, kept, relevance + kept]))
        axes[-1].set_xlabel("cuts through the net, from the output to the input")
        made.supylabel("share of the start", fontsize=15)
        for marker, colour, name in (("o", FOR, "relevance"), ("s", REMOVED, "kept by biases"), ("_", INK, "sum")):
            axes[0].plot([], [], marker, color=colour, markersize=13, markeredgewidth=3, label=name)
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)


def _plain_numbers(axis: Axes, values: np.ndarray) -> None:
    """Give an axis with large values a logarithmic scale with signs and numbers that everyone can read."""
    top = np.abs(values).max()
    if top <= LINEAR:
        axis.set_ylim(min(0, 1.1 * values.min()), max(1.2, 1.1 * values.max()))
        return
    decades = int(np.ceil(np.log10(top)))
    signs = {1: "", -1: "−"} if values.min() < -1 else {1: ""}
    step = -(-decades // (5 // len(signs)))
    decades = step * -(-decades // step)
    first = 0 if decades * len(signs) <= 10 else step  # is there room for a 1 beside the 0?
    ticks = {0.0: "0"}
    for power in range(first, decades + 1, step):
        word = f"{10**power:,}" if power < 7 else f"$10^{{{power}}}$"
        ticks |= {number * 10.0**power: f"{sign}{word}" for number, sign in signs.items()}
    axis.set_yscale("symlog", linthresh=1)
    axis.set_yticks(list(ticks), list(ticks.values()))
    axis.set_ylim(-(10.0**decades) if -1 in signs else min(0, values.min()), 10.0**decades)


def agreement(correlations: dict[str, Sequence[float]]) -> None:
    """Draw how well measures rank as ablation does, the best on top: mean and range over seeds.

    Parameters
    ----------
    correlations : dict of str to sequence of float
        Per measure the seeds' rank correlations with the oracle; NaN, where there was no ranking, does not count.
    """
    _ranked(correlations, "rank correlation with ablation", "{:.2f}")


def areas(values: dict[str, Sequence[float]], xlabel: str, highest_first: bool = True) -> None:
    """Draw the area under the removal curve, the best measure on top: mean and range over seeds.

    Parameters
    ----------
    values : dict of str to sequence of float
        Per measure the seeds' areas in [0, 1], as `relcomp_kit.relevance.faithfulness.area` gives them.
    xlabel : str
        What the values are; drawn, and added to the label, is percent.
    highest_first : bool
        Which is best: the highest where the least relevant was removed first, otherwise the lowest.
    """
    percent = {name: [100 * value for value in seeds] for name, seeds in values.items()}
    _ranked(percent, f"{xlabel}, %", "{:.1f}", highest_first=highest_first)


def _ranked(values: dict[str, Sequence[float]], label: str, number: str, *, highest_first: bool = True) -> None:
    found = {name: [value for value in seeds if np.isfinite(value)] for name, seeds in values.items()}
    means = {name: np.mean(seeds) for name, seeds in found.items() if seeds}
    names = sorted(means, key=means.__getitem__, reverse=highest_first) + [n for n in found if n not in means]
    with figure(size=(12, 0.55 * len(names) + 1.2)) as (_, (axis,)):
        for place, (name, look) in enumerate(looks(names, alike=True).items()):
            dots(axis, place, found[name], look, size=14)
        words = [number.format(means[name]).replace("-", "−") if name in means else "undefined" for name in names]
        rows(axis, names, words)
        if min(means.values(), default=0) < 0:
            axis.axvline(0, color=INK, linewidth=1)
        axis.set_xlabel(label)
        axis.margins(x=0.05)


def removal_curves(
    shares: Sequence[float],
    curves: dict[str, dict[str, Sequence[Sequence[float]]]],
    unpruned: float,
    ylabel: str,
) -> None:
    """Draw how a net does while filters are removed, a panel per order: mean and range over seeds of every measure.

    Parameters
    ----------
    shares : sequence of float
        What fraction of the filters is removed, in [0, 1].
    curves : dict of str to dict of str to sequence of sequence of float
        Per order ("least", "most") and measure the seeds' curves, in [0, 1]: one value a share. NaN is left out.
    unpruned : float
        The value of the whole net, drawn as a line.
    ylabel : str
        What the values are; drawn, and added to the label, is percent.
    """
    drawn = looks(name for measures in curves.values() for name in measures)
    with figure(1, len(curves), size=(max(8, 7 * len(curves)), 6), sharey=True) as (made, axes):
        for axis, (order, measures) in zip(axes, curves.items()):
            for (name, seeds), aside in zip(measures.items(), asides(len(measures))):
                spread(axis, 100 * np.array(shares), 100 * np.array(seeds), drawn[name], aside=aside)
            axis.axhline(100 * unpruned, color=WHOLE, linewidth=2, linestyle="-.", label="whole net", zorder=1)
            axis.set(title=f"{order} relevant first", xlabel="filters removed, %")
        axes[0].set(ylabel=f"{ylabel}, %", ylim=(0, None))
        shown = {line.get_label(): line for axis in axes for line in axis.lines}
        made.legend(shown.values(), shown, loc="outside upper center", ncols=4)


def flipping(curves: dict[str, Sequence[Sequence[float]]], ylabel: str) -> None:
    """Draw a net's score while more and more pixels are replaced, the most relevant first: mean and range over seeds.

    Parameters
    ----------
    curves : dict of str to sequence of sequence of float
        Per kind of heat map the seeds' curves, from no pixel replaced to all, in equal steps. NaN is left out.
    ylabel : str
        What the score is, with its unit.
    """
    drawn = looks(curves)
    with figure(size=(13, 5)) as (_, (axis,)):
        for place, (name, seeds) in enumerate(curves.items()):
            values, look = np.array(seeds, float), drawn[name]
            x = np.linspace(0, 100, values.shape[1])
            # curves that lie on each other are seen: the earlier one is wider, and markers take turns
            step = max(len(curves), len(x) // FLIPS)
            band(axis, x, values, look, every=(place * step // len(curves), step), wide=len(curves) - place)
        axis.set(xlabel="pixels replaced, %, the most relevant first", ylabel=ylabel, xlim=(0, 100))
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
