"""What lesson 02 puts into its record: the curves, what a mask saves, and the claims that they decide."""

import math

import numpy as np

from relcomp_kit.compression.convergence import lambertw_limit, recurrence
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.evidence.record import Record
from relcomp_kit.evidence.rules.thesis import PUBLISHED_SHARES
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.models.masked_net_training import Samples
from relcomp_kit.studies.profiles import PruningBudget
from relcomp_kit.studies.pruning import measurement as study

LESSON = "02_prune_until_it_converges"
RISE = 30  # pruning steps after which the thesis sees the accuracy at its highest
SMALL = {"T4": (0.0, 0.3), "T5": (0.1, 0.25)}  # share of all weights left, lowest and highest


def layer_shares(curves: study.Curves, group: str) -> dict[float, np.ndarray]:
    """Return what a group of arms has left in each layer at its end, by the factors that the thesis reports.

    Parameters
    ----------
    curves : dict of str to list of dict
        As `relcomp_kit.studies.pruning.measurement.run` returns them.
    group : str
        Name of the group, such as "pruned"; nothing is returned for a group that was not run.

    Returns
    -------
    dict of float to ndarray
        Sparsification factor to the share of weights left, (layers,), mean over the seeds.
    """
    found = shares_by_layer(curves, group)
    return {float(sf): np.mean(list(layers.values()), axis=1) for sf, layers in found.items()}


def shares_by_layer(curves: study.Curves, group: str) -> dict[str, dict[str, list[float]]]:
    """Return what a group of arms has left in each layer at its end, a value a seed: the series of T14.

    Parameters
    ----------
    curves : dict of str to list of dict
        As `relcomp_kit.studies.pruning.measurement.run` returns them.
    group : str
        As in `layer_shares`.

    Returns
    -------
    dict of str to dict of str to list of float
        By published sparsification factor and by layer.
    """
    result: dict[str, dict[str, list[float]]] = {}
    for sf in PUBLISHED_SHARES:
        for curve in study.select(curves.get(group, []), sf):
            for layer, (first, *_, last) in enumerate(zip(*curve["left"])):
                result.setdefault(str(sf), {}).setdefault(f"layer {layer}", []).append(last / first)
    return result


def decided(
    profile: str,
    data: ImageSet,
    budget: PruningBudget,
    curves: study.Curves,
    nets: dict[int, tuple[MaskedNet, Samples, Samples]],
    carried: dict[str, dict],
    saving: dict[str, float],
) -> Record:
    """Return the record of a run of lesson 02, with every claim decided; it is saved.

    Parameters
    ----------
    profile : {"quick", "full"}
        Of the run.
    data : ImageSet
        The images.
    budget : PruningBudget
        Of the profile.
    curves : dict of str to list of dict
        As `relcomp_kit.studies.pruning.measurement.run` returns them.
    nets : dict of int to (MaskedNet, Samples, Samples)
        Seed to net, training samples and test samples, for T13 on Fashion-MNIST.
    carried : dict of str to dict
        The series of T13a and T13b, by claim.
    saving : dict of str to float
        As `relcomp_kit.studies.pruning.measurement.what_it_saves` returns it.
    """
    record = Record(LESSON, profile, data.name)
    scale = {"at_scale": budget.at_scale, "seeds": budget.seeds}
    pruned, unpruned = curves["pruned"], study.select(curves["unpruned"], 0.95)  # its SF plays no part
    decide_rise(record, study.select(pruned, 0.6), unpruned, min(RISE, budget.steps), scale)
    for claim in SMALL:
        decide_small_enough(record, pruned, unpruned, claim, scale)
    record.claim("T6", **study.linearity(pruned), **scale)
    _limits(record, curves, data, scale)
    record.claim("T10", **study.last_layer_fall(study.select(pruned, 0.6)), **scale)
    record.claim("T11", **study.slow_against_fast(pruned), **scale)
    record.claim("T11c", **study.slow_against_at_once(curves), **scale)
    for claim, group in (("T14", "pruned"), ("T14c", "text")):
        if shares := shares_by_layer(curves, group):
            record.claim(claim, shares=shares, **scale)
    if "text" in curves:
        decide_by_text(record, curves, min(RISE, budget.steps), scale)
    for claim, series in carried.items():
        record.claim(claim, **series, **scale)
    if data.name == "fashion-mnist":
        below = study.small_enough(pruned, unpruned, 0.0, 0.3)
        maps = study.carries_over(nets, 2000, budget.oracle_images, loss="training", measure="saliency")
        record.claim("T13", accuracy=below["accuracy"], reference=below["start"], **maps, **scale)
    saved = {"labels": list(saving), "seed": budget.seeds[0], "sf": 0.95}
    record.measure("what a mask saves", list(saving.values()), "bytes, ratio", **saved)
    by_images = [study.select(curves[name], 0.95) for name in ("train images", "pruned")]
    difference = [round(ours["test"][-1] - theirs["test"][-1], 4) for ours, theirs in zip(*by_images)]
    record.measure("accuracy, importance from training minus from test images", difference, "share", sf=0.95)
    record.content["curves"] = curves
    record.save()
    return record


def decide_rise(record: Record, pruned: list[dict], unpruned: list[dict], step: int, scale: dict) -> None:
    """Decide what the rise of the accuracy is due to (T3, T3c).

    Parameters
    ----------
    record : Record
        The verdicts go into it.
    pruned, unpruned : list of dict
        Curves by seed, of SF 0.6 and of the same training without pruning.
    step : int
        The pruning step that counts.
    scale : dict
        ``at_scale`` and ``seeds``, as `Record.claim` takes them.
    """
    rise = _rise(pruned, unpruned, step)
    record.claim("T3", **rise, **scale)
    record.claim("T3c", **rise, **scale)


def _rise(pruned: list[dict], unpruned: list[dict], step: int) -> dict[str, list[float]]:
    return {
        "start": [curve["test"][0] for curve in pruned],
        "pruned": [curve["test"][step] for curve in pruned],
        "unpruned": [curve["test"][step] for curve in unpruned],
    }


def decide_small_enough(record: Record, pruned: list[dict], unpruned: list[dict], claim: str, scale: dict) -> None:
    """Decide whether few weights are enough, against the start and against as much training (T4, T5; T4c, T5c).

    Parameters
    ----------
    record : Record
        The verdicts go into it.
    pruned, unpruned : list of dict
        Curves to choose from, and those of the same training without pruning.
    claim : {"T4", "T5"}
        Which share of the weights counts.
    scale : dict
        ``at_scale`` and ``seeds``, as `Record.claim` takes them.
    """
    found = study.small_enough(pruned, unpruned, *SMALL[claim])
    record.claim(claim, accuracy=found["accuracy"], reference=found["start"], **scale)
    record.claim(claim + "c", accuracy=found["accuracy"], reference=found["unpruned"], **scale)


def decide_by_text(record: Record, curves: study.Curves, step: int, scale: dict) -> None:
    """Decide claims about the program once more, by the protocol of the thesis' text (T3d to T5d, T10c, T11d).

    Parameters
    ----------
    record : Record
        The verdicts go into it.
    curves : dict of str to list of dict
        As `relcomp_kit.studies.pruning.measurement.run` returns them, with the groups "text" and "text, unpruned".
    step : int
        The pruning step that counts for T3d.
    scale : dict
        ``at_scale`` and ``seeds``, as `Record.claim` takes them.
    """
    pruned, unpruned = curves["text"], curves["text, unpruned"]
    record.claim("T3d", **_rise(study.select(pruned, 0.6), unpruned, step), **scale)
    for claim, bounds in SMALL.items():
        found = study.small_enough(pruned, unpruned, *bounds)
        record.claim(claim + "d", accuracy=found["accuracy"], reference=found["start"], **scale)
    record.claim("T10c", **study.last_layer_fall(study.select(pruned, 0.6)), **scale)
    record.claim("T11d", **study.slow_against_fast(pruned), **scale)


def _limits(record: Record, curves: study.Curves, data: ImageSet, scale: dict) -> None:
    """Decide the formulas of convergence (T8) and where rules of pruning end (T9)."""
    record.claim("T8a", at_scale=True, limit=lambertw_limit(100, 0.3))
    factors = [step / 10 for step in range(10)]
    numeric, analytic = zip(*((recurrence(100, sf)[-1], lambertw_limit(100, sf)) for sf in factors))
    record.claim("T8b", at_scale=True, numeric=numeric, analytic=analytic)
    measured, predicted = study.after_convergence(curves["converged"])
    for claim, name in (("T8c", "XI, per layer"), ("T8d", "XI, per neuron"), ("T8e", "frozen distribution")):
        record.claim(claim, predicted=predicted[name], measured=measured, **scale)
    ends = [sum(curve["left"][-1]) for curve in curves["rate"]]
    pixels = math.prod(data.train.images.shape[1:])
    floor = study.rounded_down([pixels] * 36 + [36] * 25 + [25] * len(data.classes), 0.1)
    smallest = [curve["smallest_neuron"] for curve in study.select(curves["converged"], 0.95)]
    record.claim("T9", threshold_left=smallest, rate_left=ends, **scale)
    record.claim("T9c", rounded_down_left=[floor] * len(ends), **scale)
