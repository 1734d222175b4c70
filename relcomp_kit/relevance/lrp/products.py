"""How much a layer's output changes with each of its weights: one product of its input and of what came back."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
CONVOLUTIONS = {nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


def weight_products(module: nn.Module, x: Tensor, slope: Tensor, *, per_sample: bool) -> Tensor:
    """Return ``sum over positions of slope[o] x[i]`` for every weight (o, i): the gradient of ``<slope, module(x)>``.

    Parameters
    ----------
    module : nn.Module
        One of `LINEAR`; its weight is not needed, only its shape, stride, padding, dilation and groups.
    x, slope : Tensor
        (N, inputs, ...) and (N, outputs, ...).
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
    if not per_sample:
        return _convolution_backward(module, x, slope, padding)
    if x.ndim != 4:
        return torch.cat(
            [_convolution_backward(module, *pair, padding)[None] for pair in zip(x.split(1), slope.split(1))]
        )
    # every place where the filter lies becomes a column: one batched matrix product, no loop over samples
    columns = _columns(module, x, padding).unflatten(1, (module.groups, -1))
    rows = slope.flatten(2).unflatten(1, (module.groups, -1))
    return (rows @ columns.mT).reshape(len(x), *module.weight.shape)


def _columns(module: nn.Conv2d, x: Tensor, padding: tuple[int, int]) -> Tensor:
    """Return what each filter position sees: (N, inputs * height * width of the filter, positions)."""
    if module.kernel_size == (1, 1) and padding == (0, 0):
        return x[:, :, :: module.stride[0], :: module.stride[1]].flatten(2)
    return F.unfold(x, module.kernel_size, module.dilation, padding, module.stride)


def _padded(module: nn.Module, x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return the input and the zero padding still to be done; other paddings are laid around the input."""
    if module.padding_mode == "zeros" and not isinstance(module.padding, str):
        return x, tuple(module.padding)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    return F.pad(x, module._reversed_padding_repeated_twice, mode=mode), (0,) * len(module.kernel_size)


def _convolution_backward(module: nn.Module, x: Tensor, slope: Tensor, padding: tuple[int, ...]) -> Tensor:
    return torch.ops.aten.convolution_backward(
        slope, x, module.weight, None, module.stride, padding, module.dilation, False, (0,) * len(padding),
        module.groups, (False, True, False),
    )[1]  # fmt: skip


def position_sums(module: nn.Module, slope: Tensor) -> Tensor:
    """Return ``slope`` summed over positions, (N, outputs), as a tensor of its own that may be written to."""
    if slope.ndim == 2:
        return slope.clone()
    return slope.flatten(1, -2).sum(1) if isinstance(module, nn.Linear) else slope.flatten(2).sum(2)
