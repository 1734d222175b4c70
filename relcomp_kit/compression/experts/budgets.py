"""Choosing units by score: within a budget of filters, of scores or of multiply-adds, or at the widths of a path."""

import math
from bisect import bisect_left

import torch
from torch import Tensor, nn

from relcomp_kit.compression.experts.coupling import Groups, Path, first_reason, kept_units
from relcomp_kit.compression.experts.multiply_adds import macs, macs_left, unit_macs
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import inner_layers

BUDGETS = ("filters", "score", "macs")
NORMS = {
    "none": lambda score: score,
    "sum": lambda score: score / score.sum(),
    "mean": lambda score: score / score.mean(),
}
ROUNDING = 1e-9  # so that 0.3 of 10 filters are 3, although 0.3 * 10 is a little more in floating point
Shares = float | dict[str, float]
Keep = Shares | Path


def _members(found: Groups) -> list[Tensor]:
    """Return the units of every group, in order."""
    return [torch.cat([found.units[name] for name in members]).unique() for members in found.layers]


def choose(
    net: nn.Module,
    example: Tensor,
    found: Groups,
    scores: Tensor,
    keep: Keep,
    by: str = "filters",
    normalize: str = "none",
    minimum: int = 1,
    multiple: int = 1,
) -> Path:
    """Return the path that keeps the units with the highest scores.

    Parameters
    ----------
    net : nn.Module
        The whole net.
    example : Tensor
        An input, whose size decides the multiply-adds.
    found : Groups
        The net's units.
    scores : Tensor
        One of each unit, (units,).
    keep, by, normalize, minimum, multiple
        As in `relcomp_kit.compression.experts.relevant_path`.

    Raises
    ------
    UserError
        If a value is outside its range, no filter can be removed, or a path to be as wide as is not of this net.
    """
    path, shares = _told_apart(keep)
    if path and (by, minimum, multiple) != ("filters", 1, 1):
        raise UserError("the widths of a path leave nothing to budget: leave out by, minimum and multiple")
    _check(found, shares, by, normalize, minimum, multiple)
    if not found.layers:
        raise UserError(f"no filter of this net can be removed: {first_reason(found)}")
    if path:
        kept = _as_wide(found, scores, kept_units(net, path, found))
    else:
        kept = _within_budget(net, example, found, scores, shares, by, normalize, minimum, multiple)
    full = {name: torch.ones(len(layer.weight), dtype=torch.bool) for name, layer in inner_layers(net).items()}
    return full | {name: kept[unit] for name, unit in found.units.items()}


def _within_budget(
    net: nn.Module,
    example: Tensor,
    found: Groups,
    scores: Tensor,
    keep: Shares,
    by: str,
    normalize: str,
    minimum: int,
    multiple: int,
) -> Tensor:
    """Return the units that a budget keeps, (units,) bool."""
    kept = torch.ones(found.count, dtype=torch.bool)
    filters = torch.cat(list(found.units.values())).bincount(minlength=found.count)  # of each unit
    scored = [(members, unit) for members, unit in zip(found.layers, _members(found)) if scores[unit].any()]
    if by != "score" and not isinstance(keep, dict):
        if scored:
            units = torch.cat([unit for _, unit in scored])
            ranked = torch.cat([NORMS[normalize](scores[unit]) for _, unit in scored])
            if by == "macs":
                kept = _best_for_macs(net, example, found, units, ranked, keep)
            else:
                kept[units] = _best(ranked, keep, filters[units])
    else:
        for members, unit in scored:
            cost = scores[unit] if by == "score" else filters[unit]
            kept[unit] = _best(scores[unit], _share(members, keep), cost)
    for name in (name for members, _ in scored for name in members):
        unit = found.units[name].unique()
        kept[unit] |= _rank(scores[unit]) < minimum
    for members, unit in scored if multiple > 1 else ():
        if all(len(found.units[name]) == len(unit) for name in members):  # else a unit is several filters, or a part
            wanted = -(-int(kept[unit].sum()) // multiple) * multiple
            order = (scores[unit] + kept[unit] * (scores.max() + 1)).argsort(descending=True, stable=True)
            kept[unit[order[:wanted]]] = True
    return kept


def _as_wide(found: Groups, scores: Tensor, like: Tensor) -> Tensor:
    """Return the units of the highest scores, (units,) bool, as many of each kind as are in ``like``, (units,) bool.

    Units are of one kind if each layer has as many filters and as many inputs of the one as of the other. So which of
    them stay changes no width, and no multiply-add.
    """
    kind = torch.zeros(found.count, dtype=torch.int64)
    for unit in (*found.units.values(), *found.reads.values()):
        channels = unit[unit >= 0].bincount(minlength=found.count)
        kind = (kind * (int(channels.max()) + 1) + channels).unique(return_inverse=True)[1]
    kept = torch.zeros(found.count, dtype=torch.bool)
    order = scores.argsort(descending=True, stable=True)
    for one in range(int(kind.max()) + 1):
        ranked = order[kind[order] == one]
        kept[ranked[: int(like[ranked].sum())]] = True
    return kept


def _rank(scores: Tensor) -> Tensor:
    """Return the place of every score, (n,), 0 for the highest; of equal ones, the first comes first."""
    return scores.argsort(descending=True, stable=True).argsort()


def _best(scores: Tensor, share: float, cost: Tensor) -> Tensor:
    """Return the highest scores, (n,) bool, as few as cost a share of the total cost at least; all if it is 1."""
    if share == 1:
        return torch.ones_like(scores, dtype=torch.bool)
    order = scores.argsort(descending=True, stable=True)
    cost = cost.double()[order]
    before = cost.cumsum(0) - cost
    return torch.zeros_like(scores, dtype=torch.bool).index_copy_(0, order, before < (share - ROUNDING) * cost.sum())


def _best_for_macs(
    net: nn.Module, example: Tensor, found: Groups, units: Tensor, scores: Tensor, share: float
) -> Tensor:
    """Return the units, (units,) bool, of the highest score per operation: as few as leave a share of operations."""
    counted = macs(net, example)
    left, saved = macs_left(counted, found), unit_macs(counted, found)[units]
    order = units[(scores / saved.clamp(min=1)).argsort(descending=True, stable=True)]

    def kept(count: int) -> Tensor:
        return torch.ones(found.count, dtype=torch.bool).index_fill_(0, order[count:], False)

    whole = left(kept(len(order)))
    enough = range(len(order) + 1)
    return kept(bisect_left(enough, (share - ROUNDING) * whole, key=lambda count: left(kept(count))))


def _share(members: tuple[str, ...], keep: Shares) -> float:
    """Return the share that a group of layers keeps."""
    if not isinstance(keep, dict):
        return keep
    wanted = {keep[name] for name in members if name in keep}
    if len(wanted) > 1:
        raise UserError(f"{members[0]} and {members[-1]} share filters: give them one share")
    return wanted.pop() if wanted else 1.0


def _told_apart(keep: Keep) -> tuple[Path, Shares]:
    """Return the path whose widths are wanted and the shares that are; the former is empty where the latter count."""
    if not isinstance(keep, dict):
        return {}, keep
    path = {name: value for name, value in keep.items() if isinstance(value, Tensor)}
    return path, {name: value for name, value in keep.items() if not isinstance(value, Tensor)}


def _check(found: Groups, keep: Shares, by: str, normalize: str, minimum: int, multiple: int) -> None:
    if by == "macs" and isinstance(keep, dict):
        raise UserError("multiply-adds are shared out in the whole net: give one number to keep, or the budget filters")
    for what, value, known in (("budget", by, BUDGETS), ("normalization", normalize, tuple(NORMS))):
        if value not in known:
            raise UserError(f"there is no {what} {value!r}; choose one of {', '.join(known)}")
    for name, share in keep.items() if isinstance(keep, dict) else [("", keep)]:
        if name and name not in found.units:
            raise UserError(f"keep names {name!r}, which is no layer whose filters can be removed")
        if not 0 < share <= 1 or math.isnan(share):
            raise UserError(f"the share to keep{' of ' + name if name else ''} must lie in (0, 1], not {share}")
    if minimum < 1:
        raise UserError(f"every layer must keep 1 filter at least, not {minimum}")
    if multiple < 1:
        raise UserError(f"filters are rounded up to a multiple of 1 or more, not {multiple}")
