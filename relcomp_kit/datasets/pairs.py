"""Images and labels in files: found in pairs, decoded and checked when they are asked for."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from torchvision import tv_tensors

from relcomp_kit.datasets.pictures import BROKEN, decode, to_rgb
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.transforms import resize
from relcomp_kit.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
Pair = tuple[Path, Path]  # image, label


class Pairs(Dataset):
    """A split whose scenes lie in files.

    Image and label are each turned by their own EXIF orientation. So a label without one has to match the image as it
    is displayed. Transparent parts of an image become white, 16 bits become 8, and of an animation the first picture
    counts.

    Parameters
    ----------
    pairs : list of (Path, Path)
        Image and label of every scene.
    read_label : callable
        Takes the path of a label and returns its classes (H, W), uint8.
    size : (int, int), optional
        Height and width that images and labels are resized to.

    Raises
    ------
    UserError
        When a scene is asked for whose image or label cannot be decoded, whose label holds something that is no class,
        or whose image and label differ in size.
    """

    def __init__(
        self, pairs: list[Pair], read_label: Callable[[Path], np.ndarray], size: tuple[int, int] | None = None
    ):
        self.pairs, self.read_label, self.size = pairs, read_label, size

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        image_path, label_path = self.pairs[index]
        pixels = np.array(to_rgb(_open(image_path)))
        classes = self.read_label(label_path)
        if pixels.shape[:2] != classes.shape:
            raise UserError(
                f"{label_path} has {classes.shape[0]}x{classes.shape[1]} pixels and its image {image_path.name} has "
                f"{pixels.shape[0]}x{pixels.shape[1]}, both turned as their EXIF says: put an image and a label of the "
                "same size there"
            )
        image = tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
        label = tv_tensors.Mask(torch.from_numpy(classes))
        return (image, label) if self.size is None else resize(image, label, self.size)


def read_ids(path: Path, class_of: dict[int, int]) -> np.ndarray:
    """Read a label (H, W) whose pixels are numbers, grey values or indices into a colour table.

    Parameters
    ----------
    path : Path
        A picture with one 8-bit channel.
    class_of : dict of int to int
        From the numbers in the file to classes, or to `VOID`; another number is an error.

    Returns
    -------
    ndarray
        Class of every pixel (H, W), uint8.

    Raises
    ------
    UserError
        If the file cannot be decoded, is not one channel of 8 bits, or holds a number that is not in ``class_of``.
    """
    picture = _open(path)
    if picture.mode not in ("L", "P"):
        raise UserError(
            f"{path} is no map of label ids (its mode is {picture.mode}, not one channel of 8 bits): "
            "put the set's original label there"
        )
    ids = np.array(picture)
    table = np.full(256, -1, np.int16)
    table[list(class_of)] = list(class_of.values())
    classes = table[ids]
    if classes.min() < 0:
        known = sorted(class_of.keys() - {VOID})
        gaps = known[-1] - known[0] >= len(known)
        usual = ", ".join(map(str, known)) if gaps else f"{known[0]} to {known[-1]}"
        usual += f" and {VOID}" if VOID in class_of else ""
        raise UserError(
            f"{path} holds the label id {ids[classes < 0][0]}, which is none of the set's ({usual}): "
            "put the set's original label there"
        )
    return classes.astype(np.uint8)


def read_colours(path: Path, palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Read a label (H, W) whose pixels are RGB triplets; a triplet that is not in the palette is `VOID`.

    A map without any colour of the palette is an error: it uses other colours, or was not stored losslessly.

    Parameters
    ----------
    path : Path
        A picture whose pixels are coded by colour.
    palette : tuple of (int, int, int)
        Red, green and blue of every class, 0 to 255.

    Returns
    -------
    ndarray
        Class of every pixel (H, W), uint8: the index of its colour in the palette, or `VOID`.

    Raises
    ------
    UserError
        If the file cannot be decoded, or no pixel has a colour of the palette.
    """
    pixels = np.array(to_rgb(_open(path))).astype(np.int32)
    code = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    classes = np.full(code.shape, VOID, np.uint8)
    for index, (red, green, blue) in enumerate(palette):
        classes[code == (red << 16 | green << 8 | blue)] = index
    if (classes == VOID).all():
        raise UserError(
            f"{path} has no pixel in the colour of a class, as {palette[0]}: put a map of these colours there"
        )
    return classes


def match(images: Path, labels: Path) -> list[Pair]:
    """Return the images of a folder with the labels of the same names in another, sorted by name.

    Parameters
    ----------
    images : Path
        Folder with PNG or JPEG files.
    labels : Path
        Folder with PNG files.

    Returns
    -------
    list of (Path, Path)
        Image and label of every scene.

    Raises
    ------
    UserError
        If a folder is missing or without pictures, or a file has no partner, or two.
    """
    image_of, label_of = _by_name(images, IMAGE_SUFFIXES), _by_name(labels, (".png",))
    for name in sorted(image_of.keys() - label_of.keys()):
        raise UserError(f"{image_of[name]} has no label: put it at {labels / name}.png, or take the image away")
    for name in sorted(label_of.keys() - image_of.keys()):
        raise UserError(f"{label_of[name]} has no image: put it at {images / name}.png or .jpg, or take the label away")
    return [(image_of[name], label_of[name]) for name in sorted(image_of)]


def check_pairs(pairs: list[Pair], listing: Path) -> list[Pair]:
    """Check that there are pairs and that their files exist, and return the pairs unchanged.

    Parameters
    ----------
    pairs : list of (Path, Path)
        Image and label of every scene.
    listing : Path
        The folder or file that names them, for the message.

    Returns
    -------
    list of (Path, Path)
        The pairs that were given.

    Raises
    ------
    UserError
        If the list is empty, or an image or a label is missing.
    """
    if not pairs:
        raise UserError(f"{listing} names no images: put the set's original files there")
    for image, label in pairs:
        if not image.is_file():
            raise UserError(f"{image} is missing, though {listing.name} names it: put the set's original file there")
        if not label.is_file():
            raise UserError(f"{image} has no label: put it at {label}, or take the image away")
    return pairs


def hold_out(pairs: list[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Split off a share of the pairs, at least one: (rest, held out), both in the order given.

    The names alone decide: they are put into the order of their sha256, and the first ones are held out. So the split
    is the same on every machine, and one scene more or less changes the split of few others.

    Parameters
    ----------
    pairs : list of (Path, Path)
        Image and label of every scene; not empty.
    share : float
        Share of the pairs to hold out, in [0, 1].

    Returns
    -------
    rest : list of (Path, Path)
        The pairs that stay, at least one.
    held_out : list of (Path, Path)
        The pairs that were split off, at least one.

    Raises
    ------
    UserError
        If no pair would stay.
    """
    count = max(1, round(share * len(pairs)))
    if count >= len(pairs):
        raise UserError(f"{pairs[0][0].parent} holds too few scenes for three splits, none of them empty: add some")
    order = sorted(pairs, key=lambda pair: hashlib.sha256(pair[0].stem.encode()).digest())
    held_out = set(order[:count])
    return [pair for pair in pairs if pair not in held_out], [pair for pair in pairs if pair in held_out]


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the pictures of a folder by their names without suffix."""
    if not folder.is_dir():
        raise UserError(f"{folder} is missing: put the folder of the set's original layout there")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise UserError(f"{path} and {found[path.stem].name} have the same name: keep one of them")
            found[path.stem] = path
    if not found:
        raise UserError(f"{folder} holds no {' or '.join(suffixes)} files: put the set's original files there")
    return found


def _open(path: Path) -> Image.Image:
    """Decode a whole picture and turn it upright; an error names the file."""
    try:
        return decode(path)
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path} is no picture that can be read: put the set's original file there") from error
