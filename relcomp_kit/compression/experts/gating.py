"""Experts in the running net: filters of a path are switched off where the rest of the net reads them, and back on.

A filter is off when every layer that reads its channel gets 0 there. That is what the cut net computes, whose layers
have no weights for that channel. It does not matter what lies between the filter and its readers: batch-norms, sums,
concatenations, or activations that turn 0 into another number. No weight is copied.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from relcomp_kit.compression.experts.coupling import (
    Groups,
    Path,
    check_path,
    groups,
    kept_units,
    known_groups,
)
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import check_eval, inner_layers


@contextmanager
def gate(net: nn.Module, path: Path) -> Iterator[nn.Module]:
    """Let only the filters of a path take part, within a ``with``; afterwards the net is what it was, to the bit.

    A gate in a gate keeps what both paths keep. The net gives what `compact` of it does.

    Parameters
    ----------
    net : nn.Module
        In eval mode. If `groups` has not been asked about it, that is done by the first input that it is given.
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
    with _gated(net, [path]):
        yield net


@contextmanager
def gate_each(net: nn.Module, paths: Sequence[Path]) -> Iterator[nn.Module]:
    """Let every element of a batch take a path of its own.

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
    with _gated(net, paths):
        yield net


@contextmanager
def _gated(net: nn.Module, paths: Sequence[Path]) -> Iterator[None]:
    """Multiply what layers read by masks, one for the whole batch or one for each element."""
    check_eval(net)
    widths = {name: len(layer.weight) for name, layer in inner_layers(net).items()}
    for path in paths:
        check_path(widths, path)
    with ExitStack() as stack:

        def close(found: Groups) -> None:
            kept = torch.stack([kept_units(net, path, found) for path in paths])
            for name, unit in found.reads.items():
                stays = (unit < 0) | kept[:, unit]
                if not stays.all():
                    layer = net.get_submodule(name)
                    stack.callback(layer.register_forward_pre_hook(_masked(name, stays)).remove)

        def look(module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            first.remove()
            close(groups(net, next(iter((*inputs, *named.values())))))

        found = known_groups(net)
        if found is not None:
            close(found)
        else:
            first = net.register_forward_pre_hook(look, with_kwargs=True)
            stack.callback(first.remove)
        yield


def _masked(name: str, stays: Tensor) -> Callable:
    """Return a hook that multiplies the channels that a layer is given by masks, (1 or batch, channels)."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, *rest = inputs
        if len(stays) > 1 and len(x) != len(stays):
            raise UserError(
                f"there are {len(stays)} paths for a batch of {len(x)} in {name}: give one for each element"
            )
        behind = layer.get_parameter("weight").ndim - 2  # axes behind the channels
        between = x.ndim - 2 - behind if len(stays) > 1 else 0  # the batch and them
        shape = [*stays.shape[:1], *[1] * between, *stays.shape[1:], *[1] * behind]
        return x * stays.to(x).view(shape if len(stays) > 1 else shape[1:]), *rest

    return hook
