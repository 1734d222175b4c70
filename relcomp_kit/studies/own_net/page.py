"""What came of a net of one's own as one page: a file without scripts that loads nothing."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import torch
from torch import Tensor

from relcomp_kit import figures
from relcomp_kit.evidence.html_frame import frame, picture
from relcomp_kit.evidence.report_page import STYLE
from relcomp_kit.models.device import describe_device
from relcomp_kit.relevance.channels import layer_weights
from relcomp_kit.studies.own_net.ladder import NET, Ladder, Rung, Settings
from relcomp_kit.studies.own_net.look import Look
from relcomp_kit.studies.own_net.measurement import GONE, LEFT, RANDOM
from relcomp_kit.studies.own_net.task import Task

OWN_STYLE = """
td.number, th.number { text-align: right; white-space: nowrap; } tr.chosen td { background: #eef6ee; font-weight: 600; }
tr.control td { color: var(--soft); } .ladder th, .ladder td { padding: .5rem .6rem; } ul.plain { max-width: 54rem; }
"""
HEADS = (
    "",
    "chosen by",
    "setting",
    "{score} in the test",
    "on validation",
    "bytes",
    "multiply-adds",
    "PyTorch",
    "ONNX Runtime",
)
UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
WORDS = 3  # columns before those of numbers


@dataclass(frozen=True, eq=False)
class Heat:
    """Images of the test part, and the relevance of their pixels.

    Parameters
    ----------
    images : tuple of Tensor
        (3, H, W) or (H, W), uint8.
    maps : tuple of Tensor
        (H, W), in logits.
    """

    images: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


def page(
    title: str,
    look: Look,
    ladder: Ladder,
    task: Task,
    asked: Task,
    settings: Settings,
    lines: Sequence[str],
    files: Mapping[str, Path],
    heat: Heat | None,
) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
        Which net on which set.
    look : Look
        What of the net can be treated.
    ladder : Ladder
        What was made of it.
    task, asked : Task
        All classes, and those that the expert is for.
    settings : Settings
        How it was compressed.
    lines : sequence of str
        What came of it.
    files : mapping of str to Path
        What was written.
    heat : Heat or None
        Where relevance lies in images, if it can be had.
    """
    parts = [_result(lines), _look(look)]
    if ladder.relevance is not None:
        parts.append(_relevance(ladder, heat))
    if ladder.curves:
        parts.append(_going(ladder, task))
    parts += [_ladder(ladder, task, asked), _files(files), _how(task, asked, settings)]
    lead = (
        f"{task.images('test'):,} test images decide what is reported, {task.images('validation'):,} of the validation "
        f"part what is chosen. Relevance stands beside what it has to beat: the size of the weights, and random choice."
    )
    return frame(title, "".join(parts), lead=lead, style=STYLE + OWN_STYLE)


def _result(lines: Sequence[str]) -> str:
    return f"<h2>What came of it</h2>{_listed(map(escape, lines))}" if lines else ""


def _listed(items: Iterable[str]) -> str:
    return f'<ul class="plain">{"".join(f"<li>{item}</li>" for item in items)}</ul>'


def _look(look: Look) -> str:
    return (
        "<h2>What of the net can be treated</h2><p>Found before anything was measured; what cannot be treated is named "
        f"with the reason.</p>{_listed(map(escape, str(look).splitlines()))}"
    )


def _picture(draw, words: str, *arguments, **options) -> str:
    kept: list[bytes] = []
    draw(*arguments, keep=kept, **options)
    return f"<figure>{picture(kept[0], words)}</figure>"


def layer_shares(net, relevance: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    """Return the share of each layer of all relevance, and of all weights of convolutions and linear layers.

    Parameters
    ----------
    net : nn.Module
        The net.
    relevance : mapping of str to Tensor
        Of its parameters.
    """
    weights = {name.removesuffix(".weight"): (relevance[name], value) for name, value in layer_weights(net).items()}
    found = {name: float(value.double().sum()) for name, (value, _) in weights.items()}
    total, count = sum(found.values()) or 1.0, sum(value.numel() for _, value in weights.values())
    return {name: (found[name] / total, value.numel() / count) for name, (_, value) in weights.items()}


def _relevance(ladder: Ladder, heat: Heat | None) -> str:
    assert ladder.relevance is not None
    shares = layer_shares(ladder.rungs[0].net, ladder.relevance)
    drawn = _picture(figures.relevance_by_layer, "share of relevance and of weights by layer", shares)
    maps = ""
    if heat is not None:
        rows = {"relevance of pixels": heat.maps}
        maps = "<p>Test images, and what speaks for the net's answer (red) and against it (blue):</p>" + _picture(
            figures.heatmaps, "images and the relevance of their pixels", heat.images, rows
        )
    return (
        "<h2>Where relevance lies</h2><p>By LRP-epsilon from the true class: the mean over training images of the "
        "absolute relevance of each weight. Where a layer has many weights and little relevance, there is most to save."
        f"</p>{drawn}{maps}"
    )


def curves(ladder: Ladder) -> dict:
    """Return what `relcomp_kit.figures.what_goes` draws: per kind the shares gone, the start, and a curve an arm.

    Parameters
    ----------
    ladder : Ladder
        What was measured.
    """
    panels = {}
    if "weights" in ladder.curves:
        panels["weights set to 0"] = (GONE, ladder.starts["weights"], ladder.curves["weights"])
    if "filters" in ladder.curves:
        gone = [1 - left for left in LEFT]
        panels["multiply-adds gone with filters"] = (gone, ladder.starts["filters"], ladder.curves["filters"])
    return panels


def sizes(ladder: Ladder) -> dict[str, list[tuple[float, float]]]:
    """Return what `relcomp_kit.figures.sizes_and_scores` draws: per arm bytes and test score of the quantized nets.

    Parameters
    ----------
    ladder : Ladder
        What was measured.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    for rung in ladder.rungs:
        if rung.chosen is not None and rung.what == NET:
            points.setdefault(rung.arm, []).append((rung.size, rung.score))
    return points


def _going(ladder: Ladder, task: Task) -> str:
    panels = curves(ladder)
    drawn = _picture(figures.what_goes, "score while weights and filters go", panels, f"{task.score} on validation")
    return (
        "<h2>What happens when weights or filters go</h2><p>Nothing is trained. The measure that is higher chooses "
        f"better what can go; the line is the whole net.</p>{drawn}"
    )


def counted(macs: int) -> str:
    """Return a number of multiply-adds as one reads it.

    Parameters
    ----------
    macs : int
        At least 0.

    Examples
    --------
    >>> counted(40_551_040)
    '40.6 M'
    """
    unit, letter = next(((unit, letter) for unit, letter in UNITS if macs >= unit), (1, ""))
    return f"{macs / unit:.1f} {letter}" if letter else str(macs)


def _ladder(ladder: Ladder, task: Task, asked: Task) -> str:
    points = sizes(ladder)
    first = ladder.rungs[0]
    drawn = ""
    if points:
        start = (first.size, first.score)
        drawn = _picture(figures.sizes_and_scores, "bytes against score", points, start, task.score)
    titles = [head.format(score=task.score) for head in HEADS]
    heads = "".join(f"<th{' class=number' if at >= WORDS else ''}>{title}</th>" for at, title in enumerate(titles))
    body = "".join(_row(rung, first, task if rung.what == NET else asked) for rung in ladder.rungs)
    return (
        f"<h2>The ladder</h2>{drawn}<p>Green: the nets of the files, chosen on validation among all arms. Grey: "
        "controls. Behind ± stands the standard error of the test's images.</p>"
        f'<div class="box ladder"><table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _row(rung: Rung, first: Rung, task: Task) -> str:
    kind = "chosen" if rung.written else "control" if rung.arm and rung.arm != "relevance" else ""
    error = "" if task.segments else f" ± {100 * math.sqrt(rung.score * (1 - rung.score) / task.images('test')):.1f}"
    cells = [f"{rung.what}, {rung.how}", rung.arm, rung.setting]
    numbers = [f"{100 * rung.score:.1f}{error} %", f"{rung.validation:.1%}"]
    numbers += [
        f"{rung.size:,} (1/{first.size / rung.size:.1f})",
        f"{counted(rung.macs)} ({rung.macs / first.macs:.0%})",
    ]
    numbers += [f"{1000 * one:.2f} ms" if one is not None else "" for one in (rung.seconds, rung.onnx)]
    labels = [head.format(score=task.score) for head in HEADS]
    shown = [f'<td data-label="{label}">{escape(text)}</td>' for label, text in zip(labels, cells)]
    shown += [f'<td class="number" data-label="{label}">{text}</td>' for label, text in zip(labels[WORDS:], numbers)]
    return f'<tr class="{kind}">{"".join(shown)}</tr>'


def _files(files: Mapping[str, Path]) -> str:
    known = {
        "net.nnc": "the quantized net, coded: <code>relcomp predict net.nnc IMAGE</code>, <code>relcomp info net.nnc"
        "</code>",
        "expert.nnc": "the expert, quantized and coded: <code>relcomp predict expert.nnc IMAGE</code>",
        "net.onnx": "the same net for ONNX Runtime, batch-norms folded",
        "expert.onnx": "the expert for ONNX Runtime, batch-norms folded",
        "results.json": "all numbers of this page",
    }
    there = [f"<b>{name}</b>: {words}" for name, words in known.items() if name in files]
    return f"<h2>Files beside this page</h2>{_listed(there)}"


def _how(task: Task, asked: Task, settings: Settings) -> str:
    data, lines = task.data, []
    lines.append(
        f"Images: {data.name}, {task.images('train'):,} to train, {task.images('validation'):,} to choose, "
        f"{task.images('test'):,} to report; from {data.source}."
    )
    if asked.asked != task.asked:
        of = "their mean IoU" if task.segments else "images of these, where the highest output among them is the answer"
        lines.append(f"The expert is for {asked.named()}, and is scored on {of}.")
    lines.append(
        "Bytes are those of the file, with what it says about the net; of float nets, of all numbers as float32."
    )
    lines.append(
        f"Allowed to lose on validation: {100 * settings.lose:g} points. Bits and Lambda (what entropy weighs) are the "
        "smallest file that keeps to it, or the best score where none does. A trained expert keeps half of the "
        "multiply-adds, or three quarters where all halves lose too much. ECQ^x: Becking et al. 2022."
    )
    processor = describe_device(torch.device("cpu"))  # where nets of one's own are measured, beside a GPU, too
    lines.append(
        f"Latency: the median of one image at a time on {processor}, batch-norms folded, nets taking turns. A "
        "quantized net is decoded into floats and runs as fast as the float one. ONNX Runtime ran the nets that are "
        "written, which stand for all of their shape."
    )
    lines.append(f"Seed {settings.seed}: one draw of {RANDOM}, one training. Differences within ± may be luck.")
    return f"<h2>How it was measured</h2>{_listed(map(escape, lines))}"
