"""Paths at the widths of another path: as wide by construction, and the best choice there, against brute force."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision import models

from relcomp_kit.compression import experts
from relcomp_kit.compression.experts import ALL, groups, magnitude_path, random_path, relevant_path
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import inner_layers


class Residual(nn.Module):
    """Two layers whose outputs are added, so that their filters are coupled, and one that stands alone."""

    def __init__(self):
        super().__init__()
        self.first, self.inside = nn.Linear(3, 5), nn.Linear(5, 4)
        self.second, self.last = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x):
        x = self.first(x).relu()
        return self.last(x + self.second(self.inside(x).relu()))


with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NET = Residual().eval()
ONE = torch.zeros(1, 3)
seeds = st.integers(0, 10**6)
shares = st.floats(0.01, 1)


def scores(net: nn.Module, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(len(layer.weight), generator=generator) for name, layer in inner_layers(net).items()}


def by_chance(net: nn.Module, keep: object, x: torch.Tensor, seed: int, **how) -> dict[str, torch.Tensor]:
    return random_path(net, keep, x, torch.Generator().manual_seed(seed), **how)


def widths(path: dict) -> dict[str, int]:
    return {name: int(mask.sum()) for name, mask in path.items()}


def equal(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one | other)


def shapes(net: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in net.state_dict().items()}


@pytest.mark.slow
@settings(max_examples=25)
@given(keep=shares, seed=seeds, per=st.sampled_from(["unit", "filter"]))
def test_every_layer_is_as_wide_whatever_the_scores(compact_net, x, keep, seed, per):
    like = by_chance(compact_net, keep, x, seed, per=per)
    some = [relevant_path(compact_net, scores(compact_net, seed), like, x), magnitude_path(compact_net, like, x)]
    some.append(by_chance(compact_net, like, x, seed + 1))
    some.append(relevant_path(compact_net, {name: 0 * one for name, one in scores(compact_net, 0).items()}, like, x))
    assert all(widths(path) == widths(like) for path in some)
    for members in groups(compact_net, x).layers:
        assert all(torch.equal(path[members[0]], path[name]) for path in some for name in members)


@settings(max_examples=20)
@given(keep=shares, seed=seeds)
def test_the_choice_is_the_best_of_all_that_are_as_wide(keep, seed):
    found, given_scores = groups(NET, ONE), scores(NET, seed)
    assert [len(members) for members in found.layers] == [2, 1]
    like = by_chance(NET, keep, ONE, seed + 1)
    path = relevant_path(NET, given_scores, like, ONE)

    every = torch.cartesian_prod(*[torch.tensor([False, True])] * found.count)  # what can be kept of the units
    as_wide = torch.stack([every[:, unit].sum(1) == like[name].sum() for name, unit in found.units.items()]).all(0)
    totals = sum(every[as_wide][:, unit].float() @ given_scores[name] for name, unit in found.units.items())
    total = sum(given_scores[name][mask].sum() for name, mask in path.items())
    assert total.item() == pytest.approx(totals.max().item(), abs=1e-5)


@pytest.mark.slow
@settings(max_examples=15)
@given(keep=shares, seed=seeds)
def test_a_path_by_the_same_scores_stays_as_it_is(compact_net, x, keep, seed):
    given_scores = scores(compact_net, seed)
    path = relevant_path(compact_net, given_scores, keep, x)
    assert equal(relevant_path(compact_net, given_scores, path, x), path)
    assert equal(magnitude_path(compact_net, path, x, normalize="none"), magnitude_path(compact_net, path, x))


def cut_alike(net: nn.Module, x: torch.Tensor) -> None:
    """Check that nets cut by different scores at the same widths have the same shapes and the same work."""
    like = by_chance(net, 0.6, x, 1)
    small, other = (experts.compact(net, path, x) for path in (like, magnitude_path(net, like, x)))
    assert not equal(like, magnitude_path(net, like, x))
    assert shapes(small) == shapes(other) != shapes(net)
    assert experts.macs(small, x)[ALL] == experts.macs(other, x)[ALL]


def test_nets_of_equal_widths_have_equal_shapes_and_do_equal_work(compact_net, x):
    cut_alike(compact_net, x)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet121", "resnext50_32x4d", "shufflenet_v2_x0_5"])
def test_so_they_have_where_a_unit_is_several_filters(name, enliven, draw):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = enliven(models.get_model(name, weights=None))
    cut_alike(net, draw(1, 3, 64, 64))


def test_a_score_for_each_filter_favours_coupled_ones():
    drawn = {per: [by_chance(NET, 0.5, ONE, seed, per=per) for seed in range(100)] for per in ("unit", "filter")}
    wide = {per: sum(widths(path)["first"] for path in paths) for per, paths in drawn.items()}
    alone = {per: sum(widths(path)["inside"] for path in paths) for per, paths in drawn.items()}
    assert wide["filter"] > 1.2 * wide["unit"] and alone["filter"] < 0.8 * alone["unit"]
    like = drawn["unit"][0]
    places = {per: sum(by_chance(NET, like, ONE, seed, per=per)["first"] for seed in range(100)) for per in drawn}
    for counts in places.values():  # every filter is as likely as any other
        assert counts / 100 == pytest.approx(widths(like)["first"] / 5, abs=0.15)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"by": "score"}, "leave nothing to budget: leave out by, minimum and multiple"),
        ({"minimum": 2}, "leave nothing to budget"),
        ({"multiple": 8}, "leave nothing to budget"),
        ({"keep": {"first": torch.ones(5, dtype=torch.bool)}}, "the path has no mask for inside"),
        ({"keep": {"first": torch.ones(5, dtype=torch.bool), "inside": 0.5}}, "the path has no mask for inside"),
        ({"keep": {n: torch.ones(6, dtype=torch.bool) for n in ("first", "inside", "second")}}, "the layer has 5"),
    ],
)
def test_a_path_that_does_not_fit_gets_a_sentence(change, words):
    arguments = {"keep": by_chance(NET, 0.5, ONE, 0)} | change
    with pytest.raises(UserError, match=words):
        relevant_path(NET, scores(NET, 0), arguments.pop("keep"), ONE, **arguments)


def test_chance_is_drawn_per_unit_or_per_filter_and_else_a_sentence():
    with pytest.raises(UserError, match="a score per 'layer'; choose one of unit, filter"):
        by_chance(NET, 0.5, ONE, 0, per="layer")
