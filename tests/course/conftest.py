"""What tests of the lessons share."""

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
