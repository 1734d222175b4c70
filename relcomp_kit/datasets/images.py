"""Small grey images with labels: MNIST, Fashion-MNIST, and scikit-learn's digits as a stand-in."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relcomp_kit import files
from relcomp_kit.datasets import download
from relcomp_kit.errors import UserError

SPLIT_SEED = 20240  # of the permutation that separates validation from training images


@dataclass(frozen=True, eq=False)
class Split:
    """Images and labels of one split.

    Parameters
    ----------
    images : Tensor
        (N, C, H, W): grey ones float32 in [0, 1]; those of `relcomp_kit.datasets.labelled` uint8.
    labels : Tensor
        Class of every image (N,), int64. Where an image has several: (N, classes), uint8, 1 for each that is there.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set in three splits.

    Parameters
    ----------
    name : str
        The set's name, one of `relcomp_kit.datasets.NAMES` or of `relcomp_kit.datasets.labelled.NAMES`.
    train, validation, test : Split
        Images and labels to train with, to choose settings by, and to report results on.
    classes : tuple of str
        Name of every class; a label is an index into it.
    sha256 : str
        Identifies the images, the labels and the way they are split.
    source : str
        Where the set was found, for people to read.
    stand_in_for : str, optional
        Name of the set that was asked for but is not available; None if this is the set that was asked for.
    scale : (tuple of float, tuple of float), optional
        Mean and standard deviation that a net wants taken out of uint8 images, where they are not the usual ones; see
        `relcomp_kit.datasets.transforms.standardize`.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    sha256: str
    source: str
    stand_in_for: str | None = None
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None


def load(name: str = "mnist") -> ImageSet:
    """Load a data set: from ``$RELCOMP_DATA``, the cache, a download, or (for MNIST) digits as a stand-in.

    Parameters
    ----------
    name : str
        One of `relcomp_kit.datasets.NAMES`.

    Returns
    -------
    ImageSet
        MNIST and Fashion-MNIST: 55,000, 5,000 and 10,000 images of 28x28; digits: 1,257, 180 and 360 of 8x8.

    Raises
    ------
    UserError
        If the name is unknown, ``$RELCOMP_DATA`` is set but lacks MNIST, a file is damaged, or Fashion-MNIST cannot
        be downloaded.
    """
    download.check_name(name)
    folder = download.data_dir()
    if name == "digits":
        return _digits()
    if folder is not None:
        lacking = download.missing(name, folder)
        if not lacking:
            return _read(name, folder, "RELCOMP_DATA")
        if name == "mnist" or len(lacking) < len(download.entry(name)["gz"]):
            raise UserError(
                f"RELCOMP_DATA names {folder}, which lacks {', '.join(lacking)}: put the unpacked files there, "
                f"or unset RELCOMP_DATA and run `relcomp fetch {name}`"
            )
    cache = files.cache_dir() / "data"
    download.put_damaged_aside(name)
    if not download.missing(name, cache):
        return _read(name, cache, "cache")
    try:
        download.fetch(name)
    except download.Unreachable as error:
        if name == "mnist":
            return _digits(stand_in_for="mnist")
        raise UserError(f"{name} is not on this machine; `relcomp fetch {name}` downloads it ({error})") from error
    return _read(name, cache, "download")


def banner(dataset: ImageSet) -> str:
    """Return what to print above every result: the set, its sizes and its source, with a warning for a stand-in.

    Parameters
    ----------
    dataset : ImageSet
        The set that the result is about.

    Returns
    -------
    str
        One line, or for a stand-in several lines framed by exclamation marks.
    """
    counts = [f"{len(split.labels):,}" for split in (dataset.train, dataset.validation, dataset.test)]
    height, width = dataset.train.images.shape[2:]
    line = (
        f"{dataset.name}: {counts[0]} training, {counts[1]} validation and {counts[2]} test images "
        f"of {height}x{width}, {len(dataset.classes)} classes, from {dataset.source}"
    )
    if dataset.stand_in_for is None:
        return line
    title = download.entry(dataset.stand_in_for)["title"]
    text = [
        f"SCIKIT-LEARN'S DIGITS STAND IN FOR {title.upper()}",
        line,
        f"Nothing below decides a claim about {title}: it shows the method, on smaller and easier images.",
        f"For {title}: go online and run `relcomp fetch {dataset.stand_in_for}`,",
        f"or set RELCOMP_DATA to a folder that holds {download.entry(dataset.stand_in_for)['folder']}/raw.",
    ]
    rule = "!" * max(map(len, text))
    return "\n".join([rule, *text, rule])


def _read(name: str, root: Path, source: str) -> ImageSet:
    """Read the four files through torchvision, checked against the registry, and split them."""
    from torchvision import datasets

    known = download.entry(name)
    raw = root / known["folder"] / "raw"
    hashes = {file: _check_hash(name, raw / file, known["raw"].get(file)) for file in known["gz"]}
    reader = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}[name]
    parts: dict[str, tuple[Tensor, Tensor]] = {}
    for part, train, count in (("train", True, known["train"] + known["validation"]), ("t10k", False, known["test"])):
        try:
            data = reader(root, train=train, download=False)
        except (AssertionError, ValueError, RuntimeError, LookupError) as error:
            raise _damaged(name, raw / f"{part}-images-idx3-ubyte or its labels", "cut short or no IDX file") from error
        if data.data.shape != (count, 28, 28) or data.targets.shape != (count,):
            shapes = f"{tuple(data.data.shape)} images and {tuple(data.targets.shape)} labels, not {count:,}"
            raise _damaged(name, raw / f"{part}-images-idx3-ubyte or its labels", shapes)
        if not 0 <= int(data.targets.min()) <= int(data.targets.max()) < len(known["classes"]):
            raise _damaged(name, raw / f"{part}-labels-idx1-ubyte", "a label is no class")
        parts[part] = (data.data, data.targets)
    images, labels = parts["train"]
    train_index, validation_index = split_indices(known["train"], known["validation"])
    identity = [sorted(hashes.items()), SPLIT_SEED, known["train"], known["validation"]]
    return ImageSet(
        name=name,
        train=_as_split(images[train_index], labels[train_index], 255),
        validation=_as_split(images[validation_index], labels[validation_index], 255),
        test=_as_split(*parts["t10k"], 255),
        classes=tuple(known["classes"]),
        sha256=hashlib.sha256(json.dumps(identity).encode()).hexdigest(),
        source=source,
    )


def _check_hash(name: str, path: Path, expected: str | None) -> str:
    """Return a file's sha256, after comparing it with the registry's."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    if expected is not None and found != expected:
        raise _damaged(name, path, f"{path.stat().st_size:,} bytes with a wrong sha256")
    return found


def _damaged(name: str, path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is damaged ({reason}): delete it and run `relcomp fetch {name}`, or put the original file there"
    )


def split_indices(train: int, validation: int) -> tuple[Tensor, Tensor]:
    """Return the sorted indices of training and validation images, the same on every machine.

    Parameters
    ----------
    train, validation : int
        How many of each.

    Returns
    -------
    (Tensor, Tensor)
        Indices (train,) and (validation,), int64, which together cover all images.
    """
    order = np.random.Generator(np.random.PCG64(SPLIT_SEED)).permutation(train + validation)
    return torch.from_numpy(np.sort(order[:train])), torch.from_numpy(np.sort(order[train:]))


def _as_split(images: Tensor, labels: Tensor, white: int) -> Split:
    return Split(images.unsqueeze(1).float() / white, labels.long())


def _digits(stand_in_for: str | None = None) -> ImageSet:
    """Return scikit-learn's 1,797 digits of 8x8, split 70/10/20 with the same share of each class."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    images, labels = data.images.astype(np.uint8), data.target.astype(np.int64)
    index = np.arange(len(labels))
    rest, test = train_test_split(index, test_size=360, stratify=labels, random_state=0)
    train, validation = train_test_split(rest, test_size=180, stratify=labels[rest], random_state=0)
    splits = [np.sort(part) for part in (train, validation, test)]
    content = b"".join(images[part].tobytes() + labels[part].tobytes() for part in splits)
    made = [_as_split(torch.from_numpy(images[part]), torch.from_numpy(labels[part]), 16) for part in splits]
    return ImageSet(
        name="digits",
        train=made[0],
        validation=made[1],
        test=made[2],
        classes=tuple(str(digit) for digit in data.target_names),
        sha256=hashlib.sha256(content).hexdigest(),
        source="scikit-learn",
        stand_in_for=stand_in_for,
    )
