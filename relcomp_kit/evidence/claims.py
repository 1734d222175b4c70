"""The ledger of published claims, and what records say about them: a table with a row a claim."""

import functools
import sys
from collections.abc import Mapping
from pathlib import Path

from relcomp_kit.cache import read_record, set_aside
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout, read_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


CONTROL = "control to "


def ledger() -> list[dict]:
    """Return all claims of ``data/claims.toml``, in order; one with several sets as a row for each of them."""
    content = _file()
    return [row for claim in content["claim"] for row in _rows(claim, content["set"])]


def _rows(claim: dict, sets: dict[str, dict]) -> list[dict]:
    """Return a claim as it is, or for each of its sets with what the set adds to it."""
    if "sets" not in claim:
        return [claim]
    rows = []
    for name in claim["sets"]:
        ending = sets[name]["id"]
        row = sets[name] | {key: value for key, value in claim.items() if key != "sets"} | {"id": claim["id"] + ending}
        row["statement"] += f" {row['on']}"
        row["rule"] += f". Net: {row['net']}"
        if is_control(row):
            row["source"] += ending
        rows.append(row)
    return rows


def is_control(row: dict) -> bool:
    """Say whether a row asks a question of the kit's own about a published claim."""
    return row["source"].startswith(CONTROL)


def cases(row: Mapping) -> str:
    """Return what one margin of a claim comes from: "seed", or "net" where several nets are asked once each."""
    return row.get("cases", "seed")


def in_set(claim_id: str, dataset: str) -> str:
    """Return the id of the row of a claim that is about a data set; with digits, MNIST's.

    Parameters
    ----------
    claim_id : str
        Such as "X1".
    dataset : str
        Such as "cifar10".
    """
    return claim_id + _file()["set"].get(dataset, {"id": ""})["id"]


def rule_of(claim_id: str) -> str:
    """Return the id by which the rule of a row goes: "X1" for "X1-cifar10"."""
    return claim_id.partition("-")[0]


def works() -> dict[str, str]:
    """Return the published works by the first letter of their claims' ids."""
    return _file()["work"]


def _file() -> dict:
    return read_toml("claims.toml")


@functools.cache
def read_toml(name: str) -> dict:
    """Return the content of a TOML file in the folder ``data``; it is read once.

    Parameters
    ----------
    name : str
        Of the file.
    """
    with open(checkout() / "data" / name, "rb") as file:
        return tomllib.load(file)


def find(claim_id: str) -> dict:
    """Return one claim by its id."""
    for claim in ledger():
        if claim["id"] == claim_id:
            return claim
    raise UserError(f"there is no claim {claim_id!r} in data/claims.toml")


def reference_folder(profile: str = "full") -> Path:
    """Return the folder of the committed records of a profile."""
    return checkout() / "data" / "reference" / profile


def recorded(profile: str = "full") -> dict[str, dict]:
    """Return the committed records of a profile by file name: ``<lesson>`` or ``<lesson>.<data set>``."""
    folder = reference_folder(profile)
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
        kept = full[claim["id"]][1] if claim["id"] in full else {}
        # Published data with another net is a stand-in all the same.
        recorded_on = kept.get("dataset") if kept.get("at_scale", True) else None
        command = claim.get("command", f"relcomp run {claim['lesson'][:2]} --profile full")
        published_on = not claim["needs"] or claim["needs"] in (live.get("dataset"), recorded_on)
        rows.append(
            {
                "id": claim["id"],
                "source": claim["source"],
                "statement": claim["statement"],
                "published": claim["published"],
                "measured": live.get("measured"),
                "unit": claim["unit"],
                "verdict": live.get("verdict", unmeasured(claim)),
                "why": live.get("why") or ("" if claim["id"] in full else not_run(claim, command)),
                "on": live.get("on"),
                "control": is_control(claim),
                "profile": record.get("profile", profile),
                "dataset": live.get("dataset"),
                "published_dataset": claim["needs"] or None,
                "seeds": live.get("seeds"),
                "cases": cases(claim),
                "commit": record.get("commit"),
                "lesson": claim["lesson"],
                "rule": claim["rule"],
                "missing": None if published_on else missing[claim["needs"]],
                "command": command,
                "recorded": _short(*full[claim["id"]]) | {"cases": cases(claim)} if claim["id"] in full else None,
            }
        )
    return rows


def _best_records() -> dict[str, tuple[dict, dict]]:
    """Return (record, claim) by claim id, of the full profile: on the published data where there is such a record.

    Otherwise it is the lesson's own record, whose file carries no other name; otherwise one on the same data set;
    otherwise any. Of several records of one rank it is the one with the most seeds.
    """
    ranked: dict[str, tuple[tuple[int, bool, int], dict, dict]] = {}
    needs, records = {claim["id"]: claim["needs"] for claim in ledger()}, recorded()
    for name, record in records.items():
        like_own = record["dataset"] == records.get(record["lesson"], record)["dataset"]
        for claim in record["claims"]:
            published = needs[claim["id"]] == record["dataset"]
            rank = (2 if published else int(name == record["lesson"]), like_own, len(claim["seeds"]))
            if claim["id"] not in ranked or rank > ranked[claim["id"]][0]:
                ranked[claim["id"]] = (rank, record, claim)
    return {name: (record, claim) for name, (_, record, claim) in ranked.items()}


def _short(record: dict, claim: dict) -> dict:
    return {key: claim.get(key) for key in ("measured", "verdict", "why", "on", "dataset", "seeds")} | {
        "profile": record["profile"],
        "commit": record["commit"],
    }


def unmeasured(claim: dict) -> str:
    """Return the verdict of a claim that nobody has measured."""
    return "not testable here" if claim.get("no_stand_in") else "open"


def nothing_stands_in(claim: Mapping) -> str:
    """Return in one sentence why other data than the published decide nothing about a claim."""
    return f"Nothing stands in for the published data: {claim['no_stand_in']}."


def not_run(claim: dict, command: str) -> str:
    """Return in one sentence why a claim that nobody has measured has no other verdict.

    Parameters
    ----------
    claim : dict
        From the ledger.
    command : str
        What tests it.
    """
    if claim.get("no_stand_in"):
        return nothing_stands_in(claim)
    return f"Nobody has run it here yet; the kit has all that `{command}` needs."


def reason(row: dict) -> str:
    """Return why a claim in the table stands as it does, by its recorded full run if there is one."""
    if row.get("recorded"):
        return row["recorded"].get("why") or ""
    return row["why"] if row["measured"] is None else "No full run of it is recorded yet."


def standing(row: dict) -> str:
    """Return the verdict of the recorded full run of a claim in the table; without one it is as if nobody measured."""
    if row.get("recorded"):
        return row["recorded"]["verdict"]
    return row["verdict"] if row["measured"] is None else "open"
