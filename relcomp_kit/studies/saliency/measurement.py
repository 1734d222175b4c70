"""The experiments of lesson 01: every measure of inputs and weights against the oracle, for several trained nets."""

import functools
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from relcomp_kit.compression.pruning import keep_ranks
from relcomp_kit.models.masked_net import MaskedNet, get_masks, set_masks, weight_names
from relcomp_kit.models.masked_net_training import Samples, accuracy
from relcomp_kit.relevance import activity, saliency
from relcomp_kit.relevance.faithfulness import rank_correlation
from relcomp_kit.relevance.oracle import input_oracle, weight_oracle

HIDDEN = {  # hidden layers; the output is tanh throughout, since the targets are -1 and 1
    "tanh": ("tanh", "tanh", "tanh"),
    "sigmoid": ("sigmoid", "sigmoid", "tanh"),
    "leaky ReLU": ("leaky_relu", "leaky_relu", "tanh"),
    "ReLU": ("relu", "relu", "tanh"),
    "ReLU, then tanh": ("relu", "tanh", "tanh"),
    "tanh, then ReLU": ("tanh", "relu", "tanh"),
}
MIXTURES = ("ReLU, then tanh", "tanh, then ReLU")
EVERYWHERE = {name: (first, second, second) for name, (first, second, _) in HIDDEN.items()}  # the output, too


def input_maps(net: MaskedNet, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return every measure's importance map of the inputs, the oracle last: name to (images, pixels), not negative.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    x : (images, pixels)
        Its input.
    labels : (images,)
        The true classes.
    """
    random = torch.rand(x.shape, generator=torch.Generator().manual_seed(0))
    maps = {
        "saliency": saliency.saliency_map(net, x, labels),
        "impact": saliency.impact_map(net, x, labels),
        "traced share": saliency.traced_share(net, x),
        "class difference": saliency.class_difference(net, x, labels),
        "clamped outputs": saliency.clamped_outputs(net, x, labels),
        "random": random,
        "oracle": input_oracle(net, x, labels),
    }
    return {name: saliency.importance_map(one) for name, one in maps.items()}


def map_correlations(maps: dict[str, Tensor]) -> dict[str, float]:
    """Return every map's mean rank correlation with the oracle, and ``agreement``, that of impact and saliency."""
    result = {
        name: rank_correlation(one, maps["oracle"]).nanmean().item() for name, one in maps.items() if name != "oracle"
    }
    return result | {"agreement": rank_correlation(maps["impact"], maps["saliency"]).nanmean().item()}


def regions(clean: Tensor, labels: Tensor, class_means: Tensor) -> dict[str, Tensor]:
    """Return where the digit is, where other digits tend to be, and where edges are: each (images, pixels), bool.

    Parameters
    ----------
    clean : Tensor
        (images, 1, height, width) in [0, 1], without noise.
    labels : (images,)
        The true classes.
    class_means : Tensor
        Mean clean image of every class, (classes, pixels).
    """
    digit = clean > 0.5
    swollen = max_pool2d(clean, 3, stride=1, padding=1) > 0.5
    eroded = -max_pool2d(-clean, 3, stride=1, padding=1) > 0.5
    others = torch.stack(
        [class_means[[k for k in range(len(class_means)) if k != label]].amax(0) > 0.5 for label in labels.tolist()]
    )
    return {"digit": digit.flatten(1), "others": others & ~digit.flatten(1), "edges": (swollen & ~eroded).flatten(1)}


def region_ratios(importance: Tensor, parts: dict[str, Tensor]) -> dict[str, float]:
    """Return per region its share of the importance over its share of the pixels; 1 is chance.

    Parameters
    ----------
    importance : (images, pixels)
        Importance, 0 or more.
    parts : dict of str to Tensor
        As `regions` returns them.
    """
    share = importance / importance.sum(1, keepdim=True)
    return {name: ((share * part).sum(1).mean() / part.float().mean()).item() for name, part in parts.items()}


def region_signs(slopes: Tensor, parts: dict[str, Tensor]) -> dict[str, float]:
    """Return per region the sum of a map over the sum of its absolute values, mean over the images: in [-1, 1].

    At 1 every pixel of the region is positive, at -1 negative; at 0 they cancel.

    Parameters
    ----------
    slopes : (images, pixels)
        A map with its signs.
    parts : dict of str to Tensor
        As `regions` returns them; images in which a region is empty, or nothing has a slope, do not count.
    """
    return {
        name: ((slopes * part).sum(1) / (slopes.abs() * part).sum(1)).nanmean().item() for name, part in parts.items()
    }


def weight_measures(net: MaskedNet, x: Tensor, labels: Tensor, oracle_images: int, seed: int = 0) -> dict[str, dict]:
    """Return every measure's importance of the weights, the oracle last: name to dict of (neurons, inputs).

    The oracle is the mean over the images of the absolute change of the loss, as it is for the inputs; beside it stands
    the absolute value of the mean change, in which images cancel.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    x : (images, pixels)
        Its input.
    labels : (images,)
        The true classes.
    oracle_images : int
        How many of the first images the oracle sees.
    seed : int
        Of the random importance.
    """
    generator = torch.Generator().manual_seed(seed)

    def by(statistic: str) -> dict[str, Tensor]:
        return activity.outer(activity.neuron_importance(net, x, labels, statistic), net)

    signed, absolute = weight_oracle(net, x[:oracle_images], labels[:oracle_images])
    return {
        "two maps: saliency": saliency.weight_importance(net, x, labels),
        "two maps: impact": saliency.weight_importance(net, x, labels, measure="impact"),
        "two maps, per neuron": saliency.weight_importance(net, x, labels, scaling="neuron"),
        "gradient": saliency.direct_importance(net, x, labels),
        "weight x gradient": saliency.direct_importance(net, x, labels, times_weight=True),
        "magnitude": saliency.magnitude(net),
        "mean activation": by("mean"),
        "std of activation": by("std"),
        "1 - APoZ": by("apoz"),
        "information": by("information"),
        "random": {
            name: torch.rand(layer.weight.shape, generator=generator)
            for name, layer in zip(weight_names(net), net.layers)
        },
        "oracle, signed": {name: value.abs() for name, value in signed.items()},
        "oracle": absolute,
    }


def weight_correlation(importance: dict[str, Tensor], oracle: dict[str, Tensor]) -> float:
    """Return the rank correlation with the oracle within a layer, mean over the layers.

    Parameters
    ----------
    importance, oracle : dict of str to Tensor
        Name of a weight matrix to (neurons, inputs).
    """
    per_layer = [rank_correlation(importance[name].flatten(), oracle[name].flatten()) for name in oracle]
    return torch.cat(per_layer).mean().item()


def accuracy_at_half(net: MaskedNet, importance: dict[str, Tensor], samples: Samples) -> float:
    """Return the accuracy once every neuron has lost the less important half of its weights, without training.

    Parameters
    ----------
    net : MaskedNet
        Its masks are put back.
    importance : dict of str to Tensor
        Name of a weight matrix to (neurons, inputs).
    samples : Samples
        What it is tested on.
    """
    before = get_masks(net)
    set_masks(net, {n: keep_ranks(value, before[n], value.shape[1] // 2) for n, value in importance.items()})
    after = accuracy(net, samples)
    set_masks(net, before)
    return after


def silent_share(net: MaskedNet, samples: Samples) -> dict[str, float]:
    """Return the share of first-layer weights without gradient: ``ever`` from any image, ``per image`` on average.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    samples : Samples
        The images.
    """
    gradient = saliency.direct_importance(net, samples.x, samples.labels)[weight_names(net)[0]]
    return {
        "ever": (gradient == 0).float().mean().item(),
        "per image": (samples.x == 0).float().mean().item(),
    }


def input_costs(net: MaskedNet, x: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the run time of every measure of the inputs, as a multiple of the saliency's.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    x : (images, pixels)
        Its input.
    labels : (images,)
        The true classes.
    """
    measures = {
        "impact": lambda: saliency.impact_map(net, x, labels),
        "traced share": lambda: saliency.traced_share(net, x),
        "class difference": lambda: saliency.class_difference(net, x, labels),
        "clamped outputs": lambda: saliency.clamped_outputs(net, x, labels),
        "oracle": lambda: input_oracle(net, x, labels),
    }
    gradient = functools.partial(saliency.saliency_map, net, x, labels)
    return {name: time_ratio(one, gradient, repeats=3) for name, one in measures.items()}


def weight_costs(net: MaskedNet, x: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the run time of measures of the weights, as a multiple of the direct gradient's.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    x : (images, pixels)
        Its input.
    labels : (images,)
        The true classes.
    """
    measures = {
        "two maps": lambda: saliency.weight_importance(net, x, labels),
        "weight x gradient": lambda: saliency.direct_importance(net, x, labels, times_weight=True),
        "magnitude": lambda: saliency.magnitude(net),
        "information": lambda: activity.neuron_importance(net, x, labels, "information"),
        "oracle": lambda: weight_oracle(net, x, labels),
    }
    direct = functools.partial(saliency.direct_importance, net, x, labels)
    return {name: time_ratio(one, direct, repeats=3) for name, one in measures.items()}


def all_neurons_time_ratio(net: MaskedNet, x: Tensor, labels: Tensor, repeats: int) -> float:
    """Return the run time of the importance of all neurons, inputs to outputs, by impact over that by saliency.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    x : (images, pixels)
        Its input.
    labels : (images,)
        The true classes.
    repeats : int
        As in `time_ratio`.
    """
    impact, slope = (
        functools.partial(saliency.input_importance, net, x, labels, measure=measure)
        for measure in ("impact", "saliency")
    )
    return time_ratio(impact, slope, repeats)


def time_ratio(slow: Callable[[], object], fast: Callable[[], object], repeats: int = 9) -> float:
    """Return the median ratio of two run times, taken in turn so that both meet the same load.

    Parameters
    ----------
    slow, fast : callable
        Called without arguments; the time of the first is divided by that of the second.
    repeats : int
        How often both are timed, after one run each that does not count.
    """
    slow(), fast()
    ratios = []
    for _ in range(repeats):
        start = time.perf_counter()
        slow()
        middle = time.perf_counter()
        fast()
        ratios.append((middle - start) / (time.perf_counter() - middle))
    return median(ratios)
