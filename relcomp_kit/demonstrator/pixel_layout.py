"""A figure laid out in pixels from its upper left corner: text, pictures and bars, drawn fast."""

import io

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from relcomp_kit.figures.style import DIVERGING, INK

SIZE = (960, 620)  # beside a column of controls on a screen of 1280x720
MARGIN, DPI = 6, 72  # a point is a pixel
SMALLEST = 13  # height of a font
LETTER, BOLD = 0.58, 0.66  # mean width of a letter, in heights of the font
FAINT, SMOOTH = 0.6, 3  # power that lifts small relevance; pixels each way that are averaged, an odd number


class Sheet:
    """A figure of so many pixels. Pictures and bars are pixels of one image: an axes each would take most of the time.

    No pyplot is involved, which would remember the figure.
    """

    def __init__(self, size: tuple[int, int]):
        self.width, self.height = size
        self.pixels = np.full((self.height, self.width, 3), 255, np.uint8)
        self.figure = Figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Return axes with their upper left corner at (x, y)."""
        w, h = self.width, self.height
        return self.figure.add_axes((x / w, 1 - (y + height) / h, width / w, height / h))

    def text(self, x: float, y: float, words: str, size: float = 18, room: float | None = None, **look) -> None:
        """Write words with their middle line at y: smaller, or cut off, where there is too little room for them."""
        if room is not None and words:
            letter = BOLD if "weight" in look else LETTER
            size = max(min(size, SMALLEST), min(size, room / (letter * len(words))))
            words = shorten(words, int(room / (letter * size) + 1e-6))
        look = {"va": "center", "color": INK} | look
        self.figure.text(x / self.width, 1 - y / self.height, words, fontsize=size, parse_math=False, **look)

    def bar(self, x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        """Fill a rectangle with its upper left corner at (x, y)."""
        self.pixels[round(y) : round(y + height), round(x) : round(x + width)] = colour

    def picture(self, x: float, y: float, width: float, height: float, pixels: np.ndarray) -> None:
        """Draw an image (height, width, 3), uint8, each of its pixels as a square."""
        drawn = Image.fromarray(pixels).resize((round(width), round(height)), Image.Resampling.NEAREST)
        place = self.pixels[round(y) :, round(x) :][: drawn.height, : drawn.width]
        place[:] = np.asarray(drawn)[: place.shape[0], : place.shape[1]]

    def finish(self) -> Figure:
        """Return the figure."""
        ground = self.axes(0, 0, self.width, self.height)
        ground.set_axis_off()
        ground.set_zorder(-1)
        ground.imshow(self.pixels, interpolation="nearest", aspect="auto")
        return self.figure


def rgb(colour: str) -> tuple[int, int, int]:
    """Return a colour such as "#c0392b" as three numbers from 0 to 255."""
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


def shorten(words: str, letters: int) -> str:
    """Return words cut to so many letters; what stands behind the last comma, such as a share, is kept if it fits.

    Parameters
    ----------
    words : str
        They are returned as they are if they are short enough.
    letters : int
        How many letters there is room for.
    """
    if len(words) <= letters:
        return words
    first, comma, last = words.rpartition(", ")
    tail = comma + last if first and len(comma + last) < letters - 4 else ""
    return words[: max(1, letters - len(tail) - 1)].rstrip(" ,+") + "…" + tail


def percent(share: float | None) -> str:
    """Return a share as it is written in tables."""
    return "–" if share is None else f"{100 * share:.0f} %" if share >= 0.0995 or not share else f"{100 * share:.1f} %"


def size_of(count: int) -> str:
    """Return bytes as it is written in tables."""
    return f"{count / 1000:,.0f} kB" if count < 10**6 else f"{count / 10**6:,.1f} MB"


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, compressed a little: the time counts, not the bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi="figure", pil_kwargs={"compress_level": 1})
    return file.getvalue()


def photograph(image: Tensor) -> np.ndarray:
    """Return an image (3, height, width) as it is drawn."""
    return image.permute(1, 2, 0).numpy()


def coloured(labels: Tensor, palette: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Return the class of every pixel in the classes' colours, void in black.

    Parameters
    ----------
    labels : (height, width), uint8
        Indices of classes; 255 is void, and drawn in black.
    palette : tuple of (int, int, int)
        The colour of every class, 0 to 255.
    """
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[labels.numpy()]


def overlaid(image: Tensor, heat: Tensor) -> np.ndarray:
    """Return a grey image under its relevance: red for, blue against, the stronger the more.

    Parameters
    ----------
    image : (3, height, width), uint8
        It is drawn in grey.
    heat : (height, width)
        Relevance of every pixel; averaged over 3 x 3 pixels, and scaled by the 99.5 % quantile of its size.
    """
    heat = avg_pool2d(heat[None], SMOOTH, stride=1, padding=SMOOTH // 2)[0]
    most = torch.quantile(heat.abs(), 0.995).clamp_min(1e-12)
    share = (heat / most).clamp(-1, 1).numpy()
    strength = np.abs(share)[..., None] ** FAINT
    grey = 90 + 0.6 * photograph(image).mean(axis=-1, keepdims=True)
    colours = 255 * DIVERGING((np.sign(share) + 1) / 2)[..., :3]
    return (strength * colours + (1 - strength) * grey).astype(np.uint8)


def marked(image: Tensor, masks: list[tuple[Tensor, str]]) -> np.ndarray:
    """Return an image in light grey, with the pixels of masks in their colours.

    Parameters
    ----------
    image : (3, height, width), uint8
        It is drawn in light grey.
    masks : list of (Tensor, str)
        Masks (height, width), bool, with colours such as "#c0392b"; a later one covers an earlier one.
    """
    pixels = np.repeat(150 + 0.35 * photograph(image).mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    for mask, colour in masks:
        pixels[mask.numpy()] = rgb(colour)
    return pixels
