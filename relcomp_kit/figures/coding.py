"""Figures of lesson 07: codes of skewed sources, contexts, where bytes go, folding, and the ladder of formats."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike

from relcomp_kit.figures.quantization_curves import _bytes
from relcomp_kit.figures.relevance_curves import _stages
from relcomp_kit.figures.segmentation_scores import _behind
from relcomp_kit.figures.style import AGAINST, FOR, INK, LINES, REMOVED, figure

SHADES = ["#f4b9a7", "#dadada", "#a9c7e2", "#cfe3c8", "#ecd9b0"]  # of symbols, light enough to write on
SIGNS = ListedColormap([AGAINST, "#f2f2f2", FOR])
FEW_LAYERS = 8


def code_curves(curves: dict[str, tuple[ArrayLike, ArrayLike]], xlabel: str, ylabel: str) -> None:
    """Draw bits against the share of zeros, a line per code.

    Parameters
    ----------
    curves : dict of str to (array, array)
        Per code shares in [0, 1] and bits a symbol.
    xlabel, ylabel : str
        What x, drawn in percent, and y are.
    """
    with figure(size=(10, 4.8)) as (made, (axis,)):
        for (name, (x, y)), (colour, line) in zip(curves.items(), LINES):
            axis.plot(100 * np.asarray(x), y, color=colour, linestyle=line, label=name)
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
            for place, (name, shade) in enumerate(zip(shares, SHADES)):
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
    """Draw which indices of a matrix are below 0, 0, or above 0.

    Parameters
    ----------
    matrix : array
        The indices, (rows, columns), whole numbers.
    xlabel, ylabel : str
        What columns and rows are.
    """
    signs = np.sign(np.asarray(matrix))
    with figure(size=(11, 4.6)) as (made, (axis,)):
        axis.imshow(signs, cmap=SIGNS, vmin=-1.5, vmax=1.5, aspect="auto", interpolation="nearest")
        axis.grid(False)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        for name, value in (("below 0", 0), ("0", 1), ("above 0", 2)):
            axis.plot([], [], "s", color=SIGNS.colors[value], markeredgecolor=REMOVED, markersize=12, label=name)
        made.legend(loc="outside upper center", ncols=3)


def code_sizes(sizes: dict[str, float], xlabel: str, mark: str | None = None) -> None:
    """Draw the size that each code gives as a bar with its number, the smallest in red.

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
    with figure(size=(10, 0.5 * len(sizes) + 1.1)) as (_, (axis,)):
        colours = [FOR if name == smallest else INK if name == mark else REMOVED for name in sizes]
        drawn = axis.barh(list(sizes), list(sizes.values()), 0.7, color=colours)
        halo = [withStroke(linewidth=5, foreground="white")]
        words = [f"{size:.3g}" for size in sizes.values()]
        axis.bar_label(drawn, words, padding=6, fontsize=14, path_effects=halo, zorder=4)
        if mark:
            axis.axvline(sizes[mark], color=INK, linestyle="--", linewidth=1.5)
        axis.set(xlabel=xlabel, ylim=(len(sizes) - 0.5, -0.5))
        axis.margins(x=0.12)
        _behind(axis, "x")


def bytes_by_layer(sizes: dict[str, tuple[float, float]]) -> None:
    """Draw what every tensor takes in a file, above, and what its weights take each in bits, below.

    Parameters
    ----------
    sizes : dict of str to (float, float)
        Per tensor, from the input to the output, its bytes and its bits per weight.
    """
    content, bits = np.array(list(sizes.values()), float).T
    places = np.arange(len(sizes))
    with figure(2, 1, size=(11, 6), sharex=True) as (_, axes):
        for axis, values, label in zip(axes, (content / 1000, bits), ("kB", "bits a weight")):
            axis.bar(places, values, 0.85, color=FOR if label == "kB" else AGAINST)
            axis.set_ylabel(label)
            if len(sizes) > FEW_LAYERS:
                _stages(axis, list(sizes))
            else:
                axis.set_xticks(places, sizes)
            _behind(axis, "y")


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
    with figure(size=(10, 4.8)) as (made, (axis,)):
        for (gamma, beta, mean, deviation), (slope, intercept), (colour, _) in zip(four, two, LINES):
            axis.plot(x, gamma * (x - mean) / deviation + beta, color=colour, linewidth=7, alpha=0.35)
            axis.plot(x, slope * x + intercept, color=colour, linestyle=(0, (1, 1.5)))
            axis.plot(mean, beta, "o", color=colour, markersize=11, markeredgecolor="white")
        axis.plot([], [], color=INK, linewidth=7, alpha=0.35, label="four: γ, β, mean, variance")
        axis.plot([], [], color=INK, linestyle=(0, (1, 1.5)), label="two: slope, intercept")
        axis.plot([], [], "o", color=INK, markersize=11, label="at its mean a channel gives β")
        axis.set(xlabel="before batch-norm", ylabel="after it")
        made.legend(loc="outside upper center", ncols=3)


def size_ladder(panels: dict[str, dict[str, tuple[Sequence[float], Sequence[float]]]], ylabel: str) -> None:
    """Draw rung by rung how large a net is, on a logarithmic axis, and write how well it does then.

    Parameters
    ----------
    panels : dict of str to dict of str to (sequence of float, sequence of float)
        Per net and rung the seeds' bytes and scores in [0, 1].
    ylabel : str
        What the score is.
    """
    rows = max(map(len, panels.values()))
    first, *_ = panels.values()
    with figure(1, len(panels), size=(13, 0.5 * rows + 1.3)) as (_, axes):
        for axis, (title, rungs) in zip(axes, panels.items()):
            _ladder(axis, rungs, ylabel)
            axis.set_title(title)
            axis.tick_params(labelleft=rungs is first or list(rungs) != list(first))


def _ladder(axis: Axes, rungs: dict[str, tuple[Sequence[float], Sequence[float]]], ylabel: str) -> None:
    means = [float(np.mean(sizes)) for sizes, _ in rungs.values()]
    drawn = axis.barh(list(rungs), means, 0.7, color=[FOR if mean == min(means) else AGAINST for mean in means])
    words = [f"{means[0] / mean:.1f}x" for mean in means]
    axis.bar_label(drawn, words, label_type="edge", padding=5, fontsize=14)
    axis.set(xscale="log", ylim=(len(rungs) - 0.5, -0.5), xlim=(min(means) / 4, 6 * max(means)))
    axis.xaxis.set_major_formatter(lambda value, _: _bytes(value))
    for place, (_, scores) in enumerate(rungs.values()):
        text = f"{100 * np.mean(scores):.1f} %"
        axis.text(1.01, place, text, va="center", transform=axis.get_yaxis_transform(), fontsize=14)
    axis.text(1.01, 1.0, ylabel, va="bottom", transform=axis.transAxes, fontsize=13)
    axis.set_xlabel("size, logarithmic")
    _behind(axis, "x")
