"""What tests of figures share."""

import io
import warnings

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from relcomp_kit.figures import scenes, style

SLIDE = 1168, 570  # pixels that a figure has on a slide of 1280 x 720
SMALLEST = 11 * 96 / 72  # pixels of letters of 11 points
LARGEST = 150_000  # bytes


def smallest_letters(made: Figure, png: bytes) -> float:
    """Return how many pixels high the smallest letters of a figure are on a slide."""
    width, height = (pixels / made.dpi for pixels in Image.open(io.BytesIO(png)).size)
    sizes = [text.get_fontsize() for text in made.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return min(sizes, default=99) / 72 * min(SLIDE[0] / width, SLIDE[1] / height)


@pytest.fixture
def figure_and_png(monkeypatch):
    """Draw a figure without any warning: ``figure_and_png(function, arguments)`` gives the figure and its one PNG.

    The PNG is small, and its letters can be read from the last row.
    """

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
        assert len(png.data) < LARGEST
        assert smallest_letters(made, png.data) >= SMALLEST
        return made, png.data

    return drawn


@pytest.fixture
def draw(figure_and_png):
    """Draw a figure without any warning: ``draw(function, arguments)`` gives the figure."""
    return lambda function, *arguments, **more: figure_and_png(function, *arguments, **more)[0]
