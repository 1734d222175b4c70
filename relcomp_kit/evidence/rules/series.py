"""What all rules compute with: margins of series (one value a seed), and a series as text."""

import math
from collections.abc import Sequence
from statistics import fmean

Series = Sequence[float]


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


def strictly(margins: list[float]) -> list[float]:
    """Count a margin of exactly 0 as a failure."""
    return [margin if margin > 0 else min(margin, -1e-12) for margin in margins]


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
