"""Figures of lesson 03 that show numbers: classes and how rare they are, learning curves, confusion, IoU, megabytes."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from relcomp_kit.figures.parts import behind, dots, rows
from relcomp_kit.figures.style import (
    HEAT,
    INK,
    PAPER,
    PLAIN,
    REMOVED,
    SMALL,
    SOFT,
    figure,
    looks,
)

MANY = 12  # classes from which on a confusion matrix has room for whole numbers only


def class_shares(shares: dict[str, float], title: str) -> None:
    """Draw the share of the labelled pixels that each class has, the most frequent on top, on a logarithmic axis.

    Parameters
    ----------
    shares : dict of str to float
        By class its share, in [0, 1]; at least one is above 0.
    title : str
        What to write above.
    """
    ranked = sorted(shares, key=shares.__getitem__, reverse=True)
    percent = np.array([100 * shares[name] for name in ranked])
    with figure(size=(11, min(7.2, 0.38 * len(ranked) + 1.3))) as (_, (axis,)):
        lowest = 10 ** np.floor(np.log10(percent[percent > 0].min()))
        present = percent > 0
        axis.plot(percent[present], np.flatnonzero(present), "o", color=PLAIN, markersize=13)
        words = [f"{value:.2g} %" if value < 10 else f"{value:.0f} %" for value in percent]
        rows(axis, ranked, [word if value else "none" for word, value in zip(words, percent)])
        axis.set(xscale="log", xlim=(lowest, 100), xlabel="share of the labelled pixels, %, logarithmic", title=title)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.grid(True, axis="y", linestyle=":")


def learning_curves(runs: dict[str, list[list[dict]]], published: float | None = None) -> None:
    """Draw pixel accuracy and mIoU on the validation split while nets learn: mean and range over seeds.

    Parameters
    ----------
    runs : dict of str to list of list of dict
        Per net its seeds' histories, of `relcomp_kit.models.segmentation_training.train`: a row holds ``epoch``,
        which makes nets comparable whatever their batches, and ``pixel_accuracy`` and ``miou`` in [0, 1]. The curve
        ends where the first of the seeds stopped.
    published : float, optional
        A published pixel accuracy in [0, 1], drawn as a line.
    """
    drawn = looks(runs)
    with figure(1, 2, size=(13, 5)) as (made, axes):
        for axis, key, label in zip(axes, ("pixel_accuracy", "miou"), ("pixel accuracy, %", "mIoU, %")):
            for name, histories in runs.items():
                length, look = min(map(len, histories)), drawn[name]
                epochs = [row["epoch"] for row in histories[0][:length]]
                values = np.array([[100 * row[key] for row in history[:length]] for history in histories])
                style = {"color": look.colour, "linestyle": look.line, "marker": look.marker, "markersize": 8}
                axis.plot(epochs, values.mean(0), label=name, **style)
                axis.fill_between(epochs, values.min(0), values.max(0), color=look.colour, alpha=0.18, linewidth=0)
            axis.set(xscale="log", xlabel="times every scene was seen, logarithmic", ylabel=f"validation {label}")
            axis.xaxis.set_major_formatter("{x:g}")
            axis.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
            axis.tick_params(axis="x", which="minor", labelsize=SMALL)
        if published is not None:
            axes[0].axhline(100 * published, color=INK, linestyle=":", label=f"published: {100 * published:.1f} %")
        made.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)


def confusion(matrix: ArrayLike, classes: Sequence[str]) -> None:
    """Draw for every true class, a row, what its pixels were taken for, in percent; a row without pixels stays grey.

    Parameters
    ----------
    matrix : array
        Counts of pixels, (classes, classes); rows are the truth, columns the prediction.
    classes : sequence of str
        Names of the classes, in the order of the rows.
    """
    counts = np.asarray(matrix, float)
    total = counts.sum(axis=1, keepdims=True)
    percent = np.divide(100 * counts, total, out=np.full_like(counts, np.nan), where=total > 0)
    many = len(classes) > MANY
    smallest = 1 if many else 0.1
    with figure(size=(14.5, 7.3) if many else (12, 6)) as (_, (axis,)):
        axis.set_facecolor(REMOVED)
        axis.imshow(percent, cmap=HEAT, vmin=0, vmax=100, aspect="auto")
        for (row, column), value in np.ndenumerate(percent):
            if value >= smallest:
                axis.text(
                    column,
                    row,
                    f"{value:.0f}" if many else f"{value:.1f}",
                    ha="center",
                    va="center",
                    fontsize=SMALL if many else 16,
                    color=PAPER if value > 60 else INK,
                )
        for row in np.flatnonzero(total == 0):
            axis.text(len(classes) / 2 - 0.5, row, "absent", ha="center", va="center", fontsize=SMALL)
        places = np.arange(len(classes))
        axis.set_xticks(places, classes, rotation=90 if many else 30, ha="center" if many else "right")
        axis.set_yticks(places, classes)
        axis.set(xlabel=f"prediction, % of the row (blank below {smallest} %)", ylabel="truth")
        axis.grid(False)


def iou_per_class(ious: dict[str, dict[str, list[float]]], shares: dict[str, float] | None = None) -> None:
    """Draw the IoU of every class, one bar a net, with the range over seeds.

    Parameters
    ----------
    ious : dict of str to dict of str to list of float
        Per net and class the seeds' IoU in [0, 1]; NaN where a class is neither in truth nor in prediction.
    shares : dict of str to float, optional
        Share of the labelled pixels per class in [0, 1]: written beside the name, the most frequent class on top.
    """
    classes = list(next(iter(ious.values())))
    if shares:
        classes.sort(key=shares.__getitem__, reverse=True)
    thick = 0.8 / len(ious)
    with figure(size=(12, min(7.3, len(classes) * (0.16 + 0.2 * len(ious)) + 1.4))) as (_, (axis,)):
        for number, ((name, values), look) in enumerate(zip(ious.items(), looks(ious).values())):
            places = np.arange(len(classes)) + (number - (len(ious) - 1) / 2) * thick
            means, spans = _means_and_spans({key: values[key] for key in classes})
            axis.barh(places, means, thick, xerr=spans, color=look.colour, label=name, error_kw=_ends(spans))
            for place in places[np.isnan(means)]:
                axis.text(1, place, "absent", fontsize=SMALL, va="center", color=SOFT)
        names = [f"{name}, {100 * shares[name]:.2g} %" for name in classes] if shares else classes
        axis.set_yticks(np.arange(len(classes)), names)
        axis.set(xlim=(0, 100), ylim=(len(classes) - 0.5, -0.5), xlabel="IoU, %")
        behind(axis, "x")
        if len(ious) > 1:
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def accuracy_by_weather(
    values: dict[str, list[float]], reference: float, net: str, unseen: Collection[str] = ("snow",)
) -> None:
    """Draw the pixel accuracy of a net in every weather, a row each: mean as a dot with its number, range over seeds.

    Parameters
    ----------
    values : dict of str to list of float
        Per weather the seeds' pixel accuracy in [0, 1].
    reference : float
        The accuracy in the usual mixture of weathers, drawn as a line.
    net : str
        Which net: its colour and marker are those of all figures.
    unseen : collection of str
        Weathers that did not occur in training: their rows say so.
    """
    look = looks([net])[net]
    with figure(size=(11, 0.6 * len(values) + 1.7)) as (_, (axis,)):
        means = [
            dots(axis, place, [100 * value for value in seeds], look, size=14)
            for place, seeds in enumerate(values.values())
        ]
        names = [f"{name} (not in training)" if name in unseen else name for name in values]
        rows(axis, names, [f"{mean:.1f}" for mean in means])
        axis.axvline(100 * reference, color=INK, linestyle="-.", linewidth=2, zorder=1)
        words = f"usual mixture: {100 * reference:.1f} %"
        axis.text(100 * reference, 1.02, words, ha="center", va="bottom", transform=axis.get_xaxis_transform())
        axis.set_xlabel(f"pixel accuracy of {look.name}, %")
        axis.margins(x=0.08)


def bytes_of_nets(sizes: dict[str, float], published: float) -> None:
    """Draw the size of nets as float32 beside the published one.

    Parameters
    ----------
    sizes : dict of str to float
        By net its size in megabytes, of 10^6 bytes.
    published : float
        The published size in megabytes, drawn as a line.
    """
    with figure(size=(11, 0.6 * len(sizes) + 1.6)) as (_, (axis,)):
        axis.barh(range(len(sizes)), list(sizes.values()), 0.6, color=[look.colour for look in looks(sizes).values()])
        rows(axis, list(sizes), [f"{size:.1f} MB" for size in sizes.values()])
        axis.axvline(published, color=INK, linestyle=":")
        axis.text(published, 1.02, f"published: {published:.0f} MB", ha="center", transform=axis.get_xaxis_transform())
        axis.set(xlabel="weights as float32, MB", xlim=(0, 1.02 * max(published, *sizes.values())))
        behind(axis, "x")


def _means_and_spans(values: Mapping[str, Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Return per entry the mean in percent, and how far the least and the greatest seed lie from it, (2, entries)."""
    kept = [[100 * value for value in seeds if not np.isnan(value)] or [np.nan] for seeds in values.values()]
    means = np.array([np.mean(seeds) for seeds in kept])
    return means, np.array([means - [min(seeds) for seeds in kept], [max(seeds) for seeds in kept] - means])


def _ends(spans: np.ndarray) -> dict:
    """Return how error bars look; of a single seed there are none to see."""
    return {"capsize": 4 if np.nansum(spans) else 0, "elinewidth": 2, "ecolor": INK}
