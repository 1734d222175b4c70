"""The course as one static site, which opens from a disk, and from any folder of a web server, without a network.

In its folder lie ``index.html``, ``ledger.html``, ``glossary.html``, ``claims.json``, and the folders ``lessons``
(pages), ``slides``, ``exercises`` (students' notebooks), ``notebooks`` and ``api``. All links are relative. The folder
of a run is such a site; `write_site` makes one from the rendered lessons, with the results of a run where there is one.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path

from relcomp_kit.cache import locked, read_record, write_record
from relcomp_kit.course import glossary, index_page, lesson_states
from relcomp_kit.course.api_pages import write_api
from relcomp_kit.course.exercises import student_files, write_pack
from relcomp_kit.course.kernel import notebooks_folder
from relcomp_kit.course.lesson_page import lesson_page
from relcomp_kit.course.notebooks import find_lessons, lesson_title, read_source
from relcomp_kit.course.slides import write_slides
from relcomp_kit.errors import UserError
from relcomp_kit.evidence import claims, report_page
from relcomp_kit.files import LONGEST_PREFIX, checkout, make_folder, refusal, write_atomic, write_json
from relcomp_kit.sweeps.local import one_process

MANIFEST = "site.json"  # what `write_site` wrote, file by file: so it knows what it may replace
COURSE = "course.json"  # what the pages of a run's folder that do not depend on the run were made of


@dataclass(frozen=True)
class Lesson:
    """A lesson of the site: its name, its title, and the notebook that its page shows."""

    name: str
    title: str
    notebook: Path


def lessons(run: Path | None = None) -> list[Lesson]:
    """Return the lessons that have been rendered, in order; those that a run has done with the notebook of that run.

    Parameters
    ----------
    run : Path, optional
        Folder of the run.
    """
    done = {one["lesson"] for one in lesson_states.states(run) if one["state"] == "done"} if run else set()
    found = []
    for source in find_lessons():
        rendered = notebooks_folder() / f"{source.stem}.ipynb"
        own = run / "notebooks" / rendered.name if source.stem in done else rendered
        if rendered.is_file():
            found.append(Lesson(source.stem, lesson_title(read_source(source)), own if own.is_file() else rendered))
    return found


def write_lesson(folder: Path, notebook: Path, around: Sequence[Lesson]) -> Path:
    """Write the page of one lesson into a site; return its file.

    Parameters
    ----------
    folder : Path
        The site.
    notebook : Path
        The lesson with its outputs, under its name.
    around : sequence of Lesson
        The lessons of the site, to link the one before and the one after.
    """
    listed = [(one.name, one.title) for one in around]
    before = [one for one in listed if one[0] < notebook.stem][-1:]
    after = [one for one in listed if one[0] > notebook.stem][:1]
    page = lesson_page(notebook, *(before or [None]), *(after or [None]))
    return write_atomic(folder / "lessons" / f"{notebook.stem}.html", page)


def write_course(folder: Path, run: Path | None = None, on_part: Callable[[], None] = lambda: None) -> None:
    """Write everything but index and ledger: lessons, slides, exercises, glossary and API.

    A student's notebook that is there already stays, since work may be in it.

    Parameters
    ----------
    folder : Path
        The site; it is made if needed.
    run : Path, optional
        Folder of the run whose notebooks are shown; it may be the same.
    on_part : callable
        Called after each lesson, and after the API.
    """
    shown = lessons(run)
    names = [lesson.name for lesson in shown]
    beside = one_process({})
    try:
        api = beside.submit(write_api, folder / "api", home="../index.html")  # a third of the time
        for lesson in shown:
            target = folder / "notebooks" / lesson.notebook.name
            if not (target.exists() and target.samefile(lesson.notebook)):
                write_atomic(target, lesson.notebook.read_bytes())
            write_lesson(folder, lesson.notebook, shown)
            write_slides(folder / "slides", [lesson.name])
            on_part()
        for name, text in student_files(names).items():
            if not (folder / "exercises" / name).exists():
                write_atomic(folder / "exercises" / name, text)
        (folder / "exercises.zip").unlink(missing_ok=True)
        write_pack(folder / "exercises.zip", names)
        write_atomic(folder / "notebooks" / glossary.FILE, glossary.text())
        write_atomic(folder / "glossary.html", glossary.page(set(names)))
        api.result()
    except BrokenExecutor as error:
        raise UserError("the process that wrote the API died, as happens when memory runs out: try again") from error
    finally:
        beside.shutdown(kill_workers=True)
    on_part()


def keep_course(run: Path, say: Callable[[str], None] = print) -> bool:
    """Write the course into the folder of a run, unless it is there already; return whether it was written.

    Parameters
    ----------
    run : Path
        The folder.
    say : callable
        Takes a line that says what takes half a minute.
    """
    made_of = _made_of()
    with locked(run / COURSE):  # another run into this folder may begin now
        if read_record(run / COURSE) == {"made_of": made_of} and (run / "api" / "index.html").is_file():
            return False
        say("writing the pages of the course: lessons, slides, exercises, glossary, API")
        write_course(run, run)
        write_record(run / COURSE, {"made_of": made_of})
    return True


def _made_of() -> str:
    """Return a digest of what the course is made of: the code, the words, the lessons."""
    code = sorted((Path(claims.__file__).parents[1]).rglob("*.py"))
    content = hashlib.sha256()
    for file in [*code, checkout() / "data" / "glossary.toml", *(lesson.notebook for lesson in lessons())]:
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()


def write_results(folder: Path, states: Sequence[dict], rows: list[dict], waiting: int = 0) -> None:
    """Write the index, the ledger and ``claims.json``.

    Parameters
    ----------
    folder : Path
        The site.
    states : sequence of dict
        As `relcomp_kit.course.lesson_states.states` returns them.
    rows : list of dict
        As `relcomp_kit.evidence.claims.table` returns them.
    waiting : int
        How many of the lessons asked for are not finished.
    """
    from relcomp_kit.studies import whole_picture  # imports torch

    pages = {
        one["lesson"]: f"lessons/{one['lesson']}.html"
        for one in states
        if (folder / "lessons" / f"{one['lesson']}.html").is_file()
    }
    write_json(folder / "claims.json", rows)
    write_atomic(folder / "ledger.html", report_page.report(rows, whole_picture.picture(), pages.get, root=""))
    write_atomic(folder / "index.html", index_page.page(states, rows, pages, waiting))


def write_site(folder: Path, run: Path | None = None, on_part: Callable[[], None] = lambda: None) -> Path:
    """Write the whole site beside its place, and put it there in one step; return the page to open.

    Parameters
    ----------
    folder : Path
        Where it goes: nothing is there, an empty folder, or a site that this function wrote.
    run : Path, optional
        Folder of a run, whose results and notebooks are shown.
    on_part : callable
        As for `write_course`.

    Raises
    ------
    UserError
        If something else is there, there is no run in the folder of the run, or the folder cannot be written.
    """
    place = Path(os.path.realpath(folder))
    _check_replaceable(place)
    if run and not (run / lesson_states.FILE).is_file():
        raise UserError(f"{run} holds no run: name the --out of a `relcomp run`, or leave --run out")
    rows = claims.table(claims.live(run / "records") if run else [])
    temporary = place.with_name(f".{place.name[:LONGEST_PREFIX]}.{uuid.uuid4().hex}")
    try:
        make_folder(temporary)
        write_course(temporary, run, on_part)
        write_results(temporary, lesson_states.states(run), rows)
        write_record(temporary / MANIFEST, {"files": {name: _digest(file) for name, file in _files(temporary)}})
        _swap(temporary, place)
    except OSError as error:
        raise refusal(folder, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Path(folder) / "index.html"


def _check_replaceable(place: Path) -> None:
    """Refuse a place where anything is that `write_site` did not write."""
    if place.exists() and not place.is_dir():
        raise UserError(f"{place} is a file: name a folder for the site")
    if not place.is_dir() or not any(place.iterdir()):
        return
    manifest = read_record(place / MANIFEST)
    if manifest is None:
        raise UserError(f"{place} is there, and it is no site that `relcomp site` wrote: name a new folder")
    for name, file in _files(place):
        if name != MANIFEST and manifest["files"].get(name) != _digest(file):
            raise UserError(f"{file} is not as `relcomp site` wrote it: move it away, or name another folder")


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        if not file.is_dir() or file.is_symlink():
            yield file.relative_to(folder).as_posix(), file


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _swap(new: Path, place: Path) -> None:
    """Put a folder in the place of another one; if that fails the old one stays."""
    old = new.with_name(f"{new.name}.old")
    if place.exists():
        shutil.copymode(place, new)
        place.rename(old)
    try:
        new.rename(place)
    except BaseException:
        if old.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
