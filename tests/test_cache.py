"""The cache shared by processes that are killed at random; locks, leftovers, and records with a digest."""

import fcntl
import os
import random
import signal
import time

import pytest
import torch

from relcomp_kit import cache
from relcomp_kit.artifacts import artifact_path, load_or_make, peek, read_cached, write_artifact
from relcomp_kit.cache import claimed, clear_leftovers, locked, read_record, set_aside, write_record

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def in_child(work) -> int:
    """Run a function in a forked process, and return its number; it ends there."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work()
        status = 0
    finally:
        os._exit(status)


def wait_for(condition) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


@forks
def test_one_makes_it_and_the_others_wait(tmp_path, own_cache, monkeypatch):
    starts = tmp_path / "starts"
    starts.mkdir()

    def make(partial):
        (starts / str(os.getpid())).touch()
        time.sleep(0.1)
        return {"a": torch.ones(3)}, {}

    children = [in_child(lambda: load_or_make("r", 1, {}, "ab", make)) for _ in range(4)]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert len(list(starts.iterdir())) == 1


@forks
def test_a_wait_is_said_and_ends_with_the_process_that_held_the_lock(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache, "PATIENCE", 0.05)
    held = tmp_path / "held"

    def hold():
        with locked(tmp_path / "x"):
            held.touch()
            time.sleep(60)

    child = in_child(hold)
    wait_for(held.exists)
    with claimed([tmp_path / "x", tmp_path / "y", tmp_path / "z"], 1) as free:
        assert list(free) == [tmp_path / "y"]
    lines = []

    def say(line):
        lines.append(line)
        os.kill(child, signal.SIGKILL)

    with locked(tmp_path / "x", say) as alone:
        assert alone
    os.waitpid(child, 0)
    assert lines == ["relcomp: waiting for another process, which makes x"] and capsys.readouterr().err == ""


def test_locks_given_back_early_are_free_and_the_rest_at_the_end(tmp_path):
    paths = [tmp_path / name for name in "abc"]
    with claimed(paths, 3) as mine:
        mine.pop(paths[0]).release()
        with claimed(paths, 3) as other:
            assert list(other) == paths[:1]
    with claimed(paths, 3) as mine:
        assert list(mine) == paths


def test_a_file_system_without_locks_is_said_once_and_work_goes_on(own_cache, monkeypatch, capsys):
    def refuse(self, *_, **__):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(cache.FileLock, "acquire", refuse)
    monkeypatch.setattr(cache, "_unlocked", set())
    for seed in (1, 2):
        assert load_or_make("r", 1, {"seed": seed}, "ab", lambda partial: ({}, {"made": 1}))[1] == {"made": 1}
    with claimed([own_cache / "artifacts" / "x"]) as mine:
        assert not any(lock.is_locked for lock in mine.values())
    (line,) = capsys.readouterr().err.splitlines()
    assert "artifacts cannot be locked" in line and "No locks available" in line


def test_leftovers_of_these_files_go_and_nothing_else(tmp_path):
    one, two = "0123456789abcdef" * 2, "fedcba9876543210" * 2
    kept = [".locks", ".x.json", f".xx.json.{one}", "x.json"]
    for name in (f".x.json.{one}", f".x.json.{two}", *kept):
        (tmp_path / name).touch()
    clear_leftovers(tmp_path / "x.json", tmp_path / "y.json")
    assert sorted(os.listdir(tmp_path)) == kept


def test_another_process_may_have_put_it_aside_before(tmp_path, capsys):
    set_aside(tmp_path / "x")
    assert capsys.readouterr().err == ""


def test_records_come_back_as_json_has_them_or_not_at_all(tmp_path):
    file = write_record(tmp_path / "x.json", {"z": (1, 2.5), "a": {1: None, 10: "é", 2: []}})
    assert read_record(file) == {"z": [1, 2.5], "a": {"1": None, "10": "é", "2": []}}
    text = file.read_text(encoding="utf-8")
    for damaged in (
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        text[:-3],
        text.replace("2.5", "2.6"),
        text.replace("é", "e"),
    ):
        file.write_text(damaged, encoding="utf-8")
        assert read_record(file) is None
    file.write_bytes(b"\xff")
    assert read_record(file) is None and read_record(tmp_path / "none.json") is None
    file.write_text('{"a": 1}', encoding="utf-8")
    assert read_record(file) is None and read_record(file, undigested=True) == {"a": 1}


ROUNDS = 200 if os.environ.get("RELCOMP_SOAK") == "full" else 15
KEYS, STEPS = 4, 6


def right(key: int) -> tuple[dict, dict]:
    """The artifact of a key: some pages of numbers."""
    return {"a": torch.arange(40_000) * (key + 1)}, {"key": key, "steps": STEPS}


def worker(folder, seed: int) -> None:
    """Read and make artifacts of random keys, and records, for ever; say in a file what was read wrong."""
    draw = random.Random(seed)

    def make(key, partial):
        found = read_cached(partial)
        done = 0 if found is None else found[1]["done"]
        if found is not None and (found[1]["key"] != key or not 0 < done <= STEPS):
            raise AssertionError(f"the state of {key} is {found[1]}")
        with open(folder / f"one-{key}", "a") as alone:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails if somebody else is here
            for step in range(done, STEPS):
                write_artifact(partial, {"step": torch.full((20_000,), step)}, {"key": key, "done": step + 1})
        return right(key)

    try:
        while True:
            key = draw.randrange(KEYS)
            path = artifact_path("r", 1, {"key": key}, "ab")
            if draw.random() < 0.3:
                path.unlink(missing_ok=True)
            tensors, info = load_or_make("r", 1, {"key": key}, "ab", lambda partial, key=key: make(key, partial))
            wanted, about = right(key)
            if info != about or not torch.equal(tensors["a"], wanted["a"]):
                raise AssertionError(f"{key} is {info}")
    except BaseException as error:
        (folder / f"wrong-{os.getpid()}").write_text(repr(error))
        raise


@forks
@pytest.mark.slow
def test_processes_killed_at_random_leave_nothing_wrong_behind(tmp_path, own_cache, capfd):
    """Two processes make, read and remove the same artifacts; one after the other is killed, many times."""
    seed = int(os.environ.get("RELCOMP_TEST_SEED", time.time_ns() % 2**31))
    print(f"seed {seed}: RELCOMP_TEST_SEED={seed} repeats the kills, as far as the machine does")
    draw = random.Random(seed)
    folder = own_cache / "artifacts"
    children, most = [], 0
    try:
        for number in range(ROUNDS):
            children.append(in_child(lambda number=number: worker(tmp_path, seed + number)))
            if len(children) > 2:
                time.sleep(draw.random() * 0.04)
                victim = children.pop(draw.randrange(len(children)))
                os.kill(victim, signal.SIGKILL)
                assert os.waitpid(victim, 0)[1] == signal.SIGKILL, [f.read_text() for f in tmp_path.glob("wrong-*")]
            if folder.is_dir():
                most = max(most, len(os.listdir(folder)))
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    wrong = [file.read_text() for file in tmp_path.glob("wrong-*")]
    assert not wrong, wrong
    for key in range(KEYS):
        path = artifact_path("r", 1, {"key": key}, "ab")
        with claimed([path]) as free:
            assert list(free) == [path], "a lock hangs"
        path.unlink(missing_ok=True)
        made = load_or_make("r", 1, {"key": key}, "ab", lambda partial, key=key: right(key))
        assert peek(path)[1] == made[1] == right(key)[1]
    names = sorted(os.listdir(folder))
    assert names == sorted([cache.LOCKS, *(artifact_path("r", 1, {"key": key}, "ab").name for key in range(KEYS))])
    assert len(os.listdir(folder / cache.LOCKS)) == KEYS
    # for each key an artifact, its state, and what the processes killed since it was last made left of either
    assert most <= 1 + KEYS * 2 + 3 * KEYS, f"{most} files at one time"
    assert "damaged" not in capfd.readouterr().err
