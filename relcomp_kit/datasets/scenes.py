"""Scenes to segment, by name: what a set is, where it comes from, what it holds."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from relcomp_kit.datasets.scene_names import DRAWN_SIZE, SCENE_NAMES, STANDS_FOR
from relcomp_kit.datasets.scene_set import VOID, Scenes, SceneSet
from relcomp_kit.datasets.subsets import evenly
from relcomp_kit.errors import UserError

REMEMBERED_BYTES = 4 * 2**30


def load_scenes(name: str = "rail-scenes", size: tuple[int, int] | None = None) -> SceneSet:
    """Load a set of scenes: drawn by the kit, or from ``$RELCOMP_DATA``, or from ``data`` in the cache.

    Names and pairs of files are checked now; images and labels are decoded, and checked, when they are asked for.

    Parameters
    ----------
    name : str
        One of `relcomp_kit.datasets.scene_names.SCENE_NAMES`; what a folder must hold stands in
        `relcomp_kit.datasets.layouts`.
    size : (int, int), optional
        Height and width in pixels; images are resized by antialiased bilinear interpolation, labels by the nearest
        neighbour. By default images keep their own size, and what the kit draws has that of
        `relcomp_kit.datasets.scene_names.DRAWN_SIZE`.

    Returns
    -------
    SceneSet
        Classes, colours and three splits of scenes.

    Raises
    ------
    UserError
        If the name or the size is not valid, the set is in neither place, a file lacks its partner, or a split is
        empty.
    """
    if name not in SCENE_NAMES:
        raise UserError(f"unknown set of scenes {name!r}: choose one of {', '.join(SCENE_NAMES)}")
    if size is not None and not (len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
        raise UserError(f"the size of scenes is (height, width) in whole pixels above 0, not {size}")
    if name in DRAWN_SIZE:
        return _rail_scenes(name, size or DRAWN_SIZE[name])
    from relcomp_kit.datasets import folders

    return folders.load(name, size)


def describe(scenes: SceneSet) -> str:
    """Return one line to print above every result: the set, its sizes and its source, with a warning for a stand-in.

    Parameters
    ----------
    scenes : SceneSet
        The set that the result is about.

    Returns
    -------
    str
        One line without a line break.
    """
    counts = [f"{len(split):,}" for split in (scenes.train, scenes.validation, scenes.test)]
    size = getattr(scenes.train, "size", None)
    line = (
        f"{scenes.name}: {counts[0]} training, {counts[1]} validation and {counts[2]} test scenes "
        f"{'of their own size' if size is None else f'of {size[0]}x{size[1]}'}, "
        f"{len(scenes.classes)} classes, from {scenes.source}"
    )
    if scenes.name in STANDS_FOR:
        line += f"; a STAND-IN for {STANDS_FOR[scenes.name]}: nothing below reproduces a figure published for that"
    return line


class Remembered(Dataset):
    """A split whose decoded samples stay in memory; made by `remember`.

    Parameters
    ----------
    dataset : Dataset
        A split as in `SceneSet`.
    limit : int
        Bytes that may be used for samples; beyond that they are decoded anew every time.
    """

    def __init__(self, dataset: Scenes, limit: int):
        self._dataset, self._free = dataset, limit
        self._samples: list[tuple[Tensor, Tensor] | None] = [None] * len(dataset)
        self.size, self.at_hand = getattr(dataset, "size", None), getattr(dataset, "at_hand", False)

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self._samples[index]
        if sample is None:
            sample = self._dataset[index]
            cost = sum(part.nbytes for part in sample)
            if cost <= self._free:
                self._free -= cost
                self._samples[index] = sample
        return sample


def remember(dataset: Scenes, limit: int = REMEMBERED_BYTES) -> Remembered:
    """Keep the decoded samples of a split in memory after their first use: training reads every scene many times.

    A scene takes 4 bytes a pixel: 0.2 GB for 3,600 scenes of 96x160. What comes back is the stored sample itself: do
    not write into it. Every worker process of a `DataLoader` keeps samples of its own.

    Parameters
    ----------
    dataset : Dataset
        A split as in `SceneSet`.
    limit : int
        Bytes that may be used, 4 GiB by default; once they are, further samples are decoded anew every time.

    Returns
    -------
    Remembered
        A split with the same samples.
    """
    return Remembered(dataset, limit)


def class_frequencies(
    split: Scenes, classes: Sequence[str], limit: int | None = None
) -> tuple[dict[str, float], float]:
    """Count how often each class occurs.

    Parameters
    ----------
    split : Dataset
        As in `SceneSet`.
    classes : sequence of str
        The set's classes.
    limit : int, optional
        Count only so many scenes, spread evenly over the split.

    Returns
    -------
    shares : dict of str to float
        Share of the labelled pixels in [0, 1] for every class; they add up to 1.
    void : float
        Share of all pixels that belong to no class.

    Raises
    ------
    UserError
        If all pixels are void.
    """
    chosen = evenly(len(split), len(split) if limit is None else limit)
    counts = torch.zeros(VOID + 1, dtype=torch.int64)
    for index in chosen:
        counts += torch.bincount(split[index][1].flatten(), minlength=VOID + 1)
    labelled = counts[: len(classes)]
    if not labelled.sum():
        raise UserError(f"none of the {len(chosen)} scenes counted has a labelled pixel: check their labels")
    shares = (labelled / labelled.sum()).tolist()
    return dict(zip(classes, shares)), (counts[VOID] / counts.sum()).item()


def _rail_scenes(name: str, size: tuple[int, int]) -> SceneSet:
    """Return the synthetic scenes, the same at every size; the import is late: most sets do without the generator."""
    import hashlib
    import json

    from relcomp_kit.datasets import rail_scenes

    identity = json.dumps(["rail-scenes", rail_scenes.VERSION, rail_scenes.CLASSES, rail_scenes.SPLITS])
    return SceneSet(
        name=name,
        classes=rail_scenes.CLASSES,
        palette=rail_scenes.PALETTE,
        train=rail_scenes.RailScenes("train", size),
        validation=rail_scenes.RailScenes("validation", size),
        test=rail_scenes.RailScenes("test", size),
        sha256=hashlib.sha256(identity.encode()).hexdigest(),
        source="the kit's generator",
    )
