"""The picture in the making: colour, label and distance of every pixel, and the camera that relates them to metres."""

from dataclasses import dataclass

import numpy as np

CLASSES = ("rail", "trackbed", "vegetation", "anomaly on track", "ground", "buildings", "sky")
PALETTE = (
    (204, 121, 167),
    (150, 110, 70),
    (0, 140, 90),
    (213, 48, 20),
    (240, 228, 130),
    (70, 70, 80),
    (86, 180, 233),
)
RAIL, TRACKBED, VEGETATION, ANOMALY, GROUND, BUILDINGS, SKY = range(7)
VOID = 255
SKY_DISTANCE = 2000.0


@dataclass(frozen=True)
class Canvas:
    """``image`` (H, W, 3) float32 in [0, 1], ``label`` (H, W) uint8, ``distance`` (H, W) float32 in metres.

    ``u`` and ``v`` are the centres of columns and rows in pixels; a point (x, y up from the camera, z) appears at
    column ``middle + focal * x / z`` and row ``horizon - focal * y / z``.
    """

    image: np.ndarray
    label: np.ndarray
    distance: np.ndarray
    u: np.ndarray
    v: np.ndarray
    middle: float
    horizon: float
    focal: float

    @classmethod
    def blank(cls, size: tuple[int, int], horizon: float, focal: float) -> "Canvas":
        """Return an empty canvas; horizon in image heights, focal length in image widths."""
        height, width = size
        return cls(
            image=np.zeros((height, width, 3), np.float32),
            label=np.full((height, width), SKY, np.uint8),
            distance=np.full((height, width), SKY_DISTANCE, np.float32),
            u=np.arange(width) + 0.5,
            v=np.arange(height) + 0.5,
            middle=width / 2,
            horizon=horizon * height,
            focal=focal * width,
        )

    def box(self, left: float, right: float, top: float, bottom: float) -> tuple[slice, slice] | None:
        """Return the rows and columns whose centres lie in a rectangle, None if there are none."""
        height, width = self.label.shape
        rows = slice(max(0, _first(top)), min(height, _first(bottom)))
        columns = slice(max(0, _first(left)), min(width, _first(right)))
        return None if rows.start >= rows.stop or columns.start >= columns.stop else (rows, columns)

    def paint(self, where: tuple[slice, slice], mask: np.ndarray, colour: np.ndarray, label: int, z) -> None:
        """Paint the masked pixels of a box; ``colour`` (h, w, 3) or (3,), ``z`` a number or (h, w)."""
        np.copyto(self.image[where], colour, where=mask[..., None], casting="same_kind")
        np.copyto(self.label[where], np.uint8(label), where=mask)
        np.copyto(self.distance[where], np.asarray(z, np.float32), where=mask)


def _first(edge: float) -> int:
    """Return the first row or column whose centre is at or behind an edge (kept in the range of an int)."""
    return -int(-(min(max(edge, -1e6), 1e6) - 0.5) // 1)
