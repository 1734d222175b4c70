"""The experiments of lesson 02: curves from arms, and the series that the claims are decided on.

A curve is a dict, the same whether it was run just now or read from a record: ``sf``, ``seed``, ``left`` (a list of
weights left per layer, a pruning step each), ``validation``, ``test``, ``sgd_steps``.
"""

import gzip
import math
from collections.abc import Callable, Sequence
from statistics import fmean

import numpy as np
from scipy.sparse import csr_array
from torch import Tensor

from relcomp_kit.compression.convergence import empirical_recurrence, recurrence
from relcomp_kit.models.masked_net import MaskedNet, set_masks, weight_names
from relcomp_kit.models.masked_net_training import Samples
from relcomp_kit.relevance import saliency
from relcomp_kit.relevance.oracle import weight_oracle
from relcomp_kit.studies.profiles import PruningBudget
from relcomp_kit.studies.pruning.experiment import Arm, pruning_arms, run_arms
from relcomp_kit.studies.saliency.measurement import accuracy_at_half, time_ratio, weight_correlation

Curves = dict[str, list[dict]]
FIRST = "first_importance.layers.0.weight"


def run(dataset, budget: PruningBudget) -> tuple[Curves, dict[Arm, dict[str, Tensor]]]:
    """Run every arm of a profile, or take it from the cache: (curves by group, tensors by arm).

    Parameters
    ----------
    dataset : ImageSet
        The images.
    budget : PruningBudget
        Of a profile.
    """
    groups = pruning_arms(budget)
    results = run_arms(dataset, [arm for arms in groups.values() for arm in arms])
    curves = {name: [_curve(arm, *results[arm]) for arm in arms] for name, arms in groups.items()}
    return curves, {arm: tensors for arm, (tensors, _) in results.items()}


def _curve(arm: Arm, tensors: dict[str, Tensor], info: dict) -> dict:
    curve = info["curve"]
    result = {
        "sf": arm.plan.sf,
        "seed": arm.plan.seed,
        "commit": info.get("commit", "unknown"),
        "left": curve["left"],
        "validation": [round(value, 4) for value in curve["validation"]],
        "test": [round(value, 4) for value in curve["test"]],
        "sgd_steps": [curve["sgd_steps"][0], curve["sgd_steps"][-1]],
    }
    if arm.plan.until_unchanged and arm.plan.rule == "median":
        result["predicted"] = predictions(tensors[FIRST], arm.plan.sf)
        result["converged"] = len(curve["left"]) - 1 < arm.plan.steps
        result["smallest_neuron"] = int(tensors["counts"][-1].min())
    return result


def predictions(first_importance: Tensor, sf: float) -> dict[str, int]:
    """Return how many weights of a layer stay by each formula, from its size and its importance before the first step.

    Parameters
    ----------
    first_importance : (neurons, inputs)
        Importance of the layer's weights.
    sf : float
        The sparsification factor.
    """
    neurons, inputs = first_importance.shape
    return {
        "XI, per layer": recurrence(neurons * inputs, sf)[-1],
        "XI, per neuron": neurons * recurrence(inputs, sf)[-1],
        "frozen distribution": empirical_recurrence(first_importance, sf)[-1],
    }


def select(curves: Sequence[dict], sf: float) -> list[dict]:
    """Return the curves of one sparsification factor, by seed.

    Parameters
    ----------
    curves : sequence of dict
        As `run` returns them.
    sf : float
        The sparsification factor.
    """
    return sorted((curve for curve in curves if curve["sf"] == sf), key=lambda curve: curve["seed"])


def factors(curves: Sequence[dict]) -> list[float]:
    """Return the sparsification factors of some curves, rising."""
    return sorted({curve["sf"] for curve in curves})


def density(curve: dict) -> np.ndarray:
    """Return the share of all weights left, at every pruning step."""
    left = np.array(curve["left"]).sum(1)
    return left / left[0]


def final_sparsity(curves: Sequence[dict]) -> list[list[float]]:
    """Return per sparsification factor the seeds' sparsities at the end, as `figures` takes them."""
    return [[1 - density(curve)[-1] for curve in select(curves, sf)] for sf in factors(curves)]


def chosen_on_validation(curves: Sequence[dict], seed: int, low: float, high: float) -> tuple[dict, int] | None:
    """Return the curve and the step with the best validation accuracy among those with a share left in [low, high].

    Parameters
    ----------
    curves : sequence of dict
        As `run` returns them.
    seed : int
        Whose curves are looked at.
    low, high : float
        Bounds of the share of all weights left; None is returned where no step lies between them.
    """
    options = [
        (curve["validation"][step], curve, step)
        for curve in curves
        if curve["seed"] == seed
        for step, share in enumerate(density(curve))
        if low <= share <= high
    ]
    return max(options, key=lambda option: option[0])[1:] if options else None


def small_enough(pruned: Sequence[dict], unpruned: Sequence[dict], low: float, high: float) -> dict[str, list[float]]:
    """Return ``accuracy``, that at the ``start`` and of the equally trained ``unpruned`` net, a seed each (T4, T5).

    Arm and step are chosen on validation images among those with a share of weights in [low, high]; NaN where no
    arm of that seed gets there.

    Parameters
    ----------
    pruned, unpruned : sequence of dict
        Curves of the arms to choose from, and of the nets that are trained as long without pruning.
    low, high : float
        Bounds of the share of all weights left.
    """
    result: dict[str, list[float]] = {"accuracy": [], "start": [], "unpruned": []}
    for control in sorted(unpruned, key=lambda curve: curve["seed"]):
        found = chosen_on_validation(pruned, control["seed"], low, high)
        curve, step = found or (None, 0)
        result["accuracy"].append(curve["test"][step] if curve else math.nan)
        result["start"].append(control["test"][0])
        result["unpruned"].append(control["test"][step])
    return result


def line_fit(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Return slope, intercept and R^2 of a straight line; R^2 is 0 where y does not vary at all.

    Parameters
    ----------
    x, y : sequence of float
        Two points at least.
    """
    slope, intercept = np.polyfit(x, y, 1)
    total = np.var(y)
    return slope, intercept, 1 - np.var(np.array(y) - slope * np.array(x) - intercept) / total if total else 0.0


def linearity(curves: Sequence[dict]) -> dict[str, list[float]]:
    """Return, per seed, R^2 of sparsity over SF from 0.5 on, and how far that line misses below 0.5 (T6)."""
    result: dict[str, list[float]] = {"r_squared": [], "miss_below": []}
    sf = np.array(factors(curves))
    for sparsity in np.array(final_sparsity(curves)).T:
        slope, intercept, r_squared = line_fit(sf[sf >= 0.5], sparsity[sf >= 0.5])
        result["r_squared"].append(r_squared)
        result["miss_below"].append(np.abs(slope * sf + intercept - sparsity)[sf < 0.5].mean())
    return result


def last_layer_fall(curves: Sequence[dict], last: int = 100, late: int = 25) -> dict[str, list[float]]:
    """Return, per seed, R^2 of a line over the last layer's last counts, and the weights lost in the latest (T10).

    Parameters
    ----------
    curves : sequence of dict
        One a seed.
    last : int
        Pruning steps at the end that the line is fitted to.
    late : int
        Pruning steps at the end in which losses are counted.
    """
    counts = [np.array(curve["left"])[-last:, -1] for curve in curves]
    return {
        "r_squared": [line_fit(range(len(count)), count)[2] for count in counts],
        "late_losses": [int(count[-min(late, len(count) - 1) - 1] - count[-1]) for count in counts],
    }


def after_convergence(converged: Sequence[dict]) -> tuple[dict[str, list[float]], dict[str, dict[str, list[int]]]]:
    """Return the first layer's counts after convergence and each formula's predictions, by SF: a value a seed (T8c-e).

    An arm that was still losing weights at its last step counts as NaN.
    """
    measured: dict[str, list[float]] = {}
    predicted: dict[str, dict[str, list[int]]] = {}
    for sf in factors(converged):
        arms = select(converged, sf)
        measured[f"SF {sf}"] = [curve["left"][-1][0] if curve["converged"] else math.nan for curve in arms]
        for name in arms[0]["predicted"]:
            predicted.setdefault(name, {})[f"SF {sf}"] = [curve["predicted"][name] for curve in arms]
    return measured, predicted


def rounded_down(sizes: Sequence[int], rate: float) -> int:
    """Return the weights left for good when neurons of these sizes lose ``floor(rate * left)`` in every step.

    Parameters
    ----------
    sizes : sequence of int
        Weights of every neuron at the start.
    rate : float
        The share that goes in a step.
    """
    total = 0
    for left in sizes:
        while gone := math.floor(left * rate):
            left -= gone
        total += left
    return total


def slow_against_fast(pruned: Sequence[dict]) -> dict[str, dict[str, list[float]]]:
    """Return the accuracy of slow arms (SF 0.75, 0.9) at their end, and of the fast one (0.95) at that sparsity (T11).

    The fast arm's accuracy is interpolated between the two steps around that sparsity.
    """
    result: dict[str, dict[str, list[float]]] = {"slow": {}, "fast": {}}
    for sf in (0.75, 0.9):
        arms = list(zip(select(pruned, sf), select(pruned, 0.95)))
        result["slow"][f"SF {sf}"] = [slow["test"][-1] for slow, _ in arms]
        result["fast"][f"SF {sf}"] = [
            float(np.interp(density(slow)[-1], density(fast)[::-1], fast["test"][::-1])) for slow, fast in arms
        ]
    return result


def slow_against_at_once(curves: Curves) -> dict[str, dict[str, list[float]]]:
    """Return the accuracy at the end of slow pruning (SF 0.9), and of pruning to its counts in one step (T11c)."""
    slow, at_once = select(curves["pruned"], 0.9), select(curves["at once"], 0.9)
    return {
        "slow": {"SF 0.9": [curve["test"][-1] for curve in slow]},
        "fast": {"SF 0.9": [curve["test"][-1] for curve in at_once]},
    }


def carries_over(
    nets: dict[int, tuple[MaskedNet, Samples, Samples]], images: int, oracle_images: int, *, loss: str, measure: str
) -> dict[str, list[float]]:
    """Return T2's series with another loss or measure: a value a seed.

    Parameters
    ----------
    nets : dict of int to (MaskedNet, Samples, Samples)
        Seed to net, training samples and test samples.
    images, oracle_images : int
        Training images that importance is cumulated over, and that the oracle sees.
    loss : {"training", "pruning"}
        Whose gradient and whose change are taken.
    measure : {"saliency", "impact"}
        Of the inputs' importance, for the outer products.
    """
    result: dict[str, list[float]] = {"outer": [], "direct": [], "outer_accuracy": [], "direct_accuracy": []}
    for net, training, test in nets.values():
        x, labels = training.x[:images], training.labels[:images]
        _, oracle = weight_oracle(net, x[:oracle_images], labels[:oracle_images], loss)
        for name, importance in (
            ("outer", saliency.weight_importance(net, x, labels, measure=measure, loss=loss)),
            ("direct", saliency.direct_importance(net, x, labels, loss=loss)),
        ):
            result[name].append(weight_correlation(importance, oracle))
            result[f"{name}_accuracy"].append(accuracy_at_half(net, importance, test))
    return result


def pruned_net(tensors: dict[str, Tensor], activations: str = "tanh") -> MaskedNet:
    """Return the net at the end of an arm, masks on.

    Parameters
    ----------
    tensors : dict of str to Tensor
        As `run` returns them for the arm.
    activations : str or tuple of str
        One for all layers, or one per layer.
    """
    names = sorted(name for name in tensors if name.startswith("layers.") and name.endswith("weight"))
    sizes = [tensors[names[0]].shape[1]] + [len(tensors[name]) for name in names]
    net = MaskedNet(sizes, activations)
    net.load_state_dict({name: tensors[name] for name, _ in net.named_parameters()}, strict=False)
    set_masks(net, {name: tensors[f"mask.{name}"] for name in weight_names(net)})
    return net


def what_it_saves(net: MaskedNet, x: Tensor) -> dict[str, float]:
    """Return sizes in bytes and run times of a masked net, against the dense net.

    ``dense`` float32 weights; ``masked`` the same with zeros in it; ``gzip`` of that; ``csr`` values, columns (16 bit)
    and row starts (32 bit) of what is left. ``masked time`` and ``csr time`` are ratios to the dense pass over ``x``.

    Parameters
    ----------
    net : MaskedNet
        With masks on; the pass takes tanh in every layer.
    x : (images, inputs)
        The inputs of the pass.
    """
    dense = [layer.weight.detach().numpy() for layer in net.layers]
    weights = [(layer.weight * layer.weight_mask).detach().numpy() for layer in net.layers]
    biases = [layer.bias.detach().numpy()[:, None] for layer in net.layers]
    columns = np.ascontiguousarray(x.numpy().T)

    def forward(matrices: Sequence) -> Callable[[], np.ndarray]:
        def run_it() -> np.ndarray:
            y = columns
            for matrix, bias in zip(matrices, biases):
                y = np.tanh(matrix @ y + bias)
            return y

        return run_it

    kept = sum(int(np.count_nonzero(weight)) for weight in weights)  # NumPy 2.5 counts in int64, which is not JSON
    raw = b"".join(weight.tobytes() for weight in weights)
    return {
        "dense": sum(weight.nbytes for weight in dense),
        "masked": len(raw),
        "gzip": len(gzip.compress(raw, 9)),
        "csr": 6 * kept + 4 * sum(len(weight) + 1 for weight in weights),
        "masked time": time_ratio(forward(weights), forward(dense)),
        "csr time": time_ratio(forward([csr_array(weight) for weight in weights]), forward(dense)),
    }


def mean_test(curves: Sequence[dict], step: int = -1) -> float:
    """Return the mean test accuracy over curves at a step.

    Parameters
    ----------
    curves : sequence of dict
        As `run` returns them.
    step : int
        The pruning step; by default the last.
    """
    return fmean(curve["test"][step] for curve in curves)
