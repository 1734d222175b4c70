"""The commands for teachers: `relcomp slides`, `exercises`, `grade`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from relcomp_kit.cli.options import Lessons, file_to_write
from relcomp_kit.errors import UserError


def slides(
    lessons: Lessons = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the decks go.")] = Path("slides"),
) -> None:
    """Make slides of the lessons: one file each, which needs no network."""
    from relcomp_kit.course.slides import write_slides

    for file in write_slides(out, lessons or []):
        print(file, flush=True)


def exercises(
    lessons: Lessons = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the students' notebooks go.")] = Path("exercises"),
    zip_file: Annotated[
        Path | None,
        typer.Option("--zip", metavar="FILE.zip", help="Write one zip instead, to give out.", callback=file_to_write),
    ] = None,
    colab: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of a clone: each notebook begins with a cell that installs it on Colab."),
    ] = None,
) -> None:
    """Write the students' versions: no outputs, no solutions."""
    from relcomp_kit.course.exercises import write_exercises, write_pack

    written = [write_pack(zip_file, lessons or [], colab)] if zip_file else write_exercises(out, lessons or [], colab)
    for file in written:
        print(file)


def grade(
    place: Annotated[Path, typer.Argument(metavar="DIR", help="A folder or zip of each student, or one of them.")],
    lesson: Annotated[list[str] | None, typer.Option(metavar="LESSON", help="Only this one; may be repeated.")] = None,
    seconds: Annotated[int, typer.Option(min=1, metavar="N", help="Of processor time that an exercise may take.")] = 20,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where marks.json and marks.csv go.")] = Path("marks"),
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Of the cases to draw; by default as in --out, else new.")
    ] = None,
) -> None:
    """Mark exercises that students hand in: each one runs apart, within limits, on cases drawn for this marking.

    A grading that was ended goes on where it stopped, on the same cases.
    """
    from rich.console import Console

    from relcomp_kit.course.grade import graded, marks, process, tables
    from relcomp_kit.files import make_folder
    from relcomp_kit.progress import Progress

    if out.resolve().is_relative_to(place.resolve()):
        raise UserError(f"{out} would lie among the packs: choose another --out")
    make_folder(out)
    seed = graded.kept_seed(out / "graded", seed)
    work = marks.asked(place, lesson or [], seed)
    if not process.caged():
        print(
            "relcomp: without bubblewrap students' code can read your files: install it, or grade in a virtual machine",
            file=sys.stderr,
        )
    remarks = {pack.student: pack.remarks for pack, _ in work}
    for student, some in remarks.items():
        for remark in some:
            print(f"relcomp: {student}: {remark}", file=sys.stderr)
    found = []
    with Progress("exercises", len(work), log_every=10) as progress:
        for mark in marks.grade(work, seconds, out / "graded"):
            found.append(mark)
            progress.advance()
    found = found if lesson else tables.begun(found)
    console = Console()
    for table in tables.terminal_tables(found):
        console.print(table)
    for reason in tables.reasons(found):
        print(reason)
    print(f"the cases were drawn by --seed {seed}")
    for file in tables.write_marks(found, out, remarks):
        print(file)


def api(
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the pages go.")] = Path("api"),
) -> None:
    """Write the API as pages, one a module, which need no network."""
    from relcomp_kit.course.api_pages import write_api

    print(write_api(out))
