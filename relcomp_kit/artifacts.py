"""The cache of what was computed: trained nets, masks, curves. Safetensors and JSON, never pickles.

An artifact is named by everything that decides its content: recipe and its version, configuration,
data hash and torch's minor version. Change one of them and it is made anew.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from relcomp_kit.errors import UserError
from relcomp_kit.files import cache_dir, write_atomic


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
    own = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    return write_atomic(path, save(own, metadata={"info": json.dumps(info)}))


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
        If the file cannot be read or is no artifact.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not iterable itself)
            return tensors, json.loads(file.metadata()["info"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again") from error


def load_or_make(
    recipe: str, version: int, config: dict, data_hash: str, make: Callable[[Path], tuple[dict, dict]]
) -> tuple[dict[str, torch.Tensor], dict]:
    """Return an artifact from the cache, or make and keep it.

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

    Returns
    -------
    dict of str to Tensor
        The tensors.
    dict
        The info.

    Raises
    ------
    UserError
        If the artifact in the cache is damaged, or the cache cannot be written to.
    """
    path = artifact_path(recipe, version, config, data_hash)
    if path.is_file():
        return read_artifact(path)
    partial = path.with_suffix(".partial")
    tensors, info = make(partial)
    write_artifact(path, tensors, info)
    partial.unlink(missing_ok=True)
    return tensors, info
