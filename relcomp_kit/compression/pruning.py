"""Rules that decide which weights of a layer go. All take importance and mask as (neurons, inputs), rows = neurons.

Masks only shrink, except under the probabilistic rule, which may give a weight back.
"""

import math

import torch
from torch import Tensor

from relcomp_kit.errors import UserError


def check_sf(sf: float) -> None:
    """Raise unless the sparsification factor lies in (0, 1]."""
    if not 0 < sf <= 1:
        raise UserError(f"the sparsification factor SF must lie in (0, 1], not {sf}")


def _check(importance: Tensor, mask: Tensor) -> None:
    if importance.shape != mask.shape or importance.dim() != 2:
        raise UserError(
            f"importance {tuple(importance.shape)} and mask {tuple(mask.shape)} must be of one shape (neurons, inputs)"
        )
    if importance.isnan().any():
        row = int(importance.isnan().any(1).nonzero()[0])
        raise UserError(f"the importance of neuron {row} holds NaN; look for NaN in the net's weights or the images")


def thresholds(importance: Tensor, mask: Tensor, sf: float) -> Tensor:
    """Return every neuron's threshold, ``median(importance of the weights left) * SF ** S``.

    S = weights at the start over weights left, at least 1, so the bar drops as the neuron gets sparser. Of an even
    count the median is the lower of the two middle values, as `torch.median` has it. Source: Böhnke, formula X.

    Parameters
    ----------
    importance : Tensor
        Cumulated importance, (neurons, inputs), not negative.
    mask : Tensor
        Weights left, (neurons, inputs), bool or 0 and 1.
    sf : float
        Sparsification factor in (0, 1].

    Returns
    -------
    Tensor
        (neurons,), in units of the importance.

    Raises
    ------
    UserError
        If SF is outside (0, 1], the importance holds NaN, or a neuron has no weight left.
    """
    check_sf(sf)
    _check(importance, mask)
    left = mask.bool().sum(1)
    if (left == 0).any():
        row = int((left == 0).nonzero()[0])
        raise UserError(f"neuron {row} has no weight left, so it has no median; take it out of the layer first")
    ordered = importance.masked_fill(~mask.bool(), torch.inf).sort(1).values
    median = ordered.gather(1, ((left - 1) // 2)[:, None])[:, 0]
    inverse_density = mask.shape[1] / left
    return median * sf**inverse_density


def median_threshold_step(importance: Tensor, mask: Tensor, sf: float, *, ties_go: bool = True) -> Tensor:
    """Prune one layer by the median threshold rule, once. Source: Böhnke, formula X.

    Parameters
    ----------
    importance : Tensor
        Cumulated importance, (neurons, inputs), not negative.
    mask : Tensor
        Weights left, (neurons, inputs).
    sf : float
        Sparsification factor in (0, 1]: near 0 nothing goes, 1 takes half in the first step.
    ties_go : bool
        Weights that equal the threshold go (the published program) or stay (the thesis' text).

    Returns
    -------
    Tensor
        The new mask, bool, (neurons, inputs).

    Raises
    ------
    UserError
        As in `thresholds`.

    Examples
    --------
    >>> importance = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    >>> median_threshold_step(importance, torch.ones(1, 4), sf=1.0)
    tensor([[False, False,  True,  True]])
    """
    bar = thresholds(importance, mask, sf)[:, None]
    return mask.bool() & (importance > bar if ties_go else importance >= bar)


def keep_ranks(importance: Tensor, mask: Tensor, keep: int | Tensor) -> Tensor:
    """Keep each neuron's ``keep`` most important weights (a fixed rank: all below it go).

    Parameters
    ----------
    importance : Tensor
        (neurons, inputs).
    mask : Tensor
        Weights left, (neurons, inputs), bool or 0 and 1.
    keep : int or Tensor
        One count, or one per neuron, (neurons,): so another rule's counts can be matched at equal sparsity.

    Returns
    -------
    Tensor
        The new mask, bool, (neurons, inputs).

    Raises
    ------
    UserError
        If the shapes differ or the importance holds NaN.
    """
    _check(importance, mask)
    keep = torch.as_tensor(keep).expand(len(mask))
    score = importance.masked_fill(~mask.bool(), -torch.inf)
    order = score.argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    return mask.bool() & (rank < keep[:, None])


def constant_rate_step(importance: Tensor, mask: Tensor, rate: float) -> Tensor:
    """Remove the least important share ``rate`` of what each neuron has left, at least one weight (the PF rule).

    Source: Böhnke, pruning factor PF in percent; ``rate`` = PF / 100.

    Parameters
    ----------
    importance : Tensor
        (neurons, inputs).
    mask : Tensor
        Weights left, (neurons, inputs), bool or 0 and 1.
    rate : float
        Share to remove, in (0, 1].

    Returns
    -------
    Tensor
        The new mask, bool, (neurons, inputs).

    Raises
    ------
    UserError
        If the rate is outside its range, the shapes differ or the importance holds NaN.
    """
    if not 0 < rate <= 1:
        raise UserError(f"the pruning rate must lie in (0, 1], not {rate}")
    left = mask.bool().sum(1)
    gone = torch.tensor([math.ceil(round(rate * count, 9)) for count in left.tolist()])  # 0.07 * 100 is above 7
    return keep_ranks(importance, mask, left - gone)


def probabilistic_update(importance: Tensor, probability: Tensor, target: float, rate: float = 0.1) -> Tensor:
    """Raise the pruning probability of weights of low rank and lower that of high rank, once.

    A neuron's least important weight gains ``rate``, the weight at rank ``target`` nothing, those above lose up to
    ``rate``; a probability that has reached 1 stays there. The linear form is a simplification: the source's rule
    (structured probabilistic pruning, the thesis' source 17) bends the line.

    Parameters
    ----------
    importance, probability : Tensor
        (neurons, inputs); probability of being masked, in [0, 1].
    target : float
        Share of weights that shall go in the end, in (0, 1).
    rate : float
        The most that a probability changes in one update.

    Returns
    -------
    Tensor
        The new probabilities, (neurons, inputs); ``torch.rand(...) >= probability`` draws a mask from them.

    Raises
    ------
    UserError
        If ``target`` is outside its range, the shapes differ or the importance holds NaN.
    """
    _check(importance, probability)
    if not 0 < target < 1:
        raise UserError(f"the share of weights to remove must lie in (0, 1), not {target}")
    gone = probability >= 1
    order = importance.masked_fill(gone, -torch.inf).argsort(dim=1, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    change = rate * (1 - rank / (target * order.shape[1])).clamp(-1, 1)
    return torch.where(gone, 1.0, (probability + change).clamp(0, 1))
