"""Run the points of a sweep that have no record yet.

Several sweeps may write into one folder, from several machines too: each takes the locks of the points that it runs,
and runs none that another one has; see `relcomp_kit.cache`.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from relcomp_kit.cache import claimed, clear_leftovers, locked, read_record, set_aside, write_record
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder, write_atomic
from relcomp_kit.progress import Progress
from relcomp_kit.sweeps.local import run_here
from relcomp_kit.sweeps.point import Failure, Point, measure
from relcomp_kit.threads import processes

LOG_EVERY = 60  # seconds, where there is no terminal
CLAIMED = 100  # points of which a sweep holds the locks at most: each is an open file
Jobs = Iterable[tuple[str, Callable]]
Runner = Callable[[Jobs], Iterator[tuple[str, object]]]


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
    """Run the points that have no record, but for those that other sweeps run, and return how many failed."""
    todo = {record_file(folder, point): point for point in missing(points, folder)}
    failed = 0
    with Progress(points[0].experiment, len(todo), log_every=LOG_EVERY) as progress:
        while todo:
            before = len(todo)
            failed += _run_and_record(todo, folder, run, progress)
            if len(todo) == before:  # other sweeps run all that is left
                with locked(next(iter(todo)), progress.say):
                    pass
    return failed


def _run_and_record(todo: dict[Path, Point], folder: Path, run: Runner, progress: Progress) -> int:
    """Take those points out of ``todo`` whose locks are free, run them, and return how many failed."""
    held: dict[str, ExitStack] = {}  # locks, until the record is written
    labels = {point.name: point.label for point in todo.values()}
    failed = 0
    try:
        for name, outcome in run(_free(todo, folder, held, progress)):
            trace = folder / f"{name}.traceback.txt"
            if isinstance(outcome, Failure):
                failed += 1
                write_atomic(trace, outcome.traceback or outcome.sentence + "\n")
                progress.say(f"relcomp: {name} ({labels[name]}) failed: {outcome.sentence} (more in {trace})")
            else:
                write_record(folder / f"{name}.json", json.loads(outcome))
                trace.unlink(missing_ok=True)
            held.pop(name).close()
            progress.advance()
    finally:
        for stack in held.values():
            stack.close()
    return failed


def _free(
    todo: dict[Path, Point], folder: Path, held: dict[str, ExitStack], progress: Progress
) -> Iterator[tuple[str, Callable]]:
    """Give jobs one by one, each when it is asked for: so a sweep only has the locks of points that it runs."""
    for file, point in list(todo.items()):
        if len(held) == CLAIMED:
            return
        with ExitStack() as stack:
            lock = stack.enter_context(claimed([file])).get(file)
            if lock is None:
                continue
            del todo[file]
            if not missing([point], folder):  # another sweep has ended it meanwhile
                progress.advance()
                continue
            if lock.is_locked:
                clear_leftovers(file)
            set_aside(file)  # whatever is there is damaged
            held[point.name] = stack.pop_all()
        yield point.name, partial(measure, point)
