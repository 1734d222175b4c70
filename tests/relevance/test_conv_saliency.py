"""Layer combination and guided backpropagation on a small convolutional net, against their definitions."""

import pytest
import torch
from torch import nn

from relcomp_kit.models.conv_net import conv_net
from relcomp_kit.relevance.conv_saliency import combined_layers, guided_backpropagation


@pytest.fixture
def net():
    return conv_net(size=8, classes=4, channels=3, seed=1)


@pytest.fixture
def images():
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1


LABELS = torch.tensor([0, 1, 2, 3, 0])


def by_definition(net, image, label, alpha):
    """IV for one image: one backward pass for each layer that has places."""
    maps, value = [], image[None]
    for index, layer in enumerate(net):
        if value.dim() == 4:
            leaf = value.detach().requires_grad_()
            slope = torch.autograd.grad(net[index:](leaf)[0, label], leaf)[0]
            strongest = slope.abs().max(1, keepdim=True).values
            scaled = torch.tanh(alpha * strongest / strongest.max())
            maps.append(nn.functional.interpolate(scaled, (8, 8), mode="bilinear", align_corners=False)[0, 0])
        value = layer(value)
    assert len(maps) == 7  # two convolutions, two ReLUs, two poolings, and what is flattened
    return sum(maps) / len(maps)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 10.0])
def test_combined_layers_is_its_definition(net, images, alpha):
    result = combined_layers(net, images, LABELS, alpha)
    assert result.shape == (5, 8, 8)
    for image, label, found in zip(images, LABELS, result, strict=True):
        torch.testing.assert_close(found, by_definition(net, image, int(label), alpha).detach())
    assert result.min() >= 0 and result.max() <= 1


def test_an_image_does_not_see_the_others(net, images):
    together = combined_layers(net, images, LABELS)
    torch.testing.assert_close(combined_layers(net, images[2:3], LABELS[2:3])[0], together[2])
    guided = guided_backpropagation(net, images, LABELS)
    torch.testing.assert_close(guided_backpropagation(net, images[2:3], LABELS[2:3])[0], guided[2])


class GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp_min(0)

    @staticmethod
    def backward(ctx, slope):
        return slope.clamp_min(0) * (ctx.saved_tensors[0] > 0)


def test_guided_backpropagation_passes_only_what_is_positive_both_ways(net, images):
    leaf = images.clone().requires_grad_()
    value = leaf
    for layer in net:
        value = GuidedReLU.apply(value) if isinstance(layer, nn.ReLU) else layer(value)
    expected = torch.autograd.grad(value.gather(1, LABELS[:, None]).sum(), leaf)[0]
    result = guided_backpropagation(net, images, LABELS)
    assert result.shape == images.shape
    torch.testing.assert_close(result, expected)
    plain = images.clone().requires_grad_()
    slope = torch.autograd.grad(net(plain).gather(1, LABELS[:, None]).sum(), plain)[0]
    assert not torch.allclose(result, slope)
    torch.testing.assert_close(torch.autograd.grad(net(plain).gather(1, LABELS[:, None]).sum(), plain)[0], slope)
