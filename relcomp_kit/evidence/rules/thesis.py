"""The rules of the thesis' claims (T). Accuracies are shares in [0, 1]."""

import math
from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.evidence.rules.series import (
    ACCURACY,
    CORRELATION,
    SHARE,
    Series,
    at_least,
    at_most,
    better,
    percent,
    spread,
)
from relcomp_kit.evidence.verdicts import Condition, Ruling

REGION = 0.2  # of a ratio of shares: what T1c calls more than chance
SIGN = 0.05  # a twentieth of what the sum of a map can be, over the sum of its absolute values
BIASES = 1.2  # a ratio of ratios: as much more as T1c asks for
# Shares of the weights left in layers 0, 1 and 2 after 150 steps, by SF. Source: Böhnke, section 5.3 and appendix.
PUBLISHED_SHARES = {
    0.55: (0.975, 0.92, 0.86),
    0.6: (0.93, 0.89, 0.78),
    0.75: (0.62, 0.63, 0.55),
    0.9: (0.35, 0.25, 0.19),
    0.95: (0.25, 0.16, 0.09),
}
SAME_SHARE = 0.05  # of a layer's weights; the last layer is published 6 points or more below the others


def t1a(correlation: Series, impact: Series, saliency: Series, random: Series) -> Ruling:
    """Judge whether impact and saliency mark the same regions: one rank correlation a seed, in [-1, 1].

    Parameters
    ----------
    correlation : sequence of float
        Of the impact map with the saliency map.
    impact : sequence of float
        Of the impact map with the oracle's.
    saliency : sequence of float
        Of the saliency map with the oracle's.
    random : sequence of float
        Of random maps with the oracle's.
    """
    return Ruling(
        {
            "the two maps agree": at_least(correlation, 0.7),
            "impact is closer to the oracle than chance": better(impact, random, CORRELATION, ""),
            "saliency is closer to the oracle than chance": better(saliency, random, CORRELATION, ""),
        },
        f"{spread(correlation)}; with the oracle: impact {fmean(impact):.2f}, saliency {fmean(saliency):.2f}",
    )


def t1b(ratio: Series) -> Ruling:
    """Run time of the impact over that of the saliency."""
    return Ruling({"the impact takes 1.5 times as long": at_least(ratio, 1.5)}, spread(ratio, 2))


def t1c(digit: Series, others: Series, edges: Series) -> Ruling:
    """Judge whether three regions of the input matter more than others.

    Parameters
    ----------
    digit : sequence of float
        One a seed: the region's share of importance over its share of pixels; 1 on average.
    others : sequence of float
        The same, of the places of other digits.
    edges : sequence of float
        The same, of the edges.
    """
    return Ruling(
        {
            f"{name} 1.2 times their share": at_least(ratio, 1.2)
            for name, ratio in (
                ("the digit's pixels hold", digit),
                ("places of other digits hold", others),
                ("edges hold", edges),
            )
        },
        f"digit {fmean(digit):.2f}, other digits {fmean(others):.2f}, edges {fmean(edges):.2f}",
    )


def t1d(net: dict[str, Series], blob: dict[str, Series]) -> Ruling:
    """Judge whether regions matter more to the net than to one and the same image for all.

    Parameters
    ----------
    net : dict of str to sequence of float
        By region the ratio of `t1c` in the net's map, one value a seed.
    blob : dict of str to sequence of float
        The same in the mean training image, taken as a map.
    """
    return Ruling(
        {
            f"{region}: more to the net than to the mean image": better(net[region], blob[region], REGION, "")
            for region in net
        },
        ", ".join(f"{region} {fmean(net[region]):.2f} against {fmean(blob[region]):.2f}" for region in net),
    )


def t1e(digit: Series, others: Series, edges: Series) -> Ruling:
    """Judge whether brighter pixels speak for the true class or against it, by region.

    Parameters
    ----------
    digit : sequence of float
        One a seed: gradient of the true class's score by the region's pixels, summed, over the sum of its absolute
        values; in [-1, 1].
    others : sequence of float
        The same, of the places of other digits.
    edges : sequence of float
        The same, of the edges.
    """
    return Ruling(
        {
            "brighter pixels of the digit speak for the class": Condition(digit, SIGN),
            "brighter pixels at other digits' places speak against it": Condition([-value for value in others], SIGN),
            "brighter pixels of the edges speak for it": Condition(edges, SIGN),
        },
        f"digit {spread(digit, 2)}, other digits {spread(others, 2)}, edges {spread(edges, 2)}",
    )


t1f = t1b


def t2(outer: Series, direct: Series, outer_accuracy: Series, direct_accuracy: Series) -> Ruling:
    """Compare the outer product of two input maps with the direct gradient: one value a seed.

    Parameters
    ----------
    outer : sequence of float
        Rank correlation of the outer product with the weight oracle, in [-1, 1].
    direct : sequence of float
        The same, of the direct gradient.
    outer_accuracy : sequence of float
        Accuracy after pruning 50 % of the weights by the outer product, without training.
    direct_accuracy : sequence of float
        The same, by the direct gradient.
    """
    return Ruling(
        {
            "two maps are closer to the oracle": better(outer, direct, CORRELATION, ""),
            "two maps leave a higher accuracy at 50 %": better(outer_accuracy, direct_accuracy),
        },
        f"correlation {fmean(outer):.2f} against {fmean(direct):.2f}; "
        f"accuracy {percent(outer_accuracy)} against {percent(direct_accuracy)}",
    )


def t3(start: Series, pruned: Series, unpruned: Series) -> Ruling:
    """Judge whether the accuracy is higher with pruning than after the same training without.

    Parameters
    ----------
    start : sequence of float
        One a seed: accuracy before the first pruning step.
    pruned : sequence of float
        Accuracy at step 30 with pruning.
    unpruned : sequence of float
        Accuracy at step 30 after the same training without pruning.
    """
    return Ruling(
        {"pruning ends above the same training without": better(pruned, unpruned)},
        f"from {percent(start)} to {percent(pruned)} pruned, to {percent(unpruned)} by the same training alone",
    )


t3d = t3


def t3c(start: Series, pruned: Series, unpruned: Series) -> Ruling:
    """Judge whether pruning makes up at least half of the rise.

    Parameters
    ----------
    start : sequence of float
        One a seed: accuracy before the first pruning step.
    pruned : sequence of float
        Accuracy at step 30 with pruning.
    unpruned : sequence of float
        Accuracy at step 30 after the same training without pruning.
    """
    # where nothing rises there is nothing to share out
    shares = [(p - u) / (p - s) if p > s else math.nan for s, p, u in zip(start, pruned, unpruned, strict=True)]
    return Ruling(
        {"pruning brings half of the rise": at_least(shares, 0.5)}, f"pruning adds {percent(shares)} of the rise"
    )


def t4(accuracy: Series, reference: Series) -> Ruling:
    """Judge whether at most 30 % of the weights are enough.

    Parameters
    ----------
    accuracy : sequence of float
        One a seed: accuracy with at most 30 % of the weights.
    reference : sequence of float
        What it is held against: accuracy at the start (T4), or of the unpruned net trained as long (T4c).
    """
    return Ruling(
        {"no accuracy is lost": at_least(accuracy, reference, "points")},
        f"{percent(accuracy)} against {percent(reference)}",
    )


t4c = t4d = t4


def t5(accuracy: Series, reference: Series) -> Ruling:
    """Judge what pruning to 10 to 25 % of the weights costs.

    Parameters
    ----------
    accuracy : sequence of float
        One a seed: accuracy with 10 to 25 % of the weights.
    reference : sequence of float
        What it is held against: accuracy at the start (T5), or of the unpruned net trained as long (T5c).
    """
    lost = [100 * (before - after) for before, after in zip(reference, accuracy, strict=True)]
    return Ruling(
        {"at most 2.5 points are lost": at_least(accuracy, [value - 0.025 for value in reference], "points")},
        f"{percent(accuracy)} against {percent(reference)}; points lost: {spread(lost, 1)}",
    )


t5c = t5d = t5


def t6(r_squared: Series, miss_below: Series) -> Ruling:
    """Judge whether the sparsity is linear in the sparsification factor SF above 0.5 only.

    Parameters
    ----------
    r_squared : sequence of float
        One a seed: R^2 of the line over SF 0.5 to 0.95.
    miss_below : sequence of float
        Mean absolute error of that line below SF 0.5, in shares of the weights.
    """
    return Ruling(
        {
            "a line fits above SF 0.5": at_least(r_squared, 0.95),
            "that line misses below": at_least(miss_below, 0.05, "points"),
        },
        f"{spread(r_squared)}; the line misses by {fmean(miss_below):.2f} below SF 0.5",
    )


def t7(accuracy: dict[str, Series], maps: dict[str, Series], mixtures: Sequence[str]) -> Ruling:
    """Compare activations by accuracy and by the quality of their maps.

    Parameters
    ----------
    accuracy : dict of str to sequence of float
        By activation, "tanh" and "ReLU" among them, the accuracy, one value a seed.
    maps : dict of str to sequence of float
        The same for the maps: their rank correlation with the oracle, in [-1, 1].
    mixtures : sequence of str
        Names of the entries that mix activations.
    """
    conditions = {}
    for what, values, matters, unit in (("accuracy", accuracy, ACCURACY, "points"), ("maps", maps, CORRELATION, "")):
        for name, others in values.items():
            if name in mixtures:
                margins = [ours - other + matters for ours, other in zip(values["tanh"], others, strict=True)]
                conditions[f"{what}: {name} is no better than tanh"] = Condition(margins, unit=unit)
                continue
            if name != "tanh":
                conditions[f"{what}: tanh is above {name}"] = better(values["tanh"], others, matters, unit)
            if name not in ("tanh", "ReLU"):
                conditions[f"{what}: ReLU is below {name}"] = better(others, values["ReLU"], matters, unit)
    ranked = sorted(accuracy, key=lambda name: -fmean(accuracy[name]))
    return Ruling(conditions, ", ".join(f"{name} {100 * fmean(accuracy[name]):.1f}" for name in ranked))


t7c = t7


def t8a(limit: float) -> Ruling:
    """The worked example."""
    return Ruling({"4 decimals agree": Condition([0.00005 - abs(limit - 40.1421)])}, f"{limit:.4f}")


def t8b(numeric: Sequence[int], analytic: Series) -> Ruling:
    """Compare ten limits of the weight count, of 100 weights and for SF 0, 0.1 ... 0.9, with the published ones.

    Parameters
    ----------
    numeric : sequence of int
        Weights left by the recurrence (XI).
    analytic : sequence of float
        Weights left by the formula (XII).
    """
    published = (100, 65, 49, 40, 32, 26, 21, 16, 12, 7)
    return Ruling(
        {
            "the recurrence gives the published limits": Condition(
                [-abs(mine - theirs) for mine, theirs in zip(numeric, published, strict=True)], unit="weights"
            ),
            "the formula lies within 1": Condition(
                [1 - abs(int(mine) - theirs) for mine, theirs in zip(analytic, published, strict=True)], unit="weights"
            ),
        },
        ", ".join(map(str, numeric)),
    )


def t8c(predicted: dict[str, Series], measured: dict[str, Series]) -> Ruling:
    """Compare predicted with measured counts of the weights left after convergence.

    Parameters
    ----------
    predicted : dict of str to sequence of float
        By sparsification factor the predicted count, one value a seed.
    measured : dict of str to sequence of float
        The same, as measured: above 0, or NaN where a net was still losing weights.
    """
    errors = {
        sf: [abs(mine - real) / real for mine, real in zip(predicted[sf], measured[sf], strict=True)] for sf in measured
    }
    text = "; ".join(f"{sf}: {spread(predicted[sf], 0)} for {spread(measured[sf], 0)}" for sf in measured)
    return Ruling({f"{sf}: the prediction is within 10 %": at_most(values, 0.1) for sf, values in errors.items()}, text)


t8d = t8e = t8c


def t9(threshold_left: Series, rate_left: Series) -> Ruling:
    """Judge which rule leaves weights when nothing changes any more: one count a seed.

    Parameters
    ----------
    threshold_left : sequence of float
        Weights left in the smallest neuron under the threshold rule.
    rate_left : sequence of float
        Weights left in the net under the constant-rate rule, if every step removes one weight at least.
    """
    return Ruling(
        {
            "the threshold rule keeps weights in every neuron": at_least(threshold_left, 1, "weights"),
            "the constant rate empties the net": at_most(rate_left, 0, "weights"),
        },
        f"{spread(threshold_left, 0)} in the smallest neuron; constant rate: {spread(rate_left, 0)} in the net",
    )


def t9c(rounded_down_left: Series) -> Ruling:
    """Weights left in the net under the constant-rate rule, if the number to remove is rounded down."""
    return Ruling(
        {"rounded down, the constant rate empties the net too": at_most(rounded_down_left, 0, "weights")},
        f"{spread(rounded_down_left, 0)} in the net",
    )


def t10(r_squared: Series, late_losses: Series) -> Ruling:
    """Judge whether the last layer falls linearly, with no limit in sight.

    Parameters
    ----------
    r_squared : sequence of float
        One a seed: R^2 of a line over the last steps.
    late_losses : sequence of float
        Weights lost in the last 25 steps.
    """
    return Ruling(
        {"a line fits": at_least(r_squared, 0.95), "weights still go": at_least(late_losses, 1, "weights")},
        f"{spread(r_squared)}; weights lost in the last 25 steps: {fmean(late_losses):.0f}",
    )


t10c = t10


def t11(slow: dict[str, Series], fast: dict[str, Series]) -> Ruling:
    """Compare slow with fast pruning.

    Parameters
    ----------
    slow : dict of str to sequence of float
        By slow sparsification factor the accuracy, one value a seed.
    fast : dict of str to sequence of float
        The accuracy that fast pruning has to be compared with, by the same keys.
    """
    text = "; ".join(f"{sf}: {percent(slow[sf])} slow, {percent(fast[sf])} fast" for sf in slow)
    return Ruling({f"{sf}: slow ends above fast": better(slow[sf], fast[sf]) for sf in slow}, text)


t11c = t11d = t11


def t12(unit_range: Series, signed_noisy: Series) -> Ruling:
    """Judge whether the range of the inputs and noise matter: one share a seed, in [0, 1].

    Parameters
    ----------
    unit_range : sequence of float
        Share of the first layer's weights without a gradient, on [0, 1] without noise.
    signed_noisy : sequence of float
        The same, on [-1, 1] with noise.
    """
    return Ruling(
        {
            "on [0, 1] some weights get no gradient": Condition(unit_range, SHARE),
            "on [-1, 1] with noise all get one": at_most(signed_noisy, 0.0),
        },
        f"{percent(unit_range)} on [0, 1], {percent(signed_noisy)} on [-1, 1] with noise",
    )


def t12c(signed_maps: Series, unit_maps: Series, signed_biases: Series, unit_biases: Series) -> Ruling:
    """Judge what the range of the inputs and noise do to maps and biases: one value a seed.

    Parameters
    ----------
    signed_maps, unit_maps : sequence of float
        Rank correlation of the saliency map with the oracle on [-1, 1] with noise, and on [0, 1] without, in [-1, 1].
    signed_biases, unit_biases : sequence of float
        How far training moves the first layer's biases, over how far it moves its weights, in the same order.
    """
    more = [unit / signed for unit, signed in zip(unit_biases, signed_biases, strict=True)]
    return Ruling(
        {
            "maps are closer to the oracle on [-1, 1] with noise": better(signed_maps, unit_maps, CORRELATION, ""),
            "biases move more against weights on [0, 1]": at_least(more, BIASES),
        },
        f"correlation {spread(signed_maps, 2)} on [-1, 1] with noise, {spread(unit_maps, 2)} on [0, 1]; "
        f"biases against weights {spread(signed_biases, 1)} and {spread(unit_biases, 1)}",
    )


def t13(
    outer: Series, direct: Series, outer_accuracy: Series, direct_accuracy: Series, accuracy: Series, reference: Series
) -> Ruling:
    """Judge T2 and T4 under other circumstances: one value a seed.

    Parameters
    ----------
    outer, direct : sequence of float
        Rank correlation with the weight oracle, as in `t2`.
    outer_accuracy, direct_accuracy : sequence of float
        Accuracy after pruning 50 % of the weights, as in `t2`.
    accuracy, reference : sequence of float
        Accuracy with at most 30 % of the weights, and at the start, as in `t4`.
    """
    first, second = t2(outer, direct, outer_accuracy, direct_accuracy), t4(accuracy, reference)
    return Ruling({**first.conditions, **second.conditions}, f"T2: {first.measured}; T4: {second.measured}")


t13a = t13b = t13


def t14(shares: dict[str, dict[str, Series]]) -> Ruling:
    """Compare what each layer has left with what was published: in which order, and how much.

    Parameters
    ----------
    shares : dict of str to dict of str to sequence of float
        By sparsification factor, such as "0.6", and by layer, first to last, the share of its weights left at the end,
        one value a seed.
    """
    ahead, apart = [], []  # by factor, one value a seed
    for sf, (*before, last) in ((sf, layers.values()) for sf, layers in shares.items()):
        ahead.append([min(others) - own for *others, own in zip(*before, last, strict=True)])
        apart.append(
            [
                max(abs(mine - theirs) for mine, theirs in zip(each, PUBLISHED_SHARES[float(sf)], strict=True))
                for each in zip(*before, last)
            ]
        )
    return Ruling(
        {
            "the last layer keeps least at every factor": Condition([*map(min, zip(*ahead))], SHARE, "points"),
            "every layer keeps what was published": at_most([*map(max, zip(*apart))], SAME_SHARE, "points"),
        },
        "; ".join(
            f"SF {sf}: " + "/".join(f"{fmean(values):.2f}" for values in layers.values())
            for sf, layers in shares.items()
        ),
    )


t14c = t14d = t14
