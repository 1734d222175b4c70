"""Figures of lesson 05 that show results: scores against sparsity and size, and which layers relevance changes."""

from collections.abc import Iterable, Sequence
from itertools import chain, cycle
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from relcomp_kit.figures.relevance_curves import _stages
from relcomp_kit.figures.style import AGAINST, FOR, INK, LINES, REMOVED, figure


class Look(NamedTuple):
    """How an arm is named and drawn.

    Parameters
    ----------
    name : str
        What the legend says.
    colour : str
        Colour of line and markers, as matplotlib takes it.
    line : str or tuple
        Line style, as matplotlib takes it.
    marker : str
        Marker, as matplotlib takes it.
    """

    name: str
    colour: str
    line: str | tuple
    marker: str


ARMS = {
    "ecq": Look("ECQ", INK, "--", "s"),
    "lrp": Look("ECQˣ, LRP", FOR, "-", "o"),
    "magnitude": Look("ECQˣ, magnitude", "#707070", (0, (2, 1)), "^"),
    "random": Look("ECQˣ, random", REMOVED, ":", "D"),
    "float": Look("float", AGAINST, "-.", "."),
}
OTHERS = [line for line in LINES if line[0] not in {look.colour for look in ARMS.values()}]
FEW = 8  # layers: so many have room for their own names
DEEPEST = 12  # points below the unquantized net: what falls deeper would flatten all else
DIGITS = {12: (1, 2, 5), 6: (1, 2, 3, 5), 2.5: (1, 2, 3, 5, 7), 0: ()}  # of ticks, by what the axis spans
UNITS = {1e6: "MB", 1e3: "kB", 1: "B"}


def _looks(names: Iterable[str]) -> dict[str, Look]:
    """Return how each curve is drawn: arms as everywhere, others by their own name."""
    own = cycle(OTHERS)
    return {name: ARMS[name] if name in ARMS else Look(name, *next(own), "v") for name in dict.fromkeys(names)}


def pareto(
    curves: dict[str, dict[str, Sequence[Sequence[tuple[float, float]]]]],
    xlabel: str,
    ylabel: str,
    start: float | None,
    log: bool = False,
) -> None:
    """Draw scores against sparsity or size, a panel per bit width: mean and range over seeds of every arm.

    All panels have one vertical axis. What lies more than `DEEPEST` points below the unquantized net, or below the best
    point if that is less, is a triangle on the lower edge.

    Parameters
    ----------
    curves : dict of str to dict of str to sequence of sequence of (float, float)
        Per panel and arm the seeds' points (x, y), the i-th ones of all seeds at the same Lambda. y is a share in
        [0, 1]; NaN does not count.
    xlabel, ylabel : str
        What x and y are; drawn, and added to the label, is percent unless x is a size.
    start : float, optional
        The score of the unquantized net, drawn as a line.
    log : bool
        x is a size in bytes, on a logarithmic axis, rather than a share.
    """
    looks = _looks(chain.from_iterable(curves.values()))
    scale = np.array([1 if log else 100, 100])
    found = {
        panel: {arm: _without_nan(scale * np.array(seeds, float)) for arm, seeds in arms.items()}
        for panel, arms in curves.items()
    }
    scores = np.concatenate([points[..., 1].compressed() for arms in found.values() for points in arms.values()])
    lowest, best = (scores.min(), scores.max()) if scores.size else (0.0, 0.0)
    whole = best if start is None else 100 * start
    lowest, highest = max(lowest, min(best, whole) - DEEPEST), max(best, whole)
    columns = {4: 2}.get(len(curves), min(len(curves), 3))
    rows = -(-len(curves) // columns)
    size = (max(7, 5 * columns), 1 + 4.2 * rows)
    with figure(rows, columns, size=size, sharey=True) as (made, axes):
        for axis, (panel, arms) in zip(axes, found.items()):
            for arm, points in arms.items():
                if points.count():
                    _arm(axis, points, looks[arm], lowest)
            if log and axis.lines:
                _sizes(axis)
            if start is not None:
                axis.axhline(100 * start, color=AGAINST, linewidth=1.8, linestyle="--")
                place, (side, free) = axis.get_yaxis_transform(), (0.01, "left") if log else (0.99, "right")
                axis.text(side, 100 * start, "float", color=AGAINST, ha=free, va="bottom", transform=place)
            axis.set_title(panel)
        for axis in axes[len(found) :]:
            axis.axis("off")
        pad = 0.06 * (highest - lowest) or 1
        axes[0].set_ylim(lowest - pad, highest + 1.5 * pad)
        made.supxlabel(xlabel if log else f"{xlabel}, %", fontsize=15)
        made.supylabel(f"{ylabel}, %", fontsize=15)
        made.legend(*_handles(axes, looks), loc="outside upper center", ncols=4)


def _without_nan(points: np.ndarray) -> np.ma.MaskedArray:
    """Mask the points, (..., 2), of which one number or both are missing."""
    return np.ma.array(points, mask=np.broadcast_to(~np.isfinite(points).all(-1, keepdims=True), points.shape))


def _arm(axis: Axes, points: np.ma.MaskedArray, look: Look, lowest: float) -> None:
    """Draw the seeds' mean as a line, their range as bars, and what is too low as triangles: (seeds, points, 2)."""
    x, y = points.mean(0).T
    low, high = points[..., 1].min(0), points[..., 1].max(0)
    axis.plot(x, y, color=look.colour, linestyle=look.line, marker=look.marker, markersize=8, label=look.name)
    axis.vlines(x, low, high, color=look.colour, linewidth=2)
    deep = np.ma.filled(y < lowest, False)
    axis.plot(x[deep], [0.02] * deep.sum(), "v", color=look.colour, markersize=11, transform=axis.get_xaxis_transform())


def _handles(axes: Sequence[Axes], looks: dict[str, Look]) -> tuple[list, list[str]]:
    """Return one line for each arm that is drawn anywhere, and the arms' names, for a legend."""
    names = [look.name for look in (*ARMS.values(), *looks.values())]
    lines = {line.get_label(): line for axis in axes for line in axis.lines}
    shown = [name for name in dict.fromkeys(names) if name in lines]
    return [lines[name] for name in shown], shown


def _sizes(axis: Axes) -> None:
    """Give an axis of bytes a logarithmic scale with numbers that everyone can read, as many as have room."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    digits = next(digits for span, digits in DIGITS.items() if high / low > span)
    locator = LogLocator(subs=digits) if digits else MaxNLocator(5, steps=[1, 2, 5, 10])
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(ticks, [_bytes(tick) for tick in ticks])
    axis.set_xlim(low, high)


def _bytes(size: float) -> str:
    unit = next(unit for unit in UNITS if size >= unit or unit == 1)
    return f"{size / unit:g} {UNITS[unit]}"


def training(histories: dict[str, Sequence[dict]], ylabel: str = "validation score") -> None:
    """Draw how arms do while they are trained: the score on the left, the sparsity on the right.

    Parameters
    ----------
    histories : dict of str to sequence of dict
        Per arm its rows: ``step``, and the shares ``score`` and ``sparsity``, which is None for a float net.
    ylabel : str
        What the score is; drawn, and added to the label, is percent.
    """
    looks = _looks(histories)
    with figure(1, 2, size=(11, 4.8)) as (made, axes):
        for axis, key, label in zip(axes, ("score", "sparsity"), (ylabel, "sparsity")):
            for arm, rows in histories.items():
                pairs = [(row["step"], 100 * row[key]) for row in rows if row[key] is not None]
                look = looks[arm]
                if pairs:
                    axis.plot(*zip(*pairs), color=look.colour, linestyle=look.line, marker=look.marker, label=look.name)
            axis.set(xlabel="training step", ylabel=f"{label}, %")
        made.legend(*_handles(axes, looks), loc="outside upper center", ncols=5)


def bars(values: dict[str, Sequence[float]], xlabel: str, mark: float | None = None, mark_label: str = "") -> None:
    """Draw the mean of each entry as a bar, each seed as a point, and the mean as a number on the right.

    Parameters
    ----------
    values : dict of str to sequence of float
        Per entry the seeds' shares; NaN does not count. Arms have their colours, other entries are red.
    xlabel : str
        What the values are; drawn, and added to the label, is percent.
    mark : float, optional
        A share to draw as a vertical line.
    mark_label : str
        What to write above that line.
    """
    with figure(size=(10, 0.6 * len(values) + (1.6 if mark_label else 1.2))) as (_, (axis,)):
        for place, (name, seeds) in enumerate(values.items()):
            found = [100 * value for value in seeds if np.isfinite(value)]
            mean = np.mean(found) if found else np.nan
            axis.barh(place, mean, 0.7, color=ARMS[name].colour if name in ARMS else FOR)
            axis.plot(found, [place] * len(found), "o", color=INK, markeredgecolor="white", markersize=9)
            words = f"{mean:.1f}".replace("-", "−") if found else "undefined"
            axis.text(1.02, place, words, va="center", transform=axis.get_yaxis_transform())
        axis.axvline(0, color=INK, linewidth=1)
        if mark is not None:
            axis.axvline(100 * mark, color=AGAINST, linestyle="--")
            place = axis.get_xaxis_transform()
            axis.text(100 * mark, 1.02, mark_label, color=AGAINST, ha="center", va="bottom", transform=place)
        axis.set_yticks(range(len(values)), [look.name for look in _looks(values).values()])
        axis.set(xlabel=f"{xlabel}, %", ylim=(len(values) - 0.5, -0.5))
        axis.grid(False, axis="y")
        axis.set_axisbelow(True)


def changed_by_layer(shares: dict[str, tuple[float, float]]) -> None:
    """Draw per weight tensor what share of its weights only ECQ^x keeps, upwards, and only ECQ, downwards.

    Parameters
    ----------
    shares : dict of str to (float, float)
        Per weight tensor, from the input to the output: the share of its weights that are 0 under ECQ and not under
        ECQ^x, and the share of those that are 0 under ECQ^x only.
    """
    kept, dropped = 100 * np.array(list(shares.values()), float).reshape(-1, 2).T
    places = np.arange(len(shares))
    with figure(size=(10.5, 4.6)) as (_, (axis,)):
        axis.bar(places, kept, 0.85, color=FOR, label="kept by relevance")
        axis.bar(places, -dropped, 0.85, color=AGAINST, label="dropped by relevance")
        axis.axhline(0, color=INK, linewidth=1)
        if len(shares) > FEW:
            _stages(axis, list(shares))
        else:
            axis.set_xticks(places, [name.removesuffix(".weight") for name in shares])
            axis.grid(False, axis="x")
            axis.set_axisbelow(True)
        axis.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        axis.set(ylabel="weights of the tensor, %")
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
