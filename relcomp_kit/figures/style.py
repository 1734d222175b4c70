"""The look of every figure: readable from the last row, safe for colour-blind eyes, small as a file."""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from PIL import Image as Picture

FOR, AGAINST, REMOVED, INK = "#c0392b", "#2166ac", "#a6a6a6", "#222222"
SOFT, REST, FAINT, PAPER = (
    "#555555",
    "#dadada",
    "#f2f2f2",
    "#ffffff",
)  # second words, what is left, nearly nothing, page
BETWEEN, KEPT = "#cfcfcf", "#8c8c8c"  # greys beside REMOVED
PLAIN = "#4a6785"  # of bars and dots that belong to no arm
WHOLE, ORANGE, SKY, MAGENTA, ROSE, PURPLE = "#009e73", "#e69f00", "#6bb5e8", "#aa3377", "#e8907c", "#762a83"
BROWN = "#7a4b20"
SYMBOLS = ["#f4b9a7", REST, "#a9c7e2", "#cfe3c8", "#ecd9b0"]  # of an alphabet, light enough to write on
DIVERGING = LinearSegmentedColormap.from_list("for and against", [AGAINST, PAPER, FOR])
HEAT = LinearSegmentedColormap.from_list("importance", [PAPER, "#f4b9a7", FOR, "#5e120a"])


class Look(NamedTuple):
    """How an arm is named and drawn.

    Parameters
    ----------
    name : str
        What the legend says.
    colour : str
        Colour of line and markers, as matplotlib takes it.
    line : str or tuple
        Line style, as matplotlib takes it.
    marker : str
        Marker, as matplotlib takes it.
    """

    name: str
    colour: str
    line: str | tuple
    marker: str


_RELEVANCE, _MAGNITUDE, _RANDOM = (FOR, "-", "o"), (AGAINST, "--", "^"), (REMOVED, ":", "D")
_NONE, _WHOLE, _GRADIENT, _EXPERT = (INK, "--", "s"), (WHOLE, "-.", "X"), (MAGENTA, "-.", "h"), (FOR, "-", "*")
_LAYERWISE = (SKY, (0, (3, 1, 1, 1)), "v")
# Colour says by what weights or filters were chosen, line and marker say it again. The name is the legend's. What is
# not listed looks like the entry with the longest name that its own begins with, and keeps its own name.
LOOKS = {
    name: Look(shown or name, *look)
    for name, shown, look in (
        ("relevance", "", _RELEVANCE),
        ("lrp", "LRP", _RELEVANCE),
        ("lrp, sums left out", "LRP, sums left out", (ROSE, "--", "p")),
        ("LRP", "", _RELEVANCE),
        ("LRP-ε, abs of mean", "", (ROSE, "--", "p")),
        ("LRP-z+", "", (ORANGE, "-", "P")),
        ("LRP z+", "", (ORANGE, "-", "P")),
        ("LRP, published grid", "", (ROSE, ":", "<")),
        ("two maps", "", (ROSE, "--", "p")),
        ("two maps (published)", "", _RELEVANCE),
        ("pruned, SF", "", _RELEVANCE),
        ("pruned, SF 0.6", "", (ROSE, "--", "p")),
        ("magnitude", "", _MAGNITUDE),
        ("magnitude per layer", "", _LAYERWISE),
        ("random", "", _RANDOM),
        ("random per filter", "", (INK, ":", "d")),
        ("batch-norm scale", "", (PURPLE, "-", "d")),
        ("expected output", "", (MAGENTA, "-.", "h")),
        ("activation-aware", "", (ROSE, "--", "p")),
        ("average", "", (ORANGE, "-.", "P")),
        ("gradient", "", (SKY, ":", "v")),
        ("gradient × ", "", _GRADIENT),
        ("weight x gradient", "", _GRADIENT),
        ("weight times gradient", "", _GRADIENT),
        ("Taylor", "", _GRADIENT),
        ("Fisher", "", (PURPLE, ":", "v")),
        ("concept", "", (ROSE, ":", "p")),
        ("|gradient", "", (SKY, ":", "v")),
        ("oracle", "", (INK, "-", "s")),
        ("none", "ECQ", _NONE),
        ("ecq", "ECQ", _NONE),
        ("without relevance", "", _NONE),
        ("float", "", _WHOLE),
        ("super-net", "", _WHOLE),
        ("whole net", "", _WHOLE),
        ("plain training", "", _WHOLE),
        ("cut by day", "", _EXPERT),
        ("cut in snow", "", (ROSE, "--", "p")),
        ("rail expert", "", _EXPERT),
        ("rail expert, magnitude", "", _LAYERWISE),
        ("pruning", "", (FOR, "-", "P")),
        ("pruning, magnitude", "", _MAGNITUDE),
        ("ECQ", "", _NONE),
        ("ECQˣ", "", _RELEVANCE),
        ("NNC file", "", (PURPLE, "-", "D")),
        ("NNC file, ECQˣ, ", "", (PURPLE, ":", "*")),
        ("compact", "", (PURPLE, "-", "o")),
        ("compact, this run", "", (MAGENTA, "-", "*")),
        ("resnet50", "", (ORANGE, "-.", "s")),
        ("resnet101", "", (BROWN, "--", "^")),
        ("entropy", "", (REMOVED, "-", "")),
        ("Huffman", "", (ORANGE, "--", "s")),
        ("DeepCABAC", "", (PURPLE, "-", "D")),
    )
}
OTHERS = [(PURPLE, "-", "d"), (ORANGE, "-.", "P"), (INK, "--", "s"), (SKY, ":", "v"), (MAGENTA, "-", "h")]
DATASETS = {
    "mnist": "MNIST",
    "rail-scenes": "rail scenes",
    "rail-scenes-192x320": "rail scenes, 192x320",
    "speech-commands": "Speech Commands",
    "cifar10": "CIFAR-10",
    "voc": "Pascal VOC",
}

GREY = "gray"  # map of photographs in grey
SMALL = 14  # points of the smallest letters
RC = {
    "figure.dpi": 144,
    "font.size": 15,
    "axes.titlesize": 16,
    "axes.labelsize": 15,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 2.6,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "savefig.bbox": "tight",
    "image.interpolation": "nearest",
}
COLOURS = 28  # beside the steady ones: a third of the bytes of full colour, and no eye sees it
# these keep their place in the palette, so that text stays black, and lines keep the colour that the legend shows
STEADY = [INK, "#5a5a5a", REMOVED, PAPER, *dict.fromkeys(look.colour for look in LOOKS.values()), PLAIN, AGAINST]
STEADY = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in dict.fromkeys(STEADY)]


def looks(names: Iterable[str], alike: bool = False) -> dict[str, Look]:
    """Return how each of some arms is drawn, as in all lessons; an arm that no lesson knows gets a look of its own.

    Parameters
    ----------
    names : iterable of str
        Keys of `LOOKS`, names that begin with one, or others.
    alike : bool
        Others look all alike: they stand in rows with their names, and need no looks of their own.
    """
    own = cycle([(PLAIN, "-", "o")] if alike else OTHERS)
    found = {}
    for name in dict.fromkeys(names):
        known = max((start for start in LOOKS if name.startswith(start)), key=len, default=None)
        found[name] = LOOKS[name] if known == name else Look(name, *(LOOKS[known][1:] if known else next(own)))
    return found


def set_name(dataset: str) -> str:
    """Return how a data set is called in all figures."""
    return DATASETS.get(dataset, dataset)


@contextmanager
def figure(
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = (10, 4.6),
    colours: int = COLOURS,
    keep: list[bytes] | None = None,
    exact: Sequence[tuple[int, int, int]] = (),
    **more,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a styled figure and its axes as a flat list; when the block ends it is shown as a small PNG, or kept.

    Letters of `SMALL` points can be read from the last row if the figure is at most 15 inches wide and 7.3 high.

    Parameters
    ----------
    rows : int
        Rows of axes.
    columns : int
        Columns of axes.
    size : (float, float)
        Width and height in inches.
    colours : int
        Colours of the PNG, beside those of text and lines, at most 200.
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
    exact : sequence of (int, int, int)
        Further RGB triplets, 0 to 255, that stay as they are, at most 64.
    **more
        Further arguments of `matplotlib.pyplot.subplots`.

    Yields
    ------
    made : Figure
        The figure.
    axes : list of Axes
        Its axes, row by row.
    """
    with plt.rc_context(RC):
        made, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", **more)
        try:
            yield made, list(axes.flat)
            if keep is None:
                display(Image(png(made, colours, exact)))
            else:
                keep.append(png(made, colours, exact))
        finally:
            plt.close(made)


def png(made: Figure, colours: int = COLOURS, exact: Sequence[tuple[int, int, int]] = ()) -> bytes:
    """Return a figure as PNG with a palette.

    Parameters
    ----------
    made : Figure
        The figure.
    colours : int
        Colours that all share but those of text and lines, at most 200.
    exact : sequence of (int, int, int)
        As in `figure`.

    Returns
    -------
    bytes
        The PNG file.
    """
    return palette_png(made, [*STEADY, *exact], colours)


def palette_png(made: Figure, steady: Sequence[tuple[int, int, int]], shared: int) -> bytes:
    """Return a figure as PNG in which some colours are exact, and all others share a few.

    Parameters
    ----------
    made : Figure
        The figure.
    steady : sequence of (int, int, int)
        RGB triplets, 0 to 255, that stay as they are.
    shared : int
        Colours that all other pixels share.
    """
    full, small = io.BytesIO(), io.BytesIO()
    made.savefig(full, format="png")
    pixels = np.asarray(Picture.open(full).convert("RGB"))
    packed = _packed(pixels)
    index = np.full(packed.shape, len(steady), np.uint8)
    for number, colour in enumerate(steady):
        index[packed == _packed(np.array(colour))] = number
    others = index == len(steady)
    free: list[int] = []
    if others.any():
        reduced = Picture.fromarray(pixels[others][None]).quantize(shared, kmeans=1)
        index[others] += np.asarray(reduced)[0]
        free = reduced.getpalette()[: 3 * shared]
    picture = Picture.fromarray(index)
    picture.putpalette([part for colour in steady for part in colour] + free)
    picture.save(small, "png", optimize=True)
    return small.getvalue()


def _packed(rgb: np.ndarray) -> np.ndarray:
    """Return colours, (..., 3), as a number each."""
    return rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def bare(axis: Axes, title: str = "") -> None:
    """Take ticks and frame from an axis that shows an image.

    Parameters
    ----------
    axis : Axes
        The axis, changed in place.
    title : str
        What to write above it; empty for nothing.
    """
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if title:
        axis.set_title(title)
