"""What the records of a sweep of pruning decide: claims about the published program, with more seeds or factors.

T3 and T3c hang on plans of 30 steps, T4 and T4c on plans of all steps, each with and without pruning; T14d hangs on
plans from other initial weights.
"""

from collections.abc import Sequence

from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.pruning import measurement, results
from relcomp_kit.studies.pruning.experiment import prune
from relcomp_kit.sweeps.experiments import parameters
from relcomp_kit.sweeps.point import Point

FREE = ("dataset", "sf", "seed", "rule")
BOTH = {"pruned": "median", "unpruned": "none"}  # group of curves: rule of pruning
KINDS = {  # what a plan changes of the published program, and the groups that it needs for each seed
    "layers": ({"initial": "glorot"}, {"glorot": "median"}),
    "rise": ({"steps": results.RISE}, BOTH),
    "small enough": ({}, BOTH),
}


def check(points: Sequence[Point]) -> str:
    """Return the data set of a plan whose records decide a claim.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.

    Raises
    ------
    UserError
        If no claim hangs on such records.
    """
    _kind(points)
    return points[0].values["dataset"]


def _kind(points: Sequence[Point]) -> str:
    """Return which of `KINDS` a plan is."""
    defaults = {name: one.default for name, one in parameters(prune).items() if name not in FREE}
    seeds = {point.values["seed"] for point in points}
    one_set = len({point.values["dataset"] for point in points}) == 1
    for kind, (changes, groups) in KINDS.items():
        wanted = defaults | changes
        as_published = all(point.values[name] == value for point in points for name, value in wanted.items())
        runs = {(point.values["rule"], point.values["seed"]) for point in points}
        if one_set and as_published and runs == {(rule, seed) for rule in groups.values() for seed in seeds}:
            return kind
    raise UserError(
        f"--decide is for plans of the published program from the initial weights 'glorot', or with the rules 'median' "
        f"and 'none' for each seed, of {results.RISE} steps or of all: what others measure is decided by lesson 02"
    )


def decided(points: Sequence[Point], records: Sequence[dict]) -> Record:
    """Return a record of lesson 02 that follows from the records of a sweep: its curves, and the claims on them.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.
    records : sequence of dict
        Of these points, one each.
    """
    kind = _kind(points)
    made = Record(results.LESSON, "full", check(points))
    curves = {
        group: sorted((_curve(one) for one in records if one["point"]["rule"] == rule), key=lambda one: one["seed"])
        for group, rule in KINDS[kind][1].items()
    }
    made.content["curves"] = curves
    scale = {"at_scale": True, "seeds": sorted({point.values["seed"] for point in points})}
    if kind == "layers":
        made.claim("T14d", shares=results.shares_by_layer(curves, "glorot"), **scale)
    elif kind == "rise":
        results.decide_rise(made, measurement.select(curves["pruned"], 0.6), curves["unpruned"], results.RISE, scale)
    else:
        results.decide_small_enough(made, curves["pruned"], curves["unpruned"], "T4", scale)
    return made


def _curve(record: dict) -> dict:
    """Return a point's curve as `relcomp_kit.studies.pruning.measurement` takes it."""
    found = {entry["name"]: entry["value"] for entry in record["measurements"]}
    accuracies = {split: [round(value, 4) for value in found[f"{split} accuracy"]] for split in ("validation", "test")}
    how = {"sf": record["point"]["sf"], "seed": record["point"]["seed"]}
    return how | {"left": found["weights left"]} | accuracies
