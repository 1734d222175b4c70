"""Trained nets in half precision: small enough to be committed, and checked against their hash when they are read."""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout, write_atomic
from relcomp_kit.models.classifiers import NETS, classifier
from relcomp_kit.models.deeplab import SIZES, deeplab

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIST = "checkpoints.toml"
MOST_BYTES = 40 * 10**6  # of all committed checkpoints
RELATIVE_STEP = 2**-10  # of half precision, for numbers from 6e-5 to 65504


def save_half(path: Path, state: dict[str, Tensor], info: dict) -> Path:
    """Write a trained state in half precision.

    A tensor stays float32 where half precision would change it by more than its step: a number above 65504, or a
    variance of batch-norm near 0, which decides a channel's scale by its inverse.

    Parameters
    ----------
    path : Path
        A safetensors file.
    state : dict of str to Tensor
        State of a net; whole numbers stay as they are.
    info : dict
        JSON-able, with ``net`` (a size of `relcomp_kit.models.deeplab.deeplab`, or a key of
        `relcomp_kit.models.classifiers.NETS`) and ``classes`` (names), and all that
        is needed to train the net again: recipe, seed, metrics, commit.

    Returns
    -------
    Path
        The file.
    """
    return write_artifact(path, {name: _halved(name, value) for name, value in state.items()}, info)


def _halved(name: str, value: Tensor) -> Tensor:
    if not value.is_floating_point():
        return value
    half = value.half()
    if not half.isfinite().all():
        return value
    changed = (half.float() - value).abs() > RELATIVE_STEP * value.abs()
    return value if name.endswith("running_var") and changed.any() else half


def load_net(name: str | Path, classes: Sequence[str] | None = None) -> nn.Module:
    """Load a trained net as `load` does, without its info.

    Parameters
    ----------
    name : str or Path
        A committed name, such as "compact-rail-scenes-0", or a path that ends in ``.safetensors``.
    classes : sequence of str, optional
        The classes that the net has to know, in this order.

    Returns
    -------
    nn.Module
        The net, in float32 and eval mode.

    Raises
    ------
    UserError
        If there is no such checkpoint, its bytes are not those that were committed, or it is for other classes.
    """
    return load(name, classes)[0]


def load(name: str | Path, classes: Sequence[str] | None = None) -> tuple[nn.Module, dict]:
    """Load a trained net: a committed one by its name, or any by its file.

    Parameters
    ----------
    name : str or Path
        A name listed in ``data/checkpoints/checkpoints.toml``, such as "compact-rail-scenes-0", or a path that ends
        in ``.safetensors``.
    classes : sequence of str, optional
        The classes that the net has to know, in this order.

    Returns
    -------
    nn.Module
        The net, in float32 and eval mode.
    dict
        The info that it was saved with.

    Raises
    ------
    UserError
        If there is no such checkpoint, its bytes are not those that were committed, or it is for other classes.
    """
    file = Path(name) if str(name).endswith(".safetensors") else _committed(str(name))
    state, info = _read(file)
    if classes is not None and list(classes) != info["classes"]:
        raise UserError(
            f"the net {name} knows the classes {', '.join(info['classes'])}, not {', '.join(classes)}: "
            "take a net that was trained on this set"
        )
    net = classifier(info["net"]) if info["net"] in NETS else deeplab(info["net"], len(info["classes"]))
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(f"{file} does not hold the weights of a {info['net']} net: make it again") from error
    return net.eval(), info


def name_of(net: str, dataset: str, seed: int) -> str:
    """Return the name of the checkpoint of a net, a set of scenes and a seed.

    Parameters
    ----------
    net : str
        One of `relcomp_kit.models.deeplab.SIZES`.
    dataset : str
        Name of the set that the net was trained on.
    seed : int
        Seed of the training.

    Returns
    -------
    str
        Such as "compact-rail-scenes-0".
    """
    return f"{net}-{dataset}-{seed}"


def committed(folder: Path | None = None) -> dict[str, dict]:
    """Return the committed checkpoints.

    Parameters
    ----------
    folder : Path, optional
        Where they are; by default ``data/checkpoints`` of the clone.

    Returns
    -------
    dict of str to dict
        By name ``file``, ``sha256``, ``size`` in bytes, ``net`` and ``classes``; empty if the folder lists none.

    Raises
    ------
    UserError
        If the list of checkpoints cannot be read.
    """
    file = (folder or _folder()) / LIST
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}): restore it from the repository") from error


def commit_checkpoint(path: Path, folder: Path | None = None) -> Path:
    """Put a checkpoint and its log and metrics (``.csv`` and ``.json`` beside it) among the committed ones.

    Its name there is the file's, without suffix; a checkpoint of that name is replaced.

    Parameters
    ----------
    path : Path
        A file that `save_half` wrote.
    folder : Path, optional
        Where to put it; by default ``data/checkpoints`` of the clone.

    Returns
    -------
    Path
        The list of the committed checkpoints, which now names this one too.

    Raises
    ------
    UserError
        If all of them together would exceed 40 MB, or the file is missing or is no checkpoint.
    """
    folder = folder or _folder()
    _, info = _read(path)
    content = path.read_bytes()
    listed = committed(folder) | {
        path.stem: {
            "file": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "net": info["net"],
            "classes": info["classes"],
        }
    }
    total = sum(entry["size"] for entry in listed.values())
    if total > MOST_BYTES:
        raise UserError(
            f"with {path.name} the committed checkpoints would take {total / 1e6:.1f} MB, and "
            f"{MOST_BYTES / 1e6:.0f} MB is the most: take others away, or commit the command that makes it"
        )
    for beside in (path, path.with_suffix(".csv"), path.with_suffix(".json")):
        if beside.is_file():
            write_atomic(folder / beside.name, beside.read_bytes())
    lines = ["# Trained nets that come with the repository. `relcomp train --record` writes this file.\n"]
    for name, entry in sorted(listed.items()):  # JSON's strings, numbers and lists are TOML's
        values = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in entry.items())
        lines.append(f"\n[{json.dumps(name)}]\n{values}")
    return write_atomic(folder / LIST, "".join(lines))


def _read(file: Path) -> tuple[dict[str, Tensor], dict]:
    """Return the state and the info of a checkpoint; half precision fits into a float32 net as it is."""
    if not file.is_file():
        raise UserError(f"{file} is missing: `relcomp train` makes such a file")
    state, info = read_artifact(file)
    if not (isinstance(info, dict) and info.get("net") in (*SIZES, *NETS) and isinstance(info.get("classes"), list)):
        raise UserError(f"{file} does not say which net and classes it is for: take a file that `relcomp train` made")
    return state, info


def _folder() -> Path:
    """Return the folder of the committed checkpoints."""
    return checkout() / "data" / "checkpoints"


def _committed(name: str) -> Path:
    """Return the file of a committed checkpoint after comparing its hash."""
    listed = committed()
    if name not in listed:
        raise UserError(
            f"there is no committed net {name!r}: choose one of {', '.join(sorted(listed)) or 'none'}, "
            "or name a .safetensors file that `relcomp train` made"
        )
    file = _folder() / listed[name]["file"]
    if not file.is_file():
        raise UserError(f"{file} is missing: restore it from the repository")
    if hashlib.sha256(file.read_bytes()).hexdigest() != listed[name]["sha256"]:
        raise UserError(f"{file} is not the file that was committed (wrong sha256): restore it from the repository")
    return file
