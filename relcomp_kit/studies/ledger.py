"""What lesson 09 makes of the ledger: the records of a run, verdicts counted and recomputed, claims beside controls."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from relcomp_kit.evidence import claims
from relcomp_kit.files import cache_dir
from relcomp_kit.studies.whole_picture import Panel

CONTROL = "control to "
GOOD = ("reproduced", "holds on a stand-in")
FEW = 0.01  # score that a net may lose


def live_records() -> list[dict]:
    """Return the records of the run that this process belongs to, or else of lessons that were run by hand."""
    folder = Path(os.environ.get("RELCOMP_RECORDS") or cache_dir() / "records")
    return claims.live(folder)


def counts(rows: Sequence[dict]) -> dict[str, Counter]:
    """Return how many claims of each work have which verdict: recorded, and in this run if it decided any of them."""
    found = {}
    for name, some in _by_work(rows).items():
        if any(row["measured"] for row in some):
            found[f"{name}, this run"] = Counter(row["verdict"] for row in some)
        found[f"{name}, recorded"] = Counter(claims.standing(row) for row in some)
    return found


def verdict_lines(rows: Sequence[dict]) -> list[str]:
    """Return as text which claims of each work have which verdict in the recorded runs."""
    lines = []
    for name, some in _by_work(rows).items():
        for verdict in claims.VERDICTS:
            if found := [row["id"] for row in some if claims.standing(row) == verdict]:
                lines.append(f"{name}, {verdict}: {', '.join(found)}")
    return lines


def _by_work(rows: Sequence[dict]) -> dict[str, list[dict]]:
    works = {letter: work.split(",")[0].split(" in ")[0] for letter, work in claims.works().items()}
    return {name: [row for row in rows if row["id"][0] == letter] for letter, name in works.items()}


def recomputed(entry: dict) -> str:
    """Return the verdict that follows from the margins of a decided claim in a record."""
    margins = {
        name: [math.nan if value is None else value for value in values] for name, values in entry["margins"].items()
    }
    ruling = claims.Ruling(margins, entry["measured"])
    return claims.decide(claims.find(entry["id"]), ruling, entry["dataset"], entry["at_scale"], entry["seeds"])


def with_controls(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Return the controls of every claim that has some, by the claim's id."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        if row["source"].startswith(CONTROL):
            found.setdefault(row["source"].removeprefix(CONTROL), []).append(row)
    return found


def control_lines(rows: Sequence[dict]) -> list[str]:
    """Return claims and below them their controls as text, and how many hold until the controls are asked."""
    by_id, pairs = {row["id"]: row for row in rows}, with_controls(rows)
    lines = []
    for name, controls in pairs.items():
        for indent, one in (("", by_id[name]), *(("  ", control) for control in controls)):
            lines.append(f"{indent}{one['id']:<5}{claims.standing(one).upper()}: {one['statement']}")
    met = [name for name in pairs if claims.standing(by_id[name]) in GOOD]
    kept = sum(all(claims.standing(control) in GOOD for control in pairs[name]) for name in met)
    return [
        *lines,
        f"{len(pairs)} claims with controls: {len(met)} hold as published, {kept} of them with every control",
    ]


def differing(rows: Sequence[dict]) -> list[str]:
    """Return the claims that this run decides otherwise than the recorded one, as text."""
    return [
        f"{row['id']}: {row['verdict']} in this run, {row['recorded']['verdict']} recorded"
        for row in rows
        if row["measured"] and row["recorded"] and row["verdict"] != row["recorded"]["verdict"]
    ]


def smallest_lines(panel: Panel) -> list[str]:
    """Return the smallest net of every family whose mean score is within a point of the best of its family."""
    lines = []
    for family in panel.families:
        best = max(fmean(point.scores) for point in family.points)
        point = min((one for one in family.points if fmean(one.scores) >= best - FEW), key=lambda one: one.size)
        lines.append(
            f"{family.name:34}{1 / point.size:>6.1f} times smaller, {panel.score} {fmean(point.scores):.1%} "
            f"({point.setting})"
        )
    return lines
