"""Pascal VOC 2012 as pictures with several labels (Everingham et al. 2010): which of twenty kinds of things are there.

The official test labels are not public. So the published validation split is the test split here, and a tenth of the
training split is held out.
"""

from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from relcomp_kit.datasets.pictures import read_rgb
from relcomp_kit.errors import UserError

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
LISTS = {"train": "train", "test": "val"}
SIDE, SHORTER = 224, 256  # pixels, as ImageNet's nets see pictures: the shorter side is resized, the middle is cut out


def read(folder: Path) -> dict[str, Tensor]:
    """Read the published folder.

    Parameters
    ----------
    folder : Path
        ``VOCdevkit/VOC2012``, with ``ImageSets/Main``, ``Annotations`` and ``JPEGImages``.

    Returns
    -------
    dict of str to Tensor
        "train images" and "test images", (N, 3, 224, 224), uint8, and "train labels" and "test labels", (N, 20),
        uint8: 1 for every class in the picture, things marked as difficult included.

    Raises
    ------
    UserError
        In one sentence, if a list, a picture or a description is missing or damaged.
    """
    found = {}
    for split, part in LISTS.items():
        path = folder / "ImageSets" / "Main" / f"{part}.txt"
        try:
            names = path.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: put the set's original list there") from error
        if not names:
            raise UserError(f"{path} names no picture: put the set's original list there")
        found[f"{split} images"] = torch.stack([read_picture(folder / "JPEGImages" / f"{name}.jpg") for name in names])
        found[f"{split} labels"] = torch.stack([read_labels(folder / "Annotations" / f"{name}.xml") for name in names])
    return found


def read_picture(path: Path) -> Tensor:
    """Return a picture as a net of ImageNet sees it: resized to 256 pixels on the shorter side, the middle cut out.

    Parameters
    ----------
    path : Path
        A picture.

    Returns
    -------
    Tensor
        (3, 224, 224), uint8.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    picture = functional.pil_to_tensor(read_rgb(path))
    resized = functional.resize(picture, [SHORTER], v2.InterpolationMode.BILINEAR, antialias=True)
    return functional.center_crop(resized, [SIDE, SIDE])


def read_labels(path: Path) -> Tensor:
    """Return which classes a description names.

    Parameters
    ----------
    path : Path
        An XML file with an ``object`` for every thing in the picture.

    Returns
    -------
    Tensor
        (20,), uint8: 1 for every class that is there.

    Raises
    ------
    UserError
        If it cannot be read, names no object, or one of an unknown class.
    """
    try:
        tree = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(f"{path} cannot be read as a description of a picture ({error})") from error
    names = {(item.findtext("name") or "").strip() for item in tree.iterfind("object")}
    if not names:
        raise UserError(f"{path} names no object: put the set's original description there")
    if unknown := sorted(names - set(CLASSES)):
        raise UserError(f"{path} names {', '.join(unknown)}, which Pascal VOC does not know")
    return torch.tensor([name in names for name in CLASSES], dtype=torch.uint8)
