"""What a claim was decided on, in words: the net, its size, and its budget."""

import functools

from torch import nn

from relcomp_kit.models.deeplab import SIZES, deeplab
from relcomp_kit.models.recipe import Recipe


@functools.cache
def segmenter(size: str, classes: int) -> str:
    """Return a size of DeepLabV3 as text, with how many weights it has.

    Parameters
    ----------
    size : str
        One of `relcomp_kit.models.deeplab.SIZES`.
    classes : int
        How many it tells apart.
    """
    return named(size, deeplab(size, classes)) if size in SIZES else size


def named(size: str, net: nn.Module) -> str:
    """Return a net of a size of DeepLabV3 as text, with how many weights it has.

    Parameters
    ----------
    size : str
        Its name.
    net : nn.Module
        The net.
    """
    count = sum(value.numel() for value in net.parameters())
    return f"{size} DeepLabV3, {count / 1e6:.1f} million weights"


def training(recipe: Recipe) -> str:
    """Return how a net was trained as text: from where, and for how long."""
    steps = f"{recipe.steps:,} steps of {recipe.batch}{at_half_size(recipe.half_size_steps)}"
    return f"trained from {recipe.origin} for {steps}"


def at_half_size(steps: int) -> str:
    """Return what a text about steps adds if some of them saw scenes of half the size; nothing if none did."""
    return f", {steps:,} of them at half size" if steps else ""
