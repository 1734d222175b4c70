"""Random numbers and noise that are the same on every machine.

Only PCG64's raw bits are used, which NumPy promises to keep, and only arithmetic that IEEE 754 rounds exactly
(+, -, *, /): no sine, no power, no sum whose order a machine may choose.
"""

import numpy as np

TILE = 256  # side of the noise tiles, which repeat without a seam


class Dice:
    """Draws decided by a seed alone; every call takes the next one."""

    def __init__(self, seed: int):
        self._bits = np.random.PCG64(seed)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def integer(self, count: int) -> int:
        """Return an integer from 0 to ``count - 1``."""
        return int(self.uniform(0, count))

    def chance(self, share: float) -> bool:
        """Return True in this share of the calls."""
        return self.uniform() < share

    def choice(self, weights: dict):
        """Return a key of ``weights``, in proportion to its value."""
        total = 0.0
        for weight in weights.values():  # in this order; Python's own sum rounds differently from version to version
            total += weight
        point = self.uniform() * total
        options = list(weights)
        for option in options:
            point -= weights[option]
            if point < 0:
                return option
        return options[-1]

    def colour(self, base: tuple[float, float, float], jitter: float = 0.12) -> tuple[float, ...]:
        """Return a colour near another: its brightness and every channel vary by up to ``jitter`` of the value."""
        light = self.uniform(1 - jitter, 1 + jitter)
        return tuple(channel * light * self.uniform(1 - jitter / 2, 1 + jitter / 2) for channel in base)

    def floats(self, count: int) -> np.ndarray:
        """Return ``count`` numbers in [0, 1), float64."""
        return (self._bits.random_raw(count) >> np.uint64(11)) * 2.0**-53


def _smooth(cells: int, dice: Dice) -> np.ndarray:
    """Return a (TILE, TILE) tile of random values on ``cells`` x ``cells`` knots, linear in between."""
    knots = dice.floats(cells * cells).reshape(cells, cells)
    place = np.arange(TILE) * (cells / TILE)
    low = place.astype(int)
    part, high = place - low, (low + 1) % cells
    rows = knots[low] * (1 - part)[:, None] + knots[high] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, high] * part


def _soft(dice: Dice) -> np.ndarray:
    """Return octaves of smooth noise, stretched to [0, 1]."""
    tile = 0.5 * _smooth(16, dice) + 0.3 * _smooth(32, dice) + 0.2 * _smooth(64, dice)
    return (tile - tile.min()) / (tile.max() - tile.min())


FINE = Dice(1).floats(TILE * TILE).reshape(TILE, TILE)  # every cell for itself
SOFT = _soft(Dice(2))  # clumps of about ten cells


def sample(tile: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return a tile's values at the cells that hold the points (x, y); the tile repeats without end.

    Parameters
    ----------
    tile : ndarray
        (TILE, TILE), such as `FINE` or `SOFT`.
    x, y : ndarray
        Column and row in cells, of shapes that broadcast.

    Returns
    -------
    ndarray
        Values of the tile, in the shape that ``x`` and ``y`` broadcast to.
    """
    return tile[np.floor(y).astype(np.int64) & (TILE - 1), np.floor(x).astype(np.int64) & (TILE - 1)]


def profile(x: np.ndarray, row: int) -> np.ndarray:
    """Return a smooth curve through one row of the tile `SOFT`, linear between its values.

    Parameters
    ----------
    x : ndarray
        Places in cells, of any shape; the row repeats without end.
    row : int
        Row of the tile, from 0 to ``TILE - 1``.

    Returns
    -------
    ndarray
        Values in [0, 1], in the shape of ``x``.
    """
    low = np.floor(x)
    part, cell = x - low, low.astype(np.int64) & (TILE - 1)
    return SOFT[row, cell] * (1 - part) + SOFT[row, (cell + 1) & (TILE - 1)] * part
