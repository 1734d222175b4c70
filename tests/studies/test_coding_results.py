"""What lesson 07 makes of a sweep's rows: the smallest good file, ladders, tables, claims, a record to be read back."""

import math

import pytest

from relcomp_kit.course.notebooks import find_lessons, other_datasets, own_dataset, read_source
from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.coding import measurement as coding_study
from relcomp_kit.studies.coding import results as results_of
from relcomp_kit.studies.coding import sweep_claims
from relcomp_kit.studies.plans import points
from relcomp_kit.studies.profiles import PROFILES

CODECS = {"DeepCABAC": 100, "order-0 entropy": 98, "table": 2, "Huffman": 140, "raw": 400, "bzip2": 130}
OTHERS = {"gzip": 120, "zstd": 110, "xz": 99}


def scores(accuracy, iou):
    found = {}
    for split in ("validation", "test"):
        found |= {f"{split} accuracy": accuracy, f"{split} IoU": {"rail": iou, "sky": 0.9}}
    return found


def made(kind, seed, size, accuracy=0.9, iou=0.34, arm="lrp", Lambda=0.2):
    expert = kind == "rail expert"
    how = {"net": "tanh" if kind == "thesis' net" else "compact", "dataset": "rail-scenes", "seed": seed, "arm": arm}
    how |= {"bits": 4, "Lambda": Lambda, "keep": 0.5 if expert else 1.0, "wanted": ("rail",) if expert else ()}
    files = {"exact": size + 20, "folded": size + 10, results_of.SHIPPED: size}
    return how | {
        "kind": kind,
        "float32": 10_000,
        "files": files,
        "indices": CODECS | OTHERS,
        "estimate": 300,
        "macs": 0.25 if expert else 1.0,
        "apart": None if kind == "thesis' net" else 1e-7,
        "scores": {
            "float": scores(0.9, 0.35),
            "exact": scores(accuracy, iou),
            results_of.SHIPPED: scores(accuracy, iou),
        },
    }


def sweep():
    rows = []
    for seed in range(3):
        rows += [made("thesis' net", seed, 90), made("DeepLabV3", seed, 200), made("DeepLabV3", seed, 200, arm="ecq")]
        rows += [made("DeepLabV3", seed, 100, accuracy=0.8, Lambda=0.7), made("rail expert", seed, 250)]
        rows.append(made("rail expert", seed, 50, iou=0.2, Lambda=0.4))
    return rows


def test_the_smallest_file_is_chosen_on_validation():
    good, small = made("rail expert", 0, 250), made("rail expert", 0, 50, iou=0.2)
    assert results_of.smallest([small, good], 0.02) is good
    assert results_of.smallest([small], 0.02) is None
    assert results_of.lost(small, "test") == pytest.approx(0.15)


def test_claims_follow_from_the_rows_and_come_back_from_the_record():
    rows, record = sweep(), Record("07_encode_with_nnc", "full", "rail-scenes")
    rungs = {"DeepLabV3": [{"rung": "float32", "bytes": 10_000, "accuracy": 0.9, "seed": 0}]}
    results_of.note(record, rows, rungs)
    results_of.decide(record, rows)
    assert {claim["id"]: claim["verdict"] for claim in record.content["claims"]} == {
        "B6": "holds on a stand-in",
        "B12": "holds on a stand-in",
        "B13": "holds on a stand-in",
        "B13c": "not testable here" if OTHERS["gzip"] < 100 else "partly",  # xz is ahead
        "X3c": "holds on a stand-in",  # the thesis' net is small enough
        "X3c-rail": "not testable here",  # DeepLabV3 is not
    }
    again, again_rungs = results_of.recorded(record.content)
    other = Record("07_encode_with_nnc", "full", "rail-scenes")
    results_of.decide(other, again)
    assert other.content["claims"] == record.content["claims"]
    assert again_rungs["DeepLabV3"][0]["bytes"] == 10_000
    assert len(results_of.codec_table(again)) == 1 + 3
    assert len(results_of.file_table(again)) == 1 + 5
    assert results_of.goal_lines(again)[0] == "net 0: Λ 0.2: 98.0% smaller, 0.00 points lost"
    assert "75.0 %" in results_of.slide(again)[-1] and "97.5 %" in results_of.slide(again)[-1]


def test_a_few_dozen_steps_decide_nothing_about_experts():
    rows = [row for row in sweep() if row["kind"] != "rail expert" or row["files"][results_of.SHIPPED] == 50]
    record = Record("07_encode_with_nnc", "quick", "rail-scenes")
    results_of.decide(record, rows)
    assert record.content["claims"][0]["verdict"] == "undecided"
    assert "none loses 2 points" in results_of.slide(rows)[-1]


def test_a_ladder_goes_from_the_float_net_to_the_file():
    rungs = [{"rung": name, "bytes": size, "accuracy": 0.9} for name, size in (("float32", 10_000), ("float16", 5_000))]
    ladder = results_of.ladder(results_of.select(sweep(), kind="DeepLabV3", Lambda=0.2), rungs)
    assert list(ladder)[:3] == ["float32", "float16", "ECQ, 4 bit"]
    sizes = [sum(size) / len(size) for size, _ in ladder.values()]
    assert sizes[-1] == min(sizes) and math.isclose(sizes[2], 400 + 300 - 98)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_plan_has_both_arms_and_an_expert(profile):
    for dataset, plans in PROFILES[profile].coding.plans.items():
        wanted = [point.values for plan in plans for point in points(plan)]
        assert {values["dataset"] for values in wanted} == {dataset}
        assert {values["arm"] for values in wanted if not values["wanted"] and values["bits"] == 4} == {"ecq", "lrp"}
        assert dataset == "mnist" or any(values["wanted"] for values in wanted)


def test_the_lesson_names_the_data_sets_that_it_can_take():
    notebook = read_source(find_lessons(["07"])[0])
    scenes = PROFILES["full"].coding.plans.keys() - {"mnist"}
    assert {own_dataset(notebook), *other_datasets(notebook)} == scenes
    assert coding_study.plans_of(PROFILES["full"].coding, "railsem19") == PROFILES["full"].coding.plans
    with pytest.raises(UserError, match="no plan for 'railsem19': choose profile 'full'"):
        coding_study.plans_of(PROFILES["quick"].coding, "railsem19")


def coded(point, iou):
    """The record of a point: an expert whose file takes a hundredth or a fiftieth, by how many filters it keeps."""
    values = point.values
    size = 100 if values["keep"] == 0.5 else 200
    found = {
        "float32 size": 10_000,
        "files": {"exact": size + 20, results_of.SHIPPED: size},
        "MACs": values["keep"] / 2,
    }
    found |= {"parts": {"exact": {}, results_of.SHIPPED: {}}, "indices": CODECS | OTHERS, "estimate": 300}
    found |= {"weights": 800, "sparsity": 0.4, "decoded exactly": True, "outputs apart": 1e-7, "made by": "x"}
    for file, lost in (("float", 0.0), ("exact", iou[values["keep"]]), (results_of.SHIPPED, iou[values["keep"]])):
        for split in ("validation", "test"):
            found |= {f"{file} {split} accuracy": 0.9, f"{file} {split} IoU": {"rail-track": 0.5 - lost, "human": 0.2}}
    return {"point": values, "measurements": [{"name": name, "value": value} for name, value in found.items()]}


def test_rail_track_experts_on_real_frames_decide_b7_on_a_stand_in():
    """The smallest file that is good enough on validation decides; where none is, the float net stays."""
    wanted = points("code-railsem19-rail8")

    def claim(**iou):
        content = sweep_claims.decided(wanted, [coded(one, {0.5: iou["half"], 0.6: iou["more"]}) for one in wanted])
        (found,) = content.content["claims"]
        return found

    good = claim(half=0.015, more=0.0)
    assert (good["id"], good["verdict"]) == ("B7", "holds on a stand-in")
    assert good["series"]["saved"] == pytest.approx([0.75] * 3) and good["series"]["smaller"] == pytest.approx(
        [0.99] * 3
    )
    assert "compact DeepLabV3" in good["on"] and good["seeds"] == [0, 1, 2]
    assert claim(half=0.1, more=0.01)["series"]["saved"] == pytest.approx([0.7] * 3)
    bad = claim(half=0.1, more=0.1)
    assert bad["series"]["saved"] == [0.0] * 3 and bad["verdict"] not in ("holds on a stand-in", "reproduced")
    for other in (points("code-rail-scenes-experts"), points("experts-railsem19-rail8")):
        with pytest.raises(UserError, match="for rail-track on railsem19-rail8"):
            sweep_claims.check(other)
