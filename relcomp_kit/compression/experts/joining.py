"""Paths of one net taken together: their union, which is several experts in one, and what they share."""

from collections.abc import Mapping, Sequence

import torch

from relcomp_kit.compression.experts.coupling import Path
from relcomp_kit.errors import UserError


def join(*paths: Path | Sequence[Path]) -> Path:
    """Return the union of paths: what any of several experts keeps.

    Parameters
    ----------
    *paths : dict of str to Tensor
        Paths of one net, one by one or as one list; each layer to (output channels,) bool.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        If there is no path, or they are of different nets.

    Examples
    --------
    >>> rail = {"conv1": torch.tensor([True, False, False])}
    >>> person = {"conv1": torch.tensor([False, False, True])}
    >>> join(rail, person)
    {'conv1': tensor([ True, False,  True])}
    """
    return _combine(paths, torch.logical_or)


def intersection(*paths: Path | Sequence[Path]) -> Path:
    """Return what all of several experts keep; a layer may be left without filters, and then no net can use it.

    Parameters
    ----------
    *paths : dict of str to Tensor
        Paths of one net, one by one or as one list; each layer to (output channels,) bool.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        If there is no path, or they are of different nets.
    """
    return _combine(paths, torch.logical_and)


def _combine(paths: tuple, function) -> Path:
    if len(paths) == 1 and not isinstance(paths[0], Mapping):
        paths = tuple(paths[0])
    if not paths:
        raise UserError("there is no path to combine: give one at least")
    result = dict(paths[0])
    for path in paths[1:]:
        check_alike(result, path)
        result = {name: function(mask, path[name]) for name, mask in result.items()}
    return result


def check_alike(path: Path, other: Path) -> None:
    """Raise a `UserError` unless two paths are of one net.

    Parameters
    ----------
    path, other : dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        If their layers or widths differ.
    """
    if {name: mask.shape for name, mask in path.items()} != {name: mask.shape for name, mask in other.items()}:
        raise UserError("the paths are of different nets: make both on the same one")
