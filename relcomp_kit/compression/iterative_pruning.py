"""Iterative pruning of the masked net: measure importance, remove, fine-tune, again. One plan is one curve."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from relcomp_kit.artifacts import read_cached, write_artifact
from relcomp_kit.compression import pruning
from relcomp_kit.compression.pruning_plan import Plan, split_images
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet, get_masks, keep_classes, set_masks, weight_names, weights_left
from relcomp_kit.models.masked_net_training import (
    Batches,
    Samples,
    accuracy,
    one_hot_others_cold,
    train,
    train_until_stable,
)
from relcomp_kit.relevance import saliency
from relcomp_kit.relevance.oracle import weight_oracle

ORACLE_IMAGES = 500


def measure_importance(net: MaskedNet, plan: Plan, samples: Samples, step: int) -> dict[str, Tensor]:
    """Return the importance of every weight under a plan, before a pruning step.

    Parameters
    ----------
    net : MaskedNet
        The net as it is now.
    plan : Plan
        Its ``measure`` says what importance is, its seed which images it is measured on.
    samples : Samples
        The images to choose from, ``x`` (images, pixels); random numbers and magnitudes need none.
    step : int
        Number of the pruning step, 0 for the first.

    Returns
    -------
    dict of str to Tensor
        Importance per weight, by parameter name, each (neurons, inputs), 0 or more.
    """
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
        return weight_oracle(net, x, labels, plan.loss)[1]
    if plan.measure in ("gradient", "taylor"):
        return saliency.direct_importance(net, x, labels, times_weight=plan.measure == "taylor", loss=plan.loss)
    kind = "impact" if plan.measure == "outer_impact" else "saliency"
    scaling = "sample" if plan.protocol == "program" else "neuron"
    return saliency.weight_importance(net, x, labels, measure=kind, scaling=scaling, loss=plan.loss)


def prune_once(net: MaskedNet, plan: Plan, importance: dict[str, Tensor], counts: list[Tensor] | None = None) -> None:
    """Apply a plan's rule to every layer, once. A neuron without any weight left is passed over.

    Parameters
    ----------
    net : MaskedNet
        Its masks are changed.
    plan : Plan
        With the rule "median", "rate", "rank" or "match".
    importance : dict of str to Tensor
        Importance per weight, by parameter name, each (neurons, inputs).
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
            assert counts is not None
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


class _Run:
    """The state of one curve: the net, what has been noted of it, and the importance cumulated so far."""

    def __init__(self, dataset: ImageSet, plan: Plan):
        self.plan, self.images = plan, split_images(dataset, plan)
        classes = len(dataset.classes)
        sizes = (self.images.train.x.shape[1], 36, 25, classes)
        self.net = MaskedNet(sizes, plan.activations, plan.seed, plan.initial)
        if plan.classes:
            keep_classes(self.net, plan.classes)
        self.targets = one_hot_others_cold(self.images.train.labels, classes)
        self.batches = Batches(len(self.images.train), plan.seed)
        self.chance = _ProbabilisticMasks(self.net, plan) if plan.rule == "probabilistic" else None
        self.curve: dict[str, list] = {"left": [], "validation": [], "test": [], "sgd_steps": []}
        self.counts: list[Tensor] = []
        self.cumulated: dict[str, Tensor] = {}
        self.first_importance: dict[str, Tensor] = {}
        self.sgd_step = 0

    def tune(self, steps: int) -> None:
        """Train by the plan's protocol."""
        common = (self.net, self.images.train, self.targets, self.batches, self.sgd_step)
        if self.plan.protocol == "text":
            self.sgd_step = train_until_stable(*common, self.images.validation)
        else:
            self.sgd_step = train(*common, steps, before_step=self.chance.draw if self.chance else None)

    def note(self) -> None:
        """Add weights left and accuracies to the curve."""
        if self.chance:
            self.chance.settle()
        self.curve["left"].append(weights_left(self.net))
        self.curve["validation"].append(accuracy(self.net, self.images.validation))
        self.curve["test"].append(accuracy(self.net, self.images.report))
        self.curve["sgd_steps"].append(self.sgd_step)
        self.counts.append(torch.cat([layer.weight_mask.sum(1) for layer in self.net.layers]).to(torch.int32))

    def prune(self, step: int, counts: Tensor | None) -> None:
        """Measure importance, cumulate it if the plan says so, and remove what the rule names."""
        importance = measure_importance(self.net, self.plan, self.images.importance, step)
        if self.plan.cumulate:
            importance = {name: self.cumulated.get(name, 0) + value for name, value in importance.items()}
            self.cumulated = importance
        self.first_importance = self.first_importance or importance
        if self.chance:
            self.chance.update(importance)
            return
        neurons = [len(layer.bias) for layer in self.net.layers]
        prune_once(self.net, self.plan, importance, None if counts is None else list(counts[step + 1].split(neurons)))

    def finished(self) -> bool:
        """Say whether nothing is left, or nothing has changed for as long as the plan waits."""
        left, wait = self.curve["left"], self.plan.until_unchanged
        return not sum(left[-1]) or bool(wait and len(left) > wait and left[-1 - wait] == left[-1])

    def holding(self) -> bool:
        """Say whether pruning has reached the share of weights at which it stops."""
        return sum(self.curve["left"][-1]) <= self.plan.hold_at * sum(self.curve["left"][0])

    def extras(self) -> dict[str, dict[str, Tensor]]:
        """Return the named tensors that a resumed run needs beside the net."""
        chances = self.chance.probability if self.chance else {}
        return {"first_importance": self.first_importance, "cumulated": self.cumulated, "probability": chances}

    def save(self, path: Path) -> None:
        """Keep the state, so that a killed run goes on from here."""
        tensors = {f"{kind}.{name}": value for kind, named in self.extras().items() for name, value in named.items()}
        tensors |= self.net.state_dict() | {"counts": torch.stack(self.counts)}
        write_artifact(path, tensors, {"curve": self.curve, "sgd_step": self.sgd_step})

    def resumed(self, path: Path) -> bool:
        """Take up a state that `save` kept, and say whether there was one."""
        found = read_cached(path)
        if found is None:
            return False
        tensors, info = found
        self.curve, self.sgd_step = info["curve"], info["sgd_step"]
        self.counts = list(tensors.pop("counts"))
        for kind, named in self.extras().items():
            for full_name in [name for name in tensors if name.startswith(kind + ".")]:
                named[full_name.removeprefix(kind + ".")] = tensors.pop(full_name)
        self.net.load_state_dict(tensors)
        return True

    def result(self) -> dict[str, Tensor]:
        """Return the tensors of the finished curve."""
        tensors = {name: value.detach() for name, value in self.net.named_parameters()}
        tensors |= {f"mask.{name}": mask for name, mask in get_masks(self.net).items()}
        tensors |= {f"first_importance.{name}": value for name, value in self.first_importance.items()}
        return tensors | {"counts": torch.stack(self.counts)}


def prune_iteratively(
    dataset: ImageSet,
    plan: Plan,
    *,
    counts: Tensor | None = None,
    start: dict[str, Tensor] | None = None,
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
        What decides the curve.
    counts : Tensor, optional
        For the rule "match": weights per neuron after each pruning step, (steps, all neurons), of another curve.
    start : dict, optional
        State of a net that has had the plan's first training ("program") already; trained here if None.
    partial : Path, optional
        File in which the state is kept; a killed run goes on from it, bit for bit.
    report : callable, optional
        Called with (pruning step, curve so far) after every step.
    save_every : int
        Pruning steps between two writes of ``partial``.

    Returns
    -------
    tuple
        Tensors: the final ``named_parameters()``, ``mask.<name>`` of every weight, ``counts`` (steps + 1, neurons),
        ``first_importance.<name>``. Info: the plan and the curve, lists over the pruning steps (the first entry
        is the net before pruning) of ``left`` (per layer), ``validation``, ``test`` (accuracies) and ``sgd_steps``.

    Raises
    ------
    UserError
        If the rule is "match" and ``counts`` is missing or too short, or the data set lacks images for the plan.
    """
    if plan.rule == "match" and (counts is None or len(counts) <= plan.steps):
        raise UserError(f"the rule 'match' needs the counts of another curve of at least {plan.steps} pruning steps")
    run = _Run(dataset, plan)
    if partial is None or not run.resumed(partial):
        if start:
            run.net.load_state_dict(start)
            run.sgd_step = plan.first_training
        else:
            run.tune(plan.first_training)
        run.note()
    for step in range(len(run.curve["left"]) - 1, plan.steps):
        if run.finished():
            break
        if plan.rule != "none" and not run.holding():
            run.prune(step, counts)
        run.tune(plan.fine_tuning)
        run.note()
        if report:
            report(step, run.curve)
        if partial and (step + 1) % save_every == 0:
            run.save(partial)
    return run.result(), {"plan": dataclasses.asdict(plan), "curve": run.curve}
