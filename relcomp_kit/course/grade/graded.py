"""What was marked already, so that a grading that was ended goes on where it stopped."""

import hashlib
import json
from pathlib import Path
from typing import Any

from relcomp_kit.files import write_json

VERSION = 1  # of how marks are found: another one marks anew


def digest(content: Any) -> str:
    """Return what marks depend on, plain JSON, as a hash."""
    return hashlib.sha256(json.dumps([VERSION, content]).encode()).hexdigest()


def read(folder: Path, key: str) -> list[dict] | None:
    """Return what was noted under a digest; None if that is nothing, or its file is damaged."""
    try:
        found = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, list) else None


def note(folder: Path, key: str, marks: list[dict]) -> None:
    """Note a student's marks under a digest."""
    write_json(folder / f"{key}.json", marks)
