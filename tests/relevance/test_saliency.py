"""The thesis' measures against brute force: one image, one weight, one neuron at a time."""

import pytest
import torch

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import ACTIVATIONS, MaskedNet, weight_names
from relcomp_kit.models.masked_net_training import one_hot_others_cold
from relcomp_kit.relevance import saliency

LOSSES = ("training", "pruning")
SUBSETS = [(), (0, 2)]


def loss_of_one(net, output, label, loss):
    """J of one image, written from its definition."""
    if loss == "pruning":
        return output[label]
    kept = [k for k, on in enumerate(net.layers[-1].output_mask.tolist()) if on]
    return sum((output[k] - (1.0 if k == label else -1.0)) ** 2 for k in kept) / len(kept)


def run_from(net, index, value):
    for layer in net.layers[index:]:
        value = layer(value)
    return value


@pytest.mark.parametrize("classes", SUBSETS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activations", [*ACTIVATIONS, ("relu", "sigmoid", "tanh")])
def test_gradients_are_those_of_every_single_image(make_net, make_images, activations, loss, classes):
    net, (x, labels) = make_net(activations, classes=classes), make_images()
    values, slopes = saliency.gradients(net, x, labels, loss)
    assert len(values) == len(slopes) == 4
    for image in range(len(x)):
        for index, (value, slope) in enumerate(zip(values, slopes, strict=True)):
            leaf = value[image].clone().requires_grad_()
            one = loss_of_one(net, run_from(net, index, leaf[None])[0], int(labels[image]), loss)
            torch.testing.assert_close(slope[image], torch.autograd.grad(one, leaf)[0])
    torch.testing.assert_close(saliency.saliency_map(net, x, labels, loss), slopes[0])
    torch.testing.assert_close(saliency.impact_map(net, x, labels, loss), slopes[0] * x)
    torch.testing.assert_close(saliency.importance_map(slopes[0]), torch.where(slopes[0] < 0, -slopes[0], slopes[0]))


def test_impact_predicts_the_change_for_a_small_step(make_net, make_images):
    net, (x, labels) = make_net(masked=False), make_images()
    before = saliency.loss_per_image(net, net(x), labels)
    after = saliency.loss_per_image(net, net(x * (1 - 1e-6)), labels)
    torch.testing.assert_close(before - after, 1e-6 * saliency.impact_map(net, x, labels).sum(1), rtol=1e-4, atol=1e-12)


def lrp_0(net, image, start):
    """Trace shares back one neuron at a time; returns the inputs' shares and what the biases took."""
    values = [value[0] for value in net.trace(image[None])]
    received, by_bias = start.tolist(), 0.0
    for index in reversed(range(len(net.layers))):
        layer, below = net.layers[index], [0.0] * len(values[index])
        for j, share in enumerate(received):
            weights = (layer.weight[j] * layer.weight_mask[j]).tolist()
            parts = [float(x) * w for x, w in zip(values[index], weights, strict=True)]
            total = sum(parts) + float(layer.bias[j])
            by_bias += share * float(layer.bias[j]) / total
            below = [old + share * part / total for old, part in zip(below, parts, strict=True)]
        received = below
    return received, by_bias


@pytest.mark.parametrize("bias", [True, False])
def test_traced_share_is_lrp_0_and_conserved(make_net, make_images, bias):
    net, (x, _) = make_net(), make_images()
    if not bias:
        for layer in net.layers:
            layer.bias.data.zero_()
    net.requires_grad_(False)
    share, output = saliency.traced_share(net, x), net(x)
    for image in range(len(x)):
        expected, by_bias = lrp_0(net, x[image], output[image])
        torch.testing.assert_close(share[image], torch.tensor(expected, dtype=torch.float64))
        assert share[image].sum().item() + by_bias == pytest.approx(output[image].sum().item())
        assert bias or by_bias == 0
        assert not bias or abs(by_bias) > 1e-3


def test_traced_share_starts_where_it_is_told_and_by_hand():
    net = MaskedNet((2, 1))
    with torch.no_grad():
        net.layers[0].weight.copy_(torch.tensor([[3.0, -1.0]]))
        net.layers[0].bias.zero_()
    x = torch.tensor([[1.0, 2.0]])  # the sum is 3 - 2 = 1, the shares 3 and -2
    torch.testing.assert_close(saliency.traced_share(net, x), torch.tensor([[3.0, -2.0]]) * torch.tensor(1.0).tanh())
    torch.testing.assert_close(saliency.traced_share(net, x, torch.ones(1, 1)), torch.tensor([[3.0, -2.0]]))
    assert torch.equal(saliency.traced_share(net, torch.zeros(1, 2)), torch.zeros(1, 2))


@pytest.mark.parametrize("classes", SUBSETS)
def test_class_difference_by_brute_force(make_net, make_images, classes):
    net, (x, labels) = make_net(classes=classes), make_images()
    result = saliency.class_difference(net, x, labels)
    kept = classes or (0, 1, 2)
    for image, label in enumerate(labels.tolist()):
        slopes = torch.autograd.functional.jacobian(lambda one: net(one[None])[0], x[image])
        expected = sum((slopes[label] - slopes[k]).clamp_min(0) for k in kept if k != label)
        torch.testing.assert_close(result[image], expected)


@pytest.mark.parametrize("scaling", ["sample", "neuron"])
@pytest.mark.parametrize("measure", ["saliency", "impact"])
@pytest.mark.parametrize("seed", range(5))
def test_input_importance_lies_between_0_and_1(make_net, make_images, measure, scaling, seed):
    net, (x, labels) = make_net(masked=False, seed=seed), make_images(seed=seed)
    ends = saliency.input_importance(net, x, labels, measure=measure, scaling=scaling)
    assert [end.shape[1] for end in ends] == [7, 5, 4, 3]
    for end in ends:
        assert end.min() >= 0 and end.max() <= 1
    along = 1 if scaling == "sample" else 0
    assert torch.equal(ends[0].amax(along), torch.ones(x.shape[1 - along], dtype=torch.float64))
    assert torch.equal(ends[0].amin(along), torch.zeros(x.shape[1 - along], dtype=torch.float64))


def test_rescaling_equal_values_gives_0_and_nan_stays_nan():
    assert saliency.rescale(torch.tensor([[1.0, torch.nan, 5.0]]), 1).isnan().all()
    assert torch.equal(saliency.rescale(torch.full((2, 3), 4.0), 1), torch.zeros(2, 3))
    assert saliency.rescale(torch.tensor([[1.0, 2.0, 5.0]]), 1).tolist() == [[0, 0.25, 1]]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("scaling", ["sample", "neuron"])
@pytest.mark.parametrize("measure", ["saliency", "impact"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weight_importance_is_the_sum_of_outer_products(make_net, make_images, measure, scaling, loss, dtype):
    net, (x, labels) = make_net(dtype=dtype), make_images(20, dtype=dtype)
    result = saliency.weight_importance(net, x, labels, measure=measure, scaling=scaling, loss=loss)
    values, slopes = saliency.gradients(net, x, labels, loss)
    ends = []
    for value, slope in zip(values, slopes, strict=True):
        end = (slope if measure == "saliency" else slope * value).abs()
        along = 1 if scaling == "sample" else 0
        low, high = end.amin(along, keepdim=True), end.amax(along, keepdim=True)
        ends.append((end - low) / torch.where(high > low, high - low, 1))
    for index, name in enumerate(weight_names(net)):
        expected = sum(torch.outer(ends[index + 1][i], ends[index][i]) for i in range(len(x)))
        assert result[name].shape == net.layers[index].weight.shape
        torch.testing.assert_close(result[name], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("times_weight", [False, True])
@pytest.mark.parametrize("classes", SUBSETS)
def test_direct_importance_is_the_sum_over_single_gradients(make_net, make_images, loss, times_weight, classes):
    net, (x, labels) = make_net(("tanh", "sigmoid", "leaky_relu"), classes=classes), make_images()
    result = saliency.direct_importance(net, x, labels, times_weight=times_weight, loss=loss)
    expected = {name: 0 for name in weight_names(net)}
    for image, label in enumerate(labels.tolist()):
        one = loss_of_one(net, net(x[image][None])[0], label, loss)
        weights = [layer.weight for layer in net.layers]
        for name, weight, slope in zip(expected, weights, torch.autograd.grad(one, weights), strict=True):
            expected[name] = expected[name] + (slope * weight.detach() if times_weight else slope).abs()
    for name, value in expected.items():
        torch.testing.assert_close(result[name], value)


def test_magnitude_is_the_absolute_weight(make_net):
    net = make_net()
    for layer, value in zip(net.layers, saliency.magnitude(net).values(), strict=True):
        assert torch.equal(value, layer.weight.detach().abs())


@pytest.mark.slow
@pytest.mark.parametrize("classes", SUBSETS)
def test_clamped_outputs_take_the_class_away(make_net, make_images, classes):
    net, (x, _) = make_net(masked=False, classes=classes, seed=4), make_images(30)
    off = net.layers[-1].output_mask == 0
    winner = lambda images: net(images).masked_fill(off, -torch.inf).argmax(1)  # noqa: E731
    labels = winner(x)
    labels[:3] = (labels[:3] + 1) % 3  # these are not their class to begin with
    taken = saliency.clamped_outputs(net, x, labels, steps=400)
    assert (taken >= 0).all()  # negative gradients are clipped: the input only decreases
    assert (winner(x - taken) != labels).float().mean() >= 0.9
    assert torch.equal(taken[:3], torch.zeros(3, 7, dtype=torch.float64))
    early = saliency.clamped_outputs(net, x, labels, steps=1)
    still = winner(x - early) == labels
    assert still.any()
    assert (taken[still].sum(1) > early[still].sum(1)).all()  # what has not lost its class goes on
    assert torch.equal(taken[~still], early[~still])  # what has lost it stops


def test_clamped_outputs_hold_the_others(make_net, make_images):
    net, (x, _) = make_net(masked=False, seed=4), make_images(30)
    labels = net(x).argmax(1)
    drift = []
    for hold in (0.0, 20.0):
        moved = net(x - saliency.clamped_outputs(net, x, labels, steps=3, rate=0.05, hold=hold)) - net(x)
        drift.append((moved.scatter(1, labels[:, None], 0.0) ** 2).sum().item())
    assert drift[1] < drift[0]


MEASURES = {
    "saliency": saliency.saliency_map,
    "impact": saliency.impact_map,
    "traced share": lambda net, x, labels: saliency.traced_share(net, x),
    "class difference": saliency.class_difference,
    "weight importance": saliency.weight_importance,
    "direct": saliency.direct_importance,
    "direct, times weight": lambda net, x, labels: saliency.direct_importance(net, x, labels, times_weight=True),
}


@pytest.mark.parametrize("name", MEASURES)
def test_single_precision_agrees_with_double(make_net, make_images, name):
    single = MEASURES[name](make_net(dtype=torch.float32), *make_images(dtype=torch.float32))
    double = MEASURES[name](make_net(), *make_images())
    as_dict = lambda found: found if isinstance(found, dict) else {"map": found}  # noqa: E731
    for key, value in as_dict(double).items():
        assert value.dtype == torch.float64
        torch.testing.assert_close(as_dict(single)[key].double(), value, rtol=1e-4, atol=1e-5)


def test_masked_net_gives_masked_weights_no_direct_importance(make_net, make_images):
    net = make_net()
    for layer, value in zip(net.layers, saliency.direct_importance(net, *make_images()).values(), strict=True):
        assert value[layer.weight_mask == 0].abs().max() == 0
        assert value.max() > 0


def test_bad_choices_are_refused(make_net, make_images):
    net, (x, labels) = make_net(), make_images()
    with pytest.raises(UserError, match="no loss 'hinge'"):
        saliency.saliency_map(net, x, labels, "hinge")
    for wrong in ({"measure": "size"}, {"scaling": "layer"}):
        with pytest.raises(UserError, match="must be saliency or impact"):
            saliency.input_importance(net, x, labels, **wrong)


@pytest.mark.parametrize("classes", SUBSETS)
def test_loss_per_image_is_its_definition(make_net, make_images, classes):
    net, (x, labels) = make_net(classes=classes), make_images()
    output = net(x).detach()
    for loss in LOSSES:
        result = saliency.loss_per_image(net, output, labels, loss)
        expected = [float(loss_of_one(net, output[i], int(labels[i]), loss)) for i in range(len(x))]
        assert result.tolist() == pytest.approx(expected)
    if not classes:
        mse = torch.nn.functional.mse_loss(output, one_hot_others_cold(labels, 3).double())
        torch.testing.assert_close(saliency.loss_per_image(net, output, labels).mean(), mse)


def test_loss_is_that_of_the_targets_that_a_net_is_trained_for(make_net, make_images):
    net, (x, labels) = make_net(), make_images()
    net.cold = 0.0
    output = net(x).detach()
    mse = torch.nn.functional.mse_loss(output, torch.nn.functional.one_hot(labels, 3).double())
    torch.testing.assert_close(saliency.loss_per_image(net, output, labels).mean(), mse)
