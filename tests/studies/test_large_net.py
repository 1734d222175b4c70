"""`relcomp large`: rehearsed on the processor, planned by its clock, cut short with a word, and going on."""

import json
import math
import sys
from dataclasses import replace

import pytest
import torch

from relcomp_kit.artifacts import read_artifact
from relcomp_kit.cli import app
from relcomp_kit.compression import nnc
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.datasets.stacked import in_memory
from relcomp_kit.demonstrator import nets
from relcomp_kit.errors import UserError
from relcomp_kit.studies.large_net import stages
from relcomp_kit.studies.large_net.clock import CAREFUL, SHARES, SPARE, Clock, OutOfTime
from relcomp_kit.studies.large_net.run import Plan, Run, Settings

SMALL = Settings("compact", (32, 64), batch=4)
FILES = ["expert-rail-20.nnc", "expert-rail-50.nnc", "net.nnc", "record.json", "relevance.safetensors"]


@pytest.fixture
def call(own_cache, tmp_path, monkeypatch):
    """``call(*arguments)`` runs the command and returns the exit status."""
    monkeypatch.setattr(stages, "REHEARSED", 8)
    monkeypatch.setenv("RELCOMP_THREADS", "1")

    def run(*arguments) -> int:
        command = ["relcomp", "large", *map(str, arguments), "--out", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            app.main()
        return stop.value.code or 0

    return run


def measured(record: dict, name: str) -> list[dict]:
    return [one for one in record["measurements"] if one["name"] == name]


@pytest.mark.slow
def test_a_rehearsal_leaves_all_files_and_a_record_and_a_second_one_trains_nothing_anew(
    call, tmp_path, capsys, monkeypatch
):
    arguments = ("--net", "compact", "--size", "32x64", "--batch", 4, "--steps", 2)
    assert call(*arguments) == 0
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == FILES
    record = json.loads((out / "record.json").read_text())
    assert record["device"] and record["commit"] and record["settings"]["steps"] == 2
    assert [one["stage"] for one in measured(record, "time")] == [
        *("scenes", "train", "relevance", "quantize", "experts", "files", "all")
    ]
    assert {one["stage"]: one["value"] for one in measured(record, "steps")} == dict.fromkeys(
        ("train", "net, quantized", "expert-rail-50", "expert-rail-50, quantized", "expert-rail-20",
         "expert-rail-20, quantized"), 2,
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert "CUT SHORT: 2 steps of training, of 4,500" in printed and "mIoU" in printed
    cut = [one["value"] for one in measured(record, "cut short")]
    assert len(cut) == 7 and all(f"CUT SHORT: {what}" in printed for what in cut)
    decoded = nnc.decode((out / "net.nnc").read_bytes())
    assert list(decoded.paths) == ["expert-rail-50", "expert-rail-20"] and decoded.info["net"] == "compact"
    kept = [one["value"] for one in measured(record, "multiply-adds")]
    assert 0.5 <= kept[0] < 0.6 and 0.2 <= kept[1] < 0.3
    assert all(one["value"] < stages.MOST_BYTES for one in measured(record, "file"))
    relevance, about = read_artifact(out / "relevance.safetensors")
    assert about["scenes"] == 8 and all(value.ndim == 1 for value in relevance.values())
    assert nets.load(str(out / "expert-rail-20.nnc")).size == (32, 64)  # the demonstrator opens what it leaves

    monkeypatch.setattr("relcomp_kit.models.segmentation_training.train", None)
    monkeypatch.setattr("relcomp_kit.compression.ecqx.qat.train", None)
    assert call(*arguments) == 0
    again = json.loads((out / "record.json").read_text())
    assert measured(again, "mIoU") == measured(record, "mIoU")


@pytest.fixture
def data(monkeypatch):
    return in_memory(load_scenes("rail-scenes", (32, 64)), 1, 8)


@pytest.fixture
def make(own_cache, tmp_path):
    """``make(settings, minutes)`` is a run whose lines are in ``said``."""

    def new(settings=SMALL, minutes=9.0) -> Run:
        said: list[str] = []
        run = Run(settings, minutes, tmp_path / "out", said.append)
        run.said = said
        return run

    return new


@pytest.mark.slow
def test_a_training_that_is_out_of_time_gives_its_best_state_and_says_so(make, data, monkeypatch):
    run = make()
    run.plan.content["steps"] = {"train": 8}
    steps = []

    def check(stage):
        steps.append(stage)
        if len(steps) == 5:
            raise OutOfTime(stage)

    monkeypatch.setattr(run.clock, "check", check)
    net = stages._trained(run, data)
    assert run.said == ["CUT SHORT: the training ended at step 4 of 8, as time was over"]
    assert measured(run.record.content, "steps")[0]["value"] == 4
    assert not net.training
    with pytest.raises(UserError, match="before the first validation"):
        stages._reached(make(), stages.training_recipe("compact", "rail-scenes"), data)


@pytest.mark.slow
def test_a_net_is_quantized_without_training_where_time_is_over(make, data):
    run = make(minutes=0)
    net = stages.deeplab("compact", 7).eval()
    quantized = stages._quantized(run, "quantize", "net", net, data, 500)
    assert run.said == ["CUT SHORT: net: quantized without training, as time was over"]
    assert 0 < quantized.sparsity < 1
    before = {name: value.clone() for name, value in net.state_dict().items()}
    stages._train_further(run, "expert-rail-50", net, data, 0.5)
    assert run.said[1:] == ["CUT SHORT: expert-rail-50: as cut, as time was over"]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.slow
def test_steps_are_timed_once_and_kept(make, data, tmp_path):
    run = make(minutes=60)
    recipe = replace(stages.training_recipe("compact", "rail-scenes"), size=(32, 64), batch=4)
    steps = run.plan.steps("train", lambda: stages._training_steps(run, recipe, data))
    step, validation = run.seconds
    assert 1 <= steps <= 4500 and step > 0 and validation > 0
    again = make(minutes=60)
    assert again.plan.steps("train", lambda: pytest.fail("it was kept")) == steps and again.seconds == (
        step,
        validation,
    )
    assert 1 <= stages._qat_steps(run, "quantize", stages.deeplab("compact", 7).eval(), data, 500, 1.0) <= 500
    with pytest.raises(UserError, match=r"plan.json is of a run with other settings: choose another folder"):
        make(replace(SMALL, seed=1))


def test_the_clock_keeps_time_for_the_stages_behind():
    clock = Clock(100.0)
    train = clock.left("train")
    assert train == pytest.approx(100 * (1 - SPARE - sum(SHARES.values())), abs=0.1)
    assert clock.left("files") == pytest.approx(100 * (1 - SPARE), abs=0.1)
    assert clock.steps("train", 10**6, 0.1) == pytest.approx(CAREFUL * train / 0.1, rel=0.01)
    assert clock.steps("train", 10**6, 0.1, others=train) == 1
    assert clock.steps("train", 5, 0.1) == 5
    clock.check("train")
    clock.started -= 101
    for stage in ("train", *SHARES):
        with pytest.raises(OutOfTime):
            clock.check(stage)
    endless = Clock(math.inf)
    endless.check("train")
    assert endless.steps("train", 7, 1e9) == 7


def test_a_file_that_is_too_large_is_named(make, data, monkeypatch):
    monkeypatch.setattr(stages, "MOST_BYTES", 1000)
    net = stages.deeplab("compact", 7).eval()
    run = make()
    with pytest.raises(UserError, match=r"net.nnc has .* bytes, more than 1,000"):
        stages._write(run, "net", stages.ecqx.quantize(net, 4, 0.2), net, data, {})
    assert Plan(run.out / "none.json", SMALL).content["steps"] == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--net", "vgg16"], "there is no net 'vgg16'"),
        (["--size", "12"], "--size is '12'"),
        (["--size", "8x8"], "32 pix"),
    ],
)
def test_bad_input_is_answered_in_one_sentence(call, capsys, arguments, words):
    assert call("--steps", 1, *arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("relcomp: ") and words in line
