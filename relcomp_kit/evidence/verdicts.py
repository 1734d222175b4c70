"""How a measurement becomes a verdict: margins, the interval of their mean over seeds, the verdict, and why.

A rule turns a claim into conditions, and a condition into margins: one number a seed, 0 or more where the condition
holds. Arms are compared seed by seed, so a margin is a paired difference. What counts is the 95 % interval of the mean
margin by Student's t, because "all three seeds agree" lets a method that does nothing pass one time in eight.

A condition that compares arms also has a smallest effect of interest. It is fixed before anything is measured, by what
the works themselves call equal: ECQ^x calls half a point of accuracy less "without loss", so half a point more is no
gain either; two points of IoU are what an expert may lose. A bound that was published has none: there, 0 is the bound.

- A condition is *met* if the interval lies at 0 or above, and the mean reaches the smallest effect.
- It *fails* if the interval lies below 0, or below the smallest effect: such an effect is excluded.
- Otherwise it is *undecided*: these seeds cannot tell.

Some conditions are side conditions: a small net that loses too much is no small net. Where one is met it is no merit of
its own; where it fails, the conditions beside it fail too, and where it is undecided, so are they.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from relcomp_kit.errors import UserError

VERDICTS = (
    *("reproduced", "holds on a stand-in", "partly", "undecided", "too few seeds", "not reproduced"),
    *("not testable here", "open"),
)
DECIDES_NOTHING = ("digits", "fashion-mnist")  # may hold on them, but a failure on them says nothing about MNIST
SEEDS = 3
LEVEL = 0.95
ROUNDING = 1e-12  # of floats, in margins
MET, FAILED, UNDECIDED = "met", "failed", "undecided"


@dataclass(frozen=True)
class Condition:
    """What one condition of a rule makes of a measurement.

    Attributes
    ----------
    margins : sequence of float
        One a seed: 0 or more where the condition holds, NaN where a run did not get to where it is decided.
    matters : float
        The smallest effect of interest, in the unit of the margins; 0 where a bound was published.
    unit : str
        What margins count, such as "weights"; "points" are hundredths, of accuracy or IoU.
    alternative : bool
        Whether the claim only says that one of these conditions holds, such as one class of many.
    side : bool
        Whether it is a side condition.
    """

    margins: Sequence[float]
    matters: float = 0.0
    unit: str = ""
    alternative: bool = False
    side: bool = False


@dataclass(frozen=True)
class Ruling:
    """What a rule makes of a measurement: its conditions by name, and the measured figures as text."""

    conditions: Mapping[str, Condition]
    measured: str


def interval(margins: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of the mean of margins of several seeds, by Student's t.

    Parameters
    ----------
    margins : sequence of float
        Two or more.
    level : float
        Share of repeated experiments whose interval holds the true mean, if margins are normally distributed.
    """
    from scipy.special import stdtrit

    mean, count = fmean(margins), len(margins)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * stdev(margins) / math.sqrt(count)
    return mean - half, mean + half


def state(condition: Condition, exact: bool = False, tests: int = 1) -> str:
    """Return whether a condition is "met", "failed" or "undecided".

    Parameters
    ----------
    condition : Condition
        Its margins, of several seeds.
    exact : bool
        Whether no chance is involved: then margins are of cases, not of seeds, and each has to be 0 or more.
    tests : int
        How many alternatives are tried: each then is asked at a level so much stricter (Bonferroni).
    """
    margins = condition.margins
    if any(map(math.isnan, margins)):
        return UNDECIDED
    if exact:
        return MET if min(margins) >= -ROUNDING else FAILED
    if len(margins) < SEEDS:
        return UNDECIDED
    low, high = interval(margins, 1 - (1 - LEVEL) / tests)
    if low >= -ROUNDING and fmean(margins) >= condition.matters - ROUNDING:
        return MET
    return FAILED if high < condition.matters - ROUNDING else UNDECIDED


def states(claim: Mapping, ruling: Ruling) -> dict[str, str]:
    """Return the state of the conditions that a verdict hangs on, by name.

    All alternatives are one, by the name of the one that does best; a side condition is only named if it is not met.

    Parameters
    ----------
    claim : mapping
        From the ledger.
    ruling : Ruling
        What its rule makes of the measurement.
    """
    if not ruling.conditions or any(len(one.margins) == 0 for one in ruling.conditions.values()):
        raise UserError(f"claim {claim['id']}: a condition without a measurement decides nothing")
    others = {name: one for name, one in ruling.conditions.items() if one.alternative}
    found = {
        name: state(one, exact=not claim["needs"]) for name, one in ruling.conditions.items() if name not in others
    }
    if others:
        order = (MET, UNDECIDED, FAILED)
        each = {name: state(one, tests=len(others)) for name, one in others.items()}
        best = min(each, key=lambda name: (order.index(each[name]), -fmean(others[name].margins)))
        found[best] = each[best]
    return _beside(found, {name for name, one in ruling.conditions.items() if one.side})


def _beside(found: dict[str, str], sides: set[str]) -> dict[str, str]:
    """Return the states with what side conditions make of the others."""
    unmet = {name: kind for name, kind in found.items() if name in sides and kind != MET}
    rest = {name: kind for name, kind in found.items() if name not in sides}
    if FAILED in unmet.values():
        return dict.fromkeys(rest, FAILED) | unmet
    if not unmet or set(rest.values()) == {FAILED}:
        return rest
    return {name: UNDECIDED if kind == MET else kind for name, kind in rest.items()} | unmet


def decide(claim: Mapping, ruling: Ruling, dataset: str | None, at_scale: bool, seeds: Sequence[int] = ()) -> str:
    """Return the verdict.

    All conditions met: "reproduced" on the published data and scale, else "holds on a stand-in". Some met and some
    failed: "partly". All failed: "not reproduced" on the published data and scale, else "not testable here", because a
    smaller budget or other data refute nothing. Anything else is "undecided", and with fewer than three seeds "too few
    seeds". On images that stand in for MNIST a claim can be confirmed, nothing else; and where the ledger says that
    nothing can stand in (`no_stand_in`), other data decide nothing at all.

    Parameters
    ----------
    claim : mapping
        From the ledger; ``needs`` is the published data, empty if no data is involved.
    ruling : Ruling
        What the claim's rule makes of the measurement.
    dataset : str or None
        What was measured on.
    at_scale : bool
        Whether net, training and arms had the published size.
    seeds : sequence of int
        The seeds behind the margins.
    """
    found = set(states(claim, ruling).values())
    exact = not claim["needs"]
    published = exact or claim["needs"] == dataset
    if not published and claim.get("no_stand_in"):
        return "not testable here"
    enough = exact or (
        len(set(seeds)) >= SEEDS and all(len(one.margins) >= SEEDS for one in ruling.conditions.values())
    )
    if enough and found == {MET}:
        return "reproduced" if exact or (published and at_scale) else "holds on a stand-in"
    if not published and dataset in DECIDES_NOTHING:
        return "not testable here"
    if not enough:
        return "too few seeds"
    if {MET, FAILED} <= found:
        return "partly"
    if found == {FAILED}:
        return "not reproduced" if exact or (published and at_scale) else "not testable here"
    return "undecided"
