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
    """Judge how far weights and their relevance go together: one value a seed.

    Parameters
    ----------
    correlation : sequence of float
        Rank correlation of absolute weight and relevance, in [-1, 1].
    irrelevant : sequence of float
        Share of the weights that are large yet irrelevant, in [0, 1].
    relevant : sequence of float
        Share of the weights that are small yet relevant, in [0, 1].
    """
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
    """Compare relevance with magnitude in the removal of filters.

    Parameters
    ----------
    relevance : sequence of float
        One a seed: mean accuracy over the shares of filters removed, least relevant first, in [0, 1].
    magnitude : sequence of float
        The same, with filters of the smallest weights removed first.
    """
    return Ruling(
        {"relevance above magnitude": strictly(above(relevance, magnitude))},
        f"mean accuracy {percent(relevance)} against {percent(magnitude)}",
    )


def b4c(relevance: Series, random: Series) -> Ruling:
    """Compare relevance with chance in the removal of filters.

    Parameters
    ----------
    relevance : sequence of float
        One a seed: mean accuracy over the shares of filters removed, least relevant first, in [0, 1].
    random : sequence of float
        The same, as the mean of random orders.
    """
    return Ruling(
        {"relevance above random": strictly(above(relevance, random))},
        f"mean accuracy {percent(relevance)} against {percent(random)}",
    )


def b4d(mean_of_abs: Series, abs_of_mean: Series, mean_area: Series, other_area: Series) -> Ruling:
    """Compare two ways to sum relevance up over samples: one value a seed.

    Parameters
    ----------
    mean_of_abs : sequence of float
        Rank correlation of the mean absolute relevance of channels with their ablation, in [-1, 1].
    abs_of_mean : sequence of float
        The same, of the absolute mean relevance.
    mean_area : sequence of float
        Mean accuracy as in `b4`, by the mean absolute relevance, in [0, 1].
    other_area : sequence of float
        The same, by the absolute mean relevance.
    """
    return Ruling(
        {
            "closer to the ablation": strictly(above(mean_of_abs, abs_of_mean)),
            "higher accuracy": strictly(above(mean_area, other_area)),
        },
        f"correlation {spread(mean_of_abs, 2)} against {spread(abs_of_mean, 2)}; "
        f"mean accuracy {percent(mean_area)} against {percent(other_area)}",
    )


def b5(saved: Series, lost: Series) -> Ruling:
    """Judge what the smallest expert for rails saves, and what it loses.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the multiply-adds that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class on the test split, a share: 0.02 is 2 points.
    """
    return _expert(saved, lost, 0.75)


def b8(saved: Series, lost: Series) -> Ruling:
    """Judge what the smallest expert for vegetation saves, and what it loses.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the multiply-adds that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class on the test split, a share: 0.02 is 2 points.
    """
    return _expert(saved, lost, 0.70)


def _expert(saved: Series, lost: Series, bound: float) -> Ruling:
    margins = [times - bound if points <= 0.02 else -bound for times, points in zip(saved, lost, strict=True)]
    return Ruling(
        {f"over {bound:.0%} saved at no more than 2 points lost": strictly(margins)},
        f"saved {percent(saved)}; points of IoU lost: {spread([100 * points for points in lost], 1)}",
    )


def b9(advantage: dict[str, Series], frequency: dict[str, float]) -> Ruling:
    """Judge for which classes relevance beats magnitude.

    Parameters
    ----------
    advantage : dict of str to sequence of float
        By class one value a seed: IoU by relevance minus IoU by magnitude, shares.
    frequency : dict of str to float
        By class its share of the pixels, above 0.
    """
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
    """Compare an expert for several classes with those for one of them.

    Parameters
    ----------
    joined : dict of str to sequence of float
        By class the IoU of the joined expert, in [0, 1], one value a seed.
    single : dict of str to sequence of float
        By class the IoU of the expert for that class alone.
    """
    return Ruling(
        {name: above(values, [value - 0.01 for value in single[name]]) for name, values in joined.items()},
        "; ".join(
            f"{name}: {percent(values)} joined, {percent(single[name])} alone" for name, values in joined.items()
        ),
    )


def b11(megabytes: float) -> Ruling:
    """Bytes of the parameters as float32, without auxiliary head, over 10^6."""
    return Ruling({"235 when rounded": [0.5 - abs(megabytes - 235)]}, f"{megabytes:.1f} MB")
