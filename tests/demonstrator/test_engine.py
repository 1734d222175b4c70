"""The answer to a state: the same as the slow way gives, no pass too many, and sentences where something is missing."""

import pickle

import pytest
import torch

from relcomp_kit.artifacts import write_artifact
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx.qat import fingerprint
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.download import data_dir
from relcomp_kit.datasets.rail_scenes import RailScenes
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.demonstrator import PathChoice, State, answer, nets, paths, relevance, scenes, uploads
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.studies.segmentation.measurement import firsts, predict

LAYER, SUMMED = "backbone.layer3.0.conv1", ("backbone.layer1.0.conv3", "backbone.layer1.1.conv3")
CHOICES = [
    PathChoice("class", ("rail", "sky"), 0.4),
    PathChoice("magnitude", (), 0.5, ((SUMMED[1], 0.25),)),
    PathChoice("random", (), 0.3),
]


@pytest.mark.slow
@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.kind)
def test_what_is_counted_is_what_the_cut_net_has(net, choice):
    path = paths.path_of(net, choice)
    small = experts.compact(net.net, path, net.example)
    parameters, macs = paths.costs(net, choice)
    assert parameters == pytest.approx(experts.parameters(small)[ALL] / net.parameters[ALL], rel=1e-6)
    assert macs == pytest.approx(experts.macs(small, net.example)[ALL] / net.macs[ALL], rel=1e-6)
    cut = experts.cut(net.quantized, path, net.net, net.example)
    assert paths.coded_size(net, choice, False) == (round(cut.coded_bytes), False)
    image = RailScenes("test")[7][0]
    shown = answer(State(paths=(choice,))).experts[0]
    assert (shown.prediction == predict(small, image)).float().mean() > 0.999


def test_paths_are_those_of_the_kit(net):
    measured = relevance.per_class(net)
    for choice, expected in (
        (PathChoice("class", ("sky",), 0.4), experts.relevant_path(net.net, measured["sky"], 0.4, net.example)),
        (PathChoice("average", (), 0.4), experts.average_rel_path(net.net, measured, 0.4, net.example)),
        (
            PathChoice("critical", ("rail", "sky"), 0.4),
            experts.most_critical(net.net, measured, ["rail", "sky"], 0.4, net.example),
        ),
        (PathChoice("magnitude", (), 0.4), experts.magnitude_path(net.net, 0.4, net.example)),
    ):
        assert experts.similarity(paths.path_of(net, choice), expected)[ALL] > 0.998, choice  # ties by rounding


def test_a_layer_keeps_its_own_share(net):
    choice = PathChoice("class", ("rail",), 0.5, ((SUMMED[0], 0.125), (LAYER, 0.25)))
    path, whole = paths.path_of(net, choice), paths.path_of(net, PathChoice("class", ("rail",), 0.5))
    assert path[LAYER].float().mean() == 0.25
    assert all(path[layer].float().mean() == 0.125 for layer in SUMMED)
    others = path.keys() - {LAYER, "backbone.layer1.0.downsample.0", *SUMMED}
    assert all(torch.equal(path[layer], whole[layer]) for layer in others)
    rows = {row.layer: row for row in paths.layer_rows(net, choice, ("rail",))}
    assert rows[LAYER].parameter == 0.25 and rows[SUMMED[1]].parameter == 0.125
    assert rows["classifier.1"].parameter == 0.5


def test_rows_say_what_a_path_does_to_layers(net):
    choice = PathChoice("class", ("rail",), 0.4)
    path, (total, *rows) = paths.path_of(net, choice), paths.layer_rows(net, choice, ("rail",))
    average = experts.average_rel_path(net.net, relevance.per_class(net), 0.4, net.example)
    similar, pruned = experts.similarity(path, average), experts.pruning_ratio(path)
    score = experts.score_kept(path, relevance.per_class(net)["rail"])
    assert [row.layer for row in rows] == list(net.widths) and total.layer == paths.ALL_LAYERS
    for row, layer in zip((total, *rows), (ALL, *net.widths)):
        assert row.pruned == pruned[layer]
        assert row.score == pytest.approx(score[layer], rel=1e-5)
        assert row.similarity == pytest.approx(similar[layer], abs=0.05)


def test_the_whole_net_as_an_expert_changes_nothing(state):
    found = answer(state("rel rail keep=1 vs random keep=1; classes all"))
    for expert in found.experts:
        assert expert.agreement == expert.parameters == expert.macs == 1
        assert expert.bytes == found.net.bytes and expert.iou == found.net.iou
        assert {(row.similarity, row.pruned, row.score) for row in expert.layers} == {(1.0, 0.0, 1.0)}


def test_iou_is_that_of_the_evaluation(net, state):
    found = answer(state("scene synthetic 3 snow; classes all"))
    split = RailScenes("test", weather="snow")
    scores = evaluate(net.net, torch.utils.data.Subset(split, [3]), net.classes)
    assert found.net.iou == pytest.approx(plain(scores["iou"]))
    assert torch.equal(found.truth, split[3][1].as_subclass(torch.Tensor)) and found.heat is not None


@pytest.mark.slow
def test_measurements_on_request(net, state):
    found = answer(state("rel rail keep=0.3; measure size latency test=2"))
    whole, expert = found.net, found.experts[0]
    assert whole.coded and whole.bytes == len(nnc.encode(net.quantized)) > expert.bytes
    assert 0 < expert.latency < 60 and 0 < whole.latency < 60
    scores = evaluate(net.net, firsts(RailScenes("test"), 2), net.classes)
    assert whole.test_iou == {"rail": pytest.approx(scores["iou"]["rail"])}
    assert expert.test_iou.keys() == {"rail"}
    assert answer(found.state.at_once()).net.test_iou == {}


@pytest.fixture
def passes(net):
    """A list that grows by one with every pass through the net."""
    seen = []
    net = nets.load(net.name)  # the one that answers, if others have pushed the tests' own out of the memory
    handle = net.net.register_forward_hook(lambda *_: seen.append(1))
    yield seen
    handle.remove()


@pytest.mark.slow
def test_nothing_is_computed_twice(net, state, passes):
    before = fingerprint(net.net)
    first = state("scene synthetic 11; rel rail keep=0.33 vs magnitude keep=0.44; heat off")
    answer(first)
    assert len(passes) == 3
    answer(first)
    answer(state("classes all", paths=first.paths, scene=first.scene, heat=None))
    assert len(passes) == 3
    answer(state("keep 2 0.45", paths=first.paths, scene=first.scene, heat=None))
    assert len(passes) == 4
    for _ in range(2):
        answer(state("heat sky", paths=first.paths, scene=first.scene))
    assert len(passes) == 5  # the one that relevance is traced through
    assert fingerprint(net.net) == before


def test_a_class_that_is_not_seen_has_no_heatmap(state):
    for number in range(30):
        found = answer(state(f"scene synthetic {number}; heat anomaly on track; rel magnitude keep=0.9"))
        seen = (found.net.prediction == found.classes.index("anomaly on track")).any()
        assert (found.heat is not None) == seen
        if not seen:
            assert "sees no anomaly on track" in " ".join(found.notes)
            return
    pytest.fail("every scene has an anomaly")


def test_an_upload_has_no_ground_truth(state, monkeypatch):
    monkeypatch.setitem(uploads._kept, "mine.png", torch.randint(0, 255, (3, 120, 130)).byte())
    found = answer(state("scene upload mine.png; heat off"))
    assert found.truth is None and found.net.iou == {} and found.image.shape == (3, 96, 160)
    assert "no ground truth" in found.notes[0]
    assert 0 < found.experts[0].agreement < 1 == found.net.agreement


@pytest.mark.parametrize("kind", ["camvid", "railsem19"])
def test_real_frames(kind, state):
    folder = data_dir()
    name = {"camvid": "CamVid", "railsem19": "RailSem19"}[kind]
    if folder is None or not (folder / name).is_dir():
        pytest.skip(f"no {name} under RELCOMP_DATA")
    found = answer(state(f"scene {kind} 1; heat off; rel magnitude keep=0.8"))
    assert found.image.shape == (3, 96, 160) and found.truth is None and found.title == f"{kind} 1"
    assert found.notes == ("its classes are not those of this net: no IoU of this image",)
    scene = scenes.load(f"{kind} 1", (60, 80))
    assert scene.truth.shape == (60, 80) and set(scene.truth.unique().tolist()) <= {*range(len(scene.classes)), VOID}
    with pytest.raises(UserError, match="has the frames 0 to"):
        scenes.load(f"{kind} 99999", (60, 80))


@pytest.mark.slow
def test_a_coded_net_and_the_experts_in_it(net, make_file):
    stored = {"rail": paths.path_of(net, PathChoice("class", ("rail",), 0.4))}
    name = make_file(paths=stored, recipe={"dataset": "rail-scenes", "size": [96, 160]})
    state = State(net=name, paths=(PathChoice("stored", ("rail",)), PathChoice("magnitude", ())), heat=None)
    found, coded = answer(state), nets.load(name)
    assert coded.dataset == "rail-scenes" and coded.size == (96, 160)
    assert found.net.coded and found.net.bytes == coded.file_bytes
    assert torch.equal(found.experts[0].path[LAYER], stored["rail"][LAYER])
    wanted = ecqx.state_dict(net.quantized)
    assert all(torch.equal(value, wanted[key]) for key, value in coded.net.state_dict().items())
    with pytest.raises(UserError, match="did you mean rail"):
        answer(State(net=name, paths=(PathChoice("stored", ("rial",)),)))


@pytest.fixture(scope="module")
def expert_files(net, tmp_path_factory):
    """An expert that was cut out of the committed net: coded, decoded again, and as weights."""
    folder, path = tmp_path_factory.mktemp("experts"), paths.path_of(net, PathChoice("class", ("rail",), 0.4))
    info = {"net": "compact", "classes": list(net.classes), "recipe": {"dataset": "rail-scenes", "size": [96, 160]}}
    cut = experts.cut(net.quantized, path, net.net, net.example)
    (folder / "expert.nnc").write_bytes(nnc.encode(cut, info=info))
    write_artifact(folder / "decoded.safetensors", ecqx.to_tensors(cut), info)
    small = experts.compact(net.net, path, net.example)
    checkpoints.save_half(folder / "weights.safetensors", small.state_dict(), info)
    return folder, small, ecqx.state_dict(cut)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["expert.nnc", "decoded.safetensors", "weights.safetensors"])
def test_an_experts_own_file_opens(expert_files, net, name):
    folder, small, quantized = expert_files
    found = nets.load(str(folder / name))
    assert (found.dataset, found.size, found.classes) == (net.dataset, net.size, net.classes)
    assert found.parameters[ALL] == experts.parameters(small)[ALL] < net.parameters[ALL]
    wanted = small.state_dict() if name.startswith("weights") else quantized
    for key, value in found.net.state_dict().items():
        torch.testing.assert_close(value, wanted[key], rtol=1e-3, atol=1e-6)
    path = PathChoice("magnitude", (), 0.5)
    shown = answer(State(net=found.name, paths=(path,), heat=None))
    assert 0 < shown.experts[0].macs < 1 and shown.net.iou["rail"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("change", ["wider", "apart", "summed", "missing", "not a number"])
def test_a_file_that_is_no_expert_is_refused_in_a_sentence(expert_files, net, tmp_path, change):
    state = dict(expert_files[1].state_dict())
    if change == "wider":
        state["backbone.conv1.weight"] = torch.zeros(4000, 3, 7, 7)
    elif change == "apart":
        state["backbone.layer3.0.conv1.weight"] = state["backbone.layer3.0.conv1.weight"][:, :-1]
    elif change == "summed":  # torch would repeat the one channel of a summand
        for part in ("conv3.weight", "bn3.weight", "bn3.bias", "bn3.running_mean", "bn3.running_var"):
            state[f"backbone.layer1.1.{part}"] = state[f"backbone.layer1.1.{part}"][:1]
    elif change == "missing":
        del state["backbone.conv1.weight"]
    else:
        state["backbone.conv1.weight"] = torch.full_like(state["backbone.conv1.weight"], float("nan"))
    file = write_artifact(tmp_path / "bad.safetensors", state, {"net": "compact", "classes": list(net.classes)})
    with pytest.raises(UserError, match="does not hold the weights of a compact net, nor of an expert of one"):
        nets.load(str(file))


def test_a_pickle_named_safetensors_is_refused_unopened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    file = tmp_path / "net.safetensors"
    file.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match=r"net\.safetensors is no file of a net") as error:
        nets.load(str(file))
    assert "delete" not in str(error.value)


@pytest.mark.slow
def test_a_net_whose_scenes_are_not_here_says_so(net, monkeypatch):
    monkeypatch.setattr(scenes, "sets", lambda: {"synthetic": net.classes})
    found = answer(State(net="compact-camvid-2", classes=("sky",), paths=(PathChoice("magnitude", ()),), heat=None))
    assert found.notes[1] == "no scenes of camvid are on this machine"


@pytest.mark.slow
def test_a_net_of_unknown_scenes_has_paths_without_relevance(make_file):
    name = make_file("unknown.nnc")
    found = answer(State(net=name, paths=(PathChoice("magnitude", ()),), heat=None))
    assert {row.similarity for row in found.experts[0].layers} == {None}
    with pytest.raises(UserError, match="does not say which scenes"):
        answer(State(net=name))
    with pytest.raises(UserError, match="does not say which scenes"):
        answer(State(net=name, paths=(PathChoice("magnitude", ()),), test=3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"drop": ["net"]}, "does not say which net"),
        ({"drop": ["classes"]}, "does not say which net"),
        ({"net": "vast"}, "no DeepLabV3 of size"),
        ({"net": ["compact"]}, "does not say"),
        ({"classes": "rail"}, "does not say"),
        ({"classes": ["rail"] * 7}, "does not say"),
        ({"classes": ["a", "b"]}, "does not hold the weights"),
        ({"classes": [f"{number}" for number in range(10**4)]}, "does not say"),
        ({"classes": ["a\nb", *"cdefgh"]}, "does not say"),
        ({"paths": {"rail": {"backbone.conv1": torch.ones(16, dtype=torch.bool)}}}, "has no mask for"),
    ],
)
def test_files_that_are_no_net_of_the_kit(make_file, changes, part):
    name = make_file("bad.nnc", **changes)
    with pytest.raises(UserError, match=part):
        nets.load(name)


def test_a_file_that_is_not_coded(tmp_path):
    (tmp_path / "a.nnc").write_bytes(b"hello")
    (tmp_path / "a.safetensors").write_bytes(b"hello")
    for name in ("a.nnc", "a.safetensors"):
        with pytest.raises(UserError, match=name):
            nets.load(str(tmp_path / name))


def test_large_nets_come_from_the_cache(own_cache, net, monkeypatch):
    name = "resnet50-rail-scenes-0"
    assert name not in nets.names()
    with pytest.raises(UserError, match="relcomp train resnet50 --dataset rail-scenes --seed 0"):
        nets.load(name)
    monkeypatch.setattr(nets, "deeplab", lambda size, classes: __import__("copy").deepcopy(net.net))
    recipe = nets.training_recipe("resnet50", "rail-scenes")
    monkeypatch.setattr(
        nets.segmentation_training,
        "train",
        lambda *_, **__: nets.segmentation_training.Trained(net.net.state_dict(), [], {}),
    )
    nets.segmentation_training.trained(recipe, nets.load_scenes("rail-scenes"), 0)
    assert name in nets.names()
    assert nets.load(name).classes == net.classes and nets.load(name).size == (96, 160)


@pytest.mark.slow
def test_relevance_that_is_not_committed_is_measured_once(own_cache, net, monkeypatch):
    monkeypatch.setattr(relevance, "SCENES", 1)
    monkeypatch.setattr(relevance, "_file", lambda name: own_cache / name)
    relevance.per_class.cache_clear()
    found = relevance.per_class(net)
    assert set(found) <= set(net.classes) and all(found[name].keys() == net.widths.keys() for name in found)
    relevance.per_class.cache_clear()
    monkeypatch.setattr(relevance, "measure", None)
    again = relevance.per_class(net)
    assert all(torch.equal(value, again[name][layer]) for name in found for layer, value in found[name].items())
    relevance.per_class.cache_clear()


@pytest.mark.slow
def test_references_are_the_scenes_in_which_a_channel_is_most_relevant(net, monkeypatch):
    monkeypatch.setattr(relevance, "REFERENCE_SCENES", 6)
    relevance._reference_scenes.cache_clear()
    examples = relevance.references(net, "classifier.1", 3, net.classes.index("sky"))
    relevance._reference_scenes.cache_clear()
    assert 1 <= len(examples) <= relevance.REFERENCES
    sums = [float(one.heat.sum()) for one in examples]
    assert all(one.heat.shape == (96, 160) and one.crop.shape == (3, 48, 48) for one in examples)
    assert sums and all(map(abs, sums))
