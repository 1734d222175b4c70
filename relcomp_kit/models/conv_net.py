"""A small convolutional net on the same images: layer combination (IV) and guided backpropagation need one."""

import torch
from torch import Tensor, nn

from relcomp_kit.models.masked_net_training import Batches


def conv_net(size: int = 28, classes: int = 10, channels: int = 8, seed: int = 0) -> nn.Sequential:
    """Return a net of two convolutions, each with ReLU and 2x2 max pooling, and a linear layer.

    Parameters
    ----------
    size : int
        Height and width of the images in pixels; the input is (images, 1, size, size).
    classes : int
        Number of outputs: the net gives logits, (images, classes).
    channels : int
        Channels of the first convolution; the second one has twice as many.
    seed : int
        Decides the initial weights.

    Returns
    -------
    nn.Sequential
        The untrained net.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * channels * (size // 4) ** 2, classes),
        )


def train_conv_net(net: nn.Sequential, images: Tensor, labels: Tensor, steps: int, seed: int = 0) -> nn.Sequential:
    """Train with cross entropy and Adam: learning rate 1e-3, 200 images a step, or all if there are fewer.

    Parameters
    ----------
    net : nn.Sequential
        Changed in place.
    images : Tensor
        Training images, (images, 1, size, size), float32.
    labels : Tensor
        Their classes, (images,), int64.
    steps : int
        Steps of the optimizer.
    seed : int
        Decides the order of the images.

    Returns
    -------
    nn.Sequential
        The same net, in eval mode.
    """
    batches = Batches(len(labels), seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    net.train()
    for step in range(steps):
        chosen = batches[step]
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    return net.eval()
