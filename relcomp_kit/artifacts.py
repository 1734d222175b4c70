"""The cache of what was computed: trained nets, masks, curves. Safetensors and JSON, never pickles.

An artifact is named by everything that decides its content: recipe and its version, configuration,
data hash and torch's minor version. Change one of them and it is made anew.

A cache is disposable: each file holds a digest of its content and its own name. A file that is damaged, or lies under
the name of another, is put aside with a line of warning and made again. Processes and machines may share a cache; see
`relcomp_kit.cache`.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from relcomp_kit.cache import claimed, clear_leftovers, locked, set_aside
from relcomp_kit.errors import UserError
from relcomp_kit.files import cache_dir, write_atomic

# What a damaged file raises.
BROKEN = (SafetensorError, OSError, RuntimeError, AssertionError, KeyError, TypeError, ValueError, AttributeError)


class ForeignFile(UserError):
    """A safetensors file of another program: whole, but without what the kit has to know about it."""


def artifact_path(recipe: str, version: int, config: dict, data_hash: str) -> Path:
    """Return the file of an artifact; the name holds the recipe and a hash of all that decides the content.

    Parameters
    ----------
    recipe : str
        What is computed, such as "segmentation".
    version : int
        Version of the code that computes it.
    config : dict
        Its settings, JSON-able.
    data_hash : str
        Hash of the data that it is computed from.

    Returns
    -------
    Path
        A safetensors file in the cache, which may not exist yet.
    """
    torch_minor = ".".join(torch.__version__.split(".")[:2])
    identity = json.dumps([recipe, version, config, data_hash, torch_minor], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cache_dir() / "artifacts" / f"{recipe}-{digest}.safetensors"


def write_artifact(path: Path, tensors: dict[str, torch.Tensor], info: dict) -> Path:
    """Write tensors and what is known about them into one safetensors file, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    tensors : dict of str to Tensor
        Tensors by name, of any shape.
    info : dict
        What else to keep, JSON-able.

    Returns
    -------
    Path
        The file.
    """
    # from a GPU once, as digest and file both need it here
    here = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    own = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in here.items()}
    about = {"info": info, "name": Path(path).name, "sha256": content_digest(own, info)}
    return write_atomic(path, save(own, metadata={"about": json.dumps(about)}))  # keys come in any order


def content_digest(tensors: dict[str, torch.Tensor], info: dict) -> str:
    """Return the SHA-256 of tensors and info; it makes reading take about 1.4 times as long.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Tensors by name; their order does not matter.
    info : dict
        JSON-able.
    """
    digest = hashlib.sha256(json.dumps(info).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(_numbers(tensor))
    return digest.hexdigest()


def raw_bytes(tensor: torch.Tensor) -> bytes:
    """Return the numbers of a tensor as they lie in memory, row by row.

    Parameters
    ----------
    tensor : Tensor
        Dense, of any type, shape and device.
    """
    return bytes(_numbers(tensor))


def _numbers(tensor: torch.Tensor) -> memoryview:
    """Return the bytes of a tensor as `raw_bytes`, without a copy where it lies like that already."""
    if not tensor.numel():  # torch looks at the strides of what is empty, too
        return memoryview(b"")
    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    return memoryview(plain.reshape(-1).view(torch.uint8).numpy())


def read_artifact(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read an artifact back.

    Parameters
    ----------
    path : Path
        A file that `write_artifact` wrote.

    Returns
    -------
    dict of str to Tensor
        The tensors, on the CPU.
    dict
        The info.

    Raises
    ------
    UserError
        If the file cannot be read, is no artifact, or has another content than its digest says. Files of earlier
        versions have none.
    """
    try:
        tensors, about = _open(path)
        info = about["info"]
    except ForeignFile:
        raise
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a file that `relcomp` wrote") from error
    except BROKEN as error:
        raise UserError(f"{path} is damaged, or no safetensors file ({error}): make it anew") from error
    if "sha256" in about and about["sha256"] != content_digest(tensors, info):
        raise UserError(f"{path} is damaged (its SHA-256 is wrong): make it again, or fetch it again")
    return tensors, info


def read_cached(path: Path) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Read an artifact of the cache if it is whole; put it aside if it is not, with a line on stderr.

    For the one who makes it again, and so holds its lock; `peek` is for all others.

    Parameters
    ----------
    path : Path
        Where `write_artifact` wrote it.

    Returns
    -------
    (dict of str to Tensor, dict) or None
        Tensors on the CPU, and the info. None if there is no file, or one that is damaged, that was written under
        another name, or that has no digest.

    Raises
    ------
    UserError
        If the file is there and this user may not read it.
    """
    found = peek(path)
    if found is None:
        set_aside(path)
    return found


def peek(path: Path) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Read an artifact of the cache if it is whole, as `read_cached`, and leave it where it is.

    Parameters
    ----------
    path : Path
        Where `write_artifact` wrote it.

    Returns
    -------
    (dict of str to Tensor, dict) or None
        As `read_cached` returns them.

    Raises
    ------
    UserError
        If the file is there and this user may not read it.
    """
    try:
        tensors, about = _open(path)
        fits = about["name"] == path.name and about["sha256"] == content_digest(tensors, about["info"])
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; choose another cache by $RELCOMP_CACHE") from error
    except BROKEN:
        return None
    return (tensors, about["info"]) if fits else None


def _open(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Return the tensors of a file, and its info with name and digest; earlier versions wrote the info alone.

    The file is opened once and read as a whole. `safetensors.safe_open` opens it twice, between which another process
    may replace it, and its tensors are the file itself, with which they would change.
    """
    data = path.read_bytes()
    loaded = load(data)  # checks the header, too; in an order that changes from call to call
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = header.pop("__metadata__", {})
    tensors = {name: loaded[name] for name in header}
    if not metadata.keys() & {"about", "info"}:
        raise ForeignFile(f"{path} was not written by this kit: name a file that `relcomp train` or `decode` wrote")
    return tensors, json.loads(metadata["about"]) if "about" in metadata else {"info": json.loads(metadata["info"])}


def load_or_make(
    recipe: str,
    version: int,
    config: dict,
    data_hash: str,
    make: Callable[[Path], tuple[dict, dict]],
    *,
    together: bool = False,
) -> tuple[dict[str, torch.Tensor], dict]:
    """Return an artifact from the cache, or make and keep it.

    Of several processes that want the same, on one machine or on several, one makes it and the others wait; see
    `relcomp_kit.cache`.

    Parameters
    ----------
    recipe : str
        What is computed, such as "segmentation".
    version : int
        Version of the code that computes it.
    config : dict
        Its settings, JSON-able.
    data_hash : str
        Hash of the data that it is computed from.
    make : callable
        Called with the path of a partial artifact, in which a long computation keeps its state so that a
        killed run resumes; returns ``(tensors, info)``.
    together : bool
        Whether several machines make it by one common call, so that none can wait for another before.

    Returns
    -------
    dict of str to Tensor
        The tensors.
    dict
        The info.

    Raises
    ------
    UserError
        If the cache cannot be read or written to.
    """
    path = artifact_path(recipe, version, config, data_hash)
    partial = path.with_suffix(".partial")
    found = peek(path)
    if found is not None:
        if partial.exists():  # who made the artifact was killed before this was removed
            with claimed([path]) as free:
                for _ in free:
                    partial.unlink(missing_ok=True)
        return found
    with claimed([path]) if together else locked(path) as alone:
        found = read_cached(path)  # another process may have made it meanwhile
        if found is None:
            if alone and not together:
                clear_leftovers(path, partial)
            found = make(partial)
            write_artifact(path, *found)
            partial.unlink(missing_ok=True)
    return found
