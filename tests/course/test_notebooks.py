"""Lessons as text and as notebooks."""

from pathlib import Path

import nbformat
import pytest

from relcomp_kit.course import notebooks
from relcomp_kit.errors import UserError

LESSON = """# %% [markdown]
# # Try the machinery

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %% slideshow={"slide_type": "slide"}
print("first")

# %% tags=["exercise"]
def sparsity(inverse_density):
    # solution
    density = 1 / inverse_density

    return 1 - density


after = 1

# %% tags=["nbval-check-output"]
from relcomp_kit.course import check
from relcomp_kit.course.cases import start_here as fresh

check.exercise(sparsity, {(1,): 0.0, (4,): 0.75}, fresh.sparsity)
"""


@pytest.fixture
def house(make_house):
    """A checkout with one lesson; returns the folder of its sources."""
    return make_house(LESSON)


def output(**fields) -> nbformat.NotebookNode:
    """A notebook of one executed cell with one output."""
    cell = nbformat.v4.new_code_cell("x", execution_count=1, outputs=[nbformat.v4.new_output(**fields)])
    return nbformat.v4.new_notebook(cells=[cell])


def test_lessons_are_found_by_number_beginning_and_name(house):
    other = house / "08_other.py"
    other.write_text(LESSON, encoding="utf-8")
    first = house / "07_try.py"
    assert notebooks.find_lessons() == [first, other]
    for name in ("07", "07_t", "07_try"):
        assert notebooks.find_lessons([name]) == [first]
    assert notebooks.find_lessons(["08", "07", "07_try"]) == [first, other]


@pytest.mark.parametrize("name", ["99", "try", "", "0"])
def test_unknown_and_ambiguous_names_are_refused(house, name):
    (house / "08_other.py").write_text(LESSON, encoding="utf-8")
    with pytest.raises(UserError, match=r"the lessons are|lessons begin with") as caught:
        notebooks.find_lessons([name])
    assert "07_try" in str(caught.value)


def test_source_becomes_a_notebook_with_derived_ids(house):
    notebook = notebooks.read_source(house / "07_try.py")
    assert [cell.id for cell in notebook.cells] == ["07-000", "07-001", "07-002", "07-003", "07-004"]
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}
    assert notebook.cells[2].metadata == {"slideshow": {"slide_type": "slide"}}
    assert notebooks.lesson_title(notebook) == "Try the machinery"
    nbformat.validate(notebook)


@pytest.mark.slow
def test_render_writes_the_same_bytes_again(house):
    file = notebooks.render(house / "07_try.py")
    content = file.read_bytes()
    notebook = nbformat.reads(content.decode(), as_version=4)
    assert [c.execution_count for c in notebook.cells if c.cell_type == "code"] == [1, 2, 3, 4]
    assert notebook.cells[2].outputs[0].text == "first\n"
    assert all(set(cell.metadata) <= {"tags", "slideshow"} for cell in notebook.cells)
    assert b"papermill" not in content
    assert b"\r" not in content
    assert content.endswith(b"}\n")
    notebooks.render(house / "07_try.py")
    assert file.read_bytes() == content


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("raise ValueError('no good')", r"cell In \[2\] raised ValueError: no good"),
        ("import sys; print('oops', file=sys.stderr)", "stderr"),
        ("import os; print(os.getcwd())", "absolute path"),
    ],
)
def test_render_refuses_and_keeps_the_old_notebook(house, line, reason):
    old = house.parent / "07_try.ipynb"
    old.write_text("old", encoding="utf-8")
    beginning, _, _ = LESSON.partition('# %% tags=["exercise"]')
    (house / "07_try.py").write_text(beginning.replace('print("first")', line), encoding="utf-8")
    with pytest.raises(UserError, match=reason):
        notebooks.render(house / "07_try.py")
    assert old.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize(
    ("notebook", "reason"),
    [
        (output(output_type="stream", name="stderr", text="warning"), "stderr"),
        (output(output_type="error", ename="KeyError", evalue="", traceback=[]), "KeyError"),
        (output(output_type="stream", name="stdout", text="see /home/ada/data"), "absolute path"),
        (output(output_type="stream", name="stdout", text=r"see C:\data"), "absolute path"),
        (output(output_type="stream", name="stdout", text=f"in {Path.home()}"), "absolute path"),
        (output(output_type="display_data", data={"image/svg+xml": "<svg/>"}), "not PNG"),
        (output(output_type="display_data", data={"text/html": "<img src='https://a.b/c.png'>"}), "from the network"),
        (output(output_type="display_data", data={"image/png": "A" * 300_001}), "an image of more than 300 kB"),
        (output(output_type="stream", name="stdout", text="A" * 900_001), "more than 900 kB"),
    ],
)
def test_what_must_not_be_committed(house, notebook, reason):
    found = notebooks.problems(notebook)
    assert len(found) == 1
    assert reason in found[0]


def test_counts_and_tags_are_looked_at(house):
    notebook = output(output_type="stream", name="stdout", text="a/b and 3 /home")
    assert notebooks.problems(notebook) == []
    notebook.cells[0].metadata["tags"] = ["mystery"]
    notebook.cells[0].execution_count = 2
    counts, tag = notebooks.problems(notebook)
    assert "sequential" in counts
    assert "mystery" in tag
