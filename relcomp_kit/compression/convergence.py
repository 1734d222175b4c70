"""Where median threshold pruning stops: the thesis' recurrence, its Lambert-W limit, and one without its assumption."""

import math

import torch
from scipy.special import lambertw
from torch import Tensor

from relcomp_kit.compression.pruning import check_sf
from relcomp_kit.errors import UserError


def _check_count(c0: float, m: float) -> None:
    if c0 < 1 or not 0 < m <= 1:
        raise UserError(f"the count at the start must be at least 1 and m in (0, 1], not {c0} and {m}")


def recurrence(c0: int, sf: float, m: float = 0.5) -> list[int]:
    """Return the weight counts of the recurrence, the start included, until they stop falling.

    ``C_t = C_{t-1} - floor(C_{t-1} * m * SF ** (C_0 / C_{t-1}))``. It assumes that a share ``m * SF ** S`` of the
    weights lies below ``SF ** S`` times the median, which holds for uniform importances with m = 1/2.
    Source: Böhnke, formula XI.

    Parameters
    ----------
    c0 : int
        Weights at the start, 1 or more.
    sf : float
        Sparsification factor in [0, 1]; 0 removes nothing.
    m : float
        Share of the weights below the median, in (0, 1].

    Returns
    -------
    list of int
        Weights left after each step; the first is ``c0``.

    Raises
    ------
    UserError
        If an argument is outside its range.

    Examples
    --------
    >>> recurrence(12, sf=0.5)[:4]
    [12, 9, 8, 7]
    """
    _check_count(c0, m)
    if sf != 0:
        check_sf(sf)
    counts = [c0]
    while counts[-1]:
        gone = math.floor(counts[-1] * m * sf ** (c0 / counts[-1]))
        if gone == 0:
            break
        counts.append(counts[-1] - gone)
    return counts


def lambertw_limit(c0: float, sf: float, m: float = 0.5) -> float:
    """Return the weight count at which a pruning step removes less than one weight.

    ``C = -C_0 ln(SF) / W(-C_0 m ln(SF))`` with the principal branch of Lambert's W. At the ends it is coded as
    its limits: C_0 for SF = 0 and 1 / m for SF = 1. Where C_0 m SF < 1 not even the first step removes a weight, and
    the formula exceeds C_0. Source: Böhnke, formula XII.

    Parameters
    ----------
    c0 : float
        Weights at the start, 1 or more.
    sf : float
        Sparsification factor in [0, 1].
    m : float
        Share of the weights below the median, in (0, 1].

    Returns
    -------
    float
        The limit in weights, not rounded.

    Raises
    ------
    UserError
        If an argument is outside its range.

    Examples
    --------
    The thesis' worked example:

    >>> round(lambertw_limit(100, sf=0.3), 4)
    40.1421
    """
    _check_count(c0, m)
    if sf == 0:
        return float(c0)
    check_sf(sf)
    if sf == 1:
        return 1 / m
    log = -math.log(sf)
    return c0 * log / float(lambertw(c0 * m * log).real)


def empirical_count(importance: Tensor, count: int, c0: int, sf: float) -> int:
    """Return the weights left after one step, from the importance distribution F of one neuron.

    ``C_t = C_{t-1} (1 - F(SF ** (C_0 / C_{t-1}) * median))``, rounded up to whole weights. With F measured at every
    step, on the weights left, this is the pruning itself, exactly; with F frozen it is a prediction.

    Parameters
    ----------
    importance : Tensor
        The importances that F is made of, (n,); their median is the lower one, as in the rule.
    count, c0 : int
        Weights left before the step, and at the start.
    sf : float
        Sparsification factor in (0, 1].

    Returns
    -------
    int
        Weights left after the step.

    Raises
    ------
    UserError
        If SF is outside its range.
    """
    check_sf(sf)
    bar = importance.median() * sf ** (c0 / torch.tensor(count))  # in single precision, as the rule computes it
    below = int((importance <= bar).sum())
    return count - (count * below) // len(importance)


def empirical_recurrence(importance: Tensor, sf: float) -> list[int]:
    """Return a layer's weight counts until they stop, with every neuron's distribution frozen at the first step.

    Parameters
    ----------
    importance : Tensor
        Cumulated importance before the first step, (neurons, inputs).
    sf : float
        Sparsification factor in (0, 1].
    """
    neurons, c0 = importance.shape
    counts = [c0] * neurons
    totals = [sum(counts)]
    while True:
        counts = [empirical_count(row, count, c0, sf) if count else 0 for row, count in zip(importance, counts)]
        if sum(counts) == totals[-1]:
            return totals
        totals.append(sum(counts))
