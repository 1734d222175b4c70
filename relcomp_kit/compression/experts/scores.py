"""Scores of filters, and of the units that are kept or removed as one."""

import torch
from torch import Tensor

from relcomp_kit.compression.experts.coupling import Groups
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp import filter_relevance


def filter_scores(relevance: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return relevance of filters as it is, and that of weights summed for each filter."""
    return filter_relevance(relevance) if any(value.ndim > 1 for value in relevance.values()) else relevance


def unit_scores(found: Groups, relevance: dict[str, Tensor]) -> Tensor:
    """Return the score of every unit: the sum over the filters in it.

    Parameters
    ----------
    found : Groups
        As `groups` returns them for the net.
    relevance : dict of str to Tensor
        Of filters, layer name to (output channels,), or of weights; 0 or more.

    Returns
    -------
    Tensor
        (units,) float64, in units of the relevance.

    Raises
    ------
    UserError
        If a layer's relevance is missing, of another shape, negative, infinite or NaN.
    """
    scores = filter_scores(relevance)
    total = torch.zeros(found.count, dtype=torch.float64)
    for name, unit in found.units.items():
        if name not in scores:
            raise UserError(f"there is no relevance of {name}: measure it on this net")
        score = scores[name].detach().cpu().double()
        if score.shape != unit.shape:
            raise UserError(
                f"the relevance of {name} has the shape {tuple(score.shape)} and the layer has {len(unit)} output "
                "channels: measure it on this net"
            )
        if not (score >= 0).all() or score.isinf().any():
            raise UserError(
                f"the relevance of {name} must be finite and 0 or more: take absolute values, as the aggregate "
                "mean_of_abs does"
            )
        total.index_add_(0, unit, score)
    return total
