"""What may be stored otherwise on request: batch-norm as two vectors instead of four, float numbers in few bits."""

import math

import torch
from torch import Tensor

from relcomp_kit.errors import UserError

BITS = range(8, 17)
PRECISE = (torch.float32, torch.float64)  # types whose step is exact enough for levels of 16 bit
AFFINE, STATISTICS = ("weight", "bias"), ("running_mean", "running_var")
SCALE = ".scale"  # after the name of what is stored as levels: its step


def batch_norms(state: dict[str, Tensor]) -> list[str]:
    """Return the names of the batch-norms whose four vectors are in a state, by the names of the vectors."""
    prefixes = [name.removesuffix("running_var") for name in state if f".{name}".endswith(".running_var")]
    return [
        prefix.removesuffix(".")
        for prefix in prefixes
        if all(_is_vector(state.get(prefix + part), state[prefix + "running_var"]) for part in AFFINE + STATISTICS)
    ]


def fold(state: dict[str, Tensor], eps: float) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state with gamma_fold and beta_fold instead of the batch-norms' four vectors, and their names.

    gamma_fold = gamma / sqrt(var + eps) and beta_fold = beta - mean * gamma_fold stand in the places of weight and
    bias. A batch-norm whose folded numbers are not finite keeps its four vectors.

    Parameters
    ----------
    state : dict of str to Tensor
        ``state_dict()`` of a net, or a part of it; left as it is.
    eps : float
        That of the net's batch-norms.

    Returns
    -------
    dict of str to Tensor
        The state, without mean and variance of the batch-norms that were folded.
    list of str
        Their names, as `batch_norms` returns them.
    """
    folded = dict(state)
    done = []
    for name in batch_norms(state):
        keys = [_key(name, part) for part in AFFINE + STATISTICS]
        gamma, beta, mean, var = (state[key].double() for key in keys)
        scale = gamma / (var + eps).sqrt()
        shift = beta - mean * scale
        scale, shift = scale.to(state[keys[0]].dtype), shift.to(state[keys[1]].dtype)
        if scale.isfinite().all() and shift.isfinite().all():
            folded |= {keys[0]: scale, keys[1]: shift}
            del folded[keys[2]], folded[keys[3]]
            done.append(name)
    return folded, done


def unfold(state: dict[str, Tensor], names: list[str], eps: float) -> dict[str, Tensor]:
    """Return a state in which the batch-norms of `fold` have mean 0 and variance 1 again, and give the same outputs.

    Batch-norm divides by sqrt(1 + eps) then, so gamma is gamma_fold * sqrt(1 + eps).

    Parameters
    ----------
    state : dict of str to Tensor
        As `fold` returns it.
    names : list of str
        The batch-norms that were folded.
    eps : float
        That of the net's batch-norms.

    Returns
    -------
    dict of str to Tensor
        The state, each batch-norm with four vectors.

    Raises
    ------
    ValueError
        If there is no weight and bias by one of the names.
    """
    for name in names:
        if not all(_key(name, part) in state for part in AFFINE):
            raise ValueError(f"there is no batch-norm {name}")
    gammas, after = {_key(name, "weight") for name in names}, {_key(name, "bias"): name for name in names}
    whole = {}
    for key, value in state.items():
        whole[key] = (value.double() * math.sqrt(1 + eps)).to(value.dtype) if key in gammas else value
        if key in after:
            whole[_key(after[key], "running_mean")] = torch.zeros_like(value)
            whole[_key(after[key], "running_var")] = torch.ones_like(value)
    return whole


def vectors(names: list[str]) -> list[str]:
    """Return the names of the vectors of a folded state that hold the batch-norms of these names."""
    return [_key(name, part) for name in names for part in AFFINE]


def to_levels(state: dict[str, Tensor], bits: int) -> tuple[dict[str, Tensor], list[str]]:
    """Return a state with int16 levels and a step instead of each float tensor, and the names of those.

    The tensor is round(tensor / step) * step with step = largest absolute number / (2 ** (bits - 1) - 1), so it is off
    by half a step at most. Left exact are whole numbers, half precision, single numbers, what is not finite, and
    variances: batch-norm divides by their roots, and a small one would become 0. `fold` does away with them.

    Parameters
    ----------
    state : dict of str to Tensor
        ``state_dict()`` of a net, or a part of it; left as it is.
    bits : int
        Of a level, 8 to 16.

    Returns
    -------
    dict of str to Tensor
        Levels by the names of their tensors, steps by those and ".scale", and all other tensors.
    list of str
        The tensors that became levels.

    Raises
    ------
    UserError
        If the bit width is not 8 to 16.
    """
    if bits not in BITS:
        raise UserError(f"float_bits must be a whole number from {BITS[0]} to {BITS[-1]}, not {bits}")
    coarse: dict[str, Tensor] = {}
    done = []
    most = 2 ** (bits - 1) - 1
    for name, value in state.items():
        taken = name + SCALE in state  # by another tensor
        if value.dtype in PRECISE and value.numel() > 1 and not name.endswith("running_var") and not taken:
            step = (value.double().abs().max() / most).to(value.dtype)
            if step > 0 and step.isfinite():
                levels = (value.double() / step.double()).round().clamp_(-most, most)
                coarse |= {name: levels.to(torch.int16), name + SCALE: step}
                done.append(name)
                continue
        coarse[name] = value
    return coarse, done


def from_levels(state: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Return the float tensors of `to_levels`, rounded to multiples of their steps.

    Parameters
    ----------
    state : dict of str to Tensor
        As `to_levels` returns it.
    names : list of str
        The tensors that became levels.

    Raises
    ------
    ValueError
        If a tensor or its step is missing, or of another type.
    """
    fine = dict(state)
    for name in names:
        step = fine.pop(name + SCALE, None)
        if step is None or step.ndim or step.dtype not in PRECISE:
            raise ValueError(f"the levels of {name} lack their step")
        if name not in state or state[name].dtype != torch.int16:
            raise ValueError(f"{name} holds no levels")
        fine[name] = (state[name].double() * step.double()).to(step.dtype)
    return fine


def _key(name: str, part: str) -> str:
    return f"{name}.{part}" if name else part


def _is_vector(value: Tensor | None, like: Tensor) -> bool:
    return value is not None and value.is_floating_point() and value.ndim == 1 and value.shape == like.shape
