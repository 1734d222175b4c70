"""Jobs on the cores of this machine."""

import math
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager

from joblib.externals.loky import ProcessPoolExecutor, process_executor

from relcomp_kit import threads
from relcomp_kit.sweeps.point import Failure, attempt, sentence

POLL = 0.2  # seconds, after which Ctrl-C is answered
DIED = "the process that ran it died twice, as happens when memory runs out: take fewer workers"


def run_here(jobs: Iterable[tuple[str, Callable[[], object]]], workers: int) -> Iterator[tuple[str, object]]:
    """Run jobs in processes of their own, and yield (name, what it returned or a `Failure`) as they end.

    A job is drawn when a process has nothing to do. Each worker has a pool of its own: a process that dies takes no
    other job with it. Its job is run once more.

    Parameters
    ----------
    jobs : iterable of (str, callable)
        Names, each once, and jobs; a job is picklable, such as a `functools.partial` of a function that can be
        imported.
    workers : int
        Processes. They share the cores, as `relcomp_kit.threads.environment` says.
    """
    count, environment = threads.threads(workers), threads.environment(workers)
    idle = [one_process(environment) for _ in range(workers)]
    source, again, running, died = iter(jobs), deque(), {}, set()
    try:
        while True:
            while idle and (drawn := again.popleft() if again else next(source, None)):
                with _undisturbed():
                    pool = idle.pop()
                    running[pool.submit(attempt, drawn[1], count)] = drawn, pool
            if not running:
                return
            for future in _first_done(running):
                (name, job), pool = running.pop(future)
                error = future.exception()
                broken = isinstance(error, BrokenExecutor)
                idle.append(one_process(environment) if broken else pool)
                if broken and name not in died:
                    died.add(name)
                    again.append((name, job))
                elif error:
                    yield name, Failure(DIED if broken else sentence(error))
                else:
                    yield name, future.result()
    finally:
        with _undisturbed():
            for pool in [*idle, *(pool for _, pool in running.values())]:
                pool.shutdown(kill_workers=True)


def _first_done(running: Mapping[Future, object]) -> set[Future]:
    """Return the futures that are done, as soon as one is."""
    done: set[Future] = set()
    while not done:
        with _undisturbed():
            done = wait(running, timeout=POLL, return_when=FIRST_COMPLETED).done
    return done


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends: within, it could hit while a lock is taken that nobody would release."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[tuple] = []
    before = signal.signal(signal.SIGINT, lambda *call: caught.append(call))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if caught and callable(before):
        before(*caught[0])


def one_process(environment: dict[str, str]) -> ProcessPoolExecutor:
    """Return a pool of one process, which starts with its first job and ends with the process that asked for it.

    Parameters
    ----------
    environment : dict of str to str
        Variables that it is given beside those of this process.
    """
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
