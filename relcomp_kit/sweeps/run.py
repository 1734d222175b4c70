"""Run the points of a sweep that have no record yet.

Several sweeps may write into one folder, from several machines too: each takes the locks of the points that it runs,
and runs none that another one has; see `relcomp_kit.cache`.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from filelock import FileLock

from relcomp_kit.cache import claimed, clear_leftovers, locked, read_record, set_aside, write_record
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder, write_atomic
from relcomp_kit.progress import Progress
from relcomp_kit.sweeps.local import run_here
from relcomp_kit.sweeps.point import Failure, Point, measure
from relcomp_kit.threads import processes

LOG_EVERY = 60  # seconds, where there is no terminal
CLAIMED = 100  # points of which a sweep holds the locks at a time
Runner = Callable[[Mapping[str, Callable]], Iterator[tuple[str, object]]]


def record_file(folder: Path, point: Point) -> Path:
    """Return where the record of a point lies.

    Parameters
    ----------
    folder : Path
        Folder of the records.
    point : Point
        The point, whose name is that of the file.

    Returns
    -------
    Path
        A JSON file, which may not exist yet.
    """
    return folder / f"{point.name}.json"


def missing(points: Sequence[Point], folder: Path) -> list[Point]:
    """Return the points that have no record in a folder, or a damaged one.

    Parameters
    ----------
    points : sequence of Point
        The points of a plan.
    folder : Path
        Folder of the records.

    Returns
    -------
    list of Point
        Those that are left to run, in the same order.
    """
    return [point for point in points if _kept(folder, point) is None]


def read_records(points: Sequence[Point], folder: Path) -> list[dict]:
    """Return the records of those points that have one.

    Parameters
    ----------
    points : sequence of Point
        The points of a plan.
    folder : Path
        Folder of the records.

    Returns
    -------
    list of dict
        The records in the order of the points; see `relcomp_kit.sweeps.point.measure`.

    """
    found = (_kept(folder, point) for point in points)
    return [record for record in found if record is not None]


def _kept(folder: Path, point: Point) -> dict | None:
    """Return the record of a point; None if there is none, or one that is damaged or another point's."""
    record = read_record(record_file(folder, point))
    values = json.loads(json.dumps(point.values))
    return record if record is not None and record.get("point") == values else None


def check_workers(workers: int | None, cluster: str | None) -> None:
    """Check that it is clear who shall run the points.

    Parameters
    ----------
    workers : int, optional
        Processes on this machine.
    cluster : str, optional
        Address of a Dask scheduler.

    Raises
    ------
    UserError
        If both are given, or ``workers`` is below 1.
    """
    if workers is not None and cluster is not None:
        raise UserError("--workers is for this machine and --cluster for another: leave one of them out")
    if workers is not None and workers < 1:
        raise UserError(f"--workers is {workers}: take 1 or more")


def run_missing(
    points: Sequence[Point], folder: Path, *, workers: int | None = None, cluster: str | None = None
) -> int:
    """Run the points that have no record in a folder, and write a record each as it ends.

    A damaged record is put aside, with a line on stderr. Points that another sweep runs now are waited for. What fails
    is reported on stderr, with its traceback in a file beside the records, and the rest goes on.

    Parameters
    ----------
    points : sequence of Point
        The points of a plan.
    folder : Path
        Folder of the records; it is made if needed.
    workers : int, optional
        Processes on this machine; by default one for each core.
    cluster : str, optional
        Address of a Dask scheduler, whose workers run the points instead.

    Returns
    -------
    int
        How many points failed.

    Raises
    ------
    UserError
        If workers and a cluster are named, the folder cannot be written to, or no scheduler answers at the address.
    """
    check_workers(workers, cluster)
    make_folder(folder)
    if not missing(points, folder):
        return 0
    if cluster is None:
        return _run_all(points, folder, partial(run_here, workers=workers or processes()))
    from relcomp_kit.sweeps.cluster import connect, run_on_cluster

    with connect(cluster) as client:
        if not client.nthreads():
            print(
                f"the cluster has no worker yet: start some with `dask worker {cluster}`", file=sys.stderr, flush=True
            )
        return _run_all(points, folder, partial(run_on_cluster, client=client))


def _run_all(points: Sequence[Point], folder: Path, run: Runner) -> int:
    """Run the points that have no record, as many at a time as locks are held, and return how many failed."""
    todo = {record_file(folder, point): point for point in missing(points, folder)}
    failed = 0
    with Progress(points[0].experiment, len(todo), log_every=LOG_EVERY) as progress:
        while todo:
            with claimed(list(todo), CLAIMED) as locks:
                mine = [todo.pop(file) for file in locks]
                left = missing(mine, folder)  # another sweep may have ended some meanwhile
                for _ in range(len(mine) - len(left)):
                    progress.advance()
                clear_leftovers(*(file for file, lock in locks.items() if lock.is_locked))
                failed += _run_and_record(left, folder, run, progress, locks) if left else 0
            if not mine:  # other sweeps run all that is left
                with locked(next(iter(todo)), progress.say):
                    pass
    return failed


def _run_and_record(
    points: Sequence[Point], folder: Path, run: Runner, progress: Progress, locks: dict[Path, FileLock]
) -> int:
    """Run points, by a function that runs jobs, give their locks back as they end, and return how many failed."""
    by_name = {point.name: point for point in points}
    failed = 0
    for point in points:
        set_aside(record_file(folder, point))  # whatever is there is damaged
    for name, outcome in run({name: partial(measure, point) for name, point in by_name.items()}):
        record, trace = record_file(folder, by_name[name]), folder / f"{name}.traceback.txt"
        if isinstance(outcome, Failure):
            failed += 1
            write_atomic(trace, outcome.traceback or outcome.sentence + "\n")
            progress.say(f"relcomp: {name} ({by_name[name].label}) failed: {outcome.sentence} (more in {trace})")
        else:
            write_record(record, json.loads(outcome))
            trace.unlink(missing_ok=True)
        locks.pop(record).release()
        progress.advance()
    return failed
