"""How many threads work takes, and how they wait for each other.

OpenMP's threads, which torch computes with, meet after every operation. Where other work holds a core, one of them
comes late, and by default the others spin until it comes: they burn the time that it lacks, and long work takes several
times as long with two threads as with one. So the kit

- shares the cores among the processes that it starts (`environment`), and lets their threads sleep while they wait;
- uses, for long work whose result does not depend on it, the number of threads that is the quickest now (`paying`).

``OMP_NUM_THREADS`` and ``OMP_WAIT_POLICY`` of the user win over both. ``RELCOMP_THREADS`` is the number of cores that
all processes of a run share.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relcomp_kit.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")  # how threads wait: the standard's name, GNU's, LLVM's
LONG = 2**20  # numbers, from which on measuring costs little beside the work
REGION = 2**17  # numbers of an operation that is timed: about those of one step of the work
OPERATIONS, ROUNDS, FEWEST = 4, 16, 4  # timed in a row; times in turn, and at least
PATIENCE = 0.1  # seconds, after which the fewest rounds are enough
GAIN = 1.1  # by which more threads must be quicker
VALID = 30.0  # seconds, after which other work may have come or gone

_measured: dict[int, tuple[float, dict[int, float]]] = {}  # most threads -> when, and the seconds of each number


def cores() -> int:
    """Return how many cores a run uses: ``$RELCOMP_THREADS``, or those that this process may use.

    Raises
    ------
    UserError
        If the variable is no number of threads.
    """
    chosen = os.environ.get("RELCOMP_THREADS")
    if chosen:
        if not chosen.isdecimal() or int(chosen) == 0:
            raise UserError(f"RELCOMP_THREADS is {chosen!r}: set it to a number of threads, 1 or more, or unset it")
        return int(chosen)
    from joblib import cpu_count  # affinity, and the quota of a cgroup

    return cpu_count()


def own_choice() -> int | None:
    """Return the user's own ``OMP_NUM_THREADS``; None where it is not set, or is this process's share of the cores."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is for threads within threads
    if not told.isdecimal() or int(told) == 0 or told == os.environ.get("RELCOMP_THREADS"):
        return None
    return int(told)


def threads(processes: int = 1) -> int:
    """Return how many threads each of some processes takes: the user's choice, or its share of the cores.

    Parameters
    ----------
    processes : int
        How many share the cores.
    """
    return own_choice() or max(1, cores() // processes)


def processes() -> int:
    """Return how many processes run side by side where nobody says: one a core, fewer if each has more threads."""
    return max(1, cores() // (own_choice() or 1))


def patient() -> dict[str, str]:
    """Return the variable by which threads sleep while they wait; none where the user has chosen how they wait.

    It counts in a process that has not loaded OpenMP yet.
    """
    return {} if any(name in os.environ for name in WAITING) else {"OMP_WAIT_POLICY": "PASSIVE"}


def environment(processes: int = 1) -> dict[str, str]:
    """Return what the environment of each of some processes that share the cores has to say of threads.

    Parameters
    ----------
    processes : int
        How many share the cores.
    """
    share = str(max(1, cores() // processes))
    return patient() | {"RELCOMP_THREADS": share, "OMP_NUM_THREADS": str(own_choice() or share)}


@contextmanager
def using(count: int) -> Iterator[None]:
    """Let torch use a number of threads, then as many as before.

    Parameters
    ----------
    count : int
        1 or more.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def paying(tensors: Iterable["Tensor"]) -> Iterator[None]:
    """Let torch use the number of threads that is the quickest now, then as many as before; never more than before.

    For work whose result does not depend on the number of threads: comparisons, lookups and counts, not sums of floats.

    Parameters
    ----------
    tensors : iterable of Tensor
        What is worked on. If it is little, or not on a processor, nothing is measured or changed, nor is it where the
        user has set ``OMP_NUM_THREADS``.
    """
    import torch

    most = torch.get_num_threads()
    long = sum(one.numel() for one in tensors if one.device.type == "cpu") >= LONG
    with using(quickest(most) if long and most > 1 and own_choice() is None else most):
        yield


def quickest(most: int) -> int:
    """Return the number of threads, 1 to ``most``, that is the quickest now, by `seconds`; the fewer of two alike.

    Parameters
    ----------
    most : int
        The largest number allowed.
    """
    return _quickest(seconds(most))


def _quickest(found: dict[int, float]) -> int:
    return min(count for count, took in found.items() if took <= GAIN * min(found.values()))


def seconds(most: int) -> dict[int, float]:
    """Return how long a sample of work takes now with 1, ... ``most / 2`` and ``most`` threads; measured seldom.

    Parameters
    ----------
    most : int
        The largest number of threads.
    """
    when, found = _measured.get(most, (-VALID, {}))
    if not found or time.monotonic() - when > VALID:
        found = _measure(most)
        _measured[most] = time.monotonic(), found
    return found


def _measure(most: int) -> dict[int, float]:
    """Return the seconds of 1, 2, 4, ... and ``most`` threads, timed in turn: a burst of other work hits them alike."""
    import torch

    counts = [1]
    while counts[-1] < most:
        counts.append(min(2 * counts[-1], most))
    x = torch.zeros(REGION)
    found, begun = dict.fromkeys(counts, 0.0), time.perf_counter()
    for turn in range(ROUNDS + 1):
        if turn > FEWEST and time.perf_counter() - begun > PATIENCE:
            break
        for count in counts:
            with using(count):
                start = time.perf_counter()
                for _ in range(OPERATIONS):
                    x.cos_()
                if turn:  # the first starts the threads
                    found[count] += time.perf_counter() - start
    return found


def advice(most: int) -> str:
    """Return what to set where fewer threads are quicker now, as a sentence; "" where they are not.

    Parameters
    ----------
    most : int
        Threads that torch uses.
    """
    found = seconds(most)
    best = _quickest(found)
    if best == most:
        return ""
    return (
        f"beside what else runs here now, {best} would be {found[most] / found[best]:.1f} times as fast "
        f"(OMP_NUM_THREADS={best})"
    )
