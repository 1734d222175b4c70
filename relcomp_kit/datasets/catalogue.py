"""Every set of images with labels by its name."""

from relcomp_kit.datasets import images, labelled
from relcomp_kit.datasets.images import ImageSet


def load(name: str = "mnist") -> ImageSet:
    """Load a set of images with labels: from ``$RELCOMP_DATA``, the cache, or (small grey ones) a download.

    Parameters
    ----------
    name : str
        One of `relcomp_kit.datasets.NAMES`, or of `relcomp_kit.datasets.labelled.NAMES`.

    Returns
    -------
    ImageSet
        As `relcomp_kit.datasets.images.load` and `relcomp_kit.datasets.labelled.load` describe it.

    Raises
    ------
    UserError
        If the name is unknown, or the set is nowhere or damaged.
    """
    return labelled.load(name) if name in labelled.NAMES else images.load(name)
