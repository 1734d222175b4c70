"""Figures of lesson 06 that show experts: whom filters serve, what paths share and keep, what an expert sees."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from relcomp_kit.compression.experts import ALL
from relcomp_kit.figures.parts import behind, percent_cells, stages
from relcomp_kit.figures.quantization import _numbers
from relcomp_kit.figures.scenes import Palette, _coloured, _photograph, _pictures, _rgb, _row_height
from relcomp_kit.figures.style import AGAINST, DIVERGING, FOR, INK, REMOVED, REST, SMALL, bare, figure

DOUBLINGS = 2  # of an even share, up and down: what lies beyond looks the same
SHADES = 4 * DOUBLINGS + 1  # half a doubling each; an odd number, so that an even share is white
LONG = 8  # letters: longer names stand at an angle below a column
ACROSS = 4  # pictures in a row, at most
FEW_CLASSES = 8  # whose legend has room in the place of a picture
LETTERS = 100  # of all titles of a row
PALE = 0.65  # how much white the colours get of the classes that are not asked for


def filters_by_class(scores: ArrayLike, classes: Sequence[str], title: str) -> None:
    """Draw each class's share of relevance in every filter of a layer, beside an even share: red more, blue less.

    Filters are sorted by the class that they serve most, which is the one with the largest share, and then by that
    share. A frame holds those that serve a class most; how many they are stands on the right.

    Parameters
    ----------
    scores : array
        Per class its filters' shares of the layer's relevance, (classes, filters), which add up to 1.
    classes : sequence of str
        Names of the classes, in the order of the rows.
    title : str
        Such as the name of the layer.
    """
    shares = _numbers(scores)
    count, filters = shares.shape
    served = shares.argmax(0)
    order = np.lexsort((-shares.max(0), served))
    doublings = np.log2(np.maximum(filters * shares[:, order], 2.0 ** -(DOUBLINGS + 1)))
    counts = np.bincount(served, minlength=count)
    with figure(size=(12, 0.45 * count + 2.4)) as (made, (axis,)):
        look = {"vmin": -DOUBLINGS, "vmax": DOUBLINGS, "aspect": "auto"}
        image = axis.imshow(doublings, DIVERGING.resampled(SHADES), **look)
        for row, (first, width) in enumerate(zip(counts.cumsum() - counts, counts)):
            axis.text(1.015, row, f"{width:,}", va="center", transform=axis.get_yaxis_transform())
            if width:
                frame = Rectangle((first - 0.5, row - 0.5), width, 1, fill=False, color=INK, linewidth=2, clip_on=False)
                axis.add_patch(frame)
        axis.annotate("filters", (1.015, 1), (0, 6), xycoords="axes fraction", textcoords="offset points")
        axis.set_yticks(range(count), classes)
        axis.set(title=title, xlabel=f"{filters:,} filters, by the class that they serve most", xticks=[])
        axis.grid(False)
        bar = made.colorbar(image, orientation="horizontal", label="times an even share", aspect=40, extend="both")
        bar.set_ticks([-2, -1, 0, 1, 2], labels=["¼", "½", "1", "2", "4"])
        bar.outline.set(color=REMOVED, linewidth=0.8)


def path_similarity(matrix: ArrayLike, names: Sequence[str]) -> None:
    """Draw how much paths overlap, as a square of numbers in percent.

    Parameters
    ----------
    matrix : array
        In [0, 1], (paths, paths), such as filters that both keep over filters that any keeps.
    names : sequence of str
        Of the paths.
    """
    percent = 100 * _numbers(matrix)
    places = range(len(names))
    with figure(size=(1.1 * len(names) + 3, min(7.2, 0.55 * len(names) + 2.2))) as (_, (axis,)):
        percent_cells(axis, percent, 16)
        long = max(map(len, names)) > LONG
        angle = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if long else {}
        axis.set_xticks(places, names, **angle)
        axis.set_yticks(places, names)
        axis.set_title("overlap of paths, %")
        axis.grid(False)


def growing(
    image: ArrayLike,
    truth: ArrayLike,
    predictions: dict[str, ArrayLike],
    classes: Sequence[str],
    palette: Palette,
    shown_class: int | None = None,
) -> None:
    """Draw a scene, its truth, and what nets of different sizes make of it, in rows of equal length if possible.

    Parameters
    ----------
    image : array
        The scene, (3, height, width), uint8.
    truth : array
        Label of every pixel, (height, width), uint8: indices into ``classes``; 255 is void, drawn black.
    predictions : dict of str to array
        Per net, named by what stands above its picture, the class of every pixel, (height, width).
    classes : sequence of str
        Names of the classes, for the legend.
    palette : sequence of (int, int, int)
        The RGB triplet of every class, 0 to 255.
    shown_class : int, optional
        The class that is asked for: all others are drawn pale.
    """
    if shown_class is not None:
        palette = [_pale(colour) if index != shown_class else colour for index, colour in enumerate(palette)]
    titles = ["image", "truth", *predictions]
    rows = -(-len(titles) // ACROSS)
    across = -(-len(titles) // rows)  # not three pictures and a last one alone
    titles = [textwrap.fill(title, LETTERS // across) for title in titles]
    lines = 1 + max(title.count("\n") for title in titles)
    spare = len(titles) < rows * across and len(classes) <= FEW_CLASSES
    high = _row_height(image, across) + 0.27 * lines
    with _pictures(rows, across, high, classes, palette, spare) as (_, axes):
        for axis in axes:
            bare(axis)
        for axis, title in zip(axes, titles):
            axis.set_title(title, fontsize=SMALL)
        _photograph(axes[0], _rgb(image))
        for axis, labels in zip(axes[1:], (truth, *predictions.values())):
            axis.imshow(_coloured(labels, palette))


def _pale(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    return tuple(round(part + PALE * (255 - part)) for part in colour)


def path_layers(shares: dict[str, dict[str, float]]) -> None:
    """Draw shares of every layer of a net, a row per kind: what an expert keeps, or shares with another one, in red.

    Grey is the rest, up to 100 %. A layer without an entry has no bar.

    Parameters
    ----------
    shares : dict of str to dict of str to float
        Per kind ("filters kept", "relevance kept" ...) and layer a share in [0, 1]. The first kind has all layers, from
        the input to the output. An entry `relcomp_kit.compression.experts.ALL` is written above the row.
    """
    layers = [layer for layer in next(iter(shares.values())) if layer != ALL]
    places = np.arange(len(layers))
    with figure(len(shares), 1, size=(12, min(7.2, 0.7 + 1.9 * len(shares))), sharex=True, sharey=True) as (made, axes):
        for axis, (kind, found) in zip(axes, shares.items()):
            percent = 100 * np.array([found.get(layer, np.nan) for layer in layers])
            axis.bar(places, percent, 0.85, color=FOR)
            axis.bar(places, 100 - percent, 0.85, percent, color=REST)
            axis.set_title(f"{kind}: {100 * found[ALL]:.0f} % over all" if ALL in found else kind, loc="left")
            stages(axis, layers)
        axes[0].set(ylim=(0, 100), yticks=[0, 50, 100])
        made.supylabel("share of the layer, %", fontsize=15)


def leak(before: ArrayLike, after: ArrayLike, mask: ArrayLike) -> None:
    """Draw what channels give behind a batch-norm, if some are masked before it, and if they are masked behind it.

    Kept channels are grey and masked ones blue: masked before the batch-norm, they still give its shift.

    Parameters
    ----------
    before, after : array
        Mean output of every channel with the mask before and behind the batch-norm, (channels,).
    mask : array
        True for the channels that are kept, (channels,).
    """
    kept = np.asarray(mask, bool)
    places = np.arange(len(kept))
    colours, size = np.where(kept, REMOVED, AGAINST), min(5, 400 / len(kept))
    with figure(1, 2, size=(13, 4.8), sharey=True) as (made, axes):
        for axis, values, where in zip(axes, (before, after), ("before", "behind")):
            values = _numbers(values)
            axis.bar(places, values, 0.85, color=colours)
            axis.plot(places[~kept], values[~kept], "o", color=AGAINST, markersize=size)  # seen at 0 too
            axis.axhline(0, color=INK, linewidth=1)
            most = np.abs(values[~kept]).max(initial=0)
            axis.set_title(f"masked {where} the batch-norm:\nlargest output of a masked channel: {most:.2g}")
            axis.set_xlabel("channel")
            behind(axis, "y")
        axes[0].set_ylabel("mean output")
        patches = [Patch(color=colour, label=name) for name, colour in (("kept", REMOVED), ("masked", AGAINST))]
        made.legend(handles=patches, loc="outside lower center", ncols=2)
