"""What happens to an image and its label together, and what a net wants to see."""

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's red, green and blue in [0, 1]; torchvision's weights expect them
STD = (0.229, 0.224, 0.225)


def normalize(images: Tensor) -> Tensor:
    """Return uint8 images (N, 3, H, W) as float32 with ImageNet's mean and standard deviation taken out."""
    return functional.normalize(functional.to_dtype(images, torch.float32, scale=True), MEAN, STD)


def resize(
    image: tv_tensors.Image, label: tv_tensors.Mask, size: tuple[int, int]
) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """Resize an image (3, H, W) by antialiased bilinear interpolation and its label (H, W) by the nearest neighbour.

    The label goes through the exact nearest neighbour: torchvision's default one takes the upper left pixel of every
    block, which moves the label against the image by up to half a pixel.
    """
    image = functional.resize(image, list(size), v2.InterpolationMode.BILINEAR, antialias=True)
    plain = label.as_subclass(Tensor)[None]  # a mask would always get the default
    return image, tv_tensors.Mask(functional.resize(plain, list(size), v2.InterpolationMode.NEAREST_EXACT)[0])
