"""Nets of other widths: parts of a net's state, and a net built like another around such a state."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from relcomp_kit.errors import UserError
from relcomp_kit.models.outputs import logits
from relcomp_kit.models.states import computed_weights, plain_copy

# What a net raises whose layers do not fit together.
MISFITS = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError)


def meta_copy(net: nn.Module) -> nn.Module:
    """Return a copy of a net without numbers, on the meta device, in eval mode: running it computes shapes alone."""

    def empty(value: Tensor) -> Tensor:
        return torch.empty_like(value, device="meta")

    memory = {id(value): nn.Parameter(empty(value), value.requires_grad) for value in net.parameters()}
    return copy.deepcopy(net, memory | {id(value): empty(value) for value in computed_weights(net)}).to("meta").eval()


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
    small = plain_copy(net, shared)
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
        if not isinstance(module, (_ConvNd, nn.Linear)) or (f"{prefix}.weight" if prefix else "weight") in own:
            _set_widths(module)
    return small


def restored(whole: nn.Module, state: dict[str, Tensor], example: Tensor, classes: int) -> nn.Module | None:
    """Return the net that a state from a file is of: a whole one, or an expert that was cut out of it.

    Parameters
    ----------
    whole : nn.Module
        A net of that kind, with weights of no meaning, in eval mode; left as it is.
    state : dict of str to Tensor
        Names and numbers, which anybody may have written.
    example : Tensor
        Images as the net takes them.
    classes : int
        How many outputs it must have.

    Returns
    -------
    nn.Module or None
        The net, in eval mode; None if the state is of neither, or its layers do not fit together.
    """
    own = whole.state_dict()
    if own.keys() != state.keys() or not all(_fits(state[name], own[name]) for name in own):
        return None
    net = compact_like(whole, state)
    try:
        with torch.no_grad():
            answer = logits(net(example))
    except MISFITS:
        return None
    return net if answer.shape[1] == classes and answer.isfinite().all() else None


def _fits(value: Tensor, whole: Tensor) -> bool:
    """Say whether a tensor may be part of another one."""
    return value.ndim == whole.ndim and all(0 < part <= full for part, full in zip(value.shape, whole.shape))


def _set_widths(module: nn.Module) -> None:
    """Let a module's own figures follow the shapes of its weights."""
    if isinstance(module, _ConvTransposeNd):
        module.in_channels = len(module.weight)
    elif isinstance(module, _ConvNd):
        width = len(module.weight)
        if module.groups == module.in_channels > 1:  # depth-wise, with one filter or several for each channel
            module.groups = width // (module.out_channels // module.groups)
        module.out_channels, module.in_channels = width, module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm) and module.state_dict():
        module.num_features = len(next(value for value in module.state_dict().values() if value.ndim))


def sliced(tensors: dict[str, Tensor], kept: Tensor, axes: dict[str, dict[int, Tensor]]) -> dict[str, Tensor]:
    """Return the part of each tensor that belongs to the units kept.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Of names and shapes of a net's state, of any type.
    kept : Tensor
        Which units are kept, (units,) bool.
    axes : dict of str to dict of int to Tensor
        `Groups.axes` of this net.
    """
    result = {}
    for name, value in tensors.items():
        for axis, unit in axes.get(name, {}).items():
            stays = (unit < 0) | kept[unit]
            value = value.index_select(axis, stays.nonzero().flatten().to(value.device))
        result[name] = value
    return result
