"""Nets that ask for the version of their state when they load it: MNASNet refuses one that has none."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models import get_model
from torchvision.models.detection.rpn import RPNHead
from torchvision.models.vision_transformer import VisionTransformer

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.errors import UserError
from relcomp_kit.models.states import load_state, versions, with_versions

NETS = {
    "mnasnet0_5": lambda: get_model("mnasnet0_5", num_classes=5),
    "mobilenet_v3_small": lambda: get_model("mobilenet_v3_small", num_classes=5),
    "resnet18": lambda: get_model("resnet18", num_classes=5),
    "shufflenet_v2_x0_5": lambda: get_model("shufflenet_v2_x0_5", num_classes=5),
    "squeezenet1_1": lambda: get_model("squeezenet1_1", num_classes=5),
    "vision transformer": lambda: VisionTransformer(32, 8, 2, 4, 32, 64, num_classes=5),
    "RPN head": lambda: RPNHead(8, 3),
}


class Picky(nn.Module):
    """Refuses a state of another version, in a place that is not the net's root."""

    _version = 3

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        if local_metadata.get("version") != 3:
            raise ValueError("a state of another version")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def forward(self, x):
        return self.layer(x)


def picky() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Picky(), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).eval()


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_versions_are_those_of_modules_that_ask():
    assert versions(picky()) == {"0": 3}
    assert versions(NETS["mnasnet0_5"]()) == {"": 2}
    assert versions(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))) == {}


def test_a_plain_state_loads_into_the_net_that_it_is_of():
    net, other = picky(), picky()
    tensors = {name: value + 1 for name, value in net.state_dict().items()}
    with pytest.raises(ValueError, match="another version"):
        other.load_state_dict(tensors)
    load_state(other, tensors)
    assert same(other.state_dict(), tensors)
    other.load_state_dict(with_versions(net.state_dict(), {"0": 3}))
    assert same(other.state_dict(), net.state_dict())
    with pytest.raises(RuntimeError, match="Missing key"):
        load_state(other, {"1.bias": tensors["1.bias"]})


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_a_quantized_net_loads_strictly_wherever_it_comes_from(name, tmp_path):
    """From `quantize`, from a file of tensors, from bytes: the same weights, and each loads."""
    torch.manual_seed(0)
    net = NETS[name]()
    quantized = ecqx.quantize(net, 4, 0.05)
    write_artifact(tmp_path / "net.safetensors", ecqx.to_tensors(quantized), {})
    kept = ecqx.from_tensors(read_artifact(tmp_path / "net.safetensors")[0])
    decoded = nnc.decode(nnc.encode(quantized)).quantized
    expected = ecqx.state_dict(quantized)
    for one in (quantized, kept, decoded, ecqx.truncated(quantized)):
        assert one.versions == versions(net)
        loaded = NETS[name]()
        loaded.load_state_dict(ecqx.state_dict(one))
        assert same(loaded.state_dict(), ecqx.state_dict(one))
    assert same(ecqx.state_dict(kept), expected) and same(ecqx.state_dict(decoded), expected)


def test_an_expert_keeps_the_versions():
    net, x = picky(), torch.rand(2, 3, 8, 8)
    path = experts.random_path(net, 0.5, x, generator=torch.Generator().manual_seed(0))
    small = experts.compact(net, path, x)
    cut = experts.cut(ecqx.quantize(net, 8, 0), path, net, x)
    assert cut.versions == {"0": 3}
    again = copy.deepcopy(small)
    again.load_state_dict(ecqx.state_dict(cut))
    assert same(again.state_dict(), ecqx.state_dict(cut))


def test_a_net_without_such_modules_has_the_same_file_as_ever():
    quantized = ecqx.quantize(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), 4, 0.05)
    assert quantized.versions == {} and not [name for name in ecqx.to_tensors(quantized) if name.startswith("version:")]


def test_versions_that_are_none_are_refused():
    tensors = ecqx.to_tensors(ecqx.quantize(nn.Linear(4, 3), 4, 0.05))
    for wrong in (torch.ones(2, dtype=torch.int64), torch.tensor(2.0)):
        with pytest.raises(UserError, match="the version of 'x' is no whole number"):
            ecqx.from_tensors(tensors | {"version:x": wrong})
