"""Figures of lesson 04 that show numbers: is relevance conserved, does it agree with what removing things does?"""

from collections.abc import Sequence
from itertools import cycle, groupby

import numpy as np
from matplotlib.axes import Axes

from relcomp_kit.figures.style import FOR, INK, LINES, REMOVED, figure

CONTROLS = {"random": (REMOVED, ":"), "magnitude": ("#707070", "--")}  # what a measure has to beat: grey
MEASURES = [line for line in LINES if line[0] not in (INK, REMOVED)]


def conservation(curves: dict[str, dict[str, tuple[float, float]]]) -> None:
    """Draw how relevance and what constants have kept of it add up, from the output to the input, a panel per case.

    If relevance is conserved, both together stay at 1. A panel whose values exceed 10 is drawn linearly up to 1 and
    logarithmically beyond. What is infinite or NaN is left out.

    Parameters
    ----------
    curves : dict of str to dict of str to (float, float)
        Per case and cut, the output's first: the relevance at the cut, and what biases and shifts behind it have kept,
        both as shares of the start.
    """
    with figure(len(curves), 1, size=(10, 0.9 + 2.7 * len(curves))) as (made, axes):
        for axis, (case, cuts) in zip(axes, curves.items()):
            relevance, kept = np.array(list(cuts.values()), float).reshape(-1, 2).T
            relevance, kept = (np.where(np.isfinite(part), part, np.nan) for part in (relevance, kept))
            places = np.arange(len(cuts))
            axis.bar(places, relevance, 0.9, color=FOR, label="relevance")
            above = np.where(relevance * kept > 0, relevance, 0)  # what has another sign lies on the other side of 0
            axis.bar(places, kept, 0.9, above, color=REMOVED, label="kept by biases")
            axis.plot(places, relevance + kept, "o", color=INK, label="sum")
            axis.axhline(1, color=INK, linewidth=1.5, linestyle="--", label="start")
            axis.set_title(case, loc="left")
            _stages(axis, list(cuts))
            _plain_numbers(axis, np.nan_to_num([relevance, kept, relevance + kept]))
        axes[-1].set_xlabel("cuts through the net, from the output to the input")
        made.supylabel("share of the start", fontsize=15)
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def _stages(axis: Axes, cuts: Sequence[str]) -> None:
    """Name the stages of a net below the axis, and mark where they begin; a stage of one cut has no room for a name."""
    places, names, first, named = [], [], 0, True
    for stage, found in groupby(cuts, lambda cut: cut.removeprefix("backbone.").split(".")[0]):
        count = len(list(found))
        before, named = named, count > 1 or stage == "input"
        if named or before:
            axis.axvline(first - 0.5, color=INK, linewidth=0.8)
        if named:
            places.append(first + (count - 1) / 2)
            names.append(stage)
        first += count
    axis.set_xticks(places, names)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(-0.5, len(cuts) - 0.5)
    axis.grid(False, axis="x")
    axis.set_axisbelow(True)


def _plain_numbers(axis: Axes, values: np.ndarray) -> None:
    """Give an axis with large values a logarithmic scale with signs and numbers that everyone can read."""
    top = np.abs(values).max()
    if top <= 10:
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
    """Draw how well measures rank as ablation does, the best on top: the mean as a bar, each seed as a point.

    Parameters
    ----------
    correlations : dict of str to sequence of float
        Per measure the seeds' rank correlations with the oracle; NaN, where there was no ranking, does not count.
        Names that begin with "random" or "magnitude" are controls and grey.
    """
    _ranked(correlations, "rank correlation with ablation", "{:.2f}", bars=True)


def areas(values: dict[str, Sequence[float]], xlabel: str, highest_first: bool = True) -> None:
    """Draw the area under the removal curve, the best measure on top: the mean as a line, each seed as a point.

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
    _ranked(percent, f"{xlabel}, %", "{:.1f}", bars=False, highest_first=highest_first)


def _ranked(
    values: dict[str, Sequence[float]], label: str, number: str, *, bars: bool, highest_first: bool = True
) -> None:
    found = {name: [value for value in seeds if np.isfinite(value)] for name, seeds in values.items()}
    means = {name: np.mean(seeds) for name, seeds in found.items() if seeds}
    names = sorted(means, key=means.__getitem__, reverse=highest_first) + [n for n in found if n not in means]
    with figure(size=(10, 0.55 * len(names) + 1.2)) as (_, (axis,)):
        for place, name in enumerate(names):
            colour = REMOVED if _control(name) else FOR
            mean = means.get(name, np.nan)
            if bars:
                axis.barh(place, mean, 0.7, color=colour)
            else:
                axis.plot([mean, mean], [place - 0.35, place + 0.35], color=colour, linewidth=7)
            axis.plot(found[name], [place] * len(found[name]), "o", color=INK, markeredgecolor="white", markersize=9)
            words = number.format(mean).replace("-", "−") if name in means else "undefined"
            axis.text(1.02, place, words, va="center", transform=axis.get_yaxis_transform())
        if bars:
            axis.axvline(0, color=INK, linewidth=1)
        axis.set_yticks(range(len(names)), names)
        axis.set(xlabel=label, ylim=(len(names) - 0.5, -0.5))
        axis.grid(False, axis="y")
        axis.set_axisbelow(True)


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
    looks = _looks(dict.fromkeys(name for measures in curves.values() for name in measures))
    with figure(1, len(curves), size=(5.5 * len(curves), 5.2), sharey=True) as (made, axes):
        for axis, (order, measures) in zip(axes, curves.items()):
            for name, seeds in measures.items():
                _band(axis, 100 * np.array(shares), 100 * np.array(seeds), looks[name], name)
            axis.axhline(100 * unpruned, color=INK, linewidth=1.5)
            axis.set(title=f"{order} relevant first", xlabel="filters removed, %")
        axes[0].set_ylabel(f"{ylabel}, %")
        axes[0].set_ylim(0, None)
        place = axes[-1].get_yaxis_transform()
        axes[-1].text(1, 100 * unpruned, "whole net", ha="right", va="bottom", fontsize=13, transform=place)
        shown = {line.get_label(): line for axis in axes for line in axis.lines if line.get_label() in looks}
        made.legend(shown.values(), shown, loc="outside lower center", ncols=3)


def flipping(curves: dict[str, Sequence[Sequence[float]]], ylabel: str) -> None:
    """Draw a net's score while more and more pixels are replaced, the most relevant first: mean and range over seeds.

    Parameters
    ----------
    curves : dict of str to sequence of sequence of float
        Per kind of heat map the seeds' curves, from no pixel replaced to all, in equal steps. NaN is left out. A kind
        whose name begins with "random" is the control and grey.
    ylabel : str
        What the score is, with its unit.
    """
    looks = _looks(curves)
    with figure(size=(10, 4.8)) as (_, (axis,)):
        for name, seeds in curves.items():
            values = np.array(seeds, float)
            _band(axis, np.linspace(0, 100, values.shape[1]), values, looks[name], name)
        axis.set(xlabel="pixels replaced, %, the most relevant first", ylabel=ylabel, xlim=(0, 100))
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _band(axis: Axes, x: np.ndarray, curves: np.ndarray, look: tuple[str, str], label: str) -> None:
    """Draw the mean of several seeds' curves and, shaded, their range; NaN does not count."""
    values = np.ma.masked_invalid(curves)
    colour, style = look
    axis.plot(x, values.mean(0), color=colour, linestyle=style, label=label)
    axis.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)


def _control(name: str) -> tuple[str, str] | None:
    return next((look for start, look in CONTROLS.items() if name.startswith(start)), None)


def _looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return colour and line style of each measure; controls are grey whatever their place."""
    own = cycle(MEASURES)
    return {name: _control(name) or next(own) for name in names}
