"""What a set of scenes is: images with a class for every pixel, in three splits."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from relcomp_kit.datasets.scene_names import DRAWN_SIZE

VOID = 255  # the label of a pixel that belongs to no class


class Scenes(Protocol):
    """A split of scenes: how many there are, and the image (3, H, W) and label (H, W) of each, both uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, eq=False)
class SceneSet:
    """Images with a class for every pixel, in three splits.

    Parameters
    ----------
    name : str
        The set's name, one of `relcomp_kit.datasets.scene_names.SCENE_NAMES`.
    classes : tuple of str
        Name of every class.
    palette : tuple of (int, int, int)
        One RGB triplet (0 to 255) per class.
    train, validation, test : Dataset
        Map-style datasets; ``split[i]`` is a `tv_tensors.Image` (3, H, W) and a `tv_tensors.Mask` (H, W), both uint8.
        A label is an index into ``classes``, or `VOID`.
    sha256 : str
        Identifies a set of files by their names, their sizes in bytes, the classes and the way they are split, not by
        their contents: there may be thousands of images. For scenes that the kit draws it is over the generator's
        version, the classes and the splits.
    source : str
        Where the set was found, for people to read.
    scale : (tuple of float, tuple of float), optional
        As in `relcomp_kit.datasets.images.ImageSet`.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train: Scenes
    validation: Scenes
    test: Scenes
    sha256: str
    source: str
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    @property
    def drawn(self) -> bool:
        """Whether the kit draws the scenes."""
        return self.name in DRAWN_SIZE

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the first test scene."""
        height, width = self.test[0][1].shape
        return height, width
