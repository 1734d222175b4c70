"""Small nets: equal to the gated ones in every size, built again from their state, and cut from a quantized net."""

import copy

import pytest
import torch
from torch import nn

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.compression import ecqx, experts
from relcomp_kit.compression.experts import compact, compact_like, cut, gate, magnitude_path, random_path
from relcomp_kit.compression.experts.cutting import TOLERANCE
from relcomp_kit.errors import UserError
from relcomp_kit.models.conv_net import conv_net
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.masked_net import MaskedNet


def some_path(net, x, seed=1, keep=0.5):
    return random_path(net, keep, x, torch.Generator().manual_seed(seed))


@torch.inference_mode()
def out(net, x):
    output = net(x)
    return output["out"] if isinstance(output, dict) else output


def apart(one, other):
    """The largest difference, as a share of the largest logit."""
    return ((one - other).abs().max() / other.abs().max()).item()


def check_equal(net, path, x):
    """The small net computes what the gated one does, also on inputs that it was not compared on."""
    before, output = copy.deepcopy(net.state_dict()), out(net, x)
    small = compact(net, path, x[:1])
    with gate(net, path):
        gated = out(net, x)
    assert not torch.equal(gated, output), "the path changes the output"
    assert apart(out(small, x), gated) <= TOLERANCE
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for name, mask in path.items():
        assert len(small.get_submodule(name).weight) == mask.sum()
    return small


@pytest.mark.slow
@pytest.mark.parametrize("size", ["compact", "resnet50", "resnet101"])
def test_every_size_of_deeplab_is_equal_to_the_gated_net(build, draw, size):
    net, x = build(size), draw(2, 3, 32, 40, seed=3)
    small = check_equal(net, magnitude_path(net, 0.4, x), x)
    assert experts.parameters(small)[experts.ALL] < 0.5 * experts.parameters(net)[experts.ALL]


@pytest.mark.slow
def test_the_trained_net_is_equal_to_the_gated_net(trained, draw):
    x = draw(2, 3, 48, 80)
    for keep, by in ((0.5, "filters"), (0.7, "score")):
        check_equal(trained, magnitude_path(trained, keep, x, by=by), x)


def test_nets_of_other_kinds(make_mixed, draw):
    mixed, digits = make_mixed(), conv_net(8).eval()
    check_equal(mixed, some_path(mixed, draw(2, 3, 8, 8)), draw(2, 3, 8, 8))
    check_equal(digits, some_path(digits, draw(2, 1, 8, 8)), draw(2, 1, 8, 8))
    masked = MaskedNet((7, 8, 6, 3), ("tanh", "sigmoid", "relu")).eval()
    masked.layers[0].weight_mask[:, 2] = 0
    small = check_equal(masked, some_path(masked, draw(2, 7)), draw(2, 7))
    assert small.layers[1].weight_mask.shape == small.layers[1].weight.shape


def test_a_path_of_everything_is_the_net_itself(compact_net, x):
    same = compact(compact_net, some_path(compact_net, x, keep=1), x)
    state = same.state_dict()
    assert all(torch.equal(state[name], value) for name, value in compact_net.state_dict().items())
    with torch.no_grad():
        same.backbone.conv1.weight.zero_()
    assert compact_net.backbone.conv1.weight.any(), "the nets share no memory"


def test_built_again_from_its_file(compact_net, x, tmp_path):
    path = some_path(compact_net, x)
    small = compact(compact_net, path, x)
    file = write_artifact(tmp_path / "expert.safetensors", small.state_dict() | path, {"net": "compact"})
    tensors, _ = read_artifact(file)
    state = {name: value for name, value in tensors.items() if name not in path}
    fresh = deeplab("compact", 5, seed=7).eval()
    again = compact_like(fresh, state)
    assert torch.equal(out(again, x), out(small, x))
    for name, module in small.named_modules():
        assert str(module) == str(again.get_submodule(name)), "widths stand in the modules too"
    assert len(fresh.backbone.conv1.weight) == 16, "the net that it was built like is left as it is"


def test_an_expert_can_be_trained(compact_net, x):
    small = compact(compact_net, some_path(compact_net, x), x)
    assert not small.training
    small.train()(x)["out"].square().mean().backward()
    assert all(value.grad is not None for value in small.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 4])
def test_a_quantized_net_keeps_indices_and_steps_exactly(trained, draw, bits):
    x = draw(1, 3, 48, 80)
    quantized = ecqx.quantize(trained, bits, 0.02)
    path = magnitude_path(trained, 0.5, x)
    expert = cut(quantized, path, trained, x)
    assert expert.steps.keys() == quantized.steps.keys()
    assert all(torch.equal(step, quantized.steps[name]) for name, step in expert.steps.items())
    assert all(index.dtype == quantized.indices[name].dtype for name, index in expert.indices.items())
    layer = "backbone.layer1.0.conv2"
    rows, columns = path[layer], path["backbone.layer1.0.conv1"]
    assert torch.equal(expert.indices[f"{layer}.weight"], quantized.indices[f"{layer}.weight"][rows][:, columns])
    coarse = compact_like(trained, ecqx.state_dict(quantized))
    small = compact(coarse, path, x)
    state = ecqx.state_dict(expert)
    assert small.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in small.state_dict().items())
    again = compact_like(trained, state)
    again.load_state_dict(state, strict=True)
    assert torch.equal(out(again, x), out(small, x))
    assert experts.coded_bytes(expert)[experts.ALL] < 0.7 * experts.coded_bytes(quantized)[experts.ALL]


def test_weights_that_are_not_finite_are_refused(draw):
    net, x = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 3)).eval(), draw(2, 4)
    with torch.no_grad():
        net[0].weight[0, 0] = float("nan")
    with pytest.raises(UserError, match="not all finite"):
        compact(net, {"0": torch.ones(8, dtype=torch.bool)}, x)


def test_a_net_that_gives_no_tensor_is_refused(draw):
    class Pair(nn.Sequential):
        def forward(self, x):
            return super().forward(x), x

    net, x = Pair(nn.Linear(4, 8), nn.Linear(8, 3)).eval(), draw(2, 4)
    with pytest.raises(UserError, match="the net gives a tuple: it must give a tensor"):
        compact(net, some_path(net, x), x)


@pytest.mark.slow
def test_bad_input_is_said_in_a_sentence(compact_net, trained, build, x):
    path = some_path(compact_net, x)
    one = dict(path)
    one["backbone.layer1.0.conv3"] = ~one["backbone.layer1.0.conv3"]
    with pytest.raises(UserError, match="share filters, but the path keeps different ones"):
        compact(compact_net, one, x)
    with pytest.raises(UserError, match="has no mask for"):
        compact(compact_net, {}, x)
    with pytest.raises(UserError, match="the example does not go through"):
        compact(copy.deepcopy(compact_net), path, x[:, :2])
    with pytest.raises(UserError, match="train mode"):
        compact(copy.deepcopy(compact_net).train(), path, x)
    with pytest.raises(UserError, match=r"the state lacks backbone\.layer1\.2"):
        compact_like(build("resnet50"), compact_net.state_dict())
    with pytest.raises(UserError, match="the state has strange"):
        compact_like(compact_net, compact_net.state_dict() | {"strange": x})
    with pytest.raises(UserError, match="in 4 dimensions"):
        compact_like(compact_net, compact_net.state_dict() | {"backbone.bn1.weight": x})
    with pytest.raises(UserError, match="the quantized weights are of another net"):
        cut(ecqx.quantize(trained, 4, 0.0), path, compact_net, x)
