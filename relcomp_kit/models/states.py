"""States of nets, and the versions that some nets ask for when they load one.

`torch.nn.Module.load_state_dict` hands every module the version that its part of the state was written with, which lies
beside the tensors, in ``_metadata``. A dict that was built anew lacks it, and a net such as torchvision's MNASNet
refuses it, or takes it for one of an older layout.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def versions(net: nn.Module) -> dict[str, int]:
    """Return the version of each module that asks for it when it loads a state.

    Torch's own modules are left out: they need the version only to read states that older versions of torch wrote.

    Parameters
    ----------
    net : nn.Module
        Any net.

    Returns
    -------
    dict of str to int
        Module name, "" for the net itself, to its version.
    """
    return {
        name: module._version
        for name, module in net.named_modules()
        if type(module)._load_from_state_dict is not nn.Module._load_from_state_dict
        and not type(module).__module__.startswith("torch.nn.")
    }


def with_versions(tensors: Mapping[str, Tensor], found: Mapping[str, int]) -> dict[str, Tensor]:
    """Return a state with versions attached, for a net that asks for them.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        The state's entries.
    found : mapping of str to int
        As `versions` returns them.
    """
    state = OrderedDict(tensors)
    state._metadata = OrderedDict((name, {"version": version}) for name, version in found.items())  # type: ignore
    return state


def load_state(net: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load, strictly, a state that was taken from a net of the same kind and may have been stored as plain tensors.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    tensors : mapping of str to Tensor
        All entries of its state.
    """
    net.load_state_dict(with_versions(tensors, versions(net)))


@contextmanager
def loaded(net: nn.Module, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a net have another state, within a ``with``; afterwards its own, to the bit.

    Parameters
    ----------
    net : nn.Module
        Any net.
    state : mapping of str to Tensor
        Names and shapes of its state.
    """
    own = net.state_dict()
    before = {name: value.clone() for name, value in own.items()}
    try:
        _write(own, state)
        yield
    finally:
        _write(own, before)


@torch.no_grad()
def _write(own: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in own.items():
        value.copy_(values[name])


def computed_weights(net: nn.Module) -> list[Tensor]:
    """Return the tensors that a net holds as attributes and computes from its parameters in each pass.

    `torch.nn.utils.prune` and ``weight_norm`` leave such weights. They have a gradient's history, and so torch does not
    copy them: whoever copies the net gives ``copy.deepcopy`` something in their place.

    Parameters
    ----------
    net : nn.Module
        Any net.
    """
    values = [value for module in net.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    return [value for value in values if not value.is_leaf]


def plain_copy(net: nn.Module, memory: Mapping[int, Tensor] | None = None) -> nn.Module:
    """Return a copy of a net, also of one whose weights are computed from others in each pass.

    Such a weight, of `torch.nn.utils.prune` or `weight_norm`, is an attribute with a gradient, which torch does not
    copy; the next pass computes it anew.

    Parameters
    ----------
    net : nn.Module
        Any net; left as it is.
    memory : dict of int to Tensor, optional
        What stands in the copy for a tensor of this id.
    """
    computed = {id(value): value.detach().clone() for value in computed_weights(net)}
    return copy.deepcopy(net, computed | dict(memory or {}))
