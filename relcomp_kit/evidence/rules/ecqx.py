"""The rules of the claims about relevance-adjusted quantization (X). Accuracies are shares in [0, 1].

Series are dicts, so that one verdict may stand on several nets and bit widths: "ResNet-20, 4 bit".
"""

import math
from statistics import fmean

from relcomp_kit.evidence.rules.series import ACCURACY, Series, at_least, at_most, better, percent, spread
from relcomp_kit.evidence.verdicts import Condition, Ruling

PUBLISHED = ("ECQ",)  # what the paper compares with
CHANCE = ("magnitude", "random")  # what stands in the place of relevance in the controls
SCORES = ("Taylor", "Fisher", "activation-aware")  # by the loss, and by what weights meet
CODERS = ("GPTQ", "RDOQ")  # that know no relevance
TIMES_SMALLER = 103
INFORMATION, MOVED = 0.5, 0.1  # bits, the smallest effects of interest
Reference = Series | dict[str, Series]


def x1(accuracy: dict[str, Series], start: Reference) -> Ruling:
    """Judge whether quantized nets lose accuracy against the float nets they start from.

    Parameters
    ----------
    accuracy : dict of str to sequence of float
        By bit width the accuracy of nets with at least half of the weights 0, one value a seed.
    start : sequence of float, or dict of str to sequence of float
        Accuracy of the float nets; by the same keys where nets differ.
    """
    return _without_loss(accuracy, start)


def x1c(accuracy: dict[str, Series], trained: Reference) -> Ruling:
    """Judge whether quantized nets lose accuracy against float nets that were trained as long.

    Parameters
    ----------
    accuracy : dict of str to sequence of float
        By bit width the accuracy of nets with at least half of the weights 0, one value a seed.
    trained : sequence of float, or dict of str to sequence of float
        Accuracy of float nets after as much training, by which alone a net becomes better.
    """
    return _without_loss(accuracy, trained)


def x2g(accuracy: dict[str, Series], learned: dict[str, Series]) -> Ruling:
    """Judge whether quantized nets lose accuracy against nets whose steps are learned (LSQ), at equal bits.

    Parameters
    ----------
    accuracy : dict of str to sequence of float
        By bit width the accuracy of ECQ^x, one value a seed.
    learned : dict of str to sequence of float
        The same of LSQ.
    """
    return _without_loss(accuracy, learned)


def _without_loss(accuracy: dict[str, Series], reference: Reference) -> Ruling:
    partners = {name: reference[name] if isinstance(reference, dict) else reference for name in accuracy}
    conditions = {
        f"{name} bit loses at most half a point": at_least(
            values, [value - ACCURACY for value in partners[name]], "points"
        )
        for name, values in accuracy.items()
    }
    if isinstance(reference, dict):
        told = (f"{name} bit {_mean(values)} against {_mean(partners[name])}" for name, values in accuracy.items())
        return Ruling(conditions, ", ".join(told))
    told = ", ".join(f"{name} bit {_mean(values)}" for name, values in accuracy.items())
    return Ruling(conditions, f"{told} against {percent(reference)}")


def x2(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare ECQ^x with ECQ, as the paper does.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        By axis ("equal sparsity", "equal bytes") the mean accuracy of ECQ^x over the range that all arms share,
        one value a seed.
    rivals : dict of str to dict of str to sequence of float
        The same by rival, of which "ECQ" counts.
    """
    return _ahead(relevance, {name: rivals[name] for name in PUBLISHED})


def x2c(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare ECQ^x by relevance with magnitude and with random numbers in its place.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        As in `x2`.
    rivals : dict of str to dict of str to sequence of float
        The same by rival, of which "magnitude" and "random" count.
    """
    return _ahead(relevance, {name: rivals[name] for name in CHANCE})


def x2d(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare quantization by relevance, without any training, with ECQ, magnitude and random numbers.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        By setting the accuracy, one value a net: a mean over draws of images.
    rivals : dict of str to dict of str to sequence of float
        The same by rival; random numbers as a mean over draws.
    """
    return _ahead(relevance, {name: rivals[name] for name in (*PUBLISHED, *CHANCE)})


def x2e(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare quantization by relevance, without any training, with scores by the loss and by activations.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        As in `x2d`.
    rivals : dict of str to dict of str to sequence of float
        The same by score in the place of relevance.
    """
    return _ahead(relevance, {name: rivals[name] for name in SCORES})


def x2f(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare quantization by relevance, without any training, with GPTQ and rate-distortion-optimized rounding.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        As in `x2d`, at equal bytes of files.
    rivals : dict of str to dict of str to sequence of float
        The same by rival.
    """
    return _ahead(relevance, {name: rivals[name] for name in CODERS})


def _ahead(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    conditions, texts = {}, []
    for place, values in relevance.items():
        for name, rival in rivals.items():
            conditions[f"ECQ^x is above {name} at {place}"] = better(values, rival[place])
        others = ", ".join(f"{name} {_mean(rival[place])}" for name, rival in rivals.items())
        texts.append(f"at {place} {_mean(values)} against {others}")
    return Ruling(conditions, "; ".join(texts))


def x3(ratio: Reference, lost: Reference) -> Ruling:
    """Judge how many times smaller nets become: of each seed the smallest that loses at most a point on validation.

    Parameters
    ----------
    ratio : sequence of float, or dict of str to sequence of float
        Bytes as float32 over coded bytes, one value a seed; by net where there are several.
    lost : sequence of float, or dict of str to sequence of float
        Accuracy lost on the test split, a share: 0.01 is a point.
    """
    if not isinstance(ratio, dict):
        return _smaller(ratio, lost)
    return x3c(ratio, {}, lost)


def x3c(ratio: dict[str, Series], estimated: dict[str, Series], lost: dict[str, Series]) -> Ruling:
    """Judge as `x3` how many times smaller nets become, by the bytes of whole files.

    Parameters
    ----------
    ratio : dict of str to sequence of float
        By net one value a seed: bytes as float32 over bytes of the file.
    estimated : dict of str to sequence of float
        The ratio that the entropy estimates for the same nets, where it was asked.
    lost : dict of str to sequence of float
        Accuracy lost on the test split, a share: 0.01 is a point.
    """
    rulings = {net: _smaller(ratio[net], lost[net]) for net in ratio}
    known = {net for net, values in estimated.items() if not any(map(math.isnan, values))}
    texts = [
        f"{net}: {ruling.measured}"
        + (f" (the entropy estimates {spread(estimated[net], 1)} times smaller)" if net in known else "")
        for net, ruling in rulings.items()
    ]
    return Ruling(
        {f"{net}: {name}": one for net, ruling in rulings.items() for name, one in ruling.conditions.items()},
        "; ".join(texts),
    )


def _smaller(ratio: Series, lost: Series) -> Ruling:
    conditions: dict[str, Condition] = {
        f"{TIMES_SMALLER} times smaller": at_least(ratio, TIMES_SMALLER, "times"),
        "at most 1 point is lost": at_most(lost, 0.01, "points", side=True),
    }
    return Ruling(
        conditions, f"times smaller: {spread(ratio, 1)}; points lost: {spread([100 * one for one in lost], 1)}"
    )


def _mean(values: Series) -> str:
    """Return the mean of shares in percent, as text; differences of quantized nets are of some tenths of a point."""
    return "not reached" if any(map(math.isnan, values)) else f"{100 * fmean(values):.2f} %"


def x4(relevant: Series, each: Series) -> Ruling:
    """Judge whether relevant weights end in clusters of more information than weights do on average.

    Parameters
    ----------
    relevant : sequence of float
        Mean of -log2 P over the most relevant tenth of every tensor's weights, quantized by ECQ^x, in bits: one value a
        net.
    each : sequence of float
        The same over all weights.
    """
    told = f"{spread(relevant)} bits against {spread(each)} bits"
    return Ruling({"relevant weights have more information": better(relevant, each, INFORMATION, "bits")}, told)


def x4c(relevant: Series, large: Series) -> Ruling:
    """Judge whether relevance tells it and not size: whether the largest weights have less information.

    Parameters
    ----------
    relevant : sequence of float
        As in `x4`.
    large : sequence of float
        The same over the largest tenth of every tensor's weights.
    """
    told = f"relevant {spread(relevant)} bits against large {spread(large)} bits"
    return Ruling({"relevant weights have more than large ones": better(relevant, large, MOVED, "bits")}, told)


def x4d(relevant: Series, by_ecq: Series) -> Ruling:
    """Judge whether ECQ^x brings relevant weights there: whether they move to clusters that are rarer under ECQ.

    Parameters
    ----------
    relevant : sequence of float
        As in `x4`, but by the clusters that ECQ makes: so a weight gains only by moving.
    by_ecq : sequence of float
        The same weights where ECQ puts them.
    """
    told = f"{spread(relevant)} bits by ECQ^x against {spread(by_ecq)} bits by ECQ"
    return Ruling({"relevant weights move to rarer clusters": better(relevant, by_ecq, MOVED, "bits")}, told)
