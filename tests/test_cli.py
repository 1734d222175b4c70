"""The command line: quick to start, one sentence for what the user can mend, exit status that tells the truth."""

import json
import subprocess
import sys

import pytest

from relcomp_kit.cli import app
from relcomp_kit.course import notebooks, runner, site
from relcomp_kit.course.lesson_states import LessonResult

HEAVY = (
    "torch",
    "numpy",
    "matplotlib",
    "papermill",
    "nbformat",
    "nbconvert",
    "jupytext",
    "zennit",
    "joblib",
    "distributed",
)


def call(monkeypatch, *arguments) -> int:
    """Run the command line in this process and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["relcomp", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        app.main()
    return stop.value.code or 0


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Lessons that do not run: each call gives the next of these outcomes."""
    outcomes = []

    def run_lesson(source, parameters, out, on_cell):
        outcome = outcomes.pop(0)
        if outcome is KeyboardInterrupt:
            raise KeyboardInterrupt
        on_cell(completed=1, total=1)
        return LessonResult(source.stem, source.stem, 1.0, outcome)

    monkeypatch.delenv("RELCOMP_DATA", raising=False)
    monkeypatch.setattr(notebooks, "find_lessons", lambda names: [tmp_path / "01_a.py", tmp_path / "02_b.py"])
    monkeypatch.setattr(runner, "run_lesson", run_lesson)
    monkeypatch.setattr(site, "keep_course", lambda out, say: None)
    monkeypatch.setattr(runner, "default_jobs", lambda profile: 1)
    monkeypatch.setattr(runner, "write_reports", lambda results, profile, out, wanted: wrote.extend(results) or [])
    wrote = []
    return outcomes, wrote


@pytest.mark.slow
def test_help_imports_nothing_heavy():
    code = f"""
import sys
sys.argv = ["relcomp", "--help"]
from relcomp_kit.cli.app import main
try:
    main()
finally:
    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    for command in (
        "check",
        "run",
        "lab",
        "fetch",
        "sweep",
        "compress",
        "predict",
        "render",
        "slides",
        "exercises",
        "grade",
        "report",
        "site",
    ):
        assert command in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "99"),
        ("run", "--profile", "huge"),
        ("run", "--dataset", "nope"),
        ("run", "00", "--dataset", "digits"),
        ("render", "99"),
        ("exercises", "99"),
        ("fetch", "nope"),
    ],
)
def test_bad_input_is_one_sentence(arguments, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("relcomp: ")
    assert not list(tmp_path.iterdir())


def test_a_run_without_failure(ran, monkeypatch, tmp_path, capsys):
    ran[0].extend([None, None])
    assert call(monkeypatch, "run", "--out", tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "index.html" in said
    assert "01_a: done in 1 s" in said.splitlines(), "where no bar can move, there is a line for each lesson"


def test_a_failed_lesson_sets_the_exit_status_and_the_others_go_on(ran, monkeypatch, tmp_path, capsys):
    ran[0].extend(["cell In [3] raised ValueError: no", None])
    assert call(monkeypatch, "run", "--out", tmp_path / "out") == 1
    assert [result.lesson for result in ran[1]] == ["01_a", "02_b"]
    assert capsys.readouterr().err.strip() == "relcomp: lesson 01_a failed: cell In [3] raised ValueError: no"


def test_ctrl_c_keeps_what_is_finished(ran, monkeypatch, tmp_path, capsys):
    ran[0].extend([None, KeyboardInterrupt])
    assert call(monkeypatch, "run", "--out", tmp_path / "out") == 130
    assert [result.lesson for result in ran[1]] == ["01_a"]
    message = capsys.readouterr().err.strip()
    assert message.startswith("relcomp: interrupted; finished lessons are in ")
    assert message.endswith("run the same command again to go on")


def test_record_keeps_only_what_succeeded(ran, monkeypatch, tmp_path):
    ran[0].extend([None, "cell In [1] raised ValueError: no"])
    kept = []
    monkeypatch.setattr(runner, "keep_record", lambda lesson, profile, out: kept.append((lesson, profile)))
    assert call(monkeypatch, "run", "--record", "--out", tmp_path / "out") == 1
    assert kept == [("01_a", "quick")]


def test_a_new_record_is_compared_with_the_one_that_it_replaces(ran, monkeypatch, tmp_path, capsys):
    ran[0].extend([None, None])
    order = []
    monkeypatch.setattr(runner, "keep_record", lambda *_: order.append("kept"))
    monkeypatch.setattr(runner, "moved_figures", lambda *_: order.append("compared") or ["01_a: figures moved"])
    assert call(monkeypatch, "run", "--record", "--out", tmp_path / "out") == 0
    assert order == ["compared", "kept", "kept"] and "01_a: figures moved" in capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_report_shows_the_claims_of_a_run(monkeypatch, tmp_path, capsys):
    claim = {"id": "T9", "measured": "655", "verdict": "partly", "dataset": "mnist", "seeds": [0]}
    record = {"lesson": "02_x", "profile": "quick", "dataset": "mnist", "commit": "c", "claims": [claim]}
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "02_x.json").write_text(json.dumps(record), encoding="utf-8")
    assert call(monkeypatch, "report", "--out", tmp_path) == 0
    shown = capsys.readouterr().out
    assert all(part in shown for part in ("T9", "655", "partly"))
    assert call(monkeypatch, "report", "--out", tmp_path, "--markdown", tmp_path / "report.md") == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'report.md'}\n"
    assert "| partly: 655 (mnist, 1 seed) |" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_check_prints_a_line_each_and_fails_on_a_bad_data_folder(monkeypatch, capsys):
    monkeypatch.setenv("RELCOMP_DATA", "/no/such/folder")
    assert call(monkeypatch, "check") == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith(("[ok] ", "[warn] ", "[fail] ")) for line in lines)
    assert [line.split()[1] for line in lines if line.startswith("[fail]")] == ["data"]
    assert any(line.split()[1] == "torch" for line in lines)
