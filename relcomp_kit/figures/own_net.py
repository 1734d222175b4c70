"""Figures of lesson 10 and of the page of `relcomp compress`: where relevance lies, what goes, and the ladder."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from relcomp_kit.figures.style import FOR, INK, REMOVED, WHOLE, figure, looks

MOST_NAMES = 24  # of layers that have room below an axis


def relevance_by_layer(shares: Mapping[str, tuple[float, float]], keep: list[bytes] | None = None) -> None:
    """Draw which layers hold the relevance, and which the weights: two bars a layer, from the input to the output.

    Parameters
    ----------
    shares : mapping of str to (float, float)
        Per layer its share of the relevance, and of the weights, in [0, 1].
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
    """
    values = 100 * np.array(list(shares.values())).reshape(-1, 2)
    places = np.arange(len(values))
    with figure(size=(12, 4.6), keep=keep) as (_, (axis,)):
        axis.bar(places - 0.2, values[:, 0], 0.4, color=FOR, label="of the relevance")
        axis.bar(places + 0.2, values[:, 1], 0.4, color=REMOVED, label="of the weights")
        if len(places) <= MOST_NAMES:
            axis.set_xticks(places, list(shares), rotation=60, ha="right", fontsize=11)
        else:
            axis.set_xlabel(f"{len(places)} layers, from the input to the output")
        axis.set_ylabel("share, %")
        axis.grid(False, axis="x")
        axis.set_axisbelow(True)
        axis.legend()


def what_goes(
    panels: Mapping[str, tuple[Sequence[float], float, Mapping[str, Sequence[float]]]],
    ylabel: str,
    keep: list[bytes] | None = None,
) -> None:
    """Draw the score while more and more is taken away, a panel per kind, a line per measure that chooses what goes.

    Parameters
    ----------
    panels : mapping of str to (sequence of float, float, mapping of str to sequence of float)
        Per kind ("weights set to 0") the shares that are gone, in [0, 1]; the score of the whole net; and per measure
        ("relevance", "magnitude", "random") a score a share.
    ylabel : str
        What the score is; drawn, and added to the label, is percent.
    keep : list of bytes, optional
        As in `relevance_by_layer`.
    """
    drawn = looks(name for _, _, curves in panels.values() for name in curves)
    with figure(1, len(panels), size=(6.2 * len(panels), 4.8), sharey=True, keep=keep) as (made, axes):
        for axis, (kind, (gone, start, curves)) in zip(axes, panels.items()):
            x = [0, *(100 * share for share in gone)]
            for name, scores in curves.items():
                look = drawn[name]
                y = 100 * np.array([start, *scores])
                axis.plot(x, y, color=look.colour, linestyle=look.line, marker=look.marker, label=look.name)
            axis.axhline(100 * start, color=INK, linewidth=1.2)
            axis.set_xlabel(f"{kind}, %")
        axes[0].set_ylabel(f"{ylabel}, %")
        axes[0].set_ylim(bottom=0)
        names = {look.name for look in drawn.values()}
        shown = {line.get_label(): line for axis in axes for line in axis.lines if line.get_label() in names}
        made.legend(shown.values(), shown, loc="outside upper center", ncols=3)


def sizes_and_scores(
    points: Mapping[str, Sequence[tuple[float, float]]], start: tuple[float, float], ylabel: str,
    keep: list[bytes] | None = None,
) -> None:  # fmt: skip
    """Draw bytes against score of all nets that were made, an arm a colour, and the net as it came.

    Parameters
    ----------
    points : mapping of str to sequence of (float, float)
        Per arm the bytes, on a logarithmic axis, and the score in [0, 1].
    start : (float, float)
        Of the net as it came.
    ylabel : str
        What the score is; drawn, and added to the label, is percent.
    keep : list of bytes, optional
        As in `relevance_by_layer`.
    """
    drawn = looks(points)
    with figure(size=(10, 5), keep=keep) as (made, (axis,)):
        axis.plot(
            start[0] / 1000, 100 * start[1], "*", color=WHOLE, markersize=18, label="as it came", linestyle="none"
        )
        for name, some in points.items():
            look, (x, y) = drawn[name], np.array(some).T
            how = {"marker": look.marker, "markersize": 13, "linestyle": "none"}
            how |= {"markerfacecolor": "none", "markeredgewidth": 2.4}  # what lies below is seen
            axis.plot(x / 1000, 100 * y, color=look.colour, label=look.name, **how)
        axis.set(xscale="log", xlabel="kilobytes, logarithmic", ylabel=f"{ylabel} in the test, %")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_locator(NullLocator())
        made.legend(loc="outside upper center", ncols=3)
