"""Every family of torchvision, and constants outside of modules: relevance is conserved, sample by sample."""

import os

import pytest
import torch
from families import CLASSES, SIZE, SMALL, build
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import weight_norm
from torch.nn.utils.prune import random_unstructured
from torchvision import models

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp import RULES, conservation, weight_relevance

LARGE = ("alexnet", "googlenet", "inception", "fcn")  # no smaller ones can be made
FEW = ("vit", "swin", "convnext", "efficientnet", "lraspp", "shufflenet_v2", "maxvit")
# the chain of alpha-beta's positive and negative relevance grows, and with it what zennit's stabiliser takes
BOUND = dict.fromkeys(RULES, 1e-3) | {"alpha2-beta1": 5e-2}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL if os.environ.get("RELCOMP_ALL_NETS") else [n for n in SMALL if n not in LARGE])
def test_families_conserve_at_every_cut(random, name):
    size = 96 if name == "inception" else SIZE
    net, x = build(SMALL[name], size), random(2, 3, size, size)
    for rule in RULES:
        found = conservation(net, x, rule=rule)
        assert len(found) > 5 and list(found)[-1] == "input"
        assert max(cut.error for cut in found.values()) <= BOUND[rule], rule


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("RELCOMP_ALL_NETS"), reason="takes an hour: RELCOMP_ALL_NETS=1")
@pytest.mark.parametrize("name", [*models.list_models(models), *models.list_models(models.segmentation)])
def test_whole_nets_conserve(random, name):
    options = {"weights_backbone": None} if name in models.list_models(models.segmentation) else {}
    size = 224 if name.startswith(("vit", "maxvit")) else 96 if name.startswith("inception") else SIZE
    net = build(lambda: models.get_model(name, weights=None, num_classes=CLASSES, **options), size)
    for rule in RULES:
        assert conservation(net, random(1, 3, size, size), rule=rule)["input"].error <= BOUND[rule], rule


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_samples_are_kept_apart(random, name):
    """The mean of absolute values needs each sample's own relevance, of class tokens and attention too."""
    net, x = build(SMALL[name]).double(), random(3, 3, SIZE, SIZE, dtype=torch.float64)
    for rule in ("epsilon", "z+"):
        options = {"start": "predicted", "rule": rule}
        each = [weight_relevance(net, [x[n : n + 1]], aggregate="sum", **options) for n in range(3)]
        found = weight_relevance(net, [x], aggregate="mean_of_abs", **options)
        for key, value in found.items():
            expected = sum(one[key].abs() for one in each) / 3
            torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg", "resnet", "densenet", "squeezenet", "shufflenet_v2"])
def test_epsilon_is_gradient_times_weight_where_a_net_is_piecewise_linear(random, name):
    net, x = build(SMALL[name]).double(), random(2, 3, SIZE, SIZE, dtype=torch.float64)
    found = weight_relevance(net, [x], start="predicted", aggregate="sum")
    gradients = torch.autograd.grad(net(x).amax(1).sum(), list(net.parameters()))
    for (key, parameter), gradient in zip(net.named_parameters(), gradients):
        expected = (parameter * gradient).detach()
        assert (found[key] - expected).norm() <= 1e-5 * expected.norm(), key


class Odd(nn.Module):
    """A classifier of 2x4x4 images with a constant in a place of its own."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.first, self.second, self.last = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.LazyLinear(3)
        self.position, self.token = nn.Parameter(torch.randn(1, 4, 4, 4)), nn.Parameter(torch.randn(1, 4, 1, 4))
        self.scale = nn.Parameter(torch.rand(4, 1, 1) + 0.5)
        self.register_buffer("mean", torch.randn(4, 1, 1))

    def forward(self, x):
        x = F.relu(self.first(x))
        y = KINDS[self.kind](self, x)
        return self.last(F.relu(self.second(y)).flatten(1))


def filled(net, x):
    y = torch.ones(len(x), 4, 4, 5, dtype=x.dtype)
    y[..., :4] = x
    y[:, 0] += 0.3
    return y


def turned(net, x):
    """As transformers with the sequence in front do it."""
    y = x.flatten(2).permute(2, 0, 1)  # (places, samples, channels)
    y = F.linear(y, net.second.weight.flatten(1), net.scale.flatten())
    return y.permute(1, 2, 0).unflatten(2, (4, 4))


KINDS = {
    "parameter": lambda net, x: x + net.position,
    "parameter on the left, in place": lambda net, x: (2 * x).add_(net.position),
    "token": lambda net, x: torch.cat([net.token.expand(len(x), -1, -1, -1), x], 2),
    "number": lambda net, x: x + 0.7,
    "number in place": lambda net, x: (2 * x).sub_(0.7),
    "number first": lambda net, x: 0.7 - x,
    "padding": lambda net, x: F.pad(x, (1, 1), value=1.0),
    "buffer": lambda net, x: (x - net.mean) / 2,
    "mask": lambda net, x: x.masked_fill(x < 0.2, 0.5),
    "where": lambda net, x: torch.where(x > 0.4, x, net.position),
    "filled": filled,
    "scale": lambda net, x: x * net.scale,
    "scale in place": lambda net, x: (2 * x).mul_(net.scale),
    "softplus of a parameter": lambda net, x: x + F.softplus(net.position) * net.scale,
    "gate": lambda net, x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)) + net.scale,
    "softmax": lambda net, x: x.flatten(2).softmax(2).view_as(x),
    "norm": lambda net, x: F.normalize(x + 0.1) + x / (1 + x.abs().mean((1, 2, 3), keepdim=True)),
    "group norm": lambda net, x: F.group_norm(x, 2, net.scale.flatten(), net.mean.flatten()),
    "shared layer": lambda net, x: net.second(x),
    "sequence first": turned,
    "causal attention": lambda net, x: F.scaled_dot_product_attention(x, x + net.position, x, is_causal=True),
    "transposed": lambda net, x: F.conv_transpose2d(x, net.second.weight, net.scale.flatten(), stride=2),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_constants_and_products(seeded, random, kind, rule):
    x = random(3, 2, 4, 4, dtype=torch.float64)

    def make():
        net = Odd(kind)
        net(x.float())  # for the shape of the last layer
        return net

    net = seeded(make).double()
    cuts = conservation(net, x, rule=rule)
    assert max(cut.error for cut in cuts.values()) <= 1e-3
    options = {"start": "predicted", "rule": rule}
    each = [weight_relevance(net, [x[n : n + 1]], aggregate="sum", **options) for n in range(3)]
    found = weight_relevance(net, [x], **options)
    for key, value in found.items():
        torch.testing.assert_close(value, sum(one[key].abs() for one in each) / 3, rtol=1e-6, atol=1e-9)
    taking_part = {"parameter": "position", "token": "token", "scale": "scale", "where": "position"}
    if kind in taking_part:
        assert found[taking_part[kind]].any()


def test_a_parameter_in_a_sum_has_gradient_times_value(seeded, random):
    x = random(3, 2, 4, 4, dtype=torch.float64)

    def make():
        net = Odd("parameter")
        net(x.float())
        return net

    net = seeded(make).double()
    found = weight_relevance(net, [x], start="predicted", aggregate="sum")
    (gradient,) = torch.autograd.grad(net(x).amax(1).sum(), [net.position])
    torch.testing.assert_close(found["position"], (net.position * gradient).detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_attention_of_torch_by_hand(seeded, random, first):
    """nn.MultiheadAttention computes what it always does, and conserves, with masks and either layout."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.last = nn.MultiheadAttention(8, 2, batch_first=first), nn.Linear(8, 3)
            nn.init.normal_(self.attention.in_proj_bias)

        def forward(self, x):
            x = x if first else x.transpose(0, 1)
            mask = torch.ones(5, 5, dtype=torch.bool).triu(1)
            y, shares = self.attention(x, x.flip(1 if first else 0), x, attn_mask=mask)
            y = x + y
            y = y if first else y.transpose(0, 1)
            return self.last((y + shares.sum(2, keepdim=True)).mean(1))

    net, x = seeded(Net).double(), random(2, 5, 8, dtype=torch.float64)
    assert max(cut.error for cut in conservation(net, x, rule="epsilon").values()) <= 1e-3
    seen = []
    weight_relevance(net, [x], start=lambda output, _: seen.append(output) or output)
    torch.testing.assert_close(seen[0], net(x).detach())


class Turned(nn.Module):
    """Between its layers the samples do not lie on the first axis, or share it with time."""

    def __init__(self, how):
        super().__init__()
        self.how, self.first, self.middle, self.last = how, nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x):
        samples, steps = x.shape[:2]
        if self.how == "folded":
            return self.last(
                self.middle(self.first(x.flatten(0, 1)).relu()).relu().unflatten(0, (samples, steps)).mean(1)
            )
        t = self.first(x).transpose(0, 1)
        if self.how == "turned":
            return self.last(self.middle(t).relu().mean(0))
        if self.how == "attended":
            return self.last((t + self.attention(t, t, t)[0]).mean(0))
        t = t.mean(0)[None]
        if self.how == "one step":
            return self.last((t + self.attention(t, t, t)[0]).squeeze(0))
        return self.last(torch.cat([t, t.flip(-1)]).amax(0))


class Learned(nn.Module):
    """A parameter that is there once, and expanded to all samples before it is used."""

    def __init__(self, how):
        super().__init__()
        self.how, self.queries, self.matrix = (
            how,
            nn.Parameter(torch.randn(1, 4, 6)),
            nn.Parameter(torch.randn(1, 6, 6)),
        )
        self.attention, self.last = nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        if self.how == "attention":
            return self.last(self.attention(self.queries.expand(len(x), -1, -1), x, x)[0].mean(1))
        matrix = self.matrix.expand(len(x), -1, -1)
        product = x @ matrix if self.how == "matmul" else torch.einsum("ntc,ncd->ntd", x, matrix)
        return self.last(product.relu().mean(1))


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize(
    "make",
    [
        *(lambda how=how: Turned(how) for how in ("folded", "turned", "attended", "one step", "flipped")),
        *(lambda how=how: Learned(how) for how in ("attention", "matmul", "einsum")),
    ],
)
def test_samples_may_lie_on_any_axis_and_parameters_be_expanded(seeded, random, make, samples):
    net, x = seeded(make).double().eval(), random(samples, 5, 6, dtype=torch.float64)
    assert max(cut.error for cut in conservation(net, x, rule="epsilon").values()) <= 1e-3
    options = {"start": "predicted", "rule": "epsilon"}
    each = [weight_relevance(net, [x[n : n + 1]], aggregate="sum", **options) for n in range(samples)]
    found = weight_relevance(net, [x], aggregate="mean_of_abs", **options)
    for key, value in found.items():
        torch.testing.assert_close(value, sum(one[key].abs() for one in each) / samples, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("before", "options"),
    [
        (nn.Identity(), {"padding": "same"}),
        (nn.Identity(), {"padding": "same", "dilation": 2}),
        (nn.ZeroPad2d(1), {}),
        (nn.Hardtanh(0, 1), {}),
        (nn.ReLU(), {"padding": 1}),
    ],
    ids=["same", "same, dilated", "padded", "cut off", "ReLU"],
)
def test_zeros_that_the_net_makes_keep_what_a_flat_rule_gives_them(seeded, random, rule, before, options):
    body = (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    net = seeded(lambda: nn.Sequential(before, nn.Conv2d(3, 8, 3, **options), *body)).eval()
    assert max(cut.error for cut in conservation(net, random(2, 3, 8, 8), rule=rule).values()) <= 1e-3


@pytest.mark.parametrize("first", ["parameter", "data"])
def test_a_class_token_may_be_written_into_zeros(seeded, random, first):
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.last = nn.Parameter(torch.randn(6)), nn.Linear(6, 3)

        def forward(self, x):
            joined = torch.zeros(len(x), 1 + x.shape[1], 6, dtype=x.dtype)
            for what in sorted(("parameter", "data"), key=lambda one: one != first):
                if what == "parameter":
                    joined[:, 0] = self.token
                else:
                    joined[:, 1:] = x
            return self.last(joined.relu().mean(1))

    net, x = seeded(Token).double().eval(), random(3, 4, 6, dtype=torch.float64)
    assert max(cut.error for cut in conservation(net, x, rule="epsilon").values()) <= 1e-3
    each = [weight_relevance(net, [x[n : n + 1]], start="predicted", aggregate="sum")["token"] for n in range(3)]
    assert each[0].any()
    found = weight_relevance(net, [x], start="predicted", aggregate="mean_of_abs")["token"]
    torch.testing.assert_close(found, sum(one.abs() for one in each) / 3)


@pytest.mark.parametrize("largest", [torch.max, torch.min])
def test_a_number_that_values_are_held_against_is_refused(random, largest):
    class Held(nn.Sequential):
        def forward(self, x):
            return largest(super().forward(x), torch.tensor(0.3))

    with pytest.raises(UserError, match=largest.__name__):
        conservation(Held(nn.Flatten(), nn.Linear(12, 3)).eval(), random(2, 3, 2, 2), rule="epsilon")


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of weight_norm
@pytest.mark.parametrize("reworked", [weight_norm, lambda layer: random_unstructured(layer, "weight", 0.3)])
def test_weights_that_were_computed_in_an_earlier_pass(seeded, random, reworked):
    net = seeded(lambda: nn.Sequential(reworked(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))).eval()
    x = random(2, 3, 4, 4)
    net(x)  # with a gradient's history
    assert max(cut.error for cut in conservation(net, x, rule="epsilon").values()) <= 1e-3
    assert all(value.any() for value in weight_relevance(net, [x], start="predicted").values())


def test_a_dict_without_out_gets_a_sentence(random):
    class Named(nn.Linear):
        def forward(self, x):
            return {"logits": super().forward(x)}

    with pytest.raises(UserError, match="gives no tensor"):
        weight_relevance(Named(4, 3).eval(), [random(2, 4)], start="predicted")
