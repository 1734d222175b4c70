"""What lesson 09 makes of the ledger: the records of a run, its headlines, verdicts counted, claims beside controls."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from relcomp_kit.evidence import claims
from relcomp_kit.evidence.record import decided
from relcomp_kit.evidence.report import text
from relcomp_kit.evidence.verdicts import VERDICTS
from relcomp_kit.files import cache_dir
from relcomp_kit.studies.whole_picture import Panel

# one or two rows for each thing that a work promises, and the control that asks whether its reason is the right one
HEADLINES = ("T2", "T3", "T3c", "T4", "T4c", "T14", "B4", "B5", "B5d", "B6", "X1", "X2", "X2c", "X2d-cifar10", "X3")
GOOD = ("reproduced", "holds on a stand-in")
FEW = 0.01  # score that a net may lose
PUBLISHED, CONTROLS = "published claims", "controls of ours"
START, END = "<!-- results: kept by tests/studies/readme_table.py -->", "<!-- end of results -->"


def live_records() -> list[dict]:
    """Return the records of the run that this process belongs to, or else of lessons that were run by hand."""
    folder = Path(os.environ.get("RELCOMP_RECORDS") or cache_dir() / "records")
    return claims.live(folder)


def headline_table(rows: Sequence[dict]) -> str:
    """Return the table that README and lesson 09 open with, as Markdown: what the recorded full runs found.

    Parameters
    ----------
    rows : sequence of dict
        All claims, as in ``claims.json``.
    """
    by_id = {row["id"]: row for row in rows}
    return _table(
        ["", "claim", "published", "measured", "verdict", "why"],
        [
            [
                f"**{row['id']}**",
                row["statement"],
                row["published"],
                text((row["recorded"] or {}).get("measured")),
                f"**{claims.standing(row)}**",
                claims.reason(row),
            ]
            for row in (by_id[name] for name in HEADLINES)
        ],
    )


def with_results(page: str, rows: Sequence[dict]) -> str:
    """Return a page with the table of headlines between its two marks.

    Parameters
    ----------
    page : str
        Such as README, with `START` and `END` in it.
    rows : sequence of dict
        All claims.
    """
    before, rest = page.split(START)
    return f"{before}{START}\n\n{headline_table(rows)}\n\n{END}{rest.split(END)[1]}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in lines)


def counts(rows: Sequence[dict]) -> dict[str, dict[str, Counter]]:
    """Return how many published claims, and apart how many controls, of each work have which verdict.

    Recorded, and in this run where it decided any of them.
    """
    found: dict[str, dict[str, Counter]] = {}
    for kind, control in ((PUBLISHED, False), (CONTROLS, True)):
        found[kind] = {}
        for name, some in _by_work([row for row in rows if row["control"] == control]).items():
            here = any(row["measured"] for row in some)
            if here:
                found[kind][f"{name}, this run"] = Counter(row["verdict"] for row in some)
            if some:
                label = f"{name}, recorded" if here else name
                found[kind][label] = Counter(claims.standing(row) for row in some)
    return found


def verdict_table(rows: Sequence[dict]) -> str:
    """Return as Markdown which claims of each work have which verdict in the recorded runs; controls in italics."""
    lines = []
    for name, some in _by_work(rows).items():
        for verdict in VERDICTS:
            found = [row for row in some if claims.standing(row) == verdict]
            if found:
                ids = (f"*{row['id']}*" if row["control"] else row["id"] for row in found)
                lines.append([name, verdict, ", ".join(ids)])
    return _table(["work", "verdict", "claims, and *controls*"], lines)


def _by_work(rows: Sequence[dict]) -> dict[str, list[dict]]:
    works = {letter: work.split(",")[0].split(" in ")[0] for letter, work in claims.works().items()}
    return {name: [row for row in rows if row["id"][0] == letter] for letter, name in works.items()}


def recomputed(entry: dict) -> str:
    """Return the verdict that today's rule gives to the series of a decided claim in a record."""
    return decided(entry)["verdict"]


def with_controls(rows: Sequence[dict]) -> dict[str, list[dict]]:
    """Return the controls of every claim that has some, by the claim's id."""
    found: dict[str, list[dict]] = {}
    for row in rows:
        if row["control"]:
            found.setdefault(row["source"].removeprefix(claims.CONTROL), []).append(row)
    return found


def control_table(rows: Sequence[dict]) -> str:
    """Return the measured claims that have controls, and below each its controls, as Markdown, with verdict and why."""
    by_id, lines = {row["id"]: row for row in rows}, []
    for name, controls in with_controls(rows).items():
        if by_id[name]["recorded"] or any(control["recorded"] for control in controls):
            for mark, one in (("**", by_id[name]), *(("*", control) for control in controls)):
                lines.append(
                    [f"{mark}{one['id']}{mark}", one["statement"], claims.standing(one), claims.reason(one)],
                )
    return _table(["", "claim, and *controls*", "verdict", "why"], lines)


def control_count(rows: Sequence[dict]) -> str:
    """Return as text how many of the measured claims with controls hold, and how many of them with every control."""
    by_id = {row["id"]: row for row in rows}
    pairs = {name: controls for name, controls in with_controls(rows).items() if by_id[name]["recorded"]}
    met = [name for name in pairs if claims.standing(by_id[name]) in GOOD]
    kept = sum(all(claims.standing(control) in GOOD for control in pairs[name]) for name in met)
    return f"{len(pairs)} measured claims with controls: {len(met)} hold, {kept} of them with every control"


def differing(rows: Sequence[dict]) -> list[str]:
    """Return the claims that this run decides otherwise than the recorded one, as text, and how many both decided.

    Nothing where this run decided none.
    """
    both = [row for row in rows if row["measured"] and row["recorded"]]
    if not both:
        return []
    found = [
        f"{row['id']}: {row['verdict']} in this run, {row['recorded']['verdict']} recorded"
        for row in both
        if row["verdict"] != row["recorded"]["verdict"]
    ]
    return [f"{len(both)} claims were decided in this run and in a recorded one", *(found or ["no verdict differs"])]


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
