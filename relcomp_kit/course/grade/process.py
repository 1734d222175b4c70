"""The process of a student's exercises: limited everywhere, and in a cage where bubblewrap can build one."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psutil

import relcomp_kit
from relcomp_kit.errors import UserError
from relcomp_kit.files import is_clone

SECONDS = 20  # of processor time for an exercise
PATIENCE = 6  # seconds by the clock for each of the processor, which others use too
START = 120  # seconds by the clock until a process has loaded what it needs; torch takes two or three on a free core
LIMITS = {
    "AS": 6 * 2**30,  # bytes of address space; torch with all of CUDA takes 3
    "DATA": 2 * 2**30,  # bytes of own memory; torch takes 0.7
    "FSIZE": 2**20,  # bytes of a file, the answer among them
    "NPROC": 64,  # processes and threads of the user, root excepted
    "NOFILE": 256,
    "CORE": 0,
}
MOST_PROCESSES = 64  # of an exercise, whoever the user is
MOST_MEMORY = 3 * 2**30  # bytes of all of them
DISK = 2**26  # bytes of all files of a student, in a cage
LINE = 3 * LIMITS["FSIZE"]  # bytes of an answer, quoted
TICK = 0.2  # seconds between two looks at what an exercise takes
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/openssl.cnf")
PACKAGE = Path(relcomp_kit.__file__).resolve().parent
WORKER = "relcomp_kit.course.grade.worker"
COPIED = ("worker", "cells", "values")  # all that the process sees of the kit: solutions and checks stay outside
TIMED_OUT = {"state": "timed out", "detail": "it took longer than it may"}


def run_apart(exercises: list[dict], seconds: int = SECONDS) -> Iterator[dict]:
    """Run a student's exercises in a process of its own, one after another; one that ends it does not end the others.

    Parameters
    ----------
    exercises : list of dict
        Of each ``cells``, the code of its notebook, ``function``, its name, and ``cases``, the arguments of each call
        as `values.pack` has packed them.
    seconds : int
        Of processor time for each, after which it is ended; by the clock it is six times as many.

    Yields
    ------
    dict
        Of each exercise ``state``: "answered" with ``results``, still packed and not to be trusted; "not attempted";
        "error" or "timed out" with ``detail``.

    Raises
    ------
    UserError
        If a process does not start.
    """
    left = list(exercises)
    while left:
        for answer in _one_process(left, seconds):
            left.pop(0)
            yield answer


def _one_process(exercises: list[dict], seconds: int) -> Iterator[dict]:
    """Run exercises in one process until all are through, or one has ended the process."""
    needs_torch = any("torch" in code for exercise in exercises for code in exercise["cells"])
    task = {"exercises": exercises, "limits": LIMITS | {"CPU": seconds}, "load": ["torch"] if needs_torch else []}
    with (
        tempfile.TemporaryDirectory(prefix="relcomp-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as given,
    ):
        given.write(json.dumps(task).encode())
        given.seek(0)
        process = subprocess.Popen(
            [*_cage(folder), sys.executable, "-B", "-m", WORKER],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_prepare(folder),
            env=_environment(folder),
            start_new_session=True,
        )
        buffer = bytearray()
        try:
            for index in range(-1, len(exercises)):  # the first line says that it is ready
                problem = _fill(buffer, process, START if index < 0 else PATIENCE * seconds)
                if problem and index < 0:  # no line of a student has run
                    raise UserError("the process for exercises does not start: see `relcomp check`, then grade again")
                if problem:
                    yield problem
                    return
                line, _, rest = bytes(buffer).partition(b"\n")
                buffer[:] = rest
                if index >= 0:
                    yield _answer(line)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # children that it has left, too
            process.stdout.close()
            process.wait()


def _fill(buffer: bytearray, process: subprocess.Popen, patience: float) -> dict | None:
    """Read on until there is a line; if none comes, or the process takes more than it may, return what to say of it."""
    until = time.monotonic() + patience
    while b"\n" not in buffer:
        if select.select([process.stdout], [], [], TICK)[0]:
            more = os.read(process.stdout.fileno(), 2**16)
            buffer += more
            if not more or len(buffer) > LINE:
                return {"state": "error", "detail": "it ended its process, or broke it, and gave no answer"}
        elif time.monotonic() > until:
            return TIMED_OUT
        else:
            problem = _excess(process.pid)
            if problem:
                return {"state": "error", "detail": problem}
    return None


def _excess(number: int) -> str | None:
    """Return what a process and those under it take too much of."""
    with suppress(psutil.Error):
        family = psutil.Process(number).children(recursive=True)
        if len(family) > MOST_PROCESSES:
            return f"it started more than {MOST_PROCESSES} processes"
        memory = 0
        for one in family:
            with suppress(psutil.Error):
                used = one.memory_info()
                memory += used.rss - getattr(used, "shared", 0)
        if memory > MOST_MEMORY:
            return f"it took more than {MOST_MEMORY // 2**30} GB of memory"
    return None


def _answer(line: bytes) -> dict:
    """Return what an exercise has answered, which anyone may have written."""
    try:
        outer = json.loads(line)
        status = outer["status"]
        if status == -signal.SIGXCPU or (status == -signal.SIGKILL and not outer["in time"]):
            return TIMED_OUT
        answer = json.loads(outer["answer"]) if outer["answer"] else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return {"state": "error", "detail": "its answer cannot be read"}
    if isinstance(answer, dict) and answer.get("state") in ("answered", "not attempted", "error"):
        return answer
    return {
        "state": "error",
        "detail": f"it ended without an answer, with status {status if isinstance(status, int) else 'unknown'}",
    }


def _prepare(folder: str) -> str:
    """Put into a folder copies of the modules that the process needs; return the folder that it works in."""
    home = Path(folder, "home")
    home.mkdir()
    place = Path(folder, "kit", *WORKER.split(".")[:-1])
    place.mkdir(parents=True)
    for package in (place, place.parent, place.parent.parent):
        (package / "__init__.py").touch()
    for name in COPIED:
        shutil.copy(PACKAGE / "course" / "grade" / f"{name}.py", place)
    return str(home)


def _environment(folder: str) -> dict[str, str]:
    """Return the variables of the process: none of the user's but where programs and libraries are."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # each reserves memory
    home = f"{folder}/home"
    return kept | threads | {"HOME": home, "TMPDIR": home, "MPLBACKEND": "Agg", "PYTHONPATH": f"{folder}/kit"}


def _cage(folder: str) -> list[str]:
    return _walls(folder) if caged() else []


def _walls(folder: str) -> list[str]:
    """Return the command that runs another one without network and without any files but libraries and a folder."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    clone = PACKAGE.parent
    kit = clone if is_clone(clone) else PACKAGE
    libraries = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("-packages"))]
    places = dict.fromkeys([*SYSTEM, *libraries])
    above = {place: os.path.realpath(place) for place in places if kit.is_relative_to(os.path.realpath(place))}
    hidden = dict.fromkeys(os.path.join(place, kit.relative_to(real)) for place, real in above.items())
    for place in above:  # the kit lies among libraries, or in /usr: it is hidden there,
        command += ["--ro-bind-try", place, place]
    for place in hidden:
        command += ["--tmpfs", place]
    for place in places:  # but not the libraries that lie in its clone
        if place not in above:
            command += ["--ro-bind-try", place, place]
    for place in hidden:
        command += ["--remount-ro", place]
    command += ["--ro-bind-try", f"{folder}/kit", f"{folder}/kit", *_sized(), "--tmpfs", f"{folder}/home"]
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", f"{folder}/home"]


@cache
def _sized() -> list[str]:
    """Return the option that limits the files of a cage, where bubblewrap knows it."""
    known = subprocess.run(["bwrap", "--help"], capture_output=True, check=False).stdout
    return ["--size", str(DISK)] if b"--size" in known else []


@cache
def caged() -> bool:
    """Return whether exercises run in a cage: bubblewrap is installed, and this system lets it work."""
    if shutil.which("bwrap") is None:
        return False
    with tempfile.TemporaryDirectory(prefix="relcomp-") as folder:
        command = [*_walls(folder), sys.executable, "-c", "import json"]
        return subprocess.run(command, capture_output=True, check=False, env=_environment(folder)).returncode == 0


def check_limits() -> None:
    """Raise a `UserError` on a system that cannot limit a process."""
    if find_spec("resource") is None:
        raise UserError("this system cannot limit a process, so no student's code is run: grade on Linux or macOS")
