"""What the records of a sweep of experts decide: B5d to B5h, against the better of two rivals, and on nothing else."""

import dataclasses
import json

import pytest
from typer.testing import CliRunner

from relcomp_kit.cache import write_record
from relcomp_kit.cli import app
from relcomp_kit.errors import UserError
from relcomp_kit.evidence import record
from relcomp_kit.files import checkout
from relcomp_kit.studies.experts import results, sweep_claims
from relcomp_kit.studies.experts.experiment import BY_LOSS, SCORES
from relcomp_kit.studies.plans import points as points_of
from relcomp_kit.sweeps.point import Point
from relcomp_kit.sweeps.run import record_file
from relcomp_kit.sweeps.table import select

PUBLISHED = points_of("experts-berdiba-widths")  # with arms with widths of their own, which rail scenes have on record
POINTS, AS_CUT = points_of("experts-rail-scenes-widths"), points_of("experts-rail-scenes-widths-as-cut")
MORE = points_of("experts-rail-scenes-widths-more")  # of the same experts, by arms that are rivals in no claim
OWN = {"magnitude": 0.1, "magnitude per layer": 0.25, "random": 0.27}
EQUAL = {"relevance": 0.33, "average": 0.34, "magnitude": 0.30, "random": 0.32}
CLASSES = ["rail", "sky"]


def cut(point: Point, change: dict | None = None) -> dict:
    """The record of a point: `OWN` or `EQUAL` is the IoU of rails, a little other in every seed."""
    values = point.values
    table = (OWN if values["widths"] == "own" else EQUAL) | (change or {})
    iou = table.get(values["arm"], 0.2) + 0.001 * values["seed"]
    found = {"classes": CLASSES, "MACs": 0.25, "parameters": 0.25, "filters": 0.5, "made by": "x"}
    for when in ("as cut", "trained") if values["steps"] else ("as cut",):
        for split in ("validation", "test"):
            found[f"{split} IoU {when}"] = [iou if when == "trained" or not values["steps"] else 0.0, 0.9]
    return {"point": values, "measurements": [{"name": name, "value": value} for name, value in found.items()]}


def claims_of(points: list[Point], **change) -> dict[str, dict]:
    content = sweep_claims.decided(points, [cut(point, change) for point in points]).content
    json.dumps(content, allow_nan=False)
    return {claim["id"]: claim for claim in content["claims"]}


def test_trained_experts_decide_the_choice_and_the_share_of_the_widths():
    found = claims_of(PUBLISHED)
    assert list(found) == ["B5d", "B5e", "B5g"]
    assert found["B5g"]["margins"]["relevance is above Fisher"] == pytest.approx([0.13] * 3)
    without = [point for point in PUBLISHED if point.values["arm"] not in BY_LOSS]
    content = sweep_claims.decided(without, [cut(point) for point in without]).content
    assert [claim["id"] for claim in content["claims"]] == ["B5d", "B5e"]
    assert all(claim["seeds"] == [0, 1, 2] and "2,000 steps" in claim["on"] for claim in found.values())
    margins = found["B5d"]["margins"]
    assert margins["relevance is above magnitude"] == pytest.approx([0.03] * 3)
    assert margins["relevance is above the average of all classes"] == pytest.approx([-0.01] * 3)
    assert found["B5d"]["verdict"] == "partly"
    series = found["B5e"]["series"]
    assert series["own"]["magnitude"] == pytest.approx([0.08] * 3), "of two magnitudes the better one on validation"
    assert series["own"]["chance"] == pytest.approx([0.06] * 3)
    assert series["equal"]["magnitude"] == pytest.approx([0.03] * 3)
    assert found["B5e"]["verdict"] == "reproduced"


def test_where_the_choice_matters_widths_bring_little():
    found = claims_of(PUBLISHED, average=0.30, random=0.28)
    assert found["B5d"]["verdict"] == "reproduced"
    assert found["B5e"]["verdict"] == "partly"  # of the lead over magnitude more than half is gone, over chance nothing


def test_arms_with_widths_of_their_own_come_from_the_record_where_the_plan_has_none(monkeypatch):
    recorded = results.recorded(record.reference(sweep_claims.LESSON))
    of_rail = select(recorded, wanted=("rail",), keep=0.5)
    series = claims_of(POINTS)["B5e"]["series"]["own"]
    for seed in range(3):
        iou = {one["arm"]: one["test trained"]["rail"] for one in select(of_rail, seed=seed)}
        assert series["chance"][seed] == pytest.approx(iou["relevance"] - iou["random"])
        leads = [iou["relevance"] - iou[arm] for arm in ("magnitude", "magnitude per layer")]
        assert series["magnitude"][seed] in [pytest.approx(lead) for lead in leads]
    monkeypatch.setattr(sweep_claims, "reference_on", lambda lesson, dataset: None)
    with pytest.raises(UserError, match="no experts on rail-scenes with widths of their own"):
        claims_of(POINTS)


def test_experts_as_cut_decide_two_more():
    found = claims_of(AS_CUT, concept=0.35)
    assert list(found) == ["B5f", "B5h"] and found["B5f"]["verdict"] == "partly"
    assert found["B5h"]["margins"] == {
        "two points at most are lost against the whole class": pytest.approx([0.04] * 3),
        "the concept is above chance": pytest.approx([0.03] * 3),
    }
    assert found["B5f"]["on"].endswith("experts of 80% of the filters, as cut")
    assert "B5h" not in claims_of([point for point in AS_CUT if point.values["arm"] != "concept"])


@pytest.mark.parametrize(("points", "when"), [([*POINTS, *MORE], "trained"), (AS_CUT, "as cut")])
def test_the_figure_has_every_arm_under_both_widths(points, when):
    rows = [results.row(cut(point)) for point in points]
    own, equal = sweep_claims.by_widths(rows, "rail", when).values()
    assert [*own][:5] == ["relevance", "average", "magnitude", "magnitude per layer", "random"]
    assert ("random per filter" in own) == (when == "trained")
    assert {*BY_LOSS} <= {*own}
    assert [*equal] == [*EQUAL, *SCORES, *BY_LOSS, *(["concept"] if when == "as cut" else [])]
    assert not {point.name for point in POINTS} & {point.name for point in MORE}
    assert equal["random"] == pytest.approx([0.32, 0.321, 0.322])
    head, *lines = sweep_claims.table({"own": own, "equal": equal})
    assert head.split()[-2:] == ["own", "equal"] and len(lines) == len({*own, *equal})
    (line,) = [line for line in lines if line.startswith("random  ")]
    assert line.endswith("32.1 (32.0 to 32.2)")
    rows = [results.row(cut(point)) for point in PUBLISHED]
    own, equal = sweep_claims.by_widths(rows, "rail", "trained").values()
    assert own["relevance"] == equal["relevance"] and own["random"] == pytest.approx([0.27, 0.271, 0.272])


def test_the_command_decides_and_writes(tmp_path):
    plan = checkout() / "data" / "sweeps" / "experts-rail-scenes-widths-as-cut.toml"
    for point in AS_CUT:
        write_record(record_file(tmp_path, point), cut(point))
    result = CliRunner().invoke(app.app, ["sweep", str(plan), "--out", str(tmp_path), "--decide"])
    assert result.exit_code == 0, result.output
    (file,) = (tmp_path / "claims").iterdir()
    assert file.name == "06_cut_out_relevant_experts.rail-scenes-widths-as-cut.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    assert "B5f" in result.output and [claim["id"] for claim in content["claims"]] == ["B5f", "B5h"]
    assert len(results.recorded(content)) == len(AS_CUT)


@pytest.mark.parametrize("plan", ["experts-berdiba-widths", "experts-berdiba-widths-as-cut"])
def test_plans_of_the_published_set_decide_as_much(plan):
    points = points_of(plan)
    assert sweep_claims.check(points) == "berdiba"
    assert {point.values["net"] for point in points} == {"resnet101"}
    (claim, *_) = sweep_claims.decided(points, [cut(point) for point in points]).content["claims"]
    assert claim["at_scale"] and claim["dataset"] == "berdiba"


@pytest.mark.parametrize(
    "change",
    [{"widths": "own"}, {"keep": 0.4}, {"seed": 3}, {"dataset": "camvid"}, {"wanted": ("rail", "sky")}, {"steps": 1}],
)
def test_other_plans_decide_nothing(change):
    other = [dataclasses.replace(POINTS[0], values=POINTS[0].values | change), *POINTS[1:]]
    for points in (other, points_of("experts-rail-scenes"), POINTS[:3], points_of("pruning-layers")):
        with pytest.raises(UserError, match="--decide is for plans of experts of one class and size"):
            sweep_claims.check(points)
