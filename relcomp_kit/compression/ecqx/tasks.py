"""What a net is trained for: batches, loss and scores, of images with labels and of scenes."""

import functools
from typing import Any

import torch
from torch import Tensor, nn

from relcomp_kit.compression.ecqx.recipe import QatRecipe
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.datasets.transforms import crop_and_mirror, normalize, standardize
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import autocast, choose_device, device_of
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.models.masked_net_training import Batches, Samples, accuracy, one_hot_others_cold, prepare
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.outputs import logits
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.models.scene_batches import TrainingBatches, draw
from relcomp_kit.models.segmentation_training import class_weights

Batch = tuple[Tensor, Tensor]
PIECE = 500 * 32 * 32  # pixels of the images that are scored together: 500 of CIFAR-10


class Images:
    """Small images for a fully connected net, which stays on the CPU: a GPU would wait for it.

    A `MaskedNet` is trained as in `relcomp_kit.models.masked_net_training`, by the squared error to "one
    hot, others cold"; any other net by cross entropy of its logits.

    Parameters
    ----------
    net : nn.Module
        Takes images in rows, (images, pixels).
    recipe : QatRecipe
        Its ``batch``, ``noise`` and ``signed`` count.
    data : ImageSet
        The images and their classes.
    seed : int
        Decides noise and the order of the images.

    Raises
    ------
    UserError
        If the net does not take the images, or there are none.
    """

    chosen_by, precision = "accuracy", "fp32"

    def __init__(self, net: nn.Module, recipe: QatRecipe, data: ImageSet, seed: int):
        self.device, self.classes, self.size = torch.device("cpu"), len(data.classes), data.train.images.shape[2:]
        takes, pixels = tuple(next(net.parameters()).shape[1:]), self.size.numel()
        if takes != (pixels,):
            raise UserError(
                f"the images of {data.name} have {pixels} pixels and the net takes {'x'.join(map(str, takes))}: "
                "take a fully connected net that was trained on this set"
            )
        train, validation, test = _prepared(data, seed, recipe.noise, recipe.signed)
        self.train, self.splits = train, {"validation": validation, "test": test}
        self.batches = Batches(len(train), seed, recipe.batch)

    def batch(self, step: int) -> Batch:
        """Return the inputs and classes of a training batch."""
        chosen = self.batches[step]
        return self.train.x[chosen], self.train.labels[chosen]

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the loss on a batch."""
        x, labels = batch
        output = _checked(net(x), self.classes)
        if not isinstance(net, MaskedNet):
            return nn.functional.cross_entropy(output, labels)
        kept = net.layers[-1].output_mask
        error = (output - one_hot_others_cold(labels, self.classes)) * kept
        return error.square().sum() / (len(x) * kept.sum())

    def scores(self, net: nn.Module, split: str) -> dict[str, float]:
        """Return how well a net does on the validation or the test split."""
        return {"accuracy": accuracy(net, self.splits[split])}


class Pictures:
    """Images of 8 bit with labels, for any net that takes them: cross entropy of its logits.

    Where an image has several labels, the loss is the binary cross entropy, and the score the mean average precision.

    Parameters
    ----------
    net : nn.Module
        Takes (N, C, H, W), gives logits (N, classes).
    recipe : QatRecipe
        Its ``batch``, ``precision`` and ``augment`` count; resolved. With ``augment`` colour images are shifted by up
        to 4 pixels and mirrored, log-mel pictures shifted in time by as much as 40 ms.
    data : ImageSet
        Images uint8, of `relcomp_kit.datasets.labelled`.
    seed : int
        Decides the order of the images and their change.
    """

    def __init__(self, net: nn.Module, recipe: QatRecipe, data: ImageSet, seed: int):
        self.device, self.precision, self.augment, self.seed = choose_device(), recipe.precision, recipe.augment, seed
        self.classes, self.size = len(data.classes), data.train.images.shape[2:]
        self.several = data.train.labels.ndim == 2
        self.chosen_by = "mean_average_precision" if self.several else "accuracy"
        self.scale = data.scale
        self.train, self.splits = data.train, {"validation": data.validation, "test": data.test}
        self.batches = Batches(len(data.train.labels), seed, recipe.batch)

    def batch(self, step: int) -> Batch:
        """Return the inputs and labels of a training batch."""
        chosen = self.batches[step]
        images = self.train.images[chosen]
        if self.augment:
            images = crop_and_mirror(images, draw(self.seed, step, 3), mirror=images.shape[1] == 3)
        return self._input(images), self.train.labels[chosen].to(self.device)

    def _input(self, images: Tensor) -> Tensor:
        return standardize(images.to(self.device), self.scale).contiguous(memory_format=torch.channels_last)

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the loss on a batch."""
        x, labels = batch
        output = self._logits(net, x)
        if self.several:
            return nn.functional.binary_cross_entropy_with_logits(output, labels.float())
        return nn.functional.cross_entropy(output, labels)

    def _logits(self, net: nn.Module, x: Tensor) -> Tensor:
        with autocast(self.precision, self.device):
            return _checked(logits(net(x.to(device_of(net)))), self.classes).float()

    @torch.no_grad()
    def scores(self, net: nn.Module, split: str) -> dict[str, float]:
        """Return how well a net does on the validation or the test split."""
        chosen = self.splits[split]
        pieces = chosen.images.split(max(10, PIECE // self.size.numel()))
        output = torch.cat([self._logits(net, self._input(piece)).cpu() for piece in pieces])
        if self.several:
            from torchmetrics.functional.classification import multilabel_average_precision  # takes a second

            return {self.chosen_by: multilabel_average_precision(output, chosen.labels.long(), self.classes).item()}
        return {self.chosen_by: (output.argmax(1) == chosen.labels).double().mean().item()}


class Scenes:
    """Scenes for a net that segments, trained by cross entropy on all pixels that are not void.

    Parameters
    ----------
    net : nn.Module
        Not looked at here; `loss` refuses one with another number of classes.
    recipe : QatRecipe
        Its ``steps``, ``batch``, ``precision``, ``class_weights`` and ``augment`` count; resolved.
    data : SceneSet
        The scenes, (3, H, W), and the class of each pixel.
    seed : int
        Decides the order of the scenes and their augmentation.

    Raises
    ------
    UserError
        If a batch would hold less than two scenes.
    """

    chosen_by = "pixel_accuracy"

    def __init__(self, net: nn.Module, recipe: QatRecipe, data: SceneSet, seed: int):
        if min(recipe.batch, len(data.train)) < 2:
            raise UserError(
                f"{recipe.batch} of {len(data.train)} training scenes make no batch: "
                "take 2 at least, which batch-norm needs"
            )
        height, width = data.train[0][1].shape
        self.device, self.classes, self.size = choose_device(), data.classes, (height, width)
        self.precision, self.batch_size = recipe.precision, recipe.batch
        weights, augment = recipe.class_weights, recipe.augment
        self.recipe = Recipe(
            "any", data.name, self.size, recipe.steps, recipe.batch, class_weights=weights, augment=augment
        )
        self.data = data
        self.batches = TrainingBatches(remember(data.train), self.recipe, len(data.classes), seed)
        self.splits = {"validation": remember(data.validation), "test": data.test}

    @functools.cached_property
    def weights(self) -> Tensor | None:
        """The weight of a pixel of each class; counted when it is needed, because that takes seconds."""
        weights = class_weights(self.recipe, self.data)
        return None if weights is None else weights.to(self.device)

    def batch(self, step: int) -> Batch:
        """Return the inputs and classes (255: void) of a training batch."""
        images, labels = (part.to(self.device) for part in self.batches[step])
        images = normalize(images, self.data.scale)
        return images.contiguous(memory_format=torch.channels_last), labels.long()

    def loss(self, net: nn.Module, batch: Batch) -> Tensor:
        """Return the loss on a batch."""
        x, labels = batch
        with autocast(self.precision, self.device):
            output = _checked(logits(net(x)), len(self.classes)).float()
        return nn.functional.cross_entropy(output, labels, self.weights, ignore_index=VOID)

    def scores(self, net: nn.Module, split: str) -> dict[str, float]:
        """Return how well a net does on the validation or the test split."""
        how: dict[str, Any] = {"batch": self.batch_size, "precision": self.precision, "scale": self.data.scale}
        found = evaluate(net, self.splits[split], self.classes, **how)
        return {"pixel_accuracy": found["pixel_accuracy"], "miou": found["miou"]}


def task_of(net: nn.Module, recipe: QatRecipe, data: ImageSet | SceneSet, seed: int) -> Images | Pictures | Scenes:
    """Return what a net is trained for on a data set.

    Parameters
    ----------
    net : nn.Module
        Segments scenes, takes small images in rows, or larger ones as they are.
    recipe : QatRecipe
        The settings, resolved.
    data : ImageSet or SceneSet
        Its kind decides the task.
    seed : int
        Decides noise, augmentation and the order of the images; 0 or more.

    Raises
    ------
    UserError
        If the seed is below 0, or net, recipe and data do not fit together.
    """
    if seed < 0:
        raise UserError(f"seed {seed} is below 0: take 0 or a higher number")
    if isinstance(data, SceneSet):
        return Scenes(net, recipe, data, seed)
    if data.train.images.dtype == torch.uint8:
        return Pictures(net, recipe, data, seed)
    return Images(net, recipe, data, seed)


@functools.lru_cache(maxsize=1)
def _prepared(data: ImageSet, seed: int, noise: bool, signed: bool) -> tuple[Samples, Samples, Samples]:
    """Draw the noise of all three splits; kept, since neighbouring points of a sweep share data set and seed."""
    splits = (data.train, data.validation, data.test)
    train, validation, test = (prepare(split, seed * 10 + i, noise, signed) for i, split in enumerate(splits))
    return train, validation, test


def _checked(output: Tensor, classes: int) -> Tensor:
    if output.shape[1] != classes:
        raise UserError(
            f"the net has {output.shape[1]} outputs and the set {classes} classes: take a net trained on it"
        )
    return output
