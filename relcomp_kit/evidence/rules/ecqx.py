"""The rules of the claims about relevance-adjusted quantization (X). Accuracies are shares in [0, 1]."""

import math
from statistics import fmean

from relcomp_kit.evidence.claims import Ruling
from relcomp_kit.evidence.rules.series import Series, above, percent, spread, strictly

AXES = ("equal sparsity", "equal bytes")
RIVALS = ("ECQ", "magnitude", "random")
TIMES_SMALLER = 103


def x1(accuracy: dict[int, Series], start: Series) -> Ruling:
    """Per bit width the accuracy of nets with half of the weights 0 at least, and that of the float nets."""
    return _without_loss(accuracy, start)


def x1c(accuracy: dict[int, Series], trained: Series) -> Ruling:
    """Series as in X1, and the accuracy of float nets that were trained as long: by that alone a net becomes better."""
    return _without_loss(accuracy, trained)


def _without_loss(accuracy: dict[int, Series], reference: Series) -> Ruling:
    bound = [value - 0.005 for value in reference]
    text = ", ".join(f"{bits} bit {_mean(values)}" for bits, values in accuracy.items())
    return Ruling(
        {f"{bits} bit": above(values, bound) for bits, values in accuracy.items()},
        f"{text} against {percent(reference)}",
    )


def x2(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Axis ("equal sparsity", "equal bytes") to mean accuracy over the range that all arms share, and each rival's."""
    return _ahead(relevance, {name: rivals[name] for name in RIVALS})


def x2c(relevance: dict[str, Series], rivals: dict[str, dict[str, Series]]) -> Ruling:
    """Series as in X2, of which the rival ECQ counts."""
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
    """Bytes as float32 over coded bytes, and the share of accuracy lost on the test split.

    A seed that loses more than a point counts as not compressed.
    """
    margins = [
        -TIMES_SMALLER if points > 0.01 else times - TIMES_SMALLER for times, points in zip(ratio, lost, strict=True)
    ]
    return Ruling(
        {f"{TIMES_SMALLER} times at no more than 1 point lost": margins},
        f"times smaller: {spread(ratio, 1)}; points lost: {spread([100 * points for points in lost], 1)}",
    )


def x3c(ratio: dict[str, Series], estimated: dict[str, Series], lost: dict[str, Series]) -> Ruling:
    """Net to series as in X3, of the bytes of whole files; and the ratio that X3 estimates for the same nets."""
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
