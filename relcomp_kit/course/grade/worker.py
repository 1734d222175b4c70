"""The process in which a student's exercises run: a task on its input, answers on its output, both JSON.

Started by `process` with copies of this module, `cells` and `values`, and nothing else of the kit. It loads what the
exercises need once, then makes a copy of itself for each, in an empty folder, and passes on what the copy has written.
It knows arguments, not what is expected, so all that a student's code can do here is to return values.
"""

import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from relcomp_kit.course.grade.cells import run_cell
from relcomp_kit.course.grade.values import pack, unpack

# What a student's code is refused: a fence, which `ctypes` can climb. The wall, where there is one, is bubblewrap's.
REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "os.link")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.symlink", "os.mkdir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main() -> None:
    """Read a task, write a line when all is loaded, and one for each exercise as soon as it is through."""
    task = json.load(sys.stdin)
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    for name in task["load"]:
        import_module(name)
    print("ready", file=channel, flush=True)
    for exercise in task["exercises"]:
        channel.write(json.dumps(run_copy(exercise, task["limits"], channel.close)) + "\n")
        channel.flush()


def run_copy(exercise: dict, limits: dict[str, int], leave: Callable[[], None]) -> dict:
    """Run an exercise in a copy of this process, and return its exit status, whether in time, and what it has written.

    Parameters
    ----------
    exercise : dict
        ``cells``, ``function`` and ``cases``.
    limits : dict of str to int
        See `limit`.
    leave : callable
        Closes in the copy what only this process may write to.
    """
    home = tempfile.mkdtemp(dir=os.curdir)
    with tempfile.TemporaryFile(dir=home) as answer:
        copy = os.fork()
        if not copy:
            try:
                leave()
                os.setsid()
                os.chdir(home)
                limit(limits)
                sys.meta_path.insert(0, Kit)
                sys.addaudithook(fence(os.path.realpath(os.curdir)))
                answer.write(json.dumps(answered(exercise)).encode())
                answer.flush()
            finally:
                os._exit(0)  # without whatever the student's code wants to do at the end
        _, status, used = os.wait4(copy, 0)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(copy, signal.SIGKILL)  # what it has left running
        shutil.rmtree(home, ignore_errors=True)  # or a full disk would cost the others their marks, too
        answer.seek(0)
        text = answer.read(limits["FSIZE"]).decode("utf-8", "replace")
        return {
            "status": os.waitstatus_to_exitcode(status),
            "in time": used.ru_utime + used.ru_stime < limits["CPU"],
            "answer": text,
        }


def limit(most: dict[str, int]) -> None:
    """Set this process' limits; a system that does not know one goes without."""
    for name, value in most.items():
        try:
            kind = getattr(resource, f"RLIMIT_{name}")
            resource.setrlimit(kind, (value, value + (name == "CPU")))  # a second to die of the signal
        except (AttributeError, ValueError, OSError):
            continue


class Kit(ModuleType):
    """Anything of the kit, which can be imported, so that a line too many does no harm, but not used.

    Parameters
    ----------
    name, doc : str
        As for a module.
    """

    def __getattr__(self, name: str) -> "Kit":
        """Return a part."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Kit(f"{self.__name__}.{name}")

    def __call__(self, *_: object, **__: object) -> None:
        """Refuse a call, but not one of the checks, which say nothing here."""
        if not self.__name__.startswith("relcomp_kit.course.check"):
            raise PermissionError(f"an exercise may not use {self.__name__}")

    @classmethod
    def find_spec(cls, name: str, *_: object) -> ModuleSpec | None:
        """Find every module of the kit (as importers do)."""
        return ModuleSpec(name, cls, is_package=True) if name.startswith("relcomp_kit.") else None

    @classmethod
    def create_module(cls, spec: ModuleSpec) -> ModuleType:
        """Make the module (as importers do)."""
        return cls(spec.name)

    @classmethod
    def exec_module(cls, module: ModuleType) -> None:
        """Run nothing (as importers do)."""


def fence(home: str) -> Callable[[str, tuple], None]:
    """Return an audit hook that refuses network, other programs, and files to write to outside of a folder."""

    def outside(path: object) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        place = os.path.realpath(os.fsdecode(path))
        return place not in (home, os.devnull) and not place.startswith(home + os.sep)

    def watch(event: str, arguments: tuple) -> None:
        writes = event in CHANGES or (event == "open" and (arguments[2] or 0) & WRITING)
        paths = arguments[:2] if event == "os.rename" else arguments[:1]
        if event.startswith(REFUSED) or (writes and any(map(outside, paths))):
            raise PermissionError(f"an exercise may not use {event}")

    return watch


def answered(task: dict) -> dict:
    """Run an exercise on the arguments of all cases, and return its state, and results if it has any."""
    try:
        function = define(task["cells"], task["function"])
        results = [pack(function(*unpack(arguments))) for arguments in task["cases"]]
    except NotImplementedError:
        return {"state": "not attempted"}
    except BaseException as error:  # SystemExit too
        return {"state": "error", "detail": f"{type(error).__name__}: {error}"[:500]}
    return {"state": "answered", "results": results}


def define(cells: list[str], name: str) -> Callable:
    """Return a student's function: the last cell that defines it is run.

    Parameters
    ----------
    cells : list of str
        The code of the notebook.
    name : str
        Of the function.

    Raises
    ------
    NotImplementedError
        If no cell defines it.
    """
    beginning = re.compile(rf"^(def|class)\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", re.MULTILINE)
    places = [index for index, code in enumerate(cells) if beginning.search(code)]
    if not places:
        raise NotImplementedError
    return run_cell(cells, places[-1])[name]


if __name__ == "__main__":
    main()
