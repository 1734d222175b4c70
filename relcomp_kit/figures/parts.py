"""What several figures draw with: seeds as mean and range, rows of dots, axes of bytes, stages of a net."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

from relcomp_kit.figures.style import HEAT, INK, PAPER, Look

DIGITS = {12: (1, 2, 5), 6: (1, 2, 3, 5), 2.5: (1, 2, 3, 5, 7), 0: ()}  # of ticks, by what the axis spans
UNITS = {1e6: "MB", 1e3: "kB", 1: "B"}
DARK = 55  # percent, above which the numbers of cells are light
BESIDE = 2.5  # points between arms that are drawn side by side


def spread(axis: Axes, x: ArrayLike, seeds: ArrayLike, look: Look, *, aside: float = 0.0, size: float = 8) -> None:
    """Draw the mean of several seeds as a line with markers, and their range as upright bars; NaN does not count.

    Parameters
    ----------
    axis : Axes
        Where.
    x : array
        (points,) or, if it differs from seed to seed, (seeds, points): then its mean counts.
    seeds : array
        Values, (seeds, points).
    look : Look
        Of the arm, whose name the legend shows.
    aside : float
        Points by which all is moved to the right, so that arms with the same x stand beside each other.
    size : float
        Of the markers, in points.
    """
    y = np.asarray(seeds, float)
    x = np.broadcast_to(np.asarray(x, float), y.shape)
    unknown = ~(np.isfinite(x) & np.isfinite(y))
    places, y = np.ma.array(x, mask=unknown).mean(0), np.ma.array(y, mask=unknown)
    moved = axis.transData + ScaledTranslation(aside / 72, 0, axis.figure.dpi_scale_trans)
    style = {"color": look.colour, "linestyle": look.line, "marker": look.marker, "markersize": size}
    edge = {"markeredgecolor": PAPER, "markeredgewidth": 0.8}
    axis.plot(places, y.mean(0), label=look.name, transform=moved, **style, **edge)
    axis.vlines(places, y.min(0), y.max(0), color=look.colour, linewidth=2, transform=moved)
    known = ~np.ma.getmaskarray(places)
    for bound in (y.min(0), y.max(0)):  # matplotlib looks for limits only at what is not moved
        axis.update_datalim(np.column_stack([places[known], bound[known]]))
    axis.autoscale_view()


def band(
    axis: Axes, x: ArrayLike, seeds: ArrayLike, look: Look, *, every: int | tuple[int, int] = 0, wide: int = 1
) -> None:
    """Draw the mean of several seeds' curves and, shaded, their range; NaN does not count.

    Parameters
    ----------
    axis : Axes
        Where.
    x : array
        (points,).
    seeds : array
        Values, (seeds, points).
    look : Look
        Of the arm, whose name the legend shows.
    every : int or (int, int)
        Draw its marker at every so many points, or from a first point on at every so many; 0 for none.
    wide : int
        How many curves may lie on this one and leave it visible: so much wider is its line.
    """
    values = np.ma.masked_invalid(np.asarray(seeds, float))
    style = {"color": look.colour, "linestyle": look.line, "linewidth": 0.8 + 1.8 * wide, "label": look.name}
    marked = {"marker": look.marker, "markersize": 10, "markevery": every, "markeredgecolor": PAPER} if every else {}
    axis.plot(x, values.mean(0), **style, **marked)
    axis.fill_between(x, values.min(0), values.max(0), color=look.colour, alpha=0.18, linewidth=0)


def asides(count: int) -> list[float]:
    """Return by how many points each of several arms is moved to stand beside the others, the middle one by none."""
    return [BESIDE * (place - (count - 1) / 2) for place in range(count)]


def dots(axis: Axes, place: float, values: Sequence[float], look: Look, *, size: float = 12) -> float:
    """Draw a row: the seeds as strokes, their range as a line, their mean as the arm's marker; return the mean.

    Parameters
    ----------
    axis : Axes
        Where.
    place : float
        The row.
    values : sequence of float
        One a seed; NaN does not count.
    look : Look
        Of the arm.
    size : float
        Of the marker, in points.
    """
    found = [value for value in values if np.isfinite(value)]
    if not found:
        return np.nan
    mean = float(np.mean(found))
    axis.plot([min(found), max(found)], [place, place], color=look.colour, linewidth=3)
    edge = {"markeredgecolor": PAPER, "markeredgewidth": 1}
    if len(found) > 1:
        axis.plot(found, [place] * len(found), "|", color=look.colour, markersize=1.3 * size, markeredgewidth=2)
    axis.plot(mean, place, look.marker or "o", color=look.colour, markersize=size, label=look.name, zorder=3, **edge)
    return mean


def rows(axis: Axes, names: Sequence[str], words: Sequence[str]) -> None:
    """Name the rows of an axis on the left, the first on top, and write a number for each on the right.

    Parameters
    ----------
    axis : Axes
        Whose rows are 0, 1, 2 ...
    names, words : sequence of str
        What stands on the left and on the right of every row.
    """
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    for place, text in enumerate(words):
        axis.text(1.02, place, text, va="center", transform=axis.get_yaxis_transform())


def behind(axis: Axes, along: str) -> None:
    """Keep only the grid that lengths are read from, behind what is drawn.

    Parameters
    ----------
    axis : Axes
        Changed.
    along : {"x", "y"}
        The axis that lengths lie along.
    """
    axis.grid(False)
    axis.grid(True, axis=along)
    axis.set_axisbelow(True)


def stages(axis: Axes, cuts: Sequence[str]) -> None:
    """Name the stages of a net below the axis, and mark where they begin; a stage of one cut has no room for a name.

    Parameters
    ----------
    axis : Axes
        Changed; the cuts lie at 0, 1, 2 and so on.
    cuts : sequence of str
        Names of layers, from the input to the output.
    """
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


def sizes(axis: Axes) -> None:
    """Give an axis of bytes a logarithmic scale with numbers that everyone can read, as many as have room."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    digits = next(digits for span, digits in DIGITS.items() if high / low > span)
    locator = LogLocator(subs=digits) if digits else MaxNLocator(5, steps=[1, 2, 5, 10])
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high]
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(ticks, [size_text(tick) for tick in ticks])
    axis.set_xlim(low, high)


def size_text(size: float) -> str:
    """Return a size in bytes as a number with its unit, such as "20 kB"."""
    unit = next(unit for unit in UNITS if size >= unit or unit == 1)
    return f"{size / unit:g} {UNITS[unit]}"


def percent_cells(axis: Axes, percent: np.ndarray, size: float) -> None:
    """Draw a matrix of percentages as warm cells, each with its number.

    Parameters
    ----------
    axis : Axes
        Where; its ticks are left to the caller.
    percent : ndarray
        In [0, 100], (rows, columns).
    size : float
        Of the numbers, in points.
    """
    axis.imshow(percent, HEAT, vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(percent):
        ink = PAPER if value > DARK else INK
        axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=size, color=ink)
