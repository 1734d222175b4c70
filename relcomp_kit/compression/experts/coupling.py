"""Which filters of a net can only be kept or removed together, and what of the net's state goes with each.

Channel 5 of a residual sum is written by several convolutions: it is gone only when filter 5 of all of them is. Such
filters are one *unit*; a filter of a layer that nothing is added to is a unit of its own. Torch-Pruning's dependency
graph tells them, and which input channels of later layers read them (behind a concatenation, at other places).

Source: Fang, Ma, Song, Mi, Wang: "DepGraph: Towards Any Structural Pruning", 2023.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch_pruning.ops import OPTYPE

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedLayer
from relcomp_kit.relevance.channels import LAYERS, inner_layers

CURE = "take a net of convolutions, linear layers, batch-norms, sums and concatenations"
Path = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Groups:
    """The units of a net.

    Parameters
    ----------
    layers : tuple of tuple of str
        Groups of layers that share all their units, in the order of the net; most layers stand alone. Those that write
        the net's output are in none: their filters are never removed.
    units : dict of str to Tensor
        Layer to the unit of each output channel, (channels,) int64. Units are counted through, group by group.
    axes : dict of str to dict of int to Tensor
        Entry of ``state_dict()`` to axis to the unit of each position, -1 where nothing is ever removed.
    count : int
        Number of units.
    """

    layers: tuple[tuple[str, ...], ...]
    units: dict[str, Tensor]
    axes: dict[str, dict[int, Tensor]]
    count: int


_known: WeakKeyDictionary = WeakKeyDictionary()  # net -> (shapes of its parameters, its groups)


def groups(net: nn.Module, example: Tensor) -> Groups:
    """Return which filters of a net can only be kept or removed together; found once a net.

    Parameters
    ----------
    net : nn.Module
        Of convolutions, linear layers (`MaskedLayer` too) and batch-norms. It is left as it is and not even run: its
        modules are traced without numbers.
    example : Tensor
        An input of the net; only its shape and type count.

    Returns
    -------
    Groups
        Which filters are one unit, and what of the net's state goes with each.

    Raises
    ------
    UserError
        If the example does not go through the net, or the net holds what the kit cannot cut.
    """
    shapes = [value.shape for value in net.parameters()]
    if net in _known and _known[net][0] == shapes:
        return _known[net][1]
    found = _groups(net, example)
    _known[net] = shapes, found
    return found


def blueprint(net: nn.Module) -> nn.Module:
    """Return a copy of a net without numbers, on the meta device: running it computes shapes alone."""
    empty = {id(value): nn.Parameter(torch.empty_like(value, device="meta")) for value in net.parameters()}
    return copy.deepcopy(net, empty).to("meta").eval()


@contextmanager
def fitting_example() -> Iterator[None]:
    """Turn what torch says about an input that a net cannot take into one sentence."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"the example does not go through the net ({reason}): give an input as it wants it") from error


@torch.inference_mode(False)
@torch.enable_grad()  # the dependency graph is read off autograd's
def _groups(net: nn.Module, example: Tensor) -> Groups:
    traced = blueprint(net)
    for name, module in list(traced.named_modules()):
        if isinstance(module, MaskedLayer):  # Torch-Pruning does not know it, but a linear layer of the same neurons
            outputs, inputs = module.weight.shape
            traced.set_submodule(name, nn.Linear(inputs, outputs, device="meta"))
    with fitting_example():
        graph = torch_pruning.DependencyGraph().build_dependency(
            traced, torch.empty_like(example, device="meta"), forward_fn=lambda model, x: model(x), verbose=False
        )
    state, modules = net.state_dict(), dict(net.named_modules())
    names = {module: name for name, module in traced.named_modules()}
    layers, count = [], 0
    units: dict[str, Tensor] = {}
    axes: dict[str, dict[int, Tensor]] = {}
    for root, layer in inner_layers(net).items():
        parts = [] if root in units else _parts(graph, names, traced.get_submodule(root), len(layer.weight))
        if not parts:
            continue
        for name, writes, positions, channels in parts:
            unit = torch.tensor(channels) + count
            if writes and isinstance(modules[name], LAYERS):
                if name in units or sorted(positions) != list(range(len(modules[name].weight))):
                    raise UserError(f"parts of {name} are coupled with different layers, which cannot be cut: {CURE}")
                units[name] = torch.empty_like(unit).scatter_(0, torch.tensor(positions), unit)
            axis = 0 if writes else 1
            for entry in (f"{name}.{key}" for key in modules[name].state_dict()):
                if state[entry].ndim > axis:
                    free = torch.full((state[entry].shape[axis],), -1)
                    axes.setdefault(entry, {}).setdefault(axis, free)[positions] = unit
        written = {name for name, writes, *_ in parts if writes}
        layers.append(tuple(name for name in inner_layers(net) if name in written))
        count += len(units[root])
    return Groups(tuple(layers), units, axes, count)


def _parts(
    graph: torch_pruning.DependencyGraph, names: dict[nn.Module, str], layer: nn.Module, count: int
) -> list[tuple]:
    """Return what goes with a layer's filters, as (module, writes, positions, filters); [] if the output does.

    The layer has ``count`` filters. ``positions`` among the channels that the module writes, or else among those that
    it reads, go with ``filters``.
    """
    if layer not in graph.module2node:
        return []
    parts = []
    prune = graph.get_pruner_of_module(layer).prune_out_channels
    for item in graph.get_pruning_group(layer, prune, list(range(count))):
        module, kind = item.dep.target.module, item.dep.target.type
        if kind == OPTYPE.OUTPUT:
            return []
        if kind == OPTYPE.PARAMETER:
            raise UserError(f"what {names[layer]} writes meets a parameter that belongs to no layer: {CURE}")
        if module not in names or not module.state_dict():
            continue
        if not isinstance(module, (*LAYERS, _BatchNorm)):
            raise UserError(f"the kit cannot cut {names[module]}, a {type(module).__name__}: {CURE}")
        if isinstance(module, nn.Conv2d) and module.groups not in (1, module.out_channels):
            raise UserError(f"{names[module]} is a convolution in groups, which cannot be cut by filters: {CURE}")
        writes = graph.is_out_channel_pruning_fn(item.dep.handler)
        parts.append((names[module], writes, item.idxs, item.root_idxs))
    return [] if all(writes for _, writes, *_ in parts) else parts


def check_path(widths: dict[str, int], path: Path) -> None:
    """Raise a `UserError` unless a path has a mask for each layer and leaves it a filter.

    Parameters
    ----------
    widths : dict of str to int
        Output channels of the layers that `inner_layers` names.
    path : dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        If a mask is missing, of another shape or type, or all False, or a layer is not in the net.
    """
    if path.keys() != widths.keys():
        missing, strange = [n for n in widths if n not in path], [n for n in path if n not in widths]
        what = f"has no mask for {missing[0]}" if missing else f"names {strange[0]}, which this net does not have"
        raise UserError(f"the path {what}: make it on this net")
    for name, mask in path.items():
        if mask.dtype != torch.bool or mask.shape != (widths[name],):
            raise UserError(
                f"the mask of {name} is {mask.dtype} of shape {tuple(mask.shape)} and the layer has {widths[name]} "
                "output channels: make the path on this net"
            )
        if not mask.any():
            raise UserError(f"the path leaves {name} without filters: keep one at least")


def kept_units(net: nn.Module, path: Path, found: Groups) -> Tensor:
    """Return which units a path keeps, after checking that it fits and that coupled filters agree.

    Parameters
    ----------
    net : nn.Module
        The net that the path is for.
    path : dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.
    found : Groups
        As `groups` returns them for this net.

    Returns
    -------
    Tensor
        (units,) bool.

    Raises
    ------
    UserError
        If the path does not fit, keeps one of two coupled filters, or removes filters of the net's output.
    """
    check_path({name: len(layer.weight) for name, layer in inner_layers(net).items()}, path)
    kept = torch.ones(found.count, dtype=torch.bool)
    for name, unit in found.units.items():
        kept[unit[~path[name].cpu()]] = False
    for members in found.layers:
        for name in members:
            if not torch.equal(kept[found.units[name]], path[name].cpu()):
                raise UserError(
                    f"{members[0]} and {members[-1]} are summed, but the path keeps different filters of them: make it "
                    "by relevant_path, which gives such layers one mask"
                )
    for name in path.keys() - found.units.keys():
        if not path[name].all():
            raise UserError(f"{name} writes the net's output, but the path removes filters of it: keep all")
    return kept
