"""What an index costs, and the borders between the cheapest ones: distance squared plus lambda times its bits.

In units of the step a weight u pays ``(u - k) ** 2 + price`` for the index k. All these parabolas have one curvature,
so without u ** 2 they are lines, and the cheapest index changes at the corners of their lower envelope.

Numbers that belong to levels are kept in small numpy arrays, in double precision.
"""

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.compression.ecqx.centroids import chunks
from relcomp_kit.compression.ecqx.interval_lookup import Lookup, make_lookup
from relcomp_kit.errors import UserError

PROBABILITIES = ("normalized", "published")
ZERO_SHARE = 0.5  # the least probability of 0
ROUNDING = 1e-10  # bits; a difference of one weight in a hundred million is 100 times as large
MOST = 1e30  # of lambda in squared steps: above it, distances have no say, and products must stay in float32's range


def shares(weight: Tensor, step: float, levels: tuple[int, int], *, probabilities: str = "normalized") -> np.ndarray:
    """Return the probability of every level: the share of weights that it is the nearest to.

    That of 0 is raised to 1/2 at least, and the others shrink in proportion. A weight halfway between two levels counts
    for the one nearer to 0.

    Parameters
    ----------
    weight : Tensor
        Any shape, finite.
    step : float
        Distance of two centroids, in units of the weights.
    levels : (int, int)
        The lowest and the highest index.
    probabilities : {"normalized", "published"}
        How the others shrink: so that the sum is 1, or, as in the published code, by the half that the share of 0
        takes, although that share is counted among them. Then they sum to less, and every level but 0 costs too much.

    Returns
    -------
    ndarray
        (levels,) float64; the sum is 1, for "published" ``1 - P_0 / 2`` where the share of 0 was raised.

    Raises
    ------
    UserError
        If there are no such probabilities.
    """
    if probabilities not in PROBABILITIES:
        raise UserError(f"there are no probabilities {probabilities!r}; choose one of {', '.join(PROBABILITIES)}")
    count = levels[1] - levels[0] + 1
    level = np.arange(levels[0], levels[1] + 1.0)
    nearest = _lookup(level, level[:-1] + 0.5, step, weight)
    counts = torch.zeros(count, dtype=torch.int64, device=weight.device)
    for piece in chunks(weight):
        counts += torch.bincount(nearest(piece) - levels[0], minlength=count)
    share = counts.cpu().numpy() / weight.numel()
    zero = share[-levels[0]]
    if zero < ZERO_SHARE:
        share *= (1 - ZERO_SHARE) / (1 - zero if probabilities == "normalized" else 1)
        share[-levels[0]] = ZERO_SHARE
    return share


def prices(share: np.ndarray, lam: float, step: float) -> np.ndarray:
    """Return lambda times the bits of every level; infinite for a level that no weight is nearest to.

    At lambda = 0 all are free.

    Parameters
    ----------
    share : ndarray
        Probabilities, (levels,), as `shares` gives them.
    lam : float
        Lambda, in squared units of the weights per bit.
    step : float
        Distance of two centroids, in units of the weights.

    Returns
    -------
    ndarray
        (levels,), in squared steps.
    """
    rate = min(lam / step / step, MOST)
    with np.errstate(divide="ignore"):
        return -np.log2(share) * rate if rate else np.zeros_like(share)


def borders(price: np.ndarray, levels: tuple[int, int], step: float, weight: Tensor, *, zero: bool = True) -> Lookup:
    """Return where the cheapest level changes: the lower envelope of one line a level, in closed form.

    The lines of j and k meet at ``(j + k) / 2 + (price_k - price_j) / (2 (k - j))``. A level is on the envelope if its
    highest meeting with a lower one lies below its lowest meeting with a higher one. A weight on a border takes the
    level nearer to 0.

    Parameters
    ----------
    price : ndarray
        (levels,), in squared steps, as `prices` gives them.
    levels : (int, int)
        The lowest and the highest.
    step : float
        Distance of two centroids, in units of the weights.
    weight : Tensor
        Whose elements will be looked up.
    zero : bool
        Whether 0 takes part.

    Returns
    -------
    Lookup
        Of weights, with levels as labels.
    """
    level = np.arange(levels[0], levels[1] + 1.0)
    possible = np.isfinite(price) & (zero | (level != 0))
    k, price = level[possible], price[possible]
    with np.errstate(invalid="ignore"):  # a line does not meet itself
        meet = (k + k[:, None]) / 2 + (price - price[:, None]) / (2 * (k - k[:, None]))
    lower = np.tri(len(k), k=-1, dtype=bool)
    kept = np.where(lower, meet, -np.inf).max(1) < np.where(lower.T, meet, np.inf).min(1)
    return _lookup(k[kept], np.maximum.accumulate(meet[kept][:, kept].diagonal(1)), step, weight)


def _lookup(k: np.ndarray, corners: np.ndarray, step: float, weight: Tensor) -> Lookup:
    """Return the look-up of weights for levels whose costs meet at corners, which are in steps."""
    border = corners * step
    to_upper = np.abs(k[:-1]) > np.abs(k[1:])  # on these borders the level above is the one nearer to 0
    border = np.where(to_upper, np.nextafter(border, -np.inf), border)
    rounded = torch.from_numpy(_rounded_down(border, np.float64 if weight.dtype == torch.float64 else np.float32))
    return make_lookup(rounded.to(weight.device), torch.from_numpy(k).to(weight.device), weight.numel())


def _rounded_down(border: np.ndarray, dtype: type) -> np.ndarray:
    """Return the largest numbers of a type that are no larger: weights of that type compare with them alike."""
    with np.errstate(over="ignore"):
        rounded: np.ndarray = border.astype(dtype)
    return np.where(rounded > border, np.nextafter(rounded, dtype(-np.inf)), rounded)


def lambda_max(ends: tuple[float, float], share: np.ndarray, levels: tuple[int, int], step: float) -> float:
    """Return the smallest lambda at which the cheapest level of all weights between two ends is 0.

    With level k instead of 0, a weight u has an error smaller by ``k (2 u - k)`` squared steps and needs ``log2(P_0 /
    P_k)`` bits more. The wanted lambda is the largest quotient of the two over the levels. It grows with the distance
    of u from 0, and is large if a level is nearly as probable as 0. Levels as probable as 0 have no such quotient and
    are left out. If none is left, as when all weights are 0 already, lambda is 0.

    Parameters
    ----------
    ends : (float, float)
        The lowest and the highest weight.
    share : ndarray
        Probabilities, (levels,), as `shares` gives them.
    levels : (int, int)
        The lowest and the highest index.
    step : float
        Distance of two centroids, in units of the weights.

    Returns
    -------
    float
        In squared units of the weights per bit.
    """
    level = np.arange(levels[0], levels[1] + 1.0)
    saved = np.maximum(*(level * (2 * end / step - level) for end in ends))
    with np.errstate(divide="ignore"):
        bits = np.log2(share[-levels[0]]) - np.log2(share)
    wanted = (saved > 0) & (bits > ROUNDING)
    quotients = saved[wanted] / bits[wanted]  # 0 for a level that no weight is nearest to
    return float(quotients.max()) * step * step if len(quotients) else 0.0
