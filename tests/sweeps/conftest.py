"""What the tests of sweeps share: the fake experiment, plans, and the command line."""

import json
import sys
from pathlib import Path

import pytest

import relcomp_kit.studies  # noqa: F401, it registers the experiments of the kit
from relcomp_kit.cli import app
from relcomp_kit.sweeps import experiments


@pytest.fixture
def fake(monkeypatch):
    """The experiment "fake" of `sweep_fakes`, known to this process and importable for its workers."""
    monkeypatch.setitem(experiments.EXPERIMENTS, "fake", "sweep_fakes:fake")


@pytest.fixture
def starts(tmp_path):
    """An empty folder in which the fake experiment leaves a file of every start."""
    folder = tmp_path / "starts"
    folder.mkdir()
    return folder


@pytest.fixture
def write_plan(tmp_path):
    """``write_plan(text)`` writes a plan and returns its file."""

    def write(text: str, name: str = "plan.toml") -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture
def fake_plan(fake, starts, write_plan):
    """``fake_plan(what, ...)`` writes a plan with a point for each of these behaviours, x counting them."""

    def write(*whats: str) -> Path:
        points = "".join(f'[[extra]]\nx = {x}\nwhat = "{what}"\n' for x, what in enumerate(whats))
        return write_plan(f'experiment = "fake"\n[fixed]\nfolder = {json.dumps(str(starts))}\n{points}')

    return write


@pytest.fixture
def relcomp(monkeypatch):
    """``relcomp(*arguments)`` runs the command line in this process and returns its exit status."""

    def run(*arguments) -> int:
        monkeypatch.setattr(sys, "argv", ["relcomp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app.main()
        return stop.value.code or 0

    return run
