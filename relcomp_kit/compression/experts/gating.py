"""Experts in the running net: filters of a path are switched off where the rest of the net sees them, and back on.

A filter at 0 before its batch-norm would come out as the batch-norm's shift. So the scale and the shift of the channel
become 0 instead: two short vectors a layer, and the forward pass costs what it did. No weight is copied.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from relcomp_kit.compression.experts.coupling import Path, check_path
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import batch_norms, check_eval, inner_layers

_known: WeakKeyDictionary = WeakKeyDictionary()  # net -> (its modules, what `_outlets` found)


@contextmanager
def gate(net: nn.Module, path: Path) -> Iterator[nn.Module]:
    """Let only the filters of a path take part, within a ``with``; afterwards the net is what it was, to the bit.

    A gate in a gate keeps what both paths keep. The output of a layer without batch-norm is multiplied by the mask.
    The activation behind it must map 0 to 0: ReLU and tanh do, a sigmoid does not. That is not checked here; `compact`
    checks it, by comparing outputs.

    Parameters
    ----------
    net : nn.Module
        In eval mode. Its batch-norms are not to be trained within: they are put back as they were.
    path : dict of str to Tensor
        As `relevant_path` gives it for this net.

    Yields
    ------
    nn.Module
        The net itself, gated.

    Raises
    ------
    UserError
        If the path does not fit the net, or the net is in train mode.
    """
    norms: dict[str, _BatchNorm] = {}
    with ExitStack() as stack:
        for name, module in _outlets(net, [path]).items():
            if isinstance(module, _BatchNorm) and module.affine:
                norms[name] = module
            else:
                stack.callback(_multiplied(module, path[name]).remove)
        if norms:
            stack.enter_context(_scaled(list(norms.values()), [path[name] for name in norms]))
        yield net


@contextmanager
def gate_each(net: nn.Module, paths: Sequence[Path]) -> Iterator[nn.Module]:
    """Let every element of a batch take a path of its own; a pass multiplies the output of each layer once.

    Parameters
    ----------
    net : nn.Module
        As in `gate`.
    paths : sequence of dict of str to Tensor
        One path for each element of the batches that the net is given within.

    Yields
    ------
    nn.Module
        The net itself, gated.

    Raises
    ------
    UserError
        If there is no path, one does not fit the net, or the net is in train mode; in a pass, if the batch has
        another size.
    """
    if not paths:
        raise UserError("there is no path to gate: give one for each element of the batch")
    with ExitStack() as stack:
        for name, module in _outlets(net, paths).items():
            stack.callback(_multiplied(module, torch.stack([path[name] for path in paths])).remove)
        yield net


def _outlets(net: nn.Module, paths: Sequence[Path]) -> dict[str, nn.Module]:
    """Return, of each layer, the module whose output the rest of the net sees: its batch-norm, or itself.

    Found once a net, because looking at each module's name takes longer than switching.
    """
    modules = [net]
    for module in modules:  # which grows
        modules += [child for child in module._modules.values() if child is not None]
    if any(module.training for module in modules):
        check_eval(net)
    if net not in _known or _known[net][0] != modules[1:]:
        norms, named = batch_norms(net), dict(net.named_modules())
        widths = {name: len(layer.weight) for name, layer in inner_layers(net).items()}
        _known[net] = modules[1:], widths, {name: named[norms.get(name, name)] for name in widths}
    _, widths, outlets = _known[net]
    for path in paths:
        check_path(widths, path)
    return outlets


def _multiplied(module: nn.Module, mask: Tensor):
    """Multiply what a module gives by a mask, (channels,) or (batch, channels), until the handle is removed."""

    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
        if mask.ndim == 2 and len(output) != len(mask):
            raise UserError(f"there are {len(mask)} paths for a batch of {len(output)}: give one for each element")
        return output * mask.to(output).view(*mask.shape, *[1] * (output.ndim - 2))

    return module.register_forward_hook(hook)


@contextmanager
def _scaled(norms: list[_BatchNorm], masks: list[Tensor]) -> Iterator[None]:
    """Put scales and shifts times masks in the place of those of batch-norms, and these back."""
    sizes = [len(mask) for mask in masks]
    before = [(norm.weight, norm.bias) for norm in norms]
    with torch.no_grad():  # all vectors at once, which is several times faster
        factor = torch.cat(masks)
        scales, shifts = (torch.cat(vectors).mul_(factor).split(sizes) for vectors in zip(*before))
    try:
        for norm, *masked in zip(norms, scales, shifts):
            norm._parameters["weight"], norm._parameters["bias"] = masked
        yield
    finally:
        for norm, own in zip(norms, before):
            norm._parameters["weight"], norm._parameters["bias"] = own
