"""Batches of scenes: stacked, checked, and for training a function of seed, step and position alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.transforms import training_transform
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net_training import Batches


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
    """Raise a `UserError` if a label is neither a class nor void: on a GPU such a label would end the program."""
    bad = labels[(labels >= classes) & (labels != VOID)]
    if len(bad):
        raise UserError(
            f"the scenes hold the label {int(bad[0])}, and the classes are 0 to {classes - 1}, or {VOID} for none: "
            "correct the labels, or name all classes"
        )


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
        As in `relcomp_kit.datasets.scenes.SceneSet`.
    recipe : relcomp_kit.models.segmentation_training.Recipe
    classes, seed : int
    rank, processes : int
        Which of how many processes asks; the batch is a multiple of them.
    """

    def __init__(self, split: Dataset, recipe, classes: int, seed: int, rank: int = 0, processes: int = 1):
        self.split, self.classes, self.seed = split, classes, seed
        self.rank, self.processes = rank, processes
        self.chosen = Batches(len(split), seed, recipe.batch)
        self.augment = training_transform(recipe.size) if recipe.augment else None

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        indices = self.chosen[step].tolist()
        images, labels = stack(
            [
                self._scene(indices[position], step, position)
                for position in range(self.rank, len(indices), self.processes)
            ]
        )
        check_labels(labels, self.classes)
        return images, labels

    def _scene(self, index: int, step: int, position: int) -> tuple[Tensor, Tensor]:
        image, label = self.split[index]
        return self.augment(image, label, draw(self.seed, step, position)) if self.augment else (image, label)
