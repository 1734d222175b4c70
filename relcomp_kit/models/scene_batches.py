"""Batches of scenes: stacked, checked, and for training a function of seed, step and position alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torch.utils.data import Dataset

from relcomp_kit.datasets.scene_set import VOID, Scenes
from relcomp_kit.datasets.transforms import training_transform
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net_training import Batches
from relcomp_kit.models.recipe import Recipe


def stack(scenes: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return scenes of one size as images (N, 3, H, W) and labels (N, H, W), both uint8."""
    shapes = {tuple(label.shape) for _, label in scenes}
    if len(shapes) > 1:
        listed = " and ".join(f"{height}x{width}" for height, width in sorted(shapes))
        raise UserError(f"scenes of {listed} cannot share a batch: load the set with a size, or evaluate with batch 1")
    images, labels = zip(*scenes)
    return torch.stack([image.as_subclass(Tensor) for image in images]), torch.stack(
        [label.as_subclass(Tensor) for label in labels]
    )


def check_labels(labels: Tensor, classes: int) -> None:
    """Check that every label is a class or void: on a GPU any other label would end the program.

    Parameters
    ----------
    labels : Tensor
        Labels of any shape, uint8.
    classes : int
        How many classes there are: labels from 0 to ``classes - 1`` and `VOID` are right.

    Raises
    ------
    UserError
        If a label is neither a class nor void.
    """
    bad = labels[(labels >= classes) & (labels != VOID)]
    if len(bad):
        raise UserError(
            f"the scenes hold the label {int(bad[0])}, and the classes are 0 to {classes - 1}, or {VOID} for none: "
            "correct the labels, or name all classes"
        )


def halved(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return scenes of half the height and width: the mean of four pixels, the label of the first of them.

    Parameters
    ----------
    images : Tensor
        (N, 3, H, W), uint8.
    labels : Tensor
        (N, H, W), uint8.
    """
    height, width = (side // 2 * 2 for side in labels.shape[1:])
    smaller = avg_pool2d(images[..., :height, :width].float(), 2).round().to(images.dtype)
    return smaller, labels[:, :height:2, :width:2]


def draw(*numbers: int) -> int:
    """Return a seed that depends on all numbers, so that neighbouring ones have nothing in common."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint32)[0])


class TrainingBatches(Dataset):
    """Training batches by step number; one process sees the positions that are its own.

    Which scenes are in a batch depends on (seed, step), and how a scene is augmented on (seed, step, position): a run
    that resumes, or is shared by several processes, sees the same images.

    Parameters
    ----------
    split : Dataset
        Has a length, and pairs of an image (3, H, W) and a label (H, W), both uint8, as in
        `relcomp_kit.datasets.scene_set.SceneSet`.
    recipe : relcomp_kit.models.recipe.Recipe
        Its ``batch``, ``size``, ``augment`` and ``half_size_steps`` are used.
    classes : int
        How many classes there are; a label that is neither one of them nor void raises a `UserError`.
    seed : int
        Decides the order of the scenes and the augmentation.
    rank : int
        Number of the process that asks, 0 being the first.
    processes : int
        How many processes share a batch; the batch size is a multiple of it.
    """

    def __init__(self, split: Scenes, recipe: Recipe, classes: int, seed: int, rank: int = 0, processes: int = 1):
        self.split, self.classes, self.seed = split, classes, seed
        self.rank, self.processes = rank, processes
        self.chosen = Batches(len(split), seed, recipe.batch)
        self.augment = training_transform(recipe.size) if recipe.augment else None
        self.half_size_steps = recipe.half_size_steps

    @property
    def at_hand(self) -> bool:
        """Whether a batch costs nothing but copies, so that no other process need prepare it."""
        return self.augment is None and getattr(self.split, "at_hand", False)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        indices = self.chosen[step].tolist()
        images, labels = stack(
            [
                self._scene(indices[position], step, position)
                for position in range(self.rank, len(indices), self.processes)
            ]
        )
        check_labels(labels, self.classes)
        return halved(images, labels) if step < self.half_size_steps else (images, labels)

    def _scene(self, index: int, step: int, position: int) -> tuple[Tensor, Tensor]:
        image, label = self.split[index]
        return self.augment(image, label, draw(self.seed, step, position)) if self.augment else (image, label)
