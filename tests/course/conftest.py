"""What tests of the lessons share."""

import shutil

import pytest

from relcomp_kit.course import kernel, notebooks


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
