"""What is left of a net, against counting by hand, and experts as files that other programs run."""

import math

import pytest
import torch
from torch import nn
from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights, deeplabv3_resnet50

from relcomp_kit.compression import ecqx, experts
from relcomp_kit.compression.experts import ALL
from relcomp_kit.errors import UserError


def mask(*kept: int) -> torch.Tensor:
    return torch.tensor(kept, dtype=torch.bool)


PATH = {"a": mask(1, 1, 0, 0), "b": mask(1, 0)}
OTHER = {"a": mask(0, 1, 1, 0), "b": mask(1, 1)}


@pytest.fixture
def net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, stride=2), nn.Flatten(), nn.Linear(36, 5)
        return nn.Sequential(*layers).eval()


def test_overlap_and_share_of_paths():
    assert experts.similarity(PATH, OTHER) == {"a": 1 / 3, "b": 1 / 2, ALL: 2 / 5}
    assert experts.similarity(PATH, PATH) == {"a": 1, "b": 1, ALL: 1}
    assert experts.similarity(PATH, OTHER) == experts.similarity(OTHER, PATH)
    assert experts.pruning_ratio(PATH) == {"a": 1 / 2, "b": 1 / 2, ALL: 1 / 2}
    with pytest.raises(UserError, match="of different nets"):
        experts.similarity(PATH, {"a": PATH["a"]})


def test_score_kept():
    scores = {"a": torch.tensor([4.0, 3, 2, 1]), "b": torch.tensor([1.0, 3])}
    assert experts.score_kept(PATH, scores) == pytest.approx({"a": 0.7, "b": 0.25, ALL: 0.475})
    assert experts.score_kept(PATH, scores | {"b": torch.zeros(2)}) == pytest.approx({"a": 0.7, ALL: 0.7})
    with pytest.raises(UserError, match="there is no relevance of b"):
        experts.score_kept(PATH, {"a": scores["a"]})


def test_parameters_and_macs_by_hand(net, draw):
    x = draw(2, 3, 8, 8)
    convs = {"0": 2 * 8 * 3 * 9 * 64, "2": 2 * 4 * 8 * 9 * 9, "4": 2 * 36 * 5}
    assert experts.macs(net, x) == convs | {ALL: sum(convs.values())}
    sizes = {"0": 8 * 27 + 8, "2": 4 * 72 + 4, "4": 5 * 36 + 5}
    assert experts.parameters(net) == sizes | {ALL: sum(sizes.values())}
    path = {"0": mask(1, 1, 1, 0, 0, 0, 0, 0), "2": mask(1, 0, 1, 0)}
    small = experts.compact(net, path, x)
    rates = experts.rates(experts.macs(small, x), experts.macs(net, x))
    assert rates == pytest.approx({"0": 3 / 8, "2": 3 / 8 / 2, "4": 1 / 2, ALL: rates[ALL]})
    left = {"0": 3 * 27 + 3, "2": 2 * 27 + 2, "4": 5 * 18 + 5}
    assert experts.parameters(small) == left | {ALL: sum(left.values())}


@pytest.mark.slow
def test_macs_of_deeplab_are_the_published_ones():
    with torch.device("meta"):
        net = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    published = DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1.meta["_ops"]  # billions, a multiply-add counted once
    assert experts.macs(net, torch.zeros(1, 3, 520, 520))[ALL] / 1e9 == pytest.approx(published, abs=1e-3)


def test_coded_bytes(net):
    quantized = ecqx.quantize(net, 4, 0.02)
    sizes = experts.coded_bytes(quantized)
    assert sizes[ALL] == quantized.coded_bytes
    share = torch.bincount(quantized.indices["4.weight"].flatten() + 8).double() / 180
    by_hand = -sum(p * math.log2(p) for p in share.tolist() if p) * 180 / 8
    assert sizes["4"] == pytest.approx(by_hand)


def test_latencies_take_turns():
    order = []
    found = experts.latencies({name: lambda name=name: order.append(name) for name in "ab"}, repeats=3, warm_up=1)
    assert order == ["a", "b"] * 4
    assert found.keys() == {"a", "b"} and all(seconds > 0 for seconds in found.values())
    with pytest.raises(UserError, match="1 run at least"):
        experts.latencies({}, repeats=0)


@pytest.mark.slow
def test_files_run_elsewhere_with_equal_output(compact_net, x, tmp_path):
    path = experts.magnitude_path(compact_net, 0.4, x)
    small = experts.compact(compact_net, path, x)
    with torch.inference_mode():
        wanted = small(x)["out"]
    largest = wanted.abs().max()
    program = torch.export.load(experts.export_program(small, x, tmp_path / "expert.pt2"))
    assert (program.module()(x) - wanted).abs().max() <= 1e-4 * largest
    file = experts.export_onnx(small, x, tmp_path / "expert.onnx")
    assert (experts.open_onnx(file, threads=1)(x) - wanted).abs().max() <= 1e-4 * largest
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["expert.onnx", "expert.pt2"]
    assert file.stat().st_size < 1.5 * 4 * experts.parameters(small)[ALL]


@pytest.mark.slow
def test_bad_files_and_examples_are_said_in_a_sentence(compact_net, x, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"no protobuf")
    with pytest.raises(UserError, match="cannot be opened as ONNX"):
        experts.open_onnx(tmp_path / "broken.onnx")
    with pytest.raises(UserError, match="cannot be opened as ONNX"):
        experts.open_onnx(tmp_path / "missing.onnx")
    with pytest.raises(UserError, match="the example does not go through"):
        experts.export_program(compact_net, x[:, :2], tmp_path / "expert.pt2")
    with pytest.raises(UserError, match="the example does not go through"):
        experts.macs(compact_net, x[:, :2])
