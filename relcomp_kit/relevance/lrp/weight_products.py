"""The gradient of a layer's weights, from its input and from the slope that came back at its output."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
ConvLayer = nn.Conv1d | nn.Conv2d | nn.Conv3d
LinearLayer = nn.Linear | ConvLayer


class Geometry(NamedTuple):
    """What a convolution knows besides its weight: a number for each axis of the image, and its groups.

    Parameters
    ----------
    stride, padding, dilation : tuple of int
        In pixels, one for each axis.
    groups : int
        In how many parts channels are divided.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


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
    samples = len(x) if per_sample else None
    if isinstance(module, nn.Linear):
        return linear_products(x, slope, samples)
    padding = module.padding
    if module.padding_mode != "zeros" or isinstance(padding, str):  # other paddings are laid around the input
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        x, padding = F.pad(x, module._reversed_padding_repeated_twice, mode=mode), (0,) * len(module.kernel_size)
    geometry = Geometry(module.stride, padding, module.dilation, module.groups)
    return convolution_products(x, slope, module.weight, geometry, samples)


def linear_products(x: Tensor, slope: Tensor, samples: int | None) -> Tensor:
    """Return the products of a linear layer's weight.

    Parameters
    ----------
    x, slope : Tensor
        Input (..., inputs), and what came back at the output, (..., outputs).
    samples : int or None
        How many samples their rows belong to, all rows of one before those of the next; None for the sum over all.

    Returns
    -------
    Tensor
        (samples, outputs, inputs), or (outputs, inputs).
    """
    if samples is None:
        return slope.reshape(-1, slope.shape[-1]).T @ x.reshape(-1, x.shape[-1])
    rows, columns = (value.reshape(samples, -1, value.shape[-1]) for value in (slope, x))
    return rows.mT @ columns


def convolution_products(x: Tensor, slope: Tensor, weight: Tensor, geometry: Geometry, samples: int | None) -> Tensor:
    """Return the products of a convolution's weight.

    Parameters
    ----------
    x, slope : Tensor
        Input (M, inputs, ...), and what came back at the output, (M, outputs, ...).
    weight : Tensor
        Only its shape is needed.
    geometry : Geometry
        Stride, padding with zeros, dilation and groups.
    samples : int or None
        How many samples the M images belong to, all of one before those of the next; None for the sum over all.

    Returns
    -------
    Tensor
        (samples, \\*weight.shape), or the weight's shape.
    """
    if samples is None:
        return torch.ops.aten.convolution_backward(
            slope, x, weight, None, geometry.stride, geometry.padding, geometry.dilation, False,
            (0,) * len(geometry.padding), geometry.groups, (False, True, False),
        )[1]  # fmt: skip
    found = _by_taps(x, slope, weight.shape[2:], geometry)
    return found if len(x) == samples else found.unflatten(0, (samples, -1)).sum(1)


def _by_taps(x: Tensor, slope: Tensor, kernel_size: Sequence[int], geometry: Geometry) -> Tensor:
    """Return each image's products: for every tap of the filter one batched product with the shifted input.

    Places where a tap lies on the padding are left out: with dilations as wide as DeepLabV3's that is most of them.
    The taps are the outer dimensions in memory.
    """
    x, slope = (tensor.unflatten(1, (geometry.groups, -1)) for tensor in (x, slope))
    found = x.new_empty(*kernel_size, len(x), geometry.groups, slope.shape[2], x.shape[2])
    for tap in product(*map(range, kernel_size)):
        shifts = [step * dilation - before for step, dilation, before in zip(tap, geometry.dilation, geometry.padding)]
        written, read = zip(*map(_overlap, shifts, geometry.stride, slope.shape[3:], x.shape[3:]))
        rows, columns = slope[(..., *written)].flatten(3), x[(..., *read)].flatten(3)
        torch.matmul(rows, columns.mT, out=found[tap])
    taps = tuple(range(len(kernel_size)))
    return found.flatten(-3, -2).movedim(taps, tuple(axis - len(taps) for axis in taps))


def _overlap(shift: int, stride: int, outputs: int, inputs: int) -> tuple[slice, slice]:
    """Return for which of the outputs ``stride * output + shift`` is an input, and these inputs."""
    first = max(0, -(shift // stride))
    last = max(first, min(outputs, (inputs - 1 - shift) // stride + 1))
    start = first * stride + shift
    return slice(first, last), slice(start, start + (last - first) * stride, stride)


def position_sums(slope: Tensor, samples: int, axis: int) -> Tensor:
    """Return a layer's slopes summed over positions, as a new tensor that may be written to.

    Parameters
    ----------
    slope : Tensor
        Channels lie along ``axis``; all of one sample comes before all of the next.
    samples : int
        How many samples there are.
    axis : int
        1, or -1 for a linear layer.

    Returns
    -------
    Tensor
        (samples, channels).
    """
    if axis == -1:
        return slope.reshape(samples, -1, slope.shape[-1]).sum(1)
    found = slope.flatten(2).sum(2) if slope.ndim > 2 else slope.clone()
    return found if len(found) == samples else found.reshape(samples, -1, found.shape[1]).sum(1)
