"""Marks of students' exercises, by the cases of the lessons' own checks and by others that are drawn."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from relcomp_kit.course import check, notebooks
from relcomp_kit.course.cases import solved
from relcomp_kit.course.grade import graded, process
from relcomp_kit.course.grade.cells import run_cell
from relcomp_kit.course.grade.packs import Pack, printable, read_packs
from relcomp_kit.course.grade.values import pack, unpack
from relcomp_kit.threads import cores

CHECKED = re.compile(r"^check\.exercise\(\s*(\w+)", re.MULTILINE)
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


def exercises_of(source: Path, seed: int) -> list[Exercise]:
    """Return the exercises that a lesson checks, in their order, by running its own cells with ``check.exercise``.

    Parameters
    ----------
    source : Path
        Of the lesson.
    seed : int
        Of the cases that are drawn; what they shall give, the lesson's solution says.
    """
    code = [cell.source for cell in notebooks.read_source(source).cells if cell.cell_type == "code"]
    found: list[Exercise] = []

    def note(solution: Callable, cases: Any, generate: Callable, *, atol: float = 1e-9, rtol: float = 1e-6) -> None:
        pairs = check.pairs_of(cases)
        pairs += solved(generate, solution, seed)
        arguments, expected = [pack(list(given)) for given, _ in pairs], [result for _, result in pairs]
        found.append(Exercise(source.stem, generate.__name__, arguments, expected, atol, rtol))

    for index, cell in enumerate(code):
        if "check.exercise(" in cell:
            run_cell(code, index, {"check": SimpleNamespace(exercise=note)})
    return found


def asked(place: Path, names: Sequence[str] = (), seed: int = 0) -> list[tuple[Pack, Exercise]]:
    """Return what there is to mark: every student's pack with every exercise of the lessons that anyone handed in.

    Parameters
    ----------
    place : Path
        See `read_packs`.
    names : sequence of str
        Of lessons, as for `find_lessons`.
    seed : int
        Of the cases that are drawn, 0 or more; all students get the same.

    Raises
    ------
    UserError
        If nothing was handed in.
    """
    sources = {source.stem: source for source in notebooks.find_lessons(names)}
    packs = read_packs(place, {lesson: set(CHECKED.findall(one.read_text("utf-8"))) for lesson, one in sources.items()})
    there = {lesson for one in packs for lesson in (*one.notebooks, *one.problems)}
    exercises = [exercise for lesson in sources if lesson in there for exercise in exercises_of(sources[lesson], seed)]
    return [(one, exercise) for one in packs for exercise in exercises]


def grade(
    work: Sequence[tuple[Pack, Exercise]], seconds: int = process.SECONDS, folder: Path | None = None
) -> Iterator[Mark]:
    """Mark exercises, each student's in a process of their own, as many at once as there are cores, in their order.

    Parameters
    ----------
    work : sequence of (Pack, Exercise)
        See `asked`; what belongs to a student comes together.
    seconds : int
        Of processor time that an exercise may take.
    folder : Path, optional
        Keeps the marks of each student; those that are there already are not found again, unless the student's code,
        the cases or the limit have changed.

    Raises
    ------
    UserError
        If this system cannot limit a process.
    """
    process.check_limits()
    exercises: dict[int, list[Exercise]] = {}
    packs = {id(one): one for one, _ in work}
    for one, exercise in work:
        exercises.setdefault(id(one), []).append(exercise)

    def marks_of(one: Pack) -> list[Mark]:
        if folder is None:
            return judge(one, exercises[id(one)], seconds)
        cases = [asdict(exercise) | {"expected": pack(exercise.expected)} for exercise in exercises[id(one)]]
        key = graded.digest([one.student, one.notebooks, one.problems, cases, seconds])
        found = graded.read(folder, key)
        if found is not None:
            return [Mark(**mark) for mark in found]
        marks = judge(one, exercises[id(one)], seconds)
        graded.note(folder, key, [asdict(mark) for mark in marks])
        return marks

    pool = ThreadPoolExecutor(cores())
    try:
        for found in pool.map(marks_of, packs.values()):
            yield from found
    finally:
        pool.shutdown(cancel_futures=True)


def judge(handed_in: Pack, exercises: Sequence[Exercise], seconds: int) -> list[Mark]:
    """Run a student's exercises apart, and compare their results with what the lessons expect.

    Parameters
    ----------
    handed_in : Pack
        What the student handed in.
    exercises : sequence of Exercise
        The exercises to mark.
    seconds : int
        Of processor time that each may take.
    """
    there = [exercise for exercise in exercises if exercise.lesson in handed_in.notebooks]
    tasks = [
        {"cells": handed_in.notebooks[one.lesson], "function": one.function, "cases": one.arguments} for one in there
    ]
    answers = dict(zip(map(id, there), process.run_apart(tasks, seconds)))
    return [_mark(handed_in, exercise, answers.get(id(exercise))) for exercise in exercises]


def _mark(handed_in: Pack, exercise: Exercise, answer: dict | None) -> Mark:
    """Return the mark of an answer, or of an exercise whose notebook is not there."""
    about = handed_in.student, exercise.lesson, exercise.function
    if answer is None:
        problem = handed_in.problems.get(exercise.lesson) or handed_in.problems.get("")
        return Mark(*about, *(("error", problem) if problem else ("not handed in",)))
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
