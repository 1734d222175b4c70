"""What lesson 05 makes of a sweep's rows: curves, choices, claims, a record that can be read back."""

import math
import re
from collections import namedtuple

import pytest

from relcomp_kit.course.notebooks import other_datasets, own_dataset, read_source
from relcomp_kit.course.runner import check_request
from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.plans import points as points_of
from relcomp_kit.studies.profiles import PROFILES
from relcomp_kit.studies.quantization import results as results_of

LAMBDAS = (0.1, 0.2, 0.4)
BETTER = {"ecq": 0.0, "lrp": 0.01, "magnitude": -0.01, "random": -0.05}


def row(arm, bits=4, Lambda=0.1, seed=0, accuracy=0.9, sparsity=0.5, size=1000.0, validation=None, step_rule="p99.9"):
    return {
        "arm": arm,
        "bits": bits,
        "Lambda": Lambda,
        "seed": seed,
        "step_rule": step_rule,
        "steps": 500,
        "accuracy": accuracy,
        "validation": accuracy if validation is None else validation,
        "sparsity": sparsity,
        "bytes": size,
        "ratio": 8000.0 / size,
    }


def sweep(bits=(3, 4), seeds=(0, 1, 2)):
    """Accuracy falls linearly with sparsity; an arm is better by a constant, and reaches another range."""
    rows = []
    for arm, better in BETTER.items():
        for width in bits:
            for seed in seeds:
                for Lambda in LAMBDAS:
                    zeros = 0.3 + 1.5 * Lambda + better
                    accuracy = 0.95 - 0.1 * zeros + better + 0.001 * seed
                    rows.append(row(arm, width, Lambda, seed, accuracy, zeros, 2000 * (1 - zeros)))
    rows += [row("float", 4, 0.05, seed, 0.93 + 0.001 * seed, None, 8000.0) for seed in seeds]
    return rows


START = {seed: {"test": 0.90 + 0.001 * seed, "validation": 0.9} for seed in range(3)}


def test_mean_accuracy_is_that_of_lines_over_the_common_range():
    rows = [one for one in sweep() if one["bits"] == 4 and one["seed"] == 0]
    found = results_of.mean_accuracy(rows, "sparsity")
    middle = (max(0.45 + b for b in BETTER.values()) + min(0.9 + b for b in BETTER.values())) / 2
    for arm, better in BETTER.items():
        assert found[arm] == pytest.approx(0.95 - 0.1 * middle + better, abs=1e-9)
    assert found["lrp"] - found["random"] == pytest.approx(0.06)


def test_bytes_count_by_their_logarithm():
    rows = [row(arm, Lambda=at, accuracy=a, size=s) for arm in BETTER for at, a, s in ((1, 0.9, 1000), (2, 0.8, 100))]
    rows += [row(arm, Lambda=3, accuracy=0.4, size=10) for arm in BETTER]
    found = results_of.mean_accuracy(rows, "bytes")
    assert found["ecq"] == pytest.approx((0.85 + 0.6) / 2, abs=1e-9)  # two stretches of one decade each


def test_arms_without_a_common_range_have_no_mean():
    rows = sweep(bits=(4,), seeds=(0,))[:-1]
    far = [one | {"sparsity": one["sparsity"] + 2} if one["arm"] == "ecq" else one for one in rows]
    assert all(math.isnan(value) for value in results_of.mean_accuracy(far, "sparsity").values())


def test_choices_are_made_on_validation():
    rows = [
        row("lrp", Lambda=0.1, accuracy=0.99, validation=0.80, sparsity=0.6, size=500),
        row("lrp", Lambda=0.2, accuracy=0.70, validation=0.90, sparsity=0.7, size=400),
        row("lrp", Lambda=0.3, accuracy=0.95, validation=0.95, sparsity=0.4, size=900),
    ]
    assert results_of.best_sparse(rows)["Lambda"] == 0.2  # not the best in the test, nor the best that is not sparse
    assert results_of.best_sparse(rows[2:]) is None  # none is sparse
    assert results_of.smallest(rows, start=0.905)["Lambda"] == 0.2
    assert results_of.smallest(rows, start=0.955)["Lambda"] == 0.3
    assert results_of.smallest(rows, start=0.99) is None
    assert results_of.at_sparsity(rows, 0.65) == pytest.approx(0.845)
    assert math.isnan(results_of.at_sparsity(rows, 0.8))


def test_two_bits_are_judged_by_the_other_grid():
    both = [row("ecq", bits, step_rule=rule) for bits in (2, 3) for rule in ("p99.9", "least-squares")]
    assert [(one["bits"], one["step_rule"]) for one in results_of.judged(both)] == [(2, "least-squares"), (3, "p99.9")]


def test_claims_follow_from_the_rows_and_come_back_from_the_record():
    record = Record("05_quantize_by_relevance", "quick", "mnist")
    rows = sweep()
    results_of.note(record, rows, START)
    results_of.decide(record, rows, START)
    verdicts = {claim["id"]: claim["verdict"] for claim in record.content["claims"]}
    assert verdicts == {  # ECQ^x is a point ahead of ECQ, and more of the others
        "X1": "holds on a stand-in",
        "X1c": "not testable here",  # the float net that trained as long is three points ahead
        "X2": "holds on a stand-in",
        "X2c": "holds on a stand-in",
        "X3": "not testable here",  # 103 times is out of reach
    }
    again, start = results_of.recorded(record.content)
    other = Record("05_quantize_by_relevance", "quick", "mnist")
    results_of.decide(other, again, start)
    assert start == START and other.content["claims"] == record.content["claims"]
    assert results_of.curves(again, "bytes") == results_of.curves(results_of.select(rows), "bytes")
    text = "\n".join(results_of.summary(rows, START))
    assert re.search(r"^4 bit +LRP ", text, re.MULTILINE) and "The float net has 90.1 %" in text


@pytest.mark.parametrize("profile", PROFILES)
def test_plans_of_the_lesson_can_be_read_and_compared(profile):
    for dataset, plans in PROFILES[profile].quantize.plans.items():
        points = [point for plan in plans for point in points_of(plan)]
        assert {point.values["dataset"] for point in points} == {dataset}
        assert {"float", *BETTER} == {point.values["arm"] for point in points}
        nets = {(point.values["net"], point.values["noise"], point.values["batch"]) for point in points}
        assert len(nets) == 1  # what they score before quantization is one number a seed


def test_the_lesson_names_the_data_sets_that_it_can_take(tmp_path):
    source = check_request(["05"], "quick", tmp_path, "rail-scenes")[0]
    notebook = read_source(source)
    assert own_dataset(notebook) == "mnist" and other_datasets(notebook) == ["rail-scenes"]
    with pytest.raises(UserError, match="cannot run on 'camvid': choose one of mnist, rail-scenes"):
        check_request(["05"], "quick", tmp_path, "camvid")


def test_losses_are_held_against_the_net_that_trained_as_long():
    fair = results_of.trained_as_long(sweep())
    assert fair == {seed: {"test": 0.93 + 0.001 * seed} for seed in range(3)}
    assert "The float net has 93.1 %" in results_of.summary(sweep(), fair)[0]


def test_lrp_is_counted_against_every_other_arm_net_by_net():
    scores = {"float": (0.9, 0.9), "ecq": (0.5, 0.6), "lrp": (0.6, 0.6), "random": (0.7, 0.1)}
    each = []
    for net in range(2):
        rows = [row(arm, bits=4 if arm != "float" else None, accuracy=score[net]) for arm, score in scores.items()]
        each.append([one | {"Lambda": 0.2 if one["bits"] else None} for one in rows])
    (line,) = results_of.ahead_table(each)
    assert line == "4 bit, Λ 0.2   nets of 2 on which LRP is ahead of ECQ: 1; random: 1"


def test_all_is_noted_decided_and_saved_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))
    record = Record("05_quantize_by_relevance", "quick", "mnist")
    net = namedtuple("Net", "name seed")("compact", 0)
    text = results_of.verdicts(record, sweep(), START, {net: [row("ecq") | {"miou": 0.5}]}, "rail-scenes")
    assert re.findall(r"^\w+", text, re.MULTILINE) == [claim["id"] for claim in record.content["claims"]] != []
    names = {entry["name"] for entry in record.content["measurements"]}
    assert names == {"accuracy before quantization", "accuracy after quantization", "accuracy without training"}
    assert list(tmp_path.rglob("*.json"))
