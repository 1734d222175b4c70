"""The code of a student's notebook, and the lesson it belongs to, whatever happened to the file."""

import json
import re
from collections.abc import Mapping

DEFINED = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)|^(\w+)\s*=", re.MULTILINE)
CELLS = re.compile(rb'"cells"\s*:\s*\[')


def code_of(content: bytes) -> tuple[list[str], bool]:
    """Return the code of a notebook's cells, and whether the file is whole: if not, the cells before the damage.

    Parameters
    ----------
    content : bytes
        Of the file: a notebook of nbformat 3 or 4, with or without ids, or the beginning of one.

    Raises
    ------
    ValueError
        If it is no notebook.
    """
    try:
        return _code(json.loads(content)), True
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        cells = [_source(cell) for cell in _readable_cells(content) if cell.get("cell_type") == "code"]
        if not cells:
            raise ValueError("the file is no notebook") from error
        return cells, False


def lesson_of(stem: str, cells: list[str], lessons: Mapping[str, set[str]]) -> str | None:
    """Return the lesson that a notebook belongs to: that in its name, or the one whose exercises it has.

    Parameters
    ----------
    stem : str
        The file's name; browsers and students put more before and behind the lesson's.
    cells : list of str
        The code.
    lessons : mapping of str to set of str
        The names of the lessons' exercises.
    """
    defined = {name for code in cells for pair in DEFINED.findall(code) for name in pair}
    shares = {name: len(functions & defined) / max(1, len(functions)) for name, functions in lessons.items()}
    named = next((name for name in lessons if name in stem), None)
    best = max(shares, key=shares.__getitem__, default=None)
    if named is not None and (shares[named] > 0 or shares[best] < 0.5):
        return named
    return best if best is not None and shares[best] >= 0.5 else None


def _code(notebook: dict) -> list[str]:
    """Return the code of a notebook; up to nbformat 3 the cells lie in worksheets."""
    cells = notebook["cells"] if "cells" in notebook else [c for one in notebook["worksheets"] for c in one["cells"]]
    return [_source(cell) for cell in cells if cell["cell_type"] == "code"]


def _source(cell: dict) -> str:
    """Return a cell's text, which is one text or a list of lines, and has another name up to nbformat 3."""
    source = cell["source"] if "source" in cell else cell["input"]
    return source if isinstance(source, str) else "".join(source)


def _readable_cells(content: bytes) -> list[dict]:
    """Return the whole cells at the beginning of a damaged notebook."""
    start = CELLS.search(content)
    if start is None:
        return []
    text, found, place = content[start.end() :].decode("utf-8", "replace"), [], 0
    while True:
        place += re.compile(r"[\s,]*").match(text, place).end() - place
        try:
            cell, place = json.JSONDecoder().raw_decode(text, place)
        except (ValueError, RecursionError):
            return found
        if not isinstance(cell, dict) or not isinstance(cell.get("source", ""), (str, list)):
            return found
        found.append(cell)
