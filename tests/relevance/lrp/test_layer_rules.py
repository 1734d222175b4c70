"""Every rule against its definition: numbers written out, and explicit loops over all pairs (input, output)."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from relcomp_kit.relevance.lrp import filter_relevance, heatmap, weight_relevance
from relcomp_kit.relevance.lrp.propagation import stabilize

AGGREGATES = {
    "sum": lambda samples: samples.sum(0),
    "abs_of_mean": lambda samples: samples.mean(0).abs(),
    "mean_of_abs": lambda samples: samples.abs().mean(0),
}
# what zennit's composites do in the first layer and in a later convolution
CONVOLUTIONS = {
    "epsilon": ("epsilon", "epsilon"),
    "z+": ("flat", "z+"),
    "gamma": ("gamma", "gamma"),
    "alpha2-beta1": ("flat", "alpha2-beta1"),
}
WAYS = [(rule, way) for rule in CONVOLUTIONS for way in ("gradient", "zennit")]


def test_the_stabiliser_moves_away_from_zero():
    values = torch.tensor([0.0, 1e-7, -1e-7, 3.0, -3.0])
    assert torch.equal(stabilize(values, 0.5), values + torch.tensor([0.5, 0.5, -0.5, 0.5, -0.5]))


def test_two_layers_by_hand():
    """x = (2, 1); hidden sums (1, 6), both above 0; outputs (2, 6), of which the first starts with its 2."""
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)).eval()
    net[0].weight.data, net[0].bias.data = torch.tensor([[1.0, -1.0], [2.0, 1.0]]), torch.tensor([0.0, 1.0])
    net[2].weight.data, net[2].bias.data = torch.tensor([[4.0, -0.5], [-1.0, 1.0]]), torch.tensor([1.0, 1.0])
    x, target = torch.tensor([[2.0, 1.0]]), torch.tensor([0])
    expected = {  # R_i<-j, the sum of a row with its bias is what the neuron received: 2 and 0, then 4 and -3
        "0.weight": torch.tensor([[8.0, -4.0], [-2.0, -0.5]]),
        "0.bias": torch.tensor([0.0, -0.5]),
        "2.weight": torch.tensor([[4.0, -3.0], [0.0, 0.0]]),
        "2.bias": torch.tensor([1.0, 0.0]),
    }
    for way in ("gradient", "zennit"):
        found = weight_relevance(net, [(x, target)], aggregate="sum", way=way)
        torch.testing.assert_close(found, expected)
        pixels = heatmap(net, x, target, way=way, start="true")
        torch.testing.assert_close(pixels, torch.tensor([[6.0, -4.5]]))


def favoured(value, sign):
    return value + 0.25 * value if value * sign > 0 else value


def divided(values, bias, kept):
    """Shares of some of the values in their sum, which holds the bias; none where there is nothing to share."""
    values, bias = [kept(value) for value in values], kept(bias)
    total = sum(values) + bias
    return [value / total if total else 0.0 for value in values], bias / total if total else 0.0


def shares(rule, values, bias, way):
    """Return what a neuron hands to each of the values in its sum, and to its bias, of 1 that it received.

    The gradient's way loses nothing where all values, or none, are above 0.
    """
    signs = {value > 0 for value in (*values, bias) if value}
    if rule in ("z+", "alpha2-beta1") and way == "gradient" and len(signs) == 1:
        rule = "epsilon"
    if rule == "flat":
        return [1 / len(values)] * len(values), 0.0
    if rule == "epsilon":
        return divided(values, bias, lambda value: value)
    if rule == "gamma":
        sign = 1 if sum(values) + bias >= 0 else -1
        return divided(values, bias, lambda value: favoured(value, sign))
    above, above_bias = divided(values, bias, lambda value: max(value, 0.0))
    if rule == "z+":
        return above, above_bias
    below, below_bias = divided(values, bias, lambda value: min(value, 0.0))
    return [2 * one - other for one, other in zip(above, below)], 2 * above_bias - below_bias


def source(position, size, mode):
    """Return where a place of a padded line takes its value from, None where it is padded with 0."""
    if 0 <= position < size:
        return position
    if mode == "reflect":
        return -position if position < 0 else 2 * (size - 1) - position
    return {"zeros": None, "replicate": min(max(position, 0), size - 1), "circular": position % size}[mode]


def sums_of(layer, shape, output):
    """Yield (input index, weight index) of all that one output of a layer sums up."""
    if isinstance(layer, nn.Linear):
        sample, *positions, neuron = output
        yield from (((sample, *positions, i), (neuron, i)) for i in range(layer.in_features))
        return
    sample, neuron, *positions = output
    inputs = layer.in_channels // layer.groups
    group = neuron // (layer.out_channels // layer.groups)
    for channel, *taps in product(range(inputs), *map(range, layer.kernel_size)):
        places = []
        for axis, (position, tap) in enumerate(zip(positions, taps)):
            reach = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
            before = reach // 2 if layer.padding == "same" else layer.padding[axis]
            place = position * layer.stride[axis] + tap * layer.dilation[axis] - before
            places.append(source(place, shape[2 + axis], layer.padding_mode))
        if None not in places:
            yield (sample, group * inputs + channel, *places), (neuron, channel, *taps)


def brute_force(rule, layer, x, received, way):
    """Return relevance of weights (N, *weight.shape), of biases (N, outputs) and of inputs, one output at a time."""
    values, weight, output = x.tolist(), layer.weight.tolist(), layer(x).detach()
    of_weight, of_bias = torch.zeros(len(x), *layer.weight.shape).double(), torch.zeros(len(x), len(layer.weight))
    of_bias, of_input = of_bias.double(), torch.zeros_like(x)
    for index in product(*map(range, output.shape)):
        pairs = list(sums_of(layer, x.shape, index))
        neuron = index[-1] if isinstance(layer, nn.Linear) else index[1]
        bias = 0.0 if layer.bias is None else layer.bias[neuron].item()
        addends = [at(values, i) * at(weight, w) for i, w in pairs]
        assert sum(addends) + bias == pytest.approx(float(output[index])), "the loops compute what the layer computes"
        given_away, kept = shares(rule, addends, bias, way)
        here = float(received[index])
        for (i, w), share in zip(pairs, given_away):
            of_weight[(index[0], *w)] += share * here
            of_input[i] += share * here
        of_bias[index[0], neuron] += kept * here
    return of_weight, of_bias, of_input


def at(nested, index):
    for one in index:
        nested = nested[one]
    return nested


def compare(net, layers, rules, x, received, rule, way):
    """Compare the relevance of a chain of layers with the loops, for every aggregate."""
    inputs = [x]
    for layer in layers[:-1]:
        inputs.append(layer(inputs[-1]).detach())
    expected = {}
    back = received
    for index, layer_rule in reversed(list(enumerate(rules))):
        of_weight, of_bias, back = brute_force(layer_rule, layers[index], inputs[index], back, way)
        expected[f"{index}.weight"], expected[f"{index}.bias"] = of_weight, of_bias
    for aggregate, function in AGGREGATES.items():
        found = weight_relevance(net, [x], rule=rule, way=way, aggregate=aggregate, start=received)
        assert list(found) == [name for name, _ in net.named_parameters()]
        for name, value in found.items():
            assert value.shape == net.get_parameter(name).shape
            torch.testing.assert_close(value, function(expected[name]), rtol=1e-5, atol=1e-6)
        filters = filter_relevance(found)
        assert list(filters) == [str(index) for index in range(len(layers))]
        torch.testing.assert_close(filters["0"], found["0.weight"].flatten(1).sum(1))
    torch.testing.assert_close(heatmap(net, x, rule=rule, way=way, start=received), back, rtol=1e-5, atol=1e-6)


def chain(seeded, *layers):
    """A chain whose sums are so large that the stabiliser, 1e-6, does not show."""
    net = seeded(lambda: nn.Sequential(*[build() for build in layers])).double()
    for parameter in net.parameters():
        parameter.data *= 10_000
    return net


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_linear_layers(seeded, random, rule, way, shape):
    first = CONVOLUTIONS[rule][0] if rule != "gamma" else "epsilon"
    net = chain(seeded, lambda: nn.Linear(4, 5), lambda: nn.Linear(5, 3, bias=False))
    x, received = random(*shape, dtype=torch.float64), random(*shape[:-1], 3, seed=1, dtype=torch.float64)
    compare(net, list(net), (first, "epsilon"), x, received, rule, way)


@st.composite
def geometries(draw):
    """Options of a Conv2d, and the size of an image that is large enough for it."""
    groups = draw(st.sampled_from([1, 1, 2]))
    kernel, dilation = draw(st.tuples(*[st.integers(1, 3)] * 2)), draw(st.tuples(*[st.integers(1, 2)] * 2))
    same = draw(st.booleans())
    padding = "same" if same else draw(st.tuples(*[st.integers(0, 2)] * 2))
    size = [d * (k - 1) + 1 + draw(st.integers(2, 3)) for d, k in zip(dilation, kernel)]
    return size, {
        "in_channels": groups * draw(st.integers(1, 2)),
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": kernel,
        "stride": 1 if same else draw(st.tuples(*[st.integers(1, 2)] * 2)),
        "padding": padding,
        "dilation": dilation,
        "groups": groups,
        "bias": draw(st.booleans()),
        "padding_mode": draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])),
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("rule", "way"), WAYS)
@given(geometry=geometries())
@settings(max_examples=25)
def test_convolutions_of_any_geometry(seeded, random, rule, way, geometry):
    size, options = geometry
    channels = options["in_channels"]
    net = chain(seeded, lambda: nn.Conv2d(2, channels, 1), lambda: nn.Conv2d(**options))
    x = random(2, 2, *size, dtype=torch.float64)
    received = random(*net(x).shape, seed=1, dtype=torch.float64)
    compare(net, list(net), CONVOLUTIONS[rule], x, received, rule, way)


OTHERS = {
    "1d": ((7,), lambda: nn.Conv1d(2, 2, 2, padding=1, groups=2)),
    "3d": ((3, 4, 3), lambda: nn.Conv3d(2, 2, 2, padding=1, groups=2)),
    "depthwise": ((4, 4), lambda: nn.Conv2d(2, 4, 3, groups=2)),
    "dilated beyond the image": ((3, 4), lambda: nn.Conv2d(2, 2, 3, padding=6, dilation=6, stride=2)),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_other_convolutions(seeded, random, rule, way, kind):
    size, build = OTHERS[kind]
    first = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(size)]
    net = chain(seeded, lambda: first(2, 2, 1), build)
    x = random(2, 2, *size, dtype=torch.float64)
    received = random(*net(x).shape, seed=1, dtype=torch.float64)
    compare(net, list(net), CONVOLUTIONS[rule], x, received, rule, way)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_a_batch_norm_shares_the_constants(seeded, random, rule, way, bias):
    """Weight and bias of the two are one layer, ``fused``; its constant ``bias_bn + scale (bias - mean)`` is split."""
    net = seeded(
        lambda: nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 3, groups=2, bias=bias), nn.BatchNorm2d(4, eps=0.1))
    ).double()
    for parameter in net.parameters():
        parameter.data *= 100
    fused = fuse_conv_bn_eval(net[1], net[2])
    x = random(3, 2, 4, 4, dtype=torch.float64)
    received = random(*net(x).shape, seed=1, dtype=torch.float64)
    of_weight, of_bias, _ = brute_force(CONVOLUTIONS[rule][1], fused, net[0](x).detach(), received, way)
    scale = net[2].weight / (net[2].running_var + net[2].eps).sqrt()
    per_unit = (of_bias / fused.bias).detach()
    expected = {
        "1.weight": of_weight,
        "1.bias": per_unit * (scale * net[1].bias).detach() if bias else None,
        "2.weight": of_weight.flatten(2).sum(2) + per_unit * (fused.bias - net[2].bias).detach(),
        "2.bias": per_unit * net[2].bias.detach(),
    }
    for aggregate, function in AGGREGATES.items():
        found = weight_relevance(net, [x], rule=rule, way=way, aggregate=aggregate, start=received)
        for name in set(found) - {"0.weight", "0.bias"}:
            torch.testing.assert_close(found[name], function(expected[name]), rtol=1e-5, atol=1e-6)


class Deep(nn.Module):
    """All kinds of layers with weights, one after another, with batch-norms that can be merged."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1, groups=2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
            nn.Flatten(), nn.Linear(24, 7), nn.LeakyReLU(0.1), nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3),
        )  # fmt: skip

    def forward(self, x):
        return self.layers(x)


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "way"), WAYS)
@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_samples_are_kept_apart_as_in_a_loop_over_them(seeded, random, rule, way, aggregate):
    net, x = seeded(Deep).double(), random(5, 3, 10, 10, dtype=torch.float64)
    options = {"rule": rule, "way": way, "start": "predicted"}
    single = [weight_relevance(net, [x[i : i + 1]], aggregate="sum", **options) for i in range(len(x))]
    found = weight_relevance(net, [x], aggregate=aggregate, **options)
    for name, value in found.items():
        torch.testing.assert_close(value, AGGREGATES[aggregate](torch.stack([one[name] for one in single])))


def test_epsilon_is_gradient_times_weight_on_a_relu_net(seeded, random):
    net, x = seeded(Deep).double(), random(5, 3, 10, 10, dtype=torch.float64)
    net.layers[10].negative_slope = 0.0
    gradients = torch.autograd.grad(net(x).amax(1).sum(), list(net.parameters()))
    for way, tolerance in (("gradient", 1e-5), ("zennit", 1e-3)):  # zennit's stabiliser takes its part in every layer
        found = weight_relevance(net, [x], start="predicted", aggregate="sum", way=way)
        for (name, parameter), gradient in zip(net.named_parameters(), gradients):
            expected = (parameter * gradient).detach()
            assert (found[name] - expected).norm() <= tolerance * expected.norm(), name
