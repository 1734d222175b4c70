"""What lesson 04 shows on single scenes and digits: whom it asks, heatmaps, crops of what a channel stands for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from relcomp_kit.datasets import folders
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance import lrp, saliency
from relcomp_kit.relevance.concepts import concept_heatmaps, receptive_crop, reference_images
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.segmentation.measurement import (
    Segmenter,
    firsts,
    from_checkpoint,
    predict,
    recipe_for,
    train_now,
)

FEWEST_PIXELS = 30  # of a class, or a picture of it shows nothing


def nets(data: SceneSet, profile: str) -> list[Segmenter]:
    """Return the nets of lesson 04: committed checkpoints where there are some, or nets trained by the profile.

    They are "compact", but for the published sets in "full": there the published ResNet-101.

    Parameters
    ----------
    data : SceneSet
        The scenes that they are for.
    profile : {"quick", "full"}
        It says which sizes and seeds.
    """
    published = get_profile(profile).segmentation.seeds.get(data.name, {})
    size = "compact" if "compact" in published or not published else next(iter(published))
    made = []
    for seed in get_profile(profile).relevance.seeds:
        stored = checkpoints.name_of(size, data.name, seed)
        if stored in checkpoints.committed():
            made.append(from_checkpoint(stored, data.classes))
        else:
            made.append(train_now(data, recipe_for(size, data.name, profile), seed))
    return made


def rare_classes(net: nn.Module, data: SceneSet, classes: int = 2, scenes: int = 40) -> dict[int, list[int]]:
    """Return the rarest classes that a net predicts in some of the first test scenes: class to indices of those.

    The scenes with most predicted pixels of a class come first.

    Parameters
    ----------
    net : nn.Module
        The net that predicts.
    data : SceneSet
        Its scenes.
    classes : int
        How many classes, at most; each is predicted in two of these scenes at least.
    scenes : int
        How many of the first test scenes are looked at.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    for index in range(min(scenes, len(data.test))):
        counts = torch.bincount(predict(net, data.test[index][0]).flatten(), minlength=len(data.classes))
        for class_ in (counts >= FEWEST_PIXELS).nonzero()[:, 0].tolist():
            found.setdefault(class_, []).append((int(counts[class_]), index))
    seldom = sorted((one for one in found if len(found[one]) > 1), key=lambda one: sum(n for n, _ in found[one]))
    return {class_: [index for _, index in sorted(found[class_], reverse=True)] for class_ in seldom[:classes]}


@dataclass(frozen=True, eq=False)
class RealFrames:
    """Test frames (3, height, width), uint8, with most pixels of a class to a net, and where."""

    net: nn.Module
    class_: int
    images: list[Tensor]
    predicted: list[Tensor]

    def heatmaps(self, rule: str) -> list[Tensor]:
        """Return the relevance of every pixel (height, width) of each frame for the class."""
        return [heat(self.net, image, self.class_, rule=rule) for image in self.images]


def real_frames(name: str, class_: str, count: int) -> RealFrames | None:
    """Return test frames for a net of real scenes; None where this machine has no such frames.

    Parameters
    ----------
    name : str
        Of a committed net.
    class_ : str
        The class that it is asked for.
    count : int
        How many frames at most, the one with most pixels that are predicted to be of the class first.
    """
    segmenter = from_checkpoint(name)
    try:
        folders.find(segmenter.recipe.dataset)
    except UserError:
        return None
    data = load_scenes(segmenter.recipe.dataset, segmenter.recipe.size)
    number, frames = data.classes.index(class_), [image for image, _ in data.test]
    masks = [predict(segmenter.net, image) == number for image in frames]
    best = sorted(range(len(frames)), key=lambda index: -int(masks[index].sum()))[:count]
    return RealFrames(segmenter.net, number, [frames[i] for i in best], [masks[i] for i in best])


def as_input(images: Sequence[Tensor]) -> Tensor:
    """Return uint8 images as one batch of a net's input, where nets are."""
    return normalize(torch.stack([image.as_subclass(Tensor) for image in images]).to(choose_device()))


def heat(net: nn.Module, image: Tensor, class_: int, **how) -> Tensor:
    """Return the relevance of every pixel (height, width) of one uint8 image for a class, where it is predicted.

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    image : (3, height, width), uint8
        The image.
    class_ : int
        Index of the class.
    **how
        As in `relcomp_kit.relevance.lrp.heatmap`.
    """
    return lrp.heatmap(net, as_input([image]), class_=class_, **how).sum(1)[0]


def kept(found: dict[str, lrp.Conservation]) -> dict[str, tuple[float, float]]:
    """Return at every cut the relevance of all values, and what biases behind it have kept, as shares of the start."""
    return {cut: (float((one.relevance / one.start).mean()), one.bias_share) for cut, one in found.items()}


def reference_crops(
    net: nn.Module, split: Dataset, layer: str, class_: int, channels: Sequence[int], scenes: int, crops: int = 4
) -> dict[str, list[list[Tensor]]]:
    """Return crops of what channels stand for: kind to a list of crops a channel.

    RelMax: from the scenes in which a channel is most relevant for the class, where the relevance that passes the
    channel has most of its mass. ActMax: from those in which it is most active, whatever they hold, where it is so.

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    split : Dataset
        Scenes to look through.
    layer : str
        The layer of the channels.
    class_ : int
        Index of the class.
    channels : sequence of int
        Their numbers in the layer.
    scenes : int
        How many of the first scenes are looked through.
    crops : int
        Of each channel, at most.
    """
    some = firsts(split, scenes)
    relevant = reference_images(net, some, layer, class_, by="relevance", images=crops, channels=channels)
    active = reference_images(net, some, layer, by="activation", images=crops, channels=channels)
    relmax, actmax = [], []
    for channel in channels:
        shown = [some[one.index][0] for one in relevant[channel]]
        maps = [concept_heatmaps(net, as_input([image]), layer, [channel], class_)[0, 0] for image in shown]
        relmax.append([_crop(image, one) for image, one in zip(shown, maps)])
        shown = [some[one.index][0] for one in active[channel]]
        actmax.append([_crop(image, _activation(net, image, layer, channel)) for image in shown])
    return {"RelMax": relmax, "ActMax": actmax}


@torch.no_grad()
def _activation(net: nn.Module, image: Tensor, layer: str, channel: int) -> Tensor:
    """Return a channel's output, enlarged to the image's size."""
    seen: list[Tensor] = []
    handle = net.get_submodule(layer).register_forward_hook(lambda module, args, output: seen.append(output))
    try:
        net(as_input([image]))
    finally:
        handle.remove()
    found = seen[0][:, channel : channel + 1]
    return nn.functional.interpolate(found, image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]


def _crop(image: Tensor, heatmap: Tensor) -> Tensor:
    return receptive_crop(image.as_subclass(Tensor), heatmap, min(40, *heatmap.shape))


def _lrp_map(net: MaskedNet, x: Tensor, labels: Tensor) -> Tensor:
    return lrp.heatmap(net, x, labels, start="true")


def _taylor_map(net: MaskedNet, x: Tensor, labels: Tensor) -> Tensor:
    return saliency.impact_map(net, x, labels, "pruning")


def _unsigned_map(net: MaskedNet, x: Tensor, labels: Tensor) -> Tensor:
    return _taylor_map(net, x, labels).abs()


DIGIT_MAPS = {"LRP-ε": _lrp_map, "gradient × input": _taylor_map, "|gradient × input|": _unsigned_map}


def digit_maps(net: MaskedNet, x: Tensor, labels: Tensor, seed: int) -> dict[str, Tensor]:
    """Return maps of what speaks for the true class, (images, pixels) each, with a random one as the control.

    Parameters
    ----------
    net : MaskedNet
        The thesis' net.
    x : (images, pixels)
        Its input.
    labels : (images,)
        The true classes.
    seed : int
        Of the random map.
    """
    maps = {name: explain(net, x, labels) for name, explain in DIGIT_MAPS.items()}
    return maps | {"random": torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))}


def steps_for(x: Tensor, most: int = 28) -> int:
    """Return the largest number of equal steps in which all inputs can be flipped.

    Parameters
    ----------
    x : (images, inputs)
        Only the number of inputs counts.
    most : int
        The largest number to return.
    """
    return max(steps for steps in range(1, most + 1) if x.shape[1] % steps == 0)
