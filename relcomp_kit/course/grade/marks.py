"""Marks of students' exercises, by the cases of the lessons' own checks."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from relcomp_kit.course import check, notebooks
from relcomp_kit.course.grade import process
from relcomp_kit.course.grade.cells import run_cell
from relcomp_kit.course.grade.packs import Pack, printable, read_packs
from relcomp_kit.course.grade.values import pack, unpack
from relcomp_kit.threads import cores

STATES = {  # state of an exercise -> its colour in the terminal
    "right": "green",
    "wrong": "red",
    "not attempted": "bright_black",
    "not handed in": "bright_black",
    "error": "magenta",
    "timed out": "yellow",
}


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson: its name, packed arguments of the cases, what they shall give, and how closely."""

    lesson: str
    function: str
    arguments: list
    expected: list
    atol: float
    rtol: float


@dataclass(frozen=True)
class Mark:
    """What became of an exercise: one of `STATES`, and what a teacher wants to know about it."""

    student: str
    lesson: str
    exercise: str
    state: str
    detail: str = ""


def exercises_of(source: Path) -> list[Exercise]:
    """Return the exercises that a lesson checks, in their order, by running its own cells with ``check.exercise``."""
    code = [cell.source for cell in notebooks.read_source(source).cells if cell.cell_type == "code"]
    found: list[Exercise] = []

    def note(function: Callable, cases: Any, *, atol: float = 0.0, rtol: float = 1e-6) -> None:
        pairs = check.pairs_of(cases)
        arguments, expected = [pack(list(given)) for given, _ in pairs], [result for _, result in pairs]
        found.append(Exercise(source.stem, function.__name__, arguments, expected, atol, rtol))

    for index, cell in enumerate(code):
        if "check.exercise(" in cell:
            run_cell(code, index, {"check": SimpleNamespace(exercise=note)})
    return found


def asked(place: Path, names: Sequence[str] = ()) -> list[tuple[Pack, Exercise]]:
    """Return what there is to mark: every student's pack with every exercise of the lessons that anyone handed in.

    Parameters
    ----------
    place : Path
        A student's folder or zip, or a folder of such.
    names : sequence of str
        Of lessons, as for `find_lessons`.

    Raises
    ------
    UserError
        If nothing was handed in.
    """
    sources = {source.stem: source for source in notebooks.find_lessons(names)}
    packs = read_packs(place, [*sources])
    there = {lesson for one in packs for lesson in (*one.notebooks, *one.problems)}
    exercises = [exercise for lesson in sources if lesson in there for exercise in exercises_of(sources[lesson])]
    return [(one, exercise) for one in packs for exercise in exercises]


def grade(work: Sequence[tuple[Pack, Exercise]], seconds: int = process.SECONDS) -> Iterator[Mark]:
    """Mark exercises, each in a process of its own, as many at once as there are cores; marks come in their order.

    Parameters
    ----------
    work : sequence of (Pack, Exercise)
        See `asked`.
    seconds : int
        Of processor time that an exercise may take.

    Raises
    ------
    UserError
        If this system cannot limit a process.
    """
    process.check_limits()
    pool = ThreadPoolExecutor(cores())
    try:
        yield from pool.map(lambda pair: judge(*pair, seconds), work)
    finally:
        pool.shutdown(cancel_futures=True)


def judge(handed_in: Pack, exercise: Exercise, seconds: int) -> Mark:
    """Run a student's exercise apart, and compare its results with what the lesson expects.

    Parameters
    ----------
    handed_in : Pack
        What the student handed in.
    exercise : Exercise
        The exercise to mark.
    seconds : int
        Of processor time that it may take.
    """
    about = handed_in.student, exercise.lesson, exercise.function
    problem = handed_in.problems.get(exercise.lesson) or handed_in.problems.get("")
    if exercise.lesson not in handed_in.notebooks:
        return Mark(*about, *(("error", problem) if problem else ("not handed in",)))
    answer = process.run_apart(handed_in.notebooks[exercise.lesson], exercise.function, exercise.arguments, seconds)
    if answer["state"] != "answered":
        return Mark(*about, answer["state"], printable(str(answer.get("detail", ""))))
    try:
        results = [unpack(one) for one in answer["results"]]
        wrong = len(results) != len(exercise.expected) and "it gave too few results"
        for result, expected in zip(results, exercise.expected):
            wrong = wrong or check.difference(result, expected, exercise.atol, exercise.rtol)
    except Exception as error:  # a forged answer can be anything
        wrong = f"its answer cannot be read ({type(error).__name__})"
    return Mark(*about, *(("wrong", printable(wrong)) if wrong else ("right",)))
