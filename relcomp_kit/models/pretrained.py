"""Torchvision's trained weights: downloaded once, checked by hash, and read without unpickling anything but tensors."""

import hashlib
import io
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

from torch import Tensor
from torchvision.models import WeightsEnum

from relcomp_kit.cache import set_aside
from relcomp_kit.datasets import download
from relcomp_kit.errors import UserError
from relcomp_kit.files import cache_dir, make_folder


def downloaded_state(weights: WeightsEnum, title: str) -> dict[str, Tensor]:
    """Return trained weights from the cache, downloaded on first use.

    The download is checked against the hash in its name.

    Parameters
    ----------
    weights : WeightsEnum
        An entry of torchvision's lists of weights.
    title : str
        What they are, for messages.

    Returns
    -------
    dict of str to Tensor
        The state of torchvision's net, on the CPU.

    Raises
    ------
    relcomp_kit.datasets.download.Unreachable
        Within 10 s if there is no network, no answer, or ``$RELCOMP_OFFLINE`` is set.
    UserError
        If the server sends other bytes, or the file is damaged.
    """
    file = make_folder(cache_dir() / "weights") / weights.url.rsplit("/", 1)[1]
    cure = f"put it there yourself, as {file}"
    if file.is_file() and not _whole(file):
        set_aside(file, "downloaded again")
    if not file.exists():
        if download.offline():
            raise download.Unreachable(f"RELCOMP_OFFLINE is set, so {title} is not downloaded: unset it, or {cure}")
        download.probe(title, weights.url, cure)
    try:
        with _time_limit(download.READ_SECONDS), redirect_stdout(io.StringIO()):  # the loader prints where it writes
            found = weights.get_state_dict(
                model_dir=str(file.parent),
                progress=sys.stderr.isatty(),
                check_hash=True,
                map_location="cpu",
                weights_only=True,
            )
        if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
            raise UnpicklingError("no state of a net")
        return found
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and file.exists():  # there, but a folder or not to be read
            raise UserError(f"{title} cannot be used, {file} cannot be read ({error.strerror}): {cure}") from error
        raise download.unreachable(title, weights.url, error, cure) from error
    except (
        RuntimeError,
        UnpicklingError,
        EOFError,
        LookupError,
        ValueError,
    ) as error:  # what nonsense makes of unpickling
        state = (
            f"{file} is damaged: delete it"
            if file.is_file()
            else f"{weights.url} sent other bytes (wrong hash): try another network"
        )
        raise UserError(f"{title} cannot be used, {state}, and try again") from error


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Let a stalled download fail: torch's loader gives its connections no time limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _whole(file: Path) -> bool:
    """Say whether a file of weights has the hash that torchvision's names end with; torch checks only a download."""
    return hashlib.sha256(file.read_bytes()).hexdigest().startswith(file.stem.rsplit("-", 1)[1])
