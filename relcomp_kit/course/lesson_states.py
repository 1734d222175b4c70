"""What became of the lessons of a run, kept in its folder as ``lessons.json``, so that later runs into it know."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from relcomp_kit.cache import read_record, set_aside, write_record
from relcomp_kit.course import notebooks

FILE = "lessons.json"


@dataclass
class LessonResult:
    """What became of one lesson: ``error`` is None, or says which cell failed and how."""

    lesson: str
    title: str
    seconds: float
    error: str | None = None


def states(run: Path | None, results: Sequence[LessonResult] = (), waiting: Collection[str] = ()) -> list[dict]:
    """Return what the pages of a run say of every lesson.

    Parameters
    ----------
    run : Path, optional
        Folder of the run; without one no lesson was run.
    results : sequence of LessonResult
        What the run has found since it was last remembered.
    waiting : collection of str
        Names of the lessons that were asked for and have no result yet.

    Returns
    -------
    list of dict
        For each lesson: ``lesson``, ``title``, ``seconds``, ``error`` and ``state``, which is "done", "failed", "not
        finished" or "not run".
    """
    kept = read_record(run / FILE) if run else None
    if run and kept is None:
        set_aside(run / FILE, "begun again")
    earlier = {one["lesson"]: one for one in kept["lessons"]} if kept else {}
    now = {result.lesson: asdict(result) | {"state": "failed" if result.error else "done"} for result in results}
    found = []
    for source in notebooks.find_lessons():
        name = source.stem
        entry = now.get(name) or (name not in waiting and earlier.get(name))
        if not entry:
            title = notebooks.lesson_title(notebooks.read_source(source))
            entry = asdict(LessonResult(name, title, 0.0))
            entry["state"] = "not finished" if name in waiting else "not run"
        found.append(entry)
    return found


def remember(run: Path, found: list[dict]) -> Path:
    """Write what became of the lessons into the folder of a run; return the file.

    Parameters
    ----------
    run : Path
        The folder.
    found : list of dict
        As `states` returns it.
    """
    return write_record(run / FILE, {"lessons": found})
