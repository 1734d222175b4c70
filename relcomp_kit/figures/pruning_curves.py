"""Figures of lesson 02: counts, accuracy and sparsity over pruning steps and over the sparsification factor."""

from collections.abc import Sequence

import numpy as np

from relcomp_kit.figures.parts import band, behind, dots, rows
from relcomp_kit.figures.style import (
    AGAINST,
    FOR,
    INK,
    LOOKS,
    ORANGE,
    PURPLE,
    REMOVED,
    WHOLE,
    Look,
    figure,
    looks,
)

LAYERS = [("first layer", PURPLE, "-"), ("second", ORANGE, "-."), ("third", INK, "--")]
FORMULAS = [(AGAINST, "v"), (ORANGE, "^"), (INK, "s")]
SAME = 5  # points of sparsity within which arms are compared
MARKS = 10  # a curve


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


def counts_over_steps(curves: Sequence[dict], title: str) -> None:
    """Draw one sparsification factor: density per layer and accuracy over pruning steps (thesis, figures 11 to 19).

    Parameters
    ----------
    curves : sequence of dict
        Seeds of one arm: ``left``, the weights left, (steps, layers), and ``test``, the accuracy in [0, 1], (steps,).
    title : str
        What to write above, such as the factor.
    """
    with figure(1, 2, size=(12.5, 4.8)) as (made, (density, accuracy)):
        steps = np.arange(min(len(curve["test"]) for curve in curves))
        for layer, (name, colour, line) in enumerate(LAYERS):
            shares = [[row[layer] / curve["left"][0][layer] for row in curve["left"]] for curve in curves]
            band(density, steps, [share[: len(steps)] for share in shares], Look(name, colour, line, ""))
        band(accuracy, steps, _accuracies(curves, len(steps)), LOOKS["relevance"])
        density.set(xlabel="pruning step", ylabel="weights left (1/S)", ylim=(0, 1.03), title="density of each layer")
        accuracy.set(xlabel="pruning step", ylabel="accuracy, %", title="accuracy in the test")
        density.legend(loc="best")
        made.suptitle(f"{title}: {len(curves)} seeds, mean and range")


def _accuracies(curves: Sequence[dict], steps: int) -> list[list[float]]:
    return [[100 * value for value in curve["test"][:steps]] for curve in curves]


def arms_against(groups: dict[str, Sequence[dict]], title: str, keep: list[bytes] | None = None) -> None:
    """Draw the accuracy of several arms over pruning steps, mean and range over seeds.

    Parameters
    ----------
    groups : dict of str to sequence of dict
        Per arm its seeds, each with ``test``, the accuracy in [0, 1] at every pruning step.
    title : str
        What to write above.
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
    """
    with figure(size=(11.5, 5), keep=keep) as (made, (axis,)):
        for curves, look in zip(groups.values(), looks(groups).values()):
            steps = min(len(curve["test"]) for curve in curves)
            band(axis, np.arange(steps), _accuracies(curves, steps), look, every=max(1, steps // MARKS))
        axis.set(xlabel="pruning step", ylabel="test accuracy, %", title=title)
        made.legend(loc="outside upper center", ncols=3)


def accuracy_over_sparsity(
    points: dict[str, tuple[Sequence[float], Sequence[float]]], baseline: float, title: str
) -> None:
    """Draw how the first arm loses accuracy with sparsity, and beside it all arms where they are sparsest.

    On the left (thesis, figure 20) each dot is a net. On the right each row is an arm: its nets within `SAME` points of
    its highest sparsity, which stands beside the name.

    Parameters
    ----------
    points : dict of str to (sparsity, accuracy)
        Shares in [0, 1], one pair a seed and factor.
    baseline : float
        Accuracy of the unpruned net with the same training, in [0, 1].
    title : str
        What to write above.
    """
    drawn = looks(points, alike=True)
    found = {name: 100 * np.array(pairs, float) for name, pairs in points.items()}
    ends = {name: pair[1][pair[0] > pair[0].max() - SAME] for name, pair in found.items()}
    first = next(iter(found))
    with figure(1, 2, size=(14.5, max(4.6, 0.42 * len(found) + 1.6)), width_ratios=[1, 1.1]) as (made, (curve, arms)):
        curve.plot(*found[first], "o", color=drawn[first].colour, markersize=8)
        ranked = sorted(ends, key=lambda name: -ends[name].mean())
        means = [dots(arms, place, ends[name], drawn[name]) for place, name in enumerate(ranked)]
        names = [f"{name}, {found[name][0].max():.0f} %" for name in ranked]
        rows(arms, names, [f"{mean:.1f}" for mean in means])
        curve.axhline(100 * baseline, color=WHOLE, linestyle="-.")
        arms.axvline(100 * baseline, color=WHOLE, linestyle="-.", label="unpruned, as much training")
        curve.set(xlabel="weights removed, %", ylabel="test accuracy, %", xlim=(0, 100), title=first)
        arms.set(xlabel="test accuracy, %", title="all arms, and how sparse they are")
        made.legend(handles=arms.lines[-1:], loc="outside lower center")
        made.suptitle(title)


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
    with figure(size=(11, 4.8)) as (_, (axis,)):
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
    shown = {"measured": (measured, FOR, "o")}
    shown |= {name: (counts, *look) for (name, counts), look in zip(predicted.items(), FORMULAS)}
    with figure(size=(12, 5.2)) as (made, (axis,)):
        for number, (name, (counts, colour, marker)) in enumerate(shown.items()):
            places = np.arange(len(measured)) + 0.8 * (number + 0.5) / len(shown) - 0.4
            means = [np.nanmean(values) for values in counts.values()]
            axis.plot(places, means, marker, color=colour, markersize=13, label=name)
            if name == "measured":
                axis.vlines(places, *zip(*((min(values), max(values)) for values in counts.values())), color=INK)
            for place, mean in zip(places, means):
                axis.annotate(f"{mean:,.0f}", (place, mean), (0, 11), textcoords="offset points", ha="center")
        for place in range(1, len(measured)):
            axis.axvline(place - 0.5, color=REMOVED, linewidth=1)
        axis.set_xticks(range(len(measured)), list(measured))
        axis.set(yscale="log", ylabel="weights left in the first layer", title=title, xlim=(-0.5, len(measured) - 0.5))
        axis.margins(y=0.2)
        behind(axis, "y")
        made.legend(loc="outside upper center", ncols=len(shown))
