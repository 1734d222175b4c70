"""Coupled filters: which layers share their filters, against the architecture and against Torch-Pruning's own cuts."""

import copy
import re

import pytest
import torch
import torch_pruning
from torch import nn
from torch.nn.utils import prune

from relcomp_kit.compression.experts import compact, folded, gate, groups, overview, random_path
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


def with_pass(run, **modules) -> nn.Module:
    """A net of named modules whose pass is a function of it and its input, as functional code is written."""
    made = type("Made", (nn.Module,), {"forward": run})()
    for name, module in modules.items():
        made.register_parameter(name, module) if isinstance(module, nn.Parameter) else made.add_module(name, module)
    return made


def pruned(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(layer, "weight", 0.5)


def square(channels: int = 6, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 1, groups=groups)


IMAGE, TOKENS, ROW = (1, 4, 4, 4), (2, 5, 4), (1, 4)
STAYS = {
    "layer-norm": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2)),
        ROW,
        r"1 \(LayerNorm\) mixes them",
    ),
    "group-norm": (
        lambda: nn.Sequential(nn.Conv2d(4, 6, 1), nn.GroupNorm(2, 6), nn.Conv2d(6, 2, 1)),
        IMAGE,
        r"1 \(GroupNorm\)",
    ),
    "softmax": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Softmax(-1), nn.Linear(6, 2)), ROW, r"1 \(Softmax\) mixes"),
    "mean": (
        lambda: with_pass(
            lambda net, x: net.last(net.a(x).mean(1, keepdim=True)), a=nn.Conv2d(4, 6, 1), last=nn.Conv2d(1, 2, 1)
        ),
        IMAGE,
        r"the net itself \(Made\) mixes them \(mean\)",
    ),
    "pixel-shuffle": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 1), nn.PixelShuffle(2), nn.Conv2d(2, 2, 1)),
        IMAGE,
        r"1 \(PixelShuffle\) takes them apart",
    ),
    "chunk": (
        lambda: with_pass(
            lambda net, x: net.last(torch.mul(*net.a(x).chunk(2, 1))), a=nn.Conv2d(4, 6, 1), last=nn.Conv2d(3, 2, 1)
        ),
        IMAGE,
        "takes them apart",
    ),
    "hard-coded": (
        lambda: with_pass(lambda net, x: net.last(net.a(x).view(-1, 96)), a=nn.Conv2d(4, 6, 1), last=nn.Linear(96, 2)),
        IMAGE,
        "the net's own code wants all of them",
    ),
    "pixels": (
        lambda: with_pass(lambda net, x: net.last(net.a(x) + x), a=nn.Linear(4, 4), last=nn.Linear(4, 2)),
        ROW,
        "with what no filter makes",
    ),
    "attention": (
        lambda: with_pass(
            lambda net, x: net.last(net.at(x, x, x)[0]), at=nn.MultiheadAttention(4, 2), last=nn.Linear(4, 2)
        ),
        TOKENS,
        r"at \(MultiheadAttention\) uses its weight without running it",
    ),
    "pruned": (
        lambda: nn.Sequential(pruned(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2)),
        ROW,
        "make it permanent first",
    ),
    "weight-norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2)),
        ROW,
        "make it permanent first",
    ),
    "old weight-norm": (
        lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2)),
        ROW,
        "make it permanent first",
    ),
    "read by a computed weight": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(), pruned(nn.Linear(6, 2))),
        ROW,
        r"2 \(Linear\) multiplies them by a computed weight",
    ),
    "unused": (
        lambda: with_pass(lambda net, x: net.last(x), aux=nn.Linear(4, 6), last=nn.Linear(4, 2)),
        ROW,
        "takes no part in the pass",
    ),
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", STAYS)
def test_what_must_stay_is_said_and_why(name, draw):
    make, shape, sentence = STAYS[name]
    net = make().eval()
    found = groups(net, draw(*shape))
    assert not found.units and len(found.fixed) == 1
    assert re.search(sentence, next(iter(found.fixed.values()))), found.fixed
    assert "0 filters of 0 of 1 layer can be removed" in str(overview(net, draw(*shape)))
    with pytest.raises(UserError, match="no filter of this net can be removed"):
        random_path(net, 0.5, draw(*shape), torch.Generator())


CUT = {
    "tokens": (lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)), TOKENS),
    "as many tokens as channels": (lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)), (2, 6, 4)),
    "sigmoid": (lambda: nn.Sequential(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 2)), ROW),
    "declared in another order": (
        lambda: with_pass(
            lambda net, x: net.last(net.b2(net.c2(net.b1(net.c1(x)).relu())).relu()),
            c1=nn.Conv2d(4, 6, 1),
            c2=square(),
            b1=nn.BatchNorm2d(6),
            b2=nn.BatchNorm2d(6),
            last=nn.Conv2d(6, 2, 1),
        ),
        IMAGE,
    ),
    "batch-norm of a concatenation": (
        lambda: with_pass(
            lambda net, x: net.last(net.norm(torch.cat([net.a(x), net.b(x)], 1)).relu()),
            a=nn.Conv2d(4, 6, 1),
            b=nn.Conv2d(4, 3, 1),
            norm=nn.BatchNorm2d(9),
            last=nn.Conv2d(9, 2, 1),
        ),
        IMAGE,
    ),
    "parts of a sum": (
        lambda: with_pass(
            lambda net, x: net.last(torch.cat([net.a(x), net.b(x)], 1) + net.c(x)),
            a=nn.Linear(4, 3),
            b=nn.Linear(4, 3),
            c=nn.Linear(4, 6),
            last=nn.Linear(6, 2),
        ),
        ROW,
    ),
    "groups": (lambda: nn.Sequential(nn.Conv2d(4, 6, 1), square(6, 2), nn.ReLU(), nn.Conv2d(6, 2, 1)), IMAGE),
    "depth-wise with two filters each": (
        lambda: nn.Sequential(nn.Conv2d(4, 6, 1), nn.Conv2d(6, 12, 3, groups=6), nn.Conv2d(12, 2, 1)),
        IMAGE,
    ),
    "transposed": (
        lambda: nn.Sequential(nn.Conv2d(4, 6, 1), nn.Sigmoid(), nn.ConvTranspose2d(6, 3, 2), nn.Conv2d(3, 2, 1)),
        IMAGE,
    ),
    "a vector of its own": (
        lambda: with_pass(
            lambda net, x: net.last(net.a(x) * net.scale),
            a=nn.Linear(4, 6),
            scale=nn.Parameter(torch.rand(6)),
            last=nn.Linear(6, 2),
        ),
        ROW,
    ),
    "one layer twice": (
        lambda: with_pass(
            lambda net, x: net.last(net.b(net.b(net.a(x)).relu())),
            a=nn.Linear(4, 6),
            b=nn.Linear(6, 6),
            last=nn.Linear(6, 2),
        ),
        ROW,
    ),
    "numbers in its code": (
        lambda: with_pass(
            lambda net, x: net.last(net.a(x).relu() * float(x.abs().max())), a=nn.Linear(4, 6), last=nn.Linear(6, 2)
        ),
        ROW,
    ),
}


@pytest.mark.parametrize("name", CUT)
def test_gated_and_cut_give_the_same(name, draw, enliven):
    make, shape = CUT[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net, x = enliven(make()), draw(*shape)
    path = random_path(net, 0.5, x, torch.Generator().manual_seed(1))
    small = compact(net, path, x)
    with torch.inference_mode():
        whole = net(x)
        with gate(net, path):
            gated = net(x)
        assert (small(x) - gated).abs().max() <= 1e-5 * gated.abs().max()
        assert (folded(small, x)(x) - gated).abs().max() <= 1e-5 * gated.abs().max()
        assert (whole - gated).abs().max() > 1e-3 * gated.abs().max(), "the path changes the output"
        fresh = copy.deepcopy(net)
        with gate(fresh, path):
            assert torch.equal(fresh(x), gated), "a net that groups was not asked about"


def test_code_that_computes_with_the_number_of_channels_is_refused(draw):
    def run(net, x):
        hidden = net.a(x)
        return net.last(hidden / hidden.shape[1])

    net, x = with_pass(run, a=nn.Linear(4, 6), last=nn.Linear(6, 2)).eval(), draw(1, 4)
    path = random_path(net, 0.5, x, torch.Generator())
    with pytest.raises(UserError, match="the net's own code computes with the number of its channels"):
        compact(net, path, x)


def test_a_layer_that_must_stay_says_so_when_a_path_cuts_it(draw):
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 6), nn.LayerNorm(6), nn.Linear(6, 2)).eval()
    path = {"0": torch.ones(5, dtype=torch.bool), "2": torch.arange(6) < 3}
    with pytest.raises(UserError, match=r"2 must keep all filters, because 3 \(LayerNorm\) mixes them"):
        compact(net, path, draw(1, 4))
    look = overview(net, draw(1, 4))
    assert look.free == {"0": 5} and look.fixed.keys() == {"2"}
    assert look.share == pytest.approx((20 + 30) / (20 + 30 + 12))


def test_an_example_of_another_shape_is_said():
    net = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))
    with pytest.raises(UserError, match="the example does not go through the net"):
        groups(net, torch.zeros(1, 5))
