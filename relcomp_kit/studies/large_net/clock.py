"""A run that has to end in time: what each stage may take, and what says that it took too long."""

import time
from dataclasses import dataclass, field

SHARES = {  # of all minutes, kept free for the stages behind the training, which takes what is left
    "relevance": 0.05,
    "quantize": 0.18,
    "experts": 0.14,
    "files": 0.1,
}
SPARE = 0.05
CAREFUL = 0.8  # of a stage's time that is planned: the rest is for what measuring a few steps does not show


class OutOfTime(Exception):
    """A stage has used up its time."""


@dataclass
class Clock:
    """The time of a run, shared out among its stages.

    Parameters
    ----------
    seconds : float
        All of it; infinite for a rehearsal.
    """

    seconds: float
    started: float = field(default_factory=time.monotonic)

    def taken(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.started

    def left(self, stage: str) -> float:
        """Return the seconds that a stage may still take: all but what is kept for those behind it.

        Parameters
        ----------
        stage : str
            "train", or one of `SHARES`.
        """
        names = list(SHARES)
        behind = names[names.index(stage) + 1 :] if stage in SHARES else names
        kept = SPARE + sum(SHARES[name] for name in behind)
        return (1 - kept) * self.seconds - self.taken()

    def steps(self, stage: str, wanted: int, seconds: float, others: float = 0.0, share: float = 1.0) -> int:
        """Return how many steps a stage has time for, one at least.

        Parameters
        ----------
        stage : str
            As in `left`.
        wanted : int
            The most.
        seconds : float
            What a step takes.
        others : float
            Seconds of the stage beside its steps.
        share : float
            Of the time that the stage has left.
        """
        room = CAREFUL * (share * self.left(stage) - others)
        return wanted if room >= wanted * seconds else max(1, int(room / max(seconds, 1e-6)))

    def check(self, stage: str) -> None:
        """Raise `OutOfTime` if a stage has no time left."""
        if self.left(stage) <= 0:
            raise OutOfTime(stage)
