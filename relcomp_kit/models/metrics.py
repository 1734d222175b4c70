"""How well a net segments: pixel accuracy, IoU per class and their mean, confusion of classes."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from relcomp_kit.datasets.scene_set import VOID, Scenes
from relcomp_kit.datasets.transforms import Scale, normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import autocast, choose_precision, device_of
from relcomp_kit.models.distributed import Group
from relcomp_kit.models.outputs import logits
from relcomp_kit.models.scene_batches import check_labels, stack


@torch.no_grad()
def evaluate(
    model: nn.Module,
    split: Scenes,
    classes: Sequence[str],
    *,
    batch: int = 16,
    precision: str = "fp32",
    group: Group | None = None,
    scale: Scale | None = None,
) -> dict:
    """Compare the classes that a net predicts with the true ones, on all pixels of a split that are not void.

    Parameters
    ----------
    model : nn.Module
        Gives logits (N, classes, H, W), alone or under "out"; it runs where its weights lie, in eval mode, and is left
        as it was.
    split : Dataset
        Has a length, and pairs of an image (3, H, W) and a label (H, W), both uint8, as in
        `relcomp_kit.datasets.scene_set.SceneSet`; all of one size, unless ``batch`` is 1.
    classes : sequence of str
        One name per output channel.
    batch : int
        Scenes that are computed together.
    precision : str
        "fp32", "bf16" (autocast) or "auto".
    group : Group, optional
        Processes that call this together: each takes its part of the split, and all get the result for the whole.
    scale : (tuple of float, tuple of float), optional
        Of the images; as in `relcomp_kit.datasets.transforms.normalize`.

    Returns
    -------
    dict
        As `scores` gives it.

    Raises
    ------
    UserError
        If the split is empty or holds no labelled pixel, a label is no class, or the net has other outputs.
    """
    if not len(split):
        raise UserError("there is no scene to evaluate on: the split is empty")
    device = device_of(model)
    precision = choose_precision(precision, device)
    confusion = torch.zeros(len(classes), len(classes), dtype=torch.int64, device=device)
    part = cast("Dataset", split)  # a data loader takes every data set that has a length and items
    if group:
        part = Subset(part, range(group.rank, len(split), group.size))
    was_training = model.training
    model.eval()
    try:
        for images, labels in DataLoader(part, batch, collate_fn=stack):
            check_labels(labels, len(classes))
            images = normalize(images.to(device), scale).contiguous(memory_format=torch.channels_last)
            with autocast(precision, device):
                output = logits(model(images))
            if output.shape[1] != len(classes):
                raise UserError(
                    f"the net has {output.shape[1]} outputs and the set {len(classes)} classes: "
                    "take a net trained on it"
                )
            # a pixel's logits side by side: the largest is found five times as fast
            predicted = output.contiguous(memory_format=torch.channels_last).argmax(1)
            confusion += _confusion(labels.to(device), predicted, len(classes))
    finally:
        model.train(was_training)
    return scores((group.total(confusion) if group else confusion).cpu(), classes)


def _confusion(labels: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Count pixels by true class (rows) and predicted class (columns); void does not count."""
    known = labels != VOID
    pairs = labels[known].long() * classes + predicted[known]
    return torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def scores(confusion: Tensor, classes: Sequence[str]) -> dict:
    """Return pixel accuracy, IoU per class and mIoU from a confusion matrix.

    Parameters
    ----------
    confusion : Tensor
        Counts of pixels by true class (rows) and predicted class (columns), (classes, classes), int64.
    classes : sequence of str
        Names of the classes, in the order of the rows.

    Returns
    -------
    dict
        ``pixel_accuracy``: share of the pixels that are predicted right. ``iou``: for every class the pixels that
        have it in truth and prediction, divided by those that have it in either; NaN for a class that is in neither.
        ``miou``: the mean over the classes whose IoU is a number. ``confusion``: the counts, int64.

    Raises
    ------
    UserError
        If there is no labelled pixel.
    """
    if not confusion.sum():
        raise UserError("there is no labelled pixel to evaluate on: check the labels")
    right = confusion.diagonal()
    iou = right / (confusion.sum(0) + confusion.sum(1) - right)  # 0 / 0 is NaN
    return {
        "pixel_accuracy": (right.sum() / confusion.sum()).item(),
        "miou": iou.nanmean().item(),
        "iou": dict(zip(classes, iou.tolist())),
        "confusion": confusion,
    }


def plain(iou: dict[str, float]) -> dict[str, float | None]:
    """Return IoUs as JSON holds them: None where a class does not occur, because JSON has no NaN."""
    return {name: None if math.isnan(value) else value for name, value in iou.items()}
