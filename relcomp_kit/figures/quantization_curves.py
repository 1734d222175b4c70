"""Figures of lesson 05 that show results: scores against sparsity and size, and which layers relevance changes."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
from matplotlib.axes import Axes

from relcomp_kit.figures.parts import asides, dots, rows, sizes, spread
from relcomp_kit.figures.style import INK, LOOKS, WHOLE, Look, figure, looks

ORDER = ("ecq", "lrp", "magnitude", "random", "float")  # of arms in a legend
FEW = 8  # layers: so many have room for their own names
DEEPEST = 12  # points below the unquantized net: what falls deeper would flatten all else
FAIR, BEFORE = "float, trained as long", "float, before"

Curves = Mapping[str, Mapping[str, Sequence[Sequence[tuple[float, float]]]]]


def pareto(
    curves: Curves, xlabel: str, ylabel: str, start: float | None, log: bool = False, fair: float | None = None
) -> None:
    """Draw scores against sparsity or size, a panel per bit width: mean and range over seeds of every arm.

    The panels of a row have one vertical axis. What lies more than `DEEPEST` points below the unquantized net, or below
    the best point if that is less, is a triangle on the lower edge. Arms are moved a few points sideways, so that equal
    ones stand beside each other.

    Parameters
    ----------
    curves : dict of str to dict of str to sequence of sequence of (float, float)
        Per panel and arm the seeds' points (x, y), the i-th ones of all seeds at the same Lambda. y is a share in
        [0, 1]; NaN does not count.
    xlabel, ylabel : str
        What x and y are; drawn, and added to the label, is percent unless x is a size.
    start : float, optional
        The score of the net before it was quantized and trained on, drawn as a dotted line.
    log : bool
        x is a size in bytes, on a logarithmic axis, rather than a share.
    fair : float, optional
        The score of the net that was trained on for as long without quantization, which is what the arms have to be
        compared with, drawn as a thick line.
    """
    drawn = looks(chain.from_iterable(curves.values()))
    found = _points(curves, log)
    lines = {name: 100 * score for name, score in ((FAIR, fair), (BEFORE, start)) if score is not None}
    grid = _grid(len(found))
    with figure(**grid) as (made, axes):
        for place, (axis, (panel, arms)) in enumerate(zip(axes, found.items())):
            row = place // grid["columns"] * grid["columns"]
            scores = [
                points[..., 1] for some in list(found.values())[row : row + grid["columns"]] for points in some.values()
            ]
            low, high = _limits(scores, lines)
            for (arm, points), aside in zip(arms.items(), asides(len(arms))):
                _arm(axis, points, drawn[arm], aside, low)
            if log and axis.lines:
                sizes(axis)
            for name, score in lines.items():
                look = ("-.", 2.4) if name == FAIR else (":", 1.8)
                axis.axhline(score, color=WHOLE, linestyle=look[0], linewidth=look[1], label=name, zorder=1)
            pad = 0.08 * (high - low) or 1
            axis.set(title=panel, ylim=(low - pad, high + pad))
        _unused(axes[len(found) :])
        made.supxlabel(xlabel if log else f"{xlabel}, %", fontsize=15)
        made.supylabel(f"{ylabel}, %", fontsize=15)
        handles, names = _handles(axes, drawn.values(), lines)
        made.legend(handles, names, loc="outside upper center", ncols=len(names) if len(names) <= 6 else 4)


def _points(curves: Curves, log: bool) -> dict[str, dict[str, np.ma.MaskedArray]]:
    """Return curves as arrays, (seeds, points, 2), in percent, with what is missing masked."""
    scale = np.array([1 if log else 100, 100])
    found: dict[str, dict[str, np.ma.MaskedArray]] = {}
    for panel, arms in curves.items():
        for arm, seeds in arms.items():
            points = scale * np.array(seeds, float)
            missing = ~np.isfinite(points).all(-1, keepdims=True)
            found.setdefault(panel, {})[arm] = np.ma.array(points, mask=np.broadcast_to(missing, points.shape))
    return found


def _grid(count: int) -> dict:
    """Return how so many panels are laid out, those of a row with one vertical axis."""
    columns = {4: 2}.get(count, min(count, 3))
    lines = -(-count // columns)
    size = (max(8, min(14, 6.5 * columns)), min(7.2, 1.5 + 3.6 * lines))
    return {"rows": lines, "columns": columns, "size": size, "sharey": "row"}


def _unused(axes: Sequence[Axes]) -> None:
    for axis in axes:
        axis.axis("off")


def _limits(scores: Iterable[np.ma.MaskedArray], lines: Mapping[str, float]) -> tuple[float, float]:
    """Return the lowest and the highest score to show in a row of panels."""
    known = np.concatenate([some.compressed() for some in scores])
    lowest, best = (known.min(), known.max()) if known.size else (0.0, 0.0)
    whole = max(lines.values(), default=best)
    return max(lowest, min(best, whole) - DEEPEST), max(best, whole)


def _arm(axis: Axes, points: np.ma.MaskedArray, look: Look, aside: float, lowest: float) -> None:
    """Draw one arm, and what is too low as triangles: (seeds, points, 2)."""
    if not points.count():
        return
    x, y = points.filled(np.nan)[..., 0], points.filled(np.nan)[..., 1]
    spread(axis, x, y, look, aside=aside)
    x, y = points.mean(0).T
    deep = np.ma.filled(y < lowest, False)
    axis.plot(x[deep], [0.02] * deep.sum(), "v", color=look.colour, markersize=12, transform=axis.get_xaxis_transform())


def _handles(axes: Sequence[Axes], drawn: Iterable[Look], lines: Iterable[str] = ()) -> tuple[list, list[str]]:
    """Return one line for each arm that is drawn anywhere, and the arms' names, for a legend."""
    names = [*(LOOKS[arm].name for arm in ORDER), *(look.name for look in drawn), *lines]
    found = {line.get_label(): line for axis in axes for line in axis.lines}
    shown = [name for name in dict.fromkeys(names) if name in found]
    return [found[name] for name in shown], shown


def training(histories: dict[str, Sequence[dict]], ylabel: str = "validation score") -> None:
    """Draw how arms do while they are trained: the score on the left, the sparsity on the right.

    Parameters
    ----------
    histories : dict of str to sequence of dict
        Per arm its rows: ``step``, and the shares ``score`` and ``sparsity``, which is None for a float net.
    ylabel : str
        What the score is; drawn, and added to the label, is percent.
    """
    drawn = looks(histories)
    with figure(1, 2, size=(13, 5)) as (made, axes):
        for axis, key, label in zip(axes, ("score", "sparsity"), (ylabel, "zeros")):
            for arm, rows_ in histories.items():
                pairs = [(row["step"], 100 * row[key]) for row in rows_ if row[key] is not None]
                if pairs:
                    name, colour, line, marker = drawn[arm]
                    axis.plot(*zip(*pairs), color=colour, linestyle=line, marker=marker, markersize=8, label=name)
            axis.set(xlabel="training step", ylabel=f"{label}, %")
        made.legend(*_handles(axes, drawn.values()), loc="outside upper center", ncols=5)


def bars(values: dict[str, Sequence[float]], xlabel: str, mark: float | None = None, mark_label: str = "") -> None:
    """Draw a row an entry: the mean of the seeds, which stands on the right as a number too, and their range.

    Parameters
    ----------
    values : dict of str to sequence of float
        Per entry the seeds' shares; NaN does not count.
    xlabel : str
        What the values are; drawn, and added to the label, is percent.
    mark : float, optional
        A share to draw as a vertical line.
    mark_label : str
        What to write above that line.
    """
    drawn = looks(values)
    with figure(size=(11.5, 0.55 * len(values) + (1.7 if mark_label else 1.2))) as (_, (axis,)):
        means = [
            dots(axis, place, [100 * value for value in seeds], drawn[name], size=14)
            for place, (name, seeds) in enumerate(values.items())
        ]
        words = [f"{mean:.1f}".replace("-", "−") if np.isfinite(mean) else "undefined" for mean in means]
        rows(axis, [look.name for look in drawn.values()], words)
        if min(means) < 0:
            axis.axvline(0, color=INK, linewidth=1)
        if mark is not None:
            axis.axvline(100 * mark, color=WHOLE, linestyle="-.", zorder=1)
            place = axis.get_xaxis_transform()
            axis.text(100 * mark, 1.02, mark_label, color=WHOLE, ha="center", va="bottom", transform=place)
        axis.set_xlabel(f"{xlabel}, %")
        axis.margins(x=0.05)
