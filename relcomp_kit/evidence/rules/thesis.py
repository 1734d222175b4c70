"""The rules of the thesis' claims (T). Accuracies are shares in [0, 1]."""

import math
from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.evidence.claims import Ruling
from relcomp_kit.evidence.rules.series import Series, above, below, percent, spread, strictly


def t1a(correlation: Series, impact: Series, saliency: Series, random: Series) -> Ruling:
    """Agreement of impact and saliency maps; each, and random maps, against the oracle."""
    return Ruling(
        {
            "maps agree": above(correlation, 0.7),
            "impact above random": strictly(above(impact, random)),
            "saliency above random": strictly(above(saliency, random)),
        },
        f"{spread(correlation)}; with the oracle: impact {fmean(impact):.2f}, saliency {fmean(saliency):.2f}",
    )


def t1b(ratio: Series) -> Ruling:
    """Run time of the impact over that of the saliency."""
    return Ruling({"impact dearer": above(ratio, 1.5)}, spread(ratio, 2))


def t1c(digit: Series, others: Series, edges: Series) -> Ruling:
    """Share of importance over share of pixels, of each region."""
    return Ruling(
        {"digit": above(digit, 1.2), "other digits": above(others, 1.2), "edges": above(edges, 1.2)},
        f"digit {fmean(digit):.2f}, other digits {fmean(others):.2f}, edges {fmean(edges):.2f}",
    )


def t1d(net: dict[str, Series], blob: dict[str, Series]) -> Ruling:
    """Region to ratio, as in T1c: of the net's map, and of one image for all, the mean training image."""
    return Ruling(
        {region: strictly(above(net[region], blob[region])) for region in net},
        ", ".join(f"{region} {fmean(net[region]):.2f} against {fmean(blob[region]):.2f}" for region in net),
    )


def t2(outer: Series, direct: Series, outer_accuracy: Series, direct_accuracy: Series) -> Ruling:
    """Rank correlation with the oracle and accuracy at 50 %, of the outer product and of the direct gradient."""
    return Ruling(
        {
            "closer to the oracle": strictly(above(outer, direct)),
            "higher accuracy at 50 %": strictly(above(outer_accuracy, direct_accuracy)),
        },
        f"correlation {fmean(outer):.2f} against {fmean(direct):.2f}; "
        f"accuracy {percent(outer_accuracy)} against {percent(direct_accuracy)}",
    )


def t3(start: Series, pruned: Series, unpruned: Series) -> Ruling:
    """Accuracies before the first pruning step, and at step 30 with and without pruning."""
    return Ruling(
        {"pruned above unpruned": strictly(above(pruned, unpruned))},
        f"from {percent(start)} to {percent(pruned)} pruned, to {percent(unpruned)} by the same training alone",
    )


def t3c(start: Series, pruned: Series, unpruned: Series) -> Ruling:
    """Series as in T3."""
    # where nothing rises there is nothing to share out
    shares = [(p - u) / (p - s) if p > s else math.nan for s, p, u in zip(start, pruned, unpruned, strict=True)]
    return Ruling({"half of the rise": above(shares, 0.5)}, f"pruning adds {percent(shares)} of the rise")


def t4(accuracy: Series, reference: Series) -> Ruling:
    """Accuracy with at most 30 % of the weights, and what it is held against (start, or unpruned net)."""
    return Ruling({"no loss": above(accuracy, reference)}, f"{percent(accuracy)} against {percent(reference)}")


t4c = t4


def t5(accuracy: Series, reference: Series) -> Ruling:
    """Series as in T4, with 10 to 25 % of the weights."""
    return Ruling(
        {"at most 2.5 points lost": above(accuracy, [value - 0.025 for value in reference])},
        f"{percent(accuracy)} against {percent(reference)}",
    )


t5c = t5


def t6(r_squared: Series, miss_below: Series) -> Ruling:
    """R^2 of the line above SF 0.5, and its mean absolute error below."""
    return Ruling(
        {"a line above 0.5": above(r_squared, 0.95), "not below": above(miss_below, 0.05)},
        f"{spread(r_squared)}; the line misses by {fmean(miss_below):.2f} below SF 0.5",
    )


def t7(accuracy: dict[str, Series], maps: dict[str, Series], mixtures: Sequence[str]) -> Ruling:
    """Accuracy and map quality by activation; ``mixtures`` names those that mix."""
    margins = {}
    for what, values in (("accuracy", accuracy), ("maps", maps)):
        pure = [name for name in values if name not in mixtures]
        margins[f"{what}: tanh highest"] = [
            min(values["tanh"][i] - values[name][i] for name in pure if name != "tanh")
            for i in range(len(values["tanh"]))
        ]
        margins[f"{what}: ReLU lowest"] = [
            min(values[name][i] - values["ReLU"][i] for name in pure if name != "ReLU")
            for i in range(len(values["ReLU"]))
        ]
        margins[f"{what}: no mixture better"] = [
            min(values["tanh"][i] - values[name][i] for name in mixtures) for i in range(len(values["tanh"]))
        ]
    ranked = sorted(accuracy, key=lambda name: -fmean(accuracy[name]))
    return Ruling(margins, ", ".join(f"{name} {100 * fmean(accuracy[name]):.1f}" for name in ranked))


def t8a(limit: float) -> Ruling:
    """The worked example."""
    return Ruling({"4 decimals": [0.00005 - abs(limit - 40.1421)]}, f"{limit:.4f}")


def t8b(numeric: Sequence[int], analytic: Series) -> Ruling:
    """Ten limits by the recurrence and by the formula, SF 0 to 0.9."""
    published = (100, 65, 49, 40, 32, 26, 21, 16, 12, 7)
    return Ruling(
        {
            "recurrence exact": [-abs(mine - theirs) for mine, theirs in zip(numeric, published, strict=True)],
            "formula within 1": [1 - abs(int(mine) - theirs) for mine, theirs in zip(analytic, published, strict=True)],
        },
        ", ".join(map(str, numeric)),
    )


def t8c(predicted: dict[str, Series], measured: dict[str, Series]) -> Ruling:
    """Per sparsification factor a prediction and a count after convergence for each seed."""
    errors = {
        sf: [abs(mine - real) / real for mine, real in zip(predicted[sf], measured[sf], strict=True)] for sf in measured
    }
    text = "; ".join(f"{sf}: {spread(predicted[sf], 0)} for {spread(measured[sf], 0)}" for sf in measured)
    return Ruling({f"within 10 % at {sf}": below(values, 0.1) for sf, values in errors.items()}, text)


t8d = t8e = t8c


def t9(threshold_left: Series, rate_left: Series, rounded_down_left: Series) -> Ruling:
    """Weights left: in the smallest neuron under the threshold rule, in the net under the rate rule."""
    return Ruling(
        {
            "threshold rule keeps weights in every neuron": above(threshold_left, 1),
            "rate rule empties, rounding up": below(rate_left, 0),
            "rate rule empties, rounding down": below(rounded_down_left, 0),
        },
        f"{spread(threshold_left, 0)} in the smallest neuron; constant rate, in the net: "
        f"{spread(rate_left, 0)} rounding up, {spread(rounded_down_left, 0)} rounding down",
    )


def t10(r_squared: Series, late_losses: Series) -> Ruling:
    """R^2 of a line over the last steps, and weights lost in the latest."""
    return Ruling(
        {"a line": above(r_squared, 0.95), "no limit in sight": above(late_losses, 1)},
        f"{spread(r_squared)}; {fmean(late_losses):.0f} weights in the last 25 steps",
    )


def t11(slow: dict[str, Series], fast: dict[str, Series]) -> Ruling:
    """Per slow sparsification factor the accuracies of both."""
    text = "; ".join(f"{sf}: {percent(slow[sf])} slow, {percent(fast[sf])} fast" for sf in slow)
    return Ruling({f"slow above fast, {sf}": strictly(above(slow[sf], fast[sf])) for sf in slow}, text)


t11c = t11


def t12(unit_range: Series, signed_noisy: Series) -> Ruling:
    """Share of first-layer weights without gradient, on [0, 1] without noise and on [-1, 1] with it."""
    return Ruling(
        {"some without": strictly(above(unit_range, 0.0)), "none without": below(signed_noisy, 0.0)},
        f"{percent(unit_range)} on [0, 1], {percent(signed_noisy)} on [-1, 1] with noise",
    )


def t13(
    outer: Series, direct: Series, outer_accuracy: Series, direct_accuracy: Series, accuracy: Series, reference: Series
) -> Ruling:
    """Series of T2 and of T4."""
    first, second = t2(outer, direct, outer_accuracy, direct_accuracy), t4(accuracy, reference)
    return Ruling(first.margins | second.margins, f"T2: {first.measured}; T4: {second.measured}")


t13a = t13b = t13
