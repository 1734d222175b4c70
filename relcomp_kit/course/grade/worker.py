"""The process in which a student's exercise runs: a task on its input, an answer on its output, both JSON.

Started by `process`, in an empty folder, which is all that it may write to. It knows arguments, not what is expected,
so all that a student's code can do here is to return values. Loads no more than the exercise needs.
"""

import json
import os
import re
import resource
import sys
from collections.abc import Callable

from relcomp_kit.course.grade.cells import run_cell
from relcomp_kit.course.grade.values import pack, unpack

# What a student's code is refused: a fence, which `ctypes` can climb. The wall, where there is one, is bubblewrap's.
REFUSED = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill", "os.link")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.chown", "os.symlink", "os.mkdir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def main() -> None:
    """Read a task, answer it within limits, and end without whatever the student's code wants to do at the end."""
    task = json.load(sys.stdin)
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    limit(task["limits"])
    sys.addaudithook(fence(os.path.realpath(os.curdir)))
    answer = json.dumps(answered(task))
    channel.write(f"{task['token']}\n{answer}")
    channel.flush()
    os._exit(0)


def limit(most: dict[str, int]) -> None:
    """Set this process' limits; a system that does not know one goes without."""
    for name, value in most.items():
        try:
            kind = getattr(resource, f"RLIMIT_{name}")
            resource.setrlimit(kind, (value, value + (name == "CPU")))  # a second to die of the signal
        except (AttributeError, ValueError, OSError):
            continue


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
