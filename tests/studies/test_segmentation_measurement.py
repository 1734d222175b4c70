"""What lesson 03 stands on: its recipes, where its nets come from, and which measurement decides which claim."""

import copy
import dataclasses
import math

import pytest
import torch
from torchvision import tv_tensors

from relcomp_kit.datasets.rail_scenes import CLASSES as RAIL
from relcomp_kit.datasets.rail_scenes import WEATHERS
from relcomp_kit.datasets.scene_names import DRAWN_SIZE, SCENE_NAMES
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.evidence.record import Record
from relcomp_kit.files import read_json
from relcomp_kit.models import checkpoints
from relcomp_kit.models.deeplab import COCO_WEIGHTS, SIZES, deeplab
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.studies.profiles import CPU_STEPS, HALF_SIZE_FIRST, PROFILES, STEPS, get_profile, training_recipe
from relcomp_kit.studies.segmentation import measurement as study
from relcomp_kit.studies.segmentation import new_task
from relcomp_kit.studies.segmentation import results as results_of
from relcomp_kit.studies.segmentation.measurement import Segmenter

CLASSES = ("red", "green", "blue")
LESSON = "03_teach_a_net_the_railway"


def scenes(count: int, seed: int = 0, size=(32, 40)) -> list:
    """Scenes whose pixels have the colour of their class; the first row is void."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        label = torch.randint(3, (4, 5), generator=draw).repeat_interleave(8, 0).repeat_interleave(8, 1)
        image = 30 + 170 * torch.nn.functional.one_hot(label, 3).permute(2, 0, 1)
        label = label.to(torch.uint8)
        label[0] = VOID
        found.append((tv_tensors.Image(image.to(torch.uint8)), tv_tensors.Mask(label)))
    return found


def scene_set(name: str = "rail-scenes", **splits) -> SceneSet:
    splits = {"train": scenes(8), "validation": scenes(2, 1), "test": scenes(3, 2)} | splits
    return SceneSet(name, CLASSES, ((0, 0, 0),) * 3, **splits, sha256="of this test", source="this test")


@pytest.fixture(scope="module")
def net():
    return deeplab("compact", 3, seed=1).eval()


def every_recipe() -> dict:
    """(net, dataset, profile, pretrained) -> recipe, for all that can be asked for."""
    return {
        (net, dataset, profile, pretrained): training_recipe(net, dataset, profile, pretrained=pretrained)
        for net in SIZES
        for dataset in SCENE_NAMES
        for profile in PROFILES
        for pretrained in ((False, True) if net in COCO_WEIGHTS else (False,))
    }


@pytest.mark.parametrize("gpu", [True, False])
def test_trainings_are_shortened_in_quick_and_where_there_is_no_gpu(gpu, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    for (net, dataset, profile, pretrained), recipe in every_recipe().items():
        assert (recipe.net, recipe.dataset, recipe.pretrained) == (net, dataset, pretrained)
        assert recipe.validate_every < recipe.steps, "the curve that one watches has more than its end"
        assert min(recipe.size) >= 96
        shortened = {"quick": get_profile("quick").segmentation.live_steps}
        if not gpu and (net, dataset) in CPU_STEPS:
            shortened["full"] = CPU_STEPS[net, dataset]
        assert recipe.steps == shortened.get(profile, STEPS[net]) <= STEPS[net]


def test_what_starts_from_coco_is_trained_as_published():
    for (net, dataset, _, pretrained), recipe in every_recipe().items():
        rates = [recipe.learning_rate_at(step) for step in (0, recipe.steps - 1)]
        if pretrained:
            assert (rates, recipe.weight_decay, recipe.class_weights) == ([1e-4, 1e-4], 0, None)
        else:
            assert rates[0] > 1e-4 and rates[1] == pytest.approx(rates[0] * recipe.steps**-0.9), (
                "poly falls to almost 0"
            )
        assert recipe.augment == (dataset not in DRAWN_SIZE), net
        larger = dataset in HALF_SIZE_FIRST and not pretrained
        assert recipe.half_size_steps == (2 * recipe.steps // 3 if larger else 0), "the cheap steps come first"


def test_one_size_serves_the_set_and_all_that_is_trained_on_it():
    for dataset in SCENE_NAMES:
        for profile in PROFILES:
            sizes = {training_recipe(net, dataset, profile).size for net in SIZES}
            watched = study.live_recipe(dataset, profile)
            assert sizes == {watched.size} and watched.steps == get_profile(profile).segmentation.live_steps
            share = 2 / 3 if training_recipe("compact", dataset, profile).half_size_steps else 0
            assert watched.half_size_steps == pytest.approx(share * watched.steps, abs=3)


def test_few_scenes_are_enough_to_settle_and_to_train_a_classifier(net):
    settled = new_task.settle(copy.deepcopy(net), scenes(3))
    assert not settled.training
    few = new_task.Relabelled(scenes(3), (0, 1, 1))
    new_task.train_classifier(new_task.new_classifier(settled, 2, 0), few, 2, 0)


def test_without_network_every_net_starts_from_scratch(own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    for name in SIZES:
        assert study.recipe_for(name, "camvid", "full") == training_recipe(name, "camvid", "full")


def test_coco_weights_are_taken_by_large_nets_in_full_alone(monkeypatch):
    asked = []
    monkeypatch.setattr(study, "coco_state", lambda name: asked.append(name) or {"weight": torch.ones(1)})
    taken = {(n, p) for n in SIZES for p in PROFILES if study.recipe_for(n, "camvid", p).pretrained}
    assert taken == {("resnet50", "full"), ("resnet101", "full")}
    assert asked == ["resnet50", "resnet101"], "quick needs no download"


def stored(net, seed: int, tmp_path) -> str:
    """Commit a net to the folder of checkpoints; return its name."""
    name = checkpoints.name_of("compact", "rail-scenes", seed)
    recipe = dataclasses.asdict(training_recipe("compact", "rail-scenes"))
    info = {"net": "compact", "classes": list(CLASSES), "seed": seed, "recipe": recipe}
    info |= {"history": [{"step": 3150, "seconds": 600.0}], "commit": "abc"}
    checkpoints.commit_checkpoint(checkpoints.save_half(tmp_path / f"{name}.safetensors", net.state_dict(), info))
    return name


@pytest.fixture
def committed(net, tmp_path, monkeypatch):
    """The names of two committed nets, seeds 0 and 2 of compact on rail scenes."""
    monkeypatch.setattr(checkpoints, "_folder", lambda: tmp_path / "checkpoints")
    return [stored(net, seed, tmp_path) for seed in (0, 2)]


def test_quick_takes_the_committed_nets_and_trains_what_is_not(committed, net, monkeypatch):
    trained = []
    monkeypatch.setattr(study, "train_now", lambda data, recipe, seed: trained.append((recipe, seed)) or (recipe, seed))
    first, second, third = study.segmenters(scene_set(), "quick")
    assert trained == [second] == [(study.recipe_for("compact", "rail-scenes", "quick"), 1)]
    for made, seed in ((first, 0), (third, 2)):
        assert (made.name, made.seed, made.commit, made.net.training) == ("compact", seed, "abc", False)
        assert made.recipe == training_recipe("compact", "rail-scenes")
        assert made.source == f"checkpoint {committed[seed // 2]}, from scratch, 4,500 steps of 8 scenes"
        torch.testing.assert_close(made.net.state_dict(), net.state_dict(), rtol=2**-10, atol=2**-24)


def test_full_trains_all_nets_that_the_profile_names(committed, own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    monkeypatch.setattr(study, "train_now", lambda data, recipe, seed: (recipe, seed))
    for dataset in SCENE_NAMES:
        wanted = PROFILES["full"].segmentation.seeds.get(dataset, {"compact": (0, 1, 2)})
        assert study.segmenters(scene_set(dataset), "full") == [
            (training_recipe(name, dataset, "full"), seed) for name, seeds in wanted.items() for seed in seeds
        ]


@pytest.mark.slow
def test_what_was_trained_stays_in_the_cache(own_cache, monkeypatch):
    recipe = Recipe("compact", "rail-scenes", (32, 40), steps=2, batch=4, validate_every=1, precision="fp32")
    data = scene_set()
    made = study.train_now(data, recipe, 5)
    assert (made.name, made.seed, made.recipe, made.net.training) == ("compact", 5, recipe, False)
    assert [row["step"] for row in made.history] == [1, 2]
    assert made.source == "trained from scratch, 2 steps of 4 scenes"
    best = max(row["miou"] for row in made.history)
    assert evaluate(made.net, data.validation, CLASSES)["miou"] == pytest.approx(best, abs=1e-5)
    monkeypatch.setattr("relcomp_kit.models.segmentation_training.train", None)
    again = study.train_now(data, recipe, 5)
    assert (again.history, again.commit) == (made.history, made.commit)
    torch.testing.assert_close(again.net.state_dict(), made.net.state_dict(), rtol=0, atol=0)


def test_the_class_of_a_pixel_is_that_of_the_highest_output(net):
    for image, label in scenes(2):
        before = image.clone()
        found = study.predict(net, image)
        assert (found.shape, found.dtype, type(found)) == (label.shape, torch.uint8, torch.Tensor)
        with torch.no_grad():
            logits = net(normalize(image.as_subclass(torch.Tensor)[None]))["out"][0]
        chosen = logits.gather(0, found.long()[None])[0]
        assert (chosen >= logits).all()
        assert torch.equal(image, before)


def test_a_part_of_the_test_split_is_its_first_scenes(net, own_cache, monkeypatch):
    data = scene_set()
    made = segmenter("compact", 0, net=net)
    for count, split in ((None, data.test), (2, data.test[:2]), (99, data.test)):
        found, expected = study.test_scores(made, data, count), evaluate(net, split, CLASSES, precision="auto")
        assert torch.equal(found["confusion"], expected["confusion"])
    assert found["confusion"].sum() == 3 * 31 * 40
    monkeypatch.setattr(study, "evaluate", None)  # what was tested is remembered, for this net and this split alone
    assert torch.equal(study.test_scores(made, data)["confusion"], found["confusion"])
    with pytest.raises(TypeError):
        study.test_scores(segmenter("compact", 0, net=deeplab("compact", 3, seed=2).eval()), data)


class Guess(torch.nn.Module):
    """Says the same class everywhere, or, if it sees, another one where the image is bright."""

    def __init__(self, sees: bool):
        super().__init__()
        self.sees = torch.nn.Parameter(torch.tensor(float(sees)))

    def forward(self, x):
        out = torch.zeros(len(x), len(RAIL), *x.shape[2:])
        out[:, 2] = 1
        if self.sees:
            out[:, 4] = 2 * (x.mean(1) > 0)
        return {"out": out}


def test_weather_changes_what_is_seen_and_not_what_is_there(own_cache):
    found = study.weather_scores([Guess(sees=False), Guess(sees=True)], load_scenes("rail-scenes"), 2)
    assert tuple(found) == WEATHERS and "snow" in found
    blind, seeing = zip(*found.values())
    assert len(set(blind)) == 1
    assert len(set(seeing)) > 1


@pytest.mark.parametrize("groups", [(0, 1, 1), (1, 0, VOID), (0, 0, 0)])
def test_classes_are_merged_and_void_stays_void(groups):
    split = scenes(2)
    merged = new_task.Relabelled(split, groups)
    assert len(merged) == 2
    for (image, label), (same_image, new) in zip(split, (merged[0], merged[1])):
        assert same_image is image
        expected = [[VOID if old == VOID else groups[old] for old in row] for row in label.tolist()]
        assert new.tolist() == expected and new.dtype == torch.uint8
        assert label.unique().tolist() == [0, 1, 2, VOID], "the split itself is left as it was"


def test_a_label_that_is_no_class_becomes_void():
    split = [(image, tv_tensors.Mask(label.clamp(min=2))) for image, label in scenes(1)]
    assert new_task.Relabelled(split, (0, 1))[0][1].unique().tolist() == [VOID]


def test_a_new_classifier_is_one_new_convolution_on_a_frozen_net(net):
    before = copy.deepcopy(net.state_dict())
    learns = {name: weight.requires_grad for name, weight in net.named_parameters()}
    torch.manual_seed(7)
    kept = torch.random.get_rng_state()
    made, again, other = (new_task.new_classifier(net, 2, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), kept)
    new = {"classifier.4.weight", "classifier.4.bias"}
    assert {name for name, weight in made.named_parameters() if weight.requires_grad} == new
    for name, value in made.state_dict().items():
        if name in new:
            assert len(value) == 2
            assert torch.equal(value, again.state_dict()[name]) and not torch.equal(value, other.state_dict()[name])
        else:
            assert torch.equal(value, before[name])
    with torch.no_grad():
        assert made(torch.rand(1, 3, 32, 40))["out"].shape == (1, 2, 32, 40)
    assert {name: weight.requires_grad for name, weight in net.named_parameters()} == learns
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.slow
def test_training_a_new_classifier_changes_nothing_else(net):
    before = copy.deepcopy(net.state_dict())
    task = new_task.Relabelled(scenes(12), (0, 1, 1))
    made = new_task.new_classifier(net, 2, 0)
    start = copy.deepcopy(made)
    trained = new_task.train_classifier(made, task, 15, 0)
    changed = {name for name, value in trained.state_dict().items() if not torch.equal(value, start.state_dict()[name])}
    assert changed == {"classifier.4.weight", "classifier.4.bias"}, "nor a statistic of batch-norm"
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)

    def loss(of):
        with torch.no_grad():
            rows = [(of(normalize(image.as_subclass(torch.Tensor)[None]))["out"], label) for image, label in task]
        return sum(torch.nn.functional.cross_entropy(x, y[None].long(), ignore_index=VOID).item() for x, y in rows)

    assert loss(trained) < loss(start)


def segmenter(name: str, seed: int, *, net=None, pretrained: bool = False, steps: int | None = None) -> Segmenter:
    recipe = Recipe(name, "rail-scenes", (96, 160), steps or STEPS[name], batch=8, pretrained=pretrained)
    return Segmenter(name, seed, net, recipe, [{"seconds": 90.0}, {"seconds": 600.0}], "this test", "abc")


def result(accuracy: float) -> dict:
    return {"pixel_accuracy": accuracy, "miou": 0.5, "iou": {"red": 0.7, "green": 0.3, "blue": math.nan}}


def decided(dataset: str, scene_count: int, nets: list, accuracies: list) -> dict:
    """Return the only claim that was decided by nets with these accuracies, on a set of so many scenes."""
    data = scene_set(dataset, train=range(scene_count - 3), validation=range(1), test=range(2))
    record = Record(LESSON, "full", dataset)
    results = {(made.name, made.seed): result(value) for made, value in zip(nets, accuracies, strict=True)}
    results_of.decide(record, data, nets, results)
    (claim,) = record.content["claims"]
    return claim


PUBLISHED_NET = [segmenter("resnet101", seed, pretrained=True) for seed in (0, 1, 2)]
FROM_SCRATCH = [segmenter("resnet101", seed) for seed in (0, 1, 2)]
ONE_FROM_SCRATCH = [*PUBLISHED_NET[:2], FROM_SCRATCH[2]]
CUT_SHORT = [segmenter("resnet101", seed, pretrained=True, steps=150) for seed in (0, 1, 2)]
OTHER_NET = [segmenter("resnet50", seed, pretrained=True) for seed in (0, 1, 2)]


@pytest.mark.parametrize(
    ("dataset", "scene_count", "nets", "at_scale", "if_met", "if_failed"),
    [
        ("berdiba", 5000, PUBLISHED_NET, True, "reproduced", "not reproduced"),
        ("berdiba", 4999, PUBLISHED_NET, False, "holds on a stand-in", "not testable here"),
        ("berdiba", 5000, FROM_SCRATCH, False, "holds on a stand-in", "not testable here"),
        ("berdiba", 5000, ONE_FROM_SCRATCH, False, "holds on a stand-in", "not testable here"),
        ("berdiba", 5000, CUT_SHORT, False, "holds on a stand-in", "not testable here"),
        ("berdiba", 5000, OTHER_NET, False, "holds on a stand-in", "not testable here"),
        (
            "rail-scenes",
            5000,
            PUBLISHED_NET,
            False,
            "not testable here",
            "not testable here",
        ),  # drawn as hard as we like
        ("rail-scenes", 5000, FROM_SCRATCH, False, "not testable here", "not testable here"),
        ("railsem19", 8500, PUBLISHED_NET, True, "reproduced", "not reproduced"),
        ("railsem19", 10, PUBLISHED_NET, False, "holds on a stand-in", "not testable here"),
        ("railsem19", 8500, FROM_SCRATCH, False, "holds on a stand-in", "not testable here"),
    ],
)
def test_a_claim_is_met_or_refuted_by_the_published_net_on_the_published_set(
    dataset, scene_count, nets, at_scale, if_met, if_failed
):
    published = {"B1": 0.912, "B2": 0.862}
    name = "B2" if dataset == "railsem19" else "B1"
    for shift, verdict in ((0.001, if_met), (-0.001, if_failed)):
        claim = decided(dataset, scene_count, nets, [published[name] + shift] * 3)
        assert (claim["id"], claim["at_scale"], claim["seeds"]) == (name, at_scale, [0, 1, 2])
        assert (claim["verdict"], claim["dataset"]) == (verdict, dataset)


@pytest.mark.parametrize("dataset", sorted({*SCENE_NAMES} - {*DRAWN_SIZE, "berdiba", "railsem19"}))
def test_other_sets_decide_nothing(dataset):
    record = Record(LESSON, "full", dataset)
    data = scene_set(dataset, train=range(9997), validation=range(1), test=range(2))
    results_of.decide(record, data, PUBLISHED_NET, {("resnet101", seed): result(0.99) for seed in (0, 1, 2)})
    assert record.content["claims"] == []


def test_the_net_with_the_most_seeds_decides():
    small = [segmenter("compact", seed) for seed in (0, 1, 2)]
    for nets in ([PUBLISHED_NET[0], *small], [*small, PUBLISHED_NET[0]]):
        accuracies = [0.99 if made.name == "resnet101" else 0.93 + 0.01 * made.seed for made in nets]
        claim = decided("berdiba", 5000, nets, accuracies)
        assert (claim["at_scale"], claim["seeds"]) == (False, [0, 1, 2])
        assert claim["margins"] == {"91.2 % are reached": pytest.approx([0.018, 0.028, 0.038])}


def test_a_record_says_what_each_net_reached_and_which_was_cut_short(monkeypatch, tmp_path):
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))
    nets = [segmenter("compact", 0), segmenter("compact", 1, steps=5000), segmenter("resnet50", 0, steps=500)]
    record = Record(LESSON, "full", "rail-scenes")
    accuracies = {("compact", 0): 0.8766, ("compact", 1): 0.9, ("resnet50", 0): 0.7}
    results_of.note(record, nets, {key: result(value) for key, value in accuracies.items()})
    record.measure("pixel accuracy by weather", [0.9, 0.5], "share", labels=["day", "snow"])
    record.save()
    content = read_json(tmp_path / f"{LESSON}.json")
    assert content.pop("sha256")
    kept = copy.deepcopy(content)
    assert results_of.summary(content) == [
        "rail-scenes, compact, seed 0: pixel accuracy 87.7%, mIoU 0.500; 4,500 steps of 8 in 10 min",
        "rail-scenes, compact, seed 1: pixel accuracy 90.0%, mIoU 0.500; 5,000 steps of 8 in 10 min",
        "rail-scenes, resnet50, seed 0: pixel accuracy 70.0%, mIoU 0.500; 500 steps of 8 in 10 min, "
        "CUT SHORT from 9,000",
    ]
    assert content == kept == record.content
    per_class = [entry for entry in content["measurements"] if entry["name"] == "IoU per class"]
    assert [(entry["classes"], entry["value"]) for entry in per_class] == [(list(CLASSES), [0.7, 0.3, None])] * 3
    assert {entry["made_by"] for entry in per_class} == {"abc"}
