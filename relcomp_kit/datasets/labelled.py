"""Larger sets to classify, those on which ECQ^x was published: CIFAR-10, Speech Commands and Pascal VOC."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from relcomp_kit import files
from relcomp_kit.artifacts import content_digest, load_or_make
from relcomp_kit.datasets import cifar10, download, speech_commands, unpacked, voc_labels
from relcomp_kit.datasets.images import ImageSet, Split, split_indices
from relcomp_kit.errors import UserError

VERSION = 1  # of what is kept in the cache
HELD_OUT = 0.1  # share of the training images that settings are chosen by, where the set has no split for that


@dataclass(frozen=True)
class Layout:
    """A place where a set may lie, relative to the data folder, and the function that reads it into named tensors."""

    place: str
    read: Callable[[Path], dict[str, Tensor]]


LAYOUTS = {
    "cifar10": (
        Layout("cifar-10-batches-py", lambda folder: cifar10.to_tensors(cifar10.read_batches(folder))),
        Layout("cifar10", lambda folder: cifar10.to_tensors(cifar10.read_folders(folder))),
    ),
    "speech-commands": (
        Layout("SpeechCommands/speech_commands_v0.02", speech_commands.read_clips),
        Layout("SpeechCommands/log-mel.npz", speech_commands.read_packed),
    ),
    "voc": (Layout("VOCdevkit/VOC2012", voc_labels.read),),
}
CLASSES = {"cifar10": cifar10.CLASSES, "speech-commands": speech_commands.CLASSES, "voc": voc_labels.CLASSES}
NAMES = tuple(LAYOUTS)


def load(name: str) -> ImageSet:
    """Load a set from ``$RELCOMP_DATA`` or the cache; decoded images are kept in the cache.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    ImageSet
        Images uint8. "cifar10": 45,000, 5,000 and 10,000 of (3, 32, 32). "speech-commands": log-mel pictures
        (1, 98, 40) of the ten keywords, "unknown" and "silence". "voc": 5,145, 572 and 5,823 of (3, 224, 224), whose
        labels (N, 20) are 1 for every class in the picture.

    Raises
    ------
    UserError
        In one sentence, if the set is nowhere, incomplete or damaged. One that was fetched into the cache is checked
        byte by byte before it is decoded.
    """
    layout, path, source = find(name)
    identity = {"set": name, "layout": layout.place, "files": _listing(path)}

    def make(_) -> tuple[dict, dict]:
        if source == "cache":
            unpacked.check(name, path)
        tensors = layout.read(path)
        return tensors, {"sha256": content_digest(tensors, {})}

    tensors, info = load_or_make("decoded-images", VERSION, identity, "", make)
    train, test = (Split(tensors[f"{part} images"], tensors[f"{part} labels"]) for part in ("train", "test"))
    if "validation labels" in tensors:
        validation = Split(tensors["validation images"], tensors["validation labels"])
    else:
        held = round(HELD_OUT * len(train.labels))
        indices = split_indices(len(train.labels) - held, held)
        train, validation = (Split(train.images[index], train.labels[index]) for index in indices)
    return ImageSet(name, train, validation, test, CLASSES[name], info["sha256"], source)


def find(name: str) -> tuple[Layout, Path, str]:
    """Return a set's layout and folder on this machine, and "RELCOMP_DATA" or "cache".

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Raises
    ------
    UserError
        If it is nowhere; the message says where to put it, and how to get it.
    """
    own, cache = download.data_dir(), files.cache_dir() / "data"
    for root, source in ((own, "RELCOMP_DATA"), (cache, "cache")):
        for layout in LAYOUTS[name]:
            if root is not None and (root / layout.place).exists():
                return layout, root / layout.place, source
    places = " or ".join(layout.place for layout in LAYOUTS[name])
    raise UserError(
        f"{name} is not on this machine: run `relcomp fetch {name}`, or put it as {places} into "
        f"{own or 'a folder that RELCOMP_DATA names'}"
    )


def _listing(path: Path) -> str:
    """Return a hash of names, sizes and times of all files: when one has changed, the set is decoded again."""
    found = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    told = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns) for file in found]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
