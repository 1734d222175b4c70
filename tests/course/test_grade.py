"""Grading what students hand in: right answers are right, and nothing that their code does earns a mark or hangs."""

import csv
import io
import json
import os
import sys
import time
import zipfile

import psutil
import pytest
from rich.console import Console

from relcomp_kit.cli import teaching
from relcomp_kit.course import check, exercises, notebooks
from relcomp_kit.course.grade import marks, process, tables, values
from relcomp_kit.course.grade import packs as packs_module
from relcomp_kit.errors import UserError

LESSON = """# %% [markdown]
# # Try grading

# %%
from math import sqrt

from relcomp_kit.course import check

FACTOR = 2


def root(x):
    return sqrt(x)


# %% tags=["exercise"]
def double_root(x):
    # solution
    return FACTOR * root(x)


# %%
class fresh:
    def double_root(rng):
        return (int(rng.integers(1, 1000)),)


check.exercise(double_root, {(1,): 2.0, (4,): 4.0, (9,): 6.0}, fresh.double_root)
"""
HONEST = {
    "lesson's own way": ("def double_root(x):\n    return FACTOR * root(x)", "right"),
    "with numpy": ("import numpy\n\n\ndef double_root(x):\n    return numpy.float64(2 * x**0.5)", "right"),
    "with a helper": ("def half(x):\n    return x**0.5\n\n\ndouble_root = lambda x: 2 * half(x)", "right"),
    "no idea": ("def double_root(x):\n    return x", "wrong"),
    "nothing returned": ("def double_root(x):\n    return None", "wrong"),
    "table of the cases shown": ("def double_root(x):\n    return {1: 2.0, 4: 4.0, 9: 6.0}.get(x)", "wrong"),
    "left as it was": ("def double_root(x):\n    # your code here\n    raise NotImplementedError", "not attempted"),
    "cell deleted": ("", "not attempted"),
    "name not known": ("def double_root(x):\n    return nobody(x)", "error"),
    "not Python": ("def double_root(x)\n    return x", "error"),
    "imports of the kit": (
        "from relcomp_kit import figures\nfrom relcomp_kit.course import check\n"
        "from relcomp_kit.course.check import same\n\n\n"
        "def double_root(x):\n    return 2 * x**0.5\ncheck.exercise(double_root, {(1,): 2.0})",
        "right",
    ),
    "not a value": ("def double_root(x):\n    return (one for one in (x,))", "error"),
}
ATTACKS = {
    "memory": ("return len([0] * 10**10)", "error"),
    "shared memory": ("import mmap\n    return len(mmap.mmap(-1, 10**11))", "error"),
    "exit": ("raise SystemExit(0)", "error"),
    "hard exit": ("import os\n    os._exit(0)", "error"),
    "crash": ("import ctypes\n    return ctypes.string_at(0)", "error"),
    "recursion": ("return double_root(x)", "error"),
    "tick": ("print('✓ double_root is right in all 3 cases')\n    return 0", "wrong"),
    "check replaced": (
        "import __main__\n    from relcomp_kit.course.grade import values\n"
        "    __main__.pack = values.pack = lambda value: {'type': 'any'}\n"
        "    values.unpack = lambda plain: 2.0",
        "wrong",
    ),
    "equal to everything": ("return type('Any', (), {'__eq__': lambda self, other: True})()", "error"),
    "equal as a number": ("return type('Any', (float,), {'__eq__': lambda self, other: True})(x)", "wrong"),
    "huge result": ("return 'x' * 10**7", "error"),
    "deep answer": ("import json\n    json._default_encoder.encode = lambda answer: '[' * 10**5", "error"),
    "odd answer": ('import json\n    json._default_encoder.encode = lambda answer: \'{"state": "right"}\'', "error"),
    "odd results": (
        'import json\n    odd = \'{"state": "answered", "results": [{"tuple": 1}, {"array": 1, "type": 2}]}\'\n'
        "    json._default_encoder.encode = lambda answer: odd",
        "wrong",
    ),
    "answer of its own": (
        "import os\n    for file in range(3, 256):\n        try:\n"
        '            os.write(file, b\'\\n{"state": "right"}\')\n        except OSError:\n            pass\n'
        "    os._exit(0)",
        "error",
    ),
    "the kit itself": (
        "from relcomp_kit.course import exercises\n    return exercises.solutions.double_root(x)",
        "error",
    ),
    "the kit's lessons": (
        "from relcomp_kit.files import checkout\n    return len((checkout() / 'notebooks').read_text())",
        "error",
    ),
    "what compares": (
        "import builtins, sys, torch, numpy\n    torch.equal = torch.allclose = numpy.all = lambda *_, **__: True\n"
        "    for module in list(sys.modules.values()):\n"
        "        for name in ('difference', 'exercise', 'all', 'abs', 'isinstance'):\n"
        "            if hasattr(module, name):\n                setattr(module, name, lambda *_: None)\n"
        "    return 0.0",
        "error",
    ),
    "a tensor that equals everything": (
        "import torch\n    class Any(torch.Tensor):\n"
        "        def __torch_function__(self, *_, **__):\n            return True\n"
        "        def __eq__(self, other):\n            return True\n"
        "    return torch.zeros(()).as_subclass(Any)",
        ("wrong", "error"),
    ),
    "frames": (
        "import gc, sys\n    frame, seen = sys._getframe(), []\n    while frame:\n"
        "        seen += [*frame.f_locals.values(), *frame.f_globals.values()]\n        frame = frame.f_back\n"
        "    for one in [*seen, *gc.get_objects()]:\n"
        "        if isinstance(one, dict) and 'expected' in one:\n            return one['expected']\n"
        "    return -1",
        "wrong",
    ),
    "forged line": (
        "import json, os\n    line = json.dumps({'status': 0, 'answer': json.dumps({'state': 'right'})}) + '\\n'\n"
        "    for place in (f'/proc/{os.getppid()}/fd/{n}' for n in range(9)):\n        try:\n"
        "            os.write(os.open(place, os.O_WRONLY), line.encode())\n        except OSError:\n            pass\n"
        "    return x",
        ("wrong", "error"),
    ),
    "exit at the end": ("import atexit, os\n    atexit.register(os._exit, 0)\n    return x + 1", "wrong"),
    "text that takes a lot of memory": (
        "import json\n    odd = json.dumps({'array': ['a'] * 9, 'shape': [9], 'type': 'str99999999999'})\n"
        '    text = \'{"state": "answered", "results": [%s, 1, 1]}\' % odd\n'
        "    json._default_encoder.encode = lambda answer: text",
        "wrong",
    ),
    "threads": (
        "import threading\n    threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()\n    return x + 1",
        ("wrong", "error", "timed out"),  # one a case, until there are too many, or memory or time is used up
    ),
    "the process above": (
        "import ctypes, os\n    ctypes.CDLL(None).kill(os.getppid(), 9)\n    import time\n    time.sleep(9)",
        "error",
    ),
    "its group": ("import ctypes\n    ctypes.CDLL(None).killpg(0, 9)\n    return 0", "error"),
    "program": ("import subprocess\n    return subprocess.run(['true']).returncode", "error"),
    "network": ("import socket\n    return socket.create_connection(('127.0.0.1', 80), 1)", "error"),
    "other files": ("import tempfile\n    open(tempfile.gettempdir() + '/../mine', 'w').close()", "error"),
    "grader": ("import os\n    os.kill(os.getppid(), 9)", "error"),
}
ENDLESS = {
    "loop": ("while True:\n        pass", "timed out"),
    "loop that ignores signals": (
        "import signal\n    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n    while True:\n        pass",
        "timed out",
    ),
    "huge output": ("while True:\n        print('x' * 10**6)", "timed out"),
    "sleep": ("import time\n    time.sleep(1000)", "timed out"),
}


@pytest.fixture
def class_room(make_house, tmp_path):
    """A folder of packs of the lesson above, and a function that puts a student's pack there."""
    make_house(LESSON)
    packs = tmp_path / "packs"
    packs.mkdir()

    def hand_in(student, code, name="07_try.ipynb"):
        notebook = exercises.student_version(notebooks.read_source(notebooks.find_lessons(["07"])[0]))
        next(cell for cell in notebook.cells if "exercise" in cell.metadata.get("tags", [])).source = code
        return notebooks.write_notebook(notebook, packs / student / name)

    return packs, hand_in


def states(packs, seconds=process.SECONDS):
    return {mark.student: mark.state for mark in marks.grade(marks.asked(packs), seconds)}


@pytest.mark.slow
def test_honest_students(class_room):
    packs, hand_in = class_room
    for student, (code, _) in HONEST.items():
        hand_in(student, code)
    (packs / "nobody").mkdir()
    expected = {student: state for student, (_, state) in HONEST.items()}
    assert states(packs) == dict(sorted((expected | {"nobody": "not handed in"}).items()))


@pytest.mark.slow
@pytest.mark.parametrize(("attacks", "seconds"), [(ATTACKS, process.SECONDS), (ENDLESS, 2)], ids=["attacks", "endless"])
def test_attacks_earn_nothing_and_end(class_room, attacks, seconds):
    packs, hand_in = class_room
    for student, (body, _) in attacks.items():
        hand_in(student, f"def double_root(x):\n    {body}")
    found = states(packs, seconds)
    expected = {student: state if isinstance(state, tuple) else (state,) for student, (_, state) in attacks.items()}
    assert {student: state for student, state in found.items() if state not in expected[student]} == {}
    assert found.keys() == expected.keys()


def running(command):
    return any(command in " ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"]))


def test_no_child_of_an_exercise_survives(class_room):
    """A cage takes all processes with it; without one, the process group is killed, and the fence allows no other."""
    packs, hand_in = class_room
    marker = f"sleep 86.{os.getpid()}"
    escape = f"import ctypes\n    ctypes.CDLL(None).system(b'{marker} &')\n    return x"
    hand_in("ann", f"def double_root(x):\n    {escape}")
    assert states(packs)["ann"] in ("wrong", "error")  # it starts one a case, which may be too many
    until = time.monotonic() + 10  # a process that was killed takes a moment to go
    while running(marker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(marker)


def test_cage_shows_neither_the_users_files_nor_the_network(class_room, monkeypatch, tmp_path):
    if not process.caged():
        pytest.skip("no bubblewrap that works here")
    monkeypatch.setenv("SECRET", "of the teacher")
    secret = tmp_path / "secret"
    secret.write_text("of the teacher", encoding="utf-8")
    packs, hand_in = class_room
    hand_in("file", f"def double_root(x):\n    return open({str(secret)!r}).read()")
    hand_in("folder", f"import os\n\n\ndef double_root(x):\n    return 2.0 if os.path.exists({str(packs)!r}) else x")
    hand_in("variable", "import os\n\n\ndef double_root(x):\n    return os.environ['SECRET']")
    library = "import ctypes\n\n\ndef double_root(x):\n    libc = ctypes.CDLL(None)\n    file = libc.socket(2, 1, 0)\n"
    address = "bytes([2, 0, 0, 9, 127, 0, 0, 1] + [0] * 8)"
    hand_in("network", f"{library}    return [libc.connect(file, {address}, 16), ctypes.get_errno()][0] + 2.0 * x")
    found = {mark.student: mark for mark in marks.grade(marks.asked(packs))}
    assert "FileNotFoundError" in found["file"].detail
    assert "KeyError" in found["variable"].detail
    assert found["folder"].state == "wrong"


@pytest.mark.slow
def test_packs_of_all_kinds(class_room, tmp_path):
    """A folder, a zip, a zip in a folder; of copies the last; odd names do nothing."""
    packs, hand_in = class_room
    right, wrong = HONEST["lesson's own way"][0], HONEST["no idea"][0]
    file = hand_in("folder", right)
    os.utime(hand_in("folder/old", wrong), (1e9, 1e9))
    (packs / "folder" / ".hidden").mkdir()
    (packs / "folder" / "07_try (copy).ipynb").write_text("not this", encoding="utf-8")
    (packs / "zip in a folder").mkdir()
    for place in (packs / "zipped.zip", packs / "zip in a folder" / "mine.zip"):
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(file, "work/07_try.ipynb")
            archive.writestr("../../escaped.txt", "out")
            archive.writestr("/tmp/07_other.ipynb", "out")
    (packs / "notes.txt").write_text("of the teacher", encoding="utf-8")
    before = {path for path in tmp_path.rglob("*")}
    assert states(packs) == {"folder": "right", "zip in a folder": "right", "zipped.zip": "right"}
    assert {path for path in tmp_path.rglob("*")} == before, "nothing is unpacked"
    assert states(packs / "zipped.zip") == {"zipped.zip": "right"}
    assert states(packs / "folder") == {"folder": "right"}


def test_bad_packs_are_errors_of_that_student_alone(class_room, monkeypatch):
    packs, hand_in = class_room
    hand_in("good", HONEST["lesson's own way"][0])
    for name, content in (("deep", "[" * 100_000), ("list", "[]"), ("text", "no"), ("cells", '{"cells": [3]}')):
        (packs / name).mkdir()
        (packs / name / "07_try.ipynb").write_text(content, encoding="utf-8")
    (packs / "broken.zip").write_bytes(b"PK no zip")
    monkeypatch.setattr(packs_module, "NOTEBOOK_BYTES", 100_000)
    with zipfile.ZipFile(packs / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("07_try.ipynb", b" " * 10**7)
    (packs / "link").mkdir()
    (packs / "link" / "07_try.ipynb").symlink_to(packs / "good" / "07_try.ipynb")
    os.mkfifo(packs / "link" / "02.ipynb")
    bad = dict.fromkeys(["bomb.zip", "broken.zip", "cells", "deep", "list", "text"], "error")
    assert states(packs) == dict(sorted((bad | {"good": "right", "link": "not handed in"}).items()))


@pytest.mark.slow
def test_a_grading_that_was_ended_goes_on(class_room, tmp_path, monkeypatch):
    """Who was marked is not run again, unless the code or the cases are others, or the file is damaged."""
    packs, hand_in = class_room
    for student in ("ann", "bob", "eve"):
        hand_in(student, HONEST["lesson's own way"][0])
    ran, judge = [], marks.judge

    def noting(one, exercises, seconds):
        ran.append(one.student)
        if one.student == "eve" and len(ran) <= 3:
            raise KeyboardInterrupt
        return judge(one, exercises, seconds)

    monkeypatch.setattr(marks, "judge", noting)
    monkeypatch.setattr(marks, "cores", lambda: 1)
    folder = tmp_path / "graded"
    with pytest.raises(KeyboardInterrupt):
        list(marks.grade(marks.asked(packs), folder=folder))
    first = list(marks.grade(marks.asked(packs), folder=folder))
    assert ran == ["ann", "bob", "eve", "eve"]
    assert list(marks.grade(marks.asked(packs), folder=folder)) == first and len(ran) == 4
    hand_in("bob", HONEST["no idea"][0])
    again = {mark.student: mark.state for mark in marks.grade(marks.asked(packs), folder=folder)}
    assert again == {"ann": "right", "bob": "wrong", "eve": "right"} and ran[4:] == ["bob"]
    for file in folder.iterdir():
        file.write_text("[", encoding="utf-8")
    list(marks.grade(marks.asked(packs), folder=folder))
    assert ran[5:] == ["ann", "bob", "eve"]


def test_the_command_writes_why_each_mark_was_lost(class_room, tmp_path, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)  # of other tests: this is no notebook
    packs, hand_in = class_room
    hand_in("ann", "")
    (packs / "bob").mkdir()
    (packs / "bob" / "scan.pdf").write_bytes(b"%PDF")
    teaching.grade(packs, None, 20, tmp_path / "marks")
    with (tmp_path / "marks" / "marks.csv").open(encoding="utf-8") as stream:
        rows = {row["student"]: row for row in csv.DictReader(stream)}
    assert rows["ann"]["why"] == "07 double_root not attempted"
    assert rows["bob"]["why"].startswith("07 double_root error: scan.pdf is neither a notebook nor a zip")
    assert "exercises: 2 of 2" in capsys.readouterr().err
    with pytest.raises(UserError, match="would lie among the packs: choose another --out"):
        teaching.grade(packs, None, 20, packs / "marks")


def test_nothing_to_grade_is_one_sentence(class_room, tmp_path):
    packs, _ = class_room
    with pytest.raises(UserError, match="is missing"):
        marks.asked(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no notebook of 07_try"):
        marks.asked(packs)


def test_files_of_marks(tmp_path):
    found = [
        marks.Mark("=1+1", "07_try", "double_root", "right"),
        marks.Mark("=1+1", "07_try", "other", "wrong", "expected 2, got 3"),
    ]
    json_file, csv_file = tables.write_marks(found, tmp_path, {"=1+1": ["=x was handed in late"]})
    with csv_file.open() as stream:
        head, row = csv.reader(stream)
    assert head == ["student", "right", "of", "07 double_root", "07 other", "why", "remarks"]
    assert row == ["'=1+1", "1", "2", "right", "wrong", "07 other wrong: expected 2, got 3", "'=x was handed in late"]
    assert json.loads(json_file.read_text())["=1+1"][1]["detail"] == "expected 2, got 3"
    assert tables.reasons(found) == ["=1+1: 07 other: expected 2, got 3"]
    idle = [
        marks.Mark("ann", "08_show", "draw", "not handed in"),
        marks.Mark("bob", "08_show", "draw", "not attempted"),
    ]
    assert tables.begun([*found, *idle]) == found and tables.begun(idle) == idle
    console = Console(width=100, file=io.StringIO())
    for table in tables.terminal_tables(found):
        console.print(table)
    assert all(part in console.file.getvalue() for part in ("07_try", "double_root", "=1+1", "wrong", "1 of 2"))


@pytest.mark.parametrize("source", notebooks.find_lessons(), ids=lambda source: source.stem)
def test_exercises_of_all_lessons_can_be_graded(source):
    """Their arguments and results survive the way through the process and back."""
    found = marks.exercises_of(source, seed=1)
    assert len(found) >= 3
    for exercise in found:
        for result in exercise.expected:
            there_and_back = values.unpack(json.loads(json.dumps(values.pack(result))))
            assert check.difference(there_and_back, result, 0.0, 0.0) is None


@pytest.mark.slow
def test_solution_of_a_lesson_is_right(tmp_path):
    source = notebooks.find_lessons(["00"])[0]
    notebooks.write_notebook(notebooks.read_source(source), tmp_path / "ann" / f"{source.stem}.ipynb")
    found = list(marks.grade(marks.asked(tmp_path)))
    assert {mark.state for mark in found} == {"right"}, found


def test_names_that_browsers_and_students_change(class_room):
    packs, hand_in = class_room
    right, wrong = HONEST["lesson's own way"][0], HONEST["no idea"][0]
    hand_in("browser", right, "07_try(1).ipynb")
    hand_in("student", right, "mueller_07_try_done.ipynb")
    os.utime(hand_in("twice", wrong, "07_try-Copy1.ipynb"), (1e9, 1e9))
    hand_in("twice", right)
    hand_in("other", right, "homework.ipynb")
    (packs / "stray.ipynb").write_text("{}", encoding="utf-8")
    expected = {"browser": "right", "other": "right", "stray.ipynb": "not handed in", "student": "right"}
    assert states(packs) == expected | {"twice": "right"}
    remarks = {pack.student: pack.remarks for pack, _ in marks.asked(packs)}
    assert remarks["stray.ipynb"] == ["stray.ipynb does not count: the file is no notebook"]
    assert remarks["twice"] == ["07_try-Copy1.ipynb does not count: 07_try.ipynb is a later copy of 07_try"]


def test_a_notebook_beside_the_packs_of_others_is_refused(class_room):
    packs, hand_in = class_room
    for student in ("ann", "bob", ""):
        hand_in(student, HONEST["lesson's own way"][0])
    with pytest.raises(UserError, match=r"07_try\.ipynb lies beside the packs of others: put it into a folder"):
        marks.asked(packs)
