"""Figures of lessons 00 to 02: where importance lies, on images and on weights, and what the program does with it."""

from itertools import pairwise

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from relcomp_kit.figures.parts import behind, dots, rows
from relcomp_kit.figures.style import (
    AGAINST,
    DIVERGING,
    FOR,
    GREY,
    HEAT,
    INK,
    PAPER,
    REMOVED,
    REST,
    SMALL,
    bare,
    figure,
    looks,
)

EXACT = np.round(255 * HEAT(np.linspace(0, 1, 64))[:, :3]).astype(int)  # stay in the PNG, or colour bars have steps
GRADES = ListedColormap(np.minimum(1, (EXACT + 0.25) / 255))  # so that cutting off and rounding agree


def _square(row: Tensor) -> np.ndarray:
    side = round(row.numel() ** 0.5)
    return row.detach().reshape(side, side).numpy()


def _contour(axis, clean: Tensor) -> None:
    image = _square(clean)
    axis.contour(image, levels=[0.5], colors=[INK], linewidths=1.2)


def input_maps(maps: dict[str, Tensor], clean: Tensor, columns: int = 5) -> None:
    """Draw signed maps, red for and blue against, with the digit's outline on top (thesis, figures 5 and 6).

    Parameters
    ----------
    maps : dict of str to Tensor
        One row a measure: (images, pixels). Every map has its own scale, from -p to p, where p is the 99.5th percentile
        of its absolute values.
    clean : Tensor
        The images without noise, (images, ..., height, width), square and in [0, 1].
    columns : int
        How many images to draw, from the first one on.
    """
    with figure(len(maps), columns, size=(2.05 * columns, 2.1 * len(maps))) as (_, axes):
        for row, (name, values) in enumerate(maps.items()):
            for column in range(columns):
                axis = axes[row * columns + column]
                image = _square(values[column])
                peak = np.quantile(np.abs(image), 0.995) or 1.0
                axis.imshow(image, cmap=DIVERGING, vmin=-peak, vmax=peak)
                _contour(axis, clean[column])
                bare(axis)
            axes[row * columns].set_ylabel(name)


def neuron_tiles(importance: Tensor, title: str, columns: int = 12, *, common: bool = False) -> None:
    """Draw the weight importance of every neuron of the first layer as a tile (thesis, figures 7 to 10).

    Tiles scaled one by one show where in its image a neuron looks, and hide that some neurons matter more than others.
    On one common scale it is the other way round.

    Parameters
    ----------
    importance : Tensor
        (neurons, pixels), not negative.
    title : str
        What to write above.
    columns : int
        Tiles in a row.
    common : bool
        Scale all tiles to the 99.5th percentile of all weights, instead of each one to its own maximum.
    """
    peaks = importance.max(1, keepdim=True).values
    if common:
        peaks = peaks * 0 + np.quantile(importance.detach().numpy(), 0.995)
    tiles = [_square(row) for row in importance / peaks.clamp_min(1e-12)]
    tiles = [np.pad(tile, ((0, 2), (0, 2)), constant_values=np.nan) for tile in tiles]
    tiles += [np.full_like(tiles[0], np.nan)] * (-len(tiles) % columns)
    rows_of_tiles = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    high, wide = np.shape(np.vstack(rows_of_tiles))
    with figure(size=(12, 11.2 * high / wide + 0.5), colours=16, exact=EXACT.tolist()) as (made, (axis,)):
        image = axis.imshow(np.vstack(rows_of_tiles), cmap=GRADES, vmin=0, vmax=1)
        bare(axis, title)
        bar = made.colorbar(image, ticks=[0, 1], aspect=12, pad=0.01)
        bar.set_ticklabels(["0", "largest\nof all" if common else "largest\nof each"])
        bar.outline.set_visible(False)


def outer_product(inputs: Tensor, outputs: Tensor) -> None:
    """Draw weight importance as the product of the importance at its two ends (thesis, figure 3).

    Parameters
    ----------
    inputs, outputs : Tensor
        Importance in [0, 1] of a few inputs and of a few neurons, (n,) and (m,).
    """
    count, neurons = len(inputs), len(outputs)
    with figure(size=(10, 0.85 * neurons + 2.1)) as (_, (axis,)):
        for (left, top), values in (
            ((0, -1.3), inputs[None]),
            ((-1.3, 0), outputs[:, None]),
            ((0, 0), outputs[:, None] * inputs),
        ):
            high, wide = values.shape
            edges = (left - 0.5, left + wide - 0.5, top + high - 0.5, top - 0.5)
            axis.imshow(values, cmap=HEAT, vmin=0, vmax=1, aspect="auto", extent=edges)
            for (y, x), value in np.ndenumerate(values.numpy()):
                at = left + x, top + y
                axis.add_patch(_frame(at))
                axis.text(*at, f"{value:.2f}", ha="center", va="center", color=PAPER if value > 0.6 else INK)
        axis.set(xlim=(-1.85, count - 0.45), ylim=(neurons - 0.45, -1.85))
        axis.set_xticks(range(count), [f"input {i + 1}" for i in range(count)])
        axis.set_yticks(range(neurons), [f"neuron {i + 1}" for i in range(neurons)])
        axis.xaxis.tick_top()
        axis.tick_params(length=0)
        axis.grid(False)
        axis.spines[:].set_visible(False)
        axis.text(-1.3, -1.3, "×", ha="center", va="center", fontsize=22)
        axis.set_xlabel("importance of a weight = that of its input × that of its neuron")


def _frame(at: tuple[float, float]) -> FancyBboxPatch:
    x, y = at
    return FancyBboxPatch((x - 0.5, y - 0.5), 1, 1, boxstyle="square,pad=0", fill=False, edgecolor=REST, linewidth=1)


def two_orders(sizes: Tensor, shares: Tensor) -> None:
    """Draw the weights of one neuron by size and, beside it, by their share of all contributions.

    Parameters
    ----------
    sizes : Tensor
        Absolute weights, (weights,).
    shares : Tensor
        Share of all contributions of each weight, in [0, 1], (weights,).
    """
    names = [f"weight {number}" for number in range(1, len(sizes) + 1)]
    with figure(1, 2, size=(9, 2.8), sharey=True) as (_, axes):
        for axis, values, title, colour in zip(axes, (sizes, shares), ("by size", "by relevance"), (AGAINST, FOR)):
            axis.barh(names, values, color=colour)
            axis.set_title(f"{title}: remove {names[int(values.argmin())]}")
            behind(axis, "x")
        axes[0].set_xlabel("absolute weight")
        axes[1].set_xlabel("share of all contributions")
        axes[0].invert_yaxis()


def measures(values: dict[str, list[float]], label: str, mark: str = "random", *, share: bool = False) -> None:
    """Draw a row a measure, the best on top: mean and range over seeds, each seed as a stroke.

    Parameters
    ----------
    values : dict of str to list of float
        Per measure one value a seed.
    label : str
        What the values are, with their unit.
    mark : str
        The measure that is the control: drawn as a line through all rows too.
    share : bool
        Values are shares in [0, 1]: drawn, and added to the label, is percent.
    """
    scale, digits = (100, 1) if share else (1, 2)
    values = {name: [scale * value for value in seeds] for name, seeds in values.items()}
    ranked = sorted(values, key=lambda name: -np.mean(values[name]))
    with figure(size=(12, 0.42 * len(ranked) + 1.2)) as (_, (axis,)):
        means = [
            dots(axis, place, values[name], look)
            for place, (name, look) in enumerate(looks(ranked, alike=True).items())
        ]
        rows(axis, ranked, [f"{mean:.{digits}f}".replace("-", "−") for mean in means])
        if mark in values:
            axis.axvline(np.mean(values[mark]), color=REMOVED, linewidth=1.5, linestyle=":")
        if min(means) < 0:
            axis.axvline(0, color=INK, linewidth=1)
        axis.set_xlabel(f"{label}, %" if share else label)
        axis.margins(x=0.04)


def image_rows(rows: dict[str, Tensor]) -> None:
    """Draw rows of grey images, each image scaled to its own range.

    Parameters
    ----------
    rows : dict of str to Tensor
        Per row its square images, (images, ..., height, width) or (images, pixels).
    """
    count = max(map(len, rows.values()))
    with figure(len(rows), count, size=(1.25 * count, 1.35 * len(rows))) as (_, axes):
        for axis in axes:
            bare(axis)
        for row, (name, images) in enumerate(rows.items()):
            axes[row * count].set_ylabel(name.replace(" as", "\nas").replace(" net", "\nnet"), fontsize=SMALL)
            for column, image in enumerate(images):
                axes[row * count + column].imshow(_square(image), cmap=GREY)


def conv_maps(images: Tensor, rows: dict[str, Tensor]) -> None:
    """Draw images and, below, maps of a convolutional net with the outline of the image.

    Parameters
    ----------
    images : Tensor
        Square grey images, (images, height, width), in [0, 1].
    rows : dict of str to Tensor
        Per kind one map an image, (images, height, width), of which the absolute values are drawn. Every map has its
        own scale, from 0 to the 99.5th percentile.
    """
    count = len(images)
    with figure(1 + len(rows), count, size=(2.2 * count, 2.1 * (1 + len(rows)))) as (made, axes):
        made.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
        for column in range(count):
            axes[column].imshow(_square(images[column]), cmap=GREY + "_r")
        for row, values in enumerate(rows.values(), start=1):
            for axis, image, one in zip(axes[row * count :], images, values):
                found = _square(one.abs())
                axis.imshow(found, cmap=HEAT, vmin=0, vmax=np.quantile(found, 0.995) or 1.0)
                _contour(axis, image)
        for axis in axes:
            bare(axis)
        for row, name in enumerate(("image", *rows)):
            axes[row * count].set_ylabel(name, fontsize=18)


def program_flow(sizes: tuple[int, ...], left: list[int], rounds: int = 150) -> None:
    """Draw the program's loop and the net with its masks (thesis, figures 1 and 2).

    Parameters
    ----------
    sizes : tuple of int
        Neurons of each layer, inputs first; at most eight of a layer are drawn.
    left : list of int
        Weights left between the layers.
    rounds : int
        How often the loop is run through.
    """
    with figure(1, 2, size=(13, 4.8), width_ratios=[1, 1.7]) as (_, (loop, net)):
        _loop(loop, rounds)
        for x, size in enumerate(sizes):
            heights = np.linspace(0.08, 0.85, min(size, 8))
            net.scatter([x] * len(heights), heights, s=90, color=INK, zorder=3)
            role = "inputs" if x == 0 else "outputs" if x == len(sizes) - 1 else "hidden"
            net.text(x, 0.97, f"{size} {role}", ha="center", va="center", fontsize=16)
            if x:
                kept = left[x - 1] / (size * sizes[x - 1])
                _weights(net, x, np.linspace(0.08, 0.85, min(sizes[x - 1], 8)), heights, kept)
        net.set(xlim=(-0.4, len(sizes) - 0.6), ylim=(-0.08, 1.03))
        bare(loop)
        bare(net)


def _loop(axis, rounds: int) -> None:
    words = ["train", "measure importance", "remove below threshold", "fine-tune"]
    heights = np.linspace(0.88, 0.12, len(words))
    for word, y in zip(words, heights):
        axis.add_patch(FancyBboxPatch((0, y - 0.075), 0.92, 0.15, boxstyle="round,pad=0.01", fc=PAPER, ec=INK))
        axis.text(0.46, y, word, ha="center", va="center", fontsize=17)
    for upper, lower in pairwise(heights):
        ends = (0.46, upper - 0.08), (0.46, lower + 0.08)
        axis.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=20, color=INK))
    back = {"connectionstyle": "arc3,rad=0.5", "arrowstyle": "-|>", "mutation_scale": 20, "linewidth": 2}
    axis.add_patch(FancyArrowPatch((0.94, heights[3]), (0.94, heights[1]), color=INK, **back))
    axis.text(1.14, 0.38, f"{rounds}\ntimes", ha="left", va="center", fontsize=17)
    axis.set(xlim=(-0.03, 1.4), ylim=(0, 1))


def _weights(axis, x: int, before: np.ndarray, after: np.ndarray, kept: float) -> None:
    """Draw the weights between two columns of neurons, as many of them kept, by lot, as the share says."""
    draw = np.random.default_rng(x).random((len(before), len(after)))
    for (i, j), chance in np.ndenumerate(draw):
        red = {"color": FOR, "linewidth": 2.2, "zorder": 2}
        look = red if chance < kept else {"color": REST, "linewidth": 0.7, "zorder": 1}
        axis.plot([x - 1, x], [before[i], after[j]], **look)
    axis.text(x - 0.5, -0.04, f"{kept:.0%} left", ha="center", va="center", color=FOR, fontsize=16, weight="bold")
