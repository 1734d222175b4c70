"""Figures of lesson 06 that show numbers: scores against multiply-adds and frequency, and from domain to domain."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from relcomp_kit.figures.parts import asides, behind, spread
from relcomp_kit.figures.style import AGAINST, FOR, INK, PAPER, SMALL, WHOLE, figure, looks

DOT = 11  # points that the dot of a class is wide
# where a name may stand beside its dot, the best first: offset in points, alignment
SIDES = [
    ((10, 0), "left", "center"),
    ((-10, 0), "right", "center"),
    ((8, 10), "left", "bottom"),
    ((8, -10), "left", "top"),
    ((-8, 10), "right", "bottom"),
    ((-8, -10), "right", "top"),
    ((0, 12), "center", "bottom"),
    ((0, -12), "center", "top"),
]


def expert_curves(
    panels: dict[str, dict[str, Sequence[Sequence[tuple[float, float]]]]],
    ylabel: str,
    start: float | None = None,
    goal: float | None = None,
) -> None:
    """Draw how good experts are while they get smaller, to the right: mean and range over seeds of every arm.

    Parameters
    ----------
    panels : dict of str to dict of str to sequence of sequence of (float, float)
        Per panel ("as cut", "fine-tuned") and arm ("relevance", "average", "magnitude", "random") the seeds' points,
        the i-th ones of all seeds made with the same budget: the share of the super-net's multiply-adds, and a score
        in [0, 1]. A score of NaN does not count.
    ylabel : str
        What the score is; drawn, and added to the label, is percent.
    start, goal : float, optional
        The score of the super-net, and the one that is still good enough, 2 points less; drawn as lines.
    """
    drawn = looks(chain.from_iterable(panels.values()))
    with figure(1, len(panels), size=(max(8, 7 * len(panels)), 6), sharey=True) as (made, axes):
        for axis, (panel, arms) in zip(axes, panels.items()):
            for (name, seeds), aside in zip(arms.items(), asides(len(arms))):
                x, y = np.moveaxis(100 * np.array(seeds, float), -1, 0)
                spread(axis, x.mean(0), y, drawn[name], aside=aside)
            for score, words, line in ((start, "super-net", "-."), (goal, "2 points lost", ":")):
                if score is not None:
                    axis.axhline(100 * score, color=WHOLE, linestyle=line, linewidth=2, label=words, zorder=1)
            axis.set(title=panel, xlim=(102, 0))
        axes[0].set_ylabel(f"{ylabel}, %")
        axes[0].set_ylim(bottom=max(-1, axes[0].get_ylim()[0]))
        made.get_layout_engine().set(wspace=0.06)  # the end of one axis is not the beginning of the next
        made.supxlabel("multiply-adds left, % of the super-net's", fontsize=15)
        shown = {line.get_label(): line for axis in axes for line in axis.lines}
        made.legend(shown.values(), shown, loc="outside upper center", ncols=4)


def advantage_by_frequency(points: dict[str, tuple[float, Sequence[float]]], xlabel: str, ylabel: str) -> None:
    """Draw what classes gain, red, or lose, blue, against how frequent they are: mean as a dot, range over seeds.

    Dots that would cover each other are moved to stand side by side, each with its range.

    Parameters
    ----------
    points : dict of str to (float, sequence of float)
        Per class its share of the pixels, on a logarithmic axis, and the seeds' advantages as differences of shares.
        NaN does not count; a class without pixels or without a number is left out.
    xlabel, ylabel : str
        What the share and the advantage are; added is that they are drawn in percent and in points.
    """
    found = {name: (100 * x, 100 * np.array(seeds)[np.isfinite(seeds)]) for name, (x, seeds) in points.items()}
    found = {name: (x, values) for name, (x, values) in found.items() if x > 0 and len(values)}
    with figure(size=(12, 5.6)) as (made, (axis,)):
        axis.axhline(0, color=INK, linewidth=1.5)
        axis.set(xscale="log", xlabel=f"{xlabel}, %, logarithmic", ylabel=f"{ylabel}, points")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")
        axis.margins(0.12, 0.12)
        for x, values in found.values():
            axis.update_datalim([(x, values.min()), (x, values.max())])
        axis.autoscale_view()
        made.draw_without_rendering()  # settles where the dots are
        found = _side_by_side(axis, found)
        for x, values in found.values():
            colour = FOR if values.mean() > 0 else AGAINST
            axis.vlines(x, values.min(), values.max(), color=colour, linewidth=3)
            axis.plot(x, values.mean(), "o", color=colour, markersize=DOT)
        _names(axis, found)


def _side_by_side(axis: Axes, found: dict[str, tuple[float, np.ndarray]]) -> dict[str, tuple[float, np.ndarray]]:
    """Move dots that would cover each other apart, in the order of their places, as little as needed."""
    wide = 1.3 * DOT * axis.figure.dpi / 72
    order = sorted(found, key=lambda name: found[name][0])
    at = {name: axis.transData.transform((found[name][0], found[name][1].mean())) for name in order}
    groups: list[list[str]] = []
    for name in order:
        near = [one for one in groups if any(np.abs(at[name] - at[other]).max() < wide for other in one)]
        groups = [one for one in groups if one not in near] + [[*chain.from_iterable(near), name]]
    moved = {}
    for group in groups:
        middle = np.mean([at[name][0] for name in group])
        for place, name in enumerate(group):
            x = middle + wide * (place - (len(group) - 1) / 2) if len(group) > 1 else at[name][0]
            moved[name] = axis.transData.inverted().transform((x, 0))[0], found[name][1]
    return {name: moved[name] for name in found}


def _names(axis: Axes, found: dict[str, tuple[float, np.ndarray]]) -> None:
    """Write each name beside its dot, where it covers least of other dots, ranges and names."""
    frame, zero = axis.bbox, axis.transData.transform((1, 0))[1]
    taken = [Bbox.from_extents(frame.x0, zero - 2, frame.x1, zero + 2)]
    for x, values in found.values():
        (left, low), (_, high) = axis.transData.transform([(x, values.min()), (x, values.max())])
        taken.append(Bbox.from_extents(left - 7, low, left + 7, high).padded(0, 7))
    for name, (x, values) in found.items():
        tried = [_name(axis, name, (x, values.mean()), *side) for side in SIDES]
        boxes = [text.get_window_extent() for text in tried]
        covered = [sum(_area(box, other) for other in taken) + _outside(box, frame) for box in boxes]
        best = int(np.argmin(covered))
        taken.append(boxes[best])
        for place, text in enumerate(tried):
            if place != best:
                text.remove()


def _name(axis: Axes, name: str, at: tuple[float, float], offset: tuple[float, float], ha: str, va: str) -> Annotation:
    return axis.annotate(
        name, at, offset, textcoords="offset points", ha=ha, va=va, fontsize=SMALL + 1, in_layout=False
    )


def _area(box: Bbox, other: Bbox) -> float:
    """Return how much two boxes have in common."""
    common = Bbox.intersection(box, other)
    return common.width * common.height if common else 0.0


def _outside(box: Bbox, frame: Bbox) -> float:
    """Return how much of a box lies outside a frame."""
    return box.width * box.height - _area(box, frame)


def bars_by_group(values: dict[str, dict[str, Sequence[float]]], ylabel: str) -> None:
    """Draw arms side by side, group by group: the mean as a bar with its number, each seed as a point.

    Parameters
    ----------
    values : dict of str to dict of str to sequence of float
        Per group ("tested by day", "tested in snow") and arm ("cut by day", "cut in snow", "magnitude") the seeds'
        shares. NaN does not count.
    ylabel : str
        What the values are; drawn, and added to the label, is percent.
    """
    arms = list(dict.fromkeys(chain.from_iterable(values.values())))
    drawn, thick = looks(arms), 0.8 / len(arms)
    with figure(size=(12, 5.2)) as (made, (axis,)):
        for number, arm in enumerate(arms):
            places = np.arange(len(values)) + (number - (len(arms) - 1) / 2) * thick
            for place, group in zip(places, values.values()):
                if arm not in group:
                    continue
                found = [100 * value for value in group[arm] if np.isfinite(value)]
                mean = np.mean(found) if found else np.nan
                axis.bar(place, mean, 0.92 * thick, color=drawn[arm].colour, label=drawn[arm].name)
                axis.plot([place] * len(found), found, "o", color=INK, markeredgecolor=PAPER, markersize=8)
                words, top, angle = (f"{mean:.1f}", max(found), 0) if found else ("undefined", 0, 90)
                look = {"textcoords": "offset points", "ha": "center", "va": "bottom", "rotation": angle}
                axis.annotate(words, (place, top), (0, 8), **look)
        axis.set_xticks(range(len(values)), values)
        axis.tick_params(axis="x", length=0, labelsize=15)
        axis.set_ylabel(f"{ylabel}, %")
        axis.margins(y=0.12)
        behind(axis, "y")
        handles, labels = axis.get_legend_handles_labels()
        shown = dict(zip(labels, handles))
        made.legend(shown.values(), shown, loc="outside upper center", ncols=4)
