"""From a choice to the filters that stay, and what that means for every layer and for the whole net."""

import functools
from contextlib import suppress

import torch
from torch import Tensor

from relcomp_kit.compression import experts, nnc
from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.experts import ALL
from relcomp_kit.compression.experts.coupling import kept_units
from relcomp_kit.compression.experts.slicing import sliced
from relcomp_kit.demonstrator import relevance, trained
from relcomp_kit.demonstrator.nets import SuperNet
from relcomp_kit.demonstrator.state import FIXED, LayerRow, PathChoice
from relcomp_kit.demonstrator.work import step
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import layer_weights
from relcomp_kit.relevance.lrp import filter_relevance

Path = dict[str, Tensor]
SEED = 0  # of paths by chance: a higher share keeps the same filters, and more
ALL_LAYERS = "all layers"


@functools.lru_cache(maxsize=64)
def path_of(net: SuperNet, choice: PathChoice) -> Path:
    """Return which filters a choice keeps: layer to (filters,) bool."""
    if choice.kind == "stored":
        return experts.join([net.stored[name] for name in choice.classes])
    if choice.kind == "trained":
        return trained.load(net, *choice.classes).path
    path = _by_rule(net, choice, choice.keep)
    own = shares(net, choice)
    if own:
        single = _by_rule(net, choice, own)
        path = path | {layer: single[layer] for layer in own}
    return path


def shares(net: SuperNet, choice: PathChoice) -> dict[str, float]:
    """Return the share of every layer that has its own, given to it or to a layer that it is summed with.

    Parameters
    ----------
    net : SuperNet
        Its groups say which layers are summed, and so keep the same filters.
    choice : PathChoice
        Its ``layers`` give the shares, in (0, 1].
    """
    given = dict(choice.layers)
    return {
        layer: next(given[one] for one in members if one in given)
        for members in net.groups.layers
        for layer in members
        if not given.keys().isdisjoint(members)
    }


def _by_rule(net: SuperNet, choice: PathChoice, keep: float | dict[str, float]) -> Path:
    """Return what `relcomp_kit.compression.experts` calls the path, from scores that are kept between calls."""
    if choice.kind == "random":
        return experts.random_path(net.net, keep, net.example, torch.Generator().manual_seed(SEED))
    if choice.kind == "magnitude":
        norm = "none" if isinstance(keep, dict) else "sum"
        return experts.relevant_path(net.net, _magnitude(net), keep, net.example, normalize=norm)
    measured = relevance.per_class(net)
    missing = [name for name in choice.classes if name not in measured]
    if missing:
        raise UserError(
            f"{missing[0]} occurs in none of the {relevance.SCENES} training scenes that relevance was measured on: "
            "choose another class"
        )
    if choice.kind == "class":
        found = [measured[name] for name in choice.classes]
    else:
        found = [mean_relevance(net, choice.classes or net.classes)]
    return experts.join([experts.relevant_path(net.net, one, keep, net.example) for one in found])


@functools.lru_cache(maxsize=3)
def _magnitude(net: SuperNet) -> Path:
    """Return the sum of the absolute weights of every filter."""
    return filter_relevance({name: value.abs() for name, value in layer_weights(net.net).items()})


@functools.lru_cache(maxsize=32)
def mean_relevance(net: SuperNet, classes: tuple[str, ...]) -> Path:
    """Return the mean relevance of filters over those classes that were measured, each of which counts alike."""
    measured = relevance.per_class(net)
    found = [measured[name] for name in classes if name in measured]
    if not found:
        raise UserError(f"there is no relevance of {', '.join(classes)}: choose other classes")
    totals = [sum(float(value.sum()) for value in one.values()) or 1.0 for one in found]
    return {layer: sum(one[layer] / total for one, total in zip(found, totals)) / len(found) for layer in found[0]}


@functools.lru_cache(maxsize=64)
def layer_rows(net: SuperNet, choice: PathChoice, classes: tuple[str, ...]) -> tuple[LayerRow, ...]:
    """Return what a path does to every layer, after a row for all layers together.

    Similarity is the overlap with the average path of the same share; the score is about the classes' mean relevance.
    Both are None where there is no relevance.
    """
    path, own = path_of(net, choice), shares(net, choice)
    pruned = experts.pruning_ratio(path)
    similar, scores = {}, {}
    with suppress(UserError):  # without training scenes, paths that need no relevance can still be shown
        same_size = PathChoice("average", (), 1 - pruned[ALL] if choice.kind in FIXED else choice.keep, choice.layers)
        similar = experts.similarity(path, path_of(net, same_size))
        scores = experts.score_kept(path, mean_relevance(net, classes))
    default = None if choice.kind in FIXED else choice.keep
    return tuple(
        LayerRow(
            layer=ALL_LAYERS if layer == ALL else layer,
            filters=sum(net.widths.values()) if layer == ALL else net.widths[layer],
            similarity=similar.get(layer),
            pruned=pruned[layer],
            score=scores.get(layer),
            parameter=own.get(layer, default),
        )
        for layer in (ALL, *net.widths)
    )


@functools.lru_cache(maxsize=64)
def costs(net: SuperNet, choice: PathChoice) -> tuple[float, float]:
    """Return which share of the net's parameters and of its multiply-adds an expert has, without cutting it out."""
    left = _left(net, choice)
    parameters = sum(value.numel() * left[name] for name, value in net.net.named_parameters())
    macs = sum(count * left[f"{layer}.weight"] for layer, count in net.macs.items() if layer != ALL)
    return parameters / net.parameters[ALL], macs / net.macs[ALL]


def _left(net: SuperNet, choice: PathChoice) -> dict[str, float]:
    """Return which share of each entry of the net's state belongs to an expert."""
    kept = _kept(net, choice)
    entries, axis, unit, sizes = _axes(net)
    stay = ((unit < 0) | kept[unit]).float()
    shares = (torch.zeros(len(sizes)).index_add_(0, axis, stay) / sizes).tolist()
    left = dict.fromkeys(net.net.state_dict(), 1.0)
    for entry, share in zip(entries, shares):
        left[entry] *= share
    return left


def _kept(net: SuperNet, choice: PathChoice) -> Tensor:
    return kept_units(net.net, path_of(net, choice), net.groups)


@functools.lru_cache(maxsize=3)
def _axes(net: SuperNet) -> tuple[list[str], Tensor, Tensor, Tensor]:
    """Return all axes that filters are taken from, end to end: entry of each; axis and unit of each position; sizes."""
    units = [(entry, unit) for entry, axes in net.groups.axes.items() for unit in axes.values()]
    sizes = torch.tensor([len(unit) for _, unit in units])
    axis = torch.arange(len(units)).repeat_interleave(sizes)
    return [entry for entry, _ in units], axis, torch.cat([unit for _, unit in units]), sizes


@functools.lru_cache(maxsize=64)
def coded_size(net: SuperNet, choice: PathChoice | None, code: bool) -> tuple[int, bool]:
    """Return the bytes of an expert at 4 bit, or of the net for None, and whether they were counted on a coded file.

    Otherwise they are the order-0 entropy of the indices, and all else at the bytes that it has.
    """
    quantized = net.quantized
    if choice is None and net.file_bytes is not None:
        return net.file_bytes, True
    if choice and choice.kind == "trained":
        return trained.load(net, *choice.classes).file_bytes, True
    if code:
        step("coding a file")
        cut = experts.cut(quantized, path_of(net, choice), net.net, net.example) if choice else quantized
        return len(nnc.encode(cut)), True
    if choice is None:
        return round(quantized.coded_bytes), False
    left = _left(net, choice)  # numbers that are not quantized are counted, and only indices are cut out
    indices = Quantized(sliced(quantized.indices, _kept(net, choice), net.groups.axes), quantized.steps, {})
    return round(indices.coded_bytes + sum(value.nbytes * left[name] for name, value in quantized.rest.items())), False


def label(choice: PathChoice) -> str:
    """Return what an expert is called in a figure."""
    names = " + ".join(choice.classes)
    if choice.kind == "stored":
        return f"stored: {names}"
    if choice.kind == "trained":
        return f"trained {names}"
    kind = names if choice.kind == "class" else f"{choice.kind} {names}".strip()
    return f"{kind}, {100 * choice.keep:.3g} %"
