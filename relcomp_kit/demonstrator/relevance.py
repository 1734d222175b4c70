"""What is asked of relevance: filters per class, a heatmap, and what a channel stands for.

Relevance of filters takes a minute or more to measure, so that of the committed nets is committed too, under
``data/relevance``; `record` writes it anew. That of other nets stays in the cache.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from relcomp_kit.artifacts import load_or_make, read_artifact, write_artifact
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import load_scenes, remember
from relcomp_kit.datasets.subsets import evenly
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.demonstrator import nets, scenes
from relcomp_kit.demonstrator.work import Followed, steps
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout
from relcomp_kit.models import checkpoints
from relcomp_kit.relevance import lrp
from relcomp_kit.relevance.concepts import concept_heatmaps, receptive_crop, reference_images
from relcomp_kit.studies.relevance.measurement import batches

VERSION = 1  # of what `measure` returns
SCENES = 16  # that relevance of filters is measured on
REFERENCE_SCENES, REFERENCES = 48, 5  # where a channel is looked for, and how often it is shown
Filters = dict[str, Tensor]


@functools.lru_cache(maxsize=3)
def per_class(net: nets.SuperNet) -> dict[str, Filters]:
    """Return the relevance of every filter for each class, layer to (filters,); committed, cached, or measured now.

    A class that occurs in none of the 16 training scenes has none.

    Raises
    ------
    UserError
        If the net's training scenes are unknown, or not on this machine.
    """
    stored = _committed(net)
    tensors = stored if stored is not None else _from_cache(net)
    found: dict[str, Filters] = {}
    for key, value in tensors.items():
        number, _, layer = key.partition(":")
        found.setdefault(net.classes[int(number)], {})[layer] = value.float()
    return found


def _committed(net: nets.SuperNet) -> dict[str, Tensor] | None:
    listed = checkpoints.committed().get(net.name)
    file = _file(net.name) if listed else None
    if file is None or not file.is_file():
        return None
    tensors, info = read_artifact(file)
    current = info.get("checkpoint") == listed["sha256"] and info.get("version") == VERSION
    return tensors if current else None


def _from_cache(net: nets.SuperNet) -> dict[str, Tensor]:
    data = training_data(net)
    config = {"net": net.identity, "scenes": SCENES, "size": list(net.size)}
    tensors, _ = load_or_make("filters", VERSION, config, data.sha256, lambda partial: (measure(net, data), {}))
    return tensors


def training_data(net: nets.SuperNet) -> SceneSet:
    """Return the scenes that a net was trained on."""
    if net.dataset is None:
        raise UserError(
            f"{net.name} does not say which scenes it was trained on: choose magnitude, random or stored paths, and 0 "
            "test scenes"
        )
    data = load_scenes(net.dataset, net.size)
    if data.classes != net.classes:
        raise UserError(f"{net.name} has other classes than {net.dataset}: choose magnitude, random or stored paths")
    return data


def measure(net: nets.SuperNet, data: SceneSet) -> dict[str, Tensor]:
    """Return "class:layer" to the relevance of the layer's filters, (filters,), on scenes spread over the training set.

    In bfloat16: on so few scenes nobody knows it more exactly.

    Parameters
    ----------
    net : SuperNet
        Only layers whose filters can be removed are returned.
    data : SceneSet
        The scenes that it was trained on; classes that the chosen ones lack are left out.
    """
    images = batches(Subset(data.train, evenly(len(data.train), SCENES)), SCENES, size=4)
    seen = sorted({int(one) for _, labels in images for one in labels.unique() if one < len(net.classes)})
    found = lrp.weight_relevance_per_class(net.net, steps(images, "relevance of filters: batch"), seen, normalize=True)
    return {
        f"{number}:{layer}": value.bfloat16()
        for number, weights in found.items()
        for layer, value in lrp.filter_relevance(weights).items()
        if layer in net.widths
    }


def record(name: str) -> Path:
    """Write the relevance of a committed net to the committed files, from the cache or measured now."""
    net = nets.load(name)
    info = {"checkpoint": checkpoints.committed()[name]["sha256"], "version": VERSION, "scenes": SCENES}
    return write_artifact(_file(name), _from_cache(net), info)


def _file(name: str) -> Path:
    return checkout() / "data" / "relevance" / f"{name}.safetensors"


@functools.lru_cache(maxsize=32)
def heat(net: nets.SuperNet, scene: str, class_: int) -> Tensor:
    """Return the relevance of every pixel of a scene, (height, width), for a class where the super-net predicts it."""
    x = normalize(scenes.load(scene, net.size).image[None])
    return lrp.heatmap(net.net, x, class_=class_, start="predicted").sum(1)[0].detach()


@dataclass(frozen=True, eq=False)
class Example:
    """A scene in which a channel is most relevant: image, relevance of its pixels through the channel, and a crop."""

    image: Tensor
    heat: Tensor
    crop: Tensor


@functools.lru_cache(maxsize=16)
def references(net: nets.SuperNet, layer: str, channel: int, class_: int | None) -> tuple[Example, ...]:
    """Return the scenes in which a channel is most relevant (RelMax), the best first; `REFERENCES` at most.

    Parameters
    ----------
    net : SuperNet
        Its training scenes have to be on this machine: the validation split of their set is looked through.
    layer : str
        The channel's layer.
    channel : int
        Its number, counted from 0.
    class_ : int, optional
        For a class, where it is predicted; by default for whatever is predicted.
    """
    split = _reference_scenes(net)
    best = reference_images(net.net, Followed(split, "scene"), layer, class_, images=REFERENCES, channels=[channel])[
        channel
    ]
    images = [split[one.index][0].as_subclass(Tensor) for one in steps(best, "image")]
    heats = concept_heatmaps(net.net, normalize(torch.stack(images)), layer, [channel], class_)[0]
    side = min(net.size) // 2
    return tuple(Example(*pair, receptive_crop(*pair, side)) for pair in zip(images, heats))


@functools.lru_cache(maxsize=1)
def _reference_scenes(net: nets.SuperNet) -> Dataset:
    """Return scenes that are spread over the validation split."""
    split = training_data(net).validation
    return remember(Subset(split, evenly(len(split), REFERENCE_SCENES)))
