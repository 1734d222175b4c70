"""What a set of scenes is: images with a class for every pixel, in three splits."""

from dataclasses import dataclass

from torch.utils.data import Dataset

VOID = 255  # the label of a pixel that belongs to no class


@dataclass(frozen=True, eq=False)
class SceneSet:
    """Images with a class for every pixel, in three splits.

    Every split is a map-style dataset; ``split[i]`` is a `tv_tensors.Image` (3, H, W) and a `tv_tensors.Mask` (H, W),
    both uint8; a label is an index into ``classes``, or `VOID`. ``palette`` holds one RGB triplet (0 to 255) per class.

    ``sha256`` identifies a set of files by their names, their sizes in bytes, the classes and the way they are split,
    not by their contents: there may be thousands of images. For scenes that the kit draws it is over the generator's
    version and the splits. ``source`` says where the set was found, for people.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train: Dataset
    validation: Dataset
    test: Dataset
    sha256: str
    source: str
