"""Coupled filters: which layers share their filters, against the architecture and against Torch-Pruning's own cuts."""

import copy

import pytest
import torch
import torch_pruning
from torch import nn

from relcomp_kit.compression.experts import groups, random_path
from relcomp_kit.compression.experts.coupling import kept_units
from relcomp_kit.compression.experts.slicing import sliced
from relcomp_kit.errors import UserError
from relcomp_kit.models.conv_net import conv_net
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.channels import inner_layers

BLOCKS = {"compact": (2, 2, 2, 2), "resnet101": (3, 4, 23, 3)}


def residual_sums(blocks: tuple[int, ...]) -> set[frozenset[str]]:
    """What the architecture says: the last convolutions of a stage and its shortcut write into one sum."""
    return {
        frozenset(
            [f"backbone.layer{stage}.{block}.conv3" for block in range(count)]
            + [f"backbone.layer{stage}.0.downsample.0"]
        )
        for stage, count in enumerate(blocks, 1)
    }


@pytest.mark.slow
@pytest.mark.parametrize("size", ["compact", "resnet101"])
def test_residual_sums_are_coupled_and_all_else_is_free(build, x, size):
    net = build(size)
    found = groups(net, x)
    assert {frozenset(members) for members in found.layers if len(members) > 1} == residual_sums(BLOCKS[size])
    assert [name for members in found.layers for name in members].count("classifier.0.convs.0.0") == 1
    assert found.units.keys() == inner_layers(net).keys(), "all layers but the classifier's last have units"
    assert "classifier.4" not in found.units
    assert sorted(set(torch.cat(list(found.units.values())).tolist())) == list(range(found.count))


def test_concatenation_tells_where_its_parts_are_read(compact_net, x):
    found = groups(compact_net, x)
    branches = [*(f"classifier.0.convs.{branch}.0" for branch in range(4)), "classifier.0.convs.4.1"]
    expected = torch.cat([found.units[name] for name in branches])
    assert torch.equal(found.axes["classifier.0.project.0.weight"][1], expected)


def test_slices_are_those_of_torch_prunings_own_cut(compact_net, x):
    path = random_path(compact_net, 0.5, x, torch.Generator().manual_seed(1))
    found = groups(compact_net, x)
    ours = sliced(compact_net.state_dict(), kept_units(compact_net, path, found), found.axes)
    theirs = copy.deepcopy(compact_net)
    graph = torch_pruning.DependencyGraph().build_dependency(theirs, x)
    for members in found.layers:
        layer, gone = theirs.get_submodule(members[0]), (~path[members[0]]).nonzero().flatten().tolist()
        if gone:
            graph.get_pruning_group(layer, torch_pruning.prune_conv_out_channels, gone).prune()
    state = theirs.state_dict()
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[name], value) for name, value in state.items())


def test_every_kind_of_coupling(make_mixed, draw):
    found = groups(make_mixed(), draw(1, 3, 8, 8))
    assert set(found.layers) == {("first", "left", "depth"), ("side",), ("hidden",)}
    assert all(torch.equal(found.units["first"], found.units[name]) for name in ("left", "depth"))
    assert set(found.axes["depth.weight"]) == {0}, "a depth-wise filter reads its own channel alone"
    assert torch.equal(found.axes["hidden.weight"][1], torch.cat([found.units["side"], found.units["first"]]))


def test_flattened_channels_go_together(draw):
    found = groups(conv_net(8), draw(1, 1, 8, 8))
    assert torch.equal(found.axes["7.weight"][1], found.units["3"].repeat_interleave(4))


def test_masked_net_and_a_layer_at_the_output(draw):
    found = groups(MaskedNet((7, 5, 4, 3)), draw(1, 7))
    assert found.layers == (("layers.0",), ("layers.1",))
    assert found.axes["layers.1.weight_mask"].keys() == {0, 1}
    assert "layers.2.bias" not in found.axes

    class Twice(nn.Sequential):
        def forward(self, x):
            return self[1](self[0](x)) + self[0](x)

    assert groups(Twice(nn.Linear(4, 4), nn.Linear(4, 4)), draw(1, 4)).layers == ()


def test_found_once_a_net_and_the_net_is_left_alone(make_mixed, draw):
    net = make_mixed().train().requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    with torch.inference_mode():
        found = groups(net, draw(1, 3, 8, 8))
    assert groups(net, draw(3, 3, 8, 8)) is found
    assert net.training and not any(value.requires_grad for value in net.parameters())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    net.last = nn.Linear(7, 4)
    assert groups(net, draw(1, 3, 8, 8)) is not found, "a net of other shapes is looked at again"


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last, self.scale = nn.Linear(4, 6), nn.Linear(6, 2), nn.Parameter(torch.ones(6))

    def forward(self, x):
        return self.last(self.first(x) * self.scale)


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x):
        return self.d(torch.cat([self.a(x), self.b(x)], 1) + self.c(x))


@pytest.mark.parametrize(
    ("make", "shape", "sentence"),
    [
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2)), (1, 4), "cannot cut 1, a LayerNorm"),
        (
            lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 1, groups=2), nn.Conv2d(8, 2, 1)),
            (1, 4, 5, 5),
            "1 is a convolution in groups",
        ),
        (Own, (1, 4), "a parameter that belongs to no layer"),
        (Halves, (1, 4), "coupled with different layers"),
        (lambda: nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)), (1, 5), "the example does not go through the net"),
    ],
    ids=["layer-norm", "groups", "parameter", "parts", "example"],
)
def test_what_cannot_be_cut_is_said(make, shape, sentence):
    with pytest.raises(UserError, match=sentence):
        groups(make(), torch.zeros(shape))
