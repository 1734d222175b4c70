"""The look of every figure: readable from the last row, safe for colour-blind eyes, small as a file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib.pyplot as plt
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from PIL import Image as Picture

FOR, AGAINST, REMOVED, INK = "#c0392b", "#2166ac", "#a6a6a6", "#222222"
DIVERGING = LinearSegmentedColormap.from_list("for and against", [AGAINST, "#ffffff", FOR])
HEAT = LinearSegmentedColormap.from_list("importance", ["#ffffff", "#f4b9a7", FOR, "#5e120a"])
# one colour and one line style an arm, so that no figure depends on colour alone
LINES = [
    (FOR, "-"),
    (AGAINST, "-"),
    (INK, "--"),
    ("#e08214", "-."),
    ("#5aae61", ":"),
    (REMOVED, "-"),
    ("#762a83", "--"),
]

RC = {
    "figure.dpi": 72,
    "font.size": 15,
    "axes.titlesize": 16,
    "axes.labelsize": 15,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "lines.linewidth": 2.6,
    "legend.fontsize": 13,
    "legend.frameon": False,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "savefig.bbox": "tight",
    "image.interpolation": "nearest",
}
COLOURS = 40  # of a palette image: a third of the bytes of full colour, and no eye sees it at this size
GREYS = [34, 34, 34, 90, 90, 90, 166, 166, 166, 255, 255, 255]  # always in the palette, so that text stays black
LINE_COLOURS = [round(255 * part) for colour, _ in LINES for part in to_rgb(colour)]  # and lines keep theirs


@contextmanager
def figure(
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = (10, 4.6),
    colours: int = COLOURS,
    keep: list[bytes] | None = None,
    **more,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a styled figure and its axes as a flat list; when the block ends it is shown as a small PNG, or kept.

    Parameters
    ----------
    rows : int
        Rows of axes.
    columns : int
        Columns of axes.
    size : (float, float)
        Width and height in inches.
    colours : int
        Colours of the PNG's palette, more than 11 and at most 256.
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
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
                display(Image(png(made, colours)))
            else:
                keep.append(png(made, colours))
        finally:
            plt.close(made)


def png(made: Figure, colours: int = COLOURS) -> bytes:
    """Return a figure as PNG with a palette.

    Parameters
    ----------
    made : Figure
        The figure.
    colours : int
        Colours of the palette, those of text and lines included.

    Returns
    -------
    bytes
        The PNG file.
    """
    full, small = io.BytesIO(), io.BytesIO()
    made.savefig(full, format="png")
    picture = Picture.open(full).convert("RGB")
    fixed = GREYS + LINE_COLOURS
    chosen = picture.quantize(colours - len(fixed) // 3, kmeans=2).getpalette()
    palette = Picture.new("P", (1, 1))
    palette.putpalette(chosen[: 3 * colours - len(fixed)] + fixed)
    picture.quantize(palette=palette, dither=Picture.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


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
