"""Marks for a class of thirty on three lessons, as a teacher types it, on two cores."""

import csv
import subprocess
import sys
import time

import jupytext
import nbformat

from relcomp_kit.course import notebooks
from relcomp_kit.course.exercises import without_solution

MOST = 10 * 60  # seconds
STUDENTS = 30
LESSONS = ("01", "02", "05")
LOOP = "    while True:\n        pass"


def solved(source, *, loops: bool, leaves_last: bool):
    """A student's notebook: the lesson with its solutions, perhaps an endless loop first or the last one left open."""
    notebook = jupytext.read(source)
    exercises = [cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])]
    if loops:
        head, _, _ = exercises[0].source.partition("    # solution")
        exercises[0].source = head + LOOP
    if leaves_last:
        exercises[-1].source = without_solution(exercises[-1].source)
    return notebook, len(exercises)


def test_a_class_of_thirty_on_three_lessons(tmp_path, say):
    sources = notebooks.find_lessons(LESSONS)
    expected = {}
    for number in range(STUDENTS):
        name = f"student {number:02}"
        right = 0
        for source in sources:
            notebook, count = solved(source, loops=number == 0, leaves_last=number % 3 == 1)
            right += count - (number == 0) - (number % 3 == 1)
            path = tmp_path / "class" / name / f"{source.stem}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)
        expected[name] = right
    out = tmp_path / "marks"
    command = [sys.executable, "-c", "from relcomp_kit.cli.app import main; main()"]
    lessons = [part for lesson in LESSONS for part in ("--lesson", lesson)]
    start = time.perf_counter()
    subprocess.run([*command, "grade", str(tmp_path / "class"), *lessons, "--out", str(out)], check=True)
    seconds = time.perf_counter() - start
    with open(out / "marks.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    say(f"{STUDENTS} students, {len(LESSONS)} lessons, {sum(expected.values())} right answers: {seconds:.0f} s")
    assert {row["student"]: int(row["right"]) for row in rows} == expected
    assert seconds < MOST
