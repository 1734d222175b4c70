"""Slides: no solution on them, nothing from the network, and in a real browser none that is too tall or too small."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from relcomp_kit.course import notebooks, slides
from relcomp_kit.course.slides_page import HEIGHT, SMALLEST, WIDTH
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
MEASURE = """() => [...document.querySelectorAll(".slides > section > section")].map((slide) => {
  const at = Reveal.getIndices(slide);
  Reveal.slide(at.h, at.v);
  const texts = [...slide.querySelectorAll("p, li, td, th, pre, summary")].filter((one) => one.textContent.trim());
  return {
    text: slide.textContent.trim(),
    shown: slide.classList.contains("present"),
    size: [slide.scrollWidth, slide.scrollHeight],
    smallest: Math.min(...texts.map((one) => parseFloat(getComputedStyle(one).fontSize))),
    images: [...slide.querySelectorAll("img")].map((one) => one.naturalWidth && one.getBoundingClientRect().height),
  };
})"""


@pytest.fixture(scope="module")
def decks(tmp_path_factory):
    """Decks of all lessons that have been rendered."""
    sources = [one for one in notebooks.find_lessons() if (one.parent.parent / f"{one.stem}.ipynb").is_file()]
    return slides.write_slides(tmp_path_factory.mktemp("slides"), [source.stem for source in sources])


@pytest.mark.slow
def test_decks_hold_no_solution_and_nothing_from_the_network(decks):
    for file in decks:
        page = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
        sources = [
            one.get("src", "") + one.get("href", "") for one in page.find_all(["script", "link", "img", "iframe"])
        ]
        assert all(source.startswith("data:image/png") for source in sources if source)
        styles = "".join(style.text for style in page("style"))
        assert not re.search(r"@import|url\((?![\"']?data:)", styles)
        text = page.select_one(".slides").text
        assert "# solution" not in text
        for cell in notebooks.read_source(notebooks.find_lessons([file.stem])[0]).cells:
            if "exercise" in cell.metadata.get("tags", []):
                assert cell.source.split("# solution\n", 1)[1].strip() not in text


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


def measured(browser, file):
    """Every slide of a deck as the browser shows it; a request or an error in the page fails."""
    problems = []
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda ask: problems.append(ask.url) if not ask.url.startswith(("file:", "data:")) else None)
    page.goto(file.as_uri())
    page.wait_for_selector("body[data-ready]", timeout=120_000)
    found = page.evaluate(MEASURE)
    page.close()
    assert problems == []
    return found


def assert_readable(found):
    for slide in found:
        assert slide["shown"] and (slide["text"] or slide["images"])
        assert slide["size"][0] <= WIDTH and slide["size"][1] <= HEIGHT, slide
        assert slide["smallest"] is None or slide["smallest"] >= SMALLEST, slide
        assert all(slide["images"]), slide


def test_too_much_goes_on_further_slides_and_nothing_is_lost(browser, house, tmp_path):
    (file,) = slides.write_slides(tmp_path / "slides")
    found = measured(browser, file)
    assert_readable(found)
    text = "\n".join(slide["text"] for slide in found)
    assert text.count("A sentence of a dozen words") == 80
    assert [int(n) for n in re.findall(r"Item (\d+) of", text)] == [*range(1, 40)]
    assert [int(n) for n in re.findall(r"line_(\d+) =", text)] == [*range(60)]
    assert found[1]["text"].startswith("Try slides"), "a further slide says what it goes on with"


@pytest.mark.slow
def test_every_lesson_is_readable_at_1280x720(browser, decks):
    for file in decks:
        assert_readable(measured(browser, file))
