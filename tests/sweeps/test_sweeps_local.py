"""`relcomp sweep` on this machine: every point once, whatever happens to its neighbours."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from relcomp_kit.sweeps.plan import read_plan
from relcomp_kit.sweeps.point import measure
from relcomp_kit.sweeps.run import missing, read_records


def started(folder: Path) -> list[int]:
    """Return the point of every start."""
    return sorted(int(file.name.split(".")[0]) for file in folder.glob("*.*"))


@pytest.mark.slow
def test_points_run_once_and_those_that_fail_do_not_stop_the_rest(
    fake_plan, starts, relcomp, tmp_path, monkeypatch, capsys
):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setenv("RELCOMP_THREADS", "5")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # of the tests: one
    plan, out = fake_plan("threads", "fail", "object", "die once", "die"), tmp_path / "out"
    assert relcomp("sweep", plan, "--workers", 2, "--out", out) == 1
    assert started(starts) == [0, 1, 2, 3, 3, 4, 4]
    points = read_plan(plan)
    assert [point.values["x"] for point in missing(points, out)] == [1, 2, 4]
    threads, square = read_records(points, out)
    assert {entry["name"]: entry["value"] for entry in threads["measurements"]} == {"threads": 2, "environment": "2"}
    assert threads["device"].endswith(", 2 threads")
    assert square["point"] == {"x": 3, "folder": str(starts), "what": "die once", "scale": 1.0}
    assert square["measurements"] == [
        {"name": "square", "value": 9.0, "unit": "m2"},
        {"name": "undefined", "value": [None, 1.0], "unit": ""},
        {"name": "by class", "value": {"a": [None]}, "unit": ""},
    ]
    assert square["version"] == 3 and {"commit", "machine", "versions", "seconds"} <= square.keys()

    printed = capsys.readouterr()
    assert printed.out.splitlines() == ["5 points, 0 of them done before", f"2 of 5 records are in {out}"]
    lines = printed.err.splitlines()
    assert lines[0] == "fake: 0 of 5" and "fake: 5 of 5" in lines
    assert lines[-1] == "relcomp: 3 points failed; run the same command again to try again"
    told = [line for line in lines if " failed: " in line]
    for words in (
        "(x 1, what fail) failed: ValueError: no square of 1 (more in ",
        "(x 2, what object) failed: the measurement 'square' holds a object",
        "(x 4, what die) failed: the process that ran it died twice",
    ):
        assert sum(words in line for line in told) == 1
    assert len(told) == 3
    traces = {file.name.split(".")[0]: file.read_text() for file in out.glob("*.traceback.txt")}
    assert traces.keys() == {point.name for point in missing(points, out)}
    assert "Traceback" in traces[points[1].name] and "no\nsquare of 1" in traces[points[1].name]

    (starts / "mended").touch()
    assert relcomp("sweep", plan, "--workers", 1, "--out", out) == 0
    assert started(starts) == [0, 1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert not missing(points, out) and not list(out.glob("*.txt"))
    assert relcomp("sweep", plan, "--out", out) == 0
    assert len(started(starts)) == 10
    assert capsys.readouterr().out.splitlines()[-2] == "5 points, 5 of them done before"


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_keeps_what_is_finished_and_leaves_no_process(fake_plan, starts, tmp_path, stop):
    plan, out = fake_plan("square", "wait", "square"), tmp_path / "out"
    # A process that a script starts in the background ignores Ctrl-C, and so would this one.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from relcomp_kit.sweeps import experiments; "
    code += "experiments.EXPERIMENTS['fake'] = 'sweep_fakes:fake'; from relcomp_kit.cli.app import main; main()"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", code, "sweep", str(plan), "--workers", "1", "--out", str(out)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(starts.glob("1.*")):
        assert process.poll() is None
        time.sleep(0.02)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(stop)
    said = process.communicate(timeout=20)[1]
    if stop == signal.SIGINT:
        assert process.returncode == 130
        # loky's tracker may add a warning: rarely, it misses that a semaphore is gone
        assert said.splitlines()[:3] == [
            "fake: 0 of 3",
            "",
            f"relcomp: interrupted; the records of finished points are in {out}; run the same command again to go on",
        ]
    assert workers and not psutil.wait_procs(workers, timeout=5)[1]
    assert [point.values["x"] for point in missing(read_plan(plan), out)] == [1, 2]


def test_a_worker_of_another_version_refuses(fake_plan, monkeypatch):
    import sweep_fakes

    point = read_plan(fake_plan("square"))[0]
    assert json.loads(measure(point))["version"] == 3
    monkeypatch.setattr(sweep_fakes, "VERSION", 2)
    with pytest.raises(Exception, match="has version 2 of the experiment fake and the plan was read with version 3"):
        measure(point)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--workers", "1", "--cluster", "tcp://127.0.0.1:1"],
            "--workers is for this machine and --cluster for another",
        ),
        (["--workers", "0"], "--workers is 0: take 1 or more"),
        (["--out", "plan.toml"], "cannot write to plan.toml: it is a file, not a folder; choose another folder"),
        (["--cluster", "tcp://127.0.0.1:1"], "no Dask scheduler answers at 'tcp://127.0.0.1:1'"),
        (["--cluster", "nope://127.0.0.1:1"], "no Dask scheduler answers at 'nope://127.0.0.1:1'"),
        (["--cluster", "127.0.0.1"], "no Dask scheduler answers at '127.0.0.1'"),
        (["--cluster", ""], "no Dask scheduler answers at ''"),
    ],
)
def test_bad_input_is_answered_in_one_sentence(fake_plan, relcomp, tmp_path, monkeypatch, capsys, arguments, words):
    from relcomp_kit.sweeps import cluster

    monkeypatch.setattr(cluster, "SECONDS", 0.3)
    monkeypatch.chdir(tmp_path)
    assert relcomp("sweep", fake_plan("square"), *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("relcomp: ") and words in line
