"""The students' version: no solution in it, the same bytes every time, and a first cell for Colab on request."""

import json
import os
import re
import subprocess
import zipfile

import nbformat
import pytest

from relcomp_kit.course import exercises, kernel, notebooks
from relcomp_kit.errors import UserError

LESSON = """# %% [markdown]
# # Try the machinery

# %% tags=["exercise"]
def double(x):
    # solution
    y = 2 * x

    return y


after = 1

# %%
from relcomp_kit.course import check


class fresh:
    def double(rng):
        return (int(rng.integers(100)),)


check.exercise(double, {(1,): 2, (4,): 8}, fresh.double)
"""
CLONE = "https://git.example.org/course/relcomp_kit.git"


@pytest.fixture
def house(make_house):
    """A checkout with one lesson; returns the folder of its sources."""
    return make_house(LESSON)


def test_solution_is_replaced_and_the_rest_stays():
    code = "def f(x):\n    y = 1\n    # solution\n    if x:\n        y = 2\n\n    return y\n\n\nz = 3"
    expected = "def f(x):\n    y = 1\n    # your code here\n    raise NotImplementedError\n\n\nz = 3"
    assert exercises.without_solution(code) == expected


def test_exercise_without_marker_is_refused():
    with pytest.raises(UserError, match="no line '# solution': def f"):
        exercises.without_solution("def f(x):\n    return x")


@pytest.mark.slow
def test_unsolved_exercises_do_not_stop_the_run(house, tmp_path):
    readme, _, file = exercises.write_exercises(tmp_path / "students")
    assert "07_try.ipynb: Try the machinery" in readme.read_text(encoding="utf-8")
    notebook = nbformat.read(file, as_version=4)
    done = kernel.execute(notebook)
    assert done.cells[-1].outputs[0].text == "· double: not attempted\n"


def test_a_students_work_is_not_overwritten(house, tmp_path):
    *_, file = exercises.write_exercises(tmp_path / "students")
    file.write_text("my work", encoding="utf-8")
    with pytest.raises(UserError, match="perhaps with work in it: choose another --out"):
        exercises.write_exercises(tmp_path / "students")
    assert file.read_text(encoding="utf-8") == "my work"
    pack = exercises.write_pack(tmp_path / "pack.zip")
    with pytest.raises(UserError, match="is there already"):
        exercises.write_pack(pack)


def test_pack_is_the_same_every_time(house, tmp_path):
    one, other = (exercises.write_pack(tmp_path / folder / "pack.zip") for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_no_solution_of_any_lesson_is_in_the_pack(tmp_path):
    with zipfile.ZipFile(exercises.write_pack(tmp_path / "pack.zip")) as pack:
        assert pack.testzip() is None
        texts = {name: pack.read(name).decode() for name in pack.namelist()}
    sources = notebooks.find_lessons()
    assert [*texts] == ["pack/README.md", "pack/glossary.md", *(f"pack/{source.stem}.ipynb" for source in sources)]
    for source in sources:
        student = nbformat.reads(texts[f"pack/{source.stem}.ipynb"], as_version=4)
        nbformat.validate(student)
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in student.cells)
        code = {cell.id: cell.source for cell in student.cells}
        for cell in notebooks.read_source(source).cells:
            if "exercise" in cell.metadata.get("tags", []):
                solution = re.split(r"# solution\n", cell.source)[1]
                own = [line for line in solution.splitlines() if line.startswith(" ")]
                assert own
                assert not set(own) & set(code[cell.id].splitlines())
                assert not any("\n".join(own) in text for text in code.values())


@pytest.mark.parametrize(
    "address", ["", "git@example.org:a/b.git", "https://a.b/c d", 'https://a.b/c"; rm', "http://a.b/c"]
)
def test_what_is_no_address_of_a_clone(house, tmp_path, address):
    with pytest.raises(UserError, match="no address of a clone"):
        exercises.write_pack(tmp_path / "pack.zip", colab=address)


@pytest.fixture
def colab_cell(house, monkeypatch):
    """The first cell of a notebook for Colab, and the commands that it would run."""
    student = nbformat.reads(exercises.student_files(colab=CLONE)["07_try.ipynb"], as_version=4)
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: commands.append(command))
    monkeypatch.setattr(os, "kill", lambda *given: commands.append("kernel starts again"))
    return student.cells[0], commands


def test_colab_cell_does_nothing_elsewhere(colab_cell, monkeypatch):
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    cell, commands = colab_cell
    exec(cell.source, {})
    assert commands == []


def test_colab_cell_installs_the_clone_once(colab_cell, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    cell, commands = colab_cell
    exec(cell.source, {})
    assert commands == [], "the kit is installed here"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    exec(cell.source, {})
    clone, install, restart = commands
    assert clone[:2] == ["git", "clone"]
    assert CLONE in clone
    assert install[1:4] == ["-m", "pip", "install"]
    assert install[-1] == clone[-1]
    assert restart == "kernel starts again"


def test_notebooks_without_an_address_have_no_cell_for_colab(house):
    assert "COLAB" not in json.dumps(exercises.student_files())
