"""GPTQ: weights are rounded one input at a time, and those that are left make up for what a layer's outputs lost.

A rival of ECQ^x that needs no training either: it knows which weights belong together, not what they cost in bits.
Source: Frantar, Ashkboos, Hoefler, Alistarh: "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers", 2023. There, each row of a matrix has a grid of its own; here a tensor has one, as in ECQ, since a coded
file holds one step per tensor.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, unfold

from relcomp_kit.compression.ecqx.quantize_net import assembled, plan
from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.models.states import plain_copy
from relcomp_kit.relevance.channels import channel_layers, check_eval, hooked

BLOCK = 128  # columns that are rounded before the ones behind them are told, as in the paper: the result is the same


def gptq(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, object]],
    bits: int,
    *,
    damping: float = 0.01,
    exclude: Iterable[str] = (),
    step: str = "p99.9-interpolated",
) -> Quantized:
    """Quantize a net's weights so that every layer's outputs change little; the net itself is left as it is.

    Layers are taken in the order in which the net first calls them, each on the inputs of that call, as the quantized
    layers before it leave them. Weights of other modules, and of layers that are not called, are rounded to their
    nearest centroid.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    batches : iterable of (Tensor, object)
        Inputs as the net wants them; what stands beside them is not read.
    bits : int
        2 to 8: every tensor has up to 2 ** bits centroids.
    damping : float
        What is added to the diagonal of a layer's Hessian, as a share of its mean, above 0. The more, the closer to
        rounding to the nearest.
    exclude : iterable of str
        Names of parameters, or of layers with all in them, that stay float.
    step : {"p99.9-interpolated", "p99.9", "least-squares"}
        How the grid is spread, as in `relcomp_kit.compression.ecqx.centroid_step`.

    Returns
    -------
    Quantized
        Indices and steps of the weights, and the rest of the net's state; on the CPU.

    Raises
    ------
    UserError
        For a value outside its range, a net in train mode, weights that are NaN or infinite, or no batch.
    """
    check_eval(model)
    if not damping > 0:
        raise UserError(f"damping is a share of the Hessian's diagonal, above 0, not {damping}")
    asked = [x for x, _ in batches]
    if not asked:
        raise UserError("there is nothing to measure on: give one batch at least")
    changed = plain_copy(model)
    grids = plan(changed, bits, 0.0, exclude=exclude, step=step)
    weights = dict(changed.named_parameters())
    indices = {name: _nearest(weights[name].detach(), grid.step, grid.levels) for name, grid in grids.items()}
    layers = {f"{name}.weight".lstrip("."): layer for name, layer in channel_layers(changed).items()}
    layers = {name: layer for name, layer in layers.items() if name in grids}
    for name in _called(changed, layers, asked[0]):
        layer, grid = layers[name], grids[name]
        hessians = _hessians(changed, layer, asked)
        mask = getattr(layer, "weight_mask", torch.ones_like(layer.weight))  # what is pruned makes up for nothing
        groups = (each.double().flatten(1).chunk(len(hessians)) for each in (layer.weight.detach() * mask, mask))
        parts = [
            round_columns(part, hessian, grid.step, grid.levels, damping, left)
            for hessian, part, left in zip(hessians, *groups)
        ]
        indices[name] = torch.cat(parts).reshape(mask.shape)
        with torch.no_grad():
            layer.weight.copy_(indices[name] * grid.step)
    narrow = {name: index.to(grids[name].dtype).cpu() for name, index in indices.items()}
    return assembled(model, narrow, {name: grid.step for name, grid in grids.items()})


def round_columns(
    weight: Tensor,
    hessian: Tensor,
    step: float,
    levels: tuple[int, int],
    damping: float,
    mask: Tensor | None = None,
) -> Tensor:
    """Return the indices of a matrix that is rounded column by column, (outputs, inputs).

    The error of a column moves the columns behind it so that the squared error of the outputs, w H w', is least.

    Parameters
    ----------
    weight : Tensor
        (outputs, inputs), float64; left as it is.
    hessian : Tensor
        (inputs, inputs), float64: the sum of x x' over inputs x. An input that is always 0 counts for nothing.
    step : float
        Between two centroids, above 0.
    levels : (int, int)
        The lowest and the highest index.
    damping : float
        As in `gptq`.
    mask : Tensor, optional
        Of the weight's shape: 0 where an index stays 0, 1 elsewhere.

    Returns
    -------
    Tensor
        Float64, whole numbers.
    """
    weight, dead = weight.clone(), hessian.diagonal() == 0
    hessian = hessian + torch.diag(dead.to(hessian.dtype) + damping * hessian.diagonal().mean())
    # Row j of this factor says how the columns behind j make up for an error of j once those before it are settled.
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    indices = torch.empty_like(weight)
    for start in range(0, weight.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        part, own = weight[:, block], factor[block, block]
        errors = torch.empty_like(part)
        for j in range(part.shape[1]):
            index = _nearest(part[:, j], step, levels)
            indices[:, start + j] = index if mask is None else index * mask[:, start + j]
            errors[:, j] = (part[:, j] - step * indices[:, start + j]) / own[j, j]
            part[:, j + 1 :] -= errors[:, j, None] * own[j, j + 1 :]
        weight[:, start + BLOCK :] -= errors @ factor[block, start + BLOCK :]
    return indices


def _nearest(weight: Tensor, step: float, levels: tuple[int, int]) -> Tensor:
    return (weight / step).round().clamp(*levels)


class _Reached(Exception):
    """The layer that was asked for has its input: the rest of the net need not run."""


def _called(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor) -> list[str]:
    """Return the names of the layers in the order in which the net first calls them."""
    order: list[str] = []
    names = {layer: name for name, layer in layers.items()}
    hooks = (layer.register_forward_pre_hook(lambda module, _: order.append(names[module])) for layer in names)
    with hooked(hooks), torch.inference_mode():
        model(x[:1].to(device_of(model)))
    return list(dict.fromkeys(order))


def _hessians(model: nn.Module, layer: nn.Module, batches: Sequence[Tensor]) -> list[Tensor]:
    """Return the sum of x x' over all inputs x of a layer's first call, (inputs, inputs), float64, for each group."""
    sums: list[Tensor] = []

    def add(module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        given = inputs[0] if inputs else next(iter(named.values()))
        for group, x in enumerate(_columns(module, given.float()).chunk(getattr(module, "groups", 1))):
            product = (x @ x.T).double()
            if group < len(sums):
                sums[group] += product
            else:
                sums.append(product)
        raise _Reached

    with hooked([layer.register_forward_pre_hook(add, with_kwargs=True)]), torch.inference_mode():
        for x in batches:
            with suppress(_Reached):
                model(x.to(device_of(model)))
    return sums


def _columns(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what each weight of a row meets, (inputs of all groups, images and places)."""
    if not isinstance(layer, nn.Conv2d):
        return x.flatten(0, -2).T
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x = pad(x, layer._reversed_padding_repeated_twice, mode=mode)
    columns = unfold(x, layer.kernel_size, dilation=layer.dilation, stride=layer.stride)
    return columns.movedim(1, 0).flatten(1)
