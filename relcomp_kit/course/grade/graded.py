"""What was marked already, so that a grading that was ended goes on where it stopped."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from relcomp_kit.files import write_json

VERSION = 1  # of how marks are found: another one marks anew


def digest(content: Any) -> str:
    """Return what marks depend on, plain JSON, as a hash."""
    return hashlib.sha256(json.dumps([VERSION, content]).encode()).hexdigest()


def read(folder: Path, key: str) -> list[dict] | None:
    """Return what was noted under a digest; None if that is nothing, or its file is damaged.

    Parameters
    ----------
    folder : Path
        Where marks are noted.
    key : str
        The digest.
    """
    try:
        found = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) else None


def note(folder: Path, key: str, marks: list[dict]) -> None:
    """Note a student's marks under a digest.

    Parameters
    ----------
    folder : Path
        Where marks are noted.
    key : str
        The digest.
    marks : list of dict
        A mark of each exercise, JSON-able.
    """
    write_json(folder / f"{key}.json", marks)


def kept_seed(folder: Path, seed: int | None) -> int:
    """Return the seed of the cases: the one that is given, else that of the grading that goes on, else a new one.

    Parameters
    ----------
    folder : Path
        Where marks are noted; it keeps the seed, too.
    seed : int, optional
        0 or more.
    """
    file = folder / "seed.json"
    if seed is None:
        try:
            seed = int(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            seed = secrets.randbits(32)
    write_json(file, seed)
    return seed
