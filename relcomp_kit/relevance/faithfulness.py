"""How well a measure ranks what it measures: against the oracle, and against nothing (random)."""

import torch
from scipy.stats import rankdata
from torch import Tensor

from relcomp_kit.errors import UserError


def rank_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Return Spearman's rank correlation of each row: (rows,); ties share their mean rank.

    Parameters
    ----------
    one, other : Tensor
        (rows, values); a vector counts as one row. A row without any variation has no ranking: NaN.
    """
    if one.shape != other.shape:
        raise UserError(f"ranks can be compared for equal shapes only, not {tuple(one.shape)} and {tuple(other.shape)}")
    ranks = [torch.from_numpy(rankdata(part.reshape(-1, part.shape[-1]), axis=1)) for part in (one, other)]
    left, right = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    return (left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1))
