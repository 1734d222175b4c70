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
    """Return the file of an artifact; the name holds the recipe and a hash of all that decides the content."""
    torch_minor = ".".join(torch.__version__.split(".")[:2])
    identity = json.dumps([recipe, version, config, data_hash, torch_minor], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cache_dir() / "artifacts" / f"{recipe}-{digest}.safetensors"


def write_artifact(path: Path, tensors: dict[str, torch.Tensor], info: dict) -> Path:
    """Write tensors and a JSON-able ``info`` into one safetensors file, atomically."""
    own = {name: tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    return write_atomic(path, save(own, metadata={"info": json.dumps(info)}))


def read_artifact(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Read an artifact back: (tensors, info)."""
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
    recipe, version, config, data_hash
        What decides the content; see `artifact_path`.
    make : callable
        Called with the path of a partial artifact, in which a long computation keeps its state so that a
        killed run resumes; returns ``(tensors, info)``.
    """
    path = artifact_path(recipe, version, config, data_hash)
    if path.is_file():
        return read_artifact(path)
    partial = path.with_suffix(".partial")
    tensors, info = make(partial)
    write_artifact(path, tensors, info)
    partial.unlink(missing_ok=True)
    return tensors, info
