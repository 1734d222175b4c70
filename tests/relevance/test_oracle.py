"""The oracle against the naive loop: set one weight or input to 0, run the net, compare."""

import copy

import pytest
import torch

from relcomp_kit.models.masked_net import ACTIVATIONS, weight_names
from relcomp_kit.relevance.oracle import input_oracle, weight_oracle
from relcomp_kit.relevance.saliency import loss_per_image

CASES = [
    ("tanh", (), "training", False),
    ("tanh", (), "pruning", True),
    ("relu", (0, 2), "training", True),
    ("sigmoid", (0, 2), "pruning", False),
    (("leaky_relu", "tanh", "sigmoid"), (), "training", True),
]
ids = [f"{i}" for i in range(len(CASES))]


def losses(net, x, labels, loss):
    return loss_per_image(net, net(x), labels, loss).detach()


@pytest.mark.parametrize(("activations", "classes", "loss", "masked"), CASES, ids=ids)
@pytest.mark.parametrize("chunk", [2, 64])
def test_every_weight_by_brute_force(make_net, make_images, activations, classes, loss, masked, chunk):
    net, (x, labels) = make_net(activations, classes=classes, masked=masked), make_images()
    signed, absolute = weight_oracle(net, x, labels, loss, chunk)
    before = losses(net, x, labels, loss)
    assert list(signed) == list(absolute) == weight_names(net)
    assert any(value.abs().max() > 1e-3 for value in signed.values())
    for index, name in enumerate(weight_names(net)):
        for neuron, column in torch.cartesian_prod(*map(torch.arange, net.layers[index].weight.shape)).tolist():
            changed = copy.deepcopy(net)
            changed.layers[index].weight.data[neuron, column] = 0
            change = losses(changed, x, labels, loss) - before
            assert signed[name][neuron, column].item() == pytest.approx(change.mean().item(), abs=1e-12)
            assert absolute[name][neuron, column].item() == pytest.approx(change.abs().mean().item(), abs=1e-12)


@pytest.mark.parametrize(("activations", "classes", "loss", "masked"), CASES, ids=ids)
def test_every_input_by_brute_force(make_net, make_images, activations, classes, loss, masked):
    net, (x, labels) = make_net(activations, classes=classes, masked=masked), make_images()
    result, before = input_oracle(net, x, labels, loss), losses(net, x, labels, loss)
    for column in range(x.shape[1]):
        without = x.clone()
        without[:, column] = 0
        torch.testing.assert_close(result[:, column], losses(net, without, labels, loss) - before)
    assert result[x == 0].abs().max() == 0


@pytest.mark.parametrize("activations", ACTIVATIONS)
def test_single_precision_agrees_with_double(make_net, make_images, activations):
    arguments = [
        (make_net(activations, dtype=dtype), *make_images(dtype=dtype)) for dtype in (torch.float32, torch.float64)
    ]
    torch.testing.assert_close(input_oracle(*arguments[0]).double(), input_oracle(*arguments[1]), rtol=1e-3, atol=1e-5)
    for single, double in zip(weight_oracle(*arguments[0]), weight_oracle(*arguments[1]), strict=True):
        for name, value in double.items():
            torch.testing.assert_close(single[name].double(), value, rtol=1e-3, atol=1e-5)


def test_the_net_is_left_as_it_was(make_net, make_images):
    net, (x, labels) = make_net(), make_images()
    before = copy.deepcopy(net.state_dict())
    weight_oracle(net, x, labels)
    input_oracle(net, x, labels)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
