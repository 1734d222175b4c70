"""Data sets by name: training, validation and test images, their class names and hashes.

`NAMES` and `fetch` do not import torch. Images to classify (`load`, `banner`) and scenes to segment (`load_scenes`,
`describe`) import it on first use.
"""

from importlib import import_module

from relcomp_kit.datasets.download import NAMES, fetch

__all__ = ["NAMES", "ImageSet", "SceneSet", "Split", "banner", "describe", "fetch", "load", "load_scenes"]

HOME = {name: "images" for name in ("ImageSet", "Split", "banner")}
HOME |= {"load": "catalogue", "SceneSet": "scene_set", "describe": "scenes", "load_scenes": "scenes"}


def __getattr__(name: str):
    if name in HOME:
        return getattr(import_module(f"relcomp_kit.datasets.{HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
