"""The small convolutional net: shape, seed, and that it learns."""

import pytest
import torch

from relcomp_kit import datasets
from relcomp_kit.models.conv_net import conv_net, train_conv_net
from relcomp_kit.models.masked_net_training import Samples, accuracy


def test_output_has_one_value_per_class_and_the_seed_decides_it():
    images = torch.rand(3, 1, 28, 28)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    net = conv_net(seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert net(images).shape == (3, 10)
    assert torch.equal(net(images), conv_net(seed=1)(images))
    assert not torch.equal(net(images), conv_net(seed=2)(images))


@pytest.mark.slow
def test_it_learns_digits():
    digits = datasets.load("digits")
    images, labels = digits.train.images * 2 - 1, digits.train.labels
    held_out = Samples(digits.validation.images * 2 - 1, digits.validation.labels)
    net = conv_net(size=8)
    before = accuracy(net, held_out)
    train_conv_net(net, images, labels, 60)
    assert not net.training
    assert before < 0.3 < 0.6 < accuracy(net, held_out)
