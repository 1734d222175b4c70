"""The figure of lesson 05 that shows ECQ^x where it was published: accuracy against bytes, a panel a task and net."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes

from relcomp_kit.figures.parts import asides, sizes, spread
from relcomp_kit.figures.style import WHOLE, figure, looks, set_name
from relcomp_kit.sweeps.table import Rows, select

ARMS = ("ecq", "lrp", "magnitude", "random")
TASKS = ("speech-commands", "cifar10", "voc")  # in the order of the panels
NETS = {"mlp-gsc": "MLP_GSC", "vgg16": "VGG16"} | {
    f"resnet{depth}": f"ResNet-{depth}" for depth in (18, 20, 32, 44, 56)
}
DEEPEST = 12  # points below the float net: what falls deeper would flatten all else


def published_tasks(rows: Rows, before: Mapping[str, Sequence[float]] | None = None) -> None:
    """Draw accuracy in the test against the size of the file, a panel a task and net; what was not run has none.

    Of every arm its best nets are drawn, see `front`: mean of the seeds, with the range of their accuracy. The thick
    line is the fair baseline, the net that was trained for as long without quantization, and its range.

    Parameters
    ----------
    rows : sequence of dict
        A net each: ``dataset``, ``net``, ``arm``, ``bits``, ``Lambda``, ``seed``, ``accuracy`` and ``validation`` in
        [0, 1], and ``bytes`` of its file. Of the arm "float" only ``accuracy`` counts.
    before : mapping of str to sequence of float, optional
        Per net the seeds' accuracy in the test before all this, drawn as a dotted line.
    """
    order = {name: place for place, name in enumerate(TASKS)}
    tasks = sorted({(row["dataset"], row["net"]) for row in rows}, key=lambda task: (order.get(task[0], 9), task))
    count = max(1, len(tasks))
    with figure(1, count, size=(min(14.5, max(8, 6.6 * count)), 5.6)) as (made, axes):
        for axis, (dataset, net) in zip(axes, tasks):
            some = select(rows, dataset=dataset, net=net)
            _arms(axis, some)
            _baselines(axis, [row["accuracy"] for row in select(some, arm="float")], (before or {}).get(net, ()))
            name = net.removesuffix("-published")
            axis.set(title=f"{set_name(dataset)}, {NETS.get(name, name)}", xlabel="file, logarithmic")
        axes[0].set_ylabel("accuracy in the test, %")
        shown = {line.get_label(): line for axis in axes for line in axis.lines}
        if shown:
            made.legend(shown.values(), shown, loc="outside upper center", ncols=6 if count > 1 else 3)


def _arms(axis: Axes, some: Rows) -> None:
    drawn, scores = looks(ARMS), []
    for arm, aside in zip(ARMS, asides(len(ARMS))):
        found = front(select(some, arm=arm))
        if found:
            x, y = (
                np.array([[row[key] for row in seeds] for seeds in found], float).T for key in ("bytes", "accuracy")
            )
            spread(axis, x, 100 * y, drawn[arm], aside=aside)
            scores += y.mean(0).tolist()
    if scores:
        sizes(axis)
        whole = 100 * max([*scores, *(row["accuracy"] for row in select(some, arm="float"))])
        low = max(100 * min(scores), whole - DEEPEST)
        axis.set_ylim(low - 0.08 * (whole - low) - 0.1, whole + 0.12 * (whole - low) + 0.1)


def _baselines(axis: Axes, fair: Sequence[float], before: Sequence[float]) -> None:
    for name, scores, line, width in (("float, trained as long", fair, "-.", 2.6), ("float, before", before, ":", 1.8)):
        if len(scores):
            axis.axhline(100 * fmean(scores), color=WHOLE, linestyle=line, linewidth=width, label=name, zorder=1)
            if len(scores) > 1:
                axis.axhspan(100 * min(scores), 100 * max(scores), color=WHOLE, alpha=0.15, linewidth=0, zorder=0)


def front(rows: Rows) -> list[list[dict]]:
    """Return the settings that no smaller file beats on validation, the smallest first: the rows of all seeds of each.

    They are chosen by the seeds' mean on the validation split, so that the test stays a test. A setting that some
    seed lacks is left out.

    Parameters
    ----------
    rows : sequence of dict
        Of one net and arm; see `published_tasks`.
    """
    settings: dict[tuple, list[dict]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        settings.setdefault((row["bits"], row["Lambda"]), []).append(row)
    seeds = max(map(len, settings.values()), default=0)
    whole = [some for some in settings.values() if len(some) == seeds]
    kept, best = [], -1.0
    for some in sorted(whole, key=lambda some: fmean(row["bytes"] for row in some)):
        score = fmean(row["validation"] for row in some)
        if score > best:
            kept.append(some)
            best = score
    return kept
