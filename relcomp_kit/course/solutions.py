"""The solutions of the exercises, as the lessons have them; they are not part of the package or of students' packs."""

from collections.abc import Callable
from pathlib import Path

from relcomp_kit.course import notebooks
from relcomp_kit.course.grade.cells import run_cell
from relcomp_kit.errors import UserError


def solution_of(name: str) -> Callable:
    """Return the solution of an exercise.

    Raises
    ------
    UserError
        If no lesson of this clone has such an exercise, or the package was installed without its clone.
    """
    for source in notebooks.find_lessons():
        if f"\ndef {name}(" in source.read_text(encoding="utf-8"):
            cells = code_cells(source)
            for index, (code, tags) in enumerate(cells):
                if "exercise" in tags and f"def {name}(" in code:
                    return run_cell([code for code, _ in cells], index)[name]
    raise UserError(f"no lesson of this clone has an exercise {name!r}: update the clone, or take a new notebook")


def code_cells(source: Path) -> list[tuple[str, list[str]]]:
    """Return the code of a lesson's cells, and the tags of each."""
    cells = [cell for cell in notebooks.read_source(source).cells if cell.cell_type == "code"]
    return [(cell.source, cell.metadata.get("tags", [])) for cell in cells]
