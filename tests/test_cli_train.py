"""`relcomp train`: what it writes, how it goes on after Ctrl-C, and what it says of bad input."""

import csv
import dataclasses
import json
import sys

import pytest
import torch
from torch.utils.data import Subset

from relcomp_kit.cli import app
from relcomp_kit.datasets import scenes
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints, segmentation_training
from relcomp_kit.studies.segmentation import training as train_net

QUICK = ("--profile", "quick", "--size", "32x48", "--steps", "3", "--batch", "4", "--precision", "fp32")
NAME = "compact-rail-scenes-0"


@pytest.fixture
def call(monkeypatch, own_cache, tmp_path):
    """``call(*arguments)`` trains on a few small scenes and returns the exit status."""
    load = scenes.load_scenes

    def load_few(name, size):
        few = load(name, size)
        parts = {split: Subset(getattr(few, split), range(8)) for split in ("train", "validation", "test")}
        return dataclasses.replace(few, **parts)

    monkeypatch.setattr(scenes, "load_scenes", load_few)
    recipe = train_net.training_recipe
    monkeypatch.setattr(
        train_net,
        "training_recipe",
        lambda *what, **how: dataclasses.replace(recipe(*what, **how), validate_every=2, class_weights=None),
    )

    def run(*arguments) -> int:
        monkeypatch.setattr(sys, "argv", ["relcomp", "train", *map(str, arguments), "--out", str(tmp_path / "out")])
        with pytest.raises(SystemExit) as stop:
            app.main()
        return stop.value.code or 0

    return run


@pytest.mark.slow
def test_weights_log_and_scores_are_written_and_a_second_run_only_tests(call, tmp_path, monkeypatch, capsys):
    assert call(*QUICK, "--tensorboard", tmp_path / "board") == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [f"{NAME}.csv", f"{NAME}.json", f"{NAME}.safetensors"]
    scores = json.loads((out / f"{NAME}.json").read_text())
    assert scores["recipe"]["size"] == [32, 48] and scores["recipe"]["steps"] == 3
    assert scores["commit"] and scores["seconds"] > 0
    confusion = torch.tensor(scores["confusion"])
    assert scores["test"]["pixel_accuracy"] == pytest.approx((confusion.trace() / confusion.sum()).item())
    assert list(scores["test"]["iou"]) == scores["classes"] and len(scores["classes"]) == 7
    with (out / f"{NAME}.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2", "3"]
    assert list((tmp_path / "board").iterdir())
    net, info = checkpoints.load(out / f"{NAME}.safetensors", scores["classes"])
    assert info["test"] == scores["test"] and info["commit"] == scores["commit"]
    assert next(net.parameters()).dtype == torch.float32
    printed = capsys.readouterr()
    assert "STAND-IN" in printed.out and f"{scores['test']['miou']:.3f} mIoU" in printed.out and printed.err == ""

    (out / f"{NAME}.csv").unlink()
    train = segmentation_training.train
    monkeypatch.setattr(segmentation_training, "train", None)
    assert call(*QUICK) == 0
    assert json.loads((out / f"{NAME}.json").read_text()) == scores
    assert (out / f"{NAME}.csv").is_file()
    asked = []
    monkeypatch.setattr(
        segmentation_training, "train", lambda *what, **how: asked.append(how["partial"]) or train(*what, **how)
    )
    assert call(*QUICK, "--no-resume") == 0
    assert len(asked) == 1


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(call, monkeypatch, capsys):
    steps = []

    def report(line, step, total, text):
        steps.append(step)
        if steps == [1, 2, 3]:
            raise KeyboardInterrupt

    monkeypatch.setattr(train_net.StepsLine, "__call__", report)
    arguments = [*QUICK, "--steps", "4"]
    assert call(*arguments) == 130
    said = capsys.readouterr().err
    assert "the last validation (every 2 steps)" in said and "run the same command again to go on" in said
    assert call(*arguments) == 0
    assert steps == [1, 2, 3, 3, 4]


@pytest.mark.slow
def test_a_net_is_recorded_with_its_log(call, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoints, "_folder", lambda: tmp_path / "checkpoints")
    assert call(*QUICK, "--record", "--seed", 5) == 1
    assert "--record keeps nets of the full recipe alone" in capsys.readouterr().err and not checkpoints.committed()
    monkeypatch.setattr(train_net, "check_fit_to_record", lambda recipe: None)
    assert call(*QUICK, "--record", "--seed", 5) == 0
    name = "compact-rail-scenes-5"
    assert list(checkpoints.committed()) == [name]
    assert {path.suffix for path in (tmp_path / "checkpoints").glob(f"{name}.*")} == {".safetensors", ".csv", ".json"}
    checkpoints.load_net(name, scenes.load_scenes("rail-scenes", (32, 32)).classes)


def test_other_steps_leave_the_share_of_half_size_and_another_size_none():
    def chosen(**changes):
        recipe = train_net.choose_recipe("compact", "rail-scenes-192x320", "full", **changes)
        return recipe.steps, recipe.half_size_steps

    assert chosen() == (4500, 3000) and chosen(steps=9000) == (9000, 6000) and chosen(steps=1) == (1, 0)
    assert chosen(size=(96, 160)) == (4500, 0) and chosen(size=(192, 320)) == (4500, 3000)
    assert chosen(steps=100, half_size_steps=10) == (100, 10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["resnet19"], "there is no net 'resnet19'; choose one of compact, resnet50, resnet101, mlp-gsc"),
        (
            ["--dataset", "mnist"],
            "there is no set of scenes 'mnist'; choose one of rail-scenes, rail-scenes-192x320",
        ),
        (["--size", "96"], "--size is '96': write height x width in pixels, such as 96x160"),
        (["--size", "8x8"], "32 pixels each at least, not (8, 8)"),
        (["--pretrained"], "no pre-trained weights of the compact net"),
        (["--profile", "long"], "there is no profile 'long'"),
        (["--steps", "0"], "steps is 0: it must be above 0"),
        (["--lr", "0"], "learning_rate is 0.0: it must be above 0"),
        (["--seed", "-1"], "seed -1 is below 0"),
        (["--precision", "fp16"], "no precision 'fp16'"),
        (["--devices", "0"], "take 1 at least"),
        (["--devices", "3"], "a batch of 4 cannot be shared by 3 processes"),
    ],
)
def test_bad_input_is_answered_in_one_sentence(call, capsys, arguments, words):
    assert call(*QUICK, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("relcomp: ") and words in line


def test_the_line_of_a_resumed_training_counts_what_is_left(monkeypatch):
    shown = []
    monkeypatch.setattr(train_net.Progress, "_write", lambda self, text: shown.append(text))
    with train_net.StepsLine("training") as line:
        for step in (8, 9, 10):
            line(step, 10, "loss 1")
    assert shown[0] == "training: 0 of 3"
    assert shown[2].startswith("training, step 9 of 10, loss 1: 2 of 3, about")
    assert shown[-1] == ""


@pytest.mark.slow
def test_another_training_of_the_same_net_is_not_overwritten(call, tmp_path, capsys):
    assert call(*QUICK) == 0
    assert call(*QUICK, "--steps", 2) == 1
    assert "is of another training of this net: choose another folder with --out" in capsys.readouterr().err
    (scores,) = tmp_path.rglob("compact-rail-scenes-*.json")
    for content in ("", "[]", "{}", '{"recipe": 3}', '{"recipe": {"steps": -1}}', '{"recipe": {"size": 5}}'):
        scores.write_text(content, encoding="utf-8")
        assert call(*QUICK) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("relcomp: ") and scores.read_text(encoding="utf-8") == content


def test_committed_nets_name_their_code(monkeypatch):
    recipe = train_net.training_recipe("compact", "rail-scenes", "full")
    monkeypatch.setattr(train_net, "commit", lambda: "abc")
    train_net.check_fit_to_record(recipe)
    monkeypatch.setattr(train_net, "commit", lambda: "abc+")
    with pytest.raises(UserError, match="commit your changes first"):
        train_net.check_fit_to_record(recipe)
