"""The rules of the claims about rail segmentation (B). Accuracies are shares in [0, 1]."""

from relcomp_kit.lessons.claims import Ruling
from relcomp_kit.lessons.rules.series import Series, above, below, percent, spread, strictly


def b1(accuracy: Series) -> Ruling:
    """Pixel accuracy on the test split."""
    return Ruling({"at least 91.2 %": above(accuracy, 0.912)}, percent(accuracy))


def b2(accuracy: Series) -> Ruling:
    """Pixel accuracy on the test split."""
    return Ruling({"at least 86.2 %": above(accuracy, 0.862)}, percent(accuracy))


def b3(correlation: Series, irrelevant: Series, relevant: Series) -> Ruling:
    """Rank correlation of abs weight and relevance; shares of weights large yet irrelevant, small yet relevant."""
    return Ruling(
        {
            "correlation below 0.5": strictly(below(correlation, 0.5)),
            "large and irrelevant": above(irrelevant, 0.01),
            "small and relevant": above(relevant, 0.01),
        },
        f"correlation {spread(correlation, 2)}; large yet irrelevant {percent(irrelevant)}, "
        f"small yet relevant {percent(relevant)} of the weights (by chance 6.2 %)",
    )


def b4(relevance: Series, magnitude: Series) -> Ruling:
    """Mean accuracy over the shares of filters removed, by relevance and by magnitude."""
    return Ruling(
        {"relevance above magnitude": strictly(above(relevance, magnitude))},
        f"mean accuracy {percent(relevance)} against {percent(magnitude)}",
    )


def b4c(relevance: Series, random: Series) -> Ruling:
    """Series as in B4, by relevance and by the mean of random orders."""
    return Ruling(
        {"relevance above random": strictly(above(relevance, random))},
        f"mean accuracy {percent(relevance)} against {percent(random)}",
    )


def b4d(mean_of_abs: Series, abs_of_mean: Series, mean_area: Series, other_area: Series) -> Ruling:
    """Rank correlation with the ablation of channels, and mean accuracy as in B4, for both ways to aggregate."""
    return Ruling(
        {
            "closer to the ablation": strictly(above(mean_of_abs, abs_of_mean)),
            "higher accuracy": strictly(above(mean_area, other_area)),
        },
        f"correlation {spread(mean_of_abs, 2)} against {spread(abs_of_mean, 2)}; "
        f"mean accuracy {percent(mean_area)} against {percent(other_area)}",
    )


def b11(megabytes: float) -> Ruling:
    """Bytes of the parameters as float32, without auxiliary head, over 10^6."""
    return Ruling({"235 when rounded": [0.5 - abs(megabytes - 235)]}, f"{megabytes:.1f} MB")
