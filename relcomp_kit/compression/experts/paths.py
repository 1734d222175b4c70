"""Which filters an expert keeps: by relevance of a class, of several, of a concept, by magnitude, or by chance.

A path is a dict: name of a layer -> (output channels,) bool, True where the filter is kept. It has a mask for every
convolution and linear layer but the last, and coupled filters (`groups`) have equal masks.
"""

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor, nn

from relcomp_kit.compression.experts.budgets import Keep, choose
from relcomp_kit.compression.experts.coupling import Path, groups
from relcomp_kit.compression.experts.scores import unit_scores
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import layer_weights


def relevant_path(
    net: nn.Module,
    relevance: dict[str, Tensor],
    keep: Keep,
    example: Tensor,
    *,
    by: str = "filters",
    normalize: str = "none",
    minimum: int = 1,
    multiple: int = 1,
) -> Path:
    """Return the path of the most relevant filters. Filters that can only go together have the sum of their scores.

    Parameters
    ----------
    net : nn.Module
        Of layers that `groups` knows; left as it is.
    relevance : dict of str to Tensor
        Of filters, layer name to (output channels,), or of weights, from which `filter_relevance` makes it; 0 or more.
        It may be that of a class, of a concept, or any other score. Layers without any (all 0), such as those behind
        a concept's, keep all their filters.
    keep : float, dict of str to float, or dict of str to Tensor
        In (0, 1]. A number is a budget for the net, see ``by``; a dict gives the shares of single layers, and layers
        that it does not name keep all. 1 always keeps everything. Or a path of this net: then every layer keeps as many
        filters as there, those of the highest scores (of equal ones the first). So what remains of the difference
        between two paths is which filters they keep, and not how wide they leave each layer.
    example : Tensor
        An input of the net, as in `groups`.
    by : {"filters", "score", "macs"}
        What ``keep`` is a share of. "filters": of the number of filters; a single number is shared out by rank among
        all layers, so that some become narrower than others. "score": of the relevance of each layer, which is carried
        by as few filters as possible. "macs": of the multiply-adds; the filters of the highest score per multiply-add
        stay.
    normalize : {"none", "sum", "mean"}
        How scores of different layers are made comparable before they are ranked together. "none": as they are, which
        suits relevance, because every layer hands on what it received. "sum" and "mean": divided by those of their
        layer, for scores in units of their own. A filter of a narrow layer starts with a larger part of the sum, so
        that wide layers are cut more; with "mean" all layers start alike. Not for "score", shares of single layers, or
        the widths of a path.
    minimum : int
        As many filters are kept in every layer at least, even if the budget is exceeded.
    multiple : int
        Each layer's filters are rounded up to a multiple of this, such as 8: processors compute that many at once, so
        that it costs next to no time. Layers whose filters go in unequal parts are left.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool. The share kept is at least ``keep``: the unit that crosses
        the budget is kept.

    Raises
    ------
    UserError
        In one sentence, if an argument is outside its range or the relevance does not fit the net.
    """
    found = groups(net, example)
    return choose(net, example, found, unit_scores(found, relevance), keep, by, normalize, minimum, multiple)


def most_critical(
    net: nn.Module,
    relevance_per_class: Mapping[Hashable, dict[str, Tensor]],
    classes: Sequence[Hashable],
    keep: Keep,
    example: Tensor,
    **options,
) -> Path:
    """Return the path of a set of classes, by the mean of their relevances.

    Each class counts the same, whatever the size of its logits: its relevance is first divided by its sum over the net.

    Parameters
    ----------
    net : nn.Module
        As in `relevant_path`.
    relevance_per_class : dict
        Class to relevance, as `relcomp_kit.relevance.lrp.weight_relevance_per_class` gives it, or that of filters.
    classes : sequence
        Keys of it.
    keep : float, dict of str to float, or dict of str to Tensor
        As in `relevant_path`.
    example : Tensor
        An input of the net, as in `groups`.
    **options
        ``by``, ``normalize``, ``minimum`` and ``multiple`` of `relevant_path`.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        If there is no relevance of a class, or no class; else as in `relevant_path`.
    """
    unknown = [one for one in classes if one not in relevance_per_class]
    if unknown or not classes:
        known = ", ".join(map(str, relevance_per_class)) or "none"
        what = f"of class {unknown[0]}" if unknown else "without a class to ask for"
        raise UserError(f"there is no relevance {what}: it was measured for the classes {known}")
    found = groups(net, example)
    scores = torch.stack([unit_scores(found, relevance_per_class[one]) for one in classes])
    total = scores.sum(1, keepdim=True)
    return choose(net, example, found, (scores / total.where(total > 0, 1)).mean(0), keep, **options)


def average_rel_path(
    net: nn.Module,
    relevance_per_class: Mapping[Hashable, dict[str, Tensor]],
    keep: Keep,
    example: Tensor,
    **options,
) -> Path:
    """Return the path of all classes together, by the mean of their relevances; see `most_critical`.

    Parameters
    ----------
    net : nn.Module
        As in `relevant_path`.
    relevance_per_class : dict
        Class to relevance, as in `most_critical`.
    keep : float, dict of str to float, or dict of str to Tensor
        As in `relevant_path`.
    example : Tensor
        An input of the net, as in `groups`.
    **options
        ``by``, ``normalize``, ``minimum`` and ``multiple`` of `relevant_path`.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        As in `most_critical`.
    """
    return most_critical(net, relevance_per_class, list(relevance_per_class), keep, example, **options)


def magnitude_path(net: nn.Module, keep: Keep, example: Tensor, **options) -> Path:
    """Return the path of the largest filters, by the sum of their absolute weights, which knows no classes.

    By default, filters of different layers are compared by their part of the layer's sum.
    Source: Li, Kadav, Durdanovic, Samet, Graf: "Pruning Filters for Efficient ConvNets", 2017.

    Parameters
    ----------
    net : nn.Module
        As in `relevant_path`.
    keep : float, dict of str to float, or dict of str to Tensor
        As in `relevant_path`.
    example : Tensor
        An input of the net, as in `groups`.
    **options
        ``by``, ``normalize`` ("sum" by default), ``minimum`` and ``multiple`` of `relevant_path`.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        As in `relevant_path`.
    """
    magnitude = {name: value.detach().abs() for name, value in layer_weights(net).items()}
    return relevant_path(net, magnitude, keep, example, **{"normalize": "sum"} | options)


def random_path(
    net: nn.Module, keep: Keep, example: Tensor, generator: torch.Generator, *, per: str = "unit", **options
) -> Path:
    """Return a path by chance, as a control.

    A unit of several coupled filters has one score by default. With a score for each filter it has their sum, as it has
    the sum of their relevances: then more of the coupled layers stays, and less of the others. At the widths of a path
    the two are alike, because there only units with the same number of filters are compared.

    Parameters
    ----------
    net : nn.Module
        As in `relevant_path`.
    keep : float, dict of str to float, or dict of str to Tensor
        As in `relevant_path`.
    example : Tensor
        An input of the net, as in `groups`.
    generator : torch.Generator
        Draws scores in [0, 1); on the CPU.
    per : {"unit", "filter"}
        What each score is for.
    **options
        ``by``, ``normalize``, ``minimum`` and ``multiple`` of `relevant_path`.

    Returns
    -------
    dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Raises
    ------
    UserError
        If an argument is outside its range.
    """
    if per not in ("unit", "filter"):
        raise UserError(f"chance cannot draw a score per {per!r}; choose one of unit, filter")
    found = groups(net, example)
    drawn = torch.arange(found.count) if per == "unit" else torch.cat(list(found.units.values()))
    scores = torch.rand(len(drawn), generator=generator, dtype=torch.float64)
    chance = torch.zeros(found.count, dtype=torch.float64).index_add_(0, drawn, scores)
    return choose(net, example, found, chance, keep, **options)
