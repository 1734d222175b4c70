"""Data sets by name: training, validation and test images, their class names and hashes.

`NAMES` and `fetch` come without torch; `load`, `banner` and the types import it on first use.
"""

from relcomp_kit.datasets.download import NAMES, fetch

__all__ = ["NAMES", "ImageSet", "Split", "banner", "fetch", "load"]


def __getattr__(name: str):
    if name in ("ImageSet", "Split", "banner", "load"):
        from relcomp_kit.datasets import images

        return getattr(images, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
