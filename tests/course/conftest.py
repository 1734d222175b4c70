"""What tests of the lessons share."""

import shutil

import pytest

from relcomp_kit.course import kernel, notebooks
from relcomp_kit.course.slides_page import HEIGHT, SMALLEST, WIDTH

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


@pytest.fixture
def make_house(tmp_path, monkeypatch):
    """A checkout with one lesson of this text; returns the folder of its sources."""

    def make(text, name="07_try"):
        root = tmp_path / "house"
        sources = root / "notebooks" / "source"
        sources.mkdir(parents=True)
        (sources / f"{name}.py").write_text(text, encoding="utf-8")
        for module in (kernel, notebooks):
            monkeypatch.setattr(module, "checkout", lambda: root)
        return sources

    return make


@pytest.fixture(scope="module")
def browser():
    """Chromium, driven by Playwright."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium is installed")
    driver = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def read_slides(browser):
    """``read_slides(file)`` returns every slide of a deck as the browser shows it.

    A request or an error in the page fails, and a slide that is empty, too tall, too wide or too small to read.
    """

    def read(file):
        problems = []
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda ask: problems.append(ask.url) if not ask.url.startswith(("file:", "data:")) else None)
        page.goto(file.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=120_000)
        found = page.evaluate(MEASURE)
        page.close()
        assert problems == []
        for slide in found:
            assert slide["shown"] and (slide["text"] or slide["images"])
            assert slide["size"][0] <= WIDTH and slide["size"][1] <= HEIGHT, slide
            assert slide["smallest"] is None or slide["smallest"] >= SMALLEST, slide
            assert all(slide["images"]), slide
        return found

    return read
