"""`relcomp compress` and `predict` on small nets of one's own: what they write, go on with, choose and refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from relcomp_kit import artifacts
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.datasets.own_folders import load_folder
from relcomp_kit.datasets.scene_names import DRAWN_SIZE
from relcomp_kit.errors import UserError
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.states import loaded
from relcomp_kit.studies.own_net import compressing, ladder, nets
from relcomp_kit.studies.own_net.ladder import Settings
from relcomp_kit.studies.own_net.look import look_at
from relcomp_kit.studies.own_net.measurement import LEFT, Measured, good_share
from relcomp_kit.studies.own_net.page import counted
from relcomp_kit.studies.own_net.predicting import predict
from relcomp_kit.studies.own_net.quantizing import Chosen, best
from relcomp_kit.studies.own_net.task import Task, check_fit, task_for

CODE = """
import torch
from torch import nn


def _net(classes, end):
    torch.manual_seed(0)
    body = [nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1)]
    return nn.Sequential(*body, nn.ReLU(), *end, nn.Linear(8, classes) if end else nn.Conv2d(8, classes, 1))


def classifying(num_classes):
    return _net(num_classes, [nn.AdaptiveAvgPool2d(1), nn.Flatten()])


def segmenting(num_classes):
    return _net(num_classes, [])
"""
CLASSES = ("blue", "green", "red")


@pytest.fixture
def own(tmp_path, own_cache, monkeypatch) -> Path:
    """A folder with code, weights, pictures of three colours and scenes of three classes; it is the working one."""
    monkeypatch.chdir(tmp_path)
    name = f"nets_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    rng = np.random.default_rng(0)
    for place, colour in enumerate(CLASSES):
        (tmp_path / "photos" / colour).mkdir(parents=True)
        for number in range(10):
            pixels = rng.integers(0, 80, (8, 8, 3))
            pixels[..., 2 - place] += 150
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / colour / f"{number}.png")
    for part in ("images", "labels"):
        (tmp_path / "scenes" / part).mkdir(parents=True)
    (tmp_path / "scenes" / "classes.txt").write_text("\n".join(CLASSES))
    for number in range(10):
        label = rng.integers(0, 3, (4, 5)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
        pixels = np.stack([np.where(label == 2 - channel, 200, 30) for channel in range(3)], -1).astype(np.uint8)
        label[0] = 255
        Image.fromarray(pixels).save(tmp_path / "scenes" / "images" / f"{number}.png")
        Image.fromarray(label).save(tmp_path / "scenes" / "labels" / f"{number}.png")
    return tmp_path


def spec(own: Path, kind: str) -> str:
    return f"{next(own.glob('nets_of_*.py')).stem}:{kind}"


def compress(own: Path, kind: str, folder: str, **options):
    said: list[str] = []
    made = compressing.compress(spec(own, kind), load_folder(folder), own / "out", say=said.append, **options)
    return made, said


@pytest.fixture
def no_onnx(monkeypatch):
    """Takes seconds, and has a test of its own."""

    def fail(*_):
        raise RuntimeError("not in this test\nat all")

    monkeypatch.setattr(experts, "export_onnx", fail)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "folder"), [("classifying", "photos"), ("segmenting", "scenes")])
def test_files_and_page(own, kind, folder):
    settings = Settings(train=4, keep=0.6)
    made, said = compress(own, kind, folder, classes=["red", "blue"], settings=settings)
    assert said[0].endswith("multiply-adds an image") and any(line.startswith("relevance: every") for line in said)
    assert made.files.keys() == {file.name for file in (own / "out").iterdir()} == set(compressing.WRITTEN)
    page = made.files["index.html"].read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    assert page.count("data:image/png;base64,") == 4
    rungs = made.ladder.rungs
    assert {(one.what, one.how) for one in rungs if not one.arm} == {
        ("net", "as it came"),
        ("expert", "the net before the cut, on these classes"),
    }
    for what, hows, arms in (
        ("net", ("quantized", "quantized, trained"), 4),
        ("expert", ("cut", "cut, quantized", "cut, quantized, trained"), 3),
    ):
        for how in hows:
            assert len({one.arm for one in rungs if (one.what, one.how) == (what, how)}) == arms, (what, how)
    told = json.loads(made.files["results.json"].read_text())
    assert len(told["rungs"]) == len(rungs) and told["images"]["test"] > 0
    for one in rungs:
        assert 0 <= one.score <= 1 and one.seconds > 0 and one.macs <= rungs[0].macs
        for text in (f"{one.size:,}", f"{counted(one.macs)} ({one.macs / rungs[0].macs:.0%})"):
            assert text in page
    example = task_for(load_folder(folder)).example
    for what in ("net", "expert"):
        (chosen,) = [one for one in rungs if one.written and one.what == what]
        file = made.files[f"{what}.nnc"]
        assert chosen.size == file.stat().st_size and f"{what}.nnc: {chosen.size:,} bytes" in page
        opened = nets.read(file, spec(own, kind))
        with torch.no_grad(), loaded(chosen.net, ecqx.state_dict(chosen.chosen.quantized)):
            expected = chosen.net(example)
            assert torch.equal(opened.net(example), expected)
            onnx = experts.open_onnx(made.files[f"{what}.onnx"])(example)
        torch.testing.assert_close(onnx, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_who_was_stopped_goes_on(own, no_onnx, monkeypatch):
    """What was measured is not measured again, and the result is the one of an undisturbed run."""
    measure, calls = Task.measure, []

    def stop_later(self, net, part):
        calls.append(part)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return measure(self, net, part)

    monkeypatch.setattr(Task, "measure", stop_later)
    with pytest.raises(KeyboardInterrupt):
        compress(own, "classifying", "photos")
    first, _ = compress(own, "classifying", "photos")
    count = len(calls)
    again, said = compress(own, "classifying", "photos")
    assert len(calls) == count, "nothing was measured again"
    assert said[-1] == "expert.onnx is not written: not in this test"
    scores = [[(one.how, one.arm, one.score, one.size) for one in made.ladder.rungs] for made in (first, again)]
    assert scores[0] == scores[1]
    monkeypatch.setenv("RELCOMP_CACHE", str(own / "another"))
    monkeypatch.setattr(Task, "measure", measure)
    fresh, _ = compress(own, "classifying", "photos")
    assert [(one.how, one.arm, one.score, one.size) for one in fresh.ladder.rungs] == scores[0]


@pytest.mark.slow
def test_what_has_no_relevance_goes_without(own, no_onnx, monkeypatch):
    def refuse(*_, **__):
        raise UserError("it does something without a rule")

    monkeypatch.setattr("relcomp_kit.studies.own_net.look.conservation", refuse)
    made, said = compress(own, "classifying", "photos")
    assert "relevance: not of this net, because it does something without a rule" in said
    assert {one.arm for one in made.ladder.rungs} == {"", "magnitude", "random", "without relevance"}


def test_what_becomes_the_file():
    tried = [Chosen(None, 4, 0.1, size, score) for size, score in ((9, 0.9), (5, 0.88), (3, 0.6), (4, 0.6))]
    assert best(tried, 0.85).size == 5
    assert best(tried, 0.95).size == 9
    assert best(tried[2:], 0.95).size == 3, "of equal ones the smallest"


def test_how_small_an_expert_may_be():
    assert good_share([0.9, 0.89, 0.5, 0.9], 0.88) == LEFT[1], "a lucky one behind a bad one does not count"
    assert good_share([0.5, 0.9, 0.9, 0.9], 0.88) == LEFT[0]
    assert good_share([0.9] * 4, 0.88) == LEFT[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("needed", "shares"), [(0.0, 1), (0.6, 2), (1.1, 2)])
def test_a_trained_expert_that_loses_too_much_is_cut_less(own, no_onnx, monkeypatch, needed, shares):
    """Half of the multiply-adds, then three quarters; and where that is too little, it is said."""
    full = experts.macs(nets.open_net(spec(own, "classifying"), CLASSES), torch.rand(1, 3, 8, 8))["all"]

    def trained(made, arm, bits, lam, steps, report=None):
        quantized = ecqx.quantize(made.net, bits, lam)
        kept = experts.macs(made.net, made.example)["all"] / full
        return Chosen(quantized, bits, lam, len(nnc.encode(quantized, info=made.note)), float(kept >= needed))

    monkeypatch.setattr(ladder, "trained", trained)
    monkeypatch.setattr(Task, "measure", lambda self, net, part: 0.9)
    monkeypatch.setattr(
        ladder,
        "one_shot",
        lambda made, arms, bits, goal: {
            arm: Chosen(ecqx.quantize(made.net, bits, 0.0), bits, 0.0, 10**6, 0.0) for arm in arms
        },
    )
    made, _ = compress(own, "classifying", "photos", settings=Settings(train=2), classes=["red", "blue"])
    assert sum(one.how == "cut" for one in made.ladder.rungs) == 3 * shares
    assert any("expert.nnc loses" in line for line in made.lines) == (needed > 1)
    assert not any("net.nnc loses" in line for line in made.lines) or needed > 1


def test_numbers_of_multiply_adds():
    assert [counted(one) for one in (7, 1500, 40_551_040, 2 * 10**9)] == ["7", "1.5 k", "40.6 M", "2.0 G"]


def test_another_state_for_a_while():
    net = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ZeroDivisionError), loaded(net, {name: torch.zeros_like(one) for name, one in before.items()}):
        assert not net.weight.any()
        raise ZeroDivisionError
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_score_of_some_classes_is_among_them(own):
    data = load_folder("photos")

    class Always(nn.Module):
        """Says green, then blue."""

        def forward(self, x):
            return torch.tensor([[1.0, 2.0, 0.0]]).expand(len(x), -1)

    assert task_for(data).measure(Always(), "test") == pytest.approx(1 / 3)
    task = task_for(data, ["blue", "red"])
    assert task.measure(Always(), "test") == 0.5 and task.images("test") == 4
    assert set(task.to_train().train.labels.tolist()) == {0, 2}
    labels = torch.cat([labels for _, labels in task.relevance_batches()])
    assert set(labels.tolist()) == {0, 2}


def test_the_least_weights_go_exactly(own, monkeypatch):
    """Of equal scores too no more than asked for, and the last layer keeps all."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 10, bias=False), nn.Linear(10, 3)).eval()
    made = Measured(net, task_for(load_folder("photos")))
    left = []

    def note(self, part):
        left.append((int(net[1].weight.count_nonzero()), int(net[2].weight.count_nonzero())))
        return 0.0

    monkeypatch.setattr(Measured, "score", note)
    ones = {"1.weight": torch.ones(10, 192), "2.weight": torch.zeros(3, 10)}
    made.without_weights({"magnitude": ones})
    assert left == [(1440, 30), (960, 30), (480, 30), (192, 30)]


def test_results_of_one_net_on_larger_scenes_are_kept_apart():
    """The hash of scenes that the kit draws does not hold their size."""
    net = deeplab("compact", 7).eval()
    found = [Measured(net, task_for(load_folder(name, most=2))) for name in DRAWN_SIZE]
    assert [one.identity["size"] for one in found] == [list(size) for size in DRAWN_SIZE.values()]
    assert found[0].task.data.sha256 == found[1].task.data.sha256


# What does not fit together.


def test_classes_that_cannot_be(own):
    data = load_folder("photos")
    with pytest.raises(UserError, match="there is no class 'cat': the set has blue, green, red"):
        task_for(data, ["cat"])
    with pytest.raises(UserError, match="ask for two classes"):
        task_for(data, ["red"])
    assert task_for(load_folder("scenes"), ["red"]).asked == (2,)
    (own / "scenes" / "classes.txt").write_text("\n".join([*CLASSES, "cow"]))
    scenes = load_folder("scenes")
    with pytest.raises(UserError, match="no training scene shows cow"):
        task_for(scenes, ["cow"])
    with pytest.raises(UserError, match="no scene of the test part shows cow"):
        Task(scenes, (3,)).measure(Gives(4, 16, 20), "test")


class Gives(nn.Module):
    """Gives what it is told to."""

    def __init__(self, *shape, value=0.0):
        super().__init__()
        self.weight, self.shape, self.value = nn.Parameter(torch.ones(1)), shape, value

    def forward(self, x):
        return torch.full((len(x), *self.shape), self.value)


UNFIT = {
    "other classes": (Gives(5), "photos", "gives 5 numbers for an image and the set has 3 classes"),
    "no pixels": (Gives(3), "scenes", "gives one answer for 16x20 pixels"),
    "pixels": (Gives(3, 8, 8), "photos", "one that classifies for each image"),
    "not a number": (Gives(3, value=float("nan")), "photos", "NaN or infinity"),
    "other images": (nn.Conv2d(1, 3, 3), "photos", "does not take images of 3x8x8"),
    "no tensor": (nn.MultiheadAttention(8, 1), "photos", "does not take images"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_nets_that_do_not_fit_the_data(own, case):
    net, folder, words = UNFIT[case]
    with pytest.raises(UserError, match=words) as found:
        check_fit(net, task_for(load_folder(folder)), "mine")
    assert "\n" not in str(found.value)


def test_a_look_never_raises():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.svdvals(x.mean(1)) @ torch.ones(8, 3)

    class Rough(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(8, 3)

        def forward(self, x):
            return self.layer(torch.from_numpy(np.sort(x.mean((1, 2)).detach().numpy())))

    for net in (Odd(), Rough()):
        look = look_at(net.eval(), (torch.rand(2, 3, 8, 8), None))
        assert all("\n" not in text for text in (look.unmeasured, look.unquantized, look.uncut))
        assert str(look).count("\n") >= 3
    assert not look_at(Odd().eval(), (torch.rand(2, 3, 8, 8), None)).can_quantize


def test_settings_outside_their_range():
    for wrong in ({"bits": 1}, {"bits": 9}, {"keep": 0.0}, {"keep": 1.5}, {"lose": -0.1}, {"lose": 1.0}, {"train": -1}):
        with pytest.raises(UserError):
            Settings(**wrong)


def test_nets_that_need_weights_or_have_them(own):
    with pytest.raises(UserError, match="has no trained weights: name their file with --weights"):
        nets.open_net("torchvision:squeezenet1_1", 3)
    with pytest.raises(UserError, match="has its weights inside: leave out"):
        nets.open_net("compact-rail-scenes-0", 7, "w.pt")
    with pytest.raises(UserError, match="knows the classes rail, trackbed"):
        nets.open_net("compact-rail-scenes-0", ("cat", "dog"))


# Files that are asked.


def coded(own: Path, kind: str, **info) -> Path:
    """A file of a small net, which says this about itself."""
    known = {"net": spec(own, kind), "classes": list(CLASSES), "size": [8, 8]} | info
    quantized = ecqx.quantize(nets.own_nets.build(spec(own, kind), 3), 8, 0.0)
    (own / "net.nnc").write_bytes(nnc.encode(quantized, info=known))
    return own / "net.nnc"


def test_the_class_of_a_picture_among_those_asked_for(own):
    opened = nets.read(coded(own, "classifying"), spec(own, "classifying"))
    with torch.no_grad():
        opened.net[-1].weight.zero_()
        opened.net[-1].bias.copy_(torch.tensor([1.0, 2.0, 0.0]))
    picture = own / "photos" / "red" / "0.png"
    (answer,) = predict(opened, [picture])
    assert answer.words == "green (66.5%)" and answer.file is None
    few = nets.Known(**vars(opened.known) | {"asked": ("blue", "red")})
    (answer,) = predict(nets.Opened(opened.net, few), [picture])
    assert answer.words == "blue (73.1%)"


def test_pictures_and_maps_of_a_net_that_segments(own):
    file = coded(own, "segmenting", palette=[[0, 0, 255], [0, 255, 0], [255, 0, 0]])
    opened = nets.read(file, spec(own, "segmenting"))
    with torch.no_grad():
        opened.net[-1].weight.zero_()
        opened.net[-1].bias.copy_(torch.tensor([0.0, 2.0, 0.0]))
    image = own / "wide.png"
    Image.new("RGB", (30, 10), (100, 100, 100)).save(image)
    (answer,) = predict(opened, [image], own / "out")
    assert answer.words == "green 100.0%" and answer.file == own / "out" / "wide.png"
    assert Image.open(answer.file).size == (30, 10) and Image.open(answer.file).getpixel((3, 3)) == (45, 185, 45)
    (answer,) = predict(opened, [image], own / "out", labels=True)
    assert np.unique(np.array(Image.open(answer.file))).tolist() == [1]


HOSTILE = {
    "no classes": ({"classes": []}, "does not say which net"),
    "no text": ({"classes": [1, 2, 3]}, "does not say which net"),
    "no net": ({"net": None}, "does not say which net"),
    "a large image": ({"size": [10**6, 10**6]}, "what cannot be"),
    "no size": ({"size": "8x8"}, "what cannot be"),
    "odd channels": ({"channels": 7}, "what cannot be"),
    "an odd scale": ({"scale": [[0.5] * 3, [0.0] * 3]}, "what cannot be"),
    "a text for a scale": ({"scale": [["a"] * 3, [1.0] * 3]}, "what cannot be"),
    "odd colours": ({"palette": [[0, 0, 300]] * 3}, "what cannot be"),
    "no colours": ({"palette": 7}, "what cannot be"),
    "broken channels": ({"channels": 3.0}, "what cannot be"),
    "endless scale": ({"scale": [[10**400] * 3, [1, 1, 1]]}, "what cannot be"),
    "unknown classes": ({"asked": ["cat"]}, "what cannot be"),
    "other outputs": ({"classes": ["a", "b"], "asked": ["a"]}, "does not hold the weights"),
    "other channels": ({"channels": 1}, "does not hold the weights"),
    "another net": ({"net": "compact"}, "does not hold the weights of compact"),
    "too many classes": ({"net": "resnet20"}, "lists 3 classes, and resnet20 of the kit has 10"),
    "no such net of torchvision": ({"net": "torchvision:nope"}, "torchvision has no net"),
    "sounds": ({"net": "mlp-gsc"}, "is a net for sounds"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_files_that_say_what_cannot_be(own, case):
    info, words = HOSTILE[case]
    named = None if "net" in info else spec(own, "classifying")
    with pytest.raises(UserError, match=words) as found:
        nets.read(coded(own, "classifying", **info), named)
    assert "\n" not in str(found.value)


def test_no_code_is_run_because_a_file_names_it(own):
    (own / "evil_of_a_test.py").write_text("raise SystemExit('run')")
    with pytest.raises(UserError, match="if that is code of yours, say so with --net evil_of_a_test:make"):
        nets.read(coded(own, "classifying", net="evil_of_a_test:make"))
    with pytest.raises(UserError, match=r"holds the net .*:classifying, not evil_of_a_test:make"):
        nets.read(coded(own, "classifying"), "evil_of_a_test:make")


def test_other_files_are_refused_in_a_sentence(own):
    artifacts.write_artifact(own / "w.safetensors", {"w": torch.ones(2)}, {})
    (own / "x.nnc").write_bytes(b"nothing")
    for name in ("gone.nnc", "gone.safetensors", "x.nnc", "w.safetensors", "photos", "no-such-net"):
        with pytest.raises(UserError) as found:
            nets.read(name)
        assert name in str(found.value) and "\n" not in str(found.value)


def test_bad_pictures_and_experts(own):
    opened = nets.read(coded(own, "classifying"), spec(own, "classifying"))
    (own / "x.png").write_bytes(b"no picture")
    for images, options, words in (
        (["gone.png"], {}, "gone.png is missing"),
        (["x.png"], {}, "x.png cannot be read as a picture"),
        (["photos/red/0.png"], {"expert": "cat"}, "there is no expert 'cat' in the file: it has none"),
    ):
        with pytest.raises(UserError, match=words):
            list(predict(opened, [Path(image) for image in images], **options))


def test_answers_that_are_all_but_0_are_said():
    """As a MobileNetV3 gives them before it is trained: what is lost is the stabiliser's, not the rules'."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5, bias=False)).eval()
    with torch.no_grad():
        for value in net.parameters():
            value.mul_(1e-6)
    look = look_at(net, (torch.rand(2, 3, 8, 8), None))
    assert not look.can_measure
    assert "its answers are all but 0" in look.unmeasured and "without training" in str(look)
