"""The experiment "quantize": quantization-aware training of a trained net, by recipe and seed."""

import functools
from dataclasses import replace

from torch import nn

from relcomp_kit import datasets
from relcomp_kit.compression.ecqx.qat import VERSION, QatRecipe, measure
from relcomp_kit.datasets.download import NAMES
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.models import checkpoints
from relcomp_kit.studies.saliency import HIDDEN
from relcomp_kit.studies.segmentation.measurement import from_checkpoint, recipe_for, train_now
from relcomp_kit.studies.segmentation.training import provenance
from relcomp_kit.studies.thesis_net import trained_net

__all__ = ["VERSION", "quantize"]


def quantize(*, seed: int, net: str = "compact", dataset: str = "rail-scenes", **recipe: QatRecipe) -> dict:
    """Quantize a trained net, or take the result from the cache; return its scores in the test and its size.

    Parameters
    ----------
    seed : int
        Of the net, and of its quantization.
    net : str
        A size of DeepLabV3 for scenes: the committed checkpoint, or a net trained by the "full" recipe. For small
        images a key of `relcomp_kit.studies.saliency.HIDDEN` ("tanh", "ReLU"): the thesis' net, as published.
    dataset : str
        A set of scenes, or of small images.
    **recipe
        The fields of `relcomp_kit.compression.ecqx.recipe.QatRecipe`.
    """
    chosen = QatRecipe(**recipe)
    model, data = kept(net, dataset, seed)
    return measure(chosen, model, data, seed) | {"data": data.sha256, "made by": provenance()["commit"]}


def trained(net: str, dataset: str, seed: int, profile: str = "full") -> tuple[nn.Module, ImageSet | SceneSet]:
    """Return a trained net, in eval mode, and its data set.

    Parameters
    ----------
    net, dataset : str
        As in `quantize`.
    seed : int
        Of the net.
    profile : {"quick", "full"}
        On scenes: how large they are, and how long a net without a committed checkpoint is trained.
    """
    return _thesis_net(net, dataset, seed) if dataset in NAMES else _segmenter(net, dataset, seed, profile)


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
