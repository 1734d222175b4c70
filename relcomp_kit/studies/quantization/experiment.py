"""The experiments "quantize", quantization-aware training of a trained net, and "one-shot", quantization without it."""

import copy
import functools
import hashlib
import math
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from relcomp_kit import datasets
from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx.qat import VERSION, QatRecipe, measure, quantized_net
from relcomp_kit.compression.ecqx.recipe import resolve
from relcomp_kit.compression.ecqx.tasks import Images, Pictures, Scenes, task_of
from relcomp_kit.compression.gptq import gptq
from relcomp_kit.compression.nnc import encode, rival_codecs
from relcomp_kit.datasets import labelled
from relcomp_kit.datasets.download import NAMES
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints
from relcomp_kit.relevance.faithfulness import random_scores
from relcomp_kit.relevance.lrp import weight_relevance
from relcomp_kit.relevance.weight_saliency import activation_aware, loss_change
from relcomp_kit.studies.quantization.classifiers import load, trained_classifier
from relcomp_kit.studies.saliency.measurement import HIDDEN
from relcomp_kit.studies.segmentation.measurement import firsts, from_checkpoint, recipe_for, train_now
from relcomp_kit.studies.segmentation.training import provenance
from relcomp_kit.studies.thesis_net import trained_net

__all__ = ["VERSION", "one_shot", "quantize"]

SCORED = ("ecq", "lrp", "magnitude", "random", "taylor", "fisher", "activation-aware")  # by ECQ, or ECQ^x
AT_ONCE = (*SCORED, "gptq", "rdoq", "float")


def quantize(
    *,
    seed: int,
    net: str = "compact",
    dataset: str = "rail-scenes",
    scored_scenes: int | None = None,
    **recipe: QatRecipe,
) -> dict:
    """Quantize a trained net, or take the result from the cache; return its scores in the test and its size.

    Parameters
    ----------
    seed : int
        Of the net, and of its quantization.
    net : str
        A size of DeepLabV3 for scenes: the committed checkpoint, or a net trained by the "full" recipe. For small
        images a key of `relcomp_kit.studies.saliency.measurement.HIDDEN` ("tanh", "ReLU"): the thesis' net, as
        published. For the larger sets as in `relcomp_kit.studies.quantization.classifiers.trained_classifier`.
    dataset : str
        A set of scenes, or of small images.
    scored_scenes : int, optional
        Of the validation and the test split that nets are scored on; by default all. Small images all count.
    **recipe
        The fields of `relcomp_kit.compression.ecqx.recipe.QatRecipe`.
    """
    chosen = QatRecipe(**recipe)
    model, data = kept(net, dataset, seed, scored_scenes=scored_scenes)
    found = measure(chosen, model, data, seed)
    if dataset in labelled.NAMES and chosen.arm != "float":
        found["file size"] = (len(encode(quantized_net(chosen, model, data, seed)[0])), "bytes")
    return found | {"data": data.sha256, "made by": provenance()["commit"]}


def one_shot(
    *,
    net: str,
    dataset: str,
    arm: str,
    seed: int,
    bits: int = 4,
    Lambda: float = 0.05,
    step_rule: str = "p99.9-interpolated",
    probabilities: str = "normalized",
    rule: str = "epsilon",
    aggregate: str = "mean_of_abs",
    relevance_images: int = 1000,
    floor: float = 0.0,
    qp: int = -38,
    rate: float = 0.0,
    information: bool = False,
) -> dict:
    """Quantize a trained net at once, without any training; return its scores in the test and its size.

    Parameters
    ----------
    net, dataset : str
        As in `quantize`; a larger set.
    arm : {"ecq", "lrp", "magnitude", "random", "taylor", "fisher", "activation-aware", "gptq", "rdoq", "float"}
        As in `arm_relevance`; `relcomp_kit.compression.gptq.gptq`; what nncodec rounds by itself; or the net as it is.
    seed : int
        Of the net if it is trained here, of the order of the images, and of random relevance.
    bits, Lambda, step_rule
        As in `relcomp_kit.compression.ecqx.recipe.QatRecipe`.
    probabilities : {"normalized", "published"}
        As in `relcomp_kit.compression.ecqx.quantize`.
    rule, aggregate
        As in `relcomp_kit.compression.ecqx.recipe.QatRecipe`.
    relevance_images : int
        Training images that relevance is measured on, in batches of 100.
    floor : float
        As in `relcomp_kit.compression.ecqx.quantize`.
    qp, rate
        Of the arm "rdoq", as in `relcomp_kit.compression.nnc.rival_codecs.nncodec_floats`; it takes neither bits nor
        Lambda nor a rule for the step.
    information : bool
        Whether to say, too, how much information the clusters have in which relevant weights end, large ones, and all;
        and what the former would be by the clusters of ECQ, with and without relevance. See `cluster_information`.

    Raises
    ------
    UserError
        If there is no such arm, or the data set is not on this machine.
    """
    if arm not in AT_ONCE:
        raise UserError(f"there is no arm {arm!r}; choose one of {', '.join(AT_ONCE)}")
    model, data = kept(net, dataset, seed)
    task = task_of(model, resolve(QatRecipe(batch=100)), data, seed)
    model.to(task.device)
    about = {"data": data.sha256, "made by": provenance()["commit"]}
    if arm == "float":
        return about | {"accuracy": (task.scores(model, "test")[task.chosen_by], "share")}
    if arm == "rdoq":
        return about | _by_nncodec(model, task, qp, rate)
    batches = [task.batch(index) for index in range(relevance_images // 100)]
    if arm == "gptq":
        return about | _of_file(model, task, gptq(model, batches, bits, step=step_rule))
    measured = {"rule": rule, "aggregate": aggregate}
    relevance = arm_relevance(arm, model, batches, seed, **measured)
    how = {"step": step_rule, "probabilities": probabilities, "floor": floor}
    quantized = ecqx.quantize(model, bits, Lambda, relevance=relevance, **how)
    if information:
        by_lrp = relevance if arm == "lrp" else arm_relevance("lrp", model, batches, seed, **measured)
        size = arm_relevance("magnitude", model, batches, seed)
        ecq = ecqx.quantize(model, bits, Lambda, step=step_rule, probabilities=probabilities).indices
        asked = {
            "relevant weights": (quantized.indices, quantized.indices, by_lrp),
            "large weights": (quantized.indices, quantized.indices, size),
            "all weights": (quantized.indices, quantized.indices, None),
            "relevant weights, by ECQ's clusters": (quantized.indices, ecq, by_lrp),
            "relevant weights under ECQ": (ecq, ecq, by_lrp),
        }
        about |= {f"information of {what}": (cluster_information(*which), "bits") for what, which in asked.items()}
    return about | _of_file(model, task, quantized)


def _of_file(model: nn.Module, task: Images | Pictures | Scenes, quantized: ecqx.Quantized) -> dict:
    """Return how a quantized net does in the test, and what it takes."""
    return {
        "accuracy": (_accuracy(model, task, ecqx.state_dict(quantized)), "share"),
        "sparsity": (quantized.sparsity, "share"),
        "coded size": (quantized.coded_bytes, "bytes"),
        "file size": (len(encode(quantized)), "bytes"),
    }


def _by_nncodec(model: nn.Module, task: Images | Pictures | Scenes, qp: int, rate: float) -> dict:
    """Return the same of a net whose weights nncodec has quantized; the rest stays as it is, as in the kit's files."""
    state = model.state_dict()
    weights = {name: state[name] for name in ecqx.quantizable(model)}
    size, decoded = rival_codecs.nncodec_floats(weights, dependent=False, qp=qp, rate=rate)
    zeros = sum(int((value == 0).sum()) for value in decoded.values())
    return {
        "accuracy": (_accuracy(model, task, state | decoded), "share"),
        "sparsity": (zeros / sum(value.numel() for value in decoded.values()), "share"),
        "file size": (size + sum(value.nbytes for name, value in state.items() if name not in weights), "bytes"),
    }


def _accuracy(model: nn.Module, task: Images | Pictures | Scenes, state: dict[str, Tensor]) -> float:
    changed = copy.deepcopy(model)
    changed.load_state_dict(state)
    return task.scores(changed, "test")[task.chosen_by]


def arm_relevance(
    arm: str, net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], seed: int, **how: str
) -> dict[str, Tensor] | None:
    """Return the relevance of weights that an arm takes, or what it puts in its place; None for ECQ.

    Parameters
    ----------
    arm : {"ecq", "lrp", "magnitude", "random", "taylor", "fisher", "activation-aware"}
        As in `relcomp_kit.compression.ecqx.recipe.QatRecipe`, or a score of `relcomp_kit.relevance.weight_saliency`.
    net : nn.Module
        In eval mode.
    batches : iterable of (Tensor, Tensor)
        Inputs and true classes; magnitude and random numbers ask for none.
    seed : int
        Of the random relevance.
    **how
        Options of `relcomp_kit.relevance.lrp.weight_relevance`.
    """
    if arm == "ecq":
        return None
    if arm == "lrp":
        return weight_relevance(net, batches, **how)
    if arm in ("taylor", "fisher"):
        return loss_change(net, batches, squared=arm == "fisher")
    if arm == "activation-aware":
        return activation_aware(net, batches)
    size = {name: value.detach().abs() for name, value in net.named_parameters()}
    return size if arm == "magnitude" else random_scores(size, torch.Generator().manual_seed(seed))


def cluster_information(
    indices: dict[str, Tensor], counted: dict[str, Tensor], scores: dict[str, Tensor] | None, share: float = 0.1
) -> float:
    """Return the mean information of the clusters in which weights end, in bits.

    A cluster that holds a share P of a tensor's weights has the information -log2 P: the rarer, the more.

    Parameters
    ----------
    indices : dict of str to Tensor
        The centroid of every weight, by parameter name.
    counted : dict of str to Tensor
        The centroids that the shares are counted by: the same, or those of another quantization, so that a weight only
        gains by what itself does. A cluster that is empty there counts as one weight.
    scores : dict of str to Tensor or None
        A number for every weight: of each tensor only those with the highest count. None for all.
    share : float
        Of a tensor's weights that count, in (0, 1].
    """
    found = []
    for name, index in indices.items():
        least = int(min(index.min(), counted[name].min()))
        counts = (counted[name].flatten().long() - least).bincount(minlength=int(index.max()) - least + 1).clamp_min(1)
        bits = -(counts.double() / index.numel()).log2()[index.flatten().long() - least]
        if scores is not None:
            bits = bits[scores[name].flatten().to(bits.device).topk(math.ceil(share * len(bits))).indices]
        found.append(bits)
    return torch.cat(found).mean().item()


def trained(
    net: str, dataset: str, seed: int, profile: str = "full", scored_scenes: int | None = None
) -> tuple[nn.Module, ImageSet | SceneSet]:
    """Return a trained net, in eval mode, and its data set.

    Parameters
    ----------
    net, dataset : str
        As in `quantize`.
    seed : int
        Of the net.
    profile : {"quick", "full"}
        On scenes: how large they are, and how long a net without a committed checkpoint is trained.
    scored_scenes : int, optional
        Of scenes, how many of the validation and the test split the returned set has; by default all.
    """
    if dataset in labelled.NAMES:
        data = load(dataset)
        return trained_classifier(net, data, seed)[0], data
    if dataset in NAMES:
        return _thesis_net(net, dataset, seed)
    model, scenes = _segmenter(net, dataset, seed, profile)
    return model, scenes if scored_scenes is None else _with_few_scored(scenes, scored_scenes)


def _with_few_scored(data: SceneSet, scenes: int) -> SceneSet:
    few = {split: firsts(getattr(data, split), scenes) for split in ("validation", "test")}
    return replace(data, **few, sha256=hashlib.sha256(f"{data.sha256} {scenes} scored".encode()).hexdigest())


# For experiments: neighbouring points of a sweep share net and data set, and so what is prepared of the data.
kept = functools.lru_cache(maxsize=1)(trained)


def _thesis_net(net: str, dataset: str, seed: int) -> tuple[nn.Module, ImageSet]:
    data = datasets.load(dataset)
    return trained_net(data, seed, activations=HIDDEN[net]).net.eval(), data


def _segmenter(net: str, dataset: str, seed: int, profile: str) -> tuple[nn.Module, SceneSet]:
    recipe = recipe_for(net, dataset, profile)
    data = _scenes(dataset, recipe.size)
    stored = checkpoints.name_of(net, data.name, seed)
    if stored in checkpoints.committed():
        return from_checkpoint(stored, data.classes).net, data
    return train_now(data, recipe, seed).net, data


@functools.lru_cache(maxsize=1)
def _scenes(name: str, size: tuple[int, int]) -> SceneSet:
    """Load a set of scenes once a process: to draw or decode them for every point would take as long as to train."""
    data = datasets.load_scenes(name, size)
    return replace(data, train=remember(data.train), validation=remember(data.validation), test=remember(data.test))
