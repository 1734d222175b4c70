"""The masked net: shapes, masks that really mask, neurons without weights, a subset of classes."""

import pytest
import torch

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import (
    ACTIVATIONS,
    MaskedNet,
    get_masks,
    keep_classes,
    set_masks,
    weight_names,
    weights_left,
)


def test_the_thesis_net_has_its_published_counts():
    net = MaskedNet()
    assert weights_left(net) == [28_224, 900, 250]
    assert [value.shape[1] for value in net.trace(torch.zeros(2, 1, 28, 28))] == [784, 36, 25, 10]
    assert all(name in dict(net.named_parameters()) for name in weight_names(net))


def test_seed_decides_the_weights():
    first, again, other = MaskedNet((8, 4, 3), seed=1), MaskedNet((8, 4, 3), seed=1), MaskedNet((8, 4, 3), seed=2)
    for one, same, different in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, same)
        assert not torch.equal(one, different)
    assert first.layers[0].weight.abs().max() <= 8**-0.5


def test_glorot_s_initial_weights_have_the_width_of_both_ends_and_no_bias():
    net = MaskedNet(seed=1, initial="glorot")
    for layer in net.layers:
        outputs, inputs = layer.weight.shape
        bound = (6 / (inputs + outputs)) ** 0.5
        assert 0.95 * bound < layer.weight.abs().max() <= bound
        assert not layer.bias.any()
    with pytest.raises(UserError, match="no initial weights 'zero'; choose one of torch, glorot"):
        MaskedNet(initial="zero")


def test_masked_weight_is_as_good_as_zero_and_masked_output_is_zero():
    net, x = MaskedNet((6, 5, 3), seed=3), torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    masks = get_masks(net)
    masks["layers.0.weight"][2, 4] = False
    set_masks(net, masks)
    masked = net(x)
    unmasked = MaskedNet((6, 5, 3), seed=3)
    assert not torch.allclose(unmasked(x), masked)
    with torch.no_grad():
        unmasked.layers[0].weight[2, 4] = 0
    assert torch.equal(unmasked(x), masked)
    net.layers[0].output_mask[1] = 0
    assert torch.equal(net.trace(x)[1][:, 1], torch.zeros(4))


def test_neuron_without_weights_is_switched_off_but_an_output_is_not():
    net = MaskedNet((6, 5, 3))
    keep_classes(net, [0, 2])
    masks = get_masks(net)
    masks["layers.0.weight"][3] = False
    masks["layers.1.weight"][0] = False
    set_masks(net, masks)
    assert net.layers[0].output_mask.tolist() == [1, 1, 1, 0, 1]
    assert net.layers[1].output_mask.tolist() == [1, 0, 1]
    assert weights_left(net) == [24, 10]


def test_masks_are_copies():
    net = MaskedNet((6, 5, 3))
    get_masks(net)["layers.0.weight"][:] = False
    assert weights_left(net) == [30, 15]


@pytest.mark.parametrize("classes", [[], [3], [-1, 0], [0, 10]])
def test_classes_that_the_net_lacks_are_refused(classes):
    net = MaskedNet((6, 5, 3))
    with pytest.raises(UserError, match="classes 0 to 2"):
        keep_classes(net, classes)
    assert net.layers[-1].output_mask.tolist() == [1, 1, 1]


def test_unknown_activation_and_wrong_number_of_them_are_refused():
    with pytest.raises(UserError, match="no activation 'swish'"):
        MaskedNet((4, 3, 2), "swish")
    with pytest.raises(UserError, match="2 layers need 2 activations, not 1"):
        MaskedNet((4, 3, 2), ["tanh"])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivative_written_with_the_output_is_autograds(name):
    function, derivative = ACTIVATIONS[name]
    z = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    y = function(z)
    torch.testing.assert_close(derivative(y.detach()), torch.autograd.grad(y.sum(), z)[0])
