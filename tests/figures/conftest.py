"""What tests of figures share."""

import warnings

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from relcomp_kit.figures import scenes, style


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
