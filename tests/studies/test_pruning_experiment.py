"""The arms of the pruning experiment: the published ones are there, controls match, nothing is computed twice."""

import dataclasses
import io
import os
import sys

import pytest
import torch

from relcomp_kit import datasets, progress
from relcomp_kit.cache import LOCKS
from relcomp_kit.compression.iterative_pruning import prune_iteratively
from relcomp_kit.compression.pruning_plan import Plan
from relcomp_kit.errors import UserError
from relcomp_kit.studies.profiles import PROFILES, get_profile
from relcomp_kit.studies.pruning import experiment as arms
from relcomp_kit.studies.pruning.experiment import Arm, pruning_arms, run_arms

TINY = dataclasses.replace(
    PROFILES["quick"].pruning, seeds=(0,), steps=3, first_training=10, fine_tuning=2, sf=(0.6, 0.95), converge_steps=3
)


def test_full_profile_is_the_published_budget():
    budget = get_profile("full").pruning
    assert (budget.steps, budget.first_training, budget.fine_tuning) == (150, 1551, 775)
    assert {0.55, 0.6, 0.75, 0.9, 0.95} <= set(budget.sf) and set(budget.sf) >= {0.1, 0.2, 0.3, 0.4, 0.5}
    assert budget.at_scale and not get_profile("quick").pruning.at_scale
    for profile in PROFILES.values():
        assert len(profile.pruning.seeds) >= 3 and len(profile.saliency.seeds) >= 3
        assert profile.saliency.oracle_images >= 500
    with pytest.raises(UserError, match="no profile 'huge'; choose one of quick, full"):
        get_profile("huge")


@pytest.mark.parametrize("name", PROFILES)
def test_controls_stand_beside_the_published_arms(name):
    budget = PROFILES[name].pruning
    groups = pruning_arms(budget)
    published = groups["pruned"]
    assert {(arm.plan.seed, arm.plan.sf) for arm in published} == {(s, f) for s in budget.seeds for f in budget.sf}
    assert {arm.plan.protocol for arm in published} == {"program"}
    assert all(arm.plan.rule == "none" and arm.plan.steps == budget.steps for arm in groups["unpruned"])
    assert {arm.plan.images for arm in groups["train images"]} == {"train"}
    assert groups["two classes"][0].plan.classes == groups["two classes, unpruned"][0].plan.classes == (3, 8)
    assert all(arm.plan.rule == "none" for arm in groups["two classes, unpruned"])
    for group in groups.values():
        assert {arm.plan.seed for arm in group} == set(budget.seeds)
        for arm in group:
            assert (arm.plan.rule == "match") == (arm.like is not None)
            if arm.like:  # no reference is computed for a control alone, and both see the same net
                assert Arm(arm.like) in published
                assert (arm.like.seed, arm.like.sf) == (arm.plan.seed, arm.plan.sf)
    assert {"random", "magnitude"} <= groups.keys()
    assert ({"text", "oracle", "probabilistic", "rank"} <= groups.keys()) == (name == "full")


def test_arms_are_computed_once_and_controls_match(own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "1")
    groups, digits = pruning_arms(TINY), datasets.load("digits")
    wanted = groups["random"] + groups["unpruned"]
    found = run_arms(digits, wanted)
    assert list(found) == wanted
    files = sorted(name.split("-")[0] for name in os.listdir(own_cache / "artifacts") if name != LOCKS)
    assert files == ["net", "pruning", "pruning", "pruning"]  # trained once for all; the reference came along
    assert not list(own_cache.rglob("*.partial"))
    reference = run_arms(digits, [Arm(groups["random"][0].like)])
    counts = next(iter(reference.values()))[0]["counts"]
    assert torch.equal(found[wanted[0]][0]["counts"], counts)
    assert counts[-1].sum() < counts[0].sum()

    def fail(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(arms, "prune_iteratively", fail)
    again = run_arms(digits, wanted)
    for arm, (tensors, info) in found.items():
        assert again[arm][1] == info
        assert all(torch.equal(value, again[arm][0][name]) for name, value in tensors.items())


def test_an_arm_from_the_shared_net_is_the_arm_trained_alone(own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "1")
    digits, arm = datasets.load("digits"), pruning_arms(TINY)["pruned"][0]
    tensors, info = run_arms(digits, [arm])[arm]
    alone, alone_info = prune_iteratively(digits, arm.plan)
    assert tensors.keys() == alone.keys()
    assert all(torch.equal(value, alone[name]) for name, value in tensors.items())
    assert info["curve"] == alone_info["curve"]


@pytest.mark.slow
def test_sweeps_find_the_arms_of_the_lesson(own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "1")
    groups = pruning_arms(TINY)
    wanted = [groups[name][0] for name in ("pruned", "at once", "random")]
    found = run_arms(datasets.load("digits"), wanted)
    monkeypatch.setattr(arms, "prune_iteratively", None)  # all is in the cache
    for arm, (_, info) in found.items():
        values = {field.name: getattr(arm.plan, field.name) for field in dataclasses.fields(arm.plan)}
        measured = arms.prune(dataset="digits", at_once=arm.at_once, **values)
        assert measured["test accuracy"] == (info["curve"]["test"], "share")
        assert measured["weights left"][0] == info["curve"]["left"] and measured["made by"] == info["commit"]


def test_sweeps_take_no_stand_in_and_no_arm_that_is_none(monkeypatch):
    digits = datasets.load("digits")
    monkeypatch.setattr(arms, "_dataset", lambda name: dataclasses.replace(digits, stand_in_for="mnist"))
    with pytest.raises(UserError, match="mnist is not on this machine: run `relcomp fetch mnist`, or take"):
        arms.prune(seed=0)
    monkeypatch.setattr(arms, "_dataset", lambda name: digits)
    with pytest.raises(UserError, match="at_once is for the rule 'match'"):
        arms.prune(seed=0, dataset="digits", at_once=True)


def test_a_failing_arm_is_told_with_its_traceback(own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "1")
    monkeypatch.setattr(arms, "prune_iteratively", None)
    with pytest.raises(RuntimeError, match=r"TypeError: 'NoneType' object is not callable\nTraceback .*"):
        run_arms(datasets.load("digits"), pruning_arms(TINY)["unpruned"])


@pytest.mark.slow
def test_every_group_of_arms_runs(own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "1")
    groups = pruning_arms(TINY)
    found = run_arms(datasets.load("digits"), [arm for group in groups.values() for arm in group])
    assert all(0 <= accuracy <= 1 for _, info in found.values() for accuracy in info["curve"]["test"])


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_says_how_far_and_leaves_nothing_behind(monkeypatch):
    shown = Terminal()
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(progress.sys, "stderr", shown)
    with progress.Progress("curves", 2) as bar:
        bar.advance()
        bar.advance()
    lines = shown.getvalue().split("\r")
    assert lines[1].startswith("curves: 0 of 2")
    assert lines[2].startswith("curves: 1 of 2, about 0 s left")
    assert lines[3].startswith("curves: 2 of 2")
    assert lines[-1] == "" and lines[-2].strip() == "" and len(lines[-2]) >= len(lines[3].rstrip())


def test_progress_in_a_log_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress.Progress("curves", 3, log_every=60) as bar:
        bar.advance()
        bar.say("one failed")
        monkeypatch.setattr(bar, "_logged", bar._logged - 60)
        bar.advance()
        bar.advance()
    shown = capsys.readouterr().err.splitlines()
    assert shown[:2] == ["curves: 0 of 3", "one failed"] and shown[3:] == ["curves: 3 of 3"]
    assert shown[2].startswith("curves: 2 of 3, about 0 s left")


def test_progress_is_silent_without_a_terminal(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with progress.Progress("curves", 1) as bar:
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_a_notebook_gets_few_messages_however_many_steps_there_are(monkeypatch):
    """More than 1,000 that wait are lost, and with them the one that says that a cell has ended."""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    shown = []
    monkeypatch.setattr(progress.Progress, "_write", lambda bar, line: shown.append(line))
    with progress.Progress("steps", 10_000) as bar:
        for _ in range(10_000):
            bar.advance()
    assert len(shown) == 2 + progress.UPDATES and shown[-2].startswith("steps: 10000 of 10000")
    shown.clear()
    with progress.Progress("steps", 3) as bar:
        for _ in range(3):
            bar.advance()
    assert [line.partition(" of")[0] for line in shown] == ["steps: 0", "steps: 1", "steps: 2", "steps: 3", ""]
    shown.clear()
    monkeypatch.setattr(progress, "SECONDS", 0)
    with progress.Progress("steps", 1000) as bar:
        bar.advance()
    assert shown[1].startswith("steps: 1 of 1000")


def test_other_initial_weights_are_another_arm_and_the_old_arms_are_found_again():
    published, glorot = Arm(Plan()), Arm(Plan(initial="glorot"))
    assert "initial" not in published.config()["plan"]
    assert glorot.config()["plan"] == published.config()["plan"] | {"initial": "glorot"}
    with pytest.raises(UserError, match="a pruning plan knows no 'he'; choose one of torch, glorot"):
        Plan(initial="he")
