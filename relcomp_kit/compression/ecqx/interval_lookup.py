"""In which interval a number lies: `torch.bucketize`, with a table in front that answers for most numbers."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.compression.ecqx.centroids import count_up_to

CELLS = 256  # for each border: so few numbers share a cell with one that bisecting them does not count
FEWEST = 2**14  # numbers for which a table is worth its making
UNSURE = torch.iinfo(torch.int16).max


@dataclass(frozen=True, eq=False)
class Lookup:
    """Sorted borders and a label for each interval between them; a number on a border lies in the interval below.

    `torch.bucketize` searches by bisection, and a processor predicts half of its branches wrong. Here a number's place
    on a fine, even grid is the row of a table that holds its label. Cells of the grid that hold a border say "unsure",
    and their numbers, few, are bisected. The result is the same in every case: a cell's number is computed by
    subtraction, product and truncation, each of which keeps numbers in order however it rounds, so a number whose cell
    lies below a border's lies below the border.

    Attributes
    ----------
    borders : (n,)
        Sorted, float32 or float64: numbers to be looked up have this type.
    labels : (n + 1,)
        int16.
    table : (cells,), optional
        int16; without it all numbers are bisected.
    start, scale : float
        A number's cell is (number - start) * scale.
    """

    borders: Tensor
    labels: Tensor
    table: Tensor | None = None
    start: float = 0.0
    scale: float = 0.0

    def __call__(self, numbers: Tensor) -> Tensor:
        """Return the labels of numbers (n,), int16."""
        if self.table is None:
            return self._bisected(numbers)
        found = self.table.index_select(0, _cells(numbers, self.start, self.scale, len(self.table)))
        unsure = torch.from_numpy(np.flatnonzero(found.numpy() == UNSURE))  # a seventh of the time of torch's own
        found[unsure] = self._bisected(numbers[unsure])
        return found

    def count(self, numbers: Tensor, label: int) -> int:
        """Return how many numbers have a label: two comparisons each."""
        for place in (self.labels == label).nonzero().flatten().tolist():  # none or one
            below = count_up_to(numbers, self.borders[place - 1].item()) if place else 0
            upper = self.borders[place].item() if place < len(self.borders) else np.inf
            return count_up_to(numbers, upper) - below
        return 0

    def _bisected(self, numbers: Tensor) -> Tensor:
        return self.labels.index_select(0, torch.bucketize(numbers, self.borders, out_int32=True))


def make_lookup(borders: Tensor, labels: Tensor, count: int) -> Lookup:
    """Return a `Lookup`, with a table if the numbers are on a processor and many.

    Other devices bisect without loss, and so does a grid so small or large that its numbers leave the type's range.

    Parameters
    ----------
    borders : Tensor
        (n,), sorted, float32 or float64.
    labels : Tensor
        (n + 1,), whole numbers that int16 can hold.
    count : int
        How many numbers will be looked up.
    """
    labels = labels.to(torch.int16)
    if borders.device.type != "cpu" or count < FEWEST or len(borders) < 2:
        return Lookup(borders, labels)
    start, end = borders[0].item(), borders[-1].item()
    cells = CELLS * len(borders)
    if not cells / torch.finfo(borders.dtype).max < end - start < np.inf:
        return Lookup(borders, labels)
    scale = (cells - 1) / (end - start)
    held = torch.bincount(_cells(borders, start, scale, cells), minlength=cells)
    table = labels[held.cumsum(0)].masked_fill_(held > 0, UNSURE)
    return Lookup(borders, labels, table, start, scale)


def _cells(numbers: Tensor, start: float, scale: float, cells: int) -> Tensor:
    return (numbers - start).mul_(scale).clamp_(0, cells - 1).to(torch.int32)
