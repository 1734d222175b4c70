"""Marks as tables in the terminal, as JSON, and as CSV for a spreadsheet, with a reason for every mark lost."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from relcomp_kit.course.grade.marks import STATES, Mark
from relcomp_kit.files import write_atomic, write_json

MOST = 4  # exercises that are named for one reason


def terminal_tables(marks: Sequence[Mark]) -> list:
    """Return a rich table of students and exercises for every lesson."""
    from rich.table import Table
    from rich.text import Text

    tables = []
    for lesson in dict.fromkeys(mark.lesson for mark in marks):
        rows = _by_student([mark for mark in marks if mark.lesson == lesson])
        table = Table(title=lesson, title_justify="left", header_style="bold")
        for name in ("student", *(mark.exercise for mark in next(iter(rows.values()))), "right"):
            table.add_column(name)
        for student, row in rows.items():
            table.add_row(Text(student), *(Text(mark.state, style=STATES[mark.state]) for mark in row), _right(row))
        tables.append(table)
    return tables


def reasons(marks: Sequence[Mark]) -> list[str]:
    """Return a line for whatever went wrong: the student, the exercises by number of the lesson, and the reason."""
    places: dict[tuple[str, str], list[str]] = {}
    for mark in marks:
        if mark.detail:
            places.setdefault((mark.student, mark.detail), []).append(f"{mark.lesson[:2]} {mark.exercise}")
    return [
        f"{student}: {', '.join(some[:MOST])}{', ...' if len(some) > MOST else ''}: {detail}"
        for (student, detail), some in places.items()
    ]


def begun(marks: Sequence[Mark]) -> list[Mark]:
    """Return the marks of the lessons that at least one student has begun; all if there is none."""
    lessons = {mark.lesson for mark in marks if mark.state not in ("not attempted", "not handed in")}
    return [mark for mark in marks if mark.lesson in lessons] or list(marks)


def write_marks(marks: Sequence[Mark], folder: Path, remarks: Mapping[str, list[str]]) -> tuple[Path, Path]:
    """Write ``marks.json`` and ``marks.csv``, and return their paths.

    Parameters
    ----------
    marks : sequence of Mark
        At least one; those of a student come in the order of the columns.
    folder : Path
        Where the two files go.
    remarks : mapping of str to list of str
        Of students: what does not count, and why.
    """
    students = _by_student(marks)
    content = {
        student: [
            {"lesson": one.lesson, "exercise": one.exercise, "state": one.state, "detail": one.detail} for one in row
        ]
        for student, row in students.items()
    }
    names = [f"{mark.lesson[:2]} {mark.exercise}" for mark in next(iter(students.values()))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "right", "of", *names, "why", "remarks"])
    for student, row in students.items():
        right = sum(mark.state == "right" for mark in row)
        why = "; ".join(_why(mark) for mark in row if mark.state != "right")
        more = "; ".join(remarks.get(student, ()))
        writer.writerow(
            [_harmless(student), right, len(row), *(mark.state for mark in row), _harmless(why), _harmless(more)]
        )
    return write_json(folder / "marks.json", content), write_atomic(folder / "marks.csv", text.getvalue())


def _why(mark: Mark) -> str:
    """Return why an exercise earned nothing."""
    return f"{mark.lesson[:2]} {mark.exercise} {mark.state}" + (f": {mark.detail}" if mark.detail else "")


def _by_student(marks: Sequence[Mark]) -> dict[str, list[Mark]]:
    students: dict[str, list[Mark]] = {}
    for mark in marks:
        students.setdefault(mark.student, []).append(mark)
    return students


def _right(marks: Sequence[Mark]) -> str:
    return f"{sum(mark.state == 'right' for mark in marks)} of {len(marks)}"


def _harmless(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
