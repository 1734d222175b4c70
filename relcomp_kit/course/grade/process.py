"""Start and end the process of one exercise: with limits everywhere, in a cage where bubblewrap can build one."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import relcomp_kit
from relcomp_kit.errors import UserError

SECONDS = 20  # of processor time for an exercise; importing torch takes two or three
PATIENCE = 6  # seconds by the clock for each of the processor, which others use too
LIMITS = {
    "AS": 6 * 2**30,  # bytes of address space; torch with all of CUDA takes 3
    "DATA": 2 * 2**30,  # bytes of own memory; torch takes 0.7
    "FSIZE": 2**20,  # bytes of a file, the answer among them
    "NPROC": 64,  # processes and threads of the user, root excepted
    "NOFILE": 256,
    "CORE": 0,
}
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/alternatives", "/etc/ssl/openssl.cnf")
TIMED_OUT = {"state": "timed out", "detail": "it took longer than it may"}
PACKAGE = Path(relcomp_kit.__file__).resolve().parent


def run_apart(cells: list[str], function: str, cases: list, seconds: int = SECONDS) -> dict:
    """Run a student's function in a process of its own.

    Parameters
    ----------
    cells : list of str
        The code of a notebook.
    function : str
        Name of the exercise.
    cases : list
        Arguments of each call, packed by `values.pack`.
    seconds : int
        Of processor time, after which the process is ended; by the clock it is six times as many.

    Returns
    -------
    dict
        ``state``: "answered" with ``results``, still packed and not to be trusted; "not attempted"; "error" or
        "timed out" with ``detail``.
    """
    token = secrets.token_hex(16)
    task = {"token": token, "cells": cells, "function": function, "cases": cases}
    task["limits"] = LIMITS | {"CPU": seconds}
    with tempfile.TemporaryDirectory(prefix="relcomp-") as folder, tempfile.TemporaryFile() as output:
        status = _run(json.dumps(task).encode(), output, folder, PATIENCE * seconds)
        output.seek(0)
        text = output.read(LIMITS["FSIZE"] + 1)
    if status in _ended_by(signal.SIGXCPU) + _ended_by(signal.SIGKILL):
        return TIMED_OUT
    return _answer(text, token) or {"state": "error", "detail": f"it ended without an answer, with status {status}"}


def _answer(text: bytes, token: str) -> dict | None:
    """Return what the process has answered, None if it is no answer."""
    first, _, rest = text.partition(b"\n")
    if first != token.encode():
        return None
    try:
        answer = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    return (
        answer if isinstance(answer, dict) and answer.get("state") in ("answered", "not attempted", "error") else None
    )


def _run(task: bytes, output, folder: str, patience: float) -> int:
    """Run the worker and return its exit status, that of a kill if it took too long; nothing of it is left."""
    command = [*_cage(folder), sys.executable, "-B", "-m", "relcomp_kit.course.grade.worker"]
    with tempfile.TemporaryFile() as given:
        given.write(task)
        given.seek(0)
        process = subprocess.Popen(
            command,
            stdin=given,
            stdout=output,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(folder),
            start_new_session=True,
        )
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        return -signal.SIGKILL
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # children that it has left, too
        process.wait()


def _environment(folder: str) -> dict[str, str]:
    """Return the variables of the process: none of the user's but where programs and libraries are."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # each reserves memory
    return kept | threads | {"HOME": folder, "TMPDIR": folder, "MPLBACKEND": "Agg", "PYTHONPATH": str(PACKAGE.parent)}


def _ended_by(number: int) -> tuple[int, int]:
    """Return the exit status of a process that a signal has ended, by itself and as bubblewrap passes it on."""
    return -number, 128 + number


def _cage(folder: str) -> list[str]:
    return _walls(folder) if caged() else []


def _walls(folder: str) -> list[str]:
    """Return the command that runs another one without network and without any files but libraries and a folder."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    libraries = [sys.prefix, sys.base_prefix, *(path for path in sys.path if path.endswith("-packages"))]
    for place in dict.fromkeys([*SYSTEM, *libraries, str(PACKAGE)]):
        command += ["--ro-bind-try", place, place]
    return [*command, "--bind", folder, folder, "--chdir", folder]


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
