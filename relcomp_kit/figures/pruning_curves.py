"""Figures of lesson 02: counts, accuracy and sparsity over pruning steps and over the sparsification factor."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from relcomp_kit.figures.style import AGAINST, FOR, INK, LINES, REMOVED, figure


def limits_over_sf(sf: Sequence[float], numeric: Sequence[float], analytic: Sequence[float], c0: int) -> None:
    """Draw where the weight count stops: the recurrence as dots, the Lambert-W limit as a line (thesis, figure 4).

    Parameters
    ----------
    sf : sequence of float
        Sparsification factors of the dots, in [0, 1].
    numeric : sequence of float
        Weights left by the recurrence (XI), one number a factor.
    analytic : sequence of float
        Weights left by the Lambert-W limit (XII), at factors that cover 0 to 1 evenly. Where it exceeds
        ``c0``, close to SF 0, nothing is removed and the line is left out.
    c0 : int
        Weights at the start.
    """
    with figure() as (_, (axis,)):
        inside = np.where(np.array(analytic) <= c0, analytic, np.nan)
        axis.plot(np.linspace(0, 1, len(analytic)), inside, color=AGAINST, label="Lambert-W limit (XII)")
        axis.plot(sf, numeric, "o", color=FOR, markersize=10, label="recurrence (XI)")
        axis.set(xlabel="sparsification factor SF", ylabel=f"weights left of {c0}", ylim=(0, 1.05 * c0))
        axis.legend()


def _band(axis, x, curves: Sequence[Sequence[float]], line: tuple[str, str], label: str) -> None:
    """Draw the mean of several seeds' curves and, shaded, their range."""
    length = min(map(len, curves))
    values = np.array([curve[:length] for curve in curves])
    colour, style = line
    axis.plot(x[:length], values.mean(0), color=colour, linestyle=style, label=label)
    axis.fill_between(x[:length], values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)


def counts_over_steps(curves: Sequence[dict], title: str) -> None:
    """Draw one sparsification factor: density per layer and accuracy over pruning steps (thesis, figures 11 to 19).

    Parameters
    ----------
    curves : sequence of dict
        Seeds of one arm: ``left``, the weights left, (steps, layers), and ``test``, the accuracy in [0, 1], (steps,).
    title : str
        What to write above, such as the factor.
    """
    with figure(1, 2, size=(11, 4.4)) as (made, (density, accuracy)):
        steps = np.arange(len(curves[0]["test"]))
        for layer, line in enumerate(LINES[:3]):
            shares = [[row[layer] / curve["left"][0][layer] for row in curve["left"]] for curve in curves]
            _band(density, steps, shares, line, ("first layer", "second", "third")[layer])
        _band(accuracy, steps, [[100 * v for v in curve["test"]] for curve in curves], LINES[0], "test accuracy")
        density.set(xlabel="pruning step", ylabel="share of weights left (1/S)", ylim=(0, 1.03))
        accuracy.set(xlabel="pruning step", ylabel="accuracy, %")
        density.legend(loc="best")
        made.suptitle(f"{title}: {len(curves)} seeds, mean and range")


def arms_against(groups: dict[str, Sequence[dict]], title: str) -> None:
    """Draw the accuracy of several arms over pruning steps, mean and range over seeds.

    Parameters
    ----------
    groups : dict of str to sequence of dict
        Per arm its seeds, each with ``test``, the accuracy in [0, 1] at every pruning step.
    title : str
        What to write above.
    """
    with figure(size=(10, 5)) as (_, (axis,)):
        for (name, curves), line in zip(groups.items(), cycle(LINES)):
            steps = np.arange(min(len(curve["test"]) for curve in curves))
            _band(axis, steps, [[100 * v for v in curve["test"]] for curve in curves], line, name)
        axis.set(xlabel="pruning step", ylabel="test accuracy, %", title=title)
        axis.legend(loc="best")


def accuracy_over_sparsity(
    points: dict[str, tuple[Sequence[float], Sequence[float]]], baseline: float, title: str
) -> None:
    """Draw the accuracy at the end against the sparsity, one marker an arm (thesis, figure 20).

    Parameters
    ----------
    points : dict of str to (sparsity, accuracy)
        Shares in [0, 1], one pair a seed and factor.
    baseline : float
        Accuracy of the unpruned net with the same training, in [0, 1].
    title : str
        What to write above.
    """
    with figure(size=(10, 5)) as (_, (axis,)):
        for (name, (sparsity, accuracy)), (colour, _), marker in zip(
            points.items(), cycle(LINES), cycle("os^DvPX*hd<")
        ):
            axis.plot(
                100 * np.array(sparsity), 100 * np.array(accuracy), marker, color=colour, markersize=9, label=name
            )
        axis.axhline(100 * baseline, color=REMOVED, linestyle="--")
        axis.text(99, 100 * baseline, "unpruned, as much training", color="#666666", va="bottom", ha="right")
        axis.set(xlabel="sparsity, % of all weights removed", ylabel="test accuracy, %", xlim=(0, 100), title=title)
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def sparsity_over_sf(
    sf: Sequence[float], sparsity: Sequence[Sequence[float]], line: tuple[float, float], title: str
) -> None:
    """Draw sparsity against SF with the line fitted above 0.5 (thesis, figure 21).

    Parameters
    ----------
    sf : sequence of float
        Sparsification factors, in [0, 1].
    sparsity : sequence of sequence of float
        Per factor the seeds' sparsities, in [0, 1].
    line : (float, float)
        Slope and intercept of the fitted line, which gives sparsity as a share.
    title : str
        What to write above.
    """
    with figure() as (_, (axis,)):
        means = [100 * np.mean(values) for values in sparsity]
        ends = [
            [m - 100 * min(v) for m, v in zip(means, sparsity)],
            [100 * max(v) - m for m, v in zip(means, sparsity)],
        ]
        axis.errorbar(sf, means, yerr=ends, fmt="o", color=FOR, markersize=9, capsize=4, label="measured")
        x = np.array([0, 1])
        axis.plot(x, 100 * (line[0] * x + line[1]), color=AGAINST, label="line fitted over SF 0.5 to 0.95")
        axis.axvline(0.5, color=REMOVED, linestyle="--")
        axis.set(xlabel="sparsification factor SF", ylabel="sparsity, %", xlim=(0, 1), ylim=(-5, 100), title=title)
        axis.legend(loc="upper left")


def predictions(
    measured: dict[str, Sequence[float]], predicted: dict[str, dict[str, Sequence[float]]], title: str
) -> None:
    """Draw the count of weights left after convergence: measured seeds, and what each formula predicts.

    Parameters
    ----------
    measured : dict of str to sequence
        Per sparsification factor the seeds' counts.
    predicted : dict of str to dict
        Per formula the same; drawn is the mean over the seeds.
    title : str
        What to write above.
    """
    with figure(size=(10, 5)) as (_, (axis,)):
        places = np.arange(len(measured))
        width = 0.8 / (len(predicted) + 1)
        bars = {"measured": measured} | predicted
        for number, ((name, counts), shade) in enumerate(zip(bars.items(), (FOR, AGAINST, "#92c5de", INK))):
            means = [np.nanmean(values) for values in counts.values()]
            drawn = axis.bar(places + number * width, means, width, color=shade, label=name)
            axis.bar_label(drawn, [f"{value:,.0f}" for value in means], fontsize=11, padding=2)
        for place, counts in zip(places, measured.values()):
            axis.plot([place, place], [min(counts), max(counts)], color=INK, linewidth=3)
        axis.set_xticks(places + width, list(measured))
        axis.set(yscale="log", ylabel="weights left in the first layer", title=title)
        axis.margins(y=0.25)
        axis.grid(False, axis="x")
        axis.legend(loc="upper center", ncols=2)
