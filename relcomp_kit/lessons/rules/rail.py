"""The rules of the claims about rail segmentation (B). Accuracies are shares in [0, 1]."""

from relcomp_kit.lessons.claims import Ruling
from relcomp_kit.lessons.rules.series import Series, above, percent


def b1(accuracy: Series) -> Ruling:
    """Pixel accuracy on the test split."""
    return Ruling({"at least 91.2 %": above(accuracy, 0.912)}, percent(accuracy))


def b2(accuracy: Series) -> Ruling:
    """Pixel accuracy on the test split."""
    return Ruling({"at least 86.2 %": above(accuracy, 0.862)}, percent(accuracy))


def b11(megabytes: float) -> Ruling:
    """Bytes of the parameters as float32, without auxiliary head, over 10^6."""
    return Ruling({"235 when rounded": [0.5 - abs(megabytes - 235)]}, f"{megabytes:.1f} MB")
