"""Figures of lesson 07: codes of skewed sources, contexts, where bytes go, folding, and the ladder of formats."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from numpy.typing import ArrayLike

from relcomp_kit.figures.parts import behind, rows, size_text, stages
from relcomp_kit.figures.style import (
    AGAINST,
    FAINT,
    FOR,
    INK,
    PAPER,
    PLAIN,
    PURPLE,
    REMOVED,
    SMALL,
    SYMBOLS,
    figure,
    looks,
)

SIGNS = ListedColormap([AGAINST, FAINT, FOR])
FEW_LAYERS = 8
ENLARGED = 112  # columns of a wide matrix that are drawn again, enlarged
BEST = PURPLE  # the smallest file


def code_curves(curves: dict[str, tuple[ArrayLike, ArrayLike]], xlabel: str, ylabel: str) -> None:
    """Draw bits against the share of zeros, a line per code.

    The entropy is a broad pale line, so that a code that lies on it is seen.

    Parameters
    ----------
    curves : dict of str to (array, array)
        Per code shares in [0, 1] and bits a symbol.
    xlabel, ylabel : str
        What x, drawn in percent, and y are.
    """
    with figure(size=(11, 5)) as (made, (axis,)):
        for (x, y), look in zip(curves.values(), looks(curves).values()):
            style = {"color": look.colour, "linestyle": look.line, "marker": look.marker, "markersize": 8}
            wide = {} if look.marker else {"linewidth": 12, "alpha": 0.6, "solid_capstyle": "butt"}
            axis.plot(100 * np.asarray(x), y, label=look.name, **style, **wide)
        axis.set(xlabel=f"{xlabel}, %", ylabel=ylabel, ylim=(0, None))
        axis.margins(x=0.01)
        made.legend(loc="outside upper center", ncols=3)


def shrinking_interval(shares: dict[str, float], message: Sequence[str], shown: int = 4) -> None:
    """Draw how an arithmetic coder narrows [0, 1): a row a symbol, in which the piece it takes becomes the next row.

    Parameters
    ----------
    shares : dict of str to float
        Symbol to probability.
    message : sequence of str
        The symbols that are coded.
    shown : int
        Rows.
    """
    ends = np.cumsum([0.0, *shares.values()])
    low, width = 0.0, 1.0
    with figure(size=(11, 1.05 * shown + 0.8)) as (_, (axis,)):
        for row, symbol in enumerate(message[:shown]):
            for place, (name, shade) in enumerate(zip(shares, SYMBOLS)):
                left, right = ends[place], ends[place + 1]
                taken = name == symbol
                axis.barh(-row, right - left, 0.55, left, color=shade, edgecolor=INK, linewidth=2.5 if taken else 0.8)
                look = {"fontsize": 19, "weight": "bold" if taken else "normal"}
                axis.text((left + right) / 2, -row, name, ha="center", va="center", **look)
                if taken and row + 1 < shown:
                    for start, end in ((left, 0), (right, 1)):
                        axis.plot([start, end], [-row - 0.28, -row - 0.72], color=INK, linewidth=1, linestyle=":")
            look = {"va": "center", "fontsize": 15}
            axis.text(-0.01, -row, f"{low:.4g}", ha="right", **look)
            axis.text(1.01, -row, f"{low + width:.4g}", ha="left", **look)
            place = list(shares).index(symbol)
            low, width = low + width * ends[place], width * shares[symbol]
        axis.set(xlim=(-0.12, 1.12), ylim=(-shown + 0.5, 0.5))
        axis.axis("off")


def signs_of_indices(matrix: ArrayLike, xlabel: str, ylabel: str) -> None:
    """Draw which indices of a matrix are below 0, 0, or above 0, and of a wide one a part enlarged.

    Parameters
    ----------
    matrix : array
        The indices, (rows, columns), whole numbers.
    xlabel, ylabel : str
        What columns and rows are.
    """
    signs = np.sign(np.asarray(matrix))
    wide = signs.shape[1]
    first = (wide - ENLARGED) // 2
    parts = [(0, wide)] + [(first, first + ENLARGED)] * (wide > 2 * ENLARGED)
    with figure(len(parts), 1, size=(12.5, 0.6 + 2.9 * len(parts))) as (made, axes):
        for axis, (start, end) in zip(axes, parts):
            edges = (start - 0.5, end - 0.5, len(signs) - 0.5, -0.5)
            axis.imshow(signs[:, start:end], cmap=SIGNS, vmin=-1.5, vmax=1.5, aspect="auto", extent=edges)
            axis.grid(False)
            axis.set_ylabel(ylabel)
        if len(parts) == 2:
            axes[1].set_title("the middle, enlarged", loc="left")
        axes[-1].set_xlabel(xlabel)
        for name, value in (("below 0", 0), ("0", 1), ("above 0", 2)):
            axis.plot([], [], "s", color=SIGNS.colors[value], markeredgecolor=REMOVED, markersize=12, label=name)
        made.legend(loc="outside upper center", ncols=3)


def code_sizes(sizes: dict[str, float], xlabel: str, mark: str | None = None) -> None:
    """Draw the size that each code gives as a bar, the smallest in a colour of its own, with its number on the right.

    Parameters
    ----------
    sizes : dict of str to float
        Size by name of the code, in the unit that the label says.
    xlabel : str
        What the size is, with its unit.
    mark : str, optional
        The entry whose size is drawn as a line through all bars, such as the entropy.
    """
    smallest = min(sizes, key=sizes.__getitem__)
    with figure(size=(11, 0.5 * len(sizes) + 1.1)) as (_, (axis,)):
        colours = [BEST if name == smallest else INK if name == mark else REMOVED for name in sizes]
        axis.barh(range(len(sizes)), list(sizes.values()), 0.7, color=colours)
        rows(axis, list(sizes), [f"{size:.3g}" for size in sizes.values()])
        if mark:
            axis.axvline(sizes[mark], color=INK, linestyle="--", linewidth=1.5)
        axis.set_xlabel(xlabel)
        behind(axis, "x")


def bytes_by_layer(sizes: dict[str, tuple[float, float]]) -> None:
    """Draw what every tensor takes in a file, above, and what its weights take each in bits, below.

    Parameters
    ----------
    sizes : dict of str to (float, float)
        Per tensor, from the input to the output, its bytes and its bits per weight.
    """
    content, bits = np.array(list(sizes.values()), float).T
    places = np.arange(len(sizes))
    with figure(2, 1, size=(12, 5.8), sharex=True) as (_, axes):
        panels = (("where the bytes go", content / 1000, "kB", PURPLE), ("what a weight costs", bits, "bits", PLAIN))
        for axis, (title, values, label, colour) in zip(axes, panels):
            axis.bar(places, values, 0.85, color=colour)
            axis.set_ylabel(label)
            axis.set_title(title, loc="left")
            if len(sizes) > FEW_LAYERS:
                stages(axis, list(sizes))
            else:
                axis.set_xticks(places, sizes)
            behind(axis, "y")


def folded_lines(
    inputs: ArrayLike, four: Sequence[tuple[float, float, float, float]], two: Sequence[tuple[float, float]]
) -> None:
    """Draw batch-norm of some channels as what it is, a line each: by four numbers, and dotted by the two of its fold.

    Parameters
    ----------
    inputs : array
        Values that a channel takes, for the horizontal axis.
    four : sequence of (float, float, float, float)
        Per channel gamma, beta, mean and standard deviation.
    two : sequence of (float, float)
        Per channel slope and intercept.
    """
    x = np.array([np.min(inputs), np.max(inputs)], float)
    with figure(1, len(four), size=(max(6, 3.4 * len(four)), 4.6), sharex=True, sharey=True) as (made, axes):
        for number, (axis, (gamma, beta, mean, deviation), (slope, intercept)) in enumerate(zip(axes, four, two)):
            wide = {"color": PURPLE, "linewidth": 9, "alpha": 0.4, "label": "four numbers: γ, β, mean, variance"}
            axis.plot(x, gamma * (x - mean) / deviation + beta, **wide)
            dotted = {"color": INK, "linestyle": (0, (1, 1.5)), "label": "two: slope, intercept"}
            axis.plot(x, slope * x + intercept, **dotted)
            at_mean = {
                "color": INK,
                "markersize": 11,
                "markeredgecolor": PAPER,
                "label": "at its mean a channel gives β",
            }
            axis.plot(mean, beta, "o", **at_mean)
            axis.set_title(f"channel {number + 1}")
        made.supxlabel("before batch-norm", fontsize=15)
        axes[0].set_ylabel("after it")
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)


def size_ladder(panels: dict[str, dict[str, tuple[Sequence[float], Sequence[float]]]], ylabel: str) -> None:
    """Draw rung by rung how large a net is, as a dot on a logarithmic axis, and write how well it does then.

    Parameters
    ----------
    panels : dict of str to dict of str to (sequence of float, sequence of float)
        Per net and rung the seeds' bytes and scores in [0, 1].
    ylabel : str
        What the score is.
    """
    most = max(map(len, panels.values()))
    first, *_ = panels.values()
    with figure(1, len(panels), size=(14, 0.46 * most + 1.5)) as (_, axes):
        for axis, (title, rungs) in zip(axes, panels.items()):
            _ladder(axis, rungs, ylabel)
            axis.set_title(title)
            axis.tick_params(labelleft=rungs is first or list(rungs) != list(first))


def _ladder(axis: Axes, rungs: dict[str, tuple[Sequence[float], Sequence[float]]], ylabel: str) -> None:
    means = [float(np.mean(sizes)) for sizes, _ in rungs.values()]
    for place, mean in enumerate(means):
        colour = BEST if mean == min(means) else PLAIN
        axis.plot([mean, means[0]], [place, place], color=colour, linewidth=1.2, linestyle=":")
        axis.plot(mean, place, "o", color=colour, markersize=13)
        words = {"textcoords": "offset points", "ha": "right", "va": "center", "fontsize": SMALL}
        axis.annotate(f"{means[0] / mean:.1f}x", (mean, place), (-11, 0), **words)
    axis.set(xscale="log", xlim=(min(means) / 6, 2 * max(means)))
    axis.xaxis.set_major_formatter(lambda value, _: size_text(value))
    rows(axis, list(rungs), [f"{100 * np.mean(scores):.1f} %" for _, scores in rungs.values()])
    axis.text(1.02, 1.0, ylabel, va="bottom", transform=axis.transAxes, fontsize=SMALL)
    axis.set_xlabel("size, logarithmic")
    behind(axis, "x")
