"""A progress line with the time left, in a terminal and in a notebook, that leaves nothing behind."""

import sys
import time


class Progress:
    """Show ``what: 3 of 12, 40 s left`` while a ``with`` block runs; the line is gone at the end.

    Parameters
    ----------
    what : str
        What is being done.
    total : int
        How many times `advance` will be called.
    """

    def __init__(self, what: str, total: int):
        self.what, self.total, self.done = what, total, 0
        self._start = time.monotonic()
        self._notebook = "ipykernel" in sys.modules
        self._width = 0

    def __enter__(self) -> "Progress":
        self._show()
        return self

    def __exit__(self, *_) -> None:
        self._write("")

    def advance(self) -> None:
        """Count one more as done."""
        self.done += 1
        self._show()

    def _show(self) -> None:
        if self.total == 0:
            return
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
        self._width = len(line)
