"""Which filters of a net can only be kept or removed together, which never, and what of the net's state goes with each.

Several convolutions write channel 5 of a residual sum, so it can only be removed with filter 5 of all of them. Such
filters are one *unit*. A filter of a layer that nothing is added to is a unit of its own. Units are found by following
one pass of the net (`tracing`). Layers whose channels meet an operation that the kit cannot cut, such as a layer-norm,
keep all filters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from relcomp_kit.compression.experts.operations import Quick
from relcomp_kit.compression.experts.slicing import compact_like, meta_copy, sliced
from relcomp_kit.compression.experts.tracing import Trace
from relcomp_kit.compression.experts.units import Groups, assembled
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedLayer
from relcomp_kit.models.states import plain_copy
from relcomp_kit.relevance.channels import inner_layers

Path = dict[str, Tensor]
BAD_INPUT = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError, NotImplementedError)


_known: WeakKeyDictionary = WeakKeyDictionary()  # net -> (its modules, shapes of its state, its groups)


def groups(net: nn.Module, example: Tensor) -> Groups:
    """Return which filters of a net can only be kept or removed together, and which never; found once a net.

    Parameters
    ----------
    net : nn.Module
        Any net of one input. It is left as it is and not run: a copy without numbers is, or, where the net's own code
        needs numbers, a copy with them.
    example : Tensor
        An input of the net; only its shape and type count, unless the net's own code needs numbers.

    Returns
    -------
    Groups
        Which filters are one unit, and what of the net's state goes with each.

    Raises
    ------
    UserError
        If the example does not go through the net.
    """
    found = known_groups(net)
    if found is None:
        found = _groups(net, example)
        _known[net] = *_marks(net), found
    return found


def known_groups(net: nn.Module) -> Groups | None:
    """Return what `groups` found for this net; None if it has not been asked, or the net has changed since."""
    if net not in _known:
        return None
    modules, shapes, found = _known[net]
    return found if (modules, shapes) == _marks(net) else None


def _marks(net: nn.Module) -> tuple[list, list]:
    modules = [net]
    for module in modules:  # which grows; named_modules() takes several times longer
        modules += [child for child in module._modules.values() if child is not None]
    values = [value for module in modules for value in module._parameters.values() if value is not None]
    return modules[1:], [value.shape for value in values]


def blank_passes(net: nn.Module, example: Tensor) -> Iterator[tuple[nn.Module, Tensor]]:
    """Yield copies of a net to run once, in eval mode, and an input: without numbers; then, if asked further, with.

    Parameters
    ----------
    net : nn.Module
        The net; left as it is.
    example : Tensor
        An input of it.
    """
    yield meta_copy(net), torch.empty_like(example, device="meta")
    yield plain_copy(net).eval(), example.clone()


@contextmanager
def fitting_example() -> Iterator[None]:
    """Turn what torch says about an input that a net cannot take into one sentence."""
    try:
        yield
    except BAD_INPUT as error:
        raise unfitting(error) from error


def unfitting(error: Exception) -> UserError:
    """Return the error that says that a net cannot take an input."""
    return UserError(f"the example does not go through the net ({reason(error)}): give one input, as the net wants it")


def reason(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _groups(net: nn.Module, example: Tensor) -> Groups:
    trace, blank, x, shapes = _traced(net, example)
    while True:
        found = assembled(net, trace)
        culprits = _unfit(blank, x, shapes, found, list(found.layers)) if found.layers else []
        if not culprits:
            return found
        for members, why in culprits:
            for name in members:
                trace.labels.fix(trace.rows[name], f"the net's own code wants all of them ({why})")


@torch.inference_mode(False)
@torch.no_grad()
def _traced(net: nn.Module, example: Tensor) -> tuple[Trace, nn.Module, Tensor, list]:
    """Return what a pass tells, and a copy of the net, an input, and shapes of outputs for passes of cut nets."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # which would hide attention's layers in one operation
    try:
        for blank, x in blank_passes(net, example):
            for name, module in list(blank.named_modules()):
                if name and isinstance(module, MaskedLayer):  # computes its weight, but is linear in the same neurons
                    outputs, inputs = module.weight.shape
                    linear = nn.Linear(inputs, outputs, device=module.weight.device)
                    blank.set_submodule(name, linear)
            followed = plain_copy(blank)
            trace = Trace(followed)
            try:
                with trace:
                    output = followed(x)
            except BAD_INPUT as error:
                failed = error
                continue
            trace.finish(output)
            return trace, blank, x, _shapes(output)
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
    raise unfitting(failed) from failed


def _shapes(output: object) -> list:
    return [value.shape for value in tree_leaves(output) if isinstance(value, Tensor)]


def _unfit(blank: nn.Module, x: Tensor, shapes: list, found: Groups, layers: list) -> list[tuple[tuple[str, ...], str]]:
    """Return the groups without which a filter less makes the net fail, or give other shapes; and what it says."""
    kept = torch.ones(found.count, dtype=torch.bool)
    for members in layers:
        for one in found.units[members[0]].unique():
            if all((found.units[name] != one).any() for name in members):
                kept[one] = False
                break
    if kept.all():
        return []
    try:
        with torch.no_grad(), Quick():
            output = compact_like(blank, sliced(blank.state_dict(), kept, found.axes))(x)
        why = "the output has another shape" if _shapes(output) != shapes else ""
    except BAD_INPUT as error:
        why = reason(error)
    if why and len(layers) > 1:
        half = len(layers) // 2
        return [one for part in (layers[:half], layers[half:]) for one in _unfit(blank, x, shapes, found, part)]
    return [(layers[0], why)] if why else []


def first_reason(found: Groups) -> str:
    """Return the reason why the first of the layers that must keep all filters must do so."""
    name, why = next(
        iter(found.fixed.items()),
        ("the net", "it has no Conv2d or Linear layer before its last, and no other kinds are cut"),
    )
    return f"{name} must keep all, because {why}"


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
        If the path does not fit, keeps one of two coupled filters, or removes filters of a layer that must keep all.
    """
    check_path({name: len(layer.weight) for name, layer in inner_layers(net).items()}, path)
    kept = torch.ones(found.count, dtype=torch.bool)
    for name, unit in found.units.items():
        kept[unit[~path[name].cpu()]] = False
    for members in found.layers:
        for name in members:
            if not torch.equal(kept[found.units[name]], path[name].cpu()):
                raise UserError(
                    f"{members[0]} and {members[-1]} share filters, but the path keeps different ones of them: make it "
                    "by relevant_path, which keeps the same"
                )
    for name, why in found.fixed.items():
        if not path[name].all():
            raise UserError(f"{name} must keep all filters, because {why}: make the path by relevant_path")
    return kept
