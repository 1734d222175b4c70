"""Figures of lesson 01: where importance lies, on images and on weights."""

from itertools import pairwise

import numpy as np
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from relcomp_kit.figures.style import DIVERGING, FOR, HEAT, INK, REMOVED, bare, figure


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


def neuron_tiles(importance: Tensor, title: str, columns: int = 12) -> None:
    """Draw the weight importance of every neuron of the first layer as a tile (thesis, figures 7 to 10).

    Parameters
    ----------
    importance : Tensor
        (neurons, pixels), not negative; every tile is scaled to its own maximum.
    title : str
        What to write above.
    columns : int
        Tiles in a row.
    """
    tiles = [_square(row / row.max().clamp_min(1e-12)) for row in importance]
    tiles = [np.pad(tile, ((0, 2), (0, 2)), constant_values=np.nan) for tile in tiles]
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    with figure(size=(9.5, 2.8), colours=16) as (_, (axis,)):
        axis.imshow(np.vstack(rows), cmap=HEAT, vmin=0, vmax=1)
        bare(axis, title)


def outer_product(inputs: Tensor, outputs: Tensor) -> None:
    """Draw weight importance as the product of the importance at its two ends (thesis, figure 3).

    Parameters
    ----------
    inputs, outputs : Tensor
        Importance in [0, 1] of a few inputs and of a few neurons, (n,) and (m,).
    """
    with figure(2, 2, size=(7.5, 4.6), width_ratios=[1, 6], height_ratios=[1, 4]) as (_, axes):
        corner, top, left, middle = axes
        corner.axis("off")
        for axis, values, title in (
            (top, inputs[None], "importance of the inputs"),
            (left, outputs[:, None], "of the neurons"),
            (middle, outputs[:, None] * inputs, ""),
        ):
            axis.imshow(values, cmap=HEAT, vmin=0, vmax=1, aspect="auto")
            bare(axis, title)
            for (y, x), value in np.ndenumerate(values.numpy()):
                axis.text(x, y, f"{value:.2f}", ha="center", va="center", color="white" if value > 0.6 else INK)
        middle.set_xlabel("importance of the weights between them")


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
        for axis, values, title, colour in zip(axes, (sizes, shares), ("by size", "by relevance"), (REMOVED, FOR)):
            axis.barh(names, values, color=colour)
            axis.set_title(f"{title}: remove {names[int(values.argmin())]}")
            axis.grid(False, axis="y")
        axes[0].set_xlabel("absolute weight")
        axes[1].set_xlabel("share of all contributions")
        axes[0].invert_yaxis()


def measures(values: dict[str, list[float]], label: str, mark: str = "random") -> None:
    """Draw one bar a measure, the mean over seeds with their range, longest on top.

    Parameters
    ----------
    values : dict of str to list of float
        Per measure one value a seed.
    label : str
        What the values are, with their unit.
    mark : str
        The measure that is the control, drawn grey.
    """
    ranked = sorted(values, key=lambda name: np.mean(values[name]))
    with figure(size=(10, 0.5 * len(ranked) + 1.2)) as (_, (axis,)):
        means = [np.mean(values[name]) for name in ranked]
        spans = [
            [m - min(values[n]) for m, n in zip(means, ranked)],
            [max(values[n]) - m for m, n in zip(means, ranked)],
        ]
        axis.barh(ranked, means, xerr=spans, color=[REMOVED if n == mark else FOR for n in ranked], capsize=4)
        axis.axvline(0, color=INK, linewidth=1)
        axis.set_xlabel(label)
        axis.grid(False, axis="y")


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
            axes[row * count].set_ylabel(name.replace(" as", "\nas").replace(" net", "\nnet"), fontsize=13)
            for column, image in enumerate(images):
                axes[row * count + column].imshow(_square(image), cmap="gray")


def conv_maps(images: Tensor, rows: dict[str, Tensor]) -> None:
    """Draw images and, below, maps of a convolutional net.

    Parameters
    ----------
    images : Tensor
        Square grey images, (images, height, width).
    rows : dict of str to Tensor
        Per kind one map an image, (images, height, width), of which the absolute values are drawn.
    """
    count = len(images)
    with figure(1 + len(rows), count, size=(1.7 * count, 1.75 * (1 + len(rows)))) as (_, axes):
        for column in range(count):
            axes[column].imshow(_square(images[column]), cmap="gray_r")
        for row, values in enumerate(rows.values(), start=1):
            for column in range(count):
                axes[row * count + column].imshow(_square(values[column].abs()), cmap=HEAT, vmin=0)
        for axis in axes:
            bare(axis)
        for row, name in enumerate(("image", *rows)):
            axes[row * count].set_ylabel(name)


def program_flow(sizes: tuple[int, ...], left: list[int]) -> None:
    """Draw the program's loop and the net with its masks (thesis, figures 1 and 2).

    Parameters
    ----------
    sizes : tuple of int
        Neurons of each layer, inputs first.
    left : list of int
        Weights left between the layers.
    """
    with figure(1, 2, size=(11, 4.2), width_ratios=[1, 1.5]) as (_, (loop, net)):
        words = ["train", "measure importance", "remove below threshold", "fine-tune"]
        heights = np.linspace(0.88, 0.12, len(words))
        for word, y in zip(words, heights):
            loop.add_patch(FancyBboxPatch((0.0, y - 0.075), 0.92, 0.15, boxstyle="round,pad=0.01", fc="white", ec=INK))
            loop.text(0.46, y, word, ha="center", va="center")
        for upper, lower in pairwise(heights):
            loop.add_patch(
                FancyArrowPatch((0.46, upper - 0.08), (0.46, lower + 0.08), arrowstyle="-|>", mutation_scale=18)
            )
        back = {"connectionstyle": "arc3,rad=0.5", "arrowstyle": "-|>", "mutation_scale": 18, "color": FOR}
        loop.add_patch(FancyArrowPatch((0.94, heights[3]), (0.94, heights[1]), **back))
        loop.text(1.14, 0.38, "150 x", color=FOR, ha="left", va="center")
        loop.set(xlim=(-0.03, 1.4), ylim=(0, 1))
        for x, size in enumerate(sizes):
            shown = min(size, 8)
            ys = np.linspace(0.1, 0.85, shown)
            net.scatter([x] * shown, ys, s=70, color=INK, zorder=3)
            net.text(x, 0.97, str(size), ha="center", va="center")
            if x:
                before = np.linspace(0.1, 0.85, min(sizes[x - 1], 8))
                kept = left[x - 1] / (size * sizes[x - 1])
                draw = np.random.default_rng(x).random((len(before), shown))
                for (i, j), chance in np.ndenumerate(draw):
                    colour = FOR if chance < kept else REMOVED
                    net.plot(
                        [x - 1, x],
                        [before[i], ys[j]],
                        color=colour,
                        linewidth=0.8,
                        alpha=0.8,
                        zorder=1 + (chance < kept),
                    )
                net.text(x - 0.5, 0.0, f"{kept:.0%} left", ha="center", va="center", color=FOR)
        net.set(ylim=(-0.06, 1.03))
        bare(loop)
        bare(net)
