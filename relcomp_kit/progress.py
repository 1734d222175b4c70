"""Progress with the time left: a line that is gone at the end, in a terminal or notebook; lines in a log, if asked."""

import math
import sys
import time

# A kernel's messages wait in a queue of 1,000 while a program that runs a notebook waits for the cell; more are lost.
UPDATES = 50  # of a line in a notebook, but for
SECONDS = 10  # after which it is shown anew in any case


class Progress:
    """Show ``what: 3 of 12, 40 s left`` while a ``with`` block runs; the line is gone at the end.

    Parameters
    ----------
    what : str
        What is being done.
    total : int
        How many times `advance` will be called.
    log_every : float, optional
        Seconds between two lines where there is neither terminal nor notebook, as in a batch job; the first and the
        last always come. By default there are none.
    """

    def __init__(self, what: str, total: int, log_every: float | None = None):
        self.what, self.total, self.done = what, total, 0
        self.log_every, self._logged = log_every, -math.inf
        self._start = time.monotonic()
        self._notebook = "ipykernel" in sys.modules
        self._shown, self._at = 0, -math.inf  # how many were done when the line was shown last, and when that was
        self._width = 0

    def __enter__(self) -> "Progress":
        self._show()
        return self

    def __exit__(self, *_) -> None:
        self._write("")

    def advance(self) -> None:
        """Count one more as done."""
        self.done += 1
        late = time.monotonic() - self._at >= SECONDS
        if not self._notebook or late or self.done - self._shown >= self.total / UPDATES:
            self._show()

    def say(self, text: str) -> None:
        """Print a line on stderr that stays, above the progress."""
        self._write("")
        print(text, file=sys.stderr, flush=True)
        self._show()

    def _show(self) -> None:
        if self.total == 0:
            return
        self._shown, self._at = self.done, time.monotonic()
        line = f"{self.what}: {self.done} of {self.total}"
        if 0 < self.done < self.total:
            left = (time.monotonic() - self._start) / self.done * (self.total - self.done)
            line += f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min left"
        self._write(line)

    def _write(self, line: str) -> None:
        if self._notebook:
            from IPython.display import clear_output

            clear_output(wait=not line)
            if line:
                print(line, flush=True)
        elif sys.stderr.isatty():
            sys.stderr.write("\r" + line.ljust(self._width) + ("" if line else "\r"))
            sys.stderr.flush()
        elif self.log_every is not None and line and self._due():
            print(line, file=sys.stderr, flush=True)
        self._width = len(line)

    def _due(self) -> bool:
        now = time.monotonic()
        due = self.done == self.total or now - self._logged >= self.log_every
        self._logged = now if due else self._logged
        return due
