"""The answer to a state. What does not change from one state to the next is kept."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from relcomp_kit.compression import experts
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.demonstrator import nets, paths, relevance, scenes, trained
from relcomp_kit.demonstrator.checks import check
from relcomp_kit.demonstrator.nets import SuperNet
from relcomp_kit.demonstrator.state import Answer, PathChoice, Shown, State
from relcomp_kit.demonstrator.work import Followed, step, steps
from relcomp_kit.models.metrics import evaluate, plain, scores
from relcomp_kit.studies.segmentation.measurement import firsts

LATENCY_RUNS, LATENCY_WARM_UP = 10, 2
Scores = dict[str, float | None]
one_at_a_time = RLock()  # a gate changes the net that other threads would run


def answer(state: State) -> Answer:
    """Return all that is shown of a state.

    A changed share to keep costs a pass through the net for that path. Relevance of a net that is not a committed one
    is measured first, once, in a minute or so. What `State.at_once` leaves out takes seconds for every path.

    Parameters
    ----------
    state : State
        What is asked.

    Returns
    -------
    Answer
        Images, predictions, scores and costs; kept for the last eight states.

    Raises
    ------
    UserError
        If something that the state names is not there.
    """
    with one_at_a_time:
        check(state)
        return _answer(state, nets.load(state.net))


@functools.lru_cache(maxsize=8)
def _answer(state: State, net: SuperNet) -> Answer:
    scene, notes = scenes.load(state.scene, net.size), []
    truth = scene.truth if scene.classes == net.classes else None
    if truth is None:
        why = "no ground truth" if scene.truth is None else "its classes are not those of this net"
        notes.append(f"{why}: no IoU of this image")
    if scene.truth is not None and truth is None and scenes.like(net.classes) is None:
        notes.append(f"no scenes of {net.dataset or 'the kind that it was trained on'} are on this machine")
    seconds: tuple = _latencies(net, state.paths) if state.latency else (None,) * (1 + len(state.paths))
    shown = [
        _shown(net, choice, state, truth, time) for choice, time in zip(steps((None, *state.paths), "net"), seconds)
    ]
    heat = None
    if state.heat is not None:
        class_ = net.classes.index(state.heat)
        if (shown[0].prediction == class_).any():
            step(f"relevance for {state.heat}")
            heat = relevance.heat(net, state.scene, class_)
            notes.append(f"red pixels speak for {state.heat}; blue ones, even on it, against it: negative relevance")
        else:
            notes.append(f"the super-net sees no {state.heat} here: no heatmap")
    return Answer(
        state=state,
        title=scene.title,
        image=scene.image,
        truth=truth,
        classes=net.classes,
        palette=net.palette,
        net=shown[0],
        experts=tuple(shown[1:]),
        heat=heat,
        notes=tuple(notes),
    )


def _shown(
    net: SuperNet, choice: PathChoice | None, state: State, truth: Tensor | None, latency: float | None
) -> Shown:
    """Return the super-net, for None, or an expert."""
    prediction = _prediction(net, state.scene, choice)
    whole = _prediction(net, state.scene, None)
    size, coded = paths.coded_size(net, choice, state.coded)
    parameters, macs = paths.costs(net, choice) if choice else (1.0, 1.0)
    iou = _iou(truth, prediction, net.classes) if truth is not None else {}
    tested = _test_iou(net, choice, state.test) if state.test else {}
    return Shown(
        name=paths.label(choice) if choice else "super-net",
        prediction=prediction,
        parameters=parameters,
        macs=macs,
        bytes=size,
        coded=coded,
        iou={name: iou[name] for name in state.classes if name in iou},
        agreement=(prediction == whole).float().mean().item(),
        test_iou={name: tested[name] for name in state.classes if name in tested},
        latency=latency,
        path=paths.path_of(net, choice) if choice else {},
        layers=paths.layer_rows(net, choice, state.classes) if choice else (),
    )


@functools.lru_cache(maxsize=64)
def _prediction(net: SuperNet, scene: str, choice: PathChoice | None) -> Tensor:
    """Return the class of every pixel, (height, width), uint8."""
    x = normalize(scenes.load(scene, net.size).image[None])
    with _ready(net, choice) as one, torch.no_grad():
        return one(x)["out"][0].argmax(0).byte()


@contextmanager
def _ready(net: SuperNet, choice: PathChoice | None) -> Iterator[nn.Module]:
    """Give what answers as a choice does: the super-net, its filters switched off, or a trained expert."""
    if choice is None:
        yield net.net
    elif choice.kind == "trained":
        yield trained.load(net, *choice.classes).net
    else:
        with experts.gate(net.net, paths.path_of(net, choice)):
            yield net.net


def _iou(truth: Tensor, prediction: Tensor, classes: tuple[str, ...]) -> Scores:
    """Return the IoU of every class on one scene; nothing if no pixel is labelled."""
    labelled = truth != VOID
    if not labelled.any():
        return {}
    count = len(classes)
    pairs = truth[labelled].long() * count + prediction[labelled].long()
    return plain(scores(torch.bincount(pairs, minlength=count**2).view(count, count), classes)["iou"])


@functools.lru_cache(maxsize=64)
def _test_iou(net: SuperNet, choice: PathChoice | None, count: int) -> Scores:
    split = Followed(_test_split(net, count), "test scene")
    with _ready(net, choice) as one:
        return plain(evaluate(one, split, net.classes)["iou"])


@functools.lru_cache(maxsize=2)
def _test_split(net: SuperNet, count: int) -> Dataset:
    return remember(firsts(relevance.training_data(net).test, count))


@functools.lru_cache(maxsize=16)
def _latencies(net: SuperNet, choices: tuple[PathChoice, ...]) -> tuple[float, ...]:
    """Return the seconds that an image takes through the super-net and through each expert, cut out; in turns."""
    cut = [_cut(net, choice) for choice in steps(choices, "expert")]
    runs = {str(number): functools.partial(_timed, one, net.example) for number, one in enumerate([net.net, *cut])}
    return tuple(experts.latencies(runs, LATENCY_RUNS, LATENCY_WARM_UP).values())


def _cut(net: SuperNet, choice: PathChoice) -> nn.Module:
    """Return an expert as a net of its own."""
    if choice.kind == "trained":
        return trained.load(net, *choice.classes).net
    return experts.compact(net.net, paths.path_of(net, choice), net.example)


def _timed(net: nn.Module, x: Tensor) -> None:
    step("time of an image")
    net(x)
