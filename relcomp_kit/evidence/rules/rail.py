"""The rules of the claims about rail segmentation (B). Accuracies are shares in [0, 1]."""

import math
import statistics

from relcomp_kit.evidence.claims import Ruling
from relcomp_kit.evidence.rules.series import Series, above, below, percent, spread, strictly


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


def b5(saved: Series, lost: Series) -> Ruling:
    """Share of the multiply-adds saved by the smallest expert, and the IoU that it loses on its class in the test."""
    return _expert(saved, lost, 0.75)


def b8(saved: Series, lost: Series) -> Ruling:
    """Series as in B5."""
    return _expert(saved, lost, 0.70)


def _expert(saved: Series, lost: Series, bound: float) -> Ruling:
    margins = [times - bound if points <= 0.02 else -bound for times, points in zip(saved, lost, strict=True)]
    return Ruling(
        {f"over {bound:.0%} saved at no more than 2 points lost": strictly(margins)},
        f"saved {percent(saved)}; points of IoU lost: {spread([100 * points for points in lost], 1)}",
    )


def b9(advantage: dict[str, Series], frequency: dict[str, float]) -> Ruling:
    """Class to what relevance is ahead of magnitude by, in IoU, and to its share of the pixels."""
    rows = list(zip(*advantage.values()))
    logs = [math.log(frequency[name]) for name in advantage]
    correlation = [statistics.correlation(logs, row) for row in rows]
    behind = [name for name, values in advantage.items() if max(values) < 0]
    return Ruling(
        {
            "magnitude ahead for some class": strictly([-min(row) for row in rows]),
            "advantage grows with frequency": strictly(correlation),
        },
        f"correlation with log frequency {spread(correlation, 2)}; behind magnitude on every net: "
        f"{', '.join(behind) or 'no class'}",
    )


def b10(joined: dict[str, Series], single: dict[str, Series]) -> Ruling:
    """Class to the IoU of the joined expert on it, and of the expert for that class alone."""
    return Ruling(
        {name: above(values, [value - 0.01 for value in single[name]]) for name, values in joined.items()},
        "; ".join(
            f"{name}: {percent(values)} joined, {percent(single[name])} alone" for name, values in joined.items()
        ),
    )


def b11(megabytes: float) -> Ruling:
    """Bytes of the parameters as float32, without auxiliary head, over 10^6."""
    return Ruling({"235 when rounded": [0.5 - abs(megabytes - 235)]}, f"{megabytes:.1f} MB")
