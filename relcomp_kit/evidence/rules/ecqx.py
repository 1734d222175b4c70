"""The rules of the claims about relevance-adjusted quantization (X). Accuracies are shares in [0, 1]."""

import math
from statistics import fmean

from relcomp_kit.evidence.claims import Ruling
from relcomp_kit.evidence.rules.series import Series, above, percent, spread, strictly

AXES = ("equal sparsity", "equal bytes")
RIVALS = ("ECQ", "magnitude", "random")
TIMES_SMALLER = 103


def x1(accuracy: dict[int, Series], start: Series) -> Ruling:
    """Judge whether quantized nets lose accuracy against the float nets they start from.

    Parameters
    ----------
    accuracy : dict of int to sequence of float
        By bit width the accuracy of nets with at least half of the weights 0, one value a seed.
    start : sequence of float
        Accuracy of the float nets.
    """
    return _without_loss(accuracy, start)


def x1c(accuracy: dict[int, Series], trained: Series) -> Ruling:
    """Judge whether quantized nets lose accuracy against float nets that were trained as long.

    Parameters
    ----------
    accuracy : dict of int to sequence of float
        By bit width the accuracy of nets with at least half of the weights 0, one value a seed.
    trained : sequence of float
        Accuracy of float nets after as much training, by which alone a net becomes better.
    """
    return _without_loss(accuracy, trained)


def _without_loss(accuracy: dict[int, Series], reference: Series) -> Ruling:
    bound = [value - 0.005 for value in reference]
    text = ", ".join(f"{bits} bit {_mean(values)}" for bits, values in accuracy.items())
    return Ruling(
        {f"{bits} bit": above(values, bound) for bits, values in accuracy.items()},
        f"{text} against {percent(reference)}",
    )


def x2(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare ECQ^x with each of its rivals.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        By axis ("equal sparsity", "equal bytes") the mean accuracy of ECQ^x over the range that all arms share,
        one value a seed.
    rivals : dict of str to dict of str to sequence of float
        By rival (`RIVALS`) the same.
    """
    return _ahead(relevance, {name: rivals[name] for name in RIVALS})


def x2c(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Compare ECQ^x with ECQ alone.

    Parameters
    ----------
    relevance : dict of str to sequence of float
        By axis ("equal sparsity", "equal bytes") the mean accuracy of ECQ^x over the range that all arms share,
        one value a seed.
    rivals : dict of str to dict of str to sequence of float
        The same by rival, of which "ECQ" counts.
    """
    return _ahead(relevance, {"ECQ": rivals["ECQ"]})


def _ahead(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    margins, texts = {}, []
    for axis in AXES:
        for name, rival in rivals.items():
            margins[f"above {name} at {axis}"] = strictly(above(relevance[axis], rival[axis]))
        others = ", ".join(f"{name} {_mean(rival[axis])}" for name, rival in rivals.items())
        texts.append(f"at {axis} {_mean(relevance[axis])} against {others}")
    return Ruling(margins, "; ".join(texts))


def x3(ratio: Series, lost: Series) -> Ruling:
    """Judge how many times smaller nets become.

    A seed that loses more than a point counts as not compressed.

    Parameters
    ----------
    ratio : sequence of float
        One a seed: bytes as float32 over coded bytes.
    lost : sequence of float
        Accuracy lost on the test split, a share: 0.01 is a point.
    """
    margins = [
        -TIMES_SMALLER if points > 0.01 else times - TIMES_SMALLER for times, points in zip(ratio, lost, strict=True)
    ]
    return Ruling(
        {f"{TIMES_SMALLER} times at no more than 1 point lost": margins},
        f"times smaller: {spread(ratio, 1)}; points lost: {spread([100 * points for points in lost], 1)}",
    )


def x3c(ratio: dict[str, Series], estimated: dict[str, Series], lost: dict[str, Series]) -> Ruling:
    """Judge as `x3` how many times smaller nets become, by the bytes of whole files.

    Parameters
    ----------
    ratio : dict of str to sequence of float
        By net one value a seed: bytes as float32 over bytes of the file.
    estimated : dict of str to sequence of float
        The ratio that the entropy estimates for the same nets.
    lost : dict of str to sequence of float
        Accuracy lost on the test split, a share: 0.01 is a point.
    """
    rulings = {net: x3(ratio[net], lost[net]) for net in ratio}
    return Ruling(
        {f"{net}: {name}": margins for net, ruling in rulings.items() for name, margins in ruling.margins.items()},
        "; ".join(
            f"{net}: {ruling.measured}, by the estimate {spread(estimated[net], 1)}" for net, ruling in rulings.items()
        ),
    )


def _mean(values: Series) -> str:
    """Return the mean of shares in percent, as text; differences of quantized nets are of some tenths of a point."""
    return "not reached" if any(map(math.isnan, values)) else f"{100 * fmean(values):.2f} %"
