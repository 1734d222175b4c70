"""What the records of a sweep of pruning decide: which layers have least left, from other initial weights (T14d)."""

from collections.abc import Sequence

from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.pruning import results
from relcomp_kit.studies.pruning.experiment import prune
from relcomp_kit.sweeps.experiments import parameters
from relcomp_kit.sweeps.point import Point

INITIAL = "glorot"
FREE = ("dataset", "sf", "seed")


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
    datasets = {point.values.get("dataset") for point in points}
    wanted = {name: one.default for name, one in parameters(prune).items() if name not in FREE} | {"initial": INITIAL}
    if len(datasets) > 1 or any(point.values.get(name) != value for point in points for name, value in wanted.items()):
        raise UserError(
            f"--decide is for plans of the published program from the initial weights {INITIAL!r}: what other plans "
            "of pruning measure is decided by lesson 02"
        )
    return datasets.pop()


def decided(points: Sequence[Point], records: Sequence[dict]) -> Record:
    """Return a record of lesson 02 that follows from the records of a sweep: its curves, and T14d.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.
    records : sequence of dict
        Of these points, one each.
    """
    made = Record(results.LESSON, "full", check(points))
    curves = []
    for record in records:
        found = {entry["name"]: entry["value"] for entry in record["measurements"]}
        accuracies = [round(value, 4) for value in found["test accuracy"]]
        how = {"sf": record["point"]["sf"], "seed": record["point"]["seed"]}
        curves.append(how | {"left": found["weights left"], "test": accuracies})
    made.content["curves"] = {INITIAL: curves}
    seeds = sorted({curve["seed"] for curve in curves})
    made.claim("T14d", at_scale=True, seeds=seeds, shares=results.shares_by_layer({INITIAL: curves}, INITIAL))
    return made
