"""CIFAR-10 (Krizhevsky 2009): from its own batches, or from a folder of pictures a class.

The order of the pictures is made canonical, by class and content. So both layouts give the same set, split the same
way, with the same hash.
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relcomp_kit.datasets.pictures import read_rgb
from relcomp_kit.errors import UserError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {  # the published MD5 of every file
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
PICTURES = {"train": 50_000, "test": 10_000}

Part = tuple[np.ndarray, np.ndarray]


def read_batches(folder: Path) -> dict[str, Part]:
    """Read the published batches, each checked against its published hash and unpickled without running any code.

    Parameters
    ----------
    folder : Path
        ``cifar-10-batches-py``.

    Returns
    -------
    dict of str to (ndarray, ndarray)
        "train" and "test": pictures (N, 3, 32, 32), uint8, and their classes (N,), int64.

    Raises
    ------
    UserError
        In one sentence, if a file is missing, is not the published one, or holds something else than a batch.
    """
    parts = {name: _read_batch(folder / name, md5) for name, md5 in BATCHES.items()}
    test = parts.pop("test_batch")
    train = [np.concatenate(arrays) for arrays in zip(*parts.values())]
    return {"train": canonical(train[0], train[1]), "test": canonical(*test)}


def _read_batch(path: Path, md5: str) -> Part:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): run `relcomp fetch cifar10`") from error
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise UserError(
            f"{path} is not the published file (wrong MD5): delete the folder and run `relcomp fetch cifar10`"
        )
    try:
        batch = _Plain(content).load()
        pictures = np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[b"labels"], np.int64)
    except (pickle.UnpicklingError, KeyError, TypeError, ValueError, EOFError, AttributeError, IndexError) as error:
        raise UserError(f"{path} is no batch of CIFAR-10 ({error}): run `relcomp fetch cifar10`") from error
    if len(pictures) != len(labels) or not 0 <= labels.min(initial=0) <= labels.max(initial=0) < len(CLASSES):
        raise UserError(f"{path} holds {len(pictures)} pictures and {len(labels)} labels that do not fit together")
    return pictures, labels


class _Plain(pickle.Unpickler):
    """Unpickles arrays, dicts, lists, text and numbers only, so that a file cannot have other functions called."""

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        """Return what an array is rebuilt with; refuse every other name."""
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return _bytes
        if (module, name) == ("numpy", "dtype"):
            return _plain_dtype
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _bytes(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


def _empty_array(kind: type, shape: tuple, code: bytes) -> np.ndarray:
    """Return the empty array that a pickle fills afterwards; refuse one that would allocate memory now."""
    if kind is not np.ndarray or shape != (0,) or code != b"b":
        raise pickle.UnpicklingError("its array is not rebuilt as NumPy writes it")
    return np.empty(0, np.int8)


def _plain_dtype(code: Any, *flags: Any) -> np.dtype:
    """Return a type of whole numbers; refuse all others, since arrays of objects could hold anything."""
    dtype = np.dtype(code.decode() if isinstance(code, bytes) else str(code))
    if dtype.kind not in "ui":
        raise pickle.UnpicklingError(f"its array holds {dtype}")
    return dtype


def read_folders(folder: Path) -> dict[str, Part]:
    """Read pictures that lie as ``train/<class>/<any name>.png`` and ``test/<class>/<any name>.png``.

    Parameters
    ----------
    folder : Path
        Holds ``train`` and ``test``.

    Returns
    -------
    dict of str to (ndarray, ndarray)
        As `read_batches`.

    Raises
    ------
    UserError
        In one sentence, if a class, or a picture, is missing, or a file is no picture of 32x32.
    """
    found = {}
    for split, count in PICTURES.items():
        files = [(path, index) for index, name in enumerate(CLASSES) for path in (folder / split / name).glob("*.png")]
        if len(files) != count:
            raise UserError(f"{folder / split} holds {len(files):,} pictures of the ten classes, not {count:,}")
        pictures = np.stack([_read_picture(path) for path, _ in files])
        found[split] = canonical(pictures, np.array([index for _, index in files], np.int64))
    return found


def _read_picture(path: Path) -> np.ndarray:
    picture = np.asarray(read_rgb(path))
    if picture.shape != (32, 32, 3):
        raise UserError(f"{path} is {picture.shape[1]}x{picture.shape[0]} and CIFAR-10's pictures 32x32")
    return picture.transpose(2, 0, 1)


def canonical(pictures: np.ndarray, labels: np.ndarray) -> Part:
    """Return pictures and labels sorted by class, then by content.

    Parameters
    ----------
    pictures : ndarray
        (N, 3, 32, 32), uint8.
    labels : ndarray
        (N,), int64.

    Returns
    -------
    (ndarray, ndarray)
        The same, in an order that depends on nothing else.
    """
    keys = [hashlib.sha256(picture.tobytes()).digest() for picture in pictures]
    order = sorted(range(len(keys)), key=lambda index: (labels[index], keys[index]))
    return np.ascontiguousarray(pictures[order]), labels[order]


def to_tensors(parts: dict[str, Part]) -> dict[str, torch.Tensor]:
    """Return both parts as tensors by name, "train images" to "test labels", to be kept in the cache."""
    return {
        f"{split} {what}": torch.from_numpy(array)
        for split, arrays in parts.items()
        for what, array in zip(("images", "labels"), arrays)
    }
