"""The ledger is complete, verdicts follow from measurements alone, and a record carries what the report needs."""

import json
import math

import numpy as np
import pytest
import torch
import typer

from relcomp_kit.cli import app
from relcomp_kit.course import notebooks, runner
from relcomp_kit.datasets.scene_names import SCENE_NAMES
from relcomp_kit.errors import UserError
from relcomp_kit.evidence import claims, record, verdicts
from relcomp_kit.evidence.rules import RULES
from relcomp_kit.studies.profiles import get_profile

THESIS = "1a 1b 1c 1d 1e 1f 2 3 3c 3d 4 4c 4d 5 5c 5d 6 7 7c 8a 8b 8c 8d 8e 9 9c 10 10c 11 11c 11d 12 12c"
THESIS += " 13 13a 13b 14 14c 14d"
RAIL = "1 2 3 4 4c 4d 5 5c 5d 5e 5f 5g 5h 6 7 8 9 10 11 12 13 13c"
SETS = ("", "-rail", "-gsc", "-cifar10", "-voc")
QUANTIZED = [f"{claim}{ending}" for claim in ("1", "1c", "2", "2c", "3") for ending in SETS]
AT_ONCE = [f"{claim}-cifar10" for claim in ("2d", "2e", "2f", "4", "4c", "4d")]
QUANTIZED = [*QUANTIZED[:20], *AT_ONCE[:3], "2g", *AT_ONCE[3:], *QUANTIZED[20:], "3c", "3c-rail"]
IDS = [f"{letter}{name}" for letter, names in zip("TBX", (THESIS.split(), RAIL.split(), QUANTIZED)) for name in names]
COLUMNS = {
    *("id", "source", "statement", "published", "measured", "unit", "verdict", "profile", "dataset"),
    *("published_dataset", "seeds", "commit", "lesson", "why", "on", "control"),
}


def test_ledger_holds_every_claim_once_with_all_that_a_row_needs():
    rows = claims.ledger()
    assert [row["id"] for row in rows] == IDS
    for row in rows:
        assert {"source", "statement", "published", "unit", "rule", "needs", "lesson"} <= row.keys()
        assert all(row[key] for key in ("source", "statement", "published", "rule", "lesson"))
    assert set(RULES) == {claims.rule_of(name) for name in IDS}
    assert {row["needs"] for row in rows if row["id"][0] == "T"} == {"", "mnist", "fashion-mnist"}
    assert {row["needs"] for row in rows if row["id"][0] == "B"} <= {"", *SCENE_NAMES}
    assert {row["id"][0] for row in rows} == set(claims.works())
    assert claims.find("T8a")["published"] == "40.1421"
    with pytest.raises(UserError, match="no claim 'T99'"):
        claims.find("T99")


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({row["command"] for row in claims.table([])}))
def test_every_claim_names_a_command_that_the_command_line_takes(command):
    group = typer.main.get_command(app.app)
    for words in (part.split() for part in command.split("&&")):
        assert words[0] == "relcomp"
        asked = group.commands[words[1]].make_context(words[1], words[2:]).params
        if words[1] == "run" and (sources := [one for one in notebooks.find_lessons() if one.stem[:2] in words]):
            get_profile(asked["profile"])
            if asked["dataset"]:
                runner.check_dataset(sources[0], asked["dataset"])


@pytest.mark.slow
def test_what_can_only_hold_on_a_stand_in_says_what_is_missing_and_how_to_test_it():
    rows = {row["id"]: row for row in claims.table([])}
    for claim in claims.ledger():
        row = rows[claim["id"]]
        if claim["needs"] not in ("", "mnist"):
            assert "command" in claim and row["missing"], claim["id"]
        if not claim["needs"]:
            assert row["missing"] is None
    assert "RailSem19" in rows["B4"]["missing"] and "Fashion-MNIST" in rows["T13"]["missing"]
    assert [claim["id"] for claim in claims.ledger() if claim.get("no_stand_in")] == ["B1", "B2"]
    assert rows["B2"]["why"] == "Nothing stands in for the published data: no other set has these 19 classes."
    assert "VGG16" in rows["X2d-cifar10"]["missing"], "it was recorded on the published data, but with other nets"
    assert rows["T13"]["verdict"] == "open" and "`relcomp fetch fashion-mnist &&" in rows["T13"]["why"]


def test_rows_of_sets_say_which_net_and_which_set():
    rows = {row["id"]: row for row in claims.ledger()}
    assert rows["X1-gsc"]["needs"] == "speech-commands" and "log-mel pictures" in rows["X1-gsc"]["rule"]
    assert rows["X2-cifar10"]["statement"] == "ECQ^x beats ECQ on CIFAR-10" and "VGG16" in rows["X2-cifar10"]["rule"]
    assert rows["X2c-cifar10"]["source"] == "control to X2-cifar10"
    assert claims.in_set("X1", "cifar10") == "X1-cifar10" and claims.in_set("X1", "digits") == "X1"
    named = [row["source"].removeprefix(claims.CONTROL) for row in rows.values() if claims.is_control(row)]
    assert set(named) <= set(rows) and not {row for row in named if claims.is_control(rows[row])}


def test_what_was_measured_on_scenes_needs_the_published_ones():
    free = [claim["id"] for claim in claims.ledger() if not claim["needs"]]
    assert free == ["T8a", "T8b", "B11"]


@pytest.fixture
def written(monkeypatch, tmp_path):
    """A saved record with two claims, and its file."""
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))
    made = record.Record("02_prune_until_it_converges", "quick", "mnist")
    made.measure("accuracy", [0.8, 0.9], "share", sf=0.9, seed=1)
    verdicts = [
        made.claim("T3", at_scale=False, seeds=(0, 1, 2), start=[0.7] * 3, pruned=[0.9] * 3, unpruned=[0.8] * 3),
        made.claim("T8a", at_scale=True, limit=40.1421),
    ]
    assert verdicts == ["holds on a stand-in", "reproduced"]
    return json.loads(made.save().read_text(encoding="utf-8")), tmp_path / "02_prune_until_it_converges.json"


def test_record_names_what_repeats_it(written):
    content, path = written
    assert path.is_file()
    assert {"commit", "machine", "versions", "profile", "dataset", "lesson"} <= content.keys()
    assert {"python", "torch", "numpy"} <= content["versions"].keys()
    measurement = {"name": "accuracy", "value": [0.8, 0.9], "unit": "share", "sf": 0.9, "seed": 1}
    assert content["measurements"] == [measurement | {"profile": "quick", "dataset": "mnist"}]
    first, second = content["claims"]
    assert (first["id"], first["dataset"], first["seeds"], first["at_scale"]) == ("T3", "mnist", [0, 1, 2], False)
    assert first["margins"] == {"pruning ends above the same training without": [0.1, 0.1, 0.1]}
    assert first["series"] == {"start": [0.7] * 3, "pruned": [0.9] * 3, "unpruned": [0.8] * 3}
    assert first["why"] == "Holds: pruning ends above the same training without (ahead by 10 points for every seed)."
    assert record.decided(first) == first
    assert (second["verdict"], second["dataset"], second["seeds"]) == ("reproduced", None, [])
    with pytest.raises(UserError, match="no claim 'T99'"):
        record.Record("x", "quick", "mnist").claim("T99", at_scale=True)


def test_record_lies_in_the_cache_when_no_folder_is_named(own_cache, monkeypatch):
    monkeypatch.delenv("RELCOMP_RECORDS", raising=False)
    assert record.Record("x", "quick", "mnist").save() == own_cache / "records" / "x.json"


@pytest.mark.slow
def test_table_has_a_row_for_every_claim(written):
    rows = {row["id"]: row for row in claims.table([written[0]], "quick")}
    assert list(rows) == IDS
    assert all(row.keys() >= COLUMNS and row["verdict"] in verdicts.VERDICTS for row in rows.values())
    decided = rows["T3"]
    assert (decided["verdict"], decided["seeds"], decided["dataset"]) == ("holds on a stand-in", [0, 1, 2], "mnist")
    assert decided["measured"] == "from 70.0 % to 90.0 % pruned, to 80.0 % by the same training alone"
    assert (decided["published_dataset"], decided["profile"]) == ("mnist", "quick")
    assert decided["commit"] == written[0]["commit"]
    assert rows["T8a"]["published_dataset"] is None
    assert (rows["T4"]["verdict"], rows["T4"]["measured"]) == ("open", None)
    assert rows["T13"]["verdict"] == "open" and "fetch fashion-mnist" in rows["T13"]["command"]
    assert rows["B2"]["verdict"] == "not testable here" and "--dataset railsem19" in rows["B2"]["command"]
    assert rows["B5"]["verdict"] == "open"


def test_text_of_the_claims_has_three_lines_each(written):
    lines = record.claims_text(written[0]).splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("T3   HOLDS ON A STAND-IN: After the first 30 pruning steps")
    assert lines[4].strip() == "published 40.1421; measured 40.1421" and "4 decimals agree" in lines[5]


def test_committed_records_are_shown_beside_the_live_ones(written, monkeypatch, tmp_path):
    monkeypatch.setattr(claims, "recorded", lambda profile="full": {"x": written[0] | {"profile": "full"}})
    rows = {row["id"]: row for row in claims.table([])}
    assert rows["T3"]["measured"] is None
    assert rows["T3"]["recorded"] == {
        **{
            "measured": "from 70.0 % to 90.0 % pruned, to 80.0 % by the same training alone",
            "verdict": "holds on a stand-in",
            "dataset": "mnist",
        },
        **{"seeds": [0, 1, 2], "profile": "full", "commit": written[0]["commit"]},
        "why": "Holds: pruning ends above the same training without (ahead by 10 points for every seed).",
        "on": "",
        "cases": "seed",
    }
    assert rows["T4"]["recorded"] is None
    assert record.reference("x") == written[0] | {"profile": "full"}
    assert record.reference("y") is None


def test_a_record_on_the_published_data_goes_before_the_lesson_s_own(monkeypatch):
    def made(dataset):
        claim = {"id": "B1", "measured": dataset, "verdict": "partly", "dataset": dataset, "seeds": [0, 1, 2]}
        return {"lesson": "03_x", "profile": "full", "dataset": dataset, "commit": "c", "claims": [claim]}

    def shown(*names):
        records = {"03_x" if name == "rail-scenes" else f"03_x.{name}": made(name) for name in sorted(names)}
        monkeypatch.setattr(claims, "recorded", lambda profile="full": records)
        return {row["id"]: row for row in claims.table([])}["B1"]["recorded"]

    assert shown("rail-scenes", "camvid")["measured"] == "rail-scenes"
    assert shown("rail-scenes", "camvid", "berdiba")["measured"] == "berdiba"
    assert shown("camvid")["measured"] == "camvid"  # better than nothing


def test_a_sweep_on_the_lesson_s_own_data_goes_before_one_on_others(monkeypatch):
    def made(dataset):
        claim = {"id": "B5d", "measured": dataset, "verdict": "partly", "dataset": dataset, "seeds": [0, 1, 2]}
        return {"lesson": "06_x", "profile": "full", "dataset": dataset, "commit": "c", "claims": [claim]}

    records = {f"06_x.{name}-widths": made(name) for name in ("rail-scenes-192x320", "rail-scenes", "camvid")}
    records["06_x"] = made("rail-scenes") | {"claims": []}
    monkeypatch.setattr(claims, "recorded", lambda profile="full": records)
    assert {row["id"]: row for row in claims.table([])}["B5d"]["recorded"]["measured"] == "rail-scenes"


def test_the_record_of_a_lesson_on_a_data_set_is_found(monkeypatch):
    records = {"03_x": {"dataset": "rail-scenes"}, "03_x.camvid": {"dataset": "camvid"}}
    monkeypatch.setattr(claims, "recorded", lambda profile="full": records)
    assert record.reference_on("03_x", "rail-scenes") is records["03_x"]
    assert record.reference_on("03_x", "camvid") is records["03_x.camvid"]
    assert record.reference_on("03_x", "voc") is record.reference_on("04_x", "camvid") is None


def test_of_two_records_on_the_published_data_the_one_with_more_seeds_counts(monkeypatch):
    def made(seeds):
        claim = {"id": "T3", "measured": str(seeds), "verdict": "partly", "dataset": "mnist"}
        claim["seeds"] = list(range(seeds))
        return {"lesson": "02_x", "profile": "full", "dataset": "mnist", "commit": "c", "claims": [claim]}

    def shown(**seeds):
        monkeypatch.setattr(claims, "recorded", lambda profile="full": {n: made(count) for n, count in seeds.items()})
        return {row["id"]: row for row in claims.table([])}["T3"]["recorded"]["measured"]

    assert shown(a=3, b=20) == shown(a=20, b=3) == "20"


def measured(value, unit="share", versions=("2.0", "1.0"), **changes) -> dict:
    """A record of one figure, made with a version of torch and one of numpy."""
    return {
        "lesson": "05_x",
        "profile": "full",
        "dataset": "mnist",
        "versions": dict(zip(("torch", "numpy"), versions)),
        "measurements": [{"name": "accuracy", "value": value, "unit": unit, "seed": 0}],
    } | changes


def test_figures_that_other_versions_moved_are_named():
    said = record.moved(measured([0.9, 0.8]), measured([0.9, 0.7], versions=("1.9", "1.0")))
    assert said == (
        "05_x: 1 of 1 figures are more than 2% away from the recorded ones (accuracy by 6%), which other versions "
        "made: torch 1.9 then, 2.0 now"
    )


@pytest.mark.parametrize(
    "live, kept",
    [
        (measured(0.9), measured(0.5)),  # the same versions: chance or a change of the code
        (measured(0.9), measured(0.901, versions=("1.9", "1.0"))),
        (measured(9.0, "s"), measured(1.0, "s", versions=("1.9", "1.0"))),
        (measured(0.9), measured(0.5, versions=("1.9", "1.0"), dataset="camvid")),
        (measured(0.9, profile="quick"), measured(0.5, versions=("1.9", "1.0"))),
    ],
)
def test_what_versions_did_not_move_is_not_said(live, kept):
    assert record.moved(live, kept) is None


def test_a_record_names_the_versions_that_decide_figures():
    versions = record.circumstances()["versions"]
    assert {"python", "torch", "numpy", "numba", "zennit", "nncodec"} <= versions.keys()
    assert all(versions.values())


def test_a_record_holds_plain_numbers_only():
    made = record.Record("x", "quick", "mnist")
    made.measure("share", np.float32(0.5), seeds=(np.int64(1), torch.tensor(2)))
    made.measure("curve", np.arange(3))
    kept = made.content["measurements"]
    assert kept[0]["value"] == 0.5 and kept[0]["seeds"] == [1, 2] and kept[1]["value"] == [0, 1, 2]
    assert all(type(value) is int for value in kept[0]["seeds"])
    with pytest.raises(TypeError, match="measurement odd cannot be written as JSON"):
        made.measure("odd", object())


def test_series_that_were_not_reached_come_back_from_a_record():
    made = record.Record("x", "quick", "mnist")
    series = {"accuracy": {2: [0.9, math.nan, 0.9]}, "start": [0.9, 0.9, 0.9]}
    made.claim("X1", at_scale=False, seeds=(0, 1, 2), **series)
    (entry,) = json.loads(json.dumps(made.content["claims"], allow_nan=False))
    assert entry["series"]["accuracy"] == {"2": [0.9, None, 0.9]} and entry["verdict"] == "undecided"
    assert record.decided(entry) == entry
