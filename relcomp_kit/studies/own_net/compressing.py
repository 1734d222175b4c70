"""`relcomp compress`: from a look at a net to files and a page. What is chosen is chosen on the validation part."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from relcomp_kit.compression import experts, nnc
from relcomp_kit.compression.ecqx import Quantized, state_dict
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.errors import UserError
from relcomp_kit.files import check_apart, make_folder, write_atomic, write_json
from relcomp_kit.models import checkpoints
from relcomp_kit.models.device import describe_device
from relcomp_kit.models.states import plain_copy
from relcomp_kit.progress import Progress
from relcomp_kit.relevance.lrp import heatmap
from relcomp_kit.studies.own_net import nets
from relcomp_kit.studies.own_net.ladder import (
    EXPERT,
    NET,
    Ladder,
    Rung,
    Settings,
    climb_expert,
    climb_net,
    float_bytes,
    written,
)
from relcomp_kit.studies.own_net.look import Look, look_at
from relcomp_kit.studies.own_net.measurement import GONE, LEFT, Measured
from relcomp_kit.studies.own_net.page import Heat, page
from relcomp_kit.studies.own_net.quantizing import LAMBDAS, MORE_BITS
from relcomp_kit.studies.own_net.task import Data, Task, check_fit, task_for
from relcomp_kit.studies.segmentation.training import StepsLine

WRITTEN = ("net.nnc", "expert.nnc", "net.onnx", "expert.onnx", "results.json", "index.html")
SHOWN = 4  # images with a heat map
REPEATS = 20  # of each net, for its latency
LOG_EVERY = 30.0  # seconds between two lines of progress in a log
POINTS = len(LAMBDAS) * (1 + len(MORE_BITS))  # of the grid of one-shot quantization, at most


@dataclass(frozen=True, eq=False)
class Result:
    """What `compress` found and wrote.

    Parameters
    ----------
    look : Look
        What of the net can be treated.
    ladder : Ladder
        All nets that were made, from the one that came to the smallest, and what they score.
    files : dict of str to Path
        What was written, by name: "net.nnc", "expert.nnc", "net.onnx", "expert.onnx", "results.json", "index.html".
    lines : tuple of str
        What came of it, for people.
    """

    look: Look
    ladder: Ladder
    files: dict[str, Path]
    lines: tuple[str, ...]


def compress(
    spec: str,
    data: Data,
    out: Path | str,
    *,
    weights: Path | str | None = None,
    classes: Sequence[str] = (),
    settings: Settings | None = None,
    say: Callable[[str], None] = print,
) -> Result:
    """Compress a net of any origin: quantize it, cut an expert out of it, and write both with a page about them.

    Parameters
    ----------
    spec : str
        As `relcomp_kit.studies.own_net.nets.open_net` takes it.
    data : ImageSet or SceneSet
        As `relcomp_kit.datasets.own_folders.load_folder` gives it.
    out : Path or str
        Folder of the files.
    weights : Path or str, optional
        File of the net's weights.
    classes : sequence of str
        Names of the classes that the expert is for; all by default.
    settings : Settings, optional
        How it is compressed.
    say : callable
        Takes lines for people.

    Returns
    -------
    Result
        What was found and written.

    Raises
    ------
    UserError
        In one sentence, if net, weights and data do not fit together, nothing of the net can be treated, or a file that
        is read would be written over.
    """
    settings, folder = settings or Settings(), make_folder(Path(out))
    for name in WRITTEN:
        check_apart(folder / name, spec, weights)
    net = nets.open_net(spec, data.classes, weights)
    task, asked = task_for(data), task_for(data, classes)
    check_fit(net, task, spec)
    look = look_at(net, next(task.relevance_batches(4)))
    for line in str(look).splitlines():
        say(line)
    if not (look.can_quantize or look.can_cut):
        raise UserError(f"nothing of {spec} can be treated: {look.unquantized}; {look.uncut or look.cut}")
    with Progress("measuring", _count(look, settings, bool(classes)), log_every=LOG_EVERY) as line:
        known = _known(spec, data)
        wanted = tuple(data.classes[number] for number in asked.asked)
        notes = {NET: known.note(), EXPERT: replace(known, asked=wanted).note()}
        ladder = _climbed(net, task, asked, look, settings, notes, line)
        files = _write_nets(folder, ladder, notes, settings, task.example, say)
        heat = _heat(net, task) if look.can_measure else None
    lines = _lines(ladder, asked, settings)
    told = {"settings": asdict(settings), "net": spec, "data": data.name, "sha256": data.sha256}
    told |= {"device": describe_device(), "rungs": [_plain(one) for one in ladder.rungs], "curves": ladder.curves}
    told |= {"images": {part: task.images(part) for part in ("train", "validation", "test")}, "look": str(look)}
    files["results.json"] = write_json(folder / "results.json", told)
    title = f"{spec} on {data.name}"
    files["index.html"] = write_atomic(
        folder / "index.html", page(title, look, ladder, task, asked, settings, lines, files, heat)
    )
    return Result(look, ladder, files, tuple(lines))


def _count(look: Look, settings: Settings, asked: bool) -> int:
    """Return how many things are measured, about: the line of progress needs it."""
    arms, points = 2 + look.can_measure, 2 + 2 * asked
    if look.can_quantize:
        points += 1 + len(GONE) * arms + (arms + 1) * (POINTS + 1 + 2 * bool(settings.train))
    if look.can_cut:
        points += 2 + len(LEFT) * arms + arms * (POINTS + 4 + 2 * bool(settings.train))
    return points


def _known(spec: str, data: Data) -> nets.Known:
    """Return what a file of the whole net says about it."""
    inside = spec.endswith(nets.FILES) or spec in checkpoints.committed()
    name = nets.read(spec).known.net if inside else spec
    if isinstance(data, SceneSet):
        size, channels, palette = tuple(data.train[0][1].shape), 3, data.palette
    else:
        size, channels, palette = tuple(data.train.images.shape[2:]), data.train.images.shape[1], ()
    return nets.Known(name, tuple(data.classes), (size[0], size[1]), channels, data.scale, palette, tuple(data.classes))


def _climbed(
    net: nn.Module, task: Task, asked: Task, look: Look, settings: Settings, notes: dict[str, dict], line: Progress
) -> Ladder:
    ladder = Ladder()
    whole = Measured(net, task, settings.seed, notes[NET], line.advance)
    alone = asked.asked != task.asked
    own = Measured(net, asked, settings.seed, notes[EXPERT], line.advance) if alone else whole
    for what, made in {"weights": whole, "filters": own}.items():
        ladder.starts[what] = made.score("validation")
        if what == "weights" or alone:
            kind = NET if what == "weights" else EXPERT
            how = "as it came" if kind == NET else "the net before the cut, on these classes"
            rung = Rung(kind, how, "", net, made.score("test"), ladder.starts[what], float_bytes(net))
            ladder.rungs.append(rung)
    with ExitStack() as stack:

        def report(what: str) -> StepsLine:
            return stack.enter_context(StepsLine(what))

        if look.can_quantize:
            climb_net(ladder, whole, settings, look.can_measure, report)
        if look.can_cut and look.can_quantize:
            try:
                climb_expert(ladder, own, settings, look.can_measure, report)
            except UserError as error:  # of a net whose own code bears no cut, which only cutting shows
                line.say(f"experts: no more of them, because {error}")
    ladder.rungs.sort(key=lambda rung: rung.what == EXPERT)  # stable
    return ladder


def _write_nets(
    folder: Path, ladder: Ladder, notes: dict[str, dict], settings: Settings, example: Tensor, say
) -> dict[str, Path]:
    """Write the chosen nets as NNC and as ONNX, and measure how fast all of them are."""
    files: dict[str, Path] = {}
    ran: dict[str, Callable[[], object]] = {}
    goals = {NET: "weights", EXPERT: "filters"}
    for what, start in goals.items():
        rung = written(ladder, what, ladder.starts[start] - settings.lose)
        if rung is None or rung.chosen is None:
            continue
        content = nnc.encode(rung.chosen.quantized, info=notes[what])
        files[f"{what}.nnc"] = write_atomic(folder / f"{what}.nnc", content)
        rung.written = True
        ready = _with(rung.net, rung.chosen.quantized)
        try:
            file = experts.export_onnx(experts.folded(ready, example), example, folder / f"{what}.onnx")
            run = experts.open_onnx(file)
            run(example)
        except Exception as error:  # the exporter and ONNX Runtime raise what they like
            say(f"{what}.onnx is not written: {(str(error) or type(error).__name__).splitlines()[0]}")
        else:
            files[f"{what}.onnx"] = file
            ran[f"onnx {id(rung.net)}"] = lambda run=run: run(example)
    kinds = {id(rung.net): rung.net for rung in ladder.rungs}
    for key, net in kinds.items():
        ready = experts.folded(net, example)
        ran[f"torch {key}"] = lambda ready=ready: ready(example)
    times = experts.latencies(ran, REPEATS)
    counted = {key: experts.macs(net, example)[ALL] for key, net in kinds.items()}
    for rung in ladder.rungs:
        key = id(rung.net)
        rung.macs, rung.seconds, rung.onnx = counted[key], times[f"torch {key}"], times.get(f"onnx {key}")
    return files


def _with(net: nn.Module, quantized: Quantized) -> nn.Module:
    made = plain_copy(net)
    made.load_state_dict(state_dict(quantized))
    return made.eval()


def _heat(net: nn.Module, task: Task) -> Heat:
    """Return some test images and the relevance of their pixels for what the net answers."""
    images, maps, count = [], [], len(task.data.test)
    for index in range(0, count, -(-count // SHOWN)):
        image = task.data.test.images[index] if isinstance(task.data, ImageSet) else task.data.test[index][0]
        x = task.scaled(image.as_subclass(Tensor)[None])
        images.append(image if len(image) == 3 else image[0])
        maps.append(heatmap(net, x)[0].sum(0))
    return Heat(tuple(images), tuple(maps))


def _plain(rung: Rung) -> dict:
    """Return a rung as JSON holds it."""
    names = ("what", "how", "arm", "score", "validation", "size", "setting", "macs", "seconds", "onnx", "written")
    values = {name: getattr(rung, name) for name in names}
    return {name: None if isinstance(one, float) and not math.isfinite(one) else one for name, one in values.items()}


def _lines(ladder: Ladder, asked: Task, settings: Settings) -> list[str]:
    """Return a sentence for each file of a net, and one where it loses more than it may."""
    lines = []
    for rung in (one for one in ladder.rungs if one.written):
        came = [one for one in ladder.rungs if not one.arm]
        start = came[-1] if rung.what == EXPERT else came[0]
        arm = f"by {rung.arm}" if not rung.arm.startswith("without") else rung.arm
        lines.append(
            f"{rung.what}.nnc: {rung.size:,} bytes, 1/{start.size / rung.size:.1f} of the net as float32; "
            f"{asked.score} in the test {rung.score:.1%}, before {start.score:.1%}; {rung.how} {arm}, {rung.setting}"
        )
        lost = start.validation - rung.validation
        if lost > settings.lose:
            steps = f"train for more steps than {settings.train}" if settings.train else "train (--train STEPS)"
            wider = f"more bits than {settings.bits} (--bits)" if rung.what == NET else "keep more of the net (--keep)"
            allowed = f"{100 * settings.lose:g} were allowed: no {rung.what} that was tried loses less"
            lines.append(
                f"{rung.what}.nnc loses {100 * lost:.1f} points on validation, where {allowed}. "
                f"To lose less, {steps} or {wider}"
            )
    return lines
