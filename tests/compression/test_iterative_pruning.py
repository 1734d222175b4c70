"""Iterative pruning on a tiny data set: resuming, determinism, rules, class subsets, disjoint images."""

import dataclasses
from itertools import pairwise

import pytest
import torch

from relcomp_kit.compression.iterative_pruning import prune_iteratively
from relcomp_kit.compression.pruning_plan import MEASURES, Plan, split_images
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet

CLASSES = 4


def split(count, seed):
    """Images of 4x4: a bright row says the class."""
    labels = torch.arange(count) % CLASSES
    images = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 0.3
    images[torch.arange(count), 0, labels] += 0.6
    return Split(images, labels)


TINY = ImageSet("tiny", split(300, 1), split(60, 2), split(100, 3), tuple("abcd"), "0" * 64, "the test")
PLAN = Plan(steps=7, first_training=20, fine_tuning=6, first_images=40, later_images=20, images="train", sf=0.6)


def changed(**changes):
    return dataclasses.replace(PLAN, **changes)


def assert_same(one, other):
    (tensors, info), (others, other_info) = one, other
    assert tensors.keys() == others.keys()
    assert all(torch.equal(value, others[name]) for name, value in tensors.items())
    assert info == other_info


RESUMED = {
    "median, cumulated": {},
    "median, measured anew": {"cumulate": False},
    "probabilistic": {"rule": "probabilistic", "rate": 0.5},
    "rate": {"rule": "rate", "rate": 0.1, "images": "test"},
    "none": {"rule": "none"},
    "random": {"measure": "random"},
    "held after one step": {"sf": 0.95, "hold_at": 0.9},
    "text": {"protocol": "text", "steps": 5},
    "classes": {"classes": (1, 3)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("save_every", [1, 2])
def test_killed_run_resumes_bit_for_bit(name, save_every, tmp_path):
    plan, partial, seen = changed(**RESUMED[name]), tmp_path / "partial", []

    def kill(step, curve):
        seen.append(step)
        if step == 3:
            raise KeyboardInterrupt

    whole = prune_iteratively(TINY, plan)
    with pytest.raises(KeyboardInterrupt):
        prune_iteratively(TINY, plan, partial=partial, report=kill, save_every=save_every)
    resumed = prune_iteratively(
        TINY, plan, partial=partial, report=lambda step, _: seen.append(step), save_every=save_every
    )
    assert seen == [0, 1, 2, 3, *range(3 if save_every == 1 else 2, plan.steps)]  # the work before is not repeated
    assert_same(whole, resumed)


def test_seed_decides_everything():
    first, again, other = (prune_iteratively(TINY, changed(seed=seed)) for seed in (0, 0, 1))
    assert_same(first, again)
    assert not torch.equal(first[0]["layers.0.weight"], other[0]["layers.0.weight"])
    assert first[1]["plan"] == dataclasses.asdict(PLAN)


def test_curve_tells_what_happened():
    tensors, info = prune_iteratively(TINY, PLAN)
    curve = info["curve"]
    assert curve["sgd_steps"] == [20 + 6 * step for step in range(8)]
    assert curve["left"][0] == [16 * 36, 36 * 25, 25 * 4]
    for before, after in pairwise(curve["left"]):
        assert all(a <= b for a, b in zip(after, before, strict=True))
    assert sum(curve["left"][1]) < sum(curve["left"][0])
    assert tensors["counts"].sum(1).tolist() == [sum(left) for left in curve["left"]]
    masks = [tensors[f"mask.layers.{i}.weight"] for i in range(3)]
    assert [int(mask.sum()) for mask in masks] == curve["left"][-1]
    assert torch.cat([mask.sum(1) for mask in masks]).tolist() == tensors["counts"][-1].tolist()
    assert tensors["first_importance.layers.0.weight"].shape == (36, 16)
    assert max(curve["test"]) > 0.9  # the bright row is easy
    assert all(0 <= share <= 1 for share in curve["test"] + curve["validation"])


def test_first_importance_is_the_one_before_the_first_step():
    short, long = (prune_iteratively(TINY, changed(steps=steps))[0] for steps in (1, 4))
    assert torch.equal(short["first_importance.layers.0.weight"], long["first_importance.layers.0.weight"])


def test_unpruned_arm_trains_as_long():
    pruned, unpruned = (
        prune_iteratively(TINY, PLAN)[1]["curve"],
        prune_iteratively(TINY, changed(rule="none"))[1]["curve"],
    )
    assert unpruned["sgd_steps"] == pruned["sgd_steps"]
    assert {tuple(left) for left in unpruned["left"]} == {tuple(unpruned["left"][0])}
    assert unpruned["test"][0] == pruned["test"][0]


@pytest.mark.parametrize("measure", MEASURES)
def test_match_keeps_the_counts_of_its_reference(measure):
    reference = prune_iteratively(TINY, changed(steps=3))[0]["counts"]
    plan = changed(steps=3, rule="match", measure=measure, cumulate=False)
    tensors = prune_iteratively(TINY, plan, counts=reference)[0]
    assert torch.equal(tensors["counts"], reference)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_prunes_and_its_importance_is_not_negative(measure):
    tensors, info = prune_iteratively(TINY, changed(steps=1, measure=measure))
    first = [value for name, value in tensors.items() if name.startswith("first_importance")]
    assert len(first) == 3
    assert all(value.min() >= 0 and value.isfinite().all() for value in first)
    assert sum(info["curve"]["left"][1]) < sum(info["curve"]["left"][0])


def test_pruning_holds_while_training_goes_on():
    curve = prune_iteratively(TINY, changed(sf=0.8, hold_at=0.6, steps=9))[1]["curve"]
    shares = [sum(left) / sum(curve["left"][0]) for left in curve["left"]]
    held = next(i for i, share in enumerate(shares) if share <= 0.6)
    assert 0 < held < 8
    assert len(set(shares[held:])) == 1
    assert curve["sgd_steps"][-1] == 20 + 9 * 6


def test_run_stops_when_nothing_changes_any_more():
    curve = prune_iteratively(TINY, changed(rule="none", steps=50, until_unchanged=4))[1]["curve"]
    assert len(curve["left"]) == 5
    shrinking = prune_iteratively(TINY, changed(rule="rate", rate=0.01, steps=8, until_unchanged=1))[1]["curve"]
    assert len(shrinking["left"]) == 9


def test_constant_rate_empties_the_net_and_the_run_ends():
    curve = prune_iteratively(TINY, changed(rule="rate", rate=0.9, steps=50, fine_tuning=1))[1]["curve"]
    assert curve["left"][-1] == [0, 0, 0]
    assert len(curve["left"]) < 50


def test_rank_rule_keeps_its_share_at_once():
    curve = prune_iteratively(TINY, changed(rule="rank", rate=0.75, steps=2))[1]["curve"]
    assert curve["left"][1:] == [[36 * 4, 25 * 9, 4 * 6]] * 2


def test_probabilistic_rule_goes_towards_its_share():
    plan = changed(rule="probabilistic", rate=0.75, steps=30, fine_tuning=1)
    curve = prune_iteratively(TINY, plan)[1]["curve"]
    assert curve["left"][-1][0] / curve["left"][0][0] == pytest.approx(0.25, abs=0.1)


@pytest.mark.slow
def test_text_protocol_trains_until_stable():
    curve = prune_iteratively(TINY, changed(protocol="text", steps=1))[1]["curve"]
    assert curve["sgd_steps"][0] >= 300 and curve["sgd_steps"][0] % 100 == 0
    assert curve["validation"][0] > 0.95


def test_no_accuracy_on_an_image_that_importance_saw():
    rows = lambda samples: set(map(tuple, samples.x.tolist()))  # noqa: E731
    parts = split_images(TINY, changed(images="test"))
    assert (len(parts.importance), len(parts.report)) == (20, 80)
    assert len(rows(parts.importance) | rows(parts.report)) == 100
    other = split_images(TINY, changed(images="test", seed=1))
    assert rows(other.report).isdisjoint(rows(other.importance))
    training = split_images(TINY, PLAN)
    assert rows(training.importance) == rows(training.train)
    assert rows(training.importance).isdisjoint(rows(training.report) | rows(training.validation))
    assert torch.equal(training.report.labels, parts.report.labels)  # both arms report on the same images


def test_noise_differs_between_splits_and_is_drawn_once():
    parts, again = split_images(TINY, PLAN), split_images(TINY, PLAN)
    assert torch.equal(parts.train.x, again.train.x)
    same = dataclasses.replace(TINY, validation=Split(TINY.train.images, TINY.train.labels))
    twice = split_images(same, PLAN)
    assert not torch.equal(twice.train.x, twice.validation.x)


def test_net_for_two_classes_knows_no_other():
    plan = changed(classes=(1, 3))
    parts = split_images(TINY, plan)
    for samples in (parts.train, parts.validation, parts.importance, parts.report):
        assert set(samples.labels.tolist()) == {1, 3}
    tensors, info = prune_iteratively(TINY, plan)
    start = MaskedNet((16, 36, 25, CLASSES), seed=0).layers[-1]
    for row, used in enumerate((False, True, False, True)):
        assert torch.equal(tensors["layers.2.bias"][row], start.bias[row]) is not used
    assert info["curve"]["test"][-1] > 0.9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "book"}, "knows no 'book'; choose one of program, text"),
        ({"rule": "best"}, "knows no 'best'; choose one of none, median"),
        ({"measure": "luck"}, "knows no 'luck'; choose one of outer"),
        ({"images": "validation"}, "knows no 'validation'; choose one of train, test"),
        ({"sf": 0}, "SF must lie in"),
        ({"sf": 1.5}, "SF must lie in"),
        ({"sf": float("nan")}, "SF must lie in"),
        ({"rule": "probabilistic", "protocol": "text"}, "protocol 'program' only"),
    ],
)
def test_bad_plans_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        changed(**changes)


@pytest.mark.parametrize(("classes", "message"), [((7,), "no image of the classes"), ((1, 7), "classes 0 to 3")])
def test_classes_that_the_data_lacks_are_refused(classes, message):
    with pytest.raises(UserError, match=message):
        prune_iteratively(TINY, changed(classes=classes))


def test_nan_in_an_image_is_refused_before_anything_is_pruned():
    images = TINY.train.images.clone()
    images[:, 0, 2, 2] = torch.nan
    with pytest.raises(UserError, match="holds NaN; look for NaN in the net's weights or the images"):
        prune_iteratively(dataclasses.replace(TINY, train=Split(images, TINY.train.labels)), PLAN)


def test_a_damaged_state_is_put_aside_and_the_run_begins_anew(tmp_path, capsys):
    (tmp_path / "partial").write_bytes(b"no safetensors")
    found = prune_iteratively(TINY, PLAN, partial=tmp_path / "partial")[1]["curve"]
    assert found == prune_iteratively(TINY, PLAN)[1]["curve"]
    assert f"partial in {tmp_path} is damaged: it is put aside" in capsys.readouterr().err
    assert (tmp_path / "partial.damaged").read_bytes() == b"no safetensors"
