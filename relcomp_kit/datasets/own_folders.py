"""Sets of one's own: a folder of pictures a class, or images with a label map each, in the three parts that decide.

To classify: ``FOLDER/CLASS/*.png``, or ``FOLDER/train/CLASS/*.png`` beside ``validation`` and ``test``. To segment:
``FOLDER/images`` and ``FOLDER/labels`` with files of the same names and ``FOLDER/classes.txt``, a line a class; or the
two folders in ``train``, ``validation`` and ``test``. Parts that are missing are held out: a fifth to test on, a tenth
of the rest to choose by. Who has "val" without "test" tests on that, as ImageNet's users do.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from relcomp_kit.artifacts import content_digest
from relcomp_kit.datasets import catalogue, cifar10, download, labelled, scenes
from relcomp_kit.datasets.colours import palette_of
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.datasets.layouts import TEST_SHARE, VALIDATION_SHARE
from relcomp_kit.datasets.pairs import Pairs, hold_out, match, read_colours, read_ids
from relcomp_kit.datasets.pictures import BROKEN, read_rgb
from relcomp_kit.datasets.scene_names import SCENE_NAMES
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.subsets import chosen, evenly
from relcomp_kit.datasets.transforms import Scale
from relcomp_kit.errors import UserError
from relcomp_kit.progress import Progress

SUFFIXES = (".png", ".jpg", ".jpeg", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")  # as torchvision lists
PARTS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
LISTED = "classes.txt"
USUAL_SIZE = (224, 224)  # to which pictures of several sizes are brought
Size = tuple[int, int]
Own = tuple[Path, int]  # a picture and its class
Data = TypeVar("Data", ImageSet, SceneSet)


def load_folder(
    folder: Path | str,
    size: Size | None = None,
    *,
    most: int | None = None,
    grey: bool = False,
    scale: Scale | None = None,
    validation_from: str = "train",
) -> ImageSet | SceneSet:
    """Load a set of one's own, or one that the kit knows by its name.

    Parameters
    ----------
    folder : Path or str
        As this module describes it, or the unpacked batches of CIFAR-10; or where there is no such folder a name, such
        as "cifar10", "mnist" or "rail-scenes".
    size : (int, int), optional
        Height and width in pixels. Pictures to classify are brought to it by their shorter side and cut to their
        middle; scenes are resized. By default they keep their own, if all have the same; else pictures become 224x224.
    most : int, optional
        Of each part at most so many, drawn by a hash of their names; all by default.
    grey : bool
        Pictures to classify get one channel.
    scale : (tuple of float, tuple of float), optional
        Mean and standard deviation of each channel in [0, 1], as the net was trained with; ImageNet's by default.
    validation_from : {"train", "test"}
        The part that images for choices are held out of, where the set has none. For a net that others trained on all
        training images take "test": every second test image is then one to choose by, whatever else the set holds.

    Returns
    -------
    ImageSet or SceneSet
        Images uint8, with their classes or with the class of each pixel.

    Raises
    ------
    UserError
        In one sentence, if there is no such folder, or something in it is not as described.
    """
    folder = Path(folder)
    if size is not None and not (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise UserError(f"the size of images is (height, width) in whole pixels above 0, not {size}")
    if most is not None and most < 1:
        raise UserError(f"at most {most} images of each part are none: take 1 or more")
    if validation_from not in ("train", "test"):
        raise UserError(f"a validation part is held out of train or test, not of {validation_from!r}")
    if not folder.is_dir():
        found = _by_name(str(folder), size, most)
    elif all((folder / name).is_file() for name in cifar10.BATCHES):
        found = _of_tensors(folder.name, cifar10.to_tensors(cifar10.read_batches(folder)), cifar10.CLASSES, most)
    elif any((place / "labels").is_dir() for place in (folder, *_parts(folder).values())):
        found = _scenes(folder, size, most)
    else:
        found = _pictures(folder, size, most, grey)
    return with_scale(found if validation_from == "train" else _halved_test(found), scale)


def _halved_test(data: ImageSet | SceneSet) -> ImageSet | SceneSet:
    """Return a set whose validation part is every second image of its test part, which keeps the others."""
    count = len(data.test)
    if count < 2:
        raise UserError(f"the test part has {count} image, and a validation part is to be taken from it: take more")
    named = hashlib.sha256(f"{data.sha256} halved test".encode()).hexdigest()
    test, validation = (chosen(data.test, range(first, count, 2)) for first in (0, 1))
    return replace(data, test=test, validation=validation, sha256=named)


def with_scale(data: ImageSet | SceneSet, scale: Scale | None) -> ImageSet | SceneSet:
    """Return a set whose images are scaled in another way for a net; what is computed of it has a hash of its own.

    Parameters
    ----------
    data : ImageSet or SceneSet
        Images uint8.
    scale : (tuple of float, tuple of float) or None
        Mean and standard deviation of each channel, in [0, 1]; None leaves the set as it is.

    Raises
    ------
    UserError
        If a standard deviation is not above 0, or there is not one number a channel.
    """
    if scale is None:
        return data
    mean, std = (tuple(map(float, part)) for part in scale)
    channels = data.train.images.shape[1] if isinstance(data, ImageSet) else 3
    if len(mean) != channels or len(std) != channels or not all(value > 0 for value in std):
        raise UserError(
            f"mean and standard deviation are one number for each of {channels} channels, the latter above 0, not "
            f"{mean} and {std}"
        )
    named = hashlib.sha256(json.dumps([data.sha256, mean, std]).encode()).hexdigest()
    return replace(data, scale=(mean, std), sha256=named)


def _by_name(name: str, size: Size | None, most: int | None) -> ImageSet | SceneSet:
    """Return a set that the kit knows; the scenes of a name that both kinds have are no pictures with a class."""
    if name in SCENE_NAMES and name not in labelled.NAMES:
        return _fewer(scenes.load_scenes(name, size), most)
    if name not in (*labelled.NAMES, *download.NAMES):
        known = sorted({*labelled.NAMES, *download.NAMES, *SCENE_NAMES})
        raise UserError(f"{name} is no folder: name the folder of your images, or one of {', '.join(known)}")
    data = catalogue.load(name)
    if data.train.labels.ndim > 1:
        raise UserError(f"the images of {name} have several labels each, and one is wanted: name another set")
    if data.train.images.dtype != torch.uint8:
        parts = [_whole_numbers(part) for part in (data.train, data.validation, data.test)]
        data = replace(data, train=parts[0], validation=parts[1], test=parts[2])
    if size not in (None, tuple(data.train.images.shape[2:])):
        raise UserError(f"the images of {name} are {'x'.join(map(str, data.train.images.shape[2:]))}: leave out a size")
    return _fewer(data, most)


def _whole_numbers(part: Split) -> Split:
    return Split((255 * part.images).round().to(torch.uint8), part.labels)


def _fewer(data: Data, most: int | None) -> Data:
    """Return a set with at most so many images a part, evenly from all of it."""
    if most is None:
        return data
    train, validation, test = (
        chosen(part, evenly(len(part), most)) for part in (data.train, data.validation, data.test)
    )
    named = hashlib.sha256(f"{data.sha256} {most}".encode()).hexdigest()
    return replace(data, train=train, validation=validation, test=test, sha256=named)


def _of_tensors(name: str, tensors: dict, classes: Sequence[str], most: int | None) -> ImageSet:
    train, test = (Split(tensors[f"{part} images"], tensors[f"{part} labels"]) for part in ("train", "test"))
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(train.labels))
    held = round(VALIDATION_SHARE * len(order))
    kept, apart = (chosen(train, part.tolist()) for part in (order[held:], order[:held]))
    return _fewer(ImageSet(name, kept, apart, test, tuple(classes), content_digest(tensors, {}), "the folder"), most)


def _parts(folder: Path) -> dict[str, Path]:
    """Return the folders of the parts that lie in a folder, with "val" as "test" where there is no other."""
    found = {}
    for part, names in PARTS.items():
        there = [folder / name for name in names if (folder / name).is_dir()]
        if len(there) > 1:
            raise UserError(f"{there[0]} and {there[1].name} are the same part: keep one of them")
        if there:
            found[part] = there[0]
    if "train" not in found:
        return {}
    if "test" not in found and "validation" in found:
        found["test"] = found.pop("validation")
    return found


def _pictures(folder: Path, size: Size | None, most: int | None, grey: bool) -> ImageSet:
    places = _parts(folder)
    listed = {part: _classes(place) for part, place in (places or {"train": folder}).items()}
    names = [name for name, files in listed["train"].items() if files]
    for found in listed.values():
        for name, files in found.items():
            if files and name not in names:
                raise UserError(f"{files[0].parent} is a class that {places['train']} has no pictures of: add some")
    if len(names) < 2:
        raise UserError(
            f"{places.get('train', folder)} holds {len(names) or 'no'} folder{'s' if len(names) != 1 else ''} with "
            f"pictures, and a class is a folder: put PNG or JPEG files as {folder.name}/CLASS/FILE.png, or images and "
            "labels to segment"
        )
    parts: dict[str, list[Own]] = {
        part: [(file, number) for number, name in enumerate(names) for file in found.get(name, [])]
        for part, found in listed.items()
    }
    for part, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if part not in parts:
            parts["train"], parts[part] = _hold_out(folder, parts["train"], share, names)
    parts = {part: _some(folder, parts[part], most) for part in PARTS}
    if size is None:
        size = _common_size([file for some in parts.values() for file, _ in some]) or USUAL_SIZE
    with Progress("reading pictures", sum(map(len, parts.values()))) as line:
        read = {part: _read(some, size, grey, line) for part, some in parts.items()}
    digest = hashlib.sha256(json.dumps([names, size, grey]).encode())
    for split in read.values():
        digest.update(split.images.numpy().tobytes() + split.labels.numpy().tobytes())
    train, validation, test = (read[part] for part in PARTS)
    return ImageSet(folder.name, train, validation, test, tuple(names), digest.hexdigest(), "the folder")


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Return the pictures of every folder in a folder, by its name; hidden ones do not count."""
    found = {}
    for place in sorted(filter(Path.is_dir, folder.iterdir())):
        if place.name.startswith((".", "__MACOSX")):
            continue
        files = (file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES)
        found[place.name] = sorted(file for file in files if not file.name.startswith("."))
    return found


def _order(folder: Path, file: Path, draw: str = "") -> bytes:
    """Return what files are sorted by, at random; another draw is another order."""
    return hashlib.sha256((draw + file.relative_to(folder).as_posix()).encode()).digest()


def _hold_out(folder: Path, own: list[Own], share: float, names: Sequence[str]) -> tuple[list[Own], list[Own]]:
    """Split off a share of each class, at least one of it, by a hash of the names: (rest, held out)."""
    kept: list[Own] = []
    held: list[Own] = []
    for number, name in enumerate(names):
        some = sorted((one for one in own if one[1] == number), key=lambda one: _order(folder, one[0]))
        count = max(1, round(share * len(some)))
        if count >= len(some):
            raise UserError(f"the class {name} has too few pictures for three parts: put more into {folder}")
        held, kept = held + some[:count], kept + some[count:]
    return kept, held


def _some(folder: Path, own: list[Own], most: int | None) -> list[Own]:
    """Return some pictures, of each class its share, in an order of their own: parts were held out by the other one."""
    classes: dict[int, list[Own]] = {}
    ordered = sorted(own, key=lambda one: _order(folder, one[0], "some"))
    for one in ordered:
        classes.setdefault(one[1], []).append(one)
    place = {one: (rank + 0.5) / len(some) for some in classes.values() for rank, one in enumerate(some)}
    return sorted(ordered, key=place.__getitem__)[:most]  # equal places stay in that order


def _common_size(files: Sequence[Path]) -> Size | None:
    """Return height and width of pictures, read from the beginnings of their files, if all have the same."""
    found = set()
    for file in files:
        try:
            with Image.open(file) as picture:
                found.add(picture.size)
        except BROKEN:
            return None  # said when it is decoded
        if len(found) > 1:
            return None
    ((width, height),) = found
    return height, width


def _read(own: list[Own], size: Size, grey: bool, line: Progress) -> Split:
    images = torch.empty(len(own), 1 if grey else 3, *size, dtype=torch.uint8)
    for place, (file, _) in enumerate(own):
        images[place] = torch.from_numpy(np.array(fitted(file, size, grey)))
        line.advance()
    return Split(images, torch.tensor([number for _, number in own]))


def fitted(file: Path, size: Size, grey: bool = False) -> np.ndarray:
    """Return a picture as a net to classify wants it: shorter side first, then the middle.

    Parameters
    ----------
    file : Path
        PNG or JPEG.
    size : (int, int)
        Height and width.
    grey : bool
        One channel instead of three.

    Returns
    -------
    ndarray
        (channels, height, width), uint8.

    Raises
    ------
    UserError
        If the file is no such picture.
    """
    picture = read_rgb(file)
    picture = picture.convert("L") if grey else picture
    if picture.size != (size[1], size[0]):
        times = max(size[0] / picture.height, size[1] / picture.width)
        near = [max(size[0], round(times * picture.height)), max(size[1], round(times * picture.width))]
        picture = functional.center_crop(functional.resize(picture, near, antialias=True), list(size))
    pixels = np.asarray(picture)
    return pixels[None] if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _scenes(folder: Path, size: Size | None, most: int | None) -> SceneSet:
    colours, read_label = _label_reader(folder)
    places = _parts(folder) or {"train": folder}
    parts = {part: match(place / "images", place / "labels") for part, place in places.items()}
    for part, share in (("test", TEST_SHARE), ("validation", VALIDATION_SHARE)):
        if part not in parts:
            parts["train"], parts[part] = hold_out(parts["train"], share)
    for part, pairs in parts.items():
        parts[part] = sorted(pairs, key=lambda pair: _order(folder, pair[0], "some"))[:most]
    if size is None:
        size = _common_size([image for pairs in parts.values() for image, _ in pairs])
        if size is None:
            raise UserError(f"the images of {folder} differ in size: say by --size HxW to which they are resized")
    listed = {
        part: [[file.relative_to(folder).as_posix(), *_stamp(file)] for pair in parts[part] for file in pair]
        for part in PARTS
    }
    return SceneSet(
        name=folder.name,
        classes=tuple(colours),
        palette=tuple(colours.values()),
        train=Pairs(parts["train"], read_label, size),
        validation=Pairs(parts["validation"], read_label, size),
        test=Pairs(parts["test"], read_label, size),
        sha256=hashlib.sha256(json.dumps([list(colours.items()), listed, size]).encode()).hexdigest(),
        source="the folder",
    )


def _stamp(file: Path) -> tuple[int, int]:
    about = file.stat()
    return about.st_size, about.st_mtime_ns


def _label_reader(folder: Path) -> tuple[dict[str, tuple[int, int, int]], Callable[[Path], np.ndarray]]:
    """Return the classes that a folder lists, with their colours, and what reads a label map.

    A line is a name; three numbers behind it are the colour that codes it in the maps. Without them maps hold numbers.
    """
    file = folder / LISTED
    try:
        lines = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read: put the names of the classes there, a line each, in the order of their numbers"
        ) from error
    coded = bool(lines) and all(len(line) > 3 and all(map(_is_byte, line[-3:])) for line in lines)
    names = [" ".join(line[:-3] if coded else line) for line in lines]
    if not 0 < len(names) < VOID or len({*names}) < len(names):
        raise UserError(f"{file} lists {len(names)} classes, {len({*names})} of them different: list each class once")
    if coded:
        colours = {name: (int(line[-3]), int(line[-2]), int(line[-1])) for name, line in zip(names, lines)}
        return colours, partial(read_colours, palette=tuple(colours.values()))
    numbers = {number: number for number in (*range(len(names)), VOID)}
    return dict(zip(names, palette_of(names))), partial(read_ids, class_of=numbers)


def _is_byte(text: str) -> bool:
    return text.isdecimal() and int(text) < 256
