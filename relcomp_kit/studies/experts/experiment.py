"""The experiment "expert": a small net for one class, cut out of a trained one, and a short training after it."""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from relcomp_kit.compression import ecqx, experts
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net
from relcomp_kit.compression.ecqx.qat_loop import Report
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.download import NAMES
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.relevance import filter_saliency
from relcomp_kit.relevance.lrp import filter_relevance, weight_relevance, weight_relevance_per_class
from relcomp_kit.studies.quantization.experiment import kept
from relcomp_kit.studies.relevance.measurement import batches
from relcomp_kit.studies.segmentation.training import provenance

__all__ = ["VERSION", "class_relevance", "expert"]

VERSION = 1
SCORES = ("batch-norm scale", "expected output", "activation-aware")  # of filters, which know no classes either
BY_LOSS = ("Taylor", "Fisher")  # of the class wanted
CONCEPT = "concept"
ASPP, BEHIND_ASPP = "classifier.0", "classifier.1"  # all information passes the one, and the other reads it alone
ARMS = (
    *("relevance", "average", "magnitude", "magnitude per layer", "random", "random per filter"),
    *SCORES,
    *BY_LOSS,
    CONCEPT,
)
OWN, RELEVANCE = "own", "relevance"
WIDTHS = (OWN, RELEVANCE)
FILTERS = "filters"
BUDGETS = (FILTERS, "macs")


def expert(
    *,
    seed: int,
    keep: float,
    wanted: tuple[str, ...] = ("rail",),
    arm: str = "relevance",
    widths: str = OWN,
    budget: str = FILTERS,
    multiple: int = 1,
    net: str = "compact",
    dataset: str = "rail-scenes",
    steps: int = 200,
    batch: int = 8,
    learning_rate: float = 1e-3,
    relevance_scenes: int = 64,
    scored_scenes: int | None = None,
    profile: str = "full",
) -> dict:
    """Cut an expert out of a trained net, train it a little, and return what it costs and how well it does.

    Parameters
    ----------
    seed : int
        Of the net, of the training after the cut, and of the path by chance.
    keep : float
        The share of all filters, or of multiply-adds, that the path keeps, in (0, 1].
    wanted : tuple of str
        The class that the expert is for; of several, the experts are joined.
    arm : str
        What the path is made by, one of `ARMS`: relevance of the class wanted, of all classes, weight magnitude,
        chance, or the scores of `relcomp_kit.relevance.filter_saliency`, by the loss at pixels of the class where
        they need one. Relevance of one class has one unit in all layers and is ranked as it is, like changes of the
        loss; magnitude and other scores by their part of the layer's sum, which can leave hardly a filter of a wide
        layer, or with the same share kept of every layer. Chance has a number for each unit, or for each filter. The
        concept is the channel of the ASPP that is most relevant for the class; it ranks filters within layers only.
    widths : {"own", "relevance"}
        How wide layers stay: as the arm's own scores leave them, or all as the relevance of the class wanted leaves
        them, so that the arm only says which filters these are.
    budget : {"filters", "macs"}
        What ``keep`` is a share of. By multiply-adds, those filters stay first that are worth most of them.
    multiple : int
        Layers keep a multiple of this many filters, which processors compute at once; rounded up after the budget.
    net, dataset : str
        A size of DeepLabV3 and a set of scenes, as in the experiment "quantize".
    steps, batch, learning_rate
        Of the training after the cut, on all classes; 0 steps leave it out.
    relevance_scenes : int
        Training scenes that relevance is measured on.
    scored_scenes : int, optional
        Of the validation and the test split that experts are scored on; by default all.
    profile : {"quick", "full"}
        Of the training of nets that have no committed checkpoint.

    Raises
    ------
    UserError
        If the arm, the class or the data set does not exist or fit.
    """
    for what, value, known in (("arm", arm, ARMS), ("widths", widths, WIDTHS), ("budget", budget, BUDGETS)):
        if value not in known:
            raise UserError(f"there is no {what} {value!r}; choose one of {', '.join(known)}")
    if dataset in NAMES:
        raise UserError(f"{dataset} has nothing to segment: take a set of scenes")
    model, data = kept(net, dataset, seed, profile, scored_scenes)
    if (budget, multiple) != (FILTERS, 1) and (widths != OWN or arm == "magnitude per layer"):
        raise UserError("layers as wide as another path's leave nothing to budget: leave out budget and multiple")
    if arm == CONCEPT and (widths == OWN or len(wanted) != 1):
        raise UserError(f"the arm {arm!r} takes one class, and widths = {RELEVANCE!r}")
    unknown = [name for name in wanted if name not in data.classes]
    if unknown or not wanted:
        what = f"no class {unknown[0]!r}" if unknown else "no expert for no class"
        raise UserError(f"{data.name} has {what}; choose one of {', '.join(data.classes)}")
    example = example_of(data)
    options = {"by": budget, "multiple": multiple}
    path = _path(model, data, arm, widths, wanted, keep, seed, relevance_scenes, example, options)
    small = experts.compact(model, path, example)
    found = {
        "MACs": (experts.macs(small, example)[ALL] / experts.macs(model, example)[ALL], "share"),
        "parameters": (experts.parameters(small)[ALL] / experts.parameters(model)[ALL], "share"),
        "filters": (1 - experts.pruning_ratio(path)[ALL], "share"),
    }
    found |= _scores("as cut", small, data)
    if steps:
        seconds = train_on(small, data, seed, steps, batch, learning_rate)
        found |= _scores("trained", small, data) | {"training time": (seconds, "s")}
    return found | {"classes": list(data.classes), "data": data.sha256, "made by": provenance()["commit"]}


def _path(
    net: nn.Module,
    data: SceneSet,
    arm: str,
    widths: str,
    wanted: Sequence[str],
    keep: float,
    seed: int,
    scenes: int,
    example: Tensor,
    options: dict,
) -> dict[str, Tensor]:
    own = class_path(net, data, wanted, keep, scenes, **options) if RELEVANCE in (arm, widths) else {}
    if arm == "relevance":
        return own
    kept = own or keep
    if arm == "magnitude per layer":
        layers = [name for members in experts.groups(net, example).layers for name in members]
        return experts.magnitude_path(net, own or dict.fromkeys(layers, keep), example)
    if arm == "magnitude":
        return experts.magnitude_path(net, kept, example, **options)
    if arm.startswith("random"):
        per = "filter" if arm == "random per filter" else "unit"
        return experts.random_path(net, kept, example, torch.Generator().manual_seed(seed), per=per, **options)
    if arm == "average":
        return experts.average_rel_path(net, class_relevance(net, data, scenes), kept, example, **options)
    if arm == CONCEPT:
        scores = concept_relevance(net, data, scenes, *wanted)
    else:
        scores = _scores_of_filters(net, data, arm, scenes, wanted)
    normalize = "none" if arm in BY_LOSS else "sum"
    return experts.relevant_path(net, scores, kept, example, normalize=normalize, **options)


def _scores_of_filters(
    net: nn.Module, data: SceneSet, arm: str, scenes: int, wanted: Sequence[str]
) -> dict[str, Tensor]:
    if arm in BY_LOSS:
        asked = torch.tensor([data.classes.index(name) for name in wanted])
        images = ((x, y.where(torch.isin(y, asked), VOID)) for x, y in batches(data.train, scenes))
        return filter_saliency.taylor(net, images, squared=arm == "Fisher")
    if arm == "batch-norm scale":
        return filter_saliency.batch_norm_scale(net)
    if arm == "expected output":
        return filter_saliency.expected_output(net)
    return filter_saliency.activation_aware_magnitude(net, batches(data.train, scenes))


def class_path(
    net: nn.Module, data: SceneSet, wanted: Sequence[str], keep: float, scenes: int, **options
) -> dict[str, Tensor]:
    """Return the joined path of the filters that are most relevant for each of some classes: layer to (filters,) bool.

    Parameters
    ----------
    net : nn.Module
        The net that experts are cut out of.
    data : SceneSet
        Its scenes.
    wanted : sequence of str
        Names of the classes.
    keep : float
        The share of all filters that the path of each class keeps, in (0, 1].
    scenes : int
        Training scenes that relevance is measured on.
    **options
        ``by`` and ``multiple`` of `relcomp_kit.compression.experts.relevant_path`.

    Raises
    ------
    UserError
        If a class occurs in none of those scenes.
    """
    relevance, example = class_relevance(net, data, scenes), example_of(data)
    for name in wanted:
        if name not in relevance:
            raise UserError(f"{name} occurs in none of {scenes} training scenes: take more with relevance_scenes")
    return experts.join(
        *(experts.relevant_path(net, relevance[name], keep, example, normalize="none", **options) for name in wanted)
    )


def example_of(data: SceneSet) -> Tensor:
    """Return an input of a net by its size alone, (1, 3, height, width), where nets are."""
    return data.train[0][0].as_subclass(Tensor)[None].float().to(choose_device())


def train_on(
    net: nn.Module,
    data: SceneSet,
    seed: int,
    steps: int,
    batch: int = 8,
    learning_rate: float = 1e-3,
    report: Report | None = None,
) -> float:
    """Train an expert on all classes after its cut, in place; return the seconds that it took.

    Parameters
    ----------
    net : nn.Module
        The expert.
    data : SceneSet
        The scenes that it is trained on.
    seed : int
        Of the training.
    steps : int
        How many steps.
    batch : int
        Scenes a step.
    learning_rate : float
        At the start; it falls by the schedule "poly".
    report : callable, optional
        ``report(step, steps, text)`` after every step; if it raises, the net stays as it was.
    """
    recipe = QatRecipe("float", steps=steps, batch=batch, learning_rate=learning_rate, schedule="poly")
    state, history = quantized_net(recipe, net, data, seed, report=report)
    net.load_state_dict(ecqx.state_dict(state))
    return history[-1]["seconds"]


@functools.lru_cache(maxsize=1)
def class_relevance(net: nn.Module, data: SceneSet, scenes: int) -> dict[str, dict[str, Tensor]]:
    """Return the relevance of filters for every class that occurs in the first training scenes, by its name."""
    images = batches(data.train, scenes)
    seen = [k for k in range(len(data.classes)) if any((labels == k).any() for _, labels in images)]
    found = weight_relevance_per_class(net, images, seen, normalize=True)
    return {data.classes[k]: filter_relevance(one) for k, one in found.items()}


def concept_relevance(net: nn.Module, data: SceneSet, scenes: int, wanted: str) -> dict[str, Tensor]:
    """Return the relevance of filters that flows through one concept of a class: layer to (filters,).

    The concept is the channel of the ASPP through which most of the class's relevance flows, signed, over the training
    scenes. Layers behind it, where nothing is conditioned on it, have the relevance of the class.

    Parameters
    ----------
    net : nn.Module
        A DeepLabV3.
    data : SceneSet
        Its scenes.
    scenes : int
        Training scenes that relevance is measured on.
    wanted : str
        The class.
    """
    asked = {"class_": data.classes.index(wanted), "normalize": True}
    images = batches(data.train, scenes)
    # under the epsilon rule the weights that read a channel hold, summed, what flows through it
    next_layer = weight_relevance(net, images, aggregate="sum", **asked)[f"{BEHIND_ASPP}.weight"]
    strongest = int(next_layer.sum((0, 2, 3)).argmax())
    found = filter_relevance(weight_relevance(net, images, concept=(ASPP, strongest), **asked))
    of_class = class_relevance(net, data, scenes)[wanted]
    return {layer: values if values.any() else of_class[layer] for layer, values in found.items()}


def _scores(when: str, net: nn.Module, data: SceneSet) -> dict[str, tuple]:
    """Return pixel accuracy and the IoU of every class on the validation and the test split."""
    found = {}
    for split in ("validation", "test"):
        scores = evaluate(net, getattr(data, split), data.classes, precision="auto")
        found[f"{split} pixel accuracy {when}"] = (scores["pixel_accuracy"], "share")
        found[f"{split} IoU {when}"] = (list(plain(scores["iou"]).values()), "share")
    return found
