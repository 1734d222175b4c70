"""Gates: what they switch off, that nothing of it stays, gates in gates, one path for each element of a batch."""

import copy

import pytest
import torch
from torch import nn

from relcomp_kit.compression.experts import compact, gate, gate_each, groups, intersection, join, random_path
from relcomp_kit.compression.experts.coupling import kept_units
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.channels import batch_norms


def some_path(net, x, seed=1, keep=0.6):
    return random_path(net, keep, x, torch.Generator().manual_seed(seed))


@torch.inference_mode()
def out(net, x):
    output = net(x)
    return output["out"] if isinstance(output, dict) else output


def same(net, before):
    return all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_layers_are_given_0_on_left_out_channels_and_only_there(compact_net, x):
    path, found, seen = some_path(compact_net, x), groups(compact_net, x), {}
    with gate(compact_net, path):
        kept = kept_units(compact_net, path, found)
        handles = [
            compact_net.get_submodule(name).register_forward_pre_hook(
                lambda module, inputs, name=name: seen.update({name: inputs[0].detach().clone()})
            )
            for name in found.reads
        ]
        out(compact_net, x)
    for handle in handles:
        handle.remove()
    assert seen.keys() == found.reads.keys()
    for name, unit in found.reads.items():
        alive = seen[name].abs().amax((0, 2, 3)) > 0
        assert torch.equal(alive, alive & ((unit < 0) | kept[unit])), name
        assert alive.any()


class Reworks(nn.Conv2d):
    """A convolution with code of its own before it reads."""

    before = staticmethod(lambda x: x)

    def forward(self, x):
        return super().forward(self.before(x))


@pytest.mark.parametrize(
    ("before", "cut"),
    [
        (lambda x: x, True),
        (lambda x: nn.functional.pad(x, (1, 1, 1, 1)), True),
        (lambda x: nn.functional.pad(x, (1, 1, 1, 1), value=1.0), False),
        (torch.sigmoid, False),
    ],
    ids=["as it is", "zeros around it", "ones around it", "sigmoid"],
)
def test_a_layer_that_makes_something_of_zeros_must_be_given_all_channels(draw, before, cut):
    layer = Reworks(8, 6, 3)
    layer.before = before
    net = nn.Sequential(nn.Conv2d(3, 8, 3), layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    x = draw(2, 3, 8, 8)
    net(x)
    found = groups(net, x)
    assert ("0" in found.units) == cut and ("changes what it is given" in found.fixed.get("0", "")) == (not cut)
    path = random_path(net, 0.5, x, torch.Generator().manual_seed(0))
    small = compact(net, path, x)
    with gate(net, path):
        torch.testing.assert_close(out(net, x), out(small, x))


def test_a_net_may_be_given_its_input_by_name(draw):
    class Net(nn.Sequential):
        def forward(self, images):
            return super().forward(images)

    net = Net(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 3)).eval()
    x = draw(2, 3, 8, 8)
    path = some_path(copy.deepcopy(net), x)
    with gate(net, path), torch.inference_mode():
        by_name = net(images=x)
        torch.testing.assert_close(by_name, net(x))


def test_the_output_is_that_of_a_net_whose_vectors_were_zeroed_by_hand(compact_net, x):
    path = some_path(compact_net, x)
    other = copy.deepcopy(compact_net)
    with torch.no_grad():
        for name, norm in batch_norms(other).items():
            other.get_submodule(norm).weight[~path[name]] = 0
            other.get_submodule(norm).bias[~path[name]] = 0
    with gate(compact_net, path) as net:
        assert net is compact_net
        assert torch.allclose(out(net, x), out(other, x), atol=1e-5)


@pytest.mark.parametrize("fails", [False, True])
def test_leaving_restores_the_net_to_the_bit(compact_net, x, fails):
    before, output = copy.deepcopy(compact_net.state_dict()), out(compact_net, x)
    parameters = list(compact_net.parameters())
    try:
        with gate(compact_net, some_path(compact_net, x)):
            assert not torch.equal(out(compact_net, x), output)
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert fails
    assert same(compact_net, before)
    assert torch.equal(out(compact_net, x), output)
    assert all(one is other for one, other in zip(parameters, compact_net.parameters()))


def test_a_path_of_everything_is_the_super_net_to_the_bit(compact_net, x):
    output = out(compact_net, x)
    with gate(compact_net, some_path(compact_net, x, keep=1)):
        assert torch.equal(out(compact_net, x), output)


def test_a_gate_in_a_gate_keeps_what_both_keep(compact_net, x):
    a, b = (some_path(compact_net, x, seed, 0.8) for seed in (1, 2))
    with gate(compact_net, intersection(a, b)):
        expected = out(compact_net, x)
    with gate(compact_net, a):
        alone = out(compact_net, x)
        with gate(compact_net, b):
            assert torch.equal(out(compact_net, x), expected)
        assert torch.equal(out(compact_net, x), alone)
        with pytest.raises(UserError), gate(compact_net, {}):
            pass
        assert torch.equal(out(compact_net, x), alone)


def test_joined_experts_of_which_one_contains_the_other(compact_net, x):
    a, b = (some_path(compact_net, x, 1, keep) for keep in (0.5, 0.9))
    assert all((b[name] | ~mask).all() for name, mask in a.items())
    with gate(compact_net, b):
        expected = out(compact_net, x)
    with gate(compact_net, join(a, b)):
        assert torch.equal(out(compact_net, x), expected)


@pytest.mark.parametrize("activations", ["tanh", "sigmoid"])
def test_layers_without_batch_norm(activations, draw):
    net, x = MaskedNet((7, 6, 5, 3), activations).eval(), draw(4, 7)
    path = some_path(net, x)
    with gate(net, path):
        output = out(net, x)
    other = copy.deepcopy(net)
    for layer, mask in zip(other.layers, path.values()):
        layer.output_mask.copy_(mask)
    assert torch.equal(output, out(other, x))
    assert not any(module._forward_hooks for module in net.modules())


def test_every_element_of_a_batch_takes_its_own_path(compact_net, x):
    paths = [some_path(compact_net, x, seed) for seed in (1, 2)]
    with gate_each(compact_net, paths):
        both = out(compact_net, x)
        with pytest.raises(UserError, match="there are 2 paths for a batch of 1 in"):
            out(compact_net, x[:1])
    for index, path in enumerate(paths):
        with gate(compact_net, path):
            assert torch.allclose(both[index], out(compact_net, x[index : index + 1])[0], atol=1e-5)
    assert not any(module._forward_hooks for module in compact_net.modules())


def test_gradients_flow_to_the_weights_of_a_gated_net(compact_net, x):
    path = some_path(compact_net, x)
    net = copy.deepcopy(compact_net)
    with gate(net, path):
        net(x)["out"].sum().backward()
    grad = net.backbone.conv1.weight.grad
    assert torch.equal(grad.flatten(1).any(1), path["backbone.conv1"])


@pytest.mark.slow
def test_bad_input_is_said_in_a_sentence(compact_net, build, x):
    path = some_path(compact_net, x)
    with pytest.raises(UserError, match=r"has no mask for backbone\.layer1\.2"), gate(build("resnet50"), path):
        pass
    with pytest.raises(UserError, match="names strange, which this net does not have"):
        gate(compact_net, path | {"strange": path["backbone.conv1"]}).__enter__()
    for wrong in (path["backbone.conv1"][1:], path["backbone.conv1"].float()):
        with (
            pytest.raises(UserError, match="make the path on this net"),
            gate(compact_net, path | {"backbone.conv1": wrong}),
        ):
            pass
    empty = path | {"backbone.conv1": torch.zeros(16, dtype=torch.bool)}
    with pytest.raises(UserError, match=r"leaves backbone.conv1 without filters"), gate(compact_net, empty):
        pass
    with pytest.raises(UserError, match="there is no path"), gate_each(compact_net, []):
        pass
    net = copy.deepcopy(compact_net).train()
    with pytest.raises(UserError, match="train mode"), gate(net, path):
        pass


def test_a_replaced_module_is_noticed(draw):
    layers = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)
    net, x = nn.Sequential(*layers).eval(), draw(1, 3, 4, 4)
    path = {name: torch.tensor([True, False, True, False]) for name in ("0", "3")}
    with gate(net, path):
        out(net, x)
    net[1] = nn.GroupNorm(2, 4).eval()
    with gate(net, path), pytest.raises(UserError, match=r"0 must keep all filters, because 1 \(GroupNorm\)"):
        out(net, x)
