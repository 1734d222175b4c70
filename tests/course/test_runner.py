"""Running lessons: what is written, and what a failing lesson leaves."""

import json
import sys
from html import escape

import nbformat
import pytest

from relcomp_kit.cache import write_record
from relcomp_kit.course import kernel, notebooks, runner
from relcomp_kit.course.lesson_states import LessonResult
from relcomp_kit.errors import UserError
from relcomp_kit.evidence import claims, report
from relcomp_kit.threads import cores

GOOD = """# %% [markdown]
# # Measure something with $x^2$
#
# It is $y^2$.

# %% tags=["parameters"]
profile = "quick"
seed = 0

# %%
import json, os, sys
seen = {name: os.environ.get(name) for name in ("RELCOMP_DATA", "RELCOMP_RECORDS", "RELCOMP_CACHE", "MPLBACKEND")}
seen |= {"executable": sys.executable, "folder": os.getcwd(), "profile": profile, "lesson": "01_good"}
from pathlib import Path
from relcomp_kit.cache import write_record
write_record(Path(os.environ["RELCOMP_RECORDS"]) / "01_good.json", seen)
"""
BAD = GOOD.replace("write_record(Path", "raise ValueError('one\\ntwo <b>')\nwrite_record(Path").replace(
    "Measure", "Break"
)
ROW = {
    "id": "T1a",
    "source": "thesis 5.1",
    "statement": "small < large & so on",
    "published": "87 %",
    "measured": "88",
    "unit": "%",
    "verdict": "partly",
    "profile": "quick",
    "dataset": "digits",
    "published_dataset": "MNIST",
    "seeds": [0, 1, 2],
    "commit": "abc",
    "lesson": "01_good",
    "rule": "above 87 %",
    "missing": "MNIST",
    "command": "relcomp run 01",
    "why": "Not settled: above (+1 on average).",
    "on": "a small net",
    "control": False,
    "recorded": {
        **{"measured": "89", "verdict": "reproduced", "dataset": "MNIST", "seeds": [0], "profile": "full"},
        "why": "Holds: above (met by 2).",
    },
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A checkout with two lessons, of which the second fails."""
    root = tmp_path / "house"
    sources = root / "notebooks" / "source"
    sources.mkdir(parents=True)
    (sources / "01_good.py").write_text(GOOD, encoding="utf-8")
    (sources / "02_bad.py").write_text(BAD, encoding="utf-8")
    (root / "notebooks" / "01_good.ipynb").write_text("{}", encoding="utf-8")  # as if it were rendered
    for module in (kernel, notebooks):
        monkeypatch.setattr(module, "checkout", lambda: root)
    monkeypatch.setattr(claims, "reference_folder", lambda profile: root / "data" / "reference" / profile)
    monkeypatch.chdir(tmp_path)
    return root


@pytest.fixture
def ledger(monkeypatch):
    """Claims decided by a stand-in; returns what it was asked."""
    asked = []
    monkeypatch.setattr(claims, "table", lambda records, profile: asked.append((records, profile)) or [ROW])
    return asked


def run(names, out, profile="quick"):
    calls = []
    results = [
        runner.run_lesson(source, {"profile": profile}, out, lambda **done: calls.append(done))
        for source in runner.check_request(names, profile, out)
    ]
    return results, calls


@pytest.mark.slow
def test_a_lesson_runs_here_and_a_failing_one_does_not_stop_the_others(house, ledger, tmp_path, monkeypatch):
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(
        json.dumps({"argv": ["/no/such/python"], "display_name": "x", "language": "python"}), encoding="utf-8"
    )
    (tmp_path / "images").mkdir()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("RELCOMP_DATA", "images")
    monkeypatch.setenv("RELCOMP_CACHE", "cache")
    monkeypatch.setenv("MPLBACKEND", "agg")
    out = tmp_path / "out"
    stale = out / "records" / "02_bad.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}", encoding="utf-8")

    results, calls = run(["02", "01"], out.relative_to(tmp_path), profile="full")

    assert [result.lesson for result in results] == ["01_good", "02_bad"]
    assert results[0].error is None
    assert results[1].error == "cell In [3] raised ValueError: two <b>"
    assert results[0].title == "Measure something with $x^2$"
    assert calls[-1]["completed"] == calls[-1]["total"]
    seen = json.loads((out / "records" / "01_good.json").read_text(encoding="utf-8"))
    assert seen.pop("sha256")
    assert seen == {
        "RELCOMP_DATA": str(tmp_path / "images"),
        "RELCOMP_CACHE": str(tmp_path / "cache"),
        "RELCOMP_RECORDS": str(out / "records"),
        "MPLBACKEND": seen["MPLBACKEND"],
        "executable": sys.executable,
        "folder": str(house / "notebooks"),
        "profile": "full",
        "lesson": "01_good",
    }
    assert seen["MPLBACKEND"] != "agg"
    assert not stale.exists()
    assert nbformat.read(out / "notebooks" / "02_bad.ipynb", as_version=4).cells

    rows = runner.write_reports(results, "full", out, ["01_good", "02_bad"])
    assert ledger == [([seen], "full")]
    assert json.loads((out / "claims.json").read_text(encoding="utf-8")) == rows == [ROW]
    page = (out / "lessons" / "01_good.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("<math") == 2
    assert 'href="01_good.html"' in (out / "lessons" / "02_bad.html").read_text(encoding="utf-8")
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "two &lt;b&gt;" in index
    assert "small &lt; large &amp; so on" in (out / "ledger.html").read_text(encoding="utf-8")
    assert "http" not in index and "not finished" not in index and "the <b>quick</b> profile" in index
    assert 'href="lessons/01_good.html"' in index and 'href="lessons/02_bad.html"' in index


@pytest.mark.slow
def test_lessons_run_side_by_side_and_the_last_one_sees_the_others(house, tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # of the tests: one
    sources = house / "notebooks" / "source"
    look = GOOD.replace("01_good", "09_last").replace(
        "seen =",
        "THREADS = 'RELCOMP_THREADS', 'OMP_NUM_THREADS'\nthere = os.listdir(os.environ['RELCOMP_RECORDS'])\nseen =",
    )
    look = look.replace('"profile": profile', '"there": there, "threads": [os.environ.get(one) for one in THREADS]')
    (sources / "09_last.py").write_text(look, encoding="utf-8")
    out, heard = tmp_path / "out", []
    wanted = runner.check_request([], "quick", out)
    done = runner.run_lessons(
        wanted[::-1], {"profile": "quick"}, out, 2, lambda name: lambda **cells: heard.append((name, cells))
    )
    results = {result.lesson: result for result in done}
    assert list(results)[-1] == "09_last"
    assert (results["01_good"].error, results["09_last"].error) == (None, None)
    assert results["02_bad"].error == "cell In [3] raised ValueError: two <b>"
    last = json.loads((out / "records" / "09_last.json").read_text(encoding="utf-8"))
    assert last["there"] == ["01_good.json"] and last["threads"] == [str(max(1, cores() // 2))] * 2
    assert sorted(heard) == [(name, {"completed": 1, "total": 1}) for name in ("01_good", "02_bad", "09_last")]


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_a_later_one_remembers_it(house, ledger, tmp_path):
    out = tmp_path / "out"
    (out / "lessons").mkdir(parents=True)
    (out / "lessons" / "01_good.html").write_text("a page", encoding="utf-8")
    done = LessonResult("01_good", "Measure", 61.4)
    runner.write_reports([done], "quick", out, ["01_good", "02_bad"])
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "Not at its end:</b> 1 of the lessons" in index
    assert 'href="lessons/01_good.html"' in index and "61 s" in index
    assert "not finished" in index and 'href="lessons/02_bad.html"' not in index
    failed = LessonResult("02_bad", "Break", 1.0, "it broke")
    runner.write_reports([failed], "quick", out, ["02_bad"])
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "Not at its end" not in index
    assert "61 s" in index and "it broke" in index
    lessons = json.loads((out / "lessons.json").read_text(encoding="utf-8"))["lessons"]
    states = {one["lesson"]: one["state"] for one in lessons}
    assert states == {"01_good": "done", "02_bad": "failed"}


@pytest.mark.slow
def test_a_lesson_that_fails_after_it_wrote_its_record_decides_nothing(house, tmp_path):
    source = house / "notebooks" / "source" / "02_bad.py"
    source.write_text(GOOD.replace("01_good", "02_bad") + "\n\n# %%\n1 / 0\n", encoding="utf-8")
    (result,), _ = run(["02"], tmp_path / "out")
    assert "ZeroDivisionError" in result.error
    assert runner.read_records(tmp_path / "out") == []


@pytest.mark.slow
def test_claims_are_written_as_a_page_and_as_markdown(tmp_path):
    (tmp_path / "out" / "lessons").mkdir(parents=True)
    (tmp_path / "out" / "lessons" / "01_find_important_weights.html").write_text("", encoding="utf-8")
    rows = claims.table([])
    html, markdown = tmp_path / "report.html", tmp_path / "report.md"
    assert runner.write_claims(rows, tmp_path / "out", html, markdown) == [html, markdown]
    page, text = html.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")
    for row in rows:
        assert f'id="{row["id"]}"' in page and f"| **{row['id']}** |" in text
        wanted = [row["missing"], row["missing"] and row["command"], (row["recorded"] or {}).get("measured")]
        for part in filter(None, wanted):
            assert escape(part) in page and part.replace("|", "\\|") in text
    assert (
        'href="out/lessons/01_find_important_weights.html"' in page
        and "(out/lessons/01_find_important_weights.html)" in text
    )
    assert "This run" not in page and "this run" not in text
    assert "<script" not in page and 'src="data:image/png' in page and "relcomp run 02 --profile full" in page
    assert runner.write_claims(rows, tmp_path, None, None) == []


def test_markdown_has_a_column_for_a_run():
    text = report.claims_table([ROW, ROW | {"id": "T2", "measured": None, "verdict": "open", "recorded": None}])
    heads, _, first, second = text.splitlines()
    assert "this run" in heads and "partly: 88 (digits, 3 seeds, a small net)" in first
    assert "Holds: above (met by 2)." in first
    assert "**reproduced**" in first and "**open**" in second
    assert len({line.count(" | ") for line in (heads, first, second)}) == 1
    assert report.untested([ROW]) == ["- T1a: missing is MNIST. Test: `relcomp run 01`"]


@pytest.mark.slow
def test_records_of_lessons_run_earlier_still_decide_their_claims(tmp_path):
    record = {"lesson": "01_earlier", "profile": "quick", "commit": "c", "dataset": "mnist", "measurements": []}
    claim = {"id": "T8a", "measured": "40.1421", "verdict": "reproduced", "dataset": None, "seeds": []}
    file = runner.record_file(tmp_path, "01_earlier")
    file.parent.mkdir()
    file.write_text(json.dumps(record | {"claims": [claim]}), encoding="utf-8")
    other = LessonResult("02_other", "Other", 1.0)
    rows = {row["id"]: row for row in runner.write_reports([other], "quick", tmp_path)}
    assert (rows["T8a"]["verdict"], rows["T8b"]["verdict"]) == ("reproduced", "open")


def test_records_are_kept_on_request(house, tmp_path):
    out = tmp_path / "out"
    good = house / "notebooks" / "source" / "01_good.py"
    good.write_text(GOOD.replace("seed = 0", 'seed = 0\ndataset = "mnist"'), encoding="utf-8")
    record = out / "records" / "01_good.json"
    record.parent.mkdir(parents=True)
    folder = house / "data" / "reference" / "full"
    for dataset, name in (("mnist", "01_good.json"), ("fashion-mnist", "01_good.fashion-mnist.json")):
        record.write_text(json.dumps({"dataset": dataset}), encoding="utf-8")
        assert runner.keep_record("01_good", "full", out) == folder / name
        assert json.loads((folder / name).read_text(encoding="utf-8")) == {"dataset": dataset}
    record.write_text('{"dataset": "digits"}', encoding="utf-8")
    with pytest.raises(UserError, match="ran on digits"):
        runner.keep_record("01_good", "full", out)
    assert runner.keep_record("02_bad", "full", out) is None


def test_figures_that_moved_since_the_record_are_said(monkeypatch, tmp_path):
    def measured(value: float, torch: str) -> dict:
        one = {"name": "accuracy", "value": value, "unit": "share"}
        told = {"lesson": "01_good", "profile": "full", "dataset": "mnist", "versions": {"torch": torch}}
        return told | {"measurements": [one]}

    monkeypatch.setattr(claims, "recorded", lambda profile: {"01_good": measured(0.5, "1.9")})
    write_record(runner.record_file(tmp_path, "01_good"), measured(0.9, "2.0"))
    ran = [LessonResult("01_good", "Good", 1.0), LessonResult("02_bad", "Bad", 1.0, error="no")]
    (line,) = runner.moved_figures(ran, "full", tmp_path)
    assert line.startswith("01_good: 1 of 1 figures are more than 2% away") and line.endswith("torch 1.9 then, 2.0 now")


@pytest.mark.parametrize(
    ("names", "profile", "data", "reason"),
    [
        (["03"], "quick", None, "the lessons are: 01_good, 02_bad"),
        ([], "huge", None, "quick, full"),
        ([], "quick", "nowhere", "RELCOMP_DATA"),
    ],
)
def test_a_bad_request_is_refused_before_anything_is_written(
    house, tmp_path, monkeypatch, names, profile, data, reason
):
    monkeypatch.delenv("RELCOMP_DATA", raising=False)
    if data:
        monkeypatch.setenv("RELCOMP_DATA", data)
    with pytest.raises(UserError, match=reason):
        runner.check_request(names, profile, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_data_set_can_be_chosen_where_the_lesson_has_one(house, tmp_path):
    good = house / "notebooks" / "source" / "01_good.py"
    good.write_text(
        GOOD.replace("seed = 0", 'seed = 0\ndataset = "mnist"').replace('"profile": profile', '"d": dataset')
    )
    out = tmp_path / "out"
    (source,) = runner.check_request(["01"], "quick", out, "digits")
    result = runner.run_lesson(source, {"profile": "quick", "dataset": "digits"}, out, lambda **done: None)
    assert result.error is None
    assert json.loads((out / "records" / "01_good.json").read_text(encoding="utf-8"))["d"] == "digits"
    with pytest.raises(UserError, match="02_bad has no choice of data set"):
        runner.check_request([], "quick", out, "digits")
    with pytest.raises(UserError, match="01_good cannot run on 'camvid': choose one of mnist, fashion-mnist, digits"):
        runner.check_request(["01"], "quick", out, "camvid")
    good.write_text(GOOD.replace("seed = 0", 'seed = 0\ndataset = "rail-scenes"'), encoding="utf-8")
    assert runner.check_request(["01"], "quick", out, "camvid") == [source]
    with pytest.raises(UserError, match="cannot run on 'digits'"):
        runner.check_request(["01"], "quick", out, "digits")


def test_a_folder_that_cannot_be_written_to_is_refused(house, tmp_path):
    (tmp_path / "out").write_text("a file", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot write to .*out"):
        runner.check_request([], "quick", tmp_path / "out")


def test_a_cache_that_cannot_be_written_to_is_said_before_anything_runs(house, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"cannot write to .*cache: .*; set RELCOMP_CACHE"):
        runner.check_request([], "quick", tmp_path / "out")


@pytest.mark.slow
def test_a_kernel_that_dies_is_a_failed_lesson(house, tmp_path):
    bad = house / "notebooks" / "source" / "02_bad.py"
    bad.write_text(BAD.replace("raise ValueError('one\\ntwo <b>')", "os._exit(1)"), encoding="utf-8")
    (result,), _ = run(["02"], tmp_path / "out")
    assert "died" in result.error


def test_terminal_table_shows_both_runs():
    from rich.console import Console

    console = Console(width=140, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    console.print(
        report.terminal_table([ROW, ROW | {"id": "T2", "measured": None, "verdict": "open", "recorded": None}])
    )
    text = console.export_text()
    for part in ("T1a", "88", "89", "partly", "reproduced", "met by 2", "T2", "open"):
        assert part in text
