"""Pictures of lesson 03: scenes, their labels and what a net makes of them, pixel by pixel."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from scipy import ndimage

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.figures.style import FOR, INK, PAPER, RC, SMALL, bare, palette_png

Palette = Sequence[tuple[int, int, int]]

WIDTH, TALLEST = 12, 7.2  # inches of the figures here, unless they would get too tall
FINENESS = 108  # dots per inch: photographs of a few hundred pixels gain nothing from more
PHOTOGRAPHS = 40  # colours that all photographs of a figure share; classes have theirs apart
GREYS = [(34, 34, 34), (90, 90, 90), (166, 166, 166), (255, 255, 255)]  # of text
WRONG = tuple(round(255 * part) for part in to_rgb(FOR))
VOID_COLOUR = (0, 0, 0)
GROUPS = 4  # of three pictures in a row, at most
SMALLEST_CROP = 24  # pixels: in a smaller crop nobody sees what surrounds the object


def scene_sheet(
    images: Sequence[ArrayLike],
    labels: Sequence[ArrayLike],
    classes: Sequence[str],
    palette: Palette,
    columns: int = 4,
    titles: Sequence[str] = (),
) -> None:
    """Draw scenes above their label maps, and below them what each colour means.

    Parameters
    ----------
    images : sequence of array
        Scenes, (3, height, width), uint8.
    labels : sequence of array
        Per scene the label of every pixel, (height, width), uint8: indices into ``classes``; 255 is void, drawn black.
    classes : sequence of str
        Names of the classes, for the legend.
    palette : sequence of (int, int, int)
        The RGB triplet of every class, 0 to 255.
    columns : int
        Scenes in a row.
    titles : sequence of str
        What to write above each scene, such as its weather.
    """
    rows = 2 * -(-len(images) // columns)
    high = _row_height(images[0], columns) + 0.15 * bool(titles)
    with _pictures(rows, columns, high, classes, palette) as (_, axes):
        for axis in axes:
            axis.axis("off")
        for index, (image, label) in enumerate(zip(images, labels)):
            row, column = divmod(index, columns)
            above, below = (axes[(2 * row + part) * columns + column] for part in (0, 1))
            _photograph(above, _rgb(image))
            below.imshow(_coloured(label, palette))
            above.set_anchor("S")
            below.set_anchor("N")
        for index, title in enumerate(titles):
            axes[2 * (index // columns) * columns + index % columns].set_title(title)


def predictions_beside_truth(
    images: Sequence[ArrayLike],
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    classes: Sequence[str],
    palette: Palette,
) -> None:
    """Draw one row a scene: image, truth, prediction, and in red the pixels where they differ, void left out.

    Parameters
    ----------
    images : sequence of array
        Scenes, (3, height, width), uint8.
    truths, predictions : sequence of array
        Per scene the class of every pixel, (height, width), uint8: indices into ``classes``; 255 is void, drawn black.
    classes : sequence of str
        Names of the classes, for the legend.
    palette : sequence of (int, int, int)
        The RGB triplet of every class, 0 to 255.
    """
    with _pictures(len(images), 4, _row_height(images[0], 4), classes, palette) as (_, axes):
        for axis, title in zip(axes, ("image", "truth", "prediction", "wrong pixels")):
            axis.set_title(title, fontsize=16)
        for axis in axes:
            bare(axis)
        for row, (image, truth, prediction) in enumerate(zip(images, truths, predictions)):
            photograph, true, predicted, wrong = axes[4 * row : 4 * row + 4]
            truth, prediction = np.asarray(truth), np.asarray(prediction)
            labelled = truth != VOID
            differs = (truth != prediction) & labelled
            _photograph(photograph, _rgb(image))
            true.imshow(_coloured(truth, palette))
            predicted.imshow(_coloured(prediction, palette))
            wrong.imshow(_marked(_rgb(image), differs, WRONG))
            _note(wrong, f"{100 * differs.sum() / max(1, labelled.sum()):.1f} %", 0.98, 0.96, ha="right", va="top")


def crops_of_class(
    images: Sequence[ArrayLike],
    truths: Sequence[ArrayLike],
    predictions: Sequence[ArrayLike],
    classes: Sequence[str],
    palette: Palette,
) -> None:
    """Draw, for every class, the largest example of it: image, truth outlined, prediction outlined.

    Taken is the largest connected piece of a class in all scenes, with what surrounds it. These are not typical
    examples: most pieces are smaller, and harder.

    Parameters
    ----------
    images : sequence of array
        Scenes, (3, height, width), uint8.
    truths, predictions : sequence of array
        Per scene the class of every pixel, (height, width), uint8: indices into ``classes``; 255 is void.
    classes : sequence of str
        Names of the classes, one group of pictures each.
    palette : sequence of (int, int, int)
        The RGB triplet of every class, 0 to 255.
    """
    rows = -(-len(classes) // GROUPS)
    across = -(-len(classes) // rows)
    with _pictures(rows, 3 * across, WIDTH / (3 * across) + 0.3, (), palette) as (made, axes):
        for axis in axes:
            bare(axis)
            axis.set_box_aspect(1)
            axis.patch.set_visible(False)  # a note may reach into the next axis
        for index, name in enumerate(classes):
            image, true, predicted = axes[3 * index : 3 * index + 3]
            image.set_title(name, fontsize=SMALL + 1, loc="left", pad=3)
            found = _largest([np.asarray(truth) == index for truth in truths])
            if found is None:
                _note(true, "in none of the scenes", 0.5, 0.5, ha="center", va="center")
                continue
            scene, window = found
            crop = _rgb(images[scene])[window]
            _photograph(image, crop)
            for axis, labels in ((true, truths), (predicted, predictions)):
                mask = np.asarray(labels[scene])[window] == index
                axis.imshow(_marked(crop, mask, palette[index]))
                if mask.any():
                    axis.contour(mask, levels=[0.1], colors=[INK], linewidths=0.8)
                else:
                    _note(axis, "missed", 0.5, 0.5, ha="center", va="center")
        made.supxlabel("from left to right: image, truth, prediction", fontsize=SMALL + 1)


def _largest(masks: Sequence[np.ndarray]) -> tuple[int, tuple[slice, slice]] | None:
    """Return the scene that holds the largest connected piece of all masks, and a square window on the piece."""
    most, found = 0, None
    for scene, mask in enumerate(masks):
        pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(pieces.ravel())[1:]
        if sizes.max(initial=0) > most:
            most = sizes.max()
            found = scene, _window(np.argwhere(pieces == 1 + sizes.argmax()), mask.shape)
    return found


def _window(piece: np.ndarray, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return a square on the middle of a piece, (pixels, 2), of nine times its area if the scene has room for that.

    The area decides, not the extent: a rail is long, but so thin that nobody sees it in a view of its whole length.
    """
    side = min(max(SMALLEST_CROP, round(3 * len(piece) ** 0.5)), *shape)
    middle = piece[np.abs(piece - piece.mean(axis=0)).sum(axis=1).argmin()]  # a pixel of it, also where it is bent
    top, left = (min(max(0, at - side // 2), length - side) for at, length in zip(middle, shape))
    return slice(top, top + side), slice(left, left + side)


def _rgb(image: ArrayLike) -> np.ndarray:
    return np.moveaxis(np.asarray(image), 0, -1)


def _row_height(image: ArrayLike, columns: int) -> float:
    """Return the height in inches of a row of so many pictures."""
    height, width = np.asarray(image).shape[-2:]
    return WIDTH / columns * height / width + 0.05


def _photograph(axis: Axes, rgb: np.ndarray) -> None:
    axis.imshow(rgb, interpolation="antialiased")


def _coloured(label: ArrayLike, palette: Palette) -> np.ndarray:
    """Return a label map in the colours of its classes, void in black."""
    colours = np.zeros((256, 3), np.uint8)
    colours[: len(palette)] = palette
    return colours[np.asarray(label)]


def _marked(rgb: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Return an image in eight light greys with the pixels of a mask in a colour."""
    greys = 144 + 14 * (rgb.mean(axis=-1, keepdims=True) // 32)
    return np.where(mask[..., None], colour, greys).astype(np.uint8)


def _note(axis: Axes, text: str, x: float, y: float, **place) -> None:
    """Write on a picture, readable on every ground."""
    halo = [withStroke(linewidth=4, foreground=PAPER)]
    axis.text(
        x, y, text, fontsize=SMALL, color=INK, transform=axis.transAxes, path_effects=halo, in_layout=False, **place
    )


@contextmanager
def _pictures(
    rows: int, columns: int, row_height: float, classes: Sequence[str], palette: Palette, spare: bool = False
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure for pictures and its axes as a flat list, with a legend of the classes if there are any.

    With ``spare`` it stands where the last picture would be.

    In `style.figure` the colour of a rare class would get lost. Here every class keeps its own colour.
    """
    across = 4 if len(classes) <= 8 else 5
    words = 0.3 * (0 if spare else 2 + len(classes) // across)
    fit = min(1, (TALLEST - words) / (rows * row_height))  # else letters get small where all has to fit on a slide
    with plt.rc_context(RC | {"figure.dpi": FINENESS}):
        made, axes = plt.subplots(
            rows, columns, figsize=(WIDTH * fit, rows * row_height * fit + words), squeeze=False, layout="constrained"
        )
        try:
            made.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
            yield made, list(axes.flat)
            if classes:
                handles = [Patch(color=np.array(rgb) / 255, label=name) for name, rgb in zip(classes, palette)]
                handles.append(Patch(color=VOID_COLOUR, label="void"))
                if spare:
                    axes.flat[-1].legend(handles=handles, loc="center", ncols=2, columnspacing=1.2)
                else:
                    made.legend(handles=handles, loc="outside lower center", ncols=across, columnspacing=1.2)
            display(Image(palette_png(made, [*palette, WRONG, VOID_COLOUR, *GREYS], PHOTOGRAPHS)))
        finally:
            plt.close(made)
