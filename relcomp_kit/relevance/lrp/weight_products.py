"""How much a layer's output changes with each of its weights: one product of its input and of what came back."""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
ConvLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d
LinearLayer = nn.Linear | ConvLayer


def weight_products(module: LinearLayer, x: Tensor, slope: Tensor, *, per_sample: bool) -> Tensor:
    """Return ``sum over positions of slope[o] x[i]`` for every weight (o, i): the gradient of ``<slope, module(x)>``.

    Parameters
    ----------
    module : nn.Linear, nn.Conv1d, nn.Conv2d or nn.Conv3d
        Its weight is not needed, only its shape, stride, padding, dilation and groups.
    x, slope : Tensor
        The layer's input (N, inputs, ...) and what came back at its output, (N, outputs, ...); for a linear layer the
        positions stand before the inputs and outputs.
    per_sample : bool
        Keep the samples apart.

    Returns
    -------
    Tensor
        (N, \\*weight.shape) if ``per_sample``, else the sum over the samples.
    """
    if isinstance(module, nn.Linear):
        rows, columns = (
            slope.flatten(1, -2) if slope.ndim > 2 else slope[:, None],
            x.flatten(1, -2) if x.ndim > 2 else x[:, None],
        )
        return rows.mT @ columns if per_sample else rows.flatten(0, 1).T @ columns.flatten(0, 1)
    x, padding = _padded(module, x)
    return _by_taps(module, x, slope, padding) if per_sample else _convolution_backward(module, x, slope, padding)


def _by_taps(module: ConvLayer, x: Tensor, slope: Tensor, padding: tuple[int, ...]) -> Tensor:
    """Return each sample's products: for every tap of the filter one batched product with the shifted input.

    Places where a tap lies on the padding are left out: with dilations as wide as DeepLabV3's that is most of them.
    The taps are the outer dimensions in memory.
    """
    x, slope = (tensor.unflatten(1, (module.groups, -1)) for tensor in (x, slope))
    found = x.new_empty(*module.kernel_size, len(x), module.groups, slope.shape[2], x.shape[2])
    for tap in product(*map(range, module.kernel_size)):
        shifts = [step * dilation - before for step, dilation, before in zip(tap, module.dilation, padding)]
        written, read = zip(*map(_overlap, shifts, module.stride, slope.shape[3:], x.shape[3:]))
        rows, columns = slope[(..., *written)].flatten(3), x[(..., *read)].flatten(3)
        torch.matmul(rows, columns.mT, out=found[tap])
    taps = tuple(range(len(padding)))
    return found.flatten(-3, -2).movedim(taps, tuple(axis - len(taps) for axis in taps))


def _overlap(shift: int, stride: int, outputs: int, inputs: int) -> tuple[slice, slice]:
    """Return for which of the outputs ``stride * output + shift`` is an input, and these inputs."""
    first = max(0, -(shift // stride))
    last = max(first, min(outputs, (inputs - 1 - shift) // stride + 1))
    start = first * stride + shift
    return slice(first, last), slice(start, start + (last - first) * stride, stride)


def _padded(module: ConvLayer, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return the input and the zero padding still to be done; other paddings are laid around the input."""
    if module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return x, tuple(module.padding)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(x, module._reversed_padding_repeated_twice, mode=mode), (0,) * len(module.kernel_size)


def _convolution_backward(module: ConvLayer, x: Tensor, slope: Tensor, padding: tuple[int, ...]) -> Tensor:
    return torch.ops.aten.convolution_backward(
        slope, x, module.weight, None, module.stride, padding, module.dilation, False, (0,) * len(padding),
        module.groups, (False, True, False),
    )[1]  # fmt: skip


def position_sums(module: nn.Module, slope: Tensor) -> Tensor:
    """Return a layer's slopes summed over positions, as a new tensor that may be written to.

    Parameters
    ----------
    module : nn.Module
        The layer; a linear one has its outputs in the last dimension, any other in the second.
    slope : Tensor
        (N, outputs), or with positions: (N, ..., outputs) for a linear layer, (N, outputs, ...) for others.

    Returns
    -------
    Tensor
        (N, outputs).
    """
    if slope.ndim == 2:
        return slope.clone()
    return slope.flatten(1, -2).sum(1) if isinstance(module, nn.Linear) else slope.flatten(2).sum(2)
