"""Training of nets that segment: it learns, resumes exactly, is shared by processes, and says what does not fit."""

import csv
import dataclasses
import logging
import os
import signal
import socket

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.utils.data import Dataset
from torchvision import tv_tensors

from relcomp_kit.artifacts import read_artifact
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.scenes import REMEMBERED_BYTES
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models import distributed, segmentation_training
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.classifiers import mlp_gsc
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.distributed import Group, launch
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.scene_batches import TrainingBatches
from relcomp_kit.models.segmentation_training import RAREST, Recipe, class_weights, train, trained
from relcomp_kit.models.training_loop import Run, memory_share, workers

CLASSES, COLOURS = ("red", "green", "blue"), ((200, 30, 30), (30, 200, 30), (30, 30, 200))


class Stripes(Dataset):
    """Scenes of three coloured stripes and noise, whose widths depend on the index; a corner is void."""

    def __init__(self, count: int, size=(32, 40), first: int = 0, highest: int = 2):
        self.count, self.size, self.first, self.highest = count, size, first, highest

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        height, width = self.size
        generator = torch.Generator().manual_seed(self.first + index)
        edges = torch.randint(1, width, (2,), generator=generator)
        label = (torch.arange(width)[:, None] >= edges).sum(1).to(torch.uint8).clamp(max=self.highest)
        label = label.expand(height, width).clone()
        image = torch.tensor(COLOURS)[label.long().clamp(max=2)].permute(2, 0, 1)
        image = (image + torch.randint(-25, 26, image.shape, generator=generator)).to(torch.uint8)
        label[: 1 + index % 7, :4] = VOID
        return tv_tensors.Image(image), tv_tensors.Mask(label)


def stripes(train_scenes: int = 10, validation_scenes: int = 5, **options) -> SceneSet:
    return SceneSet(
        name="stripes",
        classes=CLASSES,
        palette=COLOURS,
        train=Stripes(train_scenes, **options),
        validation=Stripes(validation_scenes, first=1000),
        test=Stripes(3, first=2000),
        sha256=f"stripes {train_scenes} {options}",
        source="this test",
    )


RECIPE = Recipe("compact", "stripes", (32, 40), steps=7, batch=4, validate_every=3, precision="fp32")


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Killed(Exception):
    """Stands for the end of the process."""


def kill_at(step):
    def report(done, steps, text):
        if done == step:
            raise Killed

    return report


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("killed_at", [5, 6], ids=["between validations, within an epoch", "just after a validation"])
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, killed_at, precision):
    recipe, data = dataclasses.replace(RECIPE, precision=precision), stripes()
    assert len(data.train) // recipe.batch == 2, "step 3, from which the first run resumes, lies within an epoch"
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    uninterrupted = train(recipe, data, 1, partial=whole)
    with pytest.raises(Killed):
        train(recipe, data, 1, partial=parts, report=kill_at(killed_at))
    assert read_artifact(parts)[1]["step"] == killed_at // 3 * 3
    seen = []
    resumed = train(recipe, data, 1, partial=parts, report=lambda *what: seen.append(what))
    assert [step for step, _, _ in seen] == list(range(killed_at // 3 * 3 + 1, 8))
    assert same(read_artifact(whole)[0], read_artifact(parts)[0]), "net, optimizer and best state, bit for bit"
    assert same(uninterrupted.state_dict, resumed.state_dict)
    timing = ("seconds", "images_per_second")
    rows = [[{k: v for k, v in row.items() if k not in timing} for row in r.history] for r in (uninterrupted, resumed)]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_seed_decides_and_the_random_numbers_of_the_caller_go_on(tmp_path):
    recipe = dataclasses.replace(RECIPE, steps=2)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first, again, other = (train(recipe, stripes(), seed).state_dict for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert same(first, again)
    assert not same(first, other)


def test_pixels_of_rare_classes_weigh_more_and_the_average_pixel_1():
    label = torch.tensor([[0, 0, 0, 0, VOID], [0, 1, 0, 0, 0]], dtype=torch.uint8)  # 8 to 1 to none
    data = dataclasses.replace(stripes(), train=[(torch.zeros(3, 2, 5, dtype=torch.uint8), label)])
    found = class_weights(dataclasses.replace(RECIPE, class_weights="inverse_sqrt"), data)
    assert found[1] / found[0] == pytest.approx(8**0.5)
    assert found[2] / found[0] == pytest.approx((8 / 9 / RAREST) ** 0.5), "a class that does not occur stays finite"
    assert (8 * found[0] + found[1]) / 9 == pytest.approx(1)
    assert class_weights(RECIPE, data) is None


@pytest.mark.slow
def test_training_learns_and_keeps_the_best_state(tmp_path):
    recipe = dataclasses.replace(RECIPE, steps=60, validate_every=15, batch=8, class_weights="inverse_sqrt")
    log = tmp_path / "log.csv"
    run = train(recipe, stripes(40), 0, log=log, log_dir=tmp_path / "board")
    assert run.metrics["miou"] > 2 / 3, "twice what a net reaches that always says the same class"
    assert run.metrics == max(run.history, key=lambda row: row["miou"])
    assert [row["step"] for row in run.history] == [15, 30, 45, 60]
    assert run.history[-1]["loss"] < run.history[0]["loss"] / 2
    assert run.history[-1]["epoch"] == 12
    assert run.history[1]["learning_rate"] == pytest.approx(1e-3 * (1 - 29 / 60) ** 0.9)
    net = deeplab("compact", 3)
    net.load_state_dict(run.state_dict)
    found = evaluate(net, stripes(40).validation, CLASSES, batch=2)
    assert found["miou"] == pytest.approx(run.metrics["miou"], abs=1e-4)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["validation mIoU"]) for row in rows] == pytest.approx(
        [row["miou"] for row in run.history], rel=1e-5
    )
    assert list(rows[0])[-3:] == ["IoU red", "IoU green", "IoU blue"]
    assert list((tmp_path / "board").iterdir())


@pytest.mark.slow
def test_training_stops_when_validation_does_not_become_better(tmp_path):
    recipe = dataclasses.replace(RECIPE, steps=50, validate_every=1, patience=2, learning_rate=1e-12)
    run = train(recipe, stripes(), 0, partial=tmp_path / "run")
    best = max(range(len(run.history)), key=lambda index: run.history[index]["miou"])
    assert len(run.history) == best + 3 < 50
    seen = []
    train(recipe, stripes(), 0, partial=tmp_path / "run", report=lambda *what: seen.append(what))
    assert seen == [], "a run that has stopped does not go on"


@pytest.mark.slow
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 3.0])])
def test_loss_is_the_mean_over_labelled_pixels(weights):
    net = deeplab("compact", 3)
    run = Run(Group(0, 0, 1, torch.device("cpu")), net, RECIPE, stripes(), 0, weights)
    run.plain.eval()
    images, labels = TrainingBatches(Stripes(4), dataclasses.replace(RECIPE, augment=False), 3, 0)[0]
    with torch.no_grad():
        loss = run.loss(images, labels.long())
        probability = run.plain(normalize(images))["out"].softmax(1)
    picked = [
        (float((1 if weights is None else weights[label]) * weight), label)
        for weight, label in ((1.0, int(label)) for label in labels.flatten() if label != VOID)
    ]
    probability = probability.permute(0, 2, 3, 1).reshape(-1, 3)[(labels != VOID).flatten()]
    total = -sum(weight * probability[pixel, label].log() for pixel, (weight, label) in enumerate(picked))
    assert loss.item() == pytest.approx((total / sum(weight for weight, _ in picked)).item(), rel=1e-4)
    assert run.loss(images, torch.full_like(labels, VOID).long()).item() == 0


def test_batches_depend_on_seed_step_and_position_alone():
    batches = TrainingBatches(Stripes(10), RECIPE, 3, seed=0)
    forward = [batches[step] for step in range(5)]
    for step in reversed(range(5)):
        assert all(torch.equal(one, other) for one, other in zip(batches[step], forward[step]))
    parts = [TrainingBatches(Stripes(10), RECIPE, 3, 0, rank, 2)[4][0] for rank in (0, 1)]
    assert torch.equal(torch.stack(parts, 1).flatten(0, 1), forward[4][0]), "two processes see the batch of one"
    assert not torch.equal(TrainingBatches(Stripes(10), RECIPE, 3, seed=1)[0][0], forward[0][0])


def test_first_steps_see_the_same_scenes_at_half_the_size():
    size, recipe = (32, 41), dataclasses.replace(RECIPE, size=(32, 41), augment=False)
    whole = TrainingBatches(Stripes(10, size), recipe, 3, seed=0)
    halved = TrainingBatches(Stripes(10, size), dataclasses.replace(recipe, half_size_steps=2), 3, seed=0)
    for step in (0, 1):
        (images, labels), (large, all_labels) = halved[step], whole[step]
        assert images.shape[2:] == labels.shape[1:] == (16, 20) and images.dtype == labels.dtype == torch.uint8
        mean = large[..., :40].double().unflatten(3, (20, 2)).unflatten(2, (16, 2)).mean((3, 5))
        assert (images - mean).abs().max() <= 0.5
        assert torch.equal(labels, all_labels[:, ::2, :40:2])
    assert all(torch.equal(one, other) for one, other in zip(halved[2], whole[2], strict=True))


@pytest.mark.parametrize(("device", "size"), [("cpu", 1), ("cpu", 2), ("cuda", 1), ("cuda", 4), ("cuda", 32)])
def test_all_that_load_scenes_remember_no_more_than_one_may(monkeypatch, device, size):
    monkeypatch.setenv("RELCOMP_THREADS", "16")
    group = Group(0, 0, size, torch.device(device))
    loaders = size * (workers(group) or 1)
    assert loaders == {"cpu": size, "cuda": {1: 8, 4: 16, 32: 32}.get(size)}[device]
    assert REMEMBERED_BYTES - loaders < loaders * memory_share(group) <= REMEMBERED_BYTES


class PixelNet(nn.Module):
    """A linear classifier of single pixels, without batch-norm; it notes its weights whenever it is evaluated."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x):
        if not self.training:
            torch.save(self.state_dict(), self.folder / f"{os.environ.get('RANK', 'alone')}.pth")
        return {"out": self.conv(x)}


@pytest.mark.slow
def test_two_processes_do_what_one_does_on_the_whole_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(segmentation_training, "deeplab", lambda *_, **__: PixelNet(tmp_path))
    recipe = dataclasses.replace(RECIPE, steps=4, validate_every=2, learning_rate=0.1, clip=0.5, augment=False)
    one = train(recipe, stripes(), 0)
    two = train(recipe, stripes(), 0, devices=2, partial=tmp_path / "run", log=tmp_path / "log.csv")
    ranks = [torch.load(tmp_path / f"{rank}.pth", weights_only=True) for rank in ("0", "1")]
    assert same(*ranks)
    alone = torch.load(tmp_path / "alone.pth", weights_only=True)
    for name, value in alone.items():
        torch.testing.assert_close(ranks[0][name], value, rtol=0, atol=1e-6)
    assert not same(alone, PixelNet(tmp_path).state_dict())
    for row, other in zip(one.history, two.history, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], abs=1e-6)
        assert row["iou"] == pytest.approx(other["iou"], abs=1e-6)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3


class NormNet(nn.Module):
    """Batch-norm of the pixels themselves: its running statistics follow from the images alone."""

    def __init__(self):
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        return {"out": self.conv(self.norm(x))}


@pytest.mark.slow
def test_batch_norm_keeps_the_average_of_what_the_processes_have_seen(monkeypatch, capfd):
    monkeypatch.setattr(segmentation_training, "deeplab", lambda *_, **__: NormNet())
    recipe = dataclasses.replace(RECIPE, steps=3)
    run = train(recipe, stripes(), 0, devices=2)
    own = [nn.BatchNorm2d(3), nn.BatchNorm2d(3)]
    for rank, norm in enumerate(own):
        batches = TrainingBatches(stripes().train, recipe, 3, 0, rank, 2)
        for step in range(recipe.steps):
            norm(normalize(batches[step][0]))
    for name in ("running_mean", "running_var"):
        first, second = (getattr(norm, name) for norm in own)
        assert (first - second).abs().max() > 1e-3, "the processes have seen different images"
        torch.testing.assert_close(run.state_dict[f"norm.{name}"], (first + second) / 2, rtol=0, atol=1e-6)
    assert "Warning" not in capfd.readouterr().err


def fail_in_the_second(group):
    """Work of a process; the first waits for the second, which fails."""
    if group.rank == 1:
        raise UserError("the second process has found something")
    group.total(torch.zeros(1))


@pytest.mark.slow
def test_what_a_process_finds_is_said_in_one_sentence(capfd):
    handler = signal.getsignal(signal.SIGINT)
    levels = [logging.getLogger(name).level for name in distributed.LOUD]
    with pytest.raises(UserError, match=r"^the second process has found something$"):
        launch(fail_in_the_second, devices=2)
    assert "Traceback" not in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is handler, "Ctrl-C means again what it meant"
    assert [logging.getLogger(name).level for name in distributed.LOUD] == levels


@pytest.mark.skipif(choose_device().type == "cuda", reason="there is a GPU")
def test_processes_that_cannot_meet_are_refused(monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="set MASTER_ADDR and MASTER_PORT"):
        launch(fail_in_the_second, machines=2)
    with pytest.raises(UserError, match="take 1 at least"):
        launch(fail_in_the_second, devices=0)
    monkeypatch.setenv("MASTER_ADDR", "no-such-machine.invalid")
    for port in ("http", "-1", "0", "65536"):
        monkeypatch.setenv("MASTER_PORT", port)
        with pytest.raises(UserError, match=rf"^MASTER_PORT is '{port}': set it to a whole number from 1 to 65535"):
            launch(fail_in_the_second, machines=2)
    monkeypatch.setenv("MASTER_PORT", "29500")
    with pytest.raises(UserError, match=r"^MASTER_ADDR is 'no-such-machine.invalid', which this machine does not know"):
        launch(fail_in_the_second, machines=2)


@pytest.mark.slow
@pytest.mark.skipif(choose_device().type == "cuda", reason="there is a GPU")
def test_a_machine_that_does_not_come_is_waited_for_so_long(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(port))
    monkeypatch.setattr(distributed, "WAIT", 1)
    with pytest.raises(
        UserError, match=rf"^2 machines have not met at 127.0.0.1:{port}: start the same command on all"
    ):
        launch(fail_in_the_second, machines=2)


@pytest.mark.slow
def test_a_trained_net_comes_from_the_cache(own_cache, tmp_path, monkeypatch):
    recipe = dataclasses.replace(RECIPE, steps=2, validate_every=1)
    first, note = trained(recipe, stripes(), 0, note={"commit": "abc"})
    assert not list(own_cache.rglob("*.partial"))
    monkeypatch.setattr(segmentation_training, "train", None)
    board = tmp_path / "board"
    again, kept = trained(recipe, stripes(), 0, note={"commit": "def"}, log_dir=board)
    events = EventAccumulator(str(board)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("validation mIoU")] == [
        (row["step"], pytest.approx(row["miou"])) for row in first.history
    ]
    trained(recipe, stripes(), 0, log_dir=board)
    assert len(list(board.iterdir())) == 1, "what is written already is not written again"
    assert note == kept == {"commit": "abc"}
    assert same(first.state_dict, again.state_dict)
    assert (first.history, first.metrics) == (again.history, again.metrics)
    with pytest.raises(TypeError):
        trained(recipe, stripes(), 1)


@pytest.mark.slow
def test_the_state_of_another_training_is_refused(tmp_path, monkeypatch):
    partial = tmp_path / "run"
    train(dataclasses.replace(RECIPE, steps=2), stripes(), 0, partial=partial)
    kept = partial.read_bytes()
    for recipe, data, seed, what in (
        (dataclasses.replace(RECIPE, steps=2, clip=2.0), stripes(), 0, "clip"),
        (dataclasses.replace(RECIPE, steps=3), stripes(), 4, "seed, steps"),
        (dataclasses.replace(RECIPE, steps=2), stripes(11), 0, "data"),
    ):
        with pytest.raises(UserError, match=rf"run is the state of another training \({what}\): delete it"):
            train(recipe, data, seed, partial=partial)
    monkeypatch.setattr(segmentation_training, "VERSION", segmentation_training.VERSION + 1)
    with pytest.raises(UserError, match=r"run is the state of another training \(version\): delete it"):
        train(dataclasses.replace(RECIPE, steps=2), stripes(), 0, partial=partial)
    assert partial.read_bytes() == kept


def test_a_loss_that_is_no_number_ends_the_run():
    recipe = dataclasses.replace(RECIPE, learning_rate=1e30)
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step \d: take a lower learning rate than 1e\+30"):
        train(recipe, stripes(), 0)


def test_a_label_that_is_no_class_ends_the_run():
    data = dataclasses.replace(stripes(), classes=CLASSES[:2])
    with pytest.raises(UserError, match="hold the label 2, and the classes are 0 to 1, or 255 for none"):
        train(RECIPE, data, 0)


@pytest.mark.parametrize(
    ("changes", "data", "seed", "devices", "words"),
    [
        ({"dataset": "camvid"}, stripes(), 0, 1, "the recipe is for camvid and the data are stripes"),
        ({"size": (32, 32)}, stripes(), 0, 1, "32x40 and the recipe's 32x32: load the set with the recipe's size"),
        ({}, stripes(0), 0, 1, "no scene in its train split"),
        ({}, stripes(10, 0), 0, 1, "no scene in its validation split"),
        ({}, stripes(), -1, 1, "seed -1 is below 0"),
        ({"batch": 5}, stripes(), 0, 2, "a batch of 5 cannot be shared by 2 processes"),
        ({"batch": 2}, stripes(), 0, 2, "2 images for each"),
        ({}, stripes(1), 0, 1, "a batch of 1 cannot be shared by 1 processes"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, data, seed, devices, words):
    with pytest.raises(UserError, match=words):
        train(dataclasses.replace(RECIPE, **changes), data, seed, devices=devices)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "steps is 0: it must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"schedule": "cosine"}, "no schedule 'cosine'; choose one of constant, poly"),
        ({"class_weights": "balanced"}, "choose one of None, inverse_sqrt"),
        ({"patience": 0}, "patience is 0"),
        ({"half_size_steps": 9999}, "half_size_steps is 9999: take 0 to"),
        ({"pretrained": True, "start": "compact-camvid-0"}, "COCO weights or from compact-camvid-0, not from both"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(RECIPE, **changes)


def test_a_training_starts_from_another_net_with_a_new_last_convolution():
    """What one tiny step leaves is the other net, but for the last convolution, which the seed decides."""
    recipe = dataclasses.replace(RECIPE, steps=1, learning_rate=1e-12, start="compact-camvid-0", validate_every=1)
    assert recipe.origin == "compact-camvid-0"
    found, theirs = train(recipe, stripes(), 0).state_dict, load_net("compact-camvid-0").state_dict()
    new = {name for name in found if name.startswith("classifier.4.")}
    for name, value in found.items():
        if value.is_floating_point() and name not in new and "running" not in name:
            torch.testing.assert_close(value, theirs[name], atol=1e-6, rtol=1e-5)
    assert {found[name].shape[0] for name in new} == {len(stripes().classes)}


def test_a_net_that_cannot_start_another_is_refused(monkeypatch):
    with pytest.raises(UserError, match="no committed net 'compact-mars-0'"):
        train(dataclasses.replace(RECIPE, start="compact-mars-0"), stripes(), 0)
    monkeypatch.setattr(segmentation_training, "load_net", lambda name: mlp_gsc())
    with pytest.raises(UserError, match="a-listener cannot start this net: take weights of a DeepLabV3"):
        train(dataclasses.replace(RECIPE, start="a-listener"), stripes(), 0)


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="no precision 'fp16'; choose one of fp32, bf16, auto"):
        train(dataclasses.replace(RECIPE, precision="fp16"), stripes(), 0)
