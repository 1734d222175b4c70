"""The rules of the claims about rail segmentation (B). Accuracies are shares in [0, 1]."""

import math
import statistics

from relcomp_kit.evidence.rules.series import (
    CORRELATION,
    COSTS,
    IOU,
    Series,
    at_least,
    at_most,
    below,
    better,
    over,
    percent,
    points_lost,
    spread,
)
from relcomp_kit.evidence.verdicts import Condition, Ruling


def b1(accuracy: Series) -> Ruling:
    """Pixel accuracy on the test split."""
    return Ruling({"91.2 % are reached": at_least(accuracy, 0.912, "points")}, percent(accuracy))


def b2(accuracy: Series) -> Ruling:
    """Pixel accuracy on the test split."""
    return Ruling({"86.2 % are reached": at_least(accuracy, 0.862, "points")}, percent(accuracy))


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
            "the correlation is below 0.5": over([-value for value in correlation], -0.5),
            "1 % of the weights are large and irrelevant": at_least(irrelevant, 0.01, "points"),
            "1 % of the weights are small and relevant": at_least(relevant, 0.01, "points"),
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
        {"relevance is above magnitude": better(relevance, magnitude)},
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
        {"relevance is above chance": better(relevance, random)},
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
            "the mean of absolute relevance is closer to the ablation": better(
                mean_of_abs, abs_of_mean, CORRELATION, ""
            ),
            "the mean of absolute relevance leaves a higher accuracy": better(mean_area, other_area),
        },
        f"correlation {spread(mean_of_abs, 2)} against {spread(abs_of_mean, 2)}; "
        f"mean accuracy {percent(mean_area)} against {percent(other_area)}",
    )


def b5(saved: Series, lost: Series, before: Series = ()) -> Ruling:
    """Judge what the smallest expert for rails saves, and what it loses.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the multiply-adds that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class on the test split, a share: 0.02 is 2 points.
    before : sequence of float
        IoU of the whole net on that class, where it is known: then losses are told as shares of it, too.
    """
    return _expert(saved, lost, before, 0.75)


def b5c(own: Series, average: Series, lost: Series, before: Series = ()) -> Ruling:
    """Compare the smallest expert by its class's own relevance with that by the average of all classes.

    Parameters
    ----------
    own : sequence of float
        One a seed: share of the multiply-adds that the class's own path saves.
    average : sequence of float
        The same, of the path of all classes.
    lost, before : sequence of float
        As in `b5`, of the path of all classes.
    """
    return Ruling(
        {"the class's own path saves more": better(own, average, COSTS, "points")},
        f"own path saves {percent(own)}, average path {percent(average)}; "
        f"points of IoU lost by the latter: {points_lost(lost, before)}",
    )


def b5d(relevance: Series, rivals: dict[str, Series]) -> Ruling:
    """Compare relevance with what else chooses filters, at equal widths of all layers.

    Parameters
    ----------
    relevance : sequence of float
        One a seed: IoU of the expert by its class's relevance, on its class, in [0, 1].
    rivals : dict of str to sequence of float
        By rival the same, of an expert that is as wide in every layer.
    """
    return Ruling(
        {f"relevance is above {name}": better(relevance, values, IOU) for name, values in rivals.items()},
        "; ".join(f"{name} {percent(values)}" for name, values in ({"relevance": relevance} | rivals).items()),
    )


b5f = b5g = b5d


def b5e(own: dict[str, Series], equal: dict[str, Series]) -> Ruling:
    """Judge whether at least half of the lead of relevance is gone once its rivals leave layers as wide.

    Parameters
    ----------
    own : dict of str to sequence of float
        By rival one value a seed: IoU by relevance minus IoU by the rival, whose ranking says how wide layers stay.
    equal : dict of str to sequence of float
        The same, of the rival at the widths of relevance.
    """
    # where relevance does not lead there is nothing to share out
    shares = {
        name: [1 - left / lead if lead > 0 else math.nan for lead, left in zip(leads, equal[name], strict=True)]
        for name, leads in own.items()
    }
    told = [
        f"lead over {name}: {points_lost(leads)} points with its own widths, {points_lost(equal[name])} at equal widths"
        for name, leads in own.items()
    ]
    return Ruling(
        {f"widths bring half of the lead over {name}": at_least(values, 0.5) for name, values in shares.items()},
        "; ".join([*told, *(f"widths bring {percent(values)} of the lead over {n}" for n, values in shares.items())]),
    )


def b5h(concept: Series, relevance: Series, chance: Series) -> Ruling:
    """Compare experts of one concept of a class with those of the whole class: IoU on the class, one value a seed.

    Parameters
    ----------
    concept : sequence of float
        Filters by what flows through the class's most relevant channel, in [0, 1].
    relevance : sequence of float
        By all relevance of the class.
    chance : sequence of float
        By chance.
    """
    return Ruling(
        {
            "two points at most are lost against the whole class": at_most(below(concept, relevance), IOU, "points"),
            "the concept is above chance": better(concept, chance, IOU),
        },
        f"IoU {percent(concept)} against {percent(relevance)}; by chance {percent(chance)}",
    )


def b8(saved: Series, lost: Series, before: Series = ()) -> Ruling:
    """Judge what the smallest expert for vegetation saves, and what it loses.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the multiply-adds that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class on the test split, a share: 0.02 is 2 points.
    before : sequence of float
        As in `b5`.
    """
    return _expert(saved, lost, before, 0.70)


def _expert(saved: Series, lost: Series, before: Series, bound: float) -> Ruling:
    return Ruling(
        {
            f"over {bound:.0%} of the computation is saved": over(saved, bound, "points"),
            "at most 2 points of IoU are lost": at_most(lost, IOU, "points", side=True),
        },
        f"saved {percent(saved)}; points of IoU lost: {points_lost(lost, before)}",
    )


def b9(advantage: dict[str, Series], frequency: dict[str, float]) -> Ruling:
    """Judge for which classes relevance beats magnitude.

    One class is enough for the first condition; with many to choose from, each is asked at a stricter level.

    Parameters
    ----------
    advantage : dict of str to sequence of float
        By class one value a seed: IoU by relevance minus IoU by magnitude, shares.
    frequency : dict of str to float
        By class its share of the pixels, above 0.
    """
    logs = [math.log(frequency[name]) for name in advantage]
    correlation = [statistics.correlation(logs, row) for row in zip(*advantage.values())]
    behind = [name for name, values in advantage.items() if max(values) < 0]
    return Ruling(
        {
            **{
                f"magnitude is ahead for {name}": Condition([-value for value in values], IOU, "points", True)
                for name, values in advantage.items()
            },
            "the advantage grows with frequency": Condition(correlation, CORRELATION),
        },
        f"correlation with log frequency {spread(correlation, 2)}; behind magnitude on every net: "
        f"{', '.join(behind) or 'no class'}",
    )


def b10(
    joined: dict[str, Series],
    single: dict[str, Series],
    whole: dict[str, Series],
    joined_macs: Series,
    single_macs: Series,
) -> Ruling:
    """Compare an expert for several classes with those for one of them.

    An expert that is worth nothing is easily matched, so the single ones are held against the whole net; and joining is
    worth while only if one net costs no more than all the single ones.

    Parameters
    ----------
    joined : dict of str to sequence of float
        By class the IoU of the joined expert, in [0, 1], one value a seed.
    single : dict of str to sequence of float
        By class the IoU of the expert for that class alone.
    whole : dict of str to sequence of float
        By class the IoU of the whole net.
    joined_macs : sequence of float
        Multiply-adds of the joined expert, a share of the whole net's, one value a seed.
    single_macs : sequence of float
        The same of all single experts together.
    """
    conditions = {}
    for name, values in joined.items():
        alone = single[name]
        conditions[f"{name}: joined loses at most 1 point"] = at_least(
            values, [value - 0.01 for value in alone], "points"
        )
        conditions[f"{name}: the single expert is good"] = at_least(alone, [one - IOU for one in whole[name]], "points")
    conditions["joined costs no more than all single ones"] = Condition(below(joined_macs, single_macs), unit="points")
    told = [
        f"{name}: {percent(values)} joined, {percent(single[name])} alone, {percent(whole[name])} by the whole net"
        for name, values in joined.items()
    ]
    costs = f"joined costs {percent(joined_macs)} of the whole net, the single ones together {percent(single_macs)}"
    return Ruling(conditions, "; ".join([*told, costs]))


def b11(megabytes: float) -> Ruling:
    """Bytes of the parameters as float32, without auxiliary head, over 10^6."""
    return Ruling({"235 MB when rounded": Condition([0.5 - abs(megabytes - 235)], unit="MB")}, f"{megabytes:.1f} MB")
