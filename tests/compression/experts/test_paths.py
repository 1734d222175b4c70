"""Paths: budgets against brute force, coupled masks, nesting, joining, classes and concepts, bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from relcomp_kit.compression import experts
from relcomp_kit.compression.experts import groups, intersection, join, relevant_path
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import inner_layers

with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    MLP = nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
ONE = torch.zeros(1, 4)
shares = st.floats(0.01, 1)
seeds = st.integers(0, 10**6)


def scores(net: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(len(layer.weight), generator=generator) for name, layer in inner_layers(net).items()}


def size(path: dict) -> int:
    return sum(int(mask.sum()) for mask in path.values())


def test_global_budget_takes_the_highest_of_all_filters():
    given_scores = {
        "0": torch.tensor([9.0, 1, 8, 2, 7, 3, 6, 4, 5, 0.5]),
        "2": torch.tensor([10.0, 0.1, 0.2, 0.3, 8.5]),
    }
    path = relevant_path(MLP, given_scores, 0.4, ONE)
    flat = torch.cat([given_scores["0"], given_scores["2"]])
    bar = flat.sort(descending=True).values[5]  # 0.4 of 15 filters are 6
    assert all(torch.equal(path[name], score >= bar) for name, score in given_scores.items())
    assert size(path) == 6


def test_normalization_decides_between_layers_but_not_within():
    given_scores = {"0": torch.arange(1.0, 11) * 1000, "2": torch.arange(1.0, 6)}
    raw = relevant_path(MLP, given_scores, 0.5, ONE, normalize="none")
    assert raw["2"].tolist() == [False] * 4 + [True], "one filter stays, whatever its unit"
    mean = relevant_path(MLP, given_scores, 0.5, ONE, normalize="mean")
    ratios = torch.cat([given_scores["0"] / 5500, given_scores["2"] / 3])
    assert size(mean) == 8
    assert torch.cat([mean["0"], mean["2"]]).nonzero().flatten().tolist() == sorted(ratios.topk(8).indices.tolist())
    by_sum = relevant_path(MLP, given_scores, 0.5, ONE, normalize="sum")
    assert by_sum["2"].sum() > mean["2"].sum(), "a filter of a narrow layer has a larger part of the sum"
    scaled = {"0": given_scores["0"] * 3, "2": given_scores["2"] / 7}
    for normalize, path in (("mean", mean), ("sum", by_sum)):
        again = relevant_path(MLP, scaled, 0.5, ONE, normalize=normalize)
        assert all(torch.equal(again[name], mask) for name, mask in path.items())


@settings(max_examples=30)
@given(share=shares, seed=seeds)
def test_score_budget_is_met_by_as_few_filters_as_possible(share, seed):
    given_scores = scores(MLP, seed)
    for name, mask in relevant_path(MLP, given_scores, share, ONE, by="score").items():
        score = given_scores[name].double()
        wanted = share * score.sum()
        assert score[mask].sum() >= wanted - 1e-6
        fewer = score.sort(descending=True).values[: int(mask.sum()) - 1].sum()
        assert fewer < wanted or mask.sum() == 1


def test_layers_with_a_share_of_their_own_and_the_rest_whole():
    path = relevant_path(MLP, scores(MLP), {"0": 0.3}, ONE)
    assert path["0"].sum() == 3 and path["2"].all()
    assert path["0"].nonzero().flatten().tolist() == sorted(scores(MLP)["0"].topk(3).indices.tolist())
    budget = relevant_path(MLP, scores(MLP), {"0": 0.5, "2": 1.0}, ONE, by="score")
    assert 1 <= budget["0"].sum() < 6 and budget["2"].all()


@settings(max_examples=15)
@given(low=shares, high=shares, seed=seeds, by=st.sampled_from(["filters", "score"]))
def test_larger_budgets_contain_smaller_ones_and_coupled_filters_agree(compact_net, x, low, high, seed, by):
    given_scores = scores(compact_net, seed)
    small, large = (relevant_path(compact_net, given_scores, keep, x, by=by) for keep in sorted((low, high)))
    assert all((large[name] | ~mask).all() for name, mask in small.items())
    for members in groups(compact_net, x).layers:
        assert all(torch.equal(small[members[0]], small[name]) for name in members)
    assert all(mask.any() for mask in small.values())
    if by == "filters":
        assert size(large) >= max(low, high) * sum(len(mask) for mask in large.values()) - 1e-6


def test_coupled_filters_have_the_sum_of_their_scores(compact_net, x):
    members = next(members for members in groups(compact_net, x).layers if len(members) > 2)
    given_scores = scores(compact_net)
    path = relevant_path(compact_net, given_scores, {members[1]: 0.25}, x)
    best = sum(given_scores[name].double() for name in members).topk(len(path[members[0]]) // 4).indices
    assert path[members[0]].nonzero().flatten().tolist() == sorted(best.tolist())


@pytest.mark.parametrize("options", [{}, {"by": "score"}, {"normalize": "mean"}])
def test_one_keeps_everything_also_what_has_no_score(options):
    given_scores = {"0": torch.arange(10.0), "2": torch.zeros(5)}
    path = relevant_path(MLP, given_scores, 1, ONE, **options)
    assert all(mask.all() for mask in path.values())
    half = relevant_path(MLP, given_scores, 0.5, ONE, **options)
    assert half["2"].all() and not half["0"].all(), "a layer without any score keeps all, as behind a concept"


def test_minimum():
    path = relevant_path(MLP, scores(MLP), 0.01, ONE, minimum=3)
    assert [int(mask.sum()) for mask in path.values()] == [3, 3]
    assert all(m.all() for m in relevant_path(MLP, scores(MLP), {"0": 0.1, "2": 0.1}, ONE, minimum=100).values())


def test_filters_are_rounded_up_to_a_multiple_by_the_best_of_the_rest():
    given_scores = scores(MLP)
    exact, rounded = (relevant_path(MLP, given_scores, 0.3, ONE, multiple=multiple) for multiple in (1, 4))
    for name, mask in rounded.items():
        count = min(-(-int(exact[name].sum()) // 4) * 4, len(mask))
        assert mask.sum() == count and (mask | ~exact[name]).all()
        assert mask.nonzero().flatten().tolist() == sorted(given_scores[name].topk(count).indices.tolist())


@settings(max_examples=20)
@given(share=shares, seed=seeds)
def test_a_budget_of_multiply_adds_is_met_and_no_more(share, seed):
    given_scores = scores(MLP, seed)
    path = relevant_path(MLP, given_scores, share, ONE, by="macs")
    whole = experts.macs(MLP, ONE)[experts.ALL]
    assert experts.macs(experts.compact(MLP, path, ONE), ONE)[experts.ALL] >= (share - 1e-9) * whole
    saved = {"0": 4 + 5, "2": 10 + 3}  # what a filter reads, and what reads it
    ranked = sorted(
        (score.item() / saved[name], name, i) for name, s in given_scores.items() for i, score in enumerate(s)
    )
    last = next((name, i) for _, name, i in ranked if path[name][i])
    fewer = {name: mask.clone() for name, mask in path.items()}
    fewer[last[0]][last[1]] = False
    left = [int(mask.sum()) for mask in fewer.values()]
    if min(left):
        assert 4 * left[0] + left[0] * left[1] + 3 * left[1] < share * whole


def test_relevance_of_weights_is_summed_for_each_filter():
    weights = {name: value.detach().square() for name, value in MLP.named_parameters()}
    filters = {name: weights[f"{name}.weight"].sum(1) for name in ("0", "2")}
    paths = [relevant_path(MLP, relevance, 0.4, ONE) for relevance in (weights, filters)]
    assert all(torch.equal(paths[0][name], paths[1][name]) for name in filters)
    magnitude = experts.magnitude_path(MLP, 0.4, ONE)
    by_hand = {name: MLP.get_submodule(name).weight.detach().abs().sum(1) for name in ("0", "2")}
    expected = relevant_path(MLP, by_hand, 0.4, ONE, normalize="sum")
    assert all(torch.equal(magnitude[name], mask) for name, mask in expected.items())


def test_classes_count_alike():
    per_class = {"rail": scores(MLP, 1), "sky": scores(MLP, 2), "anomaly": scores(MLP, 3)}
    loud = per_class | {"sky": {name: 1e6 * score for name, score in per_class["sky"].items()}}
    for one, other in zip(
        (experts.average_rel_path(MLP, each, 0.4, ONE) for each in (per_class, loud)),
        (experts.most_critical(MLP, each, ["sky", "rail", "anomaly"], 0.4, ONE) for each in (loud, per_class)),
    ):
        assert all(torch.equal(one[name], other[name]) for name in one)
    alone = experts.most_critical(MLP, loud, ["sky"], 0.4, ONE)
    assert all(torch.equal(alone[name], mask) for name, mask in relevant_path(MLP, loud["sky"], 0.4, ONE).items())


def test_chance_is_decided_by_the_generator():
    first, again, other = (
        experts.random_path(MLP, 0.4, ONE, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    assert size(first) == 6


paths = seeds.map(lambda seed: experts.random_path(MLP, 0.4, ONE, torch.Generator().manual_seed(seed)))


@settings(max_examples=20)
@given(a=paths, b=paths, c=paths)
def test_joining_is_a_union(a, b, c):
    def equal(one, other):
        return all(torch.equal(one[name], other[name]) for name in one | other)

    assert equal(join(a, b), join(b, a))
    assert equal(join(a, a), a) and equal(join(a), a)
    assert equal(join(join(a, b), c), join([a, b, c]))
    assert all((join(a, b)[name] | ~mask).all() for name, mask in a.items())
    assert equal(intersection(a, join(a, b)), a)
    assert all(torch.equal(intersection(a, b)[name], a[name] & b[name]) for name in a)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"keep": 0}, r"must lie in \(0, 1\], not 0"),
        ({"keep": 1.5}, r"must lie in \(0, 1\], not 1.5"),
        ({"keep": float("nan")}, "not nan"),
        ({"keep": {"0": 0.0}}, r"the share to keep of 0 must lie in"),
        ({"keep": {"9": 0.5}}, "keep names '9'"),
        ({"by": "bytes"}, "there is no budget 'bytes'; choose one of filters, score, macs"),
        ({"normalize": "best"}, "there is no normalization 'best'"),
        ({"minimum": 0}, "every layer must keep 1 filter at least, not 0"),
        ({"multiple": 0}, "rounded up to a multiple of 1 or more, not 0"),
        ({"by": "macs", "keep": {"0": 0.5}}, "give one number to keep"),
        ({"relevance": {}}, "there is no relevance of 0"),
        ({"relevance": {"0": torch.rand(10)}}, "there is no relevance of 2"),
        ({"relevance": {"0": torch.rand(10), "2": torch.rand(6)}}, "the relevance of 2 has the shape"),
        ({"relevance": {"0": torch.rand(10), "2": -torch.ones(5)}}, "must be finite and 0 or more"),
        ({"relevance": {"0": torch.rand(10), "2": torch.full((5,), float("nan"))}}, "must be finite and 0 or more"),
    ],
)
def test_bad_input_is_said_in_a_sentence(options, sentence):
    arguments = {"relevance": scores(MLP), "keep": 0.5} | options
    with pytest.raises(UserError, match=sentence):
        relevant_path(MLP, arguments.pop("relevance"), arguments.pop("keep"), ONE, **arguments)


def test_bad_combinations_are_said_in_a_sentence(compact_net, x):
    per_class = {"rail": scores(MLP)}
    with pytest.raises(UserError, match="no relevance of class tree: it was measured for the classes rail"):
        experts.most_critical(MLP, per_class, ["rail", "tree"], 0.5, ONE)
    with pytest.raises(UserError, match="without a class to ask for"):
        experts.most_critical(MLP, per_class, [], 0.5, ONE)
    with pytest.raises(UserError, match="there is no path to combine"):
        join()
    with pytest.raises(UserError, match="of different nets"):
        join({"0": torch.ones(3, dtype=torch.bool)}, {"0": torch.ones(4, dtype=torch.bool)})
    one, other = next(members for members in groups(compact_net, x).layers if len(members) > 1)[:2]
    with pytest.raises(UserError, match="share filters: give them one share"):
        relevant_path(compact_net, scores(compact_net), {one: 0.5, other: 0.6}, x)
