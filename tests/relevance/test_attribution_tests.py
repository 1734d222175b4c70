"""The two tests against their definitions, on nets small enough to count."""

import copy

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.conv_net import conv_net
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.attribution_tests import parameter_randomisation, pixel_flipping
from relcomp_kit.relevance.saliency import saliency_map

pytestmark = pytest.mark.filterwarnings("error")


def images(*shape: int, count: int = 5) -> tuple:
    draw = torch.Generator().manual_seed(0)
    return (
        torch.randn(count, *shape, generator=draw),
        torch.arange(count) % 3,
        torch.randn(count, *shape, generator=draw),
    )


def masked_net() -> MaskedNet:
    return MaskedNet((12, 6, 3)).eval()


def convolutional() -> nn.Module:
    return nn.Sequential(conv_net(size=8, classes=3, channels=2), nn.Softmax(1)).eval()


def by_definition(net, x, y, maps, steps, baseline):
    """Flip one image after the other, and one input after the other."""
    curves = []
    for image, label, ranking in zip(x, y, maps):
        changed, curve = image.clone(), []
        for index, place in enumerate(ranking.flatten().argsort(descending=True).tolist()):
            if index % (ranking.numel() // steps) == 0:
                curve.append(net(changed[None])[0, label].item())
            changed.view(-1)[place] = baseline
        curves.append([*curve, net(changed[None])[0, label].item()])
    return torch.tensor(curves).mean(0).tolist()


@pytest.mark.parametrize(
    ("make", "shape", "steps"), [(masked_net, (12,), 4), (masked_net, (1, 3, 4), 12), (convolutional, (1, 8, 8), 8)]
)
def test_pixel_flipping_is_its_definition(make, shape, steps):
    net, (x, y, maps) = make(), images(*shape)
    before = copy.deepcopy(net.state_dict())
    for order, sign in (("most", 1), ("least", -1)):
        curve, under = pixel_flipping(net, x, y, maps, steps=steps, baseline=-0.5, order=order)
        with torch.no_grad():
            assert curve == pytest.approx(by_definition(net, x, y, sign * maps, steps, -0.5), abs=1e-6)
        assert under == pytest.approx((sum(curve) - (curve[0] + curve[-1]) / 2) / steps)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_the_terms_of_a_linear_net_are_its_best_map():
    net = nn.Sequential(nn.Linear(12, 3)).eval()
    x, y, _ = images(12, count=70)  # more than are taken at once
    terms = x * net[0].weight[y].detach()
    (most, small), (least, large) = (
        pixel_flipping(net, x, y, terms, steps=12, order=order) for order in ("most", "least")
    )
    assert least[0] == pytest.approx(most[0]) and least[-1] == pytest.approx(most[-1])
    for seed in range(3):
        random = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))
        curve, between = pixel_flipping(net, x, y, random, steps=12)
        assert small < between < large
        assert all(low - 1e-6 <= middle <= high + 1e-6 for low, middle, high in zip(most, curve, least))


def test_probabilities_are_the_softmax_of_the_outputs():
    net, (x, y, maps) = masked_net(), images(12)
    found, _ = pixel_flipping(net, x, y, maps, steps=3, probability=True)
    expected, _ = pixel_flipping(nn.Sequential(net, nn.Softmax(1)).eval(), x, y, maps, steps=3)
    assert found == pytest.approx(expected) and all(0 < value < 1 for value in found)


def gradient(net, x, y):
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(net(leaf).gather(1, y[:, None]).sum(), leaf)[0]


NETS = [
    (masked_net, (12,), saliency_map, ["layers.1", "layers.0"]),
    (lambda: conv_net(8, 3, 2).eval(), (1, 8, 8), gradient, ["7", "3", "0"]),
]


@pytest.mark.parametrize(("make", "shape", "explain", "layers"), NETS)
@pytest.mark.parametrize("order", ["cascading", "independent"])
def test_randomisation_is_its_definition(make, shape, explain, layers, order):
    net, (x, y, _) = make(), images(*shape)
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    found = parameter_randomisation(net, x, y, explain, order=order, seed=7, absolute=False)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert list(found) == (layers if order == "cascading" else layers[::-1])
    original, drawn = explain(net, x, y).flatten(1), copy.deepcopy(net)
    for name in found:
        if order == "independent":
            drawn = copy.deepcopy(net)
        layer = drawn.get_submodule(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(8)  # the seed and 1
            new = nn.Conv2d if layer.weight.dim() == 4 else nn.Linear
            new.reset_parameters(layer) if new is nn.Conv2d else draw_linear(layer)
        pairs = zip(original.numpy(), explain(drawn, x, y).flatten(1).numpy())
        expected = sum(spearmanr(one, other).statistic for one, other in pairs) / len(x)
        assert found[name] == pytest.approx(expected, abs=1e-9)
    assert all(abs(value) < 0.99 for value in found.values())


def draw_linear(layer) -> None:
    bound = layer.weight.shape[1] ** -0.5
    layer.weight.data.uniform_(-bound, bound)
    layer.bias.data.uniform_(-bound, bound)


def test_a_map_that_ignores_the_net_never_changes_and_one_without_variation_does_not_count():
    x, y, maps = images(12)
    maps[0] = 1
    found = parameter_randomisation(masked_net(), x, y, lambda net, x, y: maps)
    assert found == pytest.approx({"layers.1": 1, "layers.0": 1})


class Learned(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x[:, :3] * self.scale


X, Y, MAPS = images(12)
BAD = [
    (lambda: pixel_flipping(masked_net().train(), X, Y, MAPS), "train mode"),
    (
        lambda: pixel_flipping(masked_net(), X, Y, MAPS[:, :6]),
        r"maps of shape \(5, 6\) do not fit inputs of shape \(5, 12\)",
    ),
    (lambda: pixel_flipping(masked_net(), X, Y, MAPS / 0), "NaN or infinity"),
    (lambda: pixel_flipping(masked_net(), X, Y, MAPS, steps=5), "12 inputs cannot be replaced in 5 equal steps"),
    (lambda: pixel_flipping(masked_net(), X, Y, MAPS, steps=4, order="best"), "no order 'best'"),
    (lambda: pixel_flipping(masked_net(), X[:0], Y[:0], MAPS[:0]), "one image or more"),
    (lambda: pixel_flipping(masked_net(), X, Y[:3], MAPS), "a class for each"),
    (lambda: parameter_randomisation(masked_net().train(), X, Y, gradient), "train mode"),
    (lambda: parameter_randomisation(masked_net(), X, Y, gradient, order="all"), "no order 'all'"),
    (
        lambda: parameter_randomisation(masked_net(), X, Y, lambda net, x, y: x[:, :6]),
        r"maps of shape \(5, 6\) do not fit",
    ),
    (lambda: parameter_randomisation(nn.Sequential(Learned()).eval(), X, Y, gradient), "'0' cannot be drawn anew"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_said_in_one_sentence(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
