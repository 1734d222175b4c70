"""`relcomp sweep --cluster` with a real Dask scheduler and two workers on loopback."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from distributed import Client, as_completed

from relcomp_kit.errors import UserError
from relcomp_kit.sweeps import cluster as sweeps_cluster
from relcomp_kit.sweeps.plan import read_plan
from relcomp_kit.sweeps.point import measure
from relcomp_kit.sweeps.run import missing, read_records, run_missing

REAL = """experiment = "prune"
[fixed]
dataset = "digits"
steps = 2
first_training = 10
fine_tuning = 2
[[extra]]
seed = 0
rule = "match"
measure = "random"
cumulate = false
"""


def until(condition, seconds: float = 30):
    """Return what a condition returns as soon as that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers in processes of their own: address, and the processes, the scheduler's first."""
    folder = tmp_path_factory.mktemp("cluster")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "RELCOMP_CACHE": str(folder / "cache")}
    there = ["--scheduler-file", str(folder / "scheduler.json")]
    processes = []

    def dask(*words: str) -> None:
        command = [sys.executable, "-m", "dask", *words, *there]
        with (folder / "log").open("a") as log:
            processes.append(subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log))

    try:
        dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        until((folder / "scheduler.json").is_file)
        for nanny in ("--no-nanny", "--nanny"):  # the second starts again when it dies
            dask("worker", "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard", nanny)
        yield json.loads((folder / "scheduler.json").read_text())["address"], processes
    finally:
        for process in processes:
            for one in [*psutil.Process(process.pid).children(recursive=True), process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()


@pytest.mark.slow
def test_a_cluster_measures_what_this_machine_measures(cluster, write_plan, own_cache, tmp_path):
    points = read_plan(write_plan(REAL))
    assert run_missing(points, tmp_path / "out", cluster=cluster[0]) == 0
    assert not own_cache.exists()  # it was computed there
    (there,) = read_records(points, tmp_path / "out")
    here = json.loads(measure(points[0]))
    assert there["measurements"] == here["measurements"]
    assert there["point"] == here["point"] and there["versions"] == here["versions"]


@pytest.mark.slow
def test_a_lost_worker_costs_its_points_once(cluster, fake_plan, starts, tmp_path, capsys):
    address, (_, without_nanny, _) = cluster
    plan, out = fake_plan(*["wait"] * 3, "fail", *["wait"] * 3), tmp_path / "out"
    points, failed = read_plan(plan), []
    work = threading.Thread(target=lambda: failed.append(run_missing(points, out, cluster=address)))
    work.start()
    until(lambda: len(list(starts.glob("*.*"))) == 2 and list(starts.glob(f"*.{without_nanny.pid}")))
    without_nanny.kill()
    (starts / "go").touch()
    work.join(60)
    assert failed == [1]
    assert [point.values["x"] for point in missing(points, out)] == [3]
    assert "(x 3, what fail) failed: ValueError: no square of 3 (more in " in capsys.readouterr().err
    assert len(list(starts.glob("*.*"))) == len(points) + 1
    assert run_missing(points, out, cluster=address) == 1
    assert len(list(starts.glob("*.*"))) == len(points) + 2  # only what failed has been run again


@pytest.mark.slow
def test_a_point_that_kills_its_workers_is_given_up(cluster, fake_plan, starts, tmp_path, capsys):
    plan, out = fake_plan("die", "square"), tmp_path / "out"
    with Client(cluster[0], set_as_default=False) as client:  # at the first death, to save time
        client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
    assert run_missing(read_plan(plan), out, cluster=cluster[0]) == 1
    assert "(x 0, what die) failed: the workers that ran it died, one after the other" in capsys.readouterr().err
    assert len(list(starts.glob("0.*"))) == 2  # with the other one, and alone
    assert len(list(starts.glob("1.*"))) == len(list(out.glob("*.json"))) == 1


def test_a_lost_scheduler_is_told(cluster, fake_plan, tmp_path, monkeypatch):
    address, (scheduler, *_) = cluster
    failed, sent = [], threading.Event()
    monkeypatch.setattr(sweeps_cluster, "as_completed", lambda *a, **k: sent.set() or as_completed(*a, **k))

    def run():
        try:
            run_missing(read_plan(fake_plan("wait")), tmp_path / "out", cluster=address)
        except UserError as error:
            failed.append(str(error))

    work = threading.Thread(target=run)
    work.start()
    assert sent.wait(20)
    scheduler.kill()
    work.join(60)
    assert failed == ["the Dask scheduler is gone: start it again, and run the same command again to go on"]
