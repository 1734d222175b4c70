"""Work beside the page: one thread that does one thing after another, says how far it is, and stops between two steps.

What takes long goes through `steps`, or reads its scenes through `Followed`. Where nobody follows, both do nothing.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

from torch import Tensor
from torch.utils.data import Dataset

from relcomp_kit.datasets.scene_set import Scenes

EVERY = 0.2  # seconds between two words on how far the work is
T = TypeVar("T")
_follower: ContextVar[Callable[[str], None] | None] = ContextVar("follower", default=None)


class Stopped(Exception):
    """The work has ended before its end, because somebody asked for it."""


def step(what: str) -> None:
    """Say what comes next to whoever follows this work; it ends here if they asked for its end.

    Parameters
    ----------
    what : str
        Such as "test scene 3 of 40".

    Raises
    ------
    Stopped
        If they did.
    """
    follow = _follower.get()
    if follow is not None:
        follow(what)


def steps(items: Sequence[T], what: str) -> Iterator[T]:
    """Return items one after the other, each of them a `step`.

    Parameters
    ----------
    items : sequence
        What is worked on.
    what : str
        One of them, such as "test scene".
    """
    for number, item in enumerate(items, 1):
        step(f"{what} {number} of {len(items)}")
        yield item


class Followed(Dataset):
    """A split of scenes, each of which is a `step` when it is read.

    Parameters
    ----------
    scenes : Dataset
        A split as in `relcomp_kit.datasets.scene_set.SceneSet`.
    what : str
        One of them, such as "test scene".
    """

    def __init__(self, scenes: Scenes, what: str):
        self.scenes, self.what = scenes, what
        self.size = getattr(scenes, "size", None)

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        step(f"{self.what} {index + 1} of {len(self)}")
        return self.scenes[index]


class Worker:
    """A thread that works while the page answers. It ends with the process.

    Parameters
    ----------
    later : callable
        Takes a function from any thread, and calls it in the page's own: an event loop's ``call_soon_threadsafe``.
    """

    def __init__(self, later: Callable[[Callable[[], None]], Any]):
        self._later, self._stop = later, threading.Event()
        self._jobs: SimpleQueue = SimpleQueue()
        threading.Thread(target=self._work, name="relcomp-work", daemon=True).start()

    def start(
        self,
        job: Callable[[], T],
        told: Callable[[str], None],
        ended: Callable[[T | None, Exception | None], None],
    ) -> None:
        """Start a job; the one before has to have ended.

        Parameters
        ----------
        job : callable
            What is done, in the worker's thread.
        told : callable
            Called in the page's thread with every `step`, a few times a second at most.
        ended : callable
            Called there with what the job returned, or with its error.
        """
        self._stop.clear()
        self._jobs.put((job, told, ended))

    def stop(self) -> None:
        """End the job at its next step, with `Stopped`."""
        self._stop.set()

    def _work(self) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and the page with it
            while True:
                self._later(partial(*self._done(*self._jobs.get())))

    def _done(self, job: Callable[[], Any], told: Callable, ended: Callable) -> tuple:
        """Return whom to call when a job has ended, and with what."""
        last = time.monotonic()

        def follow(what: str) -> None:
            nonlocal last
            if self._stop.is_set():
                raise Stopped
            if time.monotonic() - last >= EVERY:
                last = time.monotonic()
                self._later(partial(told, what))

        token = _follower.set(follow)
        try:
            return ended, job(), None
        except Exception as error:
            return ended, None, error
        finally:
            _follower.reset(token)
