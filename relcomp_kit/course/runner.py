"""Run lessons into a folder: executed notebooks, records, and the pages of the site that follow from them."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from relcomp_kit.cache import locked
from relcomp_kit.course import kernel, lesson_states, notebooks, site
from relcomp_kit.course.lesson_states import LessonResult
from relcomp_kit.datasets.download import NAMES
from relcomp_kit.errors import UserError
from relcomp_kit.evidence import claims, report, report_page
from relcomp_kit.files import cache_dir, make_folder, read_json, write_atomic
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.sweeps.local import run_here
from relcomp_kit.sweeps.point import Failure
from relcomp_kit.threads import cores

LAST = "09"  # takes stock of the others
MEMORY = 6e9  # bytes of two lessons: a kernel and its sweep take up to 3 GB


def check_request(names: Sequence[str], profile: str, out: Path, dataset: str | None = None) -> list[Path]:
    """Refuse a bad request before anything runs; return the sources of the lessons asked for.

    Parameters
    ----------
    names : sequence of str
        Of lessons, as for `find_lessons`; none for all.
    profile : str
        "quick" or "full".
    out : Path
        Folder of the run; it is made, with the folders in it.
    dataset : str, optional
        A data set for all of these lessons; by default each takes its own.

    Raises
    ------
    UserError
        For an unknown lesson, profile or data set, a lesson that does not let you choose its data set, a missing
        ``RELCOMP_DATA``, a folder or cache that cannot be written to.
    """
    get_profile(profile)
    sources = notebooks.find_lessons(names)
    if dataset is not None:
        for source in sources:
            check_dataset(source, dataset)
    kernel.data_environment()
    make_folder(cache_dir())
    for folder in (out, out / "notebooks", out / "lessons", out / "records"):
        make_folder(folder)
    return sources


def check_dataset(source: Path, dataset: str) -> None:
    """Refuse a data set that a lesson cannot use: it takes images to classify, or scenes to segment.

    Parameters
    ----------
    source : Path
        The lesson's text.
    dataset : str
        Name of the data set.

    Raises
    ------
    UserError
        If the lesson has no choice of data set, or not this one.
    """
    notebook = notebooks.read_source(source)
    own, others = notebooks.own_dataset(notebook), notebooks.other_datasets(notebook)
    if own is None:
        raise UserError(f"lesson {source.stem} has no choice of data set; run it without --dataset")
    if others:
        choice = (own, *others)
    elif own in NAMES:
        choice = NAMES
    else:
        from relcomp_kit.datasets.scene_names import SCENE_NAMES as choice
    if dataset not in choice:
        raise UserError(f"lesson {source.stem} cannot run on {dataset!r}: choose one of {', '.join(choice)}")


def run_lesson(source: Path, parameters: dict[str, str], out: Path, on_cell: Callable[..., None]) -> LessonResult:
    """Execute one lesson into ``out/notebooks`` and ``out/lessons``; a failure is returned, not raised.

    Parameters
    ----------
    source : Path
        The lesson's text.
    parameters : dict
        The profile, and a data set if one was chosen: they replace the values in the lesson's parameters cell.
    out : Path
        Folder of the run; the lesson writes its record into ``out/records``.
    on_cell : callable
        Called with ``completed`` and ``total``, the cells done and the cells there are.
    """
    name = source.stem
    start = time.monotonic()
    output = out / "notebooks" / f"{name}.ipynb"
    record_file(out, name).unlink(missing_ok=True)
    notebook = notebooks.read_source(source)
    result = LessonResult(name, notebooks.lesson_title(notebook), 0.0)
    cells = len(notebook.cells) + 1  # papermill adds one, with the parameters
    try:
        kernel.execute(
            notebook,
            output.absolute(),
            parameters=parameters,
            environment={"RELCOMP_RECORDS": str((out / "records").absolute())},
            on_cell=lambda index: on_cell(completed=index, total=cells),
        )
    except Exception as error:  # whatever a lesson dies of, the others go on
        result.error = kernel.failure_text(error)
        record_file(out, name).unlink(missing_ok=True)
    result.seconds = time.monotonic() - start
    on_cell(completed=cells, total=cells)
    if output.is_file():
        site.write_lesson(out, output, site.lessons())
    return result


def default_jobs(profile: str) -> int:
    """Return how many lessons run at a time: two, if cores and memory allow; sweeps of full runs take all cores alone.

    Most of a short lesson is the start of a kernel and other work of one thread.
    """
    import psutil

    room = cores() > 1 and psutil.virtual_memory().available >= MEMORY
    return 2 if profile == "quick" and room else 1


def run_lessons(
    sources: Sequence[Path], parameters: dict[str, str], out: Path, jobs: int, on_cell: Callable[[str], Callable]
) -> Iterator[LessonResult]:
    """Run lessons, several at a time if ``jobs`` is above 1, and yield what became of each as it ends.

    The lesson that takes stock of the others runs last. Lessons that run at the same time share the cores.

    Parameters
    ----------
    sources, parameters, out
        As for `run_lesson`.
    jobs : int
        Lessons at a time, each in a process of its own if there are more than one.
    on_cell : callable
        Takes the name of a lesson, and returns what `run_lesson` calls as cells start; of lessons in processes of their
        own it hears when they are done.
    """
    for stage in ([one for one in sources if one.stem[:2] != LAST], [one for one in sources if one.stem[:2] == LAST]):
        if jobs == 1:
            yield from (run_lesson(source, parameters, out, on_cell(source.stem)) for source in stage)
            continue
        todo = {source.stem: partial(_run_apart, source, parameters, out) for source in stage}
        for name, outcome in run_here(todo.items(), jobs):
            if isinstance(outcome, Failure):
                title = notebooks.lesson_title(notebooks.read_source(notebooks.find_lessons([name])[0]))
                outcome = LessonResult(name, title, 0.0, outcome.sentence)
            on_cell(name)(completed=1, total=1)
            yield outcome


def _run_apart(source: Path, parameters: dict[str, str], out: Path) -> LessonResult:
    """Run a lesson in a process that other lessons run beside; its kernel and sweeps inherit its share of the cores."""
    return run_lesson(source, parameters, out, lambda **done: None)


def write_reports(results: Sequence[LessonResult], profile: str, out: Path, wanted: Sequence[str] = ()) -> list[dict]:
    """Decide the claims by all records in the folder of the run, and write its index, ledger and ``claims.json``.

    So a lesson that is run again later does not wipe out what the others found; a lesson that failed has no record.

    Parameters
    ----------
    results : sequence of LessonResult
        The lessons that ran.
    profile : str
        Of the run.
    out : Path
        Folder of the run.
    wanted : sequence of str
        Names of the lessons that were asked for; those without a result were not reached.
    """
    rows = claims.table(read_records(out), profile)
    waiting = set(wanted) - {result.lesson for result in results}
    with locked(out / lesson_states.FILE):  # another run into this folder may end now
        states = lesson_states.states(out, results, waiting)
        lesson_states.remember(out, states)
    site.write_results(out, states, rows, len(waiting))
    return rows


def read_records(out: Path) -> list[dict]:
    """Return the records in the folder of a run, of lessons that were run into it earlier too."""
    return claims.live(out / "records")


def write_claims(rows: list[dict], out: Path, html: Path | None, markdown: Path | None) -> list[Path]:
    """Write the claims as a page, as Markdown, or both, and return the files written.

    Parameters
    ----------
    rows : list of dict
        As `relcomp_kit.evidence.claims.table` returns them.
    out : Path
        Folder of a run; lessons are linked where it has a page of them.
    html, markdown : Path, optional
        The files to write; None leaves one out.
    """

    def link_from(file: Path) -> Callable[[str], str | None]:
        def link(lesson: str) -> str | None:
            page = out / "lessons" / f"{lesson}.html"
            return Path(os.path.relpath(page, file.parent)).as_posix() if page.is_file() else None

        return link

    written = []
    if html:
        from relcomp_kit.studies import whole_picture  # imports torch

        written.append(write_atomic(html, report_page.report(rows, whole_picture.picture(), link_from(html))))
    if markdown:
        written.append(write_atomic(markdown, report.markdown(rows, link_from(markdown))))
    return written


def moved_figures(results: Sequence[LessonResult], profile: str, out: Path) -> list[str]:
    """Return a sentence for each lesson whose figures differ from those recorded with other versions.

    Parameters
    ----------
    results : sequence of LessonResult
        The lessons that ran; one that failed is left out.
    profile : str
        Of the committed records.
    out : Path
        Folder of the run, with the new records.
    """
    from relcomp_kit.evidence import record

    kept = claims.recorded(profile).values()
    live = [record_file(out, result.lesson) for result in results if not result.error]
    pairs = [
        (new, old)
        for file in live
        if file.is_file()
        for new in [read_json(file)]
        for old in kept
        if old["lesson"] == new["lesson"]
    ]
    return [line for new, old in pairs if (line := record.moved(new, old))]


def keep_record(lesson: str, profile: str, out: Path) -> Path | None:
    """Copy a lesson's record to the committed ones; return the file, or None if the lesson measures nothing.

    If the data set is not the lesson's own, its name is part of the file's.

    Parameters
    ----------
    lesson : str
        The lesson's whole name.
    profile : str
        Of the run.
    out : Path
        Folder of the run.

    Raises
    ------
    UserError
        If it ran on the digits: they stand in for MNIST, so they decide nothing.
    """
    record = record_file(out, lesson)
    if not record.is_file():
        return None
    dataset = read_json(record)["dataset"]
    if dataset == "digits":
        raise UserError(
            f"{lesson} ran on digits, which stand in for MNIST: only real data is recorded; set RELCOMP_DATA"
        )
    own = notebooks.own_dataset(notebooks.read_source(notebooks.find_lessons([lesson])[0]))
    name = lesson if dataset == own else f"{lesson}.{dataset}"
    return write_atomic(claims.reference_folder(profile) / f"{name}.json", record.read_bytes())


def record_file(out: Path, lesson: str) -> Path:
    """Return where a lesson of this run writes what it measured.

    Parameters
    ----------
    out : Path
        Folder of the run.
    lesson : str
        The lesson's name.
    """
    return Path(os.path.abspath(out)) / "records" / f"{lesson}.json"
