"""One JSON record a lesson: named measurements, curves and decided claims, with all that is needed to repeat them."""

import functools
import json
import math
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from relcomp_kit.errors import UserError
from relcomp_kit.files import cache_dir, checkout, write_json
from relcomp_kit.lessons import claims
from relcomp_kit.lessons.rules import RULES

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "numba", "zennit", "zennit-crp", "nncodec")
MOVED = 0.02  # share of its recorded value by which a figure must differ to be named


@functools.cache
def commit() -> str:
    """Return the checked-out commit, with ``+`` behind it if files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(checkout()), *words], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError, UserError):  # no git, or the package without its clone
        return "unknown"


def circumstances() -> dict:
    """Return what made a measurement beside its parameters: commit, machine and versions."""
    return {
        "commit": commit(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


class Record:
    """What one run of a lesson measured.

    Parameters
    ----------
    lesson : str
        Name of the lesson, such as ``01_find_important_weights``.
    profile : str
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

    def claim(self, claim_id: str, *, at_scale: bool, seeds: Sequence[int] = (), **series) -> str:
        """Decide a claim from measured series by its rule, and return the verdict.

        Parameters
        ----------
        claim_id : str
            As in ``data/claims.toml``.
        at_scale : bool
            Whether net, training and arms had the published size.
        seeds : sequence of int
            The seeds behind the series; none where no data is involved.
        **series
            What the rule of that claim takes.
        """
        claim = claims.find(claim_id)
        if claim_id not in RULES:
            raise UserError(f"claim {claim_id} has no rule yet: write one in relcomp_kit/lessons/rules")
        ruling = RULES[claim_id](**series)
        dataset = self.content["dataset"] if claim["needs"] else None
        verdict = claims.decide(claim, ruling, dataset, at_scale, seeds)
        margins = {
            name: [None if math.isnan(value) else round(float(value), 6) for value in values]
            for name, values in ruling.margins.items()
        }
        self.content["claims"].append(
            {
                "id": claim_id,
                "measured": ruling.measured,
                "verdict": verdict,
                "dataset": dataset,
                "seeds": list(seeds),
                "at_scale": at_scale,
                "margins": margins,
            }
        )
        return verdict

    def save(self) -> Path:
        """Write the record to ``$RELCOMP_RECORDS``, or into the cache when a lesson is run by hand."""
        folder = Path(os.environ.get("RELCOMP_RECORDS") or cache_dir() / "records")
        return write_json(folder / f"{self.content['lesson']}.json", self.content)


def _plain(value):
    """Return a value in which NumPy's and torch's numbers are Python's, in lists and dicts too."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def reference(lesson: str, profile: str = "full") -> dict | None:
    """Return the committed record of a lesson, or None where there is none yet."""
    return claims.recorded(profile).get(lesson)


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
    """Return the decided claims of a record as plain text: two lines each."""
    lines = []
    for entry in record["claims"]:
        claim = claims.find(entry["id"])
        lines += [
            f"{claim['id']:<5}{entry['verdict'].upper()}: {claim['statement']}",
            f"     published {claim['published']}; measured {entry['measured']}",
        ]
    return "\n".join(lines)
