"""Colours of classes, for sets and files that bring none of their own."""

from collections.abc import Sequence

from relcomp_kit.datasets import rail_scenes
from relcomp_kit.datasets.layouts import CAMVID, RAILSEM19

Palette = tuple[tuple[int, int, int], ...]
TURNS = 5  # of the same hues, each a fifth darker


def palette_of(classes: Sequence[str]) -> Palette:
    """Return the colours of a set of scenes with these classes, or else some: bright ones first, then darker.

    Parameters
    ----------
    classes : sequence of str
        Names, in the order of their numbers.

    Returns
    -------
    tuple of (int, int, int)
        Red, green and blue of each, 0 to 255.
    """
    for known in (dict(zip(rail_scenes.CLASSES, rail_scenes.PALETTE)), CAMVID, RAILSEM19):
        if set(classes) <= known.keys():
            return tuple(known[name] for name in classes)
    shades = [
        tuple(part * (TURNS - turn) // TURNS for part in colour)
        for turn in range(TURNS)
        for colour in rail_scenes.PALETTE
    ]
    return tuple(shades[index % len(shades)] for index in range(len(classes)))  # type: ignore[misc]
