"""Conservation, measured so that it can fail; and the two ways to compute epsilon, which know nothing of each other."""

import pytest
import torch
from torch import nn
from zennit.canonizers import SequentialMergeBatchNorm

from relcomp_kit.errors import UserError
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.masked_net import ACTIVATIONS
from relcomp_kit.relevance.lrp import RULES, Conservation, composites, conservation, heatmap, weight_relevance
from relcomp_kit.relevance.saliency import traced_share

CONSERVING = [(rule, way) for rule in ("epsilon", "z+", "gamma") for way in ("gradient", "zennit")]
CONSERVING += [("alpha2-beta1", "gradient")]
MERGED_ONLY = [SequentialMergeBatchNorm()]  # the sums of the residual blocks are left to plain gradients


def test_error_and_bias_share_by_hand():
    found = Conservation(torch.tensor([10.0, -4.0]), torch.tensor([7.0, -1.0]), torch.tensor([2.0, -2.0]))
    assert found.error == pytest.approx(0.25)  # 9 of 10 are found, and 3 of 4
    assert found.bias_share == pytest.approx((0.2 + 0.5) / 2)


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "way"), CONSERVING)
def test_a_trained_net_conserves_at_every_cut(trained, scenes, rule, way):
    found = conservation(trained, scenes[0], rule=rule, way=way)
    assert {f"backbone.layer{stage}{block}" for stage in (1, 2, 3, 4) for block in ("", ".0")} <= set(found)
    assert len(found) >= 15 and list(found)[-1] == "input"
    assert max(cut.error for cut in found.values()) <= 1e-3
    shares = [cut.bias_share for cut in found.values()]
    assert shares[0] < 0.2 < shares[-1], "biases all along the way have kept some"


@pytest.mark.slow
@pytest.mark.parametrize(("size", "cuts"), [("resnet50", 25), ("resnet101", 42)])
@pytest.mark.parametrize("way", ["gradient", "zennit"])
def test_large_nets_conserve(seeded, random, size, cuts, way):
    found = conservation(seeded(deeplab, size, 7), random(1, 3, 64, 64), rule="epsilon", way=way)
    assert len(found) >= cuts
    assert max(cut.error for cut in found.values()) <= 1e-3


@pytest.mark.slow
def test_alpha_beta_loses_what_no_input_speaks_against(trained, scenes):
    """Where a neuron has no negative addend zennit has nothing to take beta from: reported, not hidden."""
    found = conservation(trained, scenes[0], rule="alpha2-beta1", way="zennit")["input"]
    assert 1e-3 < found.error < 0.1
    assert 0.1 < found.bias_share < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "error"), [("epsilon", 1e6), ("z+", 10)])
def test_a_broken_canonizer_is_seen_and_named(trained, scenes, rule, error):
    broken = conservation(trained, scenes[0], rule=rule, canonizers=MERGED_ONLY, strict=False)
    assert broken["backbone.layer4"].error <= 1e-3, "up to here there is no sum"
    assert broken["input"].error >= error
    with pytest.raises(UserError, match=r"backbone\.layer1\.0 \(add_\)"):
        conservation(trained, scenes[0], rule=rule, canonizers=MERGED_ONLY)


class Residual(nn.Module):
    """A sum, in place or not, in which a constant may hide."""

    def __init__(self, constant=0.0, in_place=False):
        super().__init__()
        self.before, self.branch, self.relu = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()
        self.after = nn.Conv2d(2, 3, 1)
        self.constant, self.in_place = constant, in_place

    def forward(self, x):
        x = self.relu(self.before(x))
        y = self.branch(x)
        if self.in_place:
            y += x
        else:
            y = y + x
        return self.after(self.relu(y + self.constant)).mean((2, 3))


@pytest.mark.parametrize("in_place", [False, True])
def test_cuts_are_what_everything_passes(seeded, random, in_place):
    net = seeded(Residual, in_place=in_place)
    found = conservation(net, random(2, 2, 4, 4), rule="epsilon")
    assert list(found) == ["after", "relu", "before", "input"], "a branch is no cut, also if the sum is written into it"
    assert max(cut.error for cut in found.values()) <= 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_a_constant_that_no_layer_owns_keeps_its_share(seeded, random, rule):
    x = random(2, 2, 4, 4)
    found = conservation(seeded(Residual, constant=1.0), x, rule=rule)
    without = conservation(seeded(Residual), x, rule=rule)
    assert max(cut.error for cut in found.values()) <= 1e-3
    assert abs(found["before"].bias_share - without["before"].bias_share) > 0.05


def test_an_activation_that_is_above_zero_at_zero_has_a_constant(seeded, random):
    net = seeded(lambda: nn.Sequential(nn.Linear(4, 5), nn.Softplus(), nn.Linear(5, 3)))
    found = conservation(net, random(2, 4), rule="epsilon")
    assert max(cut.error for cut in found.values()) <= 1e-3
    assert abs(found["0"].bias_share - found["1"].bias_share) > 0.05, "ln 2 for each"


def test_a_start_of_zero_has_no_shares(trained, scenes):
    with pytest.raises(UserError, match="relevance 0"):
        conservation(trained, scenes[0], rule="epsilon", start=torch.zeros(1))


@pytest.mark.slow
@pytest.mark.parametrize("aggregate", ["sum", "abs_of_mean", "mean_of_abs"])
def test_gradient_and_zennit_agree_on_epsilon(trained, scenes, flat, monkeypatch, aggregate):
    def relevance(rule, way):
        return flat(weight_relevance(trained, [scenes], rule=rule, way=way, start="predicted", aggregate=aggregate))

    fast = relevance("epsilon", "gradient")
    assert torch.cosine_similarity(fast, relevance("epsilon", "zennit"), 0) >= 0.999
    assert torch.cosine_similarity(fast, relevance("z+", "zennit"), 0) < 0.8
    monkeypatch.setattr(composites, "by_share", lambda function, *args, **options: function(*args, **options))
    assert torch.cosine_similarity(fast, relevance("epsilon", "zennit"), 0) < 0.98, "interpolation needs its shares"


class Mixing(nn.Module):
    """Layers that mix the values of one channel, as modules or as functions."""

    def __init__(self, functional):
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 3, 1), nn.ReLU()
        self.functional = functional
        self.up, self.pool = nn.Upsample(scale_factor=2, mode="bilinear"), nn.AdaptiveAvgPool2d(1)

    def forward(self, x):
        x = self.second(self.relu(self.first(x)))
        if self.functional:
            return nn.functional.interpolate(input=x, scale_factor=2, mode="bilinear").mean((2, 3))
        return self.pool(self.up(x)).flatten(1)


@pytest.mark.parametrize("functional", [False, True])
def test_values_are_mixed_by_shares(seeded, random, flat, functional):
    """The means are of numbers of both signs: handed on by distance alone, relevance would come out otherwise."""
    net, x = seeded(Mixing, functional).double(), random(2, 3, 7, 7, dtype=torch.float64)
    fast, other = (flat(weight_relevance(net, [x], start="positive", way=way)) for way in ("gradient", "zennit"))
    assert torch.cosine_similarity(fast, other, 0) >= 0.999
    for rule, way in CONSERVING:
        assert conservation(net, x, rule=rule, way=way)["input"].error <= 1e-3


@pytest.mark.parametrize("way", ["gradient", "zennit"])
@pytest.mark.parametrize("activations", [*ACTIVATIONS, ("relu", "leaky_relu", "tanh")])
def test_epsilon_is_the_formula_ii_traced_back(make_net, make_images, random, activations, way):
    net, (x, labels) = make_net(activations), make_images()
    if activations == "sigmoid":  # a sigmoid neuron that is masked has no rule
        for layer in net.layers:
            layer.output_mask.fill_(1)
    net.eval()
    own = random(len(x), 3, dtype=torch.float64) * net(x).detach()  # 0 where a last ReLU gives 0
    for start, expected in ((lambda output, _: output, traced_share(net, x)), (own, traced_share(net, x, own))):
        found = heatmap(net, x, rule="epsilon", way=way, start=start)
        assert (found - expected).norm() <= 1e-4 * expected.norm()
    relevance = weight_relevance(net, [(x, labels)], way=way)
    for name, layer in zip(("layers.0.weight", "layers.1.weight", "layers.2.weight"), net.layers):
        kept = (layer.weight_mask * layer.output_mask[:, None]).bool()
        assert not relevance[name][~kept].any()
        assert relevance[name][kept].any()
