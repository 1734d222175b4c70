"""The plans that lessons run: they lie in ``data/sweeps``, and their records in the cache."""

from pathlib import Path

from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.errors import UserError
from relcomp_kit.files import cache_dir, checkout
from relcomp_kit.sweeps.plan import read_plan
from relcomp_kit.sweeps.point import Point
from relcomp_kit.sweeps.run import missing, read_records, run_missing


def points(plan: str) -> list[Point]:
    """Return the points of a plan, by its name."""
    return read_plan(checkout() / "data" / "sweeps" / f"{plan}.toml")


def folder(plan: str, data: ImageSet | SceneSet) -> Path:
    """Return where the records of a plan lie: a stand-in has a folder of its own.

    Parameters
    ----------
    plan : str
        Name of a plan in ``data/sweeps``.
    data : ImageSet or SceneSet
        The set that it runs on: the plan's own, or a stand-in.
    """
    wanted = points(plan)[0].values["dataset"]
    return cache_dir() / "sweeps" / (plan if data.name == wanted else f"{plan}-{data.name}")


def swept(plan: str, data: ImageSet | SceneSet) -> list[dict]:
    """Run what is missing of a plan, and return the record of every point.

    Parameters
    ----------
    plan : str
        Name of a plan in ``data/sweeps``.
    data : ImageSet or SceneSet
        The set that it runs on; it says where the records lie.

    Raises
    ------
    UserError
        If a point failed.
    """
    wanted, place = points(plan), folder(plan, data)
    if run_missing(wanted, place):
        left = missing(wanted, place)
        raise UserError(f"{len(left)} of {len(wanted)} points of {plan} failed: see the tracebacks in {place}")
    return read_records(wanted, place)
