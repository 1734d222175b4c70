"""Iterative pruning of the masked net: measure importance, remove, fine-tune, again. One plan is one curve."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.compression import pruning
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import (
    MaskedNet,
    get_masks,
    keep_classes,
    set_masks,
    weight_names,
    weights_left,
)
from relcomp_kit.models.training import (
    Batches,
    Samples,
    accuracy,
    one_hot_others_cold,
    prepare,
    train,
    train_until_stable,
)
from relcomp_kit.relevance import saliency
from relcomp_kit.relevance.oracle import weight_oracle

RULES = ("none", "median", "rate", "match", "rank", "probabilistic")
MEASURES = ("outer", "outer_impact", "gradient", "taylor", "magnitude", "random", "oracle")
ORACLE_IMAGES = 500


@dataclass(frozen=True)
class Plan:
    """Everything that decides one pruning curve.

    Attributes
    ----------
    protocol : {"program", "text"}
        The published program (fixed steps, scaling per sample, ties go) or the thesis' text (training until the
        validation accuracy stops rising, scaling per neuron, ties stay).
    rule : {"none", "median", "rate", "match", "rank", "probabilistic"}
        "none" trains on without pruning; "match" keeps as many weights per neuron as ``counts`` says.
    measure : {"outer", "outer_impact", "gradient", "taylor", "magnitude", "random", "oracle"}
        What importance is: outer product of input importances (by saliency or impact), cumulated abs(dJ/dW) or
        abs(W o dJ/dW), abs(W), random numbers, or the measured change of the loss.
    images : {"train", "test"}
        Which images importance is measured on; the published program takes test images.
    sf, rate : float
        Sparsification factor of "median"; share removed per step of "rate", share aimed at by "rank" and
        "probabilistic".
    steps : int
        Pruning steps.
    first_training, fine_tuning : int
        SGD steps before the first and after every pruning step ("program").
    first_images, later_images : int
        Images that importance is cumulated over, at the first and at later pruning steps.
    cumulate : bool
        Whether importance is added up over all pruning steps so far, or measured anew at every step.
    loss : {"training", "pruning"}
        Whose gradient saliency is.
    hold_at : float
        Share of the weights left at which pruning stops while training goes on.
    until_unchanged : int
        Stop after so many steps in which no weight went; 0 never does.
    classes : tuple of int
        The classes kept; empty means all.
    seed : int
        Decides initial weights, noise, order of batches and the images importance is measured on.
    """

    protocol: str = "program"
    rule: str = "median"
    measure: str = "outer"
    images: str = "test"
    sf: float = 0.9
    rate: float = 0.1
    steps: int = 150
    first_training: int = 1551
    fine_tuning: int = 775
    first_images: int = 2000
    later_images: int = 1000
    cumulate: bool = True
    loss: str = "training"
    hold_at: float = 0.0
    until_unchanged: int = 0
    classes: tuple[int, ...] = ()
    activations: str | tuple[str, ...] = "tanh"
    seed: int = 0

    def __post_init__(self):
        for value, choices in (
            (self.protocol, ("program", "text")),
            (self.rule, RULES),
            (self.measure, MEASURES),
            (self.images, ("train", "test")),
        ):
            if value not in choices:
                raise UserError(f"a pruning plan knows no {value!r}; choose one of {', '.join(choices)}")
        pruning.check_sf(self.sf)
        if self.rule == "probabilistic" and self.protocol == "text":
            raise UserError(
                "the probabilistic rule draws masks during a fixed number of steps: protocol 'program' only"
            )


@dataclass(frozen=True)
class Images:
    """The samples of one curve: what is trained on, chosen on, measured on and reported on.

    The test images are split, so that no accuracy is reported on an image that importance was measured on.
    """

    train: Samples
    validation: Samples
    importance: Samples
    report: Samples


def split_images(dataset, plan: Plan) -> Images:
    """Prepare a data set for a plan: noise drawn once, classes chosen, test images split in two.

    A fifth of the test images (2,000 of MNIST's 10,000) is set apart for importance, drawn by the plan's seed.
    """
    splits = [
        prepare(split, plan.seed * 10 + i) for i, split in enumerate((dataset.train, dataset.validation, dataset.test))
    ]
    if plan.classes:
        splits = [part.subset(torch.isin(part.labels, torch.tensor(plan.classes))) for part in splits]
    training, validation, test = splits
    if not len(training) or not len(test):
        raise UserError(f"{dataset.name} has no image of the classes {list(plan.classes)}")
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(plan.seed))
    apart = len(test) // 5
    importance = test.subset(order[:apart]) if plan.images == "test" else training
    return Images(training, validation, importance, test.subset(order[apart:]))


def measure_importance(net: MaskedNet, plan: Plan, samples: Samples, step: int) -> dict[str, Tensor]:
    """Return the importance of every weight under a plan, before pruning step ``step``: not negative, masked = 0."""
    generator = torch.Generator().manual_seed(plan.seed * 10_007 + step)
    if plan.measure == "random":
        return {
            n: torch.rand(layer.weight.shape, generator=generator) for n, layer in zip(weight_names(net), net.layers)
        }
    if plan.measure == "magnitude":
        return saliency.magnitude(net)
    wanted = plan.first_images if step == 0 else plan.later_images
    wanted = min(ORACLE_IMAGES, wanted) if plan.measure == "oracle" else wanted
    chosen = samples.subset(torch.randperm(len(samples), generator=generator)[:wanted])
    x, labels = chosen.x, chosen.labels
    if plan.measure == "oracle":
        # what raises the loss least goes first; shifted so that no importance is negative
        signed, _ = weight_oracle(net, x, labels, plan.loss)
        return {name: value - value.min() for name, value in signed.items()}
    if plan.measure in ("gradient", "taylor"):
        return saliency.direct_importance(net, x, labels, times_weight=plan.measure == "taylor", loss=plan.loss)
    kind = "impact" if plan.measure == "outer_impact" else "saliency"
    scaling = "sample" if plan.protocol == "program" else "neuron"
    return saliency.weight_importance(net, x, labels, measure=kind, scaling=scaling, loss=plan.loss)


def prune_once(net: MaskedNet, plan: Plan, importance: dict[str, Tensor], counts: list[Tensor] | None = None) -> None:
    """Apply a plan's rule to every layer. A neuron without any weight left is passed over.

    Parameters
    ----------
    counts : list of Tensor, optional
        Weights that "match" keeps per neuron: one (neurons,) a layer.
    """
    masks = get_masks(net)
    for index, (name, mask) in enumerate(masks.items()):
        alive = mask.any(1)
        rows, values = mask[alive], importance[name][alive]
        if plan.rule == "median":
            new = pruning.median_threshold_step(values, rows, plan.sf, ties_go=plan.protocol == "program")
        elif plan.rule == "rate":
            new = pruning.constant_rate_step(values, rows, plan.rate)
        elif plan.rule == "rank":
            new = pruning.keep_ranks(values, rows, round((1 - plan.rate) * rows.shape[1]))
        else:  # match
            new = pruning.keep_ranks(values, rows, counts[index][alive])
        mask[alive] = new
    set_masks(net, masks)


class _ProbabilisticMasks:
    """The probabilistic rule's state: a pruning probability per weight, and a new mask before every SGD step."""

    def __init__(self, net: MaskedNet, plan: Plan):
        self.net, self.plan = net, plan
        self.probability = {n: torch.zeros_like(layer.weight) for n, layer in zip(weight_names(net), net.layers)}

    def update(self, importance: dict[str, Tensor]) -> None:
        for name, value in importance.items():
            self.probability[name] = pruning.probabilistic_update(value, self.probability[name], self.plan.rate)

    def draw(self, step: int) -> None:
        generator = torch.Generator().manual_seed(self.plan.seed * 7_919 + step)
        set_masks(self.net, {n: torch.rand(p.shape, generator=generator) >= p for n, p in self.probability.items()})

    def settle(self) -> None:
        """Set the masks that are reported: the weights more likely kept than not."""
        set_masks(self.net, {name: p < 0.5 for name, p in self.probability.items()})


def prune_iteratively(
    dataset,
    plan: Plan,
    *,
    counts: Tensor | None = None,
    partial: Path | None = None,
    report: Callable[[int, dict], None] | None = None,
    save_every: int = 25,
) -> tuple[dict[str, Tensor], dict]:
    """Run a plan on a data set: one pruning curve.

    Parameters
    ----------
    dataset : ImageSet
        With splits train, validation and test.
    plan : Plan
    counts : Tensor, optional
        For the rule "match": weights per neuron after each pruning step, (steps, all neurons), of another curve.
    partial : Path, optional
        Where the state is kept every ``save_every`` pruning steps; a killed run resumes from it, bit for bit.
    report : callable, optional
        Called with (pruning step, curve so far) after every step.

    Returns
    -------
    tuple
        Tensors: the final ``named_parameters()``, ``mask.<name>`` of every weight, ``counts`` (steps + 1, neurons),
        ``first_importance.<name>``. Info: the plan and the curve, lists over the pruning steps (the first entry
        is the net before pruning) of ``left`` (per layer), ``validation``, ``test`` (accuracies) and ``sgd_steps``.
    """
    images = split_images(dataset, plan)
    classes = len(dataset.classes)
    net = MaskedNet((images.train.x.shape[1], 36, 25, classes), plan.activations, seed=plan.seed)
    if plan.classes:
        keep_classes(net, plan.classes)
    targets = one_hot_others_cold(images.train.labels, classes)
    batches = Batches(len(images.train), plan.seed)
    chance = _ProbabilisticMasks(net, plan) if plan.rule == "probabilistic" else None
    curve: dict[str, list] = {"left": [], "validation": [], "test": [], "sgd_steps": []}
    neuron_counts: list[Tensor] = []
    first_importance: dict[str, Tensor] = {}
    cumulated: dict[str, Tensor] = {}
    sgd_step = 0

    def tune(steps: int) -> int:
        if plan.protocol == "text":
            return train_until_stable(net, images.train, targets, batches, sgd_step, images.validation)
        return train(net, images.train, targets, batches, sgd_step, steps, before_step=chance and chance.draw)

    def note() -> None:
        if chance:
            chance.settle()
        curve["left"].append(weights_left(net))
        curve["validation"].append(accuracy(net, images.validation))
        curve["test"].append(accuracy(net, images.report))
        curve["sgd_steps"].append(sgd_step)
        neuron_counts.append(torch.cat([layer.weight_mask.sum(1) for layer in net.layers]).to(torch.int32))

    if partial and partial.is_file():
        tensors, info = read_artifact(partial)
        curve, sgd_step = info["curve"], info["sgd_step"]
        neuron_counts = list(tensors.pop("counts"))
        for name in list(tensors):
            kind, _, rest = name.partition(".")
            if kind == "first_importance":
                first_importance[rest] = tensors.pop(name)
            elif kind == "cumulated":
                cumulated[rest] = tensors.pop(name)
            elif kind == "probability":
                chance.probability[rest] = tensors.pop(name)
        net.load_state_dict(tensors)
    else:
        sgd_step = tune(plan.first_training)
        note()

    def state() -> dict[str, Tensor]:
        kept = {f"first_importance.{name}": value for name, value in first_importance.items()}
        kept |= {f"cumulated.{name}": value for name, value in cumulated.items()}
        if chance:
            kept |= {f"probability.{name}": value for name, value in chance.probability.items()}
        return net.state_dict() | kept | {"counts": torch.stack(neuron_counts)}

    full = sum(curve["left"][0])
    neurons = [len(layer.bias) for layer in net.layers]
    for step in range(len(curve["left"]) - 1, plan.steps):
        recent = curve["left"][-plan.until_unchanged - 1 :]
        if plan.until_unchanged and len(recent) > plan.until_unchanged and recent[0] == recent[-1]:
            break
        if not sum(curve["left"][-1]):
            break
        if plan.rule != "none" and sum(curve["left"][-1]) > plan.hold_at * full:
            importance = measure_importance(net, plan, images.importance, step)
            if plan.cumulate:
                cumulated = {name: cumulated.get(name, 0) + value for name, value in importance.items()}
                importance = cumulated
            first_importance = first_importance or importance
            if chance:
                chance.update(importance)
            else:
                wanted = None if counts is None else list(counts[step + 1].split(neurons))
                prune_once(net, plan, importance, wanted)
        sgd_step = tune(plan.fine_tuning)
        note()
        if report:
            report(step, curve)
        if partial and (step + 1) % save_every == 0:
            write_artifact(partial, state(), {"curve": curve, "sgd_step": sgd_step})
    return _result(net, neuron_counts, first_importance), {"plan": dataclasses.asdict(plan), "curve": curve}


def _result(net: MaskedNet, counts: list[Tensor], first_importance: dict[str, Tensor]) -> dict[str, Tensor]:
    parameters = {name: value.detach() for name, value in net.named_parameters()}
    masks = {f"mask.{name}": mask for name, mask in get_masks(net).items()}
    first = {f"first_importance.{name}": value for name, value in first_importance.items()}
    return parameters | masks | first | {"counts": torch.stack(counts)}
