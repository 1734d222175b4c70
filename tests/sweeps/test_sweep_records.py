"""Records of a sweep: damaged ones and another point's are run again; several sweeps share a folder, and are killed."""

import fcntl
import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from relcomp_kit.cache import LOCKS, claimed
from relcomp_kit.sweeps import run
from relcomp_kit.sweeps.plan import read_plan
from relcomp_kit.sweeps.point import Point, measure
from relcomp_kit.sweeps.run import missing, read_records, record_file, run_missing


@pytest.fixture
def points(fake_plan):
    return read_plan(fake_plan("ok", "ok"))


def in_this_process(jobs, workers):
    return ((name, job()) for name, job in jobs)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty", "truncated", "changed", "swapped", "no digest", "a list"])
def test_a_damaged_record_is_run_again(points, tmp_path, monkeypatch, damage, capsys):
    monkeypatch.setattr(run, "run_here", in_this_process)
    out = tmp_path / "out"
    assert run_missing(points, out, workers=1) == 0
    right = read_records(points, out)
    file, other = (record_file(out, point) for point in points)
    text = file.read_text(encoding="utf-8")
    record = json.loads(text)
    damaged = {
        "empty": "",
        "truncated": text[: len(text) // 2],
        "changed": text.replace('"measurements"', '"measurementz"', 1),
        "swapped": other.read_text(encoding="utf-8"),
        "no digest": json.dumps({name: value for name, value in record.items() if name != "sha256"}),
        "a list": "[1]",
    }
    file.write_text(damaged[damage], encoding="utf-8")
    assert missing(points, out) == points[:1] and read_records(points, out) == right[1:]
    assert run_missing(points, out, workers=1) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert said == [f"relcomp: {file.name} in {out} is damaged: it is put aside and made again"]
    assert file.with_name(file.name + ".damaged").is_file()
    again = read_records(points, out)
    assert [one["measurements"] for one in again] == [one["measurements"] for one in right]


@pytest.mark.slow
def test_records_on_a_full_disk_go_on_with_room(fake_plan, relcomp, small_disk, capsys):
    plan, out, filler = fake_plan("square", "square"), small_disk / "records", small_disk / "filler"
    out.mkdir()
    with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert relcomp("sweep", plan, "--workers", "1", "--out", out) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"relcomp: cannot write to {out}") and "No space left" in last and "are needed" in last
    assert [path.name for path in out.iterdir()] == [".locks"]
    filler.unlink()
    assert relcomp("sweep", plan, "--workers", "1", "--out", out) == 0
    assert len(list(out.glob("fake-*.json"))) == 2


ROUNDS = 200 if os.environ.get("RELCOMP_SOAK") == "full" else 12
POINTS, VERSION = 5, 1


def alone(*, x: int, folder: str) -> dict:
    """Square ``x``; fail if another process is here with the same ``x``."""
    with open(Path(folder) / f"one-{x}", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.003)
        return {"square": x * x}


def sweeping(points: list[Point], out: Path, seed: int) -> None:
    """Run the points of a sweep again and again, take records away, and check those that are there."""
    draw = random.Random(seed)
    while True:
        assert run_missing(draw.sample(points, draw.randint(1, POINTS)), out, workers=1) == 0
        for record in read_records(points, out):
            assert [one["value"] for one in record["measurements"]] == [record["point"]["x"] ** 2]
        record_file(out, draw.choice(points)).unlink(missing_ok=True)


def test_a_sweep_holds_no_more_locks_than_it_runs_points(tmp_path, monkeypatch):
    """Or a second machine would have nothing to do."""
    points = [Point("alone", f"{__name__}:alone", VERSION, {"x": x, "folder": str(tmp_path)}) for x in range(POINTS)]
    out, seen = tmp_path / "out", []

    def watched(jobs, workers):
        for name, job in jobs:
            with claimed([record_file(out, point) for point in points], POINTS) as free:
                seen.append(sorted(file.stem for file in free))
            yield name, job()

    monkeypatch.setattr(run, "run_here", watched)
    assert run_missing(points, out, workers=1) == 0 and len(read_records(points, out)) == POINTS
    names = [point.name for point in points]
    assert seen == [sorted(set(names) - {name}) for name in names]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_sweeps_into_one_folder_that_are_killed_at_random_run_each_point_by_one(tmp_path, monkeypatch, capfd):
    """Two sweeps at a time, one of which is killed, many times: no point by two at once, no record wrong or half."""
    monkeypatch.setattr(run, "run_here", in_this_process)
    out, wrong = tmp_path / "out", tmp_path / "wrong"
    points = [Point("alone", f"{__name__}:alone", VERSION, {"x": x, "folder": str(tmp_path)}) for x in range(POINTS)]
    measure(points[0])  # what it imports, the children have
    seed = int(os.environ.get("RELCOMP_TEST_SEED", time.time_ns() % 2**31))
    draw, children = random.Random(seed), []

    def start(number: int) -> None:
        child = os.fork()
        if child:
            children.append(child)
            return
        try:
            sweeping(points, out, number)
        except BaseException as error:
            wrong.write_text(f"{error!r}, RELCOMP_TEST_SEED={seed}")
        finally:
            os._exit(1)

    try:
        for number in range(ROUNDS):
            start(seed + number)
            if len(children) > 2:
                time.sleep(draw.random() * 0.05)
                os.kill(children[0], signal.SIGKILL)
                assert os.waitpid(children.pop(0), 0)[1] == signal.SIGKILL, wrong.read_text()
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert not wrong.exists(), wrong.read_text()
    with claimed([record_file(out, point) for point in points], POINTS) as free:
        assert len(free) == POINTS, "a lock hangs"
    for point in points:  # what is left of those that were killed goes with the next one that makes it
        record_file(out, point).unlink(missing_ok=True)
    assert run_missing(points, out, workers=1) == 0 and len(read_records(points, out)) == POINTS
    assert sorted(os.listdir(out)) == sorted([LOCKS, *(record_file(out, point).name for point in points)])
    assert "damaged" not in capfd.readouterr().err
