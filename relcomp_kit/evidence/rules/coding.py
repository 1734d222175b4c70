"""The rules of the claims about coding (B6, B7, B12, B13). Sizes are those of files unless a rule says otherwise."""

from relcomp_kit.evidence.claims import Ruling
from relcomp_kit.evidence.rules.series import Series, below, percent, spread, strictly

EQUAL = 1e-5  # difference of outputs
LOST = 0.02  # IoU that an expert may lose on its class


def b6(saved: Series, lost: Series) -> Ruling:
    """Judge how small the file of the smallest good expert is.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the float32 super-net's bytes that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class, a share: 0.02 is 2 points.
    """
    return Ruling(
        {"over 97% saved at no more than 2 points lost": _saved(saved, 0.97, lost)},
        f"saved {percent(saved)}; points of IoU lost: {_points(lost)}",
    )


def b7(saved: Series, smaller: Series, lost: Series) -> Ruling:
    """Judge what one expert saves in computation and in bytes.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the multiply-adds that it saves, in [0, 1].
    smaller : sequence of float
        Share of the float32 super-net's bytes that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class, a share: 0.02 is 2 points.
    """
    return Ruling(
        {
            "over 60% of the computation saved at no more than 2 points lost": _saved(saved, 0.60, lost),
            "over 95% of the bytes saved at no more than 2 points lost": _saved(smaller, 0.95, lost),
        },
        f"saved {percent(saved)} of the computation, {percent(smaller)} of the bytes; "
        f"points of IoU lost: {_points(lost)}",
    )


def _saved(values: Series, bound: float, lost: Series) -> list[float]:
    """Return the margins above a bound; an expert that loses more than it may saves nothing."""
    return strictly([-bound if less > LOST else value - bound for value, less in zip(values, lost, strict=True)])


def _points(lost: Series) -> str:
    return spread([100 * value for value in lost], 1)


def b12(apart: Series) -> Ruling:
    """Largest difference of the outputs of the folded and the unfolded net, over the largest output."""
    return Ruling({"equal to 1e-5": below(apart, EQUAL)}, f"apart by {max(apart):.0e} of the largest output at most")


def b13(ratio: dict[str, dict[str, Series]]) -> Ruling:
    """Rival and kind of net to the bytes of DeepCABAC over the rival's: of every seed, the net where it does worst."""
    return _smaller(ratio)


def b13c(ratio: dict[str, dict[str, Series]]) -> Ruling:
    """Series as in B13, of other rivals."""
    return _smaller(ratio)


def _smaller(ratio: dict[str, dict[str, Series]]) -> Ruling:
    margins = {
        f"{net}: fewer bytes than {rival}": strictly(below(values, 1.0))
        for rival, nets in ratio.items()
        for net, values in nets.items()
    }
    texts = [
        f"{rival}: {', '.join(f'{net} {spread(values, 2)}' for net, values in nets.items())}"
        for rival, nets in ratio.items()
    ]
    return Ruling(margins, f"at worst, of the bytes of {'; '.join(texts)}")
