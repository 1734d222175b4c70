"""Figures of lesson 04 that show relevance where it lies: in a small net, on images and on channels."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import avg_pool2d

from relcomp_kit.figures.style import AGAINST, DIVERGING, FOR, GREY, INK, PAPER, REMOVED, SMALL, SOFT, bare, figure

SHADES = 7  # of a heat map: an odd number, so that 0 is white; few, so that all of them are in the PNG's palette
MAPS, CROPS = 24, 20  # colours of figures with photographs, which take most of their bytes
FINE = 100  # pixels: in wider images heat maps are drawn half as fine
TITLES = {"RelMax": "RelMax: most relevant", "ActMax": "ActMax: most active"}


def small_net(
    x: Tensor,
    weights: Sequence[Tensor],
    values: Sequence[Tensor],
    relevance: Sequence[Tensor],
    neurons: Sequence[Tensor],
) -> None:
    """Draw a small net from left to right: neurons with value and relevance, weights as wide as theirs is large.

    Parameters
    ----------
    x : Tensor
        One input, (inputs,).
    weights : sequence of Tensor
        Per layer its weights, (outputs, inputs).
    values : sequence of Tensor
        Per layer what it gives, (outputs,).
    relevance : sequence of Tensor
        Per layer the relevance R of its weights, (outputs, inputs).
    neurons : sequence of Tensor
        Relevance of the inputs, and then of every layer's outputs: one tensor more than ``values``.
    """
    weights, values, relevance, neurons = (_rounded(parts) for parts in (weights, [x, *values], relevance, neurons))
    tallest = max(map(len, values))
    peak = max(float(part.abs().max()) for part in relevance) or 1.0
    with figure(size=(10, 1.2 + 1.4 * tallest)) as (_, (axis,)):
        for layer, (own, shares) in enumerate(zip(weights, relevance, strict=True)):
            left, right = _heights(len(values[layer])), _heights(len(values[layer + 1]))
            ends = [(left[i], right[j]) for j in range(len(right)) for i in range(len(left))]
            places = _places(ends, 0.1 * len(weights))
            for (start, end), place, weight, share in zip(ends, places, own.flatten(), shares.flatten()):
                colour, width = _sign(share), 1 + 9 * abs(float(share)) / peak
                axis.plot([layer, layer + 1], [start, end], color=colour, linewidth=width, alpha=0.55, zorder=1)
                at = layer + place, start + place * (end - start)
                _words(axis, f"{float(share):.2f}", at, 9, color=colour, fontsize=16, weight="bold")
                _words(axis, f"w {float(weight):.2f}", at, -9, color=SOFT, fontsize=SMALL)
        for column, (numbers, shares) in enumerate(zip(values, neurons, strict=True)):
            heights = _heights(len(numbers))
            axis.scatter([column] * len(heights), heights, s=62**2, color=PAPER, edgecolors=INK, linewidths=2, zorder=3)
            for height, number, share in zip(heights, numbers, shares):
                _words(axis, f"{float(number):.2f}", (column, height), 9, color=INK)
                _words(axis, f"{float(share):.2f}", (column, height), -10, color=_sign(share), weight="bold")
        names = ["input", *["hidden"] * (len(weights) - 1), "output"]
        for column, name in enumerate(names):
            axis.text(column, tallest / 2 + 0.1, name, ha="center", va="bottom")
        axis.set(xlim=(-0.25, len(weights) + 0.25), ylim=(-tallest / 2, tallest / 2 + 0.2))
        bare(axis)
        axis.set_xlabel(
            "in a circle: value and, coloured, relevance\non a line: the weight's relevance, below it the weight w"
        )


def _rounded(parts: Sequence[Tensor]) -> list[Tensor]:
    """Return numbers as they are written, so that what is 0.00 has no sign and no colour either."""
    return [part.detach().double().round(decimals=2) + 0.0 for part in parts]


def _heights(count: int) -> np.ndarray:
    return (count - 1) / 2 - np.arange(count)


def _sign(share: Tensor) -> str:
    return FOR if share > 0 else AGAINST if share < 0 else SOFT


def _words(axis: Axes, text: str, at: tuple[float, float], up: float, **look) -> None:
    """Write in the middle of a place, so many points above it, over all else."""
    halo = [withStroke(linewidth=4, foreground=PAPER)]
    axis.annotate(
        text.replace("-", "−"),
        at,
        (0, up),
        textcoords="offset points",
        ha="center",
        va="center",
        zorder=4,
        path_effects=halo,
        **look,
    )


def _places(ends: Sequence[tuple[float, float]], wide: float) -> list[float]:
    """Return where on each line between two columns its label, so wide, is far from other lines and labels: [0, 1]."""
    lines = np.array(ends)
    places = np.full(len(lines), 0.5)
    choice = np.linspace(wide, 1 - wide, 25)  # clear of the circles
    for number in [*range(len(lines))] * 3:  # labels give way to each other, in three rounds
        others = np.arange(len(lines)) != number
        start, rise = lines[others, 0], lines[others, 1] - lines[others, 0]
        height = (lines[number, 0] + choice * (lines[number, 1] - lines[number, 0]))[:, None]
        from_lines = np.abs(start + choice[:, None] * rise - height) / 0.3
        aside = np.abs(places[others] - choice[:, None]) / wide
        from_labels = np.maximum(aside, np.abs(start + places[others] * rise - height) / 0.35)
        room = np.hstack([from_lines, from_labels]).min(axis=1, initial=1) - 0.02 * np.abs(choice - 0.5)
        places[number] = choice[room.argmax()]
    return list(places)


def heatmaps(
    images: Sequence[Tensor],
    rows: dict[str, Sequence[Tensor]],
    palette: Colormap | None = None,
    *,
    outlines: Sequence[Tensor] | None = None,
    titles: Sequence[str] = (),
    keep: list[bytes] | None = None,
) -> None:
    """Draw images, and below them one row per kind of heat map: red for, blue against, white 0.

    Every heat map has its own scale, from -p to p, where p is the 99.5th percentile of its absolute values. So a single
    pixel does not bleach all others; what lies beyond p looks like p. In images wider than `FINE` pixels, relevance is
    shown of squares of four pixels, which is the mean of theirs: single ones nobody tells apart.

    Parameters
    ----------
    images : sequence of Tensor
        Photographs, (3, height, width), uint8, or grey images, (height, width), of any range.
    rows : dict of str to sequence of Tensor
        Per kind one heat map an image, (height, width).
    palette : Colormap, optional
        Colours of the heat maps instead of blue, white and red.
    outlines : sequence of Tensor, optional
        One mask an image, (height, width), bool: its outline is drawn over the heat maps.
    titles : sequence of str
        What to write above each image, such as the class that was asked for.
    keep : list of bytes, optional
        Takes the figure as PNG, which is shown otherwise.
    """
    shades = (palette or DIVERGING).resampled(SHADES)
    height, width = images[0].shape[-2:]
    tall = height / width * (1 + len(rows))
    across = min(3.2, 12 / len(images), 6.6 / tall)
    size = (across * len(images) + 0.4, across * tall + 0.3 * bool(titles))
    with figure(1 + len(rows), len(images), size=size, colours=MAPS, keep=keep) as (made, axes):
        made.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
        for axis in axes:
            bare(axis)
            for spine in axis.spines.values():
                spine.set(visible=True, color=REMOVED, linewidth=0.8)
        for axis, image in zip(axes, images):
            _photograph(axis, image)
        for axis, title in zip(axes, titles):
            axis.set_title(title)
        for row, (name, maps) in enumerate(rows.items(), start=1):
            axes[row * len(images)].set_ylabel(textwrap.fill(name, 12))
            for column, values in enumerate(maps):
                axis, grain = axes[row * len(images) + column], 1 + (values.shape[1] > FINE)
                values = avg_pool2d(values.detach().float()[None], grain, ceil_mode=True)[0].cpu().numpy()
                peak = np.quantile(np.abs(values), 0.995) or np.abs(values).max() or 1.0
                right, bottom = (grain * length - 0.5 for length in reversed(values.shape))
                axis.imshow(values, shades, vmin=-peak, vmax=peak, extent=(-0.5, right, bottom, -0.5))
                mask = np.asarray(outlines[column]) if outlines else np.zeros(1, bool)
                if mask.any() and not mask.all():
                    axis.contour(mask, levels=[0.5], colors=[INK], linewidths=0.7)


def _photograph(axis: Axes, image: ArrayLike) -> None:
    pixels = np.asarray(image)
    axis.imshow(np.moveaxis(pixels, 0, -1) if pixels.ndim == 3 else pixels, cmap=GREY)


def reference_crops(
    channels: Sequence[int], crops: dict[str, Sequence[Sequence[Tensor]]], shares: Sequence[float]
) -> None:
    """Draw what channels stand for, a row each: crops of the scenes that score highest, one block per measure.

    Parameters
    ----------
    channels : sequence of int
        Numbers of the channels, one a row.
    crops : dict of str to sequence
        Per measure ("RelMax", "ActMax") and channel the crops, the highest score first: (3, height, width), uint8.
    shares : sequence of float
        Every channel's share of the relevance of the class, written beside its number.
    """
    counts = [max(3, *map(len, block)) for block in crops.values()]  # three, for the title
    widths = [width for count in counts for width in [*[1] * count, 0.3]][:-1]  # with a gap between blocks
    across = min(1.6, 8.6 / sum(widths))
    tall = next((crop.shape[1] / crop.shape[2] for block in crops.values() for row in block for crop in row), 1)
    size = (across * sum(widths) + 1.2, (across * tall + 0.05) * len(channels) + 0.65)
    with figure(len(channels), len(widths), size=size, colours=CROPS, width_ratios=widths) as (made, axes):
        made.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
        for axis in axes:
            bare(axis)
            axis.set_box_aspect(tall)
        first = 0
        for (name, block), count, colour in zip(crops.items(), counts, (FOR, REMOVED)):
            middle = axes[first + (count - 1) // 2]  # a title that starts at the first column would widen it
            middle.set_title(TITLES.get(name, name), x=0.5 if count % 2 else 1)
            for row, found in enumerate(block):
                for axis, crop in zip(axes[row * len(widths) + first :], found):
                    _photograph(axis, crop)
                    for spine in axis.spines.values():
                        spine.set(visible=True, color=colour, linewidth=3)
            first += count + 1
        made.supxlabel("in percent: the channel's share of the relevance for the class", fontsize=SMALL)
        for row, (channel, share) in enumerate(zip(channels, shares)):
            words = f"channel {channel}\n{100 * share:.1f} %".replace("-", "−")
            axes[row * len(widths)].set_ylabel(words, rotation=0, ha="right", va="center", labelpad=8)
