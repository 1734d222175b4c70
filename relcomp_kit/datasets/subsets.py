"""Some of the images of a part of a data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from relcomp_kit.datasets.images import Split


def evenly(count: int, most: int) -> list[int]:
    """Return indices that are spread evenly, the first and the last among them.

    Parameters
    ----------
    count : int
        How many there are.
    most : int
        How many are wanted; where there are fewer, all are returned.
    """
    return np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist()


def chosen(part: Any, indices: Sequence[int]) -> Any:
    """Return some images of a part, as a part of the same kind.

    Parameters
    ----------
    part : Split or Dataset
        Images with their classes, or scenes with those of their pixels.
    indices : sequence of int
        Which ones, in the new order.
    """
    if isinstance(part, Split):
        return Split(part.images[list(indices)], part.labels[list(indices)])
    return torch.utils.data.Subset(part, indices)
