"""Rank correlation against scipy; removal against counting by hand and on nets whose importance is known."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.ablation import channel_ablation, choose_channels
from relcomp_kit.relevance.channels import batch_norms, inner_layers, layer_weights
from relcomp_kit.relevance.faithfulness import (
    area,
    magnitude_scores,
    pick,
    random_scores,
    rank_correlation,
    removal_curve,
)


@pytest.mark.slow
@given(
    rows=st.lists(st.lists(st.integers(0, 5), min_size=6, max_size=6).filter(lambda row: len(set(row)) > 1), min_size=2)
)
def test_each_row_is_spearmans_with_ties(rows):
    one, other = torch.tensor(rows, dtype=torch.float32), torch.tensor(rows[1:] + rows[:1], dtype=torch.float32)
    expected = [spearmanr(left, right).statistic for left, right in zip(one.numpy(), other.numpy(), strict=True)]
    assert rank_correlation(one, other).tolist() == pytest.approx(expected, abs=1e-9)


def test_only_the_order_counts():
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    assert rank_correlation(values, values.exp() * 1e6).tolist() == pytest.approx([1.0])
    assert rank_correlation(values, -(values**3)).tolist() == pytest.approx([-1.0])


def test_no_ranking_is_nan_and_shapes_must_agree():
    assert rank_correlation(torch.ones(4), torch.arange(4.0)).isnan().all()
    with pytest.raises(UserError, match=r"equal shapes only, not \(4,\) and \(5,\)"):
        rank_correlation(torch.ones(4), torch.ones(5))


def net(seed: int = 0) -> nn.Sequential:
    """Convolutions with and without batch-norm and bias, and a last layer of three classes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(
            nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Sigmoid()),
            nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, affine=False), nn.ReLU()),
            nn.Conv2d(6, 5, 1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 3),
        )
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                if module.affine:
                    module.weight.data.uniform_(0.5, 2)
                    module.bias.data.normal_()
        return made.eval()


def keep(pruned: list):
    """A score that keeps the nets that it is given, to look into them."""

    def score(model: nn.Module) -> float:
        pruned.append(copy.deepcopy(model))
        return float(len(pruned))

    return score


def gone(model: nn.Module, filters: bool) -> dict[str, torch.Tensor]:
    """Where the weights are 0: of whole filters, or one by one."""
    if filters:
        return {name: (layer.weight == 0).flatten(1).all(1) for name, layer in inner_layers(model).items()}
    return {name: value == 0 for name, value in layer_weights(model).items()}


@pytest.mark.slow
@given(
    seed=st.integers(0, 9),
    share=st.floats(0, 1, exclude_max=True),
    filters=st.booleans(),
    order=st.sampled_from(["least", "most"]),
    scope=st.sampled_from(["layer", "net"]),
    ties=st.booleans(),
)
def test_the_right_ones_go(seed, share, filters, order, scope, ties):
    model = net()
    draw = torch.Generator().manual_seed(seed)
    scores = random_scores(magnitude_scores(model, filters), draw)
    if ties:
        scores = {name: (3 * value).floor() for name, value in scores.items()}
    before = {name: value.clone() for name, value in scores.items()}
    pruned = []
    assert removal_curve(model, scores, [share], keep(pruned), order=order, scope=scope) == [1.0]
    assert all(torch.equal(scores[name], value) for name, value in before.items())
    masks = gone(pruned[0], filters)
    scores = {name: value if order == "least" else -value for name, value in scores.items() if name in masks}
    groups = [list(masks)] if scope == "net" else [[name] for name in masks]
    for names in groups:
        total = sum(masks[name].numel() for name in names)
        assert sum(int(masks[name].sum()) for name in names) == min(round(share * total), total - len(names))
        kept = [scores[name][~masks[name]] for name in names]
        assert all(len(values) for values in kept), "no layer is removed whole"
        # whatever goes has no higher score than what stays, but for the one that a layer keeps in any case
        others = torch.cat([values.sort().values[:-1] for values in kept])
        away = torch.cat([scores[name][masks[name]] for name in names])
        assert not len(away) or not len(others) or away.max() <= others.min()
        assert all(values.max() == scores[name].max() for name, values in zip(names, kept))


@pytest.mark.parametrize("filters", [True, False])
@pytest.mark.parametrize("scope", ["layer", "net"])
def test_nothing_is_removed_by_a_share_of_0_and_more_by_more(filters, scope):
    model, pruned = net(), []
    before = copy.deepcopy(model)
    shares = [0.6, 0, 0.3, 0.99]  # in any order: every share starts from the whole net
    scores = magnitude_scores(model, filters)
    assert removal_curve(model, scores, shares, keep(pruned), scope=scope) == [1, 2, 3, 4]
    for changed in (model, pruned[1]):
        assert all(torch.equal(*pair) for pair in zip(before.state_dict().values(), changed.state_dict().values()))
    small, middle, large = (gone(pruned[index], filters) for index in (2, 0, 3))
    for name in small:
        assert (small[name] <= middle[name]).all() and (middle[name] <= large[name]).all()
    assert sum(int(mask.sum()) for mask in small.values()) < sum(int(mask.sum()) for mask in large.values())


def test_a_removed_filter_gives_exactly_0_and_the_classes_stay():
    model, pruned = net(), []
    removal_curve(model, magnitude_scores(model, True), [0.5], keep(pruned))
    x = torch.randn(2, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    masks, seen = gone(pruned[0], True), {}
    for name in masks:
        place = pruned[0].get_submodule(batch_norms(model).get(name, name))
        place.register_forward_hook(lambda module, inputs, output, name=name: seen.__setitem__(name, output))
    pruned[0](x)
    for name, mask in masks.items():
        assert mask.sum() == len(mask) // 2
        assert (seen[name][:, mask] == 0).all() and (seen[name][:, ~mask] != 0).any()
    assert torch.equal(pruned[0][5].weight, model[5].weight) and torch.equal(pruned[0][5].bias, model[5].bias)


def test_removing_one_filter_is_its_ablation():
    """The two ways to be without a channel, a 0 in the output and a 0 in the weights, agree."""
    model = net()
    x, labels = torch.randn(4, 2, 9, 9, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])

    def logit(model: nn.Module) -> float:
        return model(x).gather(1, labels[:, None]).mean().item()

    for name, values in channel_ablation(model, [(x, labels)]).items():
        for channel, value in enumerate(values.tolist()):
            scores = {name: torch.arange(len(values)) != channel}  # the channel is the one with the lowest score
            whole, without = removal_curve(model, scores, [0, 1 / len(values)], logit)
            assert whole - without == pytest.approx(value, abs=1e-6)


def test_true_importance_falls_fastest_from_the_top_and_latest_from_the_bottom():
    """A sum of neurons that all give 1, weighted 1, 2, 4, ...: what each is worth is known."""
    model = nn.Sequential(nn.Linear(1, 8), nn.Linear(8, 1)).requires_grad_(False)
    model[0].weight.zero_(), model[0].bias.fill_(1)
    model[1].weight.copy_(2.0 ** torch.arange(8)), model[1].bias.zero_()
    model.eval()
    shares = [0, 0.125, 0.25, 0.375, 0.5, 0.75]
    true = {"0": model[1].weight[0].clone()}

    def output(model: nn.Module) -> float:
        return model(torch.zeros(1, 1)).item()

    curves = {order: removal_curve(model, true, shares, output, order=order) for order in ("least", "most")}
    assert curves["least"] == [255, 254, 252, 248, 240, 192]
    assert curves["most"] == [255, 127, 63, 31, 15, 3]
    for seed in range(5):
        scores = random_scores(true, torch.Generator().manual_seed(seed))
        for order in ("least", "most"):
            middle = removal_curve(model, scores, shares, output, order=order)
            assert all(low <= between <= high for low, between, high in zip(curves["most"], middle, curves["least"]))
    assert area(shares, curves["most"]) < area(shares, curves["least"])


def test_weights_of_a_masked_net_but_not_its_biases():
    model, pruned = MaskedNet((4, 3, 2)).eval(), []
    scores = {name: value.detach().abs() for name, value in model.named_parameters()}
    removal_curve(model, scores, [0.5], keep(pruned))
    for old, new in zip(model.layers, pruned[0].layers):
        assert (new.weight == 0).sum() == old.weight.numel() // 2
        assert torch.equal(old.bias, new.bias)
        assert new.weight[new.weight != 0].abs().min() >= old.weight[new.weight == 0].abs().max()


def test_filters_of_a_masked_net_are_silent():
    model, pruned = MaskedNet((4, 3, 2), "sigmoid").eval(), []
    removal_curve(model, {"layers.0": torch.tensor([2.0, 1.0, 3.0])}, [1 / 3], keep(pruned))
    hidden = pruned[0].trace(torch.ones(1, 4))[1][0]
    assert hidden[1] == 0 and (hidden[[0, 2]] != 0).all()


def test_deeplab_by_filters():
    model, pruned = deeplab("compact", 7).eval(), []
    removal_curve(model, magnitude_scores(model, True), [0.25], keep(pruned), scope="net")
    masks = gone(pruned[0], True)
    assert len(masks) == 36 and not any(mask.all() for mask in masks.values())
    total = sum(map(len, masks.values()))
    assert sum(int(mask.sum()) for mask in masks.values()) == round(0.25 * total)
    assert torch.equal(pruned[0].classifier[4].weight, model.classifier[4].weight)


def test_controls_have_the_shape_of_what_they_are_compared_with():
    model = net()
    filters, weights = magnitude_scores(model, True), magnitude_scores(model, False)
    assert {name: len(value) for name, value in filters.items()} == {"0.0": 4, "1.0": 6, "2": 5, "5": 3}
    assert filters["1.0"][3].item() == pytest.approx(model[1][0].weight[3].square().sum().sqrt().item())
    assert torch.equal(weights["2.weight"], model[2].weight.abs()) and not weights["2.weight"].requires_grad
    draws = [random_scores(weights, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert all(draws[0][name].shape == value.shape for name, value in weights.items())
    assert all(torch.equal(draws[0][name], draws[1][name]) for name in weights)
    assert not torch.equal(draws[0]["2.weight"], draws[2]["2.weight"])


def test_scores_are_picked_in_the_order_of_the_oracle():
    model = net()
    chosen = choose_channels(model, 7, torch.Generator().manual_seed(0))
    scores = {name: 100 * i + torch.arange(9) for i, name in enumerate(("5", "2", "1.0", "0.0"))}
    expected = [scores[name][index].item() for name, ids in chosen.items() for index in ids.tolist()]
    assert pick(scores, chosen).tolist() == expected
    assert pick({"w": torch.arange(6).view(2, 3)}, {"w": torch.tensor([4, 1])}).tolist() == [4, 1]
    with pytest.raises(UserError, match=r"no scores of '0\.0'"):
        pick({}, chosen)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=9), st.floats(-10, 10), st.data())
def test_area_is_the_mean_height(values, height, data):
    shares = sorted(data.draw(st.sets(st.integers(0, 99), min_size=len(values), max_size=len(values))))
    assert area(shares, [height] * len(shares)) == pytest.approx(height)
    expected = sum((b - a) * (u + v) / 2 for a, b, u, v in zip(shares, shares[1:], values, values[1:]))
    assert area(shares, values) == pytest.approx(expected / (shares[-1] - shares[0]), abs=1e-9)
    assert min(values) - 1e-9 <= area(shares, values) <= max(values) + 1e-9


ROW = torch.arange(5.0)
BAD = [
    ({"scores": {"7": ROW}}, "no layer '7'"),
    ({"scores": {"2": torch.arange(4.0)}}, r"'2' have the shape \(4,\) and must have \(5,\)"),
    ({"scores": {"2.weight": ROW}}, r"'2.weight' have the shape \(5,\) and must have \(5, 6, 1, 1\)"),
    ({"scores": {"2": ROW / 0}}, "NaN or infinity"),
    ({"scores": {"5": torch.arange(3.0)}}, "nothing to remove"),
    ({"scores": {}}, "nothing to remove"),
    ({"shares": [0.5, 1]}, "a share of 1 cannot be removed"),
    ({"shares": [-0.1]}, "a share of -0.1 cannot be removed"),
    ({"shares": [float("nan")]}, "a share of nan cannot be removed"),
    ({"order": "last"}, "least, most, not 'last'"),
    ({"scope": "block"}, "the scope layer or net, not 'block'"),
    ({"model": net().train()}, "train mode"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_bad_input_is_said_in_one_sentence(change, message):
    arguments = {"model": net(), "scores": {"2": ROW}, "shares": [0.5]} | change
    with pytest.raises(UserError, match=message) as caught:
        removal_curve(score=lambda model: 0.0, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shares", "values", "message"), [([0], [1], "2 shares or more"), ([0, 1], [1], "not 1 for 2")]
)
def test_an_area_needs_a_value_for_each_share(shares, values, message):
    with pytest.raises(UserError, match=message):
        area(shares, values)
    with pytest.raises(UserError, match="shares that rise"):
        area([0, 0.5, 0.5], [1, 1, 1])
