"""Transforms of images and their labels: resizing, augmentation, and normalisation for a net."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from relcomp_kit.datasets.scene_set import VOID

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's red, green and blue in [0, 1]; torchvision's weights expect them
STD = (0.229, 0.224, 0.225)
Scale = tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of each channel, in [0, 1]


def normalize(images: Tensor, scale: Scale | None = None) -> Tensor:
    """Return uint8 images as float32 with a mean and a standard deviation taken out.

    Parameters
    ----------
    images : Tensor
        (N, C, H, W), uint8.
    scale : (tuple of float, tuple of float), optional
        Mean and standard deviation of each channel in [0, 1]; those of ImageNet by default.

    Returns
    -------
    Tensor
        The same shape, float32.
    """
    mean, std = scale or (MEAN, STD)
    return functional.normalize(functional.to_dtype(images, torch.float32, scale=True), mean, std)


def standardize(images: Tensor, scale: Scale | None = None) -> Tensor:
    """Return uint8 images as float32 as nets want them: colour ones by `normalize`, grey ones scaled to [-1, 1].

    Parameters
    ----------
    images : Tensor
        (N, 3, H, W) or (N, 1, H, W), uint8.
    scale : (tuple of float, tuple of float), optional
        As in `normalize`, where a net was trained with another one.

    Returns
    -------
    Tensor
        The same shape, float32.
    """
    if scale is None and images.shape[1] == 1:
        return images.float() / 127.5 - 1
    return normalize(images, scale)


def crop_and_mirror(images: Tensor, seed: int, *, most: int = 4, mirror: bool = True) -> Tensor:
    """Shift every image at random, filling with black, and mirror half of them: the usual augmentation of CIFAR-10.

    Parameters
    ----------
    images : Tensor
        (N, C, H, W), uint8.
    seed : int
        The same images and seed give the same result.
    most : int
        Pixels that an image is shifted by at most, up, down, left and right.
    mirror : bool
        Whether half of the images are mirrored left and right.

    Returns
    -------
    Tensor
        (N, C, H, W), uint8.
    """
    generator = torch.Generator().manual_seed(seed)
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (most,) * 4)
    top, left = torch.randint(2 * most + 1, (2, count), generator=generator)
    rows, columns = top[:, None] + torch.arange(height), left[:, None] + torch.arange(width)
    if mirror:
        turned = torch.rand(count, generator=generator) < 0.5
        columns = torch.where(turned[:, None], columns.flip(1), columns)
    first = torch.arange(count)[:, None, None]
    return padded[first, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def resize(
    image: tv_tensors.Image, label: tv_tensors.Mask, size: tuple[int, int]
) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """Resize an image (3, H, W) by antialiased bilinear interpolation and its label (H, W) by the nearest neighbour.

    The label goes through the exact nearest neighbour: torchvision's default one takes the upper left pixel of every
    block, which moves the label against the image by up to half a pixel.

    Parameters
    ----------
    image : tv_tensors.Image
        (3, H, W), uint8.
    label : tv_tensors.Mask
        (H, W), uint8.
    size : (int, int)
        Height and width in pixels of what comes out.

    Returns
    -------
    image : tv_tensors.Image
        (3, height, width), uint8.
    label : tv_tensors.Mask
        (height, width), uint8.
    """
    image = functional.resize(image, list(size), v2.InterpolationMode.BILINEAR, antialias=True)
    plain = label.as_subclass(Tensor)[None]  # a mask would always get the default
    return image, tv_tensors.Mask(functional.resize(plain, list(size), v2.InterpolationMode.NEAREST_EXACT)[0])


def training_transform(
    size: tuple[int, int], *, scale: tuple[float, float] = (0.75, 1.5), flip: float = 0.5, jitter: float = 0.3
) -> Callable[[tv_tensors.Image, tv_tensors.Mask, int], tuple[tv_tensors.Image, tv_tensors.Mask]]:
    """Make the augmentation of training scenes: scale, crop, mirror, change the light.

    Parameters
    ----------
    size : (int, int)
        Height and width of what comes out. Where a scaled image is smaller, the image is padded with ImageNet's mean
        colour and the label with void.
    scale : (float, float)
        Bounds of the factor by which height and width are multiplied before the crop.
    flip : float
        Probability of mirroring left and right.
    jitter : float
        Brightness, contrast and saturation are multiplied by a factor in ``[1 - jitter, 1 + jitter]``.

    Returns
    -------
    callable
        ``augment(image, label, seed)``: the same image (3, H, W), label (H, W) and seed give the same result. Torch's
        own random numbers go on as if nothing had been drawn. It can be sent to worker processes.
    """
    grey = [round(255 * channel) for channel in MEAN]
    after_scaling = v2.Compose(
        [
            v2.RandomCrop(size, pad_if_needed=True, fill={tv_tensors.Image: grey, tv_tensors.Mask: VOID}),
            v2.RandomHorizontalFlip(flip),
            v2.ColorJitter(brightness=jitter, contrast=jitter, saturation=jitter),
        ]
    )
    return partial(_augment, scale=scale, after_scaling=after_scaling)


def _augment(image: tv_tensors.Image, label: tv_tensors.Mask, seed: int, *, scale, after_scaling):
    """Augment with all random numbers from one seed, through torch's global generator, which is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        factor = torch.empty(()).uniform_(*scale).item()
        height, width = (max(1, round(side * factor)) for side in label.shape)
        return after_scaling(*resize(image, label, (height, width)))
