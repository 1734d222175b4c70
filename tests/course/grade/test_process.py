"""Exercises in a process of their own: what one does to it costs the others nothing, and it sees nothing of the kit."""

import os
import shutil
import sys
import time

import pytest

from relcomp_kit.course.grade import process

GOOD = "def double(x):\n    return 2 * x"
ODD = {
    "kills the process above": "import ctypes, os\n    ctypes.CDLL(None).kill(os.getppid(), 9)\n    return x",
    "kills all it can": "import ctypes\n    ctypes.CDLL(None).kill(-1, 9)\n    return x",
    "floods": "import ctypes, os\n    for n in range(3, 99):\n        try:\n            os.write(n, b'x' * 2**20)\n"
    "        except OSError:\n            pass",
    "stops the process above": "import ctypes, os\n    ctypes.CDLL(None).kill(os.getppid(), 19)\n    return x",
}
needs_cage = pytest.mark.skipif(not process.caged(), reason="no bubblewrap that works here")


def task(body, cells=()):
    code = body if body.startswith("def") else f"def double(x):\n    {body}"
    return {"cells": [*cells, code], "function": "double", "cases": [[1], [2]]}


def answers(*bodies, seconds=20):
    return list(process.run_apart([task(body) for body in bodies], seconds))


@needs_cage
@pytest.mark.slow
@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_exercises_beside_one_that_ends_the_process_are_answered(body):
    first, odd, last = answers(GOOD, body, GOOD, seconds=2)
    assert first == last == {"state": "answered", "results": [2, 4]}
    assert odd["state"] in ("error", "timed out") or odd["results"] == [1, 2]


@needs_cage
@pytest.mark.slow
def test_what_takes_too_much_of_the_machine_is_ended(monkeypatch):
    monkeypatch.setattr(process, "MOST_PROCESSES", 20)
    began = time.monotonic()
    bomb = "import ctypes, time\n    for _ in range(6):\n        ctypes.CDLL(None).fork()\n    time.sleep(99)"
    loop = "while True:\n        print('x' * 10**6)"
    found = answers(bomb, loop, GOOD, seconds=3)
    assert found[0] == {"state": "error", "detail": "it started more than 20 processes"}
    assert found[1] == process.TIMED_OUT and found[2]["state"] == "answered"
    assert time.monotonic() - began < 2 * process.START


@needs_cage
@pytest.mark.slow
def test_files_of_an_exercise_have_a_limit_and_a_place():
    fill = "for n in range(10**4):\n        open(f'{n}', 'wb').write(b'x' * 2**20)\n    return x"
    shared = "open('/dev/shm/x', 'wb').write(b'x')\n    return x"
    above = "import ctypes\n    return ctypes.CDLL(None).open(b'/tmp/x', 0o101, 0o600)"
    full, memory, outside = answers(fill, shared, above)
    assert full["state"] == "error" or not process._sized()
    assert memory["state"] == "error"
    assert outside == {"state": "answered", "results": [-1, -1]}


@needs_cage
@pytest.mark.slow
def test_neither_solutions_nor_checks_are_there():
    look = (
        "import os, sys\n    found = []\n    for place in [f'{path}/relcomp_kit' for path in sys.path]:\n"
        "        for folder, _, files in os.walk(place):\n"
        "            found += [file for file in files if file.endswith('.py')]\n"
        "    return sorted(set(found))"
    )
    (found,) = answers(look)
    assert found["results"][0] == ["__init__.py", "cells.py", "values.py", "worker.py"]
    (found,) = answers(f"import os\n    return os.path.exists({str(process.PACKAGE / 'course' / 'check.py')!r})")
    assert found["results"] == [False, False]


@needs_cage
@pytest.mark.slow
@pytest.mark.parametrize("linked", [False, True], ids=["as it is", "by a link"])
def test_a_clone_among_what_exercises_see_is_hidden_but_not_the_libraries_in_it(monkeypatch, tmp_path, linked):
    """As in a container that works in /usr/src, and for an environment that lies in its clone."""
    usr, clone = tmp_path / "usr", tmp_path / "usr" / "src" / "clone"
    shutil.copytree(process.PACKAGE / "course" / "grade", clone / "relcomp_kit" / "course" / "grade")
    for name in ("data/claims.toml", "notebooks/source/solved.py", ".venv/there.py"):
        (clone / name).parent.mkdir(parents=True)
        (clone / name).touch()
    if linked:
        usr = tmp_path / "link"
        usr.symlink_to("usr")
    monkeypatch.setattr(process, "SYSTEM", (*process.SYSTEM, str(usr), sys.prefix))
    monkeypatch.setattr(process, "PACKAGE", clone / "relcomp_kit")
    monkeypatch.setattr(process.sys, "prefix", str(usr / "src" / "clone" / ".venv"))
    look = f"import os\n    return sorted(one for _, _, some in os.walk({str(tmp_path)!r}) for one in some)"
    (found,) = answers(look)
    assert found["results"][0] == ["there.py"], found


@pytest.mark.slow
def test_without_a_cage_honest_exercises_run_and_the_fence_holds(monkeypatch, tmp_path):
    monkeypatch.setattr(process, "caged", lambda: False)
    mine = tmp_path / "mine"
    good, killer, writer = answers(GOOD, "import os\n    os.kill(os.getppid(), 9)", f"open({str(mine)!r}, 'w')")
    assert good == {"state": "answered", "results": [2, 4]}
    assert killer["detail"] == "PermissionError: an exercise may not use os.kill"
    assert writer["detail"] == "PermissionError: an exercise may not use open"
    assert not mine.exists()


@pytest.mark.slow
def test_nothing_of_a_process_is_left_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(process.tempfile, "tempdir", str(tmp_path))
    answers("import os\n    os.mkdir('a')\n    os.chmod('a', 0)\n    return x")
    assert os.listdir(tmp_path) == []
