"""One JSON record a lesson: named measurements, curves and decided claims, with all that is needed to repeat them."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

from relcomp_kit.cache import write_record
from relcomp_kit.errors import UserError
from relcomp_kit.evidence import claims, verdicts
from relcomp_kit.evidence.reasons import why
from relcomp_kit.evidence.rules import RULES
from relcomp_kit.files import cache_dir
from relcomp_kit.provenance import circumstances

MOVED = 0.02  # share of its recorded value by which a figure must differ to be named


class Record:
    """What one run of a lesson measured.

    Parameters
    ----------
    lesson : str
        Name of the lesson, such as ``01_find_important_weights``.
    profile : str
        Budget of the run, "quick" or "full".
    dataset : str
        Name of the data set that the measurements stand on, unless said otherwise.
    """

    def __init__(self, lesson: str, profile: str, dataset: str):
        self.content = {
            "lesson": lesson,
            "profile": profile,
            "dataset": dataset,
            **circumstances(),
            "measurements": [],
            "claims": [],
        }

    def measure(self, name: str, value, unit: str = "", **labels) -> None:
        """Note a measurement: a number or a list of numbers, its unit, and labels such as ``seed=0, sf=0.9``.

        Numbers of NumPy and tensors become Python's.

        Parameters
        ----------
        name : str
            What was measured.
        value : object
            A number, text, or a list or dict of these.
        unit : str
            Unit of the value; empty for what has none.
        **labels
            What tells the measurement from others of its name.

        Raises
        ------
        TypeError
            If the value or a label cannot be written as JSON.
        """
        common = {"profile": self.content["profile"], "dataset": self.content["dataset"]}
        measurement = _plain({"name": name, "value": value, "unit": unit} | common | labels)
        try:
            json.dumps(measurement)
        except TypeError as error:
            raise TypeError(f"measurement {name} cannot be written as JSON: {error}") from None
        self.content["measurements"].append(measurement)

    def claim(
        self,
        claim_id: str,
        *,
        at_scale: bool,
        seeds: Sequence[int] = (),
        on: str = "",
        dataset: str | None = None,
        **series,
    ) -> str:
        """Decide a claim from measured series by its rule, and return the verdict.

        Parameters
        ----------
        claim_id : str
            As in ``data/claims.toml``.
        at_scale : bool
            Whether net, training and arms had the published size.
        seeds : sequence of int
            The seeds behind the series; none where no data is involved.
        on : str
            The net that it was decided on, with its size and budget.
        dataset : str, optional
            What was measured on, if it is not the data set of the record.
        **series
            What the rule of that claim takes.

        Returns
        -------
        str
            One of `relcomp_kit.evidence.verdicts.VERDICTS`.

        Raises
        ------
        UserError
            If there is no such claim, or it has no rule.
        """
        claim = claims.find(claim_id)
        if claims.rule_of(claim_id) not in RULES:
            raise UserError(f"claim {claim_id} has no rule yet: write one in relcomp_kit/evidence/rules")
        entry = {
            "id": claim_id,
            "dataset": (dataset or self.content["dataset"]) if claim["needs"] else None,
            "seeds": list(seeds),
            "at_scale": at_scale,
            "on": on,
            "series": _json(series),
        }
        self.content["claims"].append(decided(entry))
        return self.content["claims"][-1]["verdict"]

    def save(self) -> Path:
        """Write the record to ``$RELCOMP_RECORDS``, or into the cache when a lesson is run by hand."""
        folder = Path(os.environ.get("RELCOMP_RECORDS") or cache_dir() / "records")
        return write_record(folder / f"{self.content['lesson']}.json", self.content)


def decided(entry: dict) -> dict:
    """Return the entry of a claim with what today's rule makes of its series: figure, verdict, why, and margins.

    Parameters
    ----------
    entry : dict
        With ``id``, ``dataset``, ``seeds``, ``at_scale`` and ``series``, as records hold them. One without series, of
        a record that was made before they were kept, stays as it is.
    """
    if "series" not in entry:
        return entry
    claim = claims.find(entry["id"])
    ruling = RULES[claims.rule_of(entry["id"])](**_floats(entry["series"]))
    verdict = verdicts.decide(claim, ruling, entry["dataset"], entry["at_scale"], entry["seeds"])
    margins = {
        name: [None if math.isnan(value) else round(float(value), 6) for value in condition.margins]
        for name, condition in ruling.conditions.items()
    }
    reason = why(claim, ruling, verdict, entry["seeds"])
    return entry | {"measured": ruling.measured, "verdict": verdict, "why": reason, "margins": margins}


def _json(series):
    """Return series as JSON keeps them: keys as text, None for NaN."""
    if isinstance(series, dict):
        return {str(key): _json(value) for key, value in series.items()}
    series = _plain(series)
    if isinstance(series, list):
        return [_json(value) for value in series]
    return None if isinstance(series, float) and math.isnan(series) else series


def _floats(series):
    """Return series as rules take them: NaN for None."""
    if isinstance(series, dict):
        return {key: _floats(value) for key, value in series.items()}
    if isinstance(series, list):
        return [_floats(value) for value in series]
    return math.nan if series is None else series


def _plain(value):
    """Return a value in which NumPy's and torch's numbers are Python's, in lists and dicts too."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def reference(lesson: str, profile: str = "full") -> dict | None:
    """Return the committed record of a lesson.

    Parameters
    ----------
    lesson : str
        Name of the record's file without its ending: the lesson's, such as ``01_find_important_weights``, followed by a
        dot and a data set if the record stands on another one than the lesson's own.
    profile : str
        "quick" or "full".

    Returns
    -------
    dict or None
        The record, or None where there is none yet.
    """
    return claims.recorded(profile).get(lesson)


def reference_on(lesson: str, dataset: str) -> dict | None:
    """Return the committed record of a lesson's full run on a data set, its own or another; None if there is none.

    Parameters
    ----------
    lesson : str
        Its name, such as ``03_teach_a_net_the_railway``.
    dataset : str
        Such as "camvid".
    """
    records = claims.recorded("full")
    found = (records.get(name) for name in (lesson, f"{lesson}.{dataset}"))
    return next((record for record in found if record and record["dataset"] == dataset), None)


def moved(live: dict, kept: dict) -> str | None:
    """Return in a sentence which figures differ from a record that other versions made; None if none do.

    Parameters
    ----------
    live, kept : dict
        Records of one lesson. Only those of one profile and data set are compared, and no times.
    """
    if any(live[key] != kept[key] for key in ("profile", "dataset")):
        return None
    here, there = live["versions"], kept["versions"]
    other = [f"{name} {there[name]} then, {here[name]} now" for name in there if here.get(name) != there[name]]
    before = {_labels(one): one["value"] for one in kept["measurements"] if one["unit"] != "s"}
    figures = [
        (one["name"], _apart(one["value"], before[_labels(one)]))
        for one in live["measurements"]
        if _labels(one) in before
    ]
    far = sorted((-apart, name) for name, apart in figures if apart > MOVED)
    if not other or not far:
        return None
    return (
        f"{live['lesson']}: {len(far)} of {len(figures)} figures are more than {MOVED:.0%} away from the recorded ones "
        f"({far[0][1]} by {-far[0][0]:.0%}), which other versions made: {', '.join(other)}"
    )


def _labels(measurement: dict) -> str:
    return json.dumps({key: value for key, value in measurement.items() if key != "value"}, sort_keys=True)


def _apart(one: float | list, other: float | list) -> float:
    """Return by which share of the other's mean size a figure differs, in the mean of a list."""
    if not isinstance(one, list):
        one, other = [one], [other]
    if len(one) != len(other):
        return math.inf
    size = sum(map(abs, other))
    return sum(abs(a - b) for a, b in zip(one, other)) / size if size else float(one != other)


def claims_text(record: dict) -> str:
    """Return the decided claims of a record as plain text: three lines each."""
    lines = []
    for entry in record["claims"]:
        claim = claims.find(entry["id"])
        lines += [
            f"{claim['id']:<4} {entry['verdict'].upper()}: {claim['statement']}",
            f"     published {claim['published']}; measured {entry['measured']}",
            f"     {entry['why']}",
        ]
    return "\n".join(lines)
