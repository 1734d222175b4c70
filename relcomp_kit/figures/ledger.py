"""Figures of lesson 09: the whole pipeline in bytes and scores, and how many claims hold."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from relcomp_kit.evidence.report import VERDICTS
from relcomp_kit.figures.style import PAPER, REST, Look, figure, looks

DEPTH = {"accuracy": 8, "mIoU": 25}  # points below the best that are shown
TICKS = (1, 2, 5, 10, 20, 50, 100)


def whole_picture(panels: Sequence, keep: list[bytes] | None = None) -> None:
    """Draw scores against size, a row a net, a panel a step: the mean of the seeds, with their range as a bar.

    What the other steps make of the same net is drawn below in grey, so that steps can be compared.

    Parameters
    ----------
    panels : sequence of relcomp_kit.studies.whole_picture.Panel
        Per net its title, what the score is, and families of points: step, size and scores as shares.
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
    """
    families = [family for panel in panels for family in panel.families]
    drawn = looks(family.name for family in families)
    steps = list(dict.fromkeys(family.step for family in families)) or [""]
    with figure(len(panels), len(steps), size=(14.5, 7.3), sharey="row", keep=keep) as (made, axes):
        for number, axis in enumerate(axes):
            panel, step = panels[number // len(steps)], steps[number % len(steps)]
            own = [family for family in panel.families if family.step == step]
            if not own:
                axis.axis("off")
                continue
            for family in panel.families:
                if family in own:
                    _curve(axis, family, drawn[family.name])
                else:
                    axis.plot(*_means(family), color=REST, linewidth=2, zorder=1)
            _sizes(axis, [point.size for family in panel.families for point in family.points])
            scores = [100 * score for family in panel.families for point in family.points for score in point.scores]
            axis.set(
                title=step if number % len(steps) else f"{panel.title}\n{step}",
                ylabel="" if number % len(steps) else f"{panel.score} in the test, %",
                ylim=(max(min(scores), max(scores) - DEPTH[panel.score]) - 0.5, max(scores) + 0.5),
            )
            axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        made.supxlabel("size, % of float32, logarithmic", fontsize=15)
        lines = [line for column in range(len(steps)) for axis in axes[column :: len(steps)] for line in axis.lines]
        shown = {line.get_label(): line for line in lines if line.get_label() in drawn}
        if shown:
            made.legend(shown.values(), shown, loc="outside upper center", ncols=3)


def _curve(axis: Axes, family, look: Look) -> None:
    x, y = _means(family)
    style = {"color": look.colour, "linestyle": look.line, "marker": look.marker, "markersize": 8}
    axis.plot(x, y, label=family.name, **style)
    ends = 100 * np.array([[min(point.scores), max(point.scores)] for point in family.points])
    axis.vlines(x, *ends.T, color=look.colour, linewidth=2)


def _means(family) -> tuple[list[float], list[float]]:
    """Return size and mean score of every point, in percent."""
    return [100 * point.size for point in family.points], [100 * fmean(point.scores) for point in family.points]


def _sizes(axis: Axes, sizes: Sequence[float]) -> None:
    """Give an axis of sizes a logarithmic scale with numbers that everyone can read."""
    axis.set_xscale("log")
    axis.xaxis.set_minor_locator(NullLocator())
    low = 100 * min(sizes, default=0.01)
    axis.set_xticks([tick for tick in TICKS if tick >= low / 2])
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlim(low / 1.2, 120)


def verdict_counts(counts: Mapping[str, Mapping[str, Mapping[str, int]]], keep: list[bytes] | None = None) -> None:
    """Draw how many claims have which verdict: a panel a kind, in it a bar for each group, with the numbers in it.

    Parameters
    ----------
    counts : mapping of str to mapping of str to mapping of str to int
        By kind, such as claims and controls, and by group, such as a work, the number of claims by verdict.
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
    """
    kinds = {kind: groups for kind, groups in counts.items() if groups}
    most = max((sum(group.values()) for groups in kinds.values() for group in groups.values()), default=1)
    rows = max(map(len, kinds.values()), default=1)
    used = {verdict for groups in kinds.values() for group in groups.values() for verdict in group}
    with figure(1, len(kinds), size=(7.5 * len(kinds), 2.1 + 0.85 * rows), keep=keep) as (made, axes):
        for axis, (kind, groups) in zip(axes, kinds.items()):
            for place, group in enumerate(groups.values()):
                _bar(axis, place, group)
            axis.set_yticks(range(len(groups)), list(groups))
            axis.set(title=kind, xlim=(0, most + 0.5), ylim=(rows - 0.5, -0.5), xlabel="number")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.grid(False, axis="y")
            axis.set_axisbelow(True)
            axis.tick_params(axis="y", length=0)
        for verdict, (colour, *_) in VERDICTS.items():
            if verdict in used:
                axes[0].barh(0, 0, color=colour, label=verdict)
        made.legend(loc="outside upper center", ncols=4)


def _bar(axis: Axes, place: int, group: Mapping[str, int]) -> None:
    """Draw one bar, a part for each verdict."""
    left = 0
    for verdict, (colour, ink, _) in VERDICTS.items():
        number = group.get(verdict, 0)
        if number:
            axis.barh(place, number, 0.72, left, color=colour, edgecolor=PAPER, linewidth=2)
            axis.text(left + number / 2, place, str(number), ha="center", va="center", color=ink)
        left += number
