"""Concepts: what single channels of a layer stand for, by concept relevance propagation (CRP) through zennit-crp.

LRP tells how much every pixel and channel contributes to a class; CRP tells it for what passes one channel.
Achtibat et al.: "From attribution maps to human-understandable explanations through Concept Relevance Propagation",
Nature Machine Intelligence 5, 2023.
"""

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from relcomp_kit.datasets.scene_set import Scenes
from relcomp_kit.datasets.scenes import Remembered, remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.relevance.crp_repairs import Attribution, Visualization, own_copy, start
from relcomp_kit.relevance.lrp.composites import composite


@dataclass(frozen=True)
class Reference:
    """An image that shows what a channel stands for: its index into the data, and the channel's score on it."""

    index: int
    score: float


@torch.enable_grad()
def concept_heatmaps(
    model: nn.Module,
    x: Tensor,
    layer: str,
    channels: Sequence[int],
    class_: int | None,
    *,
    rule: str = "epsilon",
    batch: int = 16,
) -> Tensor:
    """Return the relevance of the input for a class that flows through one channel of a layer at a time.

    Relevance starts at the class' positive logits where it is the predicted class. At the layer all channels but one
    are set to 0, and what takes another way around the layer (a skip connection) is left out. So all channels of a
    layer together give the whole heatmap, if the layer is one that all information passes, such as a whole block.

    Parameters
    ----------
    model : nn.Module
        In eval mode, left as it is; gives ``{"out": (N, classes, H, W)}``, or logits (N, classes[, H, W]).
    x : (N, 3, H, W)
        Normalised images.
    layer : str
        Name of a module that runs once in a pass and gives (N, channels, ...).
    channels : sequence of int
        The channels to look at, counted from 0.
    class_ : int or None
        None for the predicted class, whichever it is.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`.
    batch : int
        Pairs of image and channel that are computed together.

    Returns
    -------
    Tensor
        (len(channels), N, H, W), the sum over the colours, in units of the logits. An image in which the class is not
        predicted gets zeros.

    Raises
    ------
    UserError
        If the model is in train mode, there is no such layer or channel, or the class is predicted nowhere in x.
    """
    if batch < 1:
        raise UserError(f"a batch holds 1 pair of image and channel at least, not {batch}")
    attribution, rules, count = _begin(model, x, layer, class_, rule)
    channels = _check_channels(channels, count, layer)
    pairs = torch.cartesian_prod(torch.tensor(channels), torch.arange(len(x)))
    heatmaps = [
        attribution.heatmaps(x[part[:, 1].to(x.device)], layer, part[:, 0].tolist(), rules)
        for part in pairs.split(batch)
    ]
    return torch.cat(heatmaps).unflatten(0, (len(channels), len(x)))


@torch.enable_grad()
def channel_relevance(model: nn.Module, x: Tensor, layer: str, class_: int | None, *, rule: str = "epsilon") -> Tensor:
    """Return how much each channel of a layer speaks for a class (positive) or against it (negative).

    It is the channel's relevance at the layer, summed over positions. Under the epsilon rule a channel's conditional
    heatmap has the same sum in a net without biases. Else the biases up to the layer, batch-norm's among them, keep the
    difference: in a trained net most of it.

    Parameters
    ----------
    model : nn.Module
        In eval mode, left as it is; gives ``{"out": (N, classes, H, W)}``, or logits (N, classes[, H, W]).
    x : (N, 3, H, W)
        Normalised images.
    layer : str
        Name of a module that runs once in a pass and gives (N, channels, ...).
    class_ : int or None
        None for the predicted class, whichever it is.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`.

    Returns
    -------
    Tensor
        (N, channels), in units of the logits.

    Raises
    ------
    UserError
        If the model is in train mode, there is no such layer, or the class is predicted nowhere in x.
    """
    attribution, rules, _ = _begin(model, x, layer, class_, rule)
    relevance = attribution.layer_relevance(x, layer, rules)
    return relevance.reshape(*relevance.shape[:2], -1).sum(2)


@torch.enable_grad()
def reference_images(
    model: nn.Module,
    data: Scenes,
    layer: str,
    class_: int | None = None,
    *,
    by: str = "relevance",
    images: int = 8,
    folder: Path | None = None,
    batch: int = 8,
    rule: str = "epsilon",
    channels: Sequence[int] | None = None,
) -> dict[int, list[Reference]]:
    """Find the images that show best what each channel of a layer stands for: RelMax and ActMax.

    Parameters
    ----------
    model : nn.Module
        In eval mode, left as it is; gives ``{"out": (N, classes, H, W)}``, or logits (N, classes[, H, W]).
    data : Dataset
        Map-style, of (uint8 image, uint8 label) as in `relcomp_kit.datasets.scenes.SceneSet`; labels are not used.
    layer : str
        Name of a module that runs once in a pass and gives (N, channels, ...).
    class_ : int, optional
        Relevance is that for this class, and only images in which it is predicted somewhere are looked at, for either
        measure. By default relevance is that for the predicted class of every pixel, in all images.
    by : {"relevance", "activation"}
        The score of an image: the channel's relevance (RelMax) or its output (ActMax), either summed over positions, as
        zennit-crp does by default, not normalised. The output of a convolution is that after its batch-norm, because
        both are merged before rules are applied.
    images : int
        References per channel; fewer if fewer images qualify.
    folder : Path, optional
        Where zennit-crp writes its statistics; by default they are deleted at the end.
    batch : int
        Images that are computed together.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`.
    channels : sequence of int, optional
        By default all, which are computed in any case.

    Returns
    -------
    dict of int to list of Reference
        For every channel the references, the highest score first.

    Raises
    ------
    UserError
        As `concept_heatmaps`, or if there is no image or no such measure.
    """
    if by not in ("relevance", "activation"):
        raise UserError(f"there is no measure {by!r} for reference images: choose relevance or activation")
    if not len(data) or images < 1 or batch < 1:
        raise UserError(f"{images} references of {len(data)} images in batches of {batch}: each has to be 1 at least")
    net, rules, scenes = own_copy(model, layer), composite(rule), remember(data)
    candidates, count = _candidates(net, scenes, layer, class_, batch)
    channels = _check_channels(range(count) if channels is None else channels, count, layer)
    with nullcontext(make_folder(folder)) if folder else tempfile.TemporaryDirectory() as place:
        found = Visualization(Attribution(net, class_), Subset(scenes, candidates), layer, Path(place), images)
        indices, scores = found.ranking(rules, layer, by, batch)
    places = torch.tensor(candidates)[indices].T.tolist()  # of images in the data, by channel
    return {
        channel: [Reference(*pair) for pair in zip(places[channel], scores[:, channel].tolist())]
        for channel in channels
    }


def receptive_crop(image: Tensor, heatmap: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Cut the part of an image in which a heatmap has most of its mass.

    Of all windows inside the image it is the one with the largest sum of absolute relevance, weighted by a pyramid
    that is highest in the window's middle, so that the mass comes to lie in the middle where the border permits.

    Parameters
    ----------
    image, heatmap : (colours, H, W), (H, W)
        Without any mass in the heatmap the crop is the image's middle.
    size : int or (int, int)
        Height and width of the crop in pixels.

    Returns
    -------
    Tensor
        (colours, height, width), a copy.

    Raises
    ------
    UserError
        If the heatmap's size is not the image's, or the crop does not fit into the image.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if image.shape[1:] != heatmap.shape:
        raise UserError(f"the image is {tuple(image.shape[1:])} and its heatmap {tuple(heatmap.shape)}: take its own")
    if not (1 <= height <= image.shape[1] and 1 <= width <= image.shape[2]):
        raise UserError(f"no crop of {height}x{width} fits into an image of {image.shape[1]}x{image.shape[2]}")
    mass = heatmap.detach().abs().double()[None, None]
    if mass.any():
        for box in ((height // 2 + 1, width // 2 + 1), ((height + 1) // 2, (width + 1) // 2)):
            mass = nn.functional.avg_pool2d(mass, box, stride=1)  # two boxes, one after the other, are a pyramid
        top, left = divmod(mass.argmax().item(), mass.shape[-1])
    else:
        top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width].clone()


def _begin(model: nn.Module, x: Tensor, layer: str, class_: int | None, rule: str) -> tuple:
    """Return an Attribution, the rules for it, and the number of the layer's channels."""
    net, rules = own_copy(model, layer), composite(rule)
    logits, count = _look(net, x, layer, class_)
    if not start(logits, class_).any():
        name = "any class" if class_ is None else f"class {class_}"
        raise UserError(f"{name} is predicted nowhere in x with a positive logit: take other images, or another class")
    return Attribution(net, class_), rules, count


@torch.no_grad()
def _look(net: nn.Module, x: Tensor, layer: str, class_: int | None) -> tuple[Tensor, int]:
    """Return the logits of x and the number of a layer's channels; raise a `UserError` if the arguments do not fit."""
    if not (len(x) and x.is_floating_point()):
        raise UserError(f"x is {tuple(x.shape)} of {x.dtype}: give at least one image, normalised as the model expects")
    outputs = []
    handle = net.get_submodule(layer).register_forward_hook(lambda module, args, output: outputs.append(output))
    logits = net(x)
    handle.remove()
    if len(outputs) != 1:
        raise UserError(f"the layer {layer} runs {len(outputs)} times in a pass: take one that runs once")
    if not (isinstance(outputs[0], Tensor) and outputs[0].ndim >= 2):
        raise UserError(f"the layer {layer} has no channels, its output is no tensor (N, channels, ...): take another")
    if not isinstance(logits, Tensor):
        raise UserError('the model gives no logits: its output has to be a tensor, or a dict with one under "out"')
    if not logits.isfinite().all():
        raise UserError("the model's outputs are not all finite numbers: check its weights and x")
    if class_ is not None and not 0 <= class_ < logits.shape[1]:
        raise UserError(f"there is no class {class_}: the model knows 0 to {logits.shape[1] - 1}")
    return logits, outputs[0].shape[1]


def _check_channels(channels: Sequence[int], count: int, layer: str) -> list[int]:
    channels = [int(channel) for channel in channels]
    bad = [channel for channel in channels if not 0 <= channel < count]
    if bad or not channels:
        raise UserError(f"the layer {layer} has the channels 0 to {count - 1}, and asked for are {bad or 'none'}")
    return channels


def _candidates(net: nn.Module, data: Remembered, layer: str, class_: int | None, batch: int) -> tuple[list[int], int]:
    """Return the images in which the class is predicted somewhere, all for None, and the number of channels."""
    predicted, like = [], next(net.parameters())
    for images, _ in DataLoader(data, batch, collate_fn=stack):
        logits, count = _look(net, normalize(images).to(like), layer, class_)
        predicted.append(start(logits, class_).flatten(1).any(1) | (class_ is None))
    candidates = torch.cat(predicted).nonzero()[:, 0].tolist()
    if not candidates:
        raise UserError(f"class {class_} is predicted in none of the {len(data)} images: take others, or another class")
    return candidates, count
