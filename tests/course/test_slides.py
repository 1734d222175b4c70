"""Slides: what tags hide, and too much for one goes on further ones; those of this checkout are in the site's tests."""

import re

import nbformat
import pytest

from relcomp_kit.course import notebooks, slides
from relcomp_kit.errors import UserError

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
LESSON = """# %% [markdown] slideshow={{"slide_type": "slide"}}
# # Try slides
# An inline $x_1$ and a long text. {sentences}
#
# | one | two |
# |---|---|
{rows}

# %% slideshow={{"slide_type": "skip"}}
left_out = 1

# %% tags=["nbval-check-output"]
check.true("it holds", 1 < 2)

# %%
{lines}

# %% [markdown] slideshow={{"slide_type": "subslide"}}
# ## Exercise 1
{items}

# %% tags=["exercise"]
def double(x):
    # solution
    return 2 * x

# %%
check.exercise(double, {{(1,): 2, (2,): 4}}, fresh.double)

# %% [markdown]
# <details><summary>Answer</summary>{sentences}</details>
"""


@pytest.fixture
def house(make_house):
    """A checkout with one rendered lesson whose parts are all too tall for a slide."""
    text = LESSON.format(
        sentences="A sentence of a dozen words or so, which fills a part of a line. " * 40,
        rows="\n".join(f"# | {n} | $\\frac{{1}}{{{n}}}$ |" for n in range(1, 40)),
        lines="\n".join(f"line_{n} = {n}  # {'and so on ' * (n % 9)}" for n in range(60)),
        items="\n".join(f"# {n}. Item {n} of a list that is long." for n in range(1, 40)),
    )
    sources = make_house(text)
    notebook = notebooks.read_source(sources / "07_try.py")
    output = [nbformat.v4.new_output("stream", name="stdout", text="✓ it holds\n")]
    notebook.cells[2].outputs = [*output, nbformat.v4.new_output("display_data", data={"image/png": PIXEL})]
    notebooks.write_notebook(notebook, sources.parent / "07_try.ipynb")
    return sources


@pytest.mark.slow
def test_tags_decide_what_is_shown(house, tmp_path):
    (file,) = slides.write_slides(tmp_path / "slides")
    page = file.read_text(encoding="utf-8")
    assert "<title>Try slides</title>" in page
    assert "left_out" not in page
    assert "✓ it holds" in page and "check.true" not in page
    assert "raise" in page and "check.exercise" not in page
    assert page.count("<math") == 40


def test_a_lesson_that_was_not_rendered_is_said(make_house, tmp_path):
    make_house("# %%\nx = 1\n")
    with pytest.raises(UserError, match=r"07_try\.ipynb is missing: run `relcomp render 07_try` first"):
        slides.write_slides(tmp_path)


def test_too_much_goes_on_further_slides_and_nothing_is_lost(read_slides, house, tmp_path):
    (file,) = slides.write_slides(tmp_path / "slides")
    found = read_slides(file)
    text = "\n".join(slide["text"] for slide in found)
    assert text.count("A sentence of a dozen words") == 80
    assert [int(n) for n in re.findall(r"Item (\d+) of", text)] == [*range(1, 40)]
    assert [int(n) for n in re.findall(r"line_(\d+) =", text)] == [*range(60)]
    assert found[1]["text"].startswith("Try slides"), "a further slide says what it goes on with"
