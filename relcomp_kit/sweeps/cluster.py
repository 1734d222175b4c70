"""Jobs on a Dask cluster that is there already. Imported only where one is asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from distributed import Client, KilledWorker, as_completed, get_worker

from relcomp_kit.errors import UserError
from relcomp_kit.sweeps.point import Failure, attempt, sentence

SECONDS = 5  # in which the scheduler has to answer
DIED = Failure("the workers that ran it died, one after the other, as happens when memory runs out")


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """Connect to the scheduler at an address, such as "tcp://10.0.0.5:8786", and to no other.

    Raises
    ------
    UserError
        If nothing answers there within a few seconds.
    """
    try:
        if not address.strip():
            raise ValueError("the address is empty")
        client = Client(address, timeout=SECONDS, set_as_default=False)
    except Exception as error:  # Dask raises half a dozen kinds, by what is wrong with the address
        raise UserError(
            f"no Dask scheduler answers at {address!r} ({sentence(error)}): "
            "give the address that `dask scheduler` prints, such as tcp://10.0.0.5:8786"
        ) from error
    with client:
        yield client


def run_on_cluster(jobs: Iterable[tuple[str, Callable[[], object]]], client: Client) -> Iterator[tuple[str, object]]:
    """Run jobs on a cluster, and yield (name, what it returned or a `Failure`) as they end.

    The scheduler sends the jobs of a lost worker to others. It gives up those that were lost several times
    (``distributed.scheduler.allowed-failures``, 3 by default), and among them may be some that only waited on a worker
    which another job killed. So each of them is run once more, with no other job beside it.

    Parameters
    ----------
    jobs : iterable of (str, callable)
        As in `relcomp_kit.sweeps.local.run_here`, all drawn at once; the workers import what they name.
    client : Client
        Connection to the scheduler, from `connect`.

    Yields
    ------
    name : str
        Name of the job that ended.
    outcome : object
        What it returned, or a `Failure`.

    Raises
    ------
    UserError
        If the scheduler goes away while jobs run.
    """
    by_name, given_up = dict(jobs), {}
    for name, outcome in _run(by_name, client):
        if outcome == DIED:
            given_up[name] = by_name[name]
        else:
            yield name, outcome
    for name, job in given_up.items():
        yield from _run({name: job}, client)


def _run(jobs: Mapping[str, Callable[[], object]], client: Client) -> Iterator[tuple[str, object]]:
    futures = dict(zip(client.map(_attempt, list(jobs.values()), pure=False), jobs))
    for future in as_completed(futures, loop=client.loop):
        name = futures.pop(future)
        if future.cancelled():
            raise UserError("the Dask scheduler is gone: start it again, and run the same command again to go on")
        error = future.exception()
        if error is None:
            yield name, future.result()
        elif isinstance(error, KilledWorker):
            yield name, DIED
        else:  # not the job's, which `attempt` catches
            yield name, Failure(f"{sentence(error)}; scheduler and workers need the same relcomp_kit as this machine")


def _attempt(job: Callable[[], object]) -> object:
    return attempt(job, get_worker().state.nthreads)
