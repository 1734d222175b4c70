"""One point of a sweep: what it is, and running it, the same on a worker of this machine and of a cluster."""

import hashlib
import json
import math
import textwrap
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from relcomp_kit.errors import UserError
from relcomp_kit.sweeps import experiments
from relcomp_kit.threads import using

ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Point:
    """A point of a sweep.

    Attributes
    ----------
    experiment, reference : str
        Name of the experiment, and "module:function" of what runs it.
    version : int
        Of the experiment.
    values : dict
        A value for every parameter.
    label : str
        What tells it from the other points of its plan, for people.
    """

    experiment: str
    reference: str
    version: int
    values: dict
    label: str = ""

    @property
    def name(self) -> str:
        """Return the experiment and a hash of all that decides what is measured."""
        identity = json.dumps([self.experiment, self.version, self.values], sort_keys=True)
        return f"{self.experiment}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class Failure:
    """What a job that failed leaves: one sentence, and the traceback (empty where its process died)."""

    sentence: str
    traceback: str = ""


def attempt(job: Callable[[], object], threads: int) -> object:
    """Run a job on a worker and return what it returns, or a `Failure`.

    In a process with several workers' threads the jobs take turns: torch's generators and number of threads belong to
    the whole process.

    Parameters
    ----------
    job : callable
        Takes no arguments.
    threads : int
        Threads that torch may use.

    Returns
    -------
    object
        What the job returned, or a `Failure` if it raised.
    """
    with ONE_AT_A_TIME, using(threads):
        try:
            return job()
        except Exception as error:  # whatever it is, the other jobs go on
            return Failure(sentence(error), traceback.format_exc())


def sentence(error: BaseException) -> str:
    """Return what went wrong, on one line of bearable length."""
    told = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return textwrap.shorten(told, 500, placeholder=" ...")


def measure(point: Point) -> str:
    """Run a point, and return its record as JSON: numbers that are not finite are null.

    Raises
    ------
    UserError
        If this worker has another version of the experiment than the plan was read with, or a measurement is nothing
        that JSON knows.
    """
    from relcomp_kit.models.device import describe_device
    from relcomp_kit.provenance import circumstances

    function, version = experiments.load(point.reference)
    if version != point.version:
        raise UserError(
            f"the worker has version {version} of the experiment {point.experiment} and the plan was read with "
            f"version {point.version}: install the same relcomp_kit everywhere"
        )
    start = time.perf_counter()
    measured = function(**point.values)
    seconds = time.perf_counter() - start
    entries = []
    for name, value in measured.items():
        value, unit = value if isinstance(value, tuple) else (value, "")
        entries.append({"name": name, "value": _plain(name, value), "unit": unit})
    record = {
        "experiment": point.experiment,
        "version": version,
        "point": point.values,
        **circumstances(),
        "device": describe_device(),
        "seconds": round(seconds, 2),
        "measurements": entries,
    }
    return json.dumps(record)


def _plain(name: str, value):
    """Return a value as JSON knows it."""
    if isinstance(value, dict):
        return {str(key): _plain(name, one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(name, one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise UserError(f"the measurement {name!r} holds a {type(value).__name__}: give numbers, text, lists and dicts")
