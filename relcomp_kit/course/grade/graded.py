"""What was marked already, so that a grading that was ended goes on where it stopped."""

import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from relcomp_kit.cache import read_record, set_aside, write_record

VERSION = 1  # of how marks are found: another one marks anew


def digest(content: Any) -> str:
    """Return what marks depend on, plain JSON, as a hash."""
    return hashlib.sha256(json.dumps([VERSION, content]).encode()).hexdigest()


def read(folder: Path, key: str) -> list[dict] | None:
    """Return what was noted under a digest; None if that is nothing, or its file is damaged, or another's.

    Parameters
    ----------
    folder : Path
        Where marks are noted. A damaged file is put aside, with a line on stderr.
    key : str
        The digest.
    """
    file = folder / f"{key}.json"
    found = read_record(file)
    if found is not None and found.get("of") == key:
        return found["marks"]
    set_aside(file, "its student is marked again")
    return None


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
    write_record(folder / f"{key}.json", {"of": key, "marks": marks})


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
        found = read_record(file)
        if found is None:
            set_aside(file, "all are marked again, on other cases")
        seed = secrets.randbits(32) if found is None else found["seed"]
    write_record(file, {"seed": seed})
    return seed
