"""What lesson 04 measures: scores of filters by every measure, against ablation and by taking filters away."""

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.provenance import commit
from relcomp_kit.relevance.ablation import channel_ablation, choose_channels, choose_weights, weight_ablation
from relcomp_kit.relevance.faithfulness import magnitude_scores, pick, random_scores, rank_correlation, removal_curve
from relcomp_kit.relevance.lrp import filter_relevance, weight_relevance, weight_relevance_per_class
from relcomp_kit.studies.profiles import RANDOM_ORDERS, RelevanceBudget
from relcomp_kit.studies.segmentation.measurement import Segmenter, firsts

Scores = dict[str, Tensor]

CORNERS = ("correlation", "large, yet irrelevant", "small, yet relevant")
FEWEST = 6  # values of a layer that a rank correlation is taken of
VERSION = 1  # of `measured`; a new one makes everything anew
LRP, OTHER_AGGREGATE, TAYLOR, PLUS = (
    "LRP-ε, mean of abs",
    "LRP-ε, abs of mean",
    "Taylor of the loss",
    "LRP-z+, mean of abs",
)
MAGNITUDE, RANDOM = "magnitude", "random"
MEASURES = (LRP, OTHER_AGGREGATE, TAYLOR, PLUS, MAGNITUDE, RANDOM)


def batches(split: Dataset, scenes: int, size: int = 8) -> list[tuple[Tensor, Tensor]]:
    """Return the first scenes of a split as batches of (input of the net, classes), where nets are.

    Parameters
    ----------
    split : Dataset
        Of images (3, H, W), uint8, and classes (H, W).
    scenes : int
        How many scenes; fewer if the split has fewer.
    size : int
        Scenes a batch.
    """
    some, device = firsts(split, scenes), choose_device()
    stacked = (
        stack([some[index] for index in range(first, min(first + size, len(some)))])
        for first in range(0, len(some), size)
    )
    return [(normalize(images.to(device)), labels.to(device)) for images, labels in stacked]


def loss_start(output: Tensor, target: Tensor) -> Tensor:
    """Start relevance at ``output * d loss / d output``: epsilon then gives the first Taylor term of the loss.

    The loss is the cross entropy, a mean over the labelled pixels of each sample; its sign is turned, so that
    what lowers the loss has relevance above 0.

    Parameters
    ----------
    output : (N, classes, ...)
        Logits.
    target : (N, ...)
        True classes, 255 where there is none.
    """
    with torch.enable_grad():
        leaf = output.detach().requires_grad_()
        loss = F.cross_entropy(leaf, target.long(), ignore_index=VOID, reduction="none").reshape(len(leaf), -1).sum(1)
        known = (target != VOID).reshape(len(leaf), -1).sum(1).clamp_min(1)
        (slope,) = torch.autograd.grad((loss / known).sum(), leaf)
    return -output * slope


def all_scores(net: nn.Module, images: Sequence[tuple[Tensor, Tensor]], seed: int) -> dict[str, dict[str, Scores]]:
    """Return the scores of every measure in `MEASURES`: of "filters", layer name to (outputs,), and of "weights".

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    images : sequence of (Tensor, Tensor)
        As `batches` returns them.
    seed : int
        Of the random scores.
    """

    def relevance(**how) -> Scores:
        return weight_relevance(net, images, **how)

    of_weights = {
        LRP: relevance(normalize=True),
        OTHER_AGGREGATE: relevance(normalize=True, aggregate="abs_of_mean"),
        TAYLOR: relevance(start=loss_start),
        PLUS: relevance(normalize=True, rule="z+", way="zennit"),
    }
    found = {"filters": {name: filter_relevance(one) for name, one in of_weights.items()}, "weights": of_weights}
    for kind, scores in found.items():
        scores[MAGNITUDE] = magnitude_scores(net, filters=kind == "filters")
        scores[RANDOM] = random_scores(scores[MAGNITUDE], torch.Generator().manual_seed(seed))
    return found


def corners(weight: Tensor, relevance: Tensor) -> tuple[float, float, float]:
    """Return how |weight| and relevance go together in one layer.

    Parameters
    ----------
    weight, relevance : Tensor
        Of one shape.

    Returns
    -------
    tuple of float
        Spearman's rank correlation; the share of weights in the upper quarter by size and the lower by relevance; and
        the share in the lower quarter by size and the upper by relevance. By chance these shares are 1/16.
    """
    size, found = weight.detach().abs().flatten(), relevance.flatten()
    large, small = size >= size.quantile(0.75), size <= size.quantile(0.25)
    high, low = found >= found.quantile(0.75), found <= found.quantile(0.25)
    together = rank_correlation(size, found).item()
    return together, (large & low).float().mean().item(), (small & high).float().mean().item()


def all_corners(net: nn.Module, relevance: dict[str, Tensor]) -> dict[str, float]:
    """Return the mean of `corners` over the layers, each weighted by its number of weights.

    Parameters
    ----------
    net : nn.Module
        Only its parameters with more than one axis count.
    relevance : dict of str to Tensor
        Name of a parameter to the relevance of its weights.
    """
    weights = {name: value for name, value in net.named_parameters() if value.ndim > 1}
    sizes = [value.numel() for value in weights.values()]
    rows = [corners(sample, found) for sample, found in (_thinned(weights[name], relevance[name]) for name in weights)]
    mean = [sum(size * row[part] for size, row in zip(sizes, rows)) / sum(sizes) for part in range(3)]
    return dict(zip(CORNERS, mean))


def _thinned(weight: Tensor, relevance: Tensor, most: int = 1_000_000) -> tuple[Tensor, Tensor]:
    """Return every k-th weight of a layer, where there are more than quantiles can be taken of."""
    step = -(-weight.numel() // most)
    return weight.flatten()[::step], relevance.flatten()[::step]


def measured(made: Segmenter, data: SceneSet, budget: RelevanceBudget) -> dict:
    """Return all that is compared for one net, as JSON holds it; from the cache if it was measured before.

    Relevance is asked on training scenes, the oracle on validation scenes, and the net without filters is tested on
    the test split.

    Parameters
    ----------
    made : Segmenter
        The net.
    data : SceneSet
        Its scenes.
    budget : RelevanceBudget
        Of a profile: numbers of scenes, filters and weights, and the shares removed.

    Returns
    -------
    dict
        ``corners``: `all_corners` for all classes and each that occurs; ``correlation``: "filters" or "weights" and
        measure to the rank correlation with ablation, by the absolute change of the loss, and the same within layers;
        ``curves``: "pixel_accuracy" or "miou", scope, order and measure to the value at each share; ``commit``.
    """
    return load_or_make(
        "relevance-study", VERSION, _identity(made, budget), data.sha256, lambda _: ({}, _measure(made, data, budget))
    )[1]


def _measure(made: Segmenter, data: SceneSet, budget: RelevanceBudget) -> dict:
    net, images = made.net, batches(data.train, budget.scenes)
    scores = all_scores(net, images, made.seed)
    occurring = [k for k in range(len(data.classes)) if any((labels == k).any() for _, labels in images)]
    per_class = weight_relevance_per_class(net, images, occurring, normalize=True)
    of_classes = {data.classes[index]: all_corners(net, one) for index, one in per_class.items()}
    test = remember(firsts(data.test, budget.test_scenes))
    whole = _scored(net, test, data.classes)
    curves = {"pixel_accuracy": {}, "miou": {}}
    for scope in budget.shares:
        for order in ("least", "most"):
            for name in MEASURES:
                of_scope = scores["weights" if scope == "weights" else "filters"][name]
                found = _removal(net, whole, of_scope, test, data.classes, budget.shares[scope], order, scope)
                for what, curve in found.items():
                    curves[what].setdefault(scope, {}).setdefault(order, {})[name] = curve
    return {
        "corners": {"all classes": all_corners(net, scores["weights"][LRP])} | of_classes,
        "correlation": _with_ablation(net, scores, batches(data.validation, budget.oracle_scenes), budget, made.seed),
        "curves": curves,
        "commit": commit(),
    }


def random_orders(made: Segmenter, data: SceneSet, budget: RelevanceBudget) -> list[list[float]]:
    """Return the pixel accuracies while filters go in `RANDOM_ORDERS` random orders, the same share of every layer.

    One order may be lucky, so the control is the mean of many.

    Parameters
    ----------
    made : Segmenter
        The net.
    data : SceneSet
        Its scenes.
    budget : RelevanceBudget
        Of a profile: the number of test scenes, and the shares removed.
    """

    def make(_) -> tuple[dict, dict]:
        like, test = magnitude_scores(made.net, filters=True), remember(firsts(data.test, budget.test_scenes))
        draw = torch.Generator().manual_seed(made.seed)
        orders = (random_scores(like, draw) for _ in range(RANDOM_ORDERS))
        shares = budget.shares["layer"]
        whole = _scored(made.net, test, data.classes)
        curves = [_removal(made.net, whole, one, test, data.classes, shares, "least", "layer") for one in orders]
        return {}, {"curves": [one["pixel_accuracy"] for one in curves]}

    return load_or_make("random-orders", VERSION, _identity(made, budget), data.sha256, make)[1]["curves"]


def _identity(made: Segmenter, budget: RelevanceBudget) -> dict:
    return asdict(budget) | {"net": made.name, "seed": made.seed, "recipe": asdict(made.recipe), "made_by": made.commit}


def _with_ablation(
    net: nn.Module, scores: dict[str, dict[str, Scores]], asked: list, budget: RelevanceBudget, seed: int
) -> dict[str, dict[str, float]]:
    """Return each measure's rank correlation with ablation, over a drawn sample of all layers, per kind."""
    draw = torch.Generator().manual_seed(seed)
    result = {}
    for kind, choose, ablate, count in (
        ("filters", choose_channels, channel_ablation, budget.oracle_channels),
        ("weights", choose_weights, weight_ablation, budget.oracle_weights),
    ):
        chosen = choose(net, count, draw)
        oracle = ablate(net, asked, chosen, measure="loss", absolute=True)
        truth = torch.cat(list(oracle.values()))
        values = {name: pick(one, chosen).double() for name, one in scores[kind].items()}
        result[kind] = {name: rank_correlation(value, truth).item() for name, value in values.items()}
        sizes = [len(part) for part in oracle.values()]
        if min(sizes) >= FEWEST:
            result[f"{kind} of a layer"] = {name: _within(value, truth, sizes) for name, value in values.items()}
    return result


def _within(values: Tensor, truth: Tensor, sizes: list[int]) -> float:
    """Return the mean of the layers' rank correlations."""
    return fmean(rank_correlation(*pair).item() for pair in zip(values.split(sizes), truth.split(sizes)))


def _scored(net: nn.Module, test: Dataset, classes: Sequence[str]) -> dict:
    return evaluate(net, test, classes, precision="auto")


def _removal(
    net: nn.Module,
    whole: dict,
    scores: Scores,
    test: Dataset,
    classes: Sequence[str],
    shares: Sequence[float],
    order: str,
    scope: str,
) -> dict[str, list[float]]:
    """Return pixel accuracy and mIoU after each share of filters was removed; ``whole`` is what the net has itself."""
    removed = []

    def score(pruned: nn.Module) -> float:
        removed.append(_scored(pruned, test, classes))
        return removed[-1]["pixel_accuracy"]

    some = [share for share in shares if share]
    removal_curve(net, scores, some, score, order=order, scope="net" if scope == "net" else "layer")
    left = iter(removed)
    results = [next(left) if share else whole for share in shares]
    return {what: [one[what] for one in results] for what in ("pixel_accuracy", "miou")}
