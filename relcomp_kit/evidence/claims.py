"""The ledger of published claims, and the verdict that a measurement earns. Rules are code, verdicts are computed."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relcomp_kit.cache import read_record, set_aside
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout, read_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

VERDICTS = ("reproduced", "holds on a stand-in", "partly", "not reproduced", "not testable here", "open")
DECIDES_NOTHING = ("digits", "fashion-mnist")  # may hold on them, but a failure on them says nothing about MNIST
SEEDS = 3


@dataclass(frozen=True)
class Ruling:
    """What a rule makes of a measurement.

    Attributes
    ----------
    margins : dict of str to sequence of float
        Per condition of the rule one margin a seed: 0 or more where the condition holds.
    measured : str
        The measured figure, for the table.
    """

    margins: dict[str, Sequence[float]]
    measured: str


def ledger() -> list[dict]:
    """Return all claims of ``data/claims.toml``, in order."""
    return _file()["claim"]


def works() -> dict[str, str]:
    """Return the published works by the first letter of their claims' ids."""
    return _file()["work"]


def _file() -> dict:
    with open(checkout() / "data" / "claims.toml", "rb") as file:
        return tomllib.load(file)


def find(claim_id: str) -> dict:
    """Return one claim by its id."""
    for claim in ledger():
        if claim["id"] == claim_id:
            return claim
    raise UserError(f"there is no claim {claim_id!r} in data/claims.toml")


def decide(claim: dict, ruling: Ruling, dataset: str | None, at_scale: bool, seeds: Sequence[int] = ()) -> str:
    """Return the verdict.

    A condition is met when it holds for every seed, of three at least where data is involved; it fails when it holds
    for none. All met: "reproduced" on the published data and scale, else "holds on a stand-in". All fail: "not
    reproduced", but with a reduced budget only "not testable here". Anything between: "partly". On images that stand in
    for MNIST a claim can be confirmed, nothing else: "not testable here". So it is where a margin is NaN: a run did not
    get to where the claim is decided.

    Parameters
    ----------
    claim : dict
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
    if not ruling.margins or any(len(margins) == 0 for margins in ruling.margins.values()):
        raise UserError(f"claim {claim['id']}: a condition without a measurement decides nothing")
    margins = [margin for some in ruling.margins.values() for margin in some]
    if any(math.isnan(margin) for margin in margins):
        return "not testable here"
    free = not claim["needs"]
    enough = free or (len(set(seeds)) >= SEEDS and all(len(some) >= SEEDS for some in ruling.margins.values()))
    if enough and min(margins) >= 0:
        return "reproduced" if free or (claim["needs"] == dataset and at_scale) else "holds on a stand-in"
    if not free and dataset in DECIDES_NOTHING and claim["needs"] != dataset:
        return "not testable here"
    if not (enough and all(max(some) < 0 for some in ruling.margins.values())):
        return "partly"
    return "not reproduced" if free or at_scale else "not testable here"


def recorded(profile: str = "full") -> dict[str, dict]:
    """Return the committed records of a profile by file name: ``<lesson>`` or ``<lesson>.<data set>``."""
    folder = checkout() / "data" / "reference" / profile
    return {path.stem: read_json(path) for path in sorted(folder.glob("*.json"))}


def live(folder: Path) -> list[dict]:
    """Return the records of lessons in a folder; a damaged one, or another lesson's, is put aside, with a line.

    Parameters
    ----------
    folder : Path
        Where `relcomp_kit.evidence.record.Record.save` wrote them; there may be none. Those of earlier versions have no
        digest.
    """
    found = []
    for file in sorted(folder.glob("*.json")):
        content = read_record(file, undigested=True)
        if content is not None and content.get("lesson") == file.stem:
            found.append(content)
        else:
            set_aside(file, f"missing until you run lesson {file.stem} again")
    return found


def table(records: list[dict], profile: str = "quick") -> list[dict]:
    """Return the rows of ``claims.json``: one for every claim of the ledger.

    Parameters
    ----------
    records : list of dict
        The records of a run's lessons; a claim that none of them decides is "open", or "not testable here" if the
        ledger says that nothing can stand in for the data that it needs.
    profile : str
        Of the run.
    """
    decided = {claim["id"]: (record, claim) for record in records for claim in record["claims"]}
    full, missing = _best_records(), _file()["missing"]
    rows = []
    for claim in ledger():
        record, live = decided.get(claim["id"], ({}, {}))
        recorded_on = full[claim["id"]][1]["dataset"] if claim["id"] in full else None
        published_on = not claim["needs"] or claim["needs"] in (live.get("dataset"), recorded_on)
        rows.append(
            {
                "id": claim["id"],
                "source": claim["source"],
                "statement": claim["statement"],
                "published": claim["published"],
                "measured": live.get("measured"),
                "unit": claim["unit"],
                "verdict": live.get("verdict", "open" if claim.get("stand_in", True) else "not testable here"),
                "tightest": tightest(live) if live else None,
                "profile": record.get("profile", profile),
                "dataset": live.get("dataset"),
                "published_dataset": claim["needs"] or None,
                "seeds": live.get("seeds"),
                "commit": record.get("commit"),
                "lesson": claim["lesson"],
                "rule": claim["rule"],
                "missing": None if published_on else missing[claim["needs"]],
                "command": claim.get("command", f"relcomp run {claim['lesson'][:2]} --profile full"),
                "recorded": _short(*full[claim["id"]]) if claim["id"] in full else None,
            }
        )
    return rows


def _best_records() -> dict[str, tuple[dict, dict]]:
    """Return (record, claim) by claim id, of the full profile: on the published data where there is such a record.

    Otherwise it is the record of the lesson's own data set, whose file carries no other name; otherwise any.
    """
    ranked: dict[str, tuple[int, dict, dict]] = {}
    for name, record in recorded().items():
        for claim in record["claims"]:
            published = find(claim["id"])["needs"] == record["dataset"]
            rank = 2 if published else int(name == record["lesson"])
            if rank > ranked.get(claim["id"], (-1,))[0]:
                ranked[claim["id"]] = (rank, record, claim)
    return {name: (record, claim) for name, (_, record, claim) in ranked.items()}


def _short(record: dict, claim: dict) -> dict:
    return {key: claim[key] for key in ("measured", "verdict", "dataset", "seeds")} | {
        "tightest": tightest(claim),
        "profile": record["profile"],
        "commit": record["commit"],
    }


def tightest(claim: dict) -> str:
    """Return the condition of a decided claim with the smallest margin, and that margin's spread over the seeds.

    A condition is met where its margin is 0 or more; margins are in the unit that it compares: shares, counts.
    """
    spans = {name: values for name, values in claim.get("margins", {}).items() if values and None not in values}
    if not spans:
        return ""
    name = min(spans, key=lambda name: min(spans[name]))
    ends = dict.fromkeys(f"{value + 0.0:+.3g}" for value in (min(spans[name]), max(spans[name])))
    return f"{name}: {' to '.join(ends)}".replace("-", "−")


def standing(row: dict) -> str:
    """Return the verdict of the recorded full run of a claim in the table; without one it is as if nobody measured."""
    if row.get("recorded"):
        return row["recorded"]["verdict"]
    return row["verdict"] if row["measured"] is None else "open"
