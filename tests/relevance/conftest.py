"""Small masked nets and images, for comparison with brute force."""

import pytest
import torch

from relcomp_kit.models.masked_net import MaskedNet, get_masks, keep_classes, set_masks


@pytest.fixture
def make_net():
    """A function that makes a small net, masked or not, in double precision unless said otherwise."""

    def make(activations="tanh", *, masked=True, classes=(), dtype=torch.float64, sizes=(7, 5, 4, 3), seed=0):
        net = MaskedNet(sizes, activations, seed=seed)
        if masked:
            draw = torch.Generator().manual_seed(seed)
            set_masks(net, {name: torch.rand(m.shape, generator=draw) > 0.3 for name, m in get_masks(net).items()})
            if len(net.layers) > 1:
                net.layers[0].output_mask[1] = 0
        if classes:
            keep_classes(net, classes)
        return net.to(dtype)

    return make


@pytest.fixture
def make_images():
    """A function that draws images in [-1, 1], some pixels 0, and labels."""

    def make(count=6, pixels=7, classes=3, dtype=torch.float64, seed=0):
        draw = torch.Generator().manual_seed(seed)
        x = torch.rand(count, pixels, generator=draw, dtype=torch.float64) * 2 - 1
        x[torch.rand(count, pixels, generator=draw) < 0.1] = 0
        return x.to(dtype), torch.arange(seed, seed + count) % classes

    return make


@pytest.fixture(scope="session")
def any_net():
    """A small net for tests in which its weights do not matter."""
    return MaskedNet((7, 5, 4, 3)).double()
