"""Training: the hand-written step against autograd, batches that resume, noise, targets, accuracy."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relcomp_kit.datasets.images import Split
from relcomp_kit.datasets.noise import corrupt, scale
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import ACTIVATIONS, MaskedNet, get_masks, keep_classes, set_masks
from relcomp_kit.models.masked_net_training import (
    Batches,
    Samples,
    accuracy,
    one_hot_others_cold,
    prepare,
    sgd_step,
    train,
    train_until_stable,
)

MIXTURES = [*ACTIVATIONS, ("relu", "tanh", "sigmoid"), ("leaky_relu", "sigmoid", "tanh")]


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mask_some(net, seed=0, classes=()):
    """Mask a third of the weights, a hidden neuron, and all but some classes."""
    generator = torch.Generator().manual_seed(seed)
    set_masks(net, {name: torch.rand(mask.shape, generator=generator) > 1 / 3 for name, mask in get_masks(net).items()})
    net.layers[0].output_mask[1] = 0
    if classes:
        keep_classes(net, classes)
    return net


def autograd_step(net, x, target, learning_rate):
    """The same step on the same loss, by autograd."""
    kept = net.layers[-1].output_mask
    loss = ((((net(x) - target) ** 2) * kept).sum(1) / kept.sum()).mean()
    parameters = list(net.parameters())
    with torch.no_grad():
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter -= learning_rate * slope


@pytest.mark.parametrize("activations", MIXTURES)
@pytest.mark.parametrize("classes", [(), (0, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_step_is_autograds(activations, classes, dtype, tolerance):
    ours = mask_some(MaskedNet((9, 7, 5, 4), activations).to(dtype), classes=classes)
    ours.layers[-1].bias.data += 0.5  # so that no ReLU output is dead
    theirs = copy.deepcopy(ours)
    x, target = random(12, 9, dtype=dtype), one_hot_others_cold(torch.arange(12) % 4, 4).to(dtype)
    before = [parameter.detach().clone() for parameter in ours.parameters()]
    for _ in range(3):
        output = theirs(x).detach()
        torch.testing.assert_close(sgd_step(ours, x, target, 0.3), output, rtol=0, atol=tolerance)
        autograd_step(theirs, x, target, 0.3)
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, reference, rtol=0, atol=tolerance)
    assert any((mine - old).abs().max() > 1e-3 for mine, old in zip(ours.parameters(), before, strict=True))


def test_step_leaves_masked_weights_and_its_arguments_alone():
    net = mask_some(MaskedNet((9, 7, 4)))
    before = copy.deepcopy(net)
    x, target = random(12, 9), one_hot_others_cold(torch.arange(12) % 4, 4)
    sgd_step(net, x, target)
    assert torch.equal(x, random(12, 9))
    assert torch.equal(target, one_hot_others_cold(torch.arange(12) % 4, 4))
    for layer, old in zip(net.layers, before.layers, strict=True):
        masked = layer.weight_mask == 0
        assert torch.equal(layer.weight[masked], old.weight[masked])
        assert not torch.equal(layer.weight[~masked], old.weight[~masked])


@pytest.mark.slow
@given(samples=st.integers(1, 60), size=st.integers(1, 60), seed=st.integers(0, 5), epoch=st.integers(0, 4))
def test_an_epoch_repeats_no_image_and_leaves_out_less_than_a_batch(samples, size, seed, epoch):
    batches = Batches(samples, seed, size)
    per_epoch = max(1, samples // size)
    drawn = torch.cat([batches[epoch * per_epoch + i] for i in range(per_epoch)])
    assert len(drawn.unique()) == len(drawn) > samples - size
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < samples
    if samples % size == 0:
        assert torch.equal(drawn.sort().values, torch.arange(samples))


def test_batches_depend_on_seed_and_step_alone():
    forward = [batch.tolist() for batch in map(Batches(50, 3, 10).__getitem__, range(20))]
    backward = Batches(50, 3, 10)
    assert [backward[step].tolist() for step in reversed(range(20))] == forward[::-1]
    assert Batches(50, 4, 10)[0].tolist() != forward[0]
    assert forward[:5] != forward[5:10]


def test_no_image_to_train_on_is_refused():
    with pytest.raises(UserError, match="no image to train on"):
        Batches(0, 0)


def two_clouds(count=120, seed=0):
    """Two classes that a line separates."""
    labels = torch.arange(count) % 2
    return Samples(random(count, 4, seed=seed) * 0.3 + (labels[:, None] * 2.0 - 1), labels)


def test_resumed_training_is_the_uninterrupted_one():
    samples, targets = two_clouds(), one_hot_others_cold(two_clouds().labels, 2)
    whole, parts = MaskedNet((4, 3, 2)), MaskedNet((4, 3, 2))
    assert train(whole, samples, targets, Batches(120, 0, 20), 0, 17) == 17
    step = train(parts, samples, targets, Batches(120, 0, 20), 0, 8)
    assert train(parts, samples, targets, Batches(120, 0, 20), step, 9) == 17
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_training_learns_and_reports_every_hundred_steps():
    samples, net, seen, before = two_clouds(), MaskedNet((4, 3, 2)), [], []
    targets = one_hot_others_cold(samples.labels, 2)
    train(net, samples, targets, Batches(120, 0, 20), 50, 250, lambda *what: seen.append(what), before.append)
    assert [step for step, _ in seen] == [100, 200, 300]
    assert seen[-1][1] == 1.0
    assert before == list(range(50, 300))
    assert accuracy(net, samples) == 1.0


def test_text_protocol_goes_on_while_validation_rises_and_stops_when_it_does_not():
    samples = two_clouds()
    targets, batches = one_hot_others_cold(samples.labels, 2), Batches(120, 0, 20)
    rising = MaskedNet((4, 3, 2))
    with torch.no_grad():
        rising.layers[-1].bias.copy_(torch.tensor([1.0, -1.0]))  # starts with every image in class 0
    stuck = Samples(samples.x, torch.full((120,), 2))  # a label that no output can hit
    assert train_until_stable(MaskedNet((4, 3, 2)), samples, targets, batches, 7, stuck, block=5, patience=2) == 17
    assert accuracy(rising, samples) < 1
    steps = train_until_stable(rising, samples, targets, batches, 0, samples, block=5, patience=2)
    assert steps > 10
    assert accuracy(rising, samples) == 1
    assert train_until_stable(rising, samples, targets, batches, 0, samples, block=5, patience=9, most=15) == 15


def test_targets_are_one_hot_others_cold():
    assert one_hot_others_cold(torch.tensor([2, 0]), 3).tolist() == [[-1, -1, 1], [1, -1, -1]]
    assert one_hot_others_cold(torch.tensor([2, 0]), 3, 0).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_masked_outputs_do_not_compete():
    net = MaskedNet((2, 3), "tanh")
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].bias.copy_(torch.tensor([-0.1, -0.5, 0.9]))
    samples = Samples(torch.zeros(4, 2), torch.tensor([0, 0, 0, 2]))
    assert accuracy(net, samples) == 0.25
    keep_classes(net, [0, 1])  # the output that is masked away is 0, above both others
    assert accuracy(net, samples) == 0.75


def test_noise_has_the_published_shares():
    count = 200_000
    noisy = corrupt(torch.zeros(count), seed=0)
    for extreme in (-1.0, 1.0):  # five standard deviations of a binomial share
        assert abs((noisy == extreme).float().mean() - 0.075) < 5 * (0.075 * 0.925 / count) ** 0.5
    others = noisy[noisy.abs() < 1]
    assert others.std().item() == pytest.approx(0.2, abs=0.003)
    assert others.mean().item() == pytest.approx(0, abs=0.003)


@pytest.mark.slow
@given(low=st.floats(-1, 1), seed=st.integers(0, 100))
def test_noise_stays_in_range_and_depends_on_its_seed(low, seed):
    images = torch.linspace(low, 1, 64)
    noisy = corrupt(images, seed)
    assert noisy.min() >= -1 and noisy.max() <= 1
    assert torch.equal(noisy, corrupt(images, seed))
    assert not torch.equal(noisy, corrupt(images, seed + 1))
    assert torch.equal(images, torch.linspace(low, 1, 64))


def test_without_noise_nothing_changes_and_a_bad_share_is_refused():
    images = torch.linspace(-1, 1, 9)
    assert torch.equal(corrupt(images, 0, sigma=0, salt_and_pepper=0), images)
    with pytest.raises(UserError, match="share between 0 and 1"):
        corrupt(images, 0, salt_and_pepper=1.5)


def test_prepare_scales_flattens_and_leaves_the_data_set_alone():
    images = torch.rand(5, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    split = Split(images.clone(), torch.arange(5))
    plain = prepare(split, 0, noise=False, signed=False)
    assert torch.equal(plain.x, images.flatten(1))
    assert torch.equal(prepare(split, 0, noise=False).x, scale(images).flatten(1))
    noisy = prepare(split, 4)
    assert noisy.x.shape == (5, 9) and torch.equal(noisy.x, prepare(split, 4).x)
    assert not torch.equal(noisy.x, prepare(split, 5).x)
    plain.x.zero_()
    assert torch.equal(split.images, images)
    assert noisy.subset(noisy.labels > 2).labels.tolist() == [3, 4]
