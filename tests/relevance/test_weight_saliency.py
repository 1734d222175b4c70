"""Scores of single weights: against loops over images, filters and inputs, and against the scores of filters."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.channels import inner_layers
from relcomp_kit.relevance.filter_saliency import activation_aware_magnitude, taylor
from relcomp_kit.relevance.weight_saliency import activation_aware, loss_change

DRAW = torch.Generator().manual_seed(0)


def net(last: nn.Module | None = None) -> nn.Sequential:
    """Convolutions, one of them in groups, a batch-norm and a last layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2), nn.ReLU())
        made.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)] if last is None else [last])
    return made.eval()


@pytest.fixture
def batches():
    draws = ((torch.randn(n, 2, 9, 9, generator=DRAW), torch.randint(3, (n,), generator=DRAW)) for n in (9, 2))
    return list(draws)


def test_weights_count_by_the_norm_of_the_input_that_they_meet(batches):
    made = net()
    found = activation_aware(made, batches)
    assert list(found) == ["0.weight", "3.weight", "7.weight"]
    with torch.no_grad():
        read = made[:3](torch.cat([x for x, _ in batches]))
    for filter_ in range(6):
        for place in range(2):
            norm = read[:, filter_ // 3 * 2 + place].norm()  # the second half of the filters reads the second group
            expected = made[3].weight[filter_, place].abs() * norm
            assert torch.allclose(found["3.weight"][filter_, place].float(), expected, rtol=1e-5)
    assert activation_aware_magnitude(made, batches).keys() == inner_layers(made).keys()


def test_a_net_that_is_one_layer():
    layer, x = nn.Linear(3, 2).eval(), torch.tensor([[3.0, 0.0, 1.0], [4.0, 0.0, 1.0]])
    norms = torch.tensor([5.0, 0.0, 2**0.5])
    assert torch.allclose(activation_aware(layer, [(x, None)])["weight"].float(), layer.weight.abs() * norms)


@pytest.mark.parametrize("squared", [False, True])
def test_the_change_of_the_loss_is_that_of_every_image_by_itself(batches, squared):
    made = net()
    found = loss_change(made, batches, squared=squared)
    weights = {name: value for name, value in made.named_parameters() if name in found}
    assert set(found) == {"0.weight", "3.weight", "7.weight"}
    totals = dict.fromkeys(found, 0.0)
    for x, labels in batches:
        for image, label in zip(x, labels):
            slopes = torch.autograd.grad(cross_entropy(made(image[None]), label[None]), list(weights.values()))
            for (name, weight), slope in zip(weights.items(), slopes):
                change = (weight * slope).detach()
                totals[name] = totals[name] + (change**2 / 2 if squared else change.abs())
    for name, total in totals.items():
        assert torch.allclose(found[name].float(), total / 11, rtol=1e-4, atol=1e-9), name
        assert not found[name].requires_grad, "else the memory grows with the number of images"


def test_pixels_without_a_class_and_images_that_have_no_other_do_not_count():
    made, x = net(nn.Conv2d(6, 3, 1)), torch.randn(3, 2, 9, 9, generator=DRAW)
    labels = torch.randint(3, (3, 5, 5), generator=DRAW)
    labels[0, :3], labels[1] = VOID, VOID
    both = loss_change(made, [(x, labels)])
    alone = [loss_change(made, [(x[n : n + 1], labels[n : n + 1])]) for n in (0, 2)]
    for name, value in both.items():
        assert torch.allclose(value, (alone[0][name] + alone[1][name]) / 2, rtol=1e-4, atol=1e-9)
    with pytest.raises(UserError, match="no label counts"):
        loss_change(made, [(x, torch.full_like(labels, VOID))])


def test_the_loss_moves_by_what_is_announced(batches):
    """To first order: a weight is made smaller by a thousandth."""
    made, (x, labels) = net(), batches[1]
    changed, step = copy.deepcopy(made), 1e-3
    with torch.no_grad():
        changed[7].weight[0, 0] *= 1 - step
        before, after = (cross_entropy(one(x[:1]), labels[:1]).item() for one in (made, changed))
    said = loss_change(made, [(x[:1], labels[:1])])["7.weight"][0, 0].item()
    assert abs(after - before) / step == pytest.approx(said, rel=0.02)


@pytest.mark.parametrize("score", [activation_aware, loss_change])
def test_bad_input_is_a_sentence(score):
    with pytest.raises(UserError, match=r"call net\.eval"):
        score(net().train(), [])
    with pytest.raises(UserError, match=r"give (one|a) batch"):
        score(net(), [])
    with pytest.raises(UserError, match="there is no weight to score"):
        score(nn.ConvTranspose2d(2, 2, 1).eval(), [])


def test_class_255_of_pictures_is_a_class_and_an_empty_batch_is_nothing():
    made, x = nn.Linear(4, 300).eval(), torch.randn(2, 4, generator=DRAW)
    labels = torch.tensor([VOID, 3])
    found, alone = loss_change(made, [(x, labels), (x[:0], labels[:0])]), loss_change(made, [(x[:1], labels[:1])])
    assert found["weight"][VOID].max() > 0 and alone["weight"].max() > 0
    assert taylor(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 300)).eval(), [(x[:1], labels[:1])])["0"].min() > 0


def test_layers_that_are_not_reached_and_weights_that_are_masked_get_0(batches):
    made = net()
    layers = made[:]
    made.unused = nn.Linear(2, 2).eval()
    made.forward = layers.forward
    assert not activation_aware(made, batches)["unused.weight"].any()
    masked = MaskedNet((4, 3, 2), ("tanh", "tanh"), 0).eval()
    masked.layers[0].weight_mask[1] = False
    x = torch.randn(5, 4, generator=DRAW)
    for found in (activation_aware(masked, [(x, None)]), loss_change(masked, [(x, torch.zeros(5).long())])):
        assert not found["layers.0.weight"][1].any() and found["layers.0.weight"][0].any()
