"""What the records of a sweep of coded experts decide: computation and bytes that a rail-track expert saves (B7).

For the frames with the eight rail classes, which have a plan and no lesson of their own.
"""

from collections.abc import Sequence

from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.coding import results
from relcomp_kit.sweeps.point import Point

LESSON = "07_encode_with_nnc"
DATASET, WANTED = "railsem19-rail8", ("rail-track",)


def check(points: Sequence[Point]) -> str:
    """Return the data set of a plan whose records decide claims.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.

    Raises
    ------
    UserError
        If no claim hangs on such records.
    """
    values = [point.values for point in points]
    if points[0].experiment != "code" or any((v["dataset"], tuple(v["wanted"])) != (DATASET, WANTED) for v in values):
        raise UserError(
            f"--decide is for plans that code experts for {WANTED[0]} on {DATASET}: what other plans of files measure "
            "is decided by lesson 07"
        )
    return DATASET


def decided(points: Sequence[Point], records: Sequence[dict]) -> Record:
    """Return a record of lesson 07 that follows from the records of a sweep: its files, and claim B7.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.
    records : sequence of dict
        Of these points, one each.
    """
    made, rows = Record(LESSON, "full", check(points)), [results.row(record) for record in records]
    results.note(made, rows, {})
    results.decide_expert(made, rows, results.asked_of(rows))
    return made
