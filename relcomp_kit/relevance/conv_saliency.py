"""Measures that need convolutional layers: saliency combined over layers (IV), and guided backpropagation."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from zennit.attribution import Gradient
from zennit.composites import GuidedBackprop


def combined_layers(net: nn.Sequential, images: Tensor, labels: Tensor, alpha: float = 1.0) -> Tensor:
    """Return the saliency of all layers with height and width, combined into one map (IV): (images, height, width).

    ``S = mean over layers of tanh(alpha * S_l)``. S_l is the gradient of the class score at the layer's input, its
    channel maximum of absolute values scaled to a maximum of 1 per image (so that one alpha serves all layers),
    resized to the image's size.

    Parameters
    ----------
    net : nn.Sequential
        A classifier that gives (images, classes). Layers whose input is (images, channels, height, width) count.
    images : Tensor
        (images, channels, height, width), as the net wants them.
    labels : Tensor
        The class of every image whose score is followed: (images,), int64.
    alpha : float
        Steepness of the tanh: with a larger value, smaller gradients saturate it.

    Returns
    -------
    Tensor
        (images, height, width), in [0, 1].
    """
    values = [images.detach().requires_grad_()]
    for layer in net:
        values.append(layer(values[-1]))
    score = values[-1].gather(1, labels[:, None]).sum()
    with_places = [value for value in values[:-1] if value.dim() == 4]
    maps = []
    for slope in torch.autograd.grad(score, with_places):
        strongest = slope.abs().amax(1, keepdim=True)
        peak = strongest.amax((2, 3), keepdim=True)
        scaled = strongest / torch.where(peak > 0, peak, torch.ones_like(peak))
        maps.append(interpolate(torch.tanh(alpha * scaled), images.shape[2:], mode="bilinear", align_corners=False))
    return torch.stack(maps).mean(0)[:, 0]


def guided_backpropagation(net: nn.Sequential, images: Tensor, labels: Tensor) -> Tensor:
    """Return the guided gradient of the class score at the image, computed by zennit.

    At every ReLU only what is positive forward and backward passes. The net must have `torch.nn.ReLU` modules.

    Parameters
    ----------
    net : nn.Sequential
        A classifier that gives (images, classes).
    images : Tensor
        (images, channels, height, width), as the net wants them.
    labels : Tensor
        The class of every image whose score is followed: (images,), int64.

    Returns
    -------
    Tensor
        The guided gradient in the shape of ``images``.
    """
    classes = net(images[:1]).shape[1]
    with Gradient(model=net, composite=GuidedBackprop()) as attributor:
        _, slopes = attributor(images, torch.eye(classes)[labels])
    return slopes.detach()
