"""Where the bytes of a file go."""

import math
from dataclasses import dataclass

from relcomp_kit.compression.nnc import bitstream
from relcomp_kit.compression.nnc.codec import MASKS, WEIGHT, Decoded

HEADER, NUMBERS, PATHS = "header and digest", "all other numbers", "masks of experts"


@dataclass(frozen=True)
class Row:
    """A part of a file: a tensor of weights, all masks, all other numbers, or the header.

    Parameters
    ----------
    name : str
        Of the tensor, or what the part is.
    shape : tuple of int or None
        None for what is no tensor.
    items : int
        How many numbers that is; 0 for the header.
    zeros : float or None
        Share of zeros, in [0, 1]; None for what is no tensor of weights.
    size : int
        Bytes in the file.
    share : float
        Of the file, in [0, 1].
    """

    name: str
    shape: tuple[int, ...] | None
    items: int
    zeros: float | None
    size: int
    share: float

    @property
    def bits(self) -> float:
        """Bits a number; NaN where there are none."""
        return 8 * self.size / self.items if self.items else math.nan


def table(data: bytes, decoded: Decoded) -> list[Row]:
    """Return the parts of a file and of what `decode` made of it; their bytes add up to the file's.

    Steps, biases, batch-norm and counters are compressed together and make one row.

    Parameters
    ----------
    data : bytes
        The whole file.
    decoded : Decoded
        As `decode` returns it.

    Returns
    -------
    list of Row
        One a tensor of weights, then all other numbers, and the header.

    Raises
    ------
    UserError
        If the bytes are no whole file.
    """
    header = bitstream.read(data, "the file")
    rows: list[tuple[str, tuple[int, ...] | None, int, float | None, int]] = []
    for entry in header.integers:
        if entry.name == MASKS:
            rows.append((PATHS, None, entry.items, None, entry.size))
        else:
            name = entry.name.removeprefix(WEIGHT)
            nonzero = int(decoded.quantized.indices[name].count_nonzero())
            zeros = 1 - nonzero / entry.items if entry.items else None
            rows.append((name, entry.shape, entry.items, zeros, entry.size))
    numbers = len(data) - header.length - sum(entry.size for entry in header.integers)
    rows.append((NUMBERS, None, sum(math.prod(entry.shape) for entry in header.numbers), None, numbers))
    rows.append((HEADER, None, 0, None, header.length))
    return [Row(*row, share=row[-1] / len(data)) for row in rows]
