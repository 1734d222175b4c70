"""What lesson 06 makes of a sweep's rows: curves, the smallest good expert, claims, a record that can be read back."""

import pytest

from relcomp_kit.course.notebooks import find_lessons, other_datasets, own_dataset, read_source
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.experts import results as results_of
from relcomp_kit.studies.plans import points
from relcomp_kit.studies.profiles import PROFILES

KEEPS = (0.8, 0.5, 0.3)
CLASSES = ("rail", "sky", "sign")
AHEAD = {"rail": 0.05, "sky": 0.10, "sign": -0.02}
FREQUENCY = {"rail": 0.02, "sky": 0.3, "sign": 0.001}


def made(arm, keep, seed, wanted=("rail",), trained=0.33, validation=None):
    scores = {"test as cut": dict.fromkeys(CLASSES, trained / 2), "test trained": dict.fromkeys(CLASSES, trained)}
    scores["validation trained"] = dict.fromkeys(CLASSES, trained if validation is None else validation)
    how = {"arm": arm, "widths": "own", "keep": keep, "seed": seed, "steps": 10}
    how |= {"net": "compact", "dataset": "rail-scenes"}
    return how | {"wanted": wanted, "macs": keep**2, "parameters": keep**2, "filters": keep, "made_by": "x"} | scores


def sweep():
    rows = []
    for seed in range(3):
        whole = made("relevance", 1.0, seed)
        for split in ("test", "validation"):
            whole[f"{split} as cut"] = dict.fromkeys(CLASSES, 0.35)
            whole[f"{split} trained"] = dict.fromkeys(CLASSES, 0.36)
        rows.append(whole)
        for arm in results_of.ARMS:
            for keep in KEEPS:
                rows.append(made(arm, keep, seed, trained=0.34 if arm == "relevance" and keep > 0.4 else 0.2))
        for name in CLASSES[1:]:
            rows.append(made("relevance", 0.5, seed, (name,), trained=0.2 + AHEAD[name]))
        rows.append(made("relevance", 0.5, seed, ("rail", "sky"), trained=0.335))
    return rows


def test_the_smallest_good_expert_is_chosen_on_validation():
    start = made("relevance", 1.0, 0)
    start["validation as cut"] = {"rail": 0.35}
    small = made("relevance", 0.3, 0, trained=0.5, validation=0.32)
    middle = made("relevance", 0.5, 0, trained=0.1, validation=0.34)
    assert results_of.smallest([small, middle, made("relevance", 0.8, 0)], start, "rail") is middle
    assert results_of.smallest([small], start, "rail") is start


def test_claims_follow_from_the_rows_and_come_back_from_the_record():
    rows, record = sweep(), Record("06_cut_out_relevant_experts", "quick", "rail-scenes")
    results_of.note(record, rows)
    results_of.decide(record, rows, "rail", 0.5, FREQUENCY)
    assert {claim["id"]: claim["verdict"] for claim in record.content["claims"]} == {
        "B5": "not testable here",  # three quarters are saved, and not more
        "B5c": "holds on a stand-in",  # no expert by the average of all classes is good enough
        "B9": "holds on a stand-in",
        "B10": "partly",  # joined is as good and costs less, but the expert for sky is worth nothing
    }
    (b5, *_) = record.content["claims"]
    assert b5["measured"] == "saved 75.0 %; points of IoU lost: 1.0, which is 2.9 % of the IoU"
    assert b5["on"] == "compact DeepLabV3, 1.9 million weights, experts trained for 10 steps"
    again = results_of.recorded(record.content)
    other = Record("06_cut_out_relevant_experts", "quick", "rail-scenes")
    results_of.decide(other, again, "rail", 0.5, FREQUENCY)
    assert other.content["claims"] == record.content["claims"]
    assert len(results_of.summary(again, "rail")) == 2 + len(results_of.ARMS) * len(KEEPS)


def test_curves_begin_with_the_whole_net_and_take_the_experts_of_the_class_alone():
    found = results_of.curves(sweep(), "rail", "trained")
    curve = [(1.0, 0.36), (0.8**2, 0.34), (0.25, 0.34), (0.3**2, 0.2)]
    assert found["relevance"] == [curve] * 3
    assert results_of.curves(sweep(), "rail", "as cut")["random"][0][0] == (1.0, 0.35)


def test_scores_in_weather_come_back_from_the_record():
    record = Record("06_cut_out_relevant_experts", "quick", "rail-scenes")
    results_of.note_weather(record, {"tested in snow": {"super-net": [0.3, 0.4], "cut in snow": [0.2, 0.2]}})
    assert results_of.weather_lines(record.content) == [
        "tested in snow, super-net: 35.0 % (30.0 to 40.0)",
        "tested in snow, cut in snow: 20.0 % (20.0 to 20.0)",
    ]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_plan_has_nets_that_nothing_is_cut_from(profile):
    for dataset, plans in PROFILES[profile].experts.plans.items():
        wanted = [point for plan in plans for point in points(plan)]
        assert {point.values["dataset"] for point in wanted} == {dataset}
        whole = {point.values["seed"] for point in wanted if point.values["keep"] == 1}
        assert whole == {point.values["seed"] for point in wanted}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_lesson_names_the_data_sets_that_it_can_take(profile):
    notebook, budget = read_source(find_lessons(["06"])[0]), PROFILES[profile].experts
    assert [own_dataset(notebook), *other_datasets(notebook)] == [
        "rail-scenes",
        *sorted({*budget.plans} - {"rail-scenes"}),
    ]
    assert budget.plans.keys() == budget.wanted.keys() == budget.joined.keys()
    for dataset, names in budget.plans.items():
        wanted = {point.values["wanted"] for name in names[:1] for point in points(name)}
        assert wanted == {(budget.wanted[dataset],)}, "the plan and the budget name one class"
