"""What a net is given lies where the net lies, and what numpy is given on the processor: on a device that is pretended.

A GPU raises where tensors of two devices meet. No test without one would see that, but for `pretended`.
"""

import copy
import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import Subset

from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx.recipe import QatRecipe
from relcomp_kit.compression.ecqx.tasks import Pictures
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.segmentation_training import Recipe, train
from relcomp_kit.relevance.ablation import channel_ablation, choose_channels, choose_weights, weight_ablation
from relcomp_kit.relevance.faithfulness import magnitude_scores, pick, random_scores, rank_correlation
from relcomp_kit.relevance.lrp import (
    RULES,
    conservation,
    filter_relevance,
    heatmap,
    weight_relevance,
    weight_relevance_per_class,
)
from relcomp_kit.studies.coding import experiment as coding
from relcomp_kit.studies.coding import measurement as coding_study
from relcomp_kit.studies.experts import experiment as expert
from relcomp_kit.studies.experts import measurement as experts_study
from relcomp_kit.studies.profiles import OneShot, QuantizeBudget
from relcomp_kit.studies.quantization import experiment as quantization
from relcomp_kit.studies.quantization import measurement as quantization_study
from relcomp_kit.studies.relevance import examples
from relcomp_kit.studies.relevance import measurement as relevance_study
from relcomp_kit.studies.segmentation import measurement as segmentation
from relcomp_kit.studies.segmentation import new_task

spec = importlib.util.spec_from_file_location("pretended", Path(__file__).parent / "pretended.py")
pretended = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pretended)
pytestmark = pytest.mark.slow
SIZE = (32, 48)


@pytest.fixture
def device(monkeypatch, own_cache):
    for cached in (coding._float_scores, expert.class_relevance):
        cached.cache_clear()
    with pretended.pretended(monkeypatch) as chosen:
        yield chosen
    for cached in (coding._float_scores, expert.class_relevance):
        cached.cache_clear()


@pytest.fixture
def data():
    few = load_scenes("rail-scenes", SIZE)
    return replace(few, **{split: Subset(getattr(few, split), range(2)) for split in ("train", "validation", "test")})


@pytest.fixture
def net(device):
    return load_net("compact-rail-scenes-0").to(device)


@pytest.fixture
def images():
    draw = torch.Generator().manual_seed(0)
    return [(torch.rand(2, 3, *SIZE, generator=draw), torch.randint(7, (2, *SIZE), generator=draw))]


def test_the_pretended_device_refuses_what_a_gpu_refuses(device):
    here, there = torch.ones(2, 2), torch.ones(2, 2).to(device)
    assert there.device == device == (there @ there).device and (there + 1).sum().item() == 8
    for meet in (lambda: here + there, lambda: here @ there, lambda: torch.cat([here, there])):
        with pytest.raises(RuntimeError, match="tensors on"):
            meet()
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert torch.equal(there[torch.tensor([0])].cpu(), here[:1])  # indices may lie on the processor
    with torch.inference_mode():
        assert here.to(there).device == device and there.cpu().device == here.device
        with pytest.raises(RuntimeError, match="tensors on"):
            here * there
    weight = torch.nn.Parameter(there)
    (weight * 3).sum().backward()
    assert weight.grad.device == device and weight.grad.cpu().unique().item() == 3


@pytest.mark.parametrize("rule", RULES)
def test_relevance(net, images, rule):
    for aggregate in ("sum", "abs_of_mean", "mean_of_abs") if rule == "epsilon" else ("mean_of_abs",):
        weight_relevance(net, images, rule=rule, aggregate=aggregate)


def test_relevance_of_a_class_of_a_concept_and_by_a_start_of_one_s_own(net, images, data):
    weight_relevance_per_class(net, images, [0, 1], normalize=True, momentum=0.5)
    weight_relevance(net, images, start=relevance_study.loss_start)
    weight_relevance(net, images, concept=("backbone.layer4.1.conv2", [0, 1]))
    conservation(net, images[0][0], rule="z+")
    heatmap(net, *images[0], start="true")
    assert examples.heat(net, data.test[0][0], 0).shape == SIZE


def test_ranks_are_compared_wherever_scores_lie(device):
    one = torch.arange(4.0)
    assert rank_correlation(one.to(device), one).item() == pytest.approx(1)


def test_quantization(net, images, data, monkeypatch):
    quantized = ecqx.quantize(net, 4, 0.1, relevance=weight_relevance(net, images))
    ecqx.quantize(net, 2, 0.1, step="least-squares")
    assert all(index.device.type == "cpu" for index in quantized.indices.values())
    nnc.decode(nnc.encode(quantized))
    monkeypatch.setattr(quantization, "kept", lambda *what, **scored: (net, data))
    quantization.quantize(seed=0, arm="lrp", steps=1, batch=2, relevance_batches=1)


def test_quantization_at_once(device, data):
    made = segmentation.from_checkpoint("compact-rail-scenes-0", data.classes)
    assert next(made.net.parameters()).device == device
    budget = QuantizeBudget({}, 1, ((4, 0.2),), {"compact": OneShot((0,), 1, 1)})
    assert len(quantization_study.one_shot(made, data, budget)) > 3


def test_experts(net, data, images, monkeypatch):
    monkeypatch.setattr(expert, "kept", lambda *what, **scored: (net, data))
    for arm in ("relevance", "random"):
        expert.expert(seed=0, keep=0.5, steps=0, arm=arm, relevance_scenes=1)
    expert.train_on(copy.deepcopy(net), data, 0, 1, 2)
    example, here = experts_study.as_example(data), images[0][0][:1]
    path = experts.relevant_path(net, weight_relevance(net, images), 0.5, here, by="macs")
    assert next(experts.compact(net, path, here).parameters()).device == example.device
    with experts.gate(net, path):
        net(example)
    with experts.gate_each(net, [path, path]):
        net(torch.cat([example, example]))
    experts.folded(net, here)


def test_what_lesson_06_measures(net, data):
    example = experts_study.as_example(data)
    experts_study.channel_means(net, example, "backbone.layer1.0.conv1", torch.arange(16) < 8)
    path = experts.magnitude_path(net, 0.5, example)
    experts_study.grown(net, data.test[0][0], {"half": path}, example)
    experts_study.in_weather(net, data, "rail", 2, 2, 0.6)


def test_files(net, data):
    quantized = ecqx.quantize(net, 4, 0.1)
    made = [coding.decoded_net(nnc.encode(quantized, fold=fold), net) for fold in (False, True)]
    assert coding._apart(*made, data) < 1e-4
    coding.scores(made[0], data, 0, ("test",))
    assert coding_study.images(data, 2).device == next(made[0].parameters()).device


def test_what_lesson_04_measures(net, data):
    asked, draw = relevance_study.batches(data.train, 2), torch.Generator().manual_seed(0)
    channels, weights = choose_channels(net, 2, draw), choose_weights(net, 2, draw)
    channel_ablation(net, asked, channels)
    truth = torch.cat(list(weight_ablation(net, asked, weights, measure="loss").values()))
    of_weights = weight_relevance(net, asked)
    rank_correlation(pick(of_weights, weights).double(), truth)
    relevance_study.all_corners(net, of_weights)
    for scores in (filter_relevance(of_weights), magnitude_scores(net, filters=False), random_scores(of_weights, draw)):
        relevance_study._removal(net, {}, scores, data.test, data.classes, [0.5], "least", "layer")
    examples.rare_classes(net, data)
    examples.reference_crops(net, data.test, "backbone.layer4.1.conv2", 1, [0], 4, 1)


def test_training_and_a_new_task(net, data, monkeypatch):
    few = Recipe("compact", "rail-scenes", SIZE, steps=2, batch=2, augment=False, validate_every=1, precision="fp32")
    train(replace(few, class_weights="inverse_sqrt", weight_decay=1e-4), data, 0)
    segmentation.weather_scores([net], data, 2)
    made = new_task.settle(new_task.new_classifier(net, 2, 0), data.train)
    new_task.train_classifier(made, new_task.Relabelled(data.train, [0, 1, 1, 1, 1, 1, 1]), 2, 0)


def test_pictures_are_scored_where_the_net_lies(device):
    part = Split(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4) % 2)
    data = ImageSet("pictures", part, part, part, ("a", "b"), "none", "this test")
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    task = Pictures(net, QatRecipe(batch=2), data, 0)
    assert task.device == device
    for place in (torch.device("cpu"), device):
        assert 0 <= task.scores(net.to(place), "test")["accuracy"] <= 1
