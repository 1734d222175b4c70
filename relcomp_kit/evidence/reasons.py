"""Why a verdict is what it is: one plain sentence, computed from the margins."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from relcomp_kit.evidence.claims import cases, nothing_stands_in
from relcomp_kit.evidence.verdicts import (
    FAILED,
    LEVEL,
    MET,
    SEEDS,
    UNDECIDED,
    Condition,
    Ruling,
    interval,
    state,
    states,
)


def why(claim: Mapping, ruling: Ruling, verdict: str, seeds: Sequence[int] = ()) -> str:
    """Return in one sentence what a verdict rests on: the conditions that decided it, with their intervals.

    Parameters
    ----------
    claim : mapping
        From the ledger.
    ruling : Ruling
        What its rule made of the measurement.
    verdict : str
        As `relcomp_kit.evidence.verdicts.decide` gave it.
    seeds : sequence of int
        The seeds behind the margins.
    """
    found = states(claim, ruling)
    exact = not claim["needs"]
    count = len(set(seeds))
    if verdict == "not testable here" and claim.get("no_stand_in"):
        return nothing_stands_in(claim)
    if verdict == "too few seeds":
        given = "1 seed gives" if count == 1 else f"{count} seeds give"
        return f"{given} no interval that decides: the rule asks for {SEEDS} or more."
    told = {name: _told(ruling.conditions[name], kind, exact, cases(claim)) for name, kind in found.items()}
    if set(found.values()) == {MET}:
        return _sentence("Holds" if len(found) == 1 else "All hold; the closest", told, [_closest(ruling, found)])
    # Side conditions first: where one is not met, it is the reason that the others count for nothing.
    names = sorted(found, key=lambda name: not ruling.conditions[name].side)
    failed = [name for name in names if found[name] == FAILED]
    failed = [name for name in failed if ruling.conditions[name].side] or failed
    open_ones = [name for name in names if found[name] == UNDECIDED]
    met = [name for name, kind in found.items() if kind == MET]
    if verdict == "partly":
        return _sentence("Holds", told, met[:1]) + " " + _sentence("Fails", told, failed[:1])
    if failed and not open_ones:
        end = "" if verdict == "not reproduced" else " Smaller nets, budgets or other data refute nothing."
        return (
            _sentence("Fails" if len(found) == 1 else "Nothing holds; the closest", told, [_nearest(ruling, failed)])
            + end
        )
    # Those that are only undecided because a side condition is do not count as a reason.
    own = [name for name in open_ones if state(ruling.conditions[name], exact) == UNDECIDED]
    return _sentence("Not settled", told, own or open_ones)


def _sentence(start: str, told: Mapping[str, str], names: Sequence[str]) -> str:
    return f"{start}: " + "; ".join(f"{name} ({told[name]})" for name in names) + "."


def _told(condition: Condition, kind: str, exact: bool, case: str) -> str:
    """Return a condition's margin as text: by how much it is met or missed, and the interval."""
    margins = condition.margins
    if any(map(math.isnan, margins)):
        return "a run did not get to where it is decided"
    mean = fmean(margins)
    if exact:
        worst = min(margins)
        return (
            f"{'with' if worst >= 0 else 'missed by'} {amount(abs(worst), condition.unit)}{' to spare' * (worst >= 0)}"
        )
    if len(margins) < SEEDS or len(set(margins)) == 1:
        return f"{_by(mean, condition)} by {amount(abs(mean), condition.unit)} for every {case}"
    low, high = interval(margins)
    ends = " to ".join(signed(end, condition.unit) for end in (low, high))
    ends = f"{100 * LEVEL:.0f} % interval {ends}, {len(margins)} {case}s"
    asked = ""
    if condition.matters and kind != MET and high > 0:
        asked = f", where {amount(condition.matters, condition.unit)} would matter"
    if kind == UNDECIDED:
        return f"{signed(mean, condition.unit)} {_unit(condition.unit)}on average, {ends}{asked}"
    return f"{_by(mean, condition)} by {amount(abs(mean), condition.unit)}, {ends}{asked}"


def _by(mean: float, condition: Condition) -> str:
    if condition.matters:
        return "ahead" if mean >= 0 else "behind"
    return "met" if mean >= 0 else "missed"


def _unit(unit: str) -> str:
    return f"{unit} " if unit else ""


def amount(value: float, unit: str) -> str:
    """Return a margin as text, with its unit.

    Parameters
    ----------
    value : float
        The margin.
    unit : str
        As in `relcomp_kit.evidence.verdicts.Condition`.
    """
    if unit == "points":
        return f"{_digits(100 * value)} points"
    return f"{_digits(value)} {unit}".rstrip()


def signed(value: float, unit: str) -> str:
    """Return a margin with its sign as text, without its unit.

    Parameters
    ----------
    value : float
        The margin.
    unit : str
        As in `amount`; points are hundredths.
    """
    scaled = 100 * value if unit == "points" else value
    return ("+" if scaled >= 0 else "−") + _digits(abs(scaled))


def _digits(value: float) -> str:
    """Return a number, 0 or more, as short as it can be read."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 9.95:
        return f"{value:.0f}"
    if value >= 1:
        return f"{value:.1f}"
    return f"{value:.2g}" if value >= 0.1 else f"{value:.1g}"


def _closest(ruling: Ruling, found: Mapping[str, str]) -> str:
    """Return the condition whose margins lie nearest to its bound, measured by their own spread."""
    return min(found, key=lambda name: _steadiness(ruling.conditions[name].margins))


def _nearest(ruling: Ruling, names: Sequence[str]) -> str:
    """Return the condition that failed by least, measured by its spread."""
    return max(names, key=lambda name: _steadiness(ruling.conditions[name].margins))


def _steadiness(margins: Sequence[float]) -> float:
    """Return the mean of margins over the half width of its interval."""
    mean = fmean(margins)
    if len(margins) < SEEDS or len(set(margins)) == 1:
        return math.copysign(math.inf, mean)
    low, high = interval(margins)
    return 2 * mean / (high - low)
