"""Synthetic rail scenes from the driver's view: an image and its label, from one geometry and one seed.

They stand in for the BerDiBa project's synthetic set, which is not public: the same seven classes, another generator.
Nothing is stored; a scene is a function of its seed. Labels are the same byte for byte on every machine.
"""

import numpy as np
import torch
from torch.utils.data import Dataset
from torchvision import tv_tensors

from relcomp_kit.datasets.rail_scenes import air, land, things
from relcomp_kit.datasets.rail_scenes.canvas import CLASSES, PALETTE, Canvas
from relcomp_kit.datasets.rail_scenes.layout import ANOMALIES, USUAL, WEATHERS, draw_scene
from relcomp_kit.errors import UserError

__all__ = ["ANOMALIES", "CLASSES", "PALETTE", "SPLITS", "USUAL", "VERSION", "WEATHERS", "RailScenes", "render"]

VERSION = 1  # of the generator: another version draws other scenes
SPLITS = {"train": (0, 3600), "validation": (1_000_000, 400), "test": (2_000_000, 1000)}  # first seed, scenes
SMALLEST = 32


def render(seed: int, size: tuple[int, int] = (96, 160), weather: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return one scene: what a camera in the driver's cab would see, and the class of every pixel.

    Parameters
    ----------
    seed : int
        Decides the scene; its geometry is the same at every size and in every weather.
    size : (int, int)
        Height and width in pixels, 32 at least.
    weather : str, optional
        One of `WEATHERS`; by default the seed decides, as in `USUAL`: never snow, which is kept as an unknown domain.

    Returns
    -------
    image : ndarray (height, width, 3), uint8
        Equal within 1 on every machine.
    label : ndarray (height, width), uint8
        Index into `CLASSES`, 255 where no class is: masts and wires. Equal byte for byte on every machine.

    Raises
    ------
    UserError
        For an unknown weather, a size that is too small, or a negative seed.
    """
    _check(size, weather)
    if seed < 0:
        raise UserError(f"the seed of a scene is 0 or more, not {seed}")
    scene = draw_scene(seed, weather)
    canvas = Canvas.blank(size, scene.horizon, scene.focal)
    land.paint_sky(canvas, scene)
    land.paint_ground(canvas, scene)
    things.paint_things(canvas, scene)
    return air.photograph(canvas, scene), canvas.label


def _check(size: tuple[int, int], weather: str | None) -> None:
    if weather is not None and weather not in WEATHERS:
        raise UserError(f"there is no weather {weather!r}; choose one of {', '.join(WEATHERS)}")
    if len(size) != 2 or not all(isinstance(side, int) for side in size) or min(size) < SMALLEST:
        raise UserError(f"the size of a scene is height and width, {SMALLEST} pixels each at least, not {size}")


class RailScenes(Dataset):
    """The scenes of a split, drawn when they are asked for: ``scenes[i]`` is (Image, Mask), both uint8.

    Parameters
    ----------
    split : str
        "train" (3,600 scenes), "validation" (400) or "test" (1,000): 80:20 of 5,000, as the published set.
    size : (int, int)
        Height and width in pixels.
    weather : str, optional
        As in `render`: one weather for all scenes, in place of the usual mixture.
    """

    def __init__(self, split: str, size: tuple[int, int] = (96, 160), weather: str | None = None):
        if split not in SPLITS:
            raise UserError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
        _check(size, weather)
        self.split, self.size, self.weather = split, size, weather

    def __len__(self) -> int:
        return SPLITS[self.split][1]

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        image, label = render(SPLITS[self.split][0] + index, self.size, self.weather)
        return (
            tv_tensors.Image(torch.from_numpy(image).permute(2, 0, 1).contiguous()),
            tv_tensors.Mask(torch.from_numpy(label)),
        )
