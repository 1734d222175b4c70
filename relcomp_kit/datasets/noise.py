"""The thesis' noise: images in [-1, 1], Gaussian noise, then salt and pepper, drawn once."""

import torch
from torch import Tensor

from relcomp_kit.errors import UserError


def scale(images: Tensor) -> Tensor:
    """Scale images from [0, 1] to [-1, 1]."""
    return (images * 2).sub_(1)


def corrupt(images: Tensor, seed: int, sigma: float = 0.2, salt_and_pepper: float = 0.15) -> Tensor:
    """Add Gaussian noise, then set a share of the pixels to -1 or 1, half each, and clip to [-1, 1].

    Source: Böhnke, set-up of the experiments.

    Parameters
    ----------
    images : Tensor
        Any shape, values in [-1, 1].
    seed : int
        Decides the noise; the same images and seed give the same bits.
    sigma : float
        Standard deviation of the Gaussian noise, in units of the images.
    salt_and_pepper : float
        Share of pixels in [0, 1] that become 1 (half of them) or -1 (the other half).

    Returns
    -------
    Tensor
        New images in the shape of ``images``; the given ones are not changed.

    Raises
    ------
    UserError
        If ``salt_and_pepper`` is outside [0, 1].
    """
    if not 0 <= salt_and_pepper <= 1:
        raise UserError(f"salt_and_pepper is a share between 0 and 1, not {salt_and_pepper}")
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(images.shape, generator=generator, dtype=images.dtype).mul_(sigma).add_(images)
    draw = torch.rand(images.shape, generator=generator, dtype=images.dtype)
    noisy.masked_fill_(draw < salt_and_pepper / 2, -1.0)
    noisy.masked_fill_(draw > 1 - salt_and_pepper / 2, 1.0)
    return noisy.clamp_(-1, 1)
