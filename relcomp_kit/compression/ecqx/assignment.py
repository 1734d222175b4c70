"""Which centroid a weight goes to: ECQ, and ECQ^x, in which relevance keeps weights from zero or sends them there."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.compression.ecqx.centroids import check_weight, chunks, count_up_to, kth_smallest
from relcomp_kit.compression.ecqx.interval_lookup import Lookup
from relcomp_kit.compression.ecqx.lower_envelope import borders, prices, shares
from relcomp_kit.errors import UserError
from relcomp_kit.threads import paying

RHO = 2.0
FARTHEST = 1e18  # steps from 0 that are still told apart: their square stays in float32's range


@dataclass(frozen=True)
class Grid:
    """The centroids of a tensor and what their entropy weighs.

    Parameters
    ----------
    step : float
        Distance of two centroids, in units of the weights; above 0.
    levels : (int, int)
        The lowest and the highest index; 0 is between them.
    lam : float
        Lambda, in squared units of the weights per bit; 0 or more.

    Raises
    ------
    UserError
        If a value is outside its range, or there are more than 256 levels.
    """

    step: float
    levels: tuple[int, int]
    lam: float

    def __post_init__(self):
        lowest, highest = self.levels
        if not 0 < self.step < math.inf:
            raise UserError(f"the step must be a positive number, not {self.step}")
        if not lowest <= 0 <= highest or highest - lowest > 255:
            raise UserError(f"the levels must enclose 0 and be 256 at most, not {lowest} to {highest}")
        if not 0 <= self.lam < math.inf:
            raise UserError(f"lambda must be 0 or a positive number, not {self.lam}")

    @property
    def dtype(self) -> torch.dtype:
        """The type of indices: int8, or int16 where the levels reach 128."""
        return torch.int8 if self.levels[1] < 128 else torch.int16


@dataclass(frozen=True, eq=False)
class Assignment:
    """What decides the indices of a tensor, kept so that they can be found again after small changes of the weights.

    `fit` makes one. Probabilities, borders and beta are those of the weights that it saw.

    Parameters
    ----------
    grid : Grid
        The centroids.
    plain : Lookup
        Weight to its index under ECQ.
    others : Lookup, optional
        Weight to its cheapest index other than 0; without it ECQ alone decides.
    price : Tensor
        What the bits of every index cost, (levels,), in squared steps.
    relevance : Tensor, optional
        In [0, 1], of the weights' shape; kept, not copied.
    beta : float
        The exponent of relevance.
    """

    grid: Grid
    plain: Lookup
    others: Lookup | None
    price: Tensor
    relevance: Tensor | None = None
    beta: float = 0.0

    def indices(self, weight: Tensor) -> Tensor:
        """Return the indices of weights, of their shape: int8, or int16 where the levels reach 128."""
        result, places = self.empty(weight)
        with paying([weight]):
            if self.others is None or self.relevance is None:
                for place, piece in zip(places, chunks(weight)):
                    place.copy_(self.plain(piece))
            else:
                for place, piece, relevance in zip(places, chunks(weight), chunks(self.relevance)):
                    place.copy_(self.chosen(*self.critical(piece, relevance)))
        return result

    def empty(self, weight: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Return room for the indices, and the same in pieces."""
        result = torch.empty(weight.shape, dtype=self.grid.dtype, device=weight.device)
        return result, result.view(-1).split(len(next(chunks(weight))))

    def chosen(self, critical: Tensor, index: Tensor) -> Tensor:
        """Return 0 where a critical beta is reached, elsewhere the other index; uses up the critical betas."""
        return index * critical.gt_(self.beta).to(index.dtype)  # in place, torch compares several numbers at once

    def critical(self, weight: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the beta from which on a weight goes to 0, and the index that it has below that.

        0 costs ``2 R ** beta`` times its ECQ cost, and is taken if that is no more than the best other cost. So it is
        taken from ``ln(2 cost_0 / cost_other) / -ln R`` on. That is 0 or less where 0 is cheaper even at twice its
        price, infinite where R = 1 and it is not, and 0 where R = 0.
        """
        assert self.others is not None  # only asked with relevance
        index = self.others(weight)
        u = (weight / self.grid.step).clamp_(-FARTHEST, FARTHEST)
        price = self.price.to(u.dtype)
        other = (u - index).square_().add_(price.index_select(0, index.int() - self.grid.levels[0]))
        zero = u.square_().add_(price[-self.grid.levels[0]])
        critical = zero.mul_(RHO).div_(other).log_().div_(relevance.log().abs_())
        return critical.nan_to_num_(nan=0.0, posinf=torch.inf, neginf=-torch.inf), index


def fit(
    weight: Tensor,
    grid: Grid,
    *,
    relevance: Tensor | None = None,
    give_back: float = 0.1,
    share: np.ndarray | None = None,
) -> tuple[Assignment, Tensor]:
    """Return what decides the indices of a tensor, and the indices, by the rule of `assign`.

    Parameters
    ----------
    weight : Tensor
        Any shape, float16 to float64, finite.
    grid : Grid
        The centroids, and lambda.
    relevance : Tensor, optional
        Of the weights' shape, in [0, 1]: ECQ^x. Without it: ECQ.
    give_back : float
        The most sparsity that relevance may give back, a share of the weights in [0, 1].
    share : ndarray, optional
        Probabilities of the levels, (levels,), that `shares` found for these weights. Without them, the weights are
        checked and counted here.

    Returns
    -------
    Assignment
        With which the indices can be made again.
    Tensor
        The indices, of the weights' shape: int8, or int16 where the levels reach 128.

    Raises
    ------
    UserError
        For a value outside its range, NaN, or another shape.
    """
    if not 0 <= give_back <= 1:
        raise UserError(f"the sparsity to give back must lie in [0, 1], not {give_back}")
    if share is None:
        with paying([weight]):
            check_weight(weight)
            share = shares(weight, grid.step, grid.levels)
    price = prices(share, grid.lam, grid.step)
    plain = borders(price, grid.levels, grid.step, weight)
    ecq = Assignment(grid, plain, None, torch.from_numpy(price).to(weight.device))
    if relevance is None:
        return ecq, ecq.indices(weight)
    least, most = _check_relevance(relevance, weight)
    relevance = relevance.detach().to(weight.device, torch.promote_types(weight.dtype, torch.float32))
    mean = relevance.mean().item()
    if least == most or not 0 < mean < 1 or np.isfinite(price).sum() == 1:
        return ecq, ecq.indices(weight)
    ecqx = replace(ecq, others=borders(price, grid.levels, grid.step, weight, zero=False), relevance=relevance)
    with paying([weight]):
        critical, index, zeros = _other_indices(ecqx, weight)
    fewest = max(math.ceil(zeros - give_back * weight.numel()), 0)
    ecqx = replace(ecqx, beta=choose_beta(critical, math.log(1 / RHO) / math.log(mean), fewest, zeros))
    return ecqx, ecqx.chosen(critical, index.view(-1)).view(weight.shape)


def _other_indices(ecqx: Assignment, weight: Tensor) -> tuple[Tensor, Tensor, int]:
    """Return the critical beta of every weight, its best index other than 0, and how many are 0 under ECQ."""
    assert ecqx.relevance is not None
    index, places = ecqx.empty(weight)
    critical = torch.empty(weight.numel(), dtype=ecqx.relevance.dtype, device=weight.device)
    zeros = 0
    pieces = zip(places, critical.split(len(places[0])), chunks(weight), chunks(ecqx.relevance))
    for place, betas, piece, relevance in pieces:
        found = ecqx.critical(piece, relevance)
        betas.copy_(found[0])
        place.copy_(found[1])
        zeros += ecqx.plain.count(piece, 0)
    return critical, index, zeros


def _check_relevance(relevance: Tensor, weight: Tensor) -> tuple[float, float]:
    """Return the lowest and the highest relevance, or say what is wrong with it."""
    if relevance.shape != weight.shape:
        raise UserError(
            f"relevance {tuple(relevance.shape)} and weights {tuple(weight.shape)} must have one shape: "
            "measure it on this net"
        )
    least, most = (value.item() for value in torch.aminmax(relevance.detach()))
    if not 0 <= least <= most <= 1:
        raise UserError(
            f"the relevance must lie in [0, 1], not {least} to {most}: take absolute values, divide by the largest"
        )
    return least, most


def choose_beta(critical: Tensor, start: float, fewest: int, most: int) -> float:
    """Return the beta nearest to ``start`` at which the number of zeros lies between two counts.

    A weight is 0 if its critical beta is at most beta. So the number of zeros at a beta is how many critical betas are
    at most that, and the beta for a wanted count is one of them. If several weights turn to 0 at one beta, and too many
    are 0 then, the next lower beta is taken: the result is never sparser than asked for. Only beta = 0, the lowest, may
    leave more zeros than ``most``.

    Parameters
    ----------
    critical : Tensor
        The beta from which on each weight is 0, (weights,); may be infinite.
    start : float
        The beta wanted, 0 or more.
    fewest, most : int
        Bounds of the number of zeros, both allowed.

    Returns
    -------
    float
        Beta, 0 or more.
    """
    now = count_up_to(critical, start)
    if fewest <= now <= most:
        return start
    wanted = most if now > most else fewest
    beta = kth_smallest(critical, wanted) if wanted else -math.inf
    if beta == math.inf or count_up_to(critical, beta) > most:
        before = critical[critical < beta]
        beta = before.max().item() if len(before) else 0.0
    return max(beta, 0.0)


def assign(
    weight: Tensor,
    step: float,
    levels: tuple[int, int],
    lam: float,
    *,
    relevance: Tensor | None = None,
    give_back: float = 0.1,
) -> Tensor:
    """Assign every weight to a centroid, exactly: ECQ, or ECQ^x if there is relevance.

    ECQ takes the index k of least ``(w - k step) ** 2 - lam log2 P_k``, with P_k the share of weights that k is the
    nearest to and P_0 raised to 1/2. ECQ^x multiplies the cost of 0 by ``2 R ** beta``, so that relevant weights stay
    out of 0 and irrelevant ones go there. Beta starts at ``ln 0.5 / ln mean R``, at which a weight of mean relevance
    is treated as in ECQ, and is moved as little as needed for a sparsity in [ECQ's - give_back, ECQ's].

    Parameters
    ----------
    weight : Tensor
        Any shape, float16 to float64, finite.
    step : float
        As `centroid_step` gives it.
    levels : (int, int)
        The lowest and the highest index, as `level_range` gives them.
    lam : float
        In squared units of the weights per bit, 0 or more.
    relevance : Tensor, optional
        Of the weights' shape, in [0, 1].
    give_back : float
        The most sparsity that relevance may give back, a share of the weights in [0, 1].

    Returns
    -------
    Tensor
        Of the weights' shape; weight = index * step. int8, or int16 where the levels reach 128.

    Raises
    ------
    UserError
        In one sentence, for a value outside its range, NaN, or another shape.

    Notes
    -----
    - A tie goes to the index nearer to 0: under ECQ^x, to 0.
    - Levels that no weight is nearest to are not used, unless lam is 0. So a tensor with one sign gets no index of the
      other, a single weight its nearest index or 0, and a tensor of zeros zeros.
    - A weight of 0 stays 0 under ECQ. Under ECQ^x, relevance above the mean may lift it out at a large lam, because
      the factor multiplies the bits too, as published.
    - A weight with R = 0 gets index 0, whatever its size. If there are more such weights than zeros under ECQ, the
      result is sparser than ECQ. A weight with R = 1 gets index 0 only if that is cheapest at twice its cost.
    - If all weights have the same relevance (also 0), the result is ECQ.
    - Weights of equal size and relevance turn to 0 at the same beta. If the range of sparsity cannot be met because of
      them, the result is the sparsest one below the range.

    No tensor of centroids times weights is made: see `relcomp_kit.compression.ecqx.lower_envelope` for the borders,
    `choose_beta` for beta. Costs under ECQ^x are computed in float32, for float64 weights in float64.
    Source: Becking et al. 2022.
    """
    return fit(weight, Grid(step, levels, lam), relevance=relevance, give_back=give_back)[1]
