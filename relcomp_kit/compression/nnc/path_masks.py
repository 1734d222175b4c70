"""Which filters each expert keeps, as bits: masks that are equal are stored once.

Layers that write one residual sum have one mask, and so have the early layers of many experts.
"""

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.errors import UserError


def join_masks(paths: dict[str, dict[str, Tensor]]) -> tuple[np.ndarray, dict]:
    """Return all masks one after the other (filters,), 0 or 1, as int8, and the note that `split_masks` needs.

    Raises
    ------
    UserError
        If a mask is no vector of bool.
    """
    places: dict[bytes, int] = {}
    layers = list(dict.fromkeys(layer for path in paths.values() for layer in path))
    experts = {}
    for expert, path in paths.items():
        for layer, mask in path.items():
            if mask.dtype != torch.bool or mask.ndim != 1:
                raise UserError(
                    f"the mask of {layer} for {expert} is {mask.dtype} of shape {tuple(mask.shape)}: give one bool per "
                    "output channel"
                )
        numbers = {layer: places.setdefault(bytes(mask.tolist()), len(places)) for layer, mask in path.items()}
        experts[expert] = [numbers.get(layer, -1) for layer in layers]
    joined = np.frombuffer(b"".join(places), np.int8)
    return joined, {"layers": layers, "lengths": [len(mask) for mask in places], "experts": experts}


def split_masks(joined: Tensor, note: dict) -> dict[str, dict[str, Tensor]]:
    """Return the paths of `join_masks`; layers in the order of the first path that has them.

    Parameters
    ----------
    joined : Tensor
        (filters,), 0 or 1: all masks one after the other.
    note : dict
        As `join_masks` returns it.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError
        If the note does not fit.
    """
    masks = [part.bool() for part in joined.split(note["lengths"])]
    paths = {}
    for expert, numbers in note["experts"].items():
        if len(numbers) != len(note["layers"]):
            raise ValueError("each expert needs a mask for each layer")
        paths[expert] = {layer: masks[number].clone() for layer, number in zip(note["layers"], numbers) if number >= 0}
    return paths
