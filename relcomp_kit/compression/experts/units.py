"""Units: from the labels of a followed pass to what can be removed, as one, of layers and of a net's state."""

from dataclasses import dataclass

import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from relcomp_kit.compression.experts.tracing import Trace
from relcomp_kit.models.masked_net import MaskedLayer
from relcomp_kit.relevance.channels import inner_layers

COMPUTED = "each pass computes its weight: make it permanent first, by prune.remove or remove_parametrizations"


@dataclass(frozen=True, eq=False)
class Groups:
    """The units of a net.

    Parameters
    ----------
    layers : tuple of tuple of str
        Groups of layers that share units, in the order of the net; most layers stand alone.
    units : dict of str to Tensor
        Layer to the unit of each output channel, (channels,) int64. Units are counted through, group by group.
    fixed : dict of str to str
        Layer whose filters are never removed, to the reason: a clause.
    axes : dict of str to dict of int to Tensor
        Entry of ``state_dict()`` to axis to the unit of each position, -1 where nothing is ever removed.
    reads : dict of str to Tensor
        Layer to the unit of each channel that it is given, (channels,), -1 as above; of those that read any unit.
        Depth-wise convolutions hand on what they are given, and are not among them.
    norms : dict of str to str
        Layer to the batch-norm that alone reads its output.
    count : int
        Number of units.
    """

    layers: tuple[tuple[str, ...], ...]
    units: dict[str, Tensor]
    fixed: dict[str, str]
    axes: dict[str, dict[int, Tensor]]
    reads: dict[str, Tensor]
    norms: dict[str, str]
    count: int


def assembled(net: nn.Module, trace: Trace) -> Groups:
    """Return the units that labels make; a layer of which some filters are fixed is fixed.

    Parameters
    ----------
    net : nn.Module
        The net.
    trace : Trace
        What a pass of it has shown.
    """
    classes, why = trace.labels.classes()
    own = {name: classes[rows] for name, rows in trace.rows.items() if name in trace.ran}
    changed = True
    while changed:
        changed = False
        for found in own.values():
            reasons = [why[one] for one in found.tolist() if one in why]
            if reasons and len(reasons) < len(found):
                changed = True
                for one in found.tolist():
                    why.setdefault(one, reasons[0])
    inner = inner_layers(net)
    free = {name: own[name] for name in inner if name in own and int(own[name][0]) not in why}
    fixed = {}
    for name in (name for name in inner if name not in free):
        if name in trace.rows:
            fixed[name] = why.get(int(classes[trace.rows[name][0]]), "it takes no part in the pass")
        else:
            fixed[name] = COMPUTED
    members = _connected(list(free), list(free.values()))
    number = torch.full((int(classes.max()) + 1,), -1)
    count = 0
    for name in (name for group in members for name in group):
        fresh = torch.tensor([one for one in dict.fromkeys(free[name].tolist()) if number[one] < 0], dtype=torch.int64)
        number[fresh] = torch.arange(count, count + len(fresh))
        count += len(fresh)
    axes: dict[str, dict[int, Tensor]] = {}
    saved = net.state_dict()
    reads = {name: number[classes[labels]] for name, labels in trace.reads.items()}
    for name, found in own.items():
        module = net.get_submodule(name)
        keys = list(module.state_dict()) if isinstance(module, MaskedLayer) else ["weight"]
        transposed = isinstance(module, _ConvTransposeNd)
        for entry in (f"{name}.{key}" if name else key for key in keys):
            _set_axis(axes, entry, 0, reads[name] if transposed else number[found])
            if name in reads and not transposed and saved[entry].ndim > 1:  # in groups, as many as each group reads
                _set_axis(axes, entry, 1, reads[name][: saved[entry].shape[1]])
    for entry, (axis, labels) in trace.vectors.items():
        _set_axis(axes, entry, axis, number[classes[labels]])
    reads = {name: unit for name, unit in reads.items() if (unit >= 0).any()}
    return Groups(
        members, {name: number[found] for name, found in free.items()}, fixed, axes, reads, trace.norms, count
    )


def _set_axis(axes: dict[str, dict[int, Tensor]], entry: str, axis: int, unit: Tensor) -> None:
    if (unit >= 0).any():
        axes.setdefault(entry, {})[axis] = unit


def _connected(names: list[str], classes: list[Tensor]) -> tuple[tuple[str, ...], ...]:
    """Return the layers that share classes, directly or by others, as groups in their order."""
    if not names:
        return ()
    rows = torch.cat([torch.full_like(found, place) for place, found in enumerate(classes)])
    columns = torch.cat(classes) + len(names)
    size = int(columns.max()) + 1
    matrix = coo_array((torch.ones(len(rows)).numpy(), (rows.numpy(), columns.numpy())), shape=(size, size))
    _, group = connected_components(matrix, directed=False)
    found: dict[int, list[str]] = {}
    for name, one in zip(names, group[: len(names)].tolist()):
        found.setdefault(one, []).append(name)
    return tuple(map(tuple, found.values()))
