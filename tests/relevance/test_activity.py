"""Measures from the literature: statistics of activations, counted by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import weight_names
from relcomp_kit.relevance.activity import STATISTICS, neuron_importance, outer


@pytest.mark.parametrize("activations", ["tanh", "relu"])
def test_statistics_neuron_by_neuron(make_net, make_images, activations):
    net, (x, labels) = make_net(activations), make_images(9)
    values = net.trace(x)
    found = {name: neuron_importance(net, x, labels, name) for name in STATISTICS}
    for layer, value in enumerate(values):
        for neuron, column in enumerate(value.T.tolist()):
            mean = sum(column) / 9
            by_hand = {
                "mean": sum(map(abs, column)) / 9,
                "std": math.sqrt(sum((one - mean) ** 2 for one in column) / 9),
                "apoz": sum(one > 0 for one in column) / 9,
            }
            for name, expected in by_hand.items():
                assert float(found[name][layer][neuron]) == pytest.approx(expected, abs=1e-7), (name, layer, neuron)


def test_minimum_weight_is_the_mean_square_of_what_leads_to_a_neuron(make_net, make_images):
    net, (x, labels) = make_net(masked=False), make_images(3)
    with torch.no_grad():
        net.layers[1].weight_mask[0, 1:] = 0
    inputs, first, second, *_ = neuron_importance(net, x, labels, "minimum weight")
    assert inputs.tolist() == [1] * x.shape[1]
    row = net.layers[0].weight[2].tolist()
    assert float(first[2]) == pytest.approx(sum(one**2 for one in row) / len(row))
    left = net.layers[1].weight[0].tolist()
    assert float(second[0]) == pytest.approx(left[0] ** 2 / len(left))


def test_active_share_is_one_minus_the_average_percentage_of_zeros(make_net, make_images):
    net, (x, labels) = make_net("relu"), make_images(20)
    hidden = net.trace(x)[1]
    assert (hidden == 0).any()
    torch.testing.assert_close(
        neuron_importance(net, x, labels, "apoz")[1].double(), 1 - (hidden == 0).double().mean(0), check_dtype=False
    )


def information(column, labels, net):
    """Mutual information of one input with the labels."""
    x = torch.zeros(len(column), 7, dtype=torch.float64)
    x[:, 0] = column
    return float(neuron_importance(net, x, labels, "information")[0][0])


@pytest.mark.slow
def test_information_of_the_class_itself_of_noise_and_of_nothing(make_net):
    net, labels = make_net(), torch.arange(3000) % 3
    assert information(labels.double(), labels, net) == pytest.approx(math.log(3))
    assert information((labels == 1).double(), labels, net) == pytest.approx(
        math.log(3) - 2 / 3 * math.log(2)
    )  # H(Y) - H(Y | X)
    assert information(torch.full((3000,), 0.7), labels, net) == pytest.approx(0, abs=1e-12)
    noise = torch.rand(3000, generator=torch.Generator().manual_seed(0))
    assert information(noise, labels, net) < 0.02


@pytest.mark.slow
@settings(max_examples=25)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), seed=st.integers(0, 50))
def test_information_lies_between_nothing_and_the_classes_entropy(any_net, scale, shift, seed):
    draw = torch.Generator().manual_seed(seed)
    column, labels = torch.rand(60, generator=draw, dtype=torch.float64), torch.randint(4, (60,), generator=draw)
    shares = labels.bincount() / 60
    entropy = -float((shares * shares.clamp_min(1e-9).log()).sum())
    assert -1e-9 <= information(column * scale + shift, labels, any_net) <= entropy + 1e-6


@pytest.mark.parametrize("statistic", STATISTICS)
def test_outer_product_has_the_weights_shapes_and_values(make_net, make_images, statistic):
    net, (x, labels) = make_net(), make_images()
    ends = neuron_importance(net, x, labels, statistic)
    result = outer(ends, net)
    assert list(result) == weight_names(net)
    for index, value in enumerate(result.values()):
        assert value.shape == net.layers[index].weight.shape
        assert float(value[2, 1]) == pytest.approx(float(ends[index + 1][2] * ends[index][1]))


def test_bad_input_is_refused(make_net, make_images):
    net, (x, labels) = make_net(), make_images()
    with pytest.raises(UserError, match="no statistic 'mode'; choose one of mean, std, apoz, information"):
        neuron_importance(net, x, labels, "mode")
    with pytest.raises(UserError, match="no image to measure activity on"):
        neuron_importance(net, x[:0], labels[:0], "mean")
