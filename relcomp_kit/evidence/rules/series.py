"""What all rules compute with: margins of series (one value a seed), smallest effects of interest, series as text.

The smallest effects are fixed by what the works themselves call equal, not by what was measured: a loss of half a point
of accuracy is "without loss" in ECQ^x, so a gain of less is none either; an expert may lose two points of IoU.
"""

import math
from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.evidence.verdicts import Condition

Series = Sequence[float]
ACCURACY = 0.005  # half a point
IOU = 0.02  # two points
CORRELATION = 0.05  # a twentieth of what a coefficient can be
COSTS = 0.05  # share of the multiply-adds of a net
SHARE = 0.01  # of the weights
BYTES = 0.01  # of a rival's
ABOVE = 1e-9  # by which a value has to exceed what it has to be above


def better(values: Series, others: Series, matters: float = ACCURACY, unit: str = "points") -> Condition:
    """Return the condition that one arm is better than another, seed by seed.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    others : sequence of float
        Of the same seeds, by the other arm.
    matters : float
        The smallest lead of interest.
    unit : str
        Of the lead; see `relcomp_kit.evidence.verdicts.Condition`.
    """
    return Condition(above(values, others), matters, unit)


def at_least(values: Series, bound: Series | float, unit: str = "") -> Condition:
    """Return the condition that values reach a bound, or one for each seed.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    bound : sequence of float or float
        What they have to reach.
    unit : str
        Of the margin; see `relcomp_kit.evidence.verdicts.Condition`.
    """
    return Condition(above(values, bound), unit=unit)


def over(values: Series, bound: float, unit: str = "") -> Condition:
    """Return the condition that values are above a bound; to reach it is not enough.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    bound : float
        What they have to exceed.
    unit : str
        Of the margin; see `relcomp_kit.evidence.verdicts.Condition`.
    """
    return Condition([margin - ABOVE for margin in above(values, bound)], unit=unit)


def at_most(values: Series, bound: Series | float, unit: str = "", side: bool = False) -> Condition:
    """Return the condition that values stay at or under a bound, or one for each seed.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    bound : sequence of float or float
        What they must not exceed.
    unit : str
        Of the margin; see `relcomp_kit.evidence.verdicts.Condition`.
    side : bool
        Whether it is a side condition.
    """
    return Condition(below(values, bound), unit=unit, side=side)


def above(values: Series, others: Series | float) -> list[float]:
    """Return by how much each value exceeds its partner, or a bound.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    others : sequence of float or float
        A partner for each value, or one bound for all.

    Returns
    -------
    list of float
        The differences, 0 or more where a value reaches its partner.
    """
    partners = [others] * len(values) if isinstance(others, int | float) else others
    return [value - partner for value, partner in zip(values, partners, strict=True)]


def below(values: Series, others: Series | float) -> list[float]:
    """Return by how much each value stays under its partner, or a bound.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    others : sequence of float or float
        A partner for each value, or one bound for all.

    Returns
    -------
    list of float
        The differences, 0 or more where a value does not exceed its partner.
    """
    return [-margin for margin in above(values, others)]


def spread(values: Series, digits: int = 3) -> str:
    """Return mean and range as text, or "not reached" if a value is NaN: a run did not get there.

    Parameters
    ----------
    values : sequence of float
        One value a seed.
    digits : int
        Digits after the point; a range too narrow to show with them is left out.

    Returns
    -------
    str
        Such as "0.52 (0.50 to 0.55)".
    """
    if any(math.isnan(value) for value in values):
        return "not reached"
    if max(values) - min(values) < 10**-digits / 2:
        return f"{fmean(values):.{digits}f}"
    return f"{fmean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def percent(values: Series) -> str:
    """Return mean and range of shares, in percent."""
    text = spread([100 * value for value in values], 1)
    return text if text == "not reached" else text + " %"


def points_lost(lost: Series, before: Series = ()) -> str:
    """Return losses of IoU in points as text, and as shares of what there was to lose.

    Parameters
    ----------
    lost : sequence of float
        Shares, one a seed: 0.02 is 2 points.
    before : sequence of float
        IoU before, above 0; without it only points are told.
    """
    text = spread([100 * value for value in lost], 1)
    if not before:
        return text
    return f"{text}, which is {percent([less / whole for less, whole in zip(lost, before, strict=True)])} of the IoU"
