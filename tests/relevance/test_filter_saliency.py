"""Scores of filters: what ReLU lets through against a great many draws, weights and inputs against loops."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import inner_layers
from relcomp_kit.relevance.filter_saliency import (
    activation_aware_magnitude,
    batch_norm_scale,
    expected_output,
    taylor,
)
from relcomp_kit.relevance.weight_saliency import NO_LABEL


def net(**of_norm) -> nn.Sequential:
    """Convolutions, one of them in groups, and batch-norms behind them; a last layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = nn.BatchNorm2d(4, **of_norm), nn.BatchNorm2d(6, **of_norm)
        made = nn.Sequential(nn.Conv2d(2, 4, 3), first, nn.ReLU(), nn.Conv2d(4, 6, 3, groups=2, stride=2), second)
        made.extend([nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)])
        for norm in (first, second):
            for vector in (norm.weight, norm.bias, norm.running_mean):
                if vector is not None:
                    nn.init.uniform_(vector, -1, 1)
    return made.eval()


def test_scales_without_their_sign():
    made = net()
    assert batch_norm_scale(made).keys() == inner_layers(made).keys() == {"0", "3"}
    assert batch_norm_scale(made)["3"].tolist() == pytest.approx(made[4].weight.abs().tolist())


def test_relu_lets_through_on_average_what_is_expected():
    made = net()
    made[1].running_var = torch.tensor([1.0, 0.3, 1e-6, 4.0])  # of the third, eps makes most
    with torch.no_grad():
        made[1].weight[3], made[1].bias[3] = 0.0, -0.5
        made[4].weight[0], made[4].bias[0] = 0.0, 0.5
    draws = torch.randn(200_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = made[1].running_mean + draws * made[1].running_var.sqrt()
    with torch.no_grad():
        sampled = made[1].double()(drawn[:, :, None, None]).relu().mean((0, 2, 3))
    found = expected_output(made)
    assert found["0"].tolist() == pytest.approx(sampled.tolist(), abs=0.005)
    assert found["0"][3] == 0 and found["3"][0] == pytest.approx(0.5), "a filter that is always the same"


def test_weights_count_by_the_norm_of_what_they_meet():
    made, draw = net(), torch.Generator().manual_seed(1)
    batches = [(torch.randn(count, 2, 9, 9, generator=draw), None) for count in (2, 3)]
    found = activation_aware_magnitude(made, batches)
    with torch.no_grad():
        read = {"0": torch.cat([x for x, _ in batches])}
        read["3"] = made[:3](read["0"])
    for name, groups in (("0", 1), ("3", 2)):
        weight, inputs = made[int(name)].weight.detach(), read[name]
        for row in range(len(weight)):
            first = row // (len(weight) // groups) * weight.shape[1]
            norms = [inputs[:, first + column].norm().item() for column in range(weight.shape[1])]
            sizes = [weight[row, column].abs().sum().item() for column in range(weight.shape[1])]
            expected = sum(size * norm for size, norm in zip(sizes, norms))
            assert found[name][row].item() == pytest.approx(expected, rel=1e-5)
    assert not any(module._forward_pre_hooks for module in made.modules())


def test_neurons_are_filters_too():
    made = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    expected = made[0].weight.detach().abs() @ x.norm(dim=0)
    assert activation_aware_magnitude(made, [(x, None)])["0"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def change_of_the_loss(made: nn.Sequential, norm: int, channel: int, x, label) -> float:
    """First order in a factor at what leaves a batch-norm, by a small change of the factor in double precision."""
    losses = []
    for factor in (1 - 1e-5, 1 + 1e-5):
        switch = torch.ones(made[norm].num_features, dtype=torch.float64)
        switch[channel] = factor
        hook = made[norm].register_forward_hook(lambda module, _, out, by=switch: out * by[:, None, None])
        with torch.no_grad():
            losses.append(cross_entropy(made(x[None]), label[None]).item())
        hook.remove()
    return (losses[1] - losses[0]) / 2e-5


@pytest.mark.parametrize("inplace", [False, True])
def test_the_loss_changes_as_a_small_change_says(inplace):
    made, draw = net().double(), torch.Generator().manual_seed(3)
    made[2], made[5] = nn.ReLU(inplace).eval(), nn.ReLU(inplace).eval()
    x, labels = torch.randn(4, 2, 9, 9, generator=draw, dtype=torch.float64), torch.tensor([0, 2, NO_LABEL, 1])
    batches = [(x[:3], labels[:3]), (x[3:], labels[3:])]
    for name, norm in (("0", 1), ("3", 4)):
        channels = range(made[norm].num_features)
        each = [[change_of_the_loss(made, norm, c, x[i], labels[i]) for i in (0, 1, 3)] for c in channels]
        means = [sum(map(abs, row)) / 3 for row in each]
        assert taylor(made, batches)[name].tolist() == pytest.approx(means, rel=1e-5, abs=1e-9)
        halves = [sum(value**2 for value in row) / 6 for row in each]
        assert taylor(made, batches, squared=True)[name].tolist() == pytest.approx(halves, rel=1e-5, abs=1e-9)
    assert not any(module._forward_hooks for module in made.modules())


def test_neurons_are_switched_like_filters():
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)).eval()
    x, label = torch.randn(1, 3, generator=torch.Generator().manual_seed(5)), torch.tensor([1])
    output = made[:2](x).detach().requires_grad_()
    cross_entropy(made[2:](output), label).backward()
    expected = (output * output.grad).abs()[0].tolist()
    assert taylor(made, [(x, label)])["0"].tolist() == pytest.approx(expected, rel=1e-5)


def test_of_a_net_that_segments_only_pixels_that_count_are_asked():
    made = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Conv2d(3, 4, 1)).eval()
    draw = torch.Generator().manual_seed(4)
    x, labels = torch.randn(2, 2, 3, 3, generator=draw), torch.full((2, 3, 3), VOID, dtype=torch.uint8)
    labels[0, 1, 2] = 3
    alone = taylor(made, [(x[:1, :, 1:2, 2:3], labels[:1, 1:2, 2:3])])
    assert taylor(made, [(x, labels)])["0"].tolist() == pytest.approx(alone["0"].tolist(), rel=1e-5)


@pytest.mark.parametrize("scores", [batch_norm_scale, expected_output])
@pytest.mark.parametrize("without", ["affine", "track_running_stats", "a norm"])
def test_without_a_batch_norm_there_is_a_sentence(scores, without):
    bare = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    made = bare if without == "a norm" else net(**{without: False})
    with pytest.raises(UserError, match="0 has no batch-norm with scale and statistics"):
        scores(made)


def test_nothing_to_measure_on_gets_a_sentence():
    with pytest.raises(UserError, match="give one batch at least"):
        activation_aware_magnitude(net(), [])
    with pytest.raises(UserError, match="in train mode"):
        activation_aware_magnitude(net().train(), [])
    with pytest.raises(UserError, match="no label counts"):
        taylor(net(), [(torch.zeros(1, 2, 9, 9), torch.tensor([NO_LABEL]))])
    with pytest.raises(UserError, match="in train mode"):
        taylor(net().train(), [])
