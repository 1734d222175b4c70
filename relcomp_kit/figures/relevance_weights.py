"""Figures of lesson 04 that show millions of weights at once: their relevance against their size and their gradient."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from relcomp_kit.figures.style import AGAINST, HEAT, PAPER, SMALL, figure

RANKS = 40  # fields of ranks along each axis; four divide it, so that a quarter of the ranks are whole fields
MOST = 4  # times as many weights in a field as by chance: more look the same
QUARTER = 25  # percent
FIELDS = 81  # along an axis with signs: odd, so that 0 lies in the middle of one
LINEAR = 1e-4  # of the largest value: within it, an axis with signs is linear


def weight_against_relevance(weight: Tensor, relevance: Tensor, quartiles: bool = True) -> None:
    """Draw how many weights have which size and which relevance, both as ranks, against what chance would give.

    Ranks, because both quantities span many powers of ten and most weights would crowd into one spot. If size told
    nothing about relevance, every field would hold as many weights. Equal numbers get their ranks by lot.

    Parameters
    ----------
    weight, relevance : Tensor
        Weights of one layer or several, and their relevance, of one shape. Their absolute values count.
    quartiles : bool
        Frame the weights that are in the highest quarter of one and the lowest of the other, and print how many they
        are, in percent of all weights. By chance it would be 6.25 %.
    """
    generator = np.random.default_rng(0)
    size, use = (_percentiles(values, generator) for values in (weight, relevance))
    bins = 4 * int(np.clip((len(size) / 5) ** 0.5 / 4, 1, RANKS / 4))  # a field has to hold a few weights
    counts, _, _ = np.histogram2d(size, use, bins, [(0, 100), (0, 100)])
    with figure(size=(11.5, 6.4)) as (made, (axis,)):
        density = counts.T * bins**2 / len(size)
        image = axis.imshow(density, HEAT, vmin=0, vmax=MOST, origin="lower", extent=(0, 100, 0, 100), aspect="auto")
        bar = made.colorbar(image, label="times as many weights as by chance", extend="max", shrink=0.94, aspect=18)
        bar.set_ticks(range(MOST + 1))
        bar.outline.set_visible(False)
        axis.set(xlabel="rank by absolute weight, %", ylabel="rank by relevance, %")
        axis.grid(False)
        if quartiles:
            axis.set_title(f"by chance, each corner would hold {QUARTER**2 / 100} % of all weights")
            first, last = 0, 100 - QUARTER
            _corner(axis, "small, yet\nrelevant", (first, last), (size < QUARTER) & (use >= last))
            _corner(axis, "large, yet\nirrelevant", (last, first), (size >= last) & (use < QUARTER))


def _corner(axis: Axes, name: str, at: tuple[float, float], inside: np.ndarray) -> None:
    """Frame a quarter of the ranks on both axes and write in it what share of all weights it holds."""
    axis.add_patch(Rectangle(at, QUARTER, QUARTER, fill=False, color=AGAINST, linewidth=4, clip_on=False))
    words, (x, y) = f"{name}\n{100 * inside.mean():.1f} %", np.add(at, QUARTER / 2)
    halo = [withStroke(linewidth=4, foreground=PAPER)]
    axis.text(x, y, words, ha="center", va="center", color=AGAINST, weight="bold", fontsize=SMALL, path_effects=halo)


def _percentiles(values: Tensor, generator: np.random.Generator) -> np.ndarray:
    """Return the rank of every absolute value in percent, from 0 to just below 100; equal ones in random order."""
    values = values.detach().abs().flatten().cpu().numpy()
    order = np.lexsort((generator.random(len(values)), values))
    ranks = np.empty(len(values))
    ranks[order] = 100 * np.arange(len(values)) / len(values)
    return ranks


def gradient_identity(pairs: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Draw LRP relevance of weights against gradient times weight, a panel per rule: on the diagonal they are equal.

    Both are in units of the largest gradient times weight. The axes are linear within `LINEAR` of 0, and logarithmic
    beyond, with a sign; the colour says how many weights lie in a field. Above each panel stands the cosine of the two.

    Parameters
    ----------
    pairs : dict of str to (Tensor, Tensor)
        Per rule the gradient times weight, and the relevance of the same weights, of one shape.
    """
    fields, bounds, titles = [], [], []
    for rule, pair in pairs.items():
        products, relevance = (values.detach().flatten().double().cpu().numpy() for values in pair)
        length = np.linalg.norm(products) * np.linalg.norm(relevance)
        cosine = f"{products @ relevance / length:.4f}".replace("-", "−") if length else "undefined"
        titles.append(f"{rule}: cosine {cosine}")
        x, y = (np.arcsinh(values / (np.abs(products).max() or 1.0) / LINEAR) for values in (products, relevance))
        bounds.append(1.05 * max(np.arcsinh(1 / LINEAR), np.abs(y).max()))
        fields.append(np.histogram2d(x, y, FIELDS, [(-bounds[-1], bounds[-1])] * 2)[0])
    norm = LogNorm(0.3, max(10, *(field.max() for field in fields)))  # below 1, so that a single weight is seen
    ticks = np.arcsinh(np.array([-1, -0.01, 0, 0.01, 1]) / LINEAR)
    with figure(1, len(pairs), size=(5.2 * len(pairs) + 1.6, 5.4)) as (made, axes):
        for axis, field, bound, title in zip(axes, fields, bounds, titles):
            extent = (-bound, bound, -bound, bound)
            shown = np.where(field.T, field.T, np.nan)
            image = axis.imshow(shown, HEAT, norm, origin="lower", extent=extent, zorder=2)
            axis.plot(extent[:2], extent[:2], color=AGAINST, linewidth=1.5, linestyle="--", zorder=3, label="equal")
            axis.set_xticks(ticks, ["−1", "−0.01", "0", "0.01", "1"])
            axis.set_yticks(ticks, ["−1", "−0.01", "0", "0.01", "1"])
            axis.set(title=title, xlabel="gradient × weight")
        axes[0].set_ylabel("LRP relevance")
        axes[0].legend(loc="lower right")
        bar = made.colorbar(image, ax=axes, label="weights in a field", format="{x:,.0f}", shrink=0.85)
        bar.ax.set_ylim(1, None)
        bar.outline.set_visible(False)
