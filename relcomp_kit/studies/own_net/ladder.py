"""The ladder from a net as it came to a small one: quantized, trained, cut; with the controls beside it at every rung.

A rung is scored on the test part once, after everything about it was chosen on the validation part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from relcomp_kit.compression import ecqx, experts
from relcomp_kit.compression.ecqx.qat import Report
from relcomp_kit.errors import UserError
from relcomp_kit.models.states import loaded
from relcomp_kit.studies.own_net.measurement import (
    MAGNITUDE,
    RANDOM,
    RELEVANCE,
    Measured,
    good_share,
)
from relcomp_kit.studies.own_net.quantizing import PLAIN, Chosen, best, one_shot, trained

NET, EXPERT = "net", "expert"
TRAINED_SHARES = (
    0.5,
    0.75,
)  # of the multiply-adds are kept of what is trained: the second where the first loses too much
Reporter = Callable[[str], Report]


@dataclass(frozen=True)
class Settings:
    """How a net is compressed.

    Parameters
    ----------
    bits : int
        Of the weights, 2 to 8, at least; 6 or 8 are taken where fewer lose too much.
    keep : float, optional
        Share of the multiply-adds that an expert keeps; by default the smallest of some shares that is good enough, or
        a half where it is trained afterwards.
    lose : float
        The score that may be lost, in [0, 1).
    train : int
        Steps of quantization-aware training; 0 for none.
    seed : int
        Of chance, and of the training.

    Raises
    ------
    UserError
        If a value is outside its range.
    """

    bits: int = 4
    keep: float | None = None
    lose: float = 0.02
    train: int = 0
    seed: int = 0

    def __post_init__(self):
        if not 2 <= self.bits <= 8:
            raise UserError(f"weights get 2 to 8 bits, not {self.bits}")
        if self.keep is not None and not 0 < self.keep <= 1:
            raise UserError(f"the share of the multiply-adds to keep lies in (0, 1], not at {self.keep}")
        if not 0 <= self.lose < 1:
            raise UserError(f"the score that may be lost is a share of 1, such as 0.02, not {self.lose}")
        if self.train < 0 or self.seed < 0:
            raise UserError("steps of a training, and seeds, are 0 or more")


@dataclass(eq=False)
class Rung:
    """A net at one step of the ladder.

    Parameters
    ----------
    what : str
        "net" or "expert".
    how : str
        What was done to it.
    arm : str
        What decided which weights or filters count; empty for the net as it came.
    net : nn.Module
        As it runs, with its float weights; quantized ones are in ``chosen``.
    score, validation : float
        On the test and on the validation part, in [0, 1], of the classes asked for.
    size : int
        Bytes of its file, or of its numbers as float32.
    setting : str
        Bits and Lambda, or the share of the multiply-adds.
    chosen : Chosen, optional
        The quantized net.
    macs : int
        Multiply-adds of one image.
    seconds, onnx : float, optional
        Median time of one image in PyTorch and in ONNX Runtime, filled in later.
    written : bool
        Whether this is the net of a file.
    """

    what: str
    how: str
    arm: str
    net: nn.Module
    score: float
    validation: float
    size: int
    setting: str = ""
    chosen: Chosen | None = None
    macs: int = 0
    seconds: float | None = None
    onnx: float | None = None
    written: bool = False


@dataclass(eq=False)
class Ladder:
    """What is found while a net is compressed.

    Parameters
    ----------
    rungs : list of Rung
        In the order of the page.
    curves : dict of str to dict of str to list of float
        "weights" and "filters": arm to validation scores while they go.
    starts : dict of str to float
        The whole net's validation scores beside these curves.
    relevance : dict of str to Tensor, optional
        Of the whole net's parameters.
    """

    rungs: list[Rung] = field(default_factory=list)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    relevance: dict[str, Tensor] | None = None


def float_bytes(net: nn.Module) -> int:
    """Return the bytes of a net's numbers as float32; counters count as they are."""
    values = net.state_dict().values()
    return sum(value.numel() * (4 if value.is_floating_point() else value.itemsize) for value in values)


def climb_net(ladder: Ladder, made: Measured, settings: Settings, measurable: bool, report: Reporter) -> None:
    """Add the net as it came, and quantized.

    Parameters
    ----------
    ladder : Ladder
        Is added to.
    made : Measured
        The net, asked about all classes.
    settings : Settings
        How it is compressed.
    measurable : bool
        Whether relevance can be had.
    report : callable
        Returns what a training reports to, by what is trained.
    """
    goal = ladder.starts["weights"] - settings.lose
    ladder.relevance = made.relevance() if measurable else None
    measures = made.measures(ladder.relevance)
    ladder.curves["weights"] = made.without_weights(measures)
    arms = {**measures, PLAIN: None}
    found = one_shot(made, arms, settings.bits, goal)
    ladder.rungs += [_quantized(NET, "quantized", arm, made, one) for arm, one in found.items()]
    for arm, one in found.items() if settings.train else ():
        one = trained(made, arm, settings.bits, one.lam, settings.train, report(f"training the net, {arm}"))
        ladder.rungs.append(_quantized(NET, "quantized, trained", arm, made, one))


def climb_expert(ladder: Ladder, made: Measured, settings: Settings, measurable: bool, report: Reporter) -> None:
    """Add experts: cut, cut and quantized, and trained.

    Parameters
    ----------
    ladder, made, settings, measurable, report
        As in `climb_net`; the net is asked about the classes that the expert is for.
    """
    goal = ladder.starts["filters"] - settings.lose
    relevance = made.relevance() if measurable else None
    arms = [RELEVANCE, MAGNITUDE, RANDOM] if measurable else [MAGNITUDE, RANDOM]
    curves = ladder.curves["filters"] = made.without_filters(arms, relevance)
    shares = TRAINED_SHARES
    if settings.keep or not settings.train:
        shares = (settings.keep or good_share(curves[arms[0]], goal),)
    for left in shares:
        _climb_share(ladder, made, settings, {arm: made.path(arm, left, relevance) for arm in arms}, left, report)
        best_yet = written(ladder, EXPERT, goal)
        if best_yet is not None and best_yet.validation >= goal:
            break


def _climb_share(
    ladder: Ladder, made: Measured, settings: Settings, paths: dict[str, dict], left: float, report: Reporter
) -> None:
    """Add experts of one share of the multiply-adds: cut by each arm, quantized, and trained."""
    share, cut, shot = f"{left:.0%} of the multiply-adds", {}, {}
    for arm, path in paths.items():
        small = experts.compact(made.net, path, made.example)
        cut[arm] = Measured(small, made.task, made.seed, made.note, made.advance)
        rung = Rung(EXPERT, "cut", arm, small, cut[arm].score("test"), cut[arm].score("validation"), float_bytes(small))
        rung.setting = share
        ladder.rungs.append(rung)
    for arm, one in cut.items():
        measures = one.measures(one.relevance() if arm == RELEVANCE else None)
        goal = one.score("validation") - settings.lose
        shot[arm] = one_shot(one, {arm: measures[arm]}, settings.bits, goal)[arm]
        ladder.rungs.append(_quantized(EXPERT, "cut, quantized", arm, one, shot[arm]))
    for arm, one in cut.items() if settings.train else ():
        said = report(f"training an expert of {share}, {arm}")
        found = trained(one, arm, settings.bits, shot[arm].lam, settings.train, said)
        ladder.rungs.append(_quantized(EXPERT, "cut, quantized, trained", arm, one, found))


def _quantized(what: str, how: str, arm: str, made: Measured, one: Chosen) -> Rung:
    with loaded(made.net, ecqx.state_dict(one.quantized)):
        score = made.score("test")
    setting = f"{one.bits} bit, Lambda {one.lam:g}"
    return Rung(what, how, arm, made.net, score, one.score, one.size, setting, one)


def written(ladder: Ladder, what: str, goal: float) -> Rung | None:
    """Return the quantized rung that becomes a file: chosen on validation among all arms, the controls, too.

    Parameters
    ----------
    ladder : Ladder
        All rungs.
    what : str
        "net" or "expert".
    goal : float
        The validation score that is good enough; where nothing reaches it, the highest is taken.
    """
    rungs = {id(one.chosen): one for one in ladder.rungs if one.what == what and one.chosen is not None}
    chosen = [one.chosen for one in rungs.values() if one.chosen is not None]
    return rungs[id(best(chosen, goal))] if chosen else None
