"""What the records of a sweep of lesson 01's nets decide: activations (T7), or inputs (T12c) and the published net."""

import math
from collections.abc import Sequence

from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.saliency.experiment import INPUTS
from relcomp_kit.studies.saliency.measurement import HIDDEN, MIXTURES
from relcomp_kit.studies.saliency.results import LESSON
from relcomp_kit.sweeps.point import Point
from relcomp_kit.sweeps.table import Rows, select

# activation, whether it is everywhere, inputs: what is compared within a seed
ACTIVATION_SETTINGS = {(name, everywhere, next(iter(INPUTS))) for name in HIDDEN for everywhere in (False, True)}
INPUT_SETTINGS = {("tanh", False, inputs) for inputs in INPUTS}


def check(points: Sequence[Point]) -> str:
    """Return the data set of a plan whose records decide claims.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.

    Raises
    ------
    UserError
        If the plan has several data sets, or lacks what would be compared.
    """
    datasets = {point.values["dataset"] for point in points}
    runs = {(point.values["seed"], _setting(point.values)) for point in points}
    for wanted in (ACTIVATION_SETTINGS, INPUT_SETTINGS):
        if len(datasets) == 1 and runs == {(seed, setting) for seed in _seeds(points) for setting in wanted}:
            return datasets.pop()
    raise UserError(
        "--decide is for plans that run every seed with all activations, in the hidden layers and everywhere, or with "
        "all inputs: see data/sweeps/saliency-activations.toml and data/sweeps/saliency-inputs.toml"
    )


def decided(points: Sequence[Point], records: Sequence[dict]) -> Record:
    """Return a record of lesson 01 that follows from the records of a sweep: its measurements, and its claims.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.
    records : sequence of dict
        Of these points, one each.
    """
    made = Record(LESSON, "full", check(points))
    rows = sorted((_row(record) for record in records), key=lambda row: row["seed"])
    for row in rows:
        how = {name: row[name] for name in ("activation", "everywhere", "inputs", "seed")}
        for name, unit in row["units"].items():
            made.measure(name, row[name], unit, **how)
    scale = {"at_scale": True, "seeds": _seeds(points)}
    if {_setting(row) for row in rows} == ACTIVATION_SETTINGS:
        for claim, everywhere in (("T7", False), ("T7c", True)):
            some = select(rows, everywhere=everywhere)
            accuracy, maps = (
                {name: _series(select(some, activation=name), what) for name in HIDDEN}
                for what in ("test accuracy", "map correlation")
            )
            made.claim(claim, accuracy=accuracy, maps=maps, mixtures=MIXTURES, **scale)
        return made
    signed, unit = (select(rows, inputs=inputs) for inputs in INPUTS)
    signs = [row["signs"] for row in signed]
    made.claim("T1e", **{region: [one[region] for one in signs] for region in signs[0]}, **scale)
    made.claim("T1f", ratio=_series(signed, "impact against saliency"), **scale)
    both = {"signed": signed, "unit": unit}
    maps = {f"{name}_maps": _series(some, "map correlation") for name, some in both.items()}
    biases = {f"{name}_biases": _series(some, "biases against weights") for name, some in both.items()}
    made.claim("T12c", **maps, **biases, **scale)
    return made


def _setting(values: dict) -> tuple[str, bool, str]:
    return values["activation"], values["everywhere"], values["inputs"]


def _seeds(points: Sequence[Point]) -> list[int]:
    return sorted({point.values["seed"] for point in points})


def _row(record: dict) -> dict:
    """Return a point's values and measurements by name, and the units of the latter."""
    entries = record["measurements"]
    units = {entry["name"]: entry["unit"] for entry in entries}
    return record["point"] | {entry["name"]: entry["value"] for entry in entries} | {"units": units}


def _series(rows: Rows, name: str) -> list[float]:
    """Return a measurement of each row, NaN where there was none: a map without any slope ranks nothing."""
    return [math.nan if row[name] is None else row[name] for row in rows]
