"""Experts on their own: a net in which the filters outside a path are not there, with the same output as the gated one.

The state of the small net is the state of the large one, sliced. That holds for whole numbers as for weights, so that
an expert cut from a quantized net keeps its indices and steps exactly.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.experts.coupling import Groups, Path, fitting_example, groups, kept_units
from relcomp_kit.compression.experts.gating import gate
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import check_eval

TOLERANCE = 1e-4  # of the largest logit: what other orders of summation may change


def compact(net: nn.Module, path: Path, example: Tensor) -> nn.Module:
    """Return the net without the filters that a path leaves out, physically smaller; the given one is left as it is.

    Raises if its output on the example differs from the gated net's: by more than 1e-4 of the largest logit, or 10
    times the machine epsilon of the logits' type where that is more, as in float16.

    Parameters
    ----------
    net : nn.Module
        In eval mode, and outside of any `gate`.
    path : dict of str to Tensor
        As `relevant_path` gives it for this net.
    example : Tensor
        An input of the net, such as an image, or random numbers; on the net's device.

    Returns
    -------
    nn.Module
        In eval mode. Its ``state_dict()`` is all that has to be kept of it: `compact_like` builds the net again.

    Raises
    ------
    UserError
        If the path does not fit the net, or the small net's output is not the gated one's: what stands between two
        layers must make 0 of 0, as ReLU does and a sigmoid does not.
    """
    check_eval(net)
    found = groups(net, example)
    small = compact_like(net, sliced(net.state_dict(), kept_units(net, path, found), found))
    with torch.inference_mode(), fitting_example():
        with gate(net, path):
            wanted = logits(net(example))
        largest = wanted.abs().max()
        apart = (logits(small(example)) - wanted).abs().max()
    if not apart <= max(TOLERANCE, 10 * torch.finfo(wanted.dtype).eps) * largest:
        raise UserError(
            f"cut out, the expert computes something else than gated ({apart / largest:.1e} of the largest logit): "
            "take a net whose activations make 0 of 0, and whose weights are finite"
        )
    return small


def compact_like(net: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """Return a net of the same modules as another, with the widths and the numbers of a state.

    To have an expert again that was written to a file: ``compact_like(deeplab("compact", 7), state)``.

    Parameters
    ----------
    net : nn.Module
        Any net of the kind that the expert was cut from; left as it is. Device and type of the numbers are its own.
    state : dict of str to Tensor
        ``state_dict()`` of a net that `compact` made.

    Returns
    -------
    nn.Module
        The expert, in the mode (train or eval) of ``net``.

    Raises
    ------
    UserError
        If the state is of another kind of net.
    """
    shared = {id(value): value for value in net.parameters()}  # not copied, because each is replaced below
    small = copy.deepcopy(net, shared)
    own = small.state_dict()
    for name in [*(name for name in own if name not in state), *(name for name in state if name not in own)][:1]:
        where = "lacks" if name in own else "has"
        raise UserError(f"the state {where} {name}: it is of another kind of net")
    for prefix, module in small.named_modules():
        for key, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            name = f"{prefix}.{key}" if prefix else key
            if name not in own:
                continue  # a buffer that no state holds
            if state[name].ndim != value.ndim:
                raise UserError(f"the state has {name} in {state[name].ndim} dimensions: it is of another kind of net")
            new = state[name].detach().to(value.device, value.dtype, copy=True)
            setattr(module, key, nn.Parameter(new, value.requires_grad) if isinstance(value, nn.Parameter) else new)
        _set_widths(module, prefix)
    return small


def _set_widths(module: nn.Module, name: str) -> None:
    """Let a module's own figures follow the shapes of its weights."""
    if isinstance(module, nn.Conv2d):
        if module.groups > 1:
            module.groups = len(module.weight)
        module.out_channels, module.in_channels = len(module.weight), module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm) and module.state_dict():
        module.num_features = len(next(value for value in module.state_dict().values() if value.ndim))


def sliced(tensors: dict[str, Tensor], kept: Tensor, found: Groups) -> dict[str, Tensor]:
    """Return the part of each tensor that belongs to the units kept.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Of names and shapes of a net's state, of any type.
    kept : Tensor
        Which units are kept, (units,) bool.
    found : Groups
        As `groups` returns them for this net.
    """
    result = {}
    for name, value in tensors.items():
        for axis, unit in found.axes.get(name, {}).items():
            stays = (unit < 0) | kept[unit]
            value = value.index_select(axis, stays.nonzero().flatten().to(value.device))
        result[name] = value
    return result


def cut(quantized: Quantized, path: Path, net: nn.Module, example: Tensor) -> Quantized:
    """Return the expert of a quantized net: its indices, its steps and the rest, each exactly as they were.

    ``compact_like(net, ecqx.state_dict(cut(...)))`` is the net.

    Parameters
    ----------
    quantized : Quantized
        As `relcomp_kit.compression.ecqx.quantize` makes it of this net.
    path : dict of str to Tensor
        As `relevant_path` gives it for this net.
    net : nn.Module
        The net that was quantized; left as it is.
    example : Tensor
        An input of the net, as in `groups`.

    Returns
    -------
    Quantized
        The indices and the rest of the filters kept; all steps.

    Raises
    ------
    UserError
        If the weights or the path are of another net.
    """
    found = groups(net, example)
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    if shapes != {name: value.shape for name, value in (quantized.indices | quantized.rest).items()}:
        raise UserError("the quantized weights are of another net: give the net that was quantized")
    kept = kept_units(net, path, found)
    indices, rest = sliced(quantized.indices, kept, found), sliced(quantized.rest, kept, found)
    return Quantized(indices, dict(quantized.steps), rest, dict(quantized.versions))


def logits(output: Tensor | dict[str, Tensor]) -> Tensor:
    """Return the logits of what a net gives: a tensor, or a dict that holds them under "out"."""
    return output if isinstance(output, Tensor) else output["out"]
