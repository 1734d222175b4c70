"""Sets of scenes that lie in folders: where they are looked for, and what identifies them."""

import hashlib
import json
from pathlib import Path

from relcomp_kit import files
from relcomp_kit.datasets import download
from relcomp_kit.datasets.layouts import LAYOUTS
from relcomp_kit.datasets.pairs import Pair, Pairs
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.errors import UserError


def load(name: str, size: tuple[int, int] | None = None) -> SceneSet:
    """Load a set of scenes from its folder; see `relcomp_kit.datasets.scenes.load_scenes`.

    Parameters
    ----------
    name : str
        A key of `relcomp_kit.datasets.layouts.LAYOUTS`.
    size : (int, int), optional
        Height and width in pixels to which images and labels are resized; by default they keep their own size.

    Returns
    -------
    SceneSet
        Three splits whose scenes are read from their files when they are asked for.

    Raises
    ------
    UserError
        If the folder is not found, a file has no partner, or a split would be empty.
    """
    folder, source = find(name)
    found = LAYOUTS[name].read(folder)
    splits = {"train": found.train, "validation": found.validation, "test": found.test}
    parts = {split: Pairs(pairs, found.read_label, size) for split, pairs in splits.items()}
    classes = found.colours if name == "berdiba" else list(found.colours)  # where colours decide the labels, they count
    return SceneSet(
        name=name,
        classes=tuple(found.colours),
        palette=tuple(found.colours.values()),
        train=parts["train"],
        validation=parts["validation"],
        test=parts["test"],
        sha256=_identity(folder, classes, splits),
        source=source,
    )


def find(name: str) -> tuple[Path, str]:
    """Return the folder of a set, and where it was found: "RELCOMP_DATA" or "cache".

    Raises
    ------
    UserError
        If it is in neither place; the message says where to get it and how to store it.
    """
    layout, chosen = LAYOUTS[name], download.data_dir()
    cached = files.cache_dir() / "data" / layout.folder
    if chosen is not None and (chosen / layout.folder).is_dir():
        return chosen / layout.folder, "RELCOMP_DATA"
    if cached.is_dir():
        return cached, "cache"
    first = f"$RELCOMP_DATA/{layout.folder} (RELCOMP_DATA is not set)" if chosen is None else chosen / layout.folder
    raise UserError(
        f"{name} is not on this machine, neither as {first} nor as {cached}: get it from {layout.origin}, "
        f"and put there {layout.content}"
    )


def _identity(folder: Path, classes: list | dict, splits: dict[str, list[Pair]]) -> str:
    """Return a sha256 over the names and sizes in bytes of all files, the classes (and colours) and the splits."""
    listed = {
        split: [[file.relative_to(folder).as_posix(), file.stat().st_size] for pair in pairs for file in pair]
        for split, pairs in splits.items()
    }
    return hashlib.sha256(json.dumps([classes, listed]).encode()).hexdigest()
