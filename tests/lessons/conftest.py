"""What tests of the lessons share."""

import warnings

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from relcomp_kit.lessons import kernel, notebooks
from relcomp_kit.lessons.plot import scenes, style


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


@pytest.fixture
def figure_and_png(monkeypatch):
    """Draw a figure without any warning: ``figure_and_png(function, arguments)`` gives the figure and its one PNG."""

    def drawn(function, *arguments, **more) -> tuple[Figure, bytes]:
        pictures, figures, close = [], [], plt.close
        monkeypatch.setattr(style, "display", pictures.append)
        monkeypatch.setattr(scenes, "display", pictures.append)
        monkeypatch.setattr(plt, "close", lambda made: (figures.append(made), close(made)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert function(*arguments, **more) is None
        monkeypatch.undo()
        (png,), (made,) = pictures, figures
        assert not plt.get_fignums()
        return made, png.data

    return drawn


@pytest.fixture
def draw(figure_and_png):
    """Draw a figure without any warning: ``draw(function, arguments)`` gives the figure, and sees to a small PNG."""

    def drawn(function, *arguments, **more) -> Figure:
        made, png = figure_and_png(function, *arguments, **more)
        assert len(png) < 50_000
        return made

    return drawn
