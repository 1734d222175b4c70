"""What lesson 04 measures, on nets and scenes small enough to check by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.data import Subset

from relcomp_kit.datasets import load_scenes
from relcomp_kit.evidence.record import Record
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.relevance import lrp
from relcomp_kit.studies.profiles import RelevanceBudget
from relcomp_kit.studies.relevance import examples
from relcomp_kit.studies.relevance import measurement as study
from relcomp_kit.studies.relevance import results as results_of
from relcomp_kit.studies.segmentation.measurement import firsts, from_checkpoint

BUDGET = RelevanceBudget(
    scenes=2,
    oracle_channels=8,
    oracle_weights=8,
    oracle_scenes=2,
    test_scenes=2,
    shares={"layer": [0.0, 0.5], "weights": [0.5, 0.9]},
    reference_scenes=4,
    seeds=(0, 1),
)


@pytest.fixture(scope="module")
def data():
    return load_scenes("rail-scenes", (48, 80))


@pytest.fixture(scope="module")
def nets(data):
    return [from_checkpoint(f"compact-rail-scenes-{seed}", data.classes) for seed in BUDGET.seeds]


@pytest.fixture(scope="module")
def results(nets, data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELCOMP_CACHE", str(tmp_path_factory.mktemp("cache")))
        first = study.measured(nets[0], data, BUDGET)
        assert study.measured(nets[0], data, BUDGET) == first  # from the cache
    return [first]


def test_a_curve_begins_with_the_net_as_it_is(results, nets, data):
    whole = evaluate(nets[0].net, firsts(data.test, BUDGET.test_scenes), data.classes, precision="auto")
    for what, by_scope in results[0]["curves"].items():
        for curve in by_scope["layer"]["least"].values():
            assert len(curve) == 2 and curve[0] == whole[what] and curve[1] != whole[what]


def test_batches_are_the_first_scenes(data):
    made = study.batches(data.test, 5, size=2)
    assert [len(x) for x, _ in made] == [2, 2, 1]
    assert torch.equal(made[1][1][0], data.test[2][1].as_subclass(torch.Tensor))


def test_loss_start_is_the_first_taylor_term_of_the_loss():
    draw = torch.Generator().manual_seed(0)
    torch.manual_seed(0)  # of the weights
    net = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False)).eval()
    x, target = torch.randn(6, 5, generator=draw), torch.tensor([0, 1, 2, 0, 1, 255])
    found = lrp.weight_relevance(net, [(x, target)], start=study.loss_start, aggregate="sum")
    loss = nn.functional.cross_entropy(net(x), target, ignore_index=255, reduction="sum")
    for name, weight in net.named_parameters():
        expected = -weight * torch.autograd.grad(loss, weight, retain_graph=True)[0]
        assert torch.allclose(found[name], expected, atol=1e-5)


def test_corners_of_equal_opposite_and_independent_rankings():
    draw = torch.Generator().manual_seed(0)
    size = torch.rand(10_000, generator=draw)
    assert study.corners(-size, size) == (pytest.approx(1.0), 0.0, 0.0)
    assert study.corners(size, 1 - size) == (pytest.approx(-1.0), pytest.approx(0.25), pytest.approx(0.25))
    together, large, small = study.corners(size, torch.rand(10_000, generator=draw))
    assert (
        abs(together) < 0.03 and large == pytest.approx(1 / 16, abs=0.01) and small == pytest.approx(1 / 16, abs=0.01)
    )


def test_layers_count_by_their_weights():
    net = nn.Sequential(nn.Linear(10, 30, bias=False), nn.Linear(30, 10, bias=False))
    relevance = {"0.weight": net[0].weight.detach().abs(), "1.weight": 1 - net[1].weight.detach().abs()}
    assert study.all_corners(net, relevance)["correlation"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.slow
def test_measured_holds_every_measure(results, data):
    for found in results:
        occurring = {
            data.classes[k] for _, labels in study.batches(data.train, BUDGET.scenes) for k in labels.unique() if k < 7
        }
        assert set(found["corners"]) == {"all classes", *occurring}
        for kind in ("filters", "weights"):
            assert set(found["correlation"][kind]) == set(study.MEASURES)
            assert all(-1 <= value <= 1 for value in found["correlation"][kind].values())
        for what in ("pixel_accuracy", "miou"):
            assert set(found["curves"][what]) == set(BUDGET.shares)
            orders = found["curves"][what]["layer"].values()
            starts = {curve[0] for measures in orders for curve in measures.values()}
            assert len(starts) == 1  # nothing removed: one and the same net


@pytest.mark.slow
def test_random_orders_begin_with_the_whole_net_and_differ(nets, data, tmp_path, monkeypatch):
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path))
    monkeypatch.setattr(study, "RANDOM_ORDERS", 2)
    one, other = study.random_orders(nets[0], data, BUDGET)
    assert one[0] == other[0] and one[1] != other[1]


@pytest.mark.slow
def test_record_decides_four_claims_and_is_summed_up(results, nets):
    record = Record("04_ask_which_weights_matter", "quick", "rail-scenes")
    random = [[[0.9, 0.3], [0.9, 0.5]]]
    results_of.note(record, nets[:1], results, random, BUDGET)
    results_of.decide(record, nets[:1], results, random, BUDGET)
    assert record.content["claims"][2]["measured"].endswith("against 65.0 %")  # the mean of both orders
    assert [claim["id"] for claim in record.content["claims"]] == ["B3", "B4", "B4c", "B4d"]
    lines = results_of.summary(record.content)
    assert [line.split("  ")[0].strip() for line in lines[1:]] == list(study.MEASURES)
    shares, curves = results_of.recorded_curves(record.content, "layer")
    assert shares == [0.0, 0.5] and curves["most"][study.LRP] == [
        results[0]["curves"]["pixel_accuracy"]["layer"]["most"][study.LRP]
    ]
    assert not any(
        math.isnan(entry["value"]) for entry in record.content["measurements"] if isinstance(entry["value"], float)
    )


def test_nets_are_the_committed_ones(data):
    assert [made.seed for made in examples.nets(data, "quick")] == [0, 1, 2]


@pytest.mark.slow
def test_rare_classes_are_predicted_where_they_say(nets, data):
    asked = examples.rare_classes(nets[0].net, data, scenes=12)
    assert len(asked) == 2
    for class_, scenes in asked.items():
        counts = [int((examples.predict(nets[0].net, data.test[index][0]) == class_).sum()) for index in scenes]
        assert counts == sorted(counts, reverse=True) and counts[-1] >= examples.FEWEST_PIXELS


@pytest.mark.slow
def test_real_frames_are_those_with_most_of_the_class(data, tmp_path, monkeypatch):
    """A set in a folder is what real frames are; without the folder there are none."""
    name, few = "compact-rail-scenes-0", replace(data, test=Subset(data.test, range(6)))
    monkeypatch.setattr(examples.folders, "find", lambda name: (tmp_path, "cache"))
    monkeypatch.setattr(examples, "load_scenes", lambda name, size: few)
    found = examples.real_frames(name, "rail", 3)
    counts = [int(mask.sum()) for mask in found.predicted]
    every = [int((examples.predict(found.net, image) == 0).sum()) for image, _ in few.test]
    assert counts == sorted(every, reverse=True)[:3] and found.class_ == 0
    assert [heat.shape for heat in found.heatmaps("epsilon")] == [(48, 80)] * 3
    monkeypatch.undo()
    monkeypatch.setenv("RELCOMP_DATA", str(tmp_path))
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path))
    made = SimpleNamespace(recipe=Recipe("compact", "camvid", (9, 9), 1))
    monkeypatch.setattr(examples, "from_checkpoint", lambda name: made)
    assert examples.real_frames(name, "tree", 3) is None


@pytest.mark.slow
def test_crops_show_what_was_asked_for(nets, data):
    net = nets[0].net
    class_ = data.classes.index("trackbed")
    crops = examples.reference_crops(net, firsts(data.test, 6), "classifier.0", class_, [0, 5], 6, crops=2)
    assert set(crops) == {"RelMax", "ActMax"}
    for rows in crops.values():
        assert [len(row) for row in rows] == [2, 2]
        assert all(crop.shape == (3, 40, 40) and crop.dtype == torch.uint8 for row in rows for crop in row)


@pytest.mark.parametrize(("inputs", "steps"), [(784, 28), (64, 16), (97, 1)])
def test_flipping_steps_divide_the_inputs(inputs, steps):
    assert examples.steps_for(torch.zeros(1, inputs)) == steps
