"""Trained experts: each file is of its net as it is now, and is shown as the net of its own that it is."""

import dataclasses
import json

import pytest
import torch

from relcomp_kit.compression import experts, nnc
from relcomp_kit.compression.experts import ALL
from relcomp_kit.demonstrator import PathChoice, State, answer, engine, expert_training, nets, paths, trained
from relcomp_kit.demonstrator.checks import fitted
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints
from relcomp_kit.studies.segmentation.measurement import predict

FILES = sorted(nets.experts_folder("x").parent.glob("*/*.nnc"))
RAIL = PathChoice("trained", ("rail-50",))


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_every_file_is_of_its_net_as_it_is_now(file):
    net, told = nets.load(file.parent.name), json.loads(file.with_suffix(".json").read_text())
    found = trained.load(net, file.stem)
    assert told["expert"].items() <= found.about.items() and told["bytes"] == found.file_bytes
    choice = PathChoice(found.about["kind"], tuple(found.about["classes"]), found.about["keep"])
    assert experts.similarity(found.path, paths.path_of(net, choice))[ALL] > 0.998  # ties by rounding
    assert told["MACs"] == pytest.approx(experts.macs(found.net, net.example)[ALL] / net.macs[ALL])
    test = told["test"]
    assert test["decoded"].keys() == set(net.classes)
    assert test["as cut"]["rail"] < test["decoded"]["rail"] <= test["super-net"]["rail"] + 0.02


@pytest.mark.slow
def test_it_is_shown_as_a_net_of_its_own(net):
    shown = answer(State(paths=(RAIL, PathChoice()), latency=True))
    mine, cut = shown.experts
    one = trained.load(net, "rail-50")
    assert torch.equal(mine.prediction, predict(one.net, shown.image))
    assert (mine.name, mine.bytes, mine.coded) == ("trained rail-50", one.file_bytes, True)
    assert (mine.macs, mine.parameters) == (cut.macs, cut.parameters), "the filters are those of the expert as cut"
    assert mine.parameters == pytest.approx(experts.parameters(one.net)[ALL] / net.parameters[ALL])
    assert mine.latency and mine.latency < shown.net.latency
    assert mine.layers[0].parameter is None and mine.layers[0].pruned == pytest.approx(cut.layers[0].pruned)
    tested = engine._test_iou(net, RAIL, 2)
    assert tested.keys() == set(net.classes) and tested != engine._test_iou(net, None, 2)


def test_another_net_without_it_gets_an_expert_as_cut():
    state = fitted(dataclasses.replace(State(net="compact-camvid-0"), paths=(RAIL,)))
    assert [path.kind for path in state.paths] == ["class"]


def test_it_is_one_and_fixed():
    with pytest.raises(UserError, match="cannot be joined: name one"):
        PathChoice("trained", ("rail-50", "magnitude-50"))
    with pytest.raises(UserError, match="the filters of a trained expert are fixed"):
        PathChoice("trained", ("rail-50",), layers=(("backbone.layer1.0.conv1", 0.5),))


@pytest.mark.slow
def test_a_file_of_another_net_is_refused(net, tmp_path):
    other = dataclasses.replace(net, name="compact-rail-scenes-1")
    with pytest.raises(UserError, match="cut out of another net than compact-rail-scenes-1 is now"):
        trained.load(other, "rail-50")
    plain = tmp_path / "plain.nnc"
    plain.write_bytes(nnc.encode(net.quantized, info={"net": "compact"}))
    with pytest.raises(UserError, match="cut out of another net"):
        trained.load(dataclasses.replace(net, trained={"plain": plain}), "plain")


@pytest.mark.slow
def test_one_is_made_in_a_few_steps(net, tmp_path, monkeypatch, own_cache):
    few = lambda split: torch.utils.data.Subset(split, range(8))  # noqa: E731
    data = expert_training.relevance.training_data(net)
    data = dataclasses.replace(data, **{part: few(getattr(data, part)) for part in ("train", "validation", "test")})
    monkeypatch.setattr(expert_training.relevance, "training_data", lambda _: data)
    monkeypatch.setattr(nets, "experts_folder", lambda name: tmp_path / name)
    file = expert_training.record(net.name, PathChoice("magnitude", (), 0.5), steps=6)
    assert file == tmp_path / net.name / "magnitude-50.nnc"
    made = trained.load(dataclasses.replace(net, trained={"magnitude-50": file}), "magnitude-50")
    assert made.about["steps"] == [6, 2] and made.about["checkpoint"] == checkpoints.committed()[net.name]["sha256"]
    assert json.loads(file.with_suffix(".json").read_text())["test"].keys() == {
        *("super-net", "as cut", "trained", "decoded")
    }
