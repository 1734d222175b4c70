"""Norms by statistics of a sample, whose variance counts as a constant (AttnLRP, 2024; Ali et al. 2022)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from relcomp_kit.relevance.lrp.operations import Operations


def _scaled(op: Operations, y: Tensor, weight: Tensor | None, bias: Tensor | None, like: Tensor) -> Tensor:
    """Finish a norm: note the order of its samples, which is that of its input, and apply weight and bias."""
    op.seen[y] = True
    if like in op.turned:
        op.turned[y] = op.turned[like]
    y = y if weight is None else op.call(torch.mul, y, weight)
    return y if bias is None else op.call(torch.add, y, bias)


def _layer_norm(
    op: Operations, function: Callable, input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalise as `torch.nn.functional.layer_norm` does, by a variance that counts as a constant."""
    axes = tuple(range(-len(normalized_shape), 0))
    return _scaled(op, _standardised(input, axes, eps), weight, bias, input)


def _rms_norm(
    op: Operations, function: Callable, input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:  # fmt: skip
    """Normalise as `torch.nn.functional.rms_norm` does, by a mean square that counts as a constant."""
    axes = tuple(range(-len(normalized_shape), 0))
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    return _scaled(op, input * (input.detach().square().mean(axes, True) + eps).rsqrt(), weight, None, input)


def _group_norm(
    op: Operations, function: Callable, input: Tensor, num_groups: int, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalise as `torch.nn.functional.group_norm` does, by a variance that counts as a constant."""
    groups = input.unflatten(1, (num_groups, -1))
    y = _standardised(groups, tuple(range(2, groups.ndim)), eps).flatten(1, 2)
    shape = (-1, *(1,) * (input.ndim - 2))
    weight, bias = (None if one is None else op.call(torch.reshape, one, shape) for one in (weight, bias))
    return _scaled(op, y, weight, bias, input)


def _standardised(input: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    variance = input.detach().var(axes, unbiased=False, keepdim=True)
    return (input - input.mean(axes, keepdim=True)) * (variance + eps).rsqrt()


NORM_RULES: dict[str, Callable] = {"layer_norm": _layer_norm, "group_norm": _group_norm, "rms_norm": _rms_norm}
