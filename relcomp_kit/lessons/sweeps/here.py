"""Jobs on the cores of this machine."""

import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait

import joblib
from joblib.externals.loky import ProcessPoolExecutor, process_executor

from relcomp_kit.errors import UserError
from relcomp_kit.lessons.sweeps.point import Failure, attempt, sentence

DIED = "the process that ran it died twice, as happens when memory runs out: take fewer workers"


def cores() -> int:
    """Return how many cores to use: ``$RELCOMP_THREADS``, or those that this process may use."""
    chosen = os.environ.get("RELCOMP_THREADS")
    if chosen:
        if not chosen.isdecimal() or int(chosen) == 0:
            raise UserError(f"RELCOMP_THREADS is {chosen!r}: set it to a number of threads, 1 or more, or unset it")
        return int(chosen)
    return joblib.cpu_count()


def run_here(jobs: Mapping[str, Callable[[], object]], workers: int) -> Iterator[tuple[str, object]]:
    """Run jobs in processes of their own, and yield (name, what it returned or a `Failure`) as they end.

    Each worker has a pool of its own: a process that dies takes no other job with it. Its job is run once more.

    Parameters
    ----------
    jobs : mapping of str to callable
        By name; a job is picklable, such as a `functools.partial` of a function that can be imported.
    workers : int
        Processes. They share the cores: each has ``cores() // workers`` threads, one at least.
    """
    threads = max(1, cores() // workers)
    idle = [_pool(threads) for _ in range(min(workers, len(jobs)))]
    waiting, running, died = deque(jobs), {}, set()
    try:
        while waiting or running:
            while waiting and idle:
                name, pool = waiting.popleft(), idle.pop()
                running[pool.submit(attempt, jobs[name], threads)] = name, pool
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, pool = running.pop(future)
                error = future.exception()
                broken = isinstance(error, BrokenExecutor)
                idle.append(_pool(threads) if broken else pool)
                if broken and name not in died:
                    died.add(name)
                    waiting.appendleft(name)
                elif error:
                    yield name, Failure(DIED if broken else sentence(error))
                else:
                    yield name, future.result()
    finally:
        for pool in [*idle, *(pool for _, pool in running.values())]:
            pool.shutdown(kill_workers=True)


def _pool(threads: int) -> ProcessPoolExecutor:
    """Return a pool of one process, which starts with its first job."""
    environment = {"OMP_NUM_THREADS": str(threads)}  # for what reads it when it is imported, such as numpy
    return ProcessPoolExecutor(1, initializer=_stay_with, initargs=(os.getpid(),), env=environment)


def _stay_with(parent: int) -> None:
    """Let this process end with the one that waits for it, even if that is killed; Ctrl-C is for that one too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    process_executor._MAX_MEMORY_LEAK_SIZE = math.inf  # or it takes remembered scenes for a leak

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
