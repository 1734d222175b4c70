"""Which filters each expert keeps, as bits: masks that are equal are stored once.

Layers that write one residual sum have one mask, and so have the early layers of many experts.
"""

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.compression.nnc.bitstream import is_name
from relcomp_kit.errors import UserError


def join_masks(paths: dict[str, dict[str, Tensor]]) -> tuple[np.ndarray, dict]:
    """Return all masks one after the other (filters,), 0 or 1, as int8, and the note that `split_masks` needs.

    Raises
    ------
    UserError
        If a mask is no vector of bool.
    """
    if not isinstance(paths, dict) or not all(isinstance(path, dict) for path in paths.values()):
        raise UserError('the paths are a dict of experts, each a dict of masks: {"rail": path}')
    layers = list(dict.fromkeys(layer for path in paths.values() for layer in path))
    if not all(isinstance(name, str) for name in (*paths, *layers)):
        raise UserError("experts and layers are named by text: give {str(name): path}")
    odd = [name for name in (*paths, *layers) if not is_name(name)]
    odd += [layer for layer in layers if ":" in layer]  # a file of masks calls them EXPERT:LAYER
    if odd:
        raise UserError(f"{odd[0][:40]!r} is no name for a layer or an expert: give a short one, layers without colons")
    places: dict[bytes, int] = {}
    experts = {}
    for expert, path in paths.items():
        for layer, mask in path.items():
            if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.ndim != 1:
                what = f"{mask.dtype} of shape {tuple(mask.shape)}" if isinstance(mask, Tensor) else type(mask).__name__
                raise UserError(f"the mask of {layer} for {expert} is {what}: give one bool per output channel")
        numbers = {layer: places.setdefault(bytes(mask.tolist()), len(places)) for layer, mask in path.items()}
        experts[expert] = [numbers.get(layer, -1) for layer in layers]
    joined = np.frombuffer(b"".join(places), np.int8)
    return joined, {"layers": layers, "lengths": [len(mask) for mask in places], "experts": experts}


def check_note(note: dict, filters: int) -> int:
    """Return how many bytes `split_masks` will make of a note, after checking that it makes sense.

    Parameters
    ----------
    note : dict
        As `join_masks` returns it, from a file that anyone may have written.
    filters : int
        Length of all masks together.

    Raises
    ------
    ValueError
        If the note does not fit.
    """
    layers, lengths, experts = note["layers"], note["lengths"], note["experts"]
    if not all(isinstance(part, list) for part in (layers, lengths)) or not isinstance(experts, dict):
        raise ValueError("the note on masks has another form")
    if not all(type(length) is int and 0 <= length <= filters for length in lengths) or sum(lengths) != filters:
        raise ValueError("the lengths of the masks do not add up")
    named = all(map(is_name, (*layers, *experts))) and not any(":" in layer for layer in layers)
    if not named or len(set(layers)) != len(layers):
        raise ValueError("the layers or the experts of the masks are no names")
    taken = 0
    for numbers in experts.values():
        if not isinstance(numbers, list) or len(numbers) != len(layers):
            raise ValueError("each expert needs a mask for each layer")
        if not all(type(number) is int and -1 <= number < len(lengths) for number in numbers):
            raise ValueError("an expert has a mask that is not there")
        taken += sum(lengths[number] for number in numbers if number >= 0)
    return taken


def split_masks(joined: Tensor, note: dict) -> dict[str, dict[str, Tensor]]:
    """Return the paths of `join_masks`; layers in the order of the first path that has them.

    Parameters
    ----------
    joined : Tensor
        (filters,), 0 or 1: all masks one after the other.
    note : dict
        As `join_masks` returns it; `check_note` has checked it.
    """
    masks = [part.bool() for part in joined.split(note["lengths"])]
    paths = {}
    for expert, numbers in note["experts"].items():
        paths[expert] = {layer: masks[number].clone() for layer, number in zip(note["layers"], numbers) if number >= 0}
    return paths
