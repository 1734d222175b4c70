"""Which filter makes each channel of each tensor in a pass, whatever the code between the layers does.

A pass is followed operation by operation, below modules and functions, where torch has a few dozen operations. Every
tensor is given the axis of its channels, and a label for each channel. An operation that moves numbers (a view, a
permutation) moves their labels. One that joins tensors element by element (a sum, a batch-norm and its vectors) makes
their labels one. A layer reads labels, and its output has the labels of its filters. Labels that meet any other
operation are fixed, and the reason is noted.
"""

import re
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from relcomp_kit.compression.experts.labels import Labels
from relcomp_kit.compression.experts.operations import (
    ALIKE,
    ALONG,
    MAKERS,
    MOVES,
    NORMS,
    POINTWISE,
    RESHAPES,
    SPATIAL,
    Quick,
)
from relcomp_kit.relevance.channels import inner_layers

Channels = tuple[int, Tensor]  # the axis on which the channels lie, and their labels, (channels,)


class Trace(Quick):
    """What a pass of a net tells about its filters.

    Parameters
    ----------
    net : nn.Module
        The net that runs once within the mode. Hooks are left on it.

    Attributes
    ----------
    labels : Labels
        Of the filters.
    rows : dict of str to Tensor
        Each convolution or linear layer, to the labels of its filters, (output channels,).
    ran : set of str
        Those of them that ran.
    reads : dict of str to Tensor
        Those to the labels of the channels that they read, (input channels,), but for depth-wise convolutions.
    norms : dict of str to str
        Those of which a batch-norm alone reads the output, to its name.
    vectors : dict of str to tuple
        Each entry of ``state_dict()`` that is longer than 1 on one axis alone, to this axis and its labels.
    """

    def __init__(self, net: nn.Module):
        super().__init__()
        self.labels = Labels()
        self.rows: dict[str, Tensor] = {}
        self.ran: set[str] = set()
        self.norms: dict[str, str] = {}
        self.reads: dict[str, Tensor] = {}
        self.vectors: dict[str, Channels] = {}
        self._layers: dict[int, str] = {}  # storage of a weight -> name of its layer
        self._made: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # output -> name of its layer
        self._uses: list[tuple[str, str]] = []  # layer -> name of the batch-norm that reads its output, or ""
        self._inner = inner_layers(net)
        self._channels: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
        self._as_given: WeakTensorKeyDictionary = WeakTensorKeyDictionary()  # what layers were given
        self._within: list[tuple[str, nn.Module, Channels | None]] = [("", net, None)]
        saved = net.state_dict(keep_vars=True)
        for name, module in net.named_modules():
            module.register_forward_pre_hook(self._enter(name))
            module.register_forward_hook(self._leave)
            weight = f"{name}.weight" if name else "weight"
            if isinstance(module, (_ConvNd, nn.Linear)) and weight in saved:
                self._layers[_storage(saved[weight])] = name
                width = module.out_features if isinstance(module, nn.Linear) else module.out_channels
                self.rows[name] = self.labels.new(width)
                if width == 1:
                    self.labels.fix(self.rows[name], "it has one filter")
        for entry, value in saved.items():
            long = [axis for axis, size in enumerate(value.shape) if size > 1]
            layer, _, key = entry.rpartition(".")
            if layer in self.rows and key in ("weight", "bias"):
                if key == "bias":
                    self._channels[value] = self.vectors[entry] = 0, self.rows[layer]
            elif len(long) == 1:
                if value not in self._channels:
                    self._channels[value] = long[0], self.labels.new(value.shape[long[0]])
                self.vectors[entry] = self._channels[value]

    def _enter(self, name: str) -> Callable:
        def hook(module: nn.Module, inputs: tuple) -> None:
            first = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
            entered = None
            if first is not None and (channels := self._of(first)):
                entered = channels[0] - first.ndim, channels[1]
            self._within.append((name, module, entered))
            if first is not None and name in self.rows:
                self._as_given[first] = True

        return hook

    def _leave(self, module: nn.Module, inputs: tuple, output: object) -> None:
        self._within.pop()

    def finish(self, output: object) -> None:
        """Take what the net gave: its channels are never removed."""
        for value in tree_leaves(output):
            self._fix([value], "they write the net's output")
            if isinstance(value, Tensor) and value in self._made:
                self._uses.append((self._made[value], ""))
        uses: dict[str, set[str]] = {}
        for layer, norm in self._uses:
            uses.setdefault(layer, set()).add(norm)
        taken = [norm for norms in uses.values() for norm in norms]
        for layer, norms in uses.items():
            if len(norms) == 1 and (norm := next(iter(norms))) and taken.count(norm) == 1:
                self.norms[layer] = norm

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = super().__torch_dispatch__(func, types, args, kwargs)
        name = func.overloadpacket.__name__.rstrip("_")
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and value in self._made:
                norm = self._within[-1] if name in NORMS else ("", None, None)
                self._uses.append((self._made[value], norm[0] if isinstance(norm[1], _BatchNorm) else ""))
        given = dict(zip((argument.name for argument in func._schema.arguments), args)) | kwargs
        as_given = bool(args) and isinstance(args[0], Tensor) and args[0] in self._as_given
        if as_given and (name in MOVES or (name == "constant_pad_nd" and not given.get("value", 0))):
            for value in tree_leaves(result):  # a channel of zeros is still one
                self._as_given[value] = True
        if name in ("convolution", "addmm", "mm", "linear"):
            self._layer(name, given, result)
        else:
            tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
            if any(self._of(value) for value in tensors):
                self._other(name, func, given, tensors, result)
        return result

    def _of(self, value: object) -> Channels | None:
        """Return a tensor's channels; None if all of them are always there."""
        channels = self._channels.get(value) if isinstance(value, Tensor) else None
        return channels if channels and self.labels.live(channels[1]) else None

    def _fix(self, values: list, why: str) -> None:
        for value in values:
            if channels := self._of(value):
                self.labels.fix(channels[1], why)

    def _where(self) -> str:
        name, module, _ = self._within[-1]
        return f"{name or 'the net itself'} ({type(module).__name__})"

    def _layer(self, kind: str, given: dict, result: Tensor) -> None:
        """Follow a convolution or a product of matrices: it reads labels and hands on those of its filters."""
        x, weight, bias = (
            (given["mat1"], given["mat2"], given["self"])
            if kind == "addmm"
            else (given["self"], given["mat2"], None)
            if kind == "mm"
            else (given["input"], given["weight"], given.get("bias"))
        )
        name, (inside, module, entered) = self._layers.get(_storage(weight)), self._within[-1]
        own = module.get_parameter("weight") if name is not None and name == inside else None
        own = own.t() if own is not None and kind in ("addmm", "mm") else own  # type: ignore[assignment]
        if name is None or own is None or (own.shape, own.stride()) != (weight.shape, weight.stride()):
            if name is not None:
                self.labels.fix(self.rows[name], f"{self._where()} uses its weight without running it")
            self._fix([x, weight, bias], f"{self._where()} multiplies them by a computed weight, or another layer's")
            return
        axis, channels = (x.ndim - 1 if kind == "linear" else 1), self._of(x)
        place = 1 - weight.ndim  # of the channels of what a layer is given, from the end
        if channels and (
            channels[0] != axis or not entered or entered[0] != place or not torch.equal(entered[1], channels[1])
        ):
            self._fix([x], f"{self._where()} does not read them as channels")
            channels = None
        elif channels and x not in self._as_given and not type(module).forward.__module__.startswith("torch."):
            self._fix([x], f"{self._where()} changes what it is given before it reads them")
            channels = None
        read = channels[1] if channels else torch.zeros(x.shape[axis], dtype=torch.int64)
        rows = self.rows[name]
        self.ran.add(name)
        groups, why = getattr(module, "groups", 1), f"{self._where()} reads them beside what no filter makes"
        transposed = isinstance(module, _ConvTransposeNd)
        if groups == x.shape[axis] > 1 and not transposed:  # depth-wise
            self.labels.join(read.repeat_interleave(len(rows) // groups), rows, why)
        else:
            for labels in (rows, read) if groups > 1 else ():  # each group keeps as many
                for part in labels.view(groups, -1)[1:]:
                    self.labels.join(part, labels.view(groups, -1)[0], why)
            if groups > 1 and transposed:
                self._fix([x], f"{self._where()} is a transposed convolution in groups")
            self.labels.join(
                self.reads.setdefault(name, read), read, f"{self._where()} also reads what no filter makes"
            )
            if name not in self._inner:
                self.labels.fix(rows, "it is the last layer, of an auxiliary head, or neither Conv2d nor Linear")
        if bias is not None and not (self._of(bias) and torch.equal(self._channels[bias][1], rows)):
            self._fix([bias], f"{self._where()} computes its bias")
            self.labels.fix(rows, f"{self._where()} computes its bias")
        self._made[result] = name
        self._put(result, (result.ndim - 1 if kind == "linear" else 1, rows))

    def _other(self, name: str, func, given: dict, tensors: list[Tensor], result) -> None:
        """Follow any other operation of which an input has labels."""
        x, first = tensors[0], self._of(tensors[0])
        if name in ALIKE:
            self._put(result, first)
        elif name in NORMS and self._normalized(given):
            self._put(result[0], self._channels.get(given["input"]))
        elif name == "cat":
            self._put(result, self._joined(given["tensors"], given.get("dim", 0), result))
        elif torch.Tag.pointwise in func.tags or name in POINTWISE:
            self._put(result, self._met(tensors, result))
        elif name in MOVES and first:
            self._moved(name, func, given, first, result)
        elif first and (SPATIAL.match(name.lstrip("_")) or name == "constant_pad_nd"):
            places = len(given["pad"]) // 2 if name == "constant_pad_nd" else int(re.findall(r"(\d)d", name)[0])
            kept = first[0] < x.ndim - places
            self._put(result, first) if kept else self._fix(tensors, f"{self._where()} mixes them ({name})")
        elif first and (name in ALONG or name == "native_layer_norm"):
            self._along(name, given, first, tensors, result)
        elif name not in MAKERS:
            self._fix(tensors, f"{self._where()} computes with them what the kit cannot follow ({name})")

    def _put(self, result: object, channels: Channels | None) -> None:
        for value in tree_leaves(result):
            if channels and isinstance(value, Tensor) and value.shape[channels[0] :][:1] == (len(channels[1]),):
                self._channels[value] = channels

    def _normalized(self, given: dict) -> bool:
        """Join what a batch-norm reads with its vectors; return whether it reads channels."""
        vectors = [value for value in list(given.values())[:5] if isinstance(value, Tensor)][1:]
        channels = self._of(given["input"])
        why = f"{self._where()} normalizes them together with what no filter makes"
        if not channels or channels[0] != 1:
            self._fix([given["input"], *vectors], why)
            return False
        for vector in vectors:
            found = self._of(vector)
            self.labels.join(found[1] if found else torch.zeros_like(channels[1]), channels[1], why)
        return True

    def _joined(self, tensors: list[Tensor], dim: int, result: Tensor) -> Channels | None:
        """Return the channels of a concatenation."""
        dim, found = dim % result.ndim, [self._of(value) for value in tensors]
        if all(channels is None or channels[0] == dim for channels in found):
            parts = [c[1] if c else torch.zeros(v.shape[dim], dtype=torch.int64) for c, v in zip(found, tensors)]
            return dim, torch.cat(parts)
        return self._met(tensors, result, "lays them beside")

    def _met(self, tensors: list[Tensor], result: object, what: str = "computes them together with") -> Channels | None:
        """Return the channels of what joins tensors element by element."""
        shape = next(value.shape for value in tree_leaves(result) if isinstance(value, Tensor))
        why = f"{self._where()} {what} what no filter makes, or on another axis"
        found = [(value, self._of(value)) for value in tensors]
        axes = {channels[0] + len(shape) - value.ndim for value, channels in found if channels}
        if len(axes) != 1:
            self._fix(tensors, why)
            return None
        axis = axes.pop()
        whole = next(channels[1] for _, channels in found if channels)
        for value, channels in found:
            place = axis - len(shape) + value.ndim
            if channels:
                self.labels.join(channels[1], whole, why)
            elif place >= 0 and value.shape[place] > 1:
                self.labels.fix(whole, why)
        return axis, whole

    def _moved(self, name: str, func, given: dict, channels: Channels, result) -> None:
        """Move labels as an operation moved numbers; they must still lie on one axis, all of them, in their order."""
        (axis, labels), (x, *rest) = channels, given.values()
        laid = labels.view([-1 if place == axis else 1 for place in range(x.ndim)]).expand(x.shape)
        moved = laid.reshape(rest[0]) if name in RESHAPES else func(laid, *rest)
        for value, placed in zip(tree_leaves(result), tree_leaves(moved)):
            varies = [d for d, size in enumerate(placed.shape) if size > 1 and (placed != placed.narrow(d, 0, 1)).any()]
            if len(varies) == 1:
                line = placed.movedim(varies[0], 0).reshape(placed.shape[varies[0]], -1)[:, 0]
                times = len(line) // len(labels)
                if torch.equal(line, labels.repeat(times)) or torch.equal(line, labels.repeat_interleave(times)):
                    self._put(value, (varies[0], line))
                    continue
            self.labels.fix(labels, f"{self._where()} takes them apart, or lays them on several axes ({name})")

    def _along(self, name: str, given: dict, channels: Channels, tensors: list[Tensor], result) -> None:
        """Follow what computes along some axes: the others are as they were."""
        axis, labels = channels
        ndim = tensors[0].ndim
        dims = given.get("dim")
        if name == "native_layer_norm":
            dims = list(range(-len(given["normalized_shape"]), 0))
        dims = range(ndim) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
        dims = {dim % ndim for dim in dims}
        if axis in dims:
            self._fix(tensors, f"{self._where()} mixes them ({name})")
        else:
            result = result[0] if isinstance(result, tuple) else result
            gone = 0 if result.ndim == ndim else sum(dim < axis for dim in dims)
            self._put(result, (axis - gone, labels))


def _storage(value: Tensor) -> int:
    return value.untyped_storage()._cdata
