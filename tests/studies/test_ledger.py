"""What lesson 09 makes of the ledger: counts, verdicts from margins, controls, differences of two runs."""

from collections import Counter

import pytest

from relcomp_kit.evidence import claims, record
from relcomp_kit.studies import ledger, whole_picture
from relcomp_kit.studies.whole_picture import Family, Panel, Point


def row(name, verdict, recorded=None, source="HHI", measured="1"):
    found = {"verdict": recorded, "measured": "2"} if recorded else None
    return {
        **{"id": name, "source": source, "statement": name, "verdict": verdict, "measured": measured},
        "recorded": found,
    }


def test_records_of_the_run_are_read(tmp_path, monkeypatch, own_cache):
    monkeypatch.delenv("RELCOMP_RECORDS", raising=False)
    assert ledger.live_records() == []
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))
    made = record.Record("02_x", "quick", "mnist")
    made.claim("T8a", at_scale=True, limit=40.1421)
    made.save()
    (found,) = ledger.live_records()
    assert [entry["id"] for entry in found["claims"]] == ["T8a"]


def test_counts_of_a_run_and_of_records_are_apart():
    rows = [row("T1", "partly", "reproduced"), row("T2", "open", measured=None), row("B1", "open", measured=None)]
    counts = ledger.counts(rows)
    assert counts["Böhnke, this run"] == Counter({"partly": 1, "open": 1})
    assert counts["Böhnke, recorded"] == Counter({"reproduced": 1, "open": 1})
    assert "Fraunhofer HHI, this run" not in counts
    assert sum(counts["Fraunhofer HHI, recorded"].values()) == 1


def test_verdicts_are_listed_by_work():
    rows = [
        row("T1", "x", "reproduced"),
        row("T2", "x", "partly"),
        row("T3", "x", "reproduced"),
        row("B1", "x", "open"),
    ]
    assert ledger.verdict_lines(rows) == [
        "Böhnke, reproduced: T1, T3",
        "Böhnke, partly: T2",
        "Fraunhofer HHI, open: B1",
    ]


@pytest.mark.slow
def test_recorded_verdicts_follow_from_recorded_margins():
    entries = [entry for one in claims.recorded().values() for entry in one["claims"]]
    assert len(entries) > 30
    assert [ledger.recomputed(entry) for entry in entries] == [entry["verdict"] for entry in entries]
    other = next(entry for entry in entries if entry["verdict"] == "reproduced")
    assert ledger.recomputed(other | {"margins": {"a": [-1.0, -1.0, -1.0]}}) != "reproduced"


def test_controls_stand_below_their_claims():
    rows = [row("T3", "x", "reproduced"), row("T3c", "x", "partly", "control to T3"), row("T4", "x", "partly")]
    rows += [row("T5", "x", "reproduced"), row("T5c", "x", "holds on a stand-in", "control to T5")]
    lines = ledger.control_lines(rows)
    assert [line.split()[0] for line in lines[:-1]] == ["T3", "T3c", "T5", "T5c"]
    assert lines[-1] == "2 claims with controls: 2 hold as published, 1 of them with every control"


def test_two_runs_are_compared_where_both_decided():
    rows = [
        row("T1", "partly", "reproduced"),
        row("T2", "partly", "partly"),
        row("T3", "open", "partly", measured=None),
    ]
    assert ledger.differing(rows) == ["T1: partly in this run, reproduced recorded"]


def test_smallest_net_within_a_point_of_the_best():
    points = (Point("whole", 1.0, (0.9,)), Point("good", 0.1, (0.895, 0.885)), Point("poor", 0.01, (0.5,)))
    panel = Panel("x", "accuracy", (Family("f", "bytes", "relcomp run 02", points),), ())
    (line,) = ledger.smallest_lines(panel)
    assert "10.0 times smaller, accuracy 89.0% (good)" in line
    assert all(ledger.smallest_lines(panel) for panel in whole_picture.panels())
