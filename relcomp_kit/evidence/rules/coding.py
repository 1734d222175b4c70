"""The rules of the claims about coding (B6, B7, B12, B13). Sizes are those of files unless a rule says otherwise."""

from relcomp_kit.evidence.rules.series import BYTES, IOU, Series, at_most, below, over, percent, points_lost, spread
from relcomp_kit.evidence.verdicts import Condition, Ruling

EQUAL = 1e-5  # difference of outputs


def b6(saved: Series, lost: Series, before: Series = (), macs: Series = ()) -> Ruling:
    """Judge how small the file of the smallest good expert is.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the float32 super-net's bytes that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class, a share: 0.02 is 2 points.
    before : sequence of float
        IoU of the whole net on that class, where it is known: then losses are told as shares of it, too.
    macs : sequence of float
        Share of the multiply-adds that the same expert saves, where it is known; it is another expert than that of B5.
    """
    also = f" and {percent(macs)} of the computation" if macs else ""
    return Ruling(
        {
            "over 97% of the bytes are saved": over(saved, 0.97, "points"),
            "at most 2 points of IoU are lost": at_most(lost, IOU, "points", side=True),
        },
        f"saved {percent(saved)} of the bytes{also}; points of IoU lost: {points_lost(lost, before)}",
    )


def b7(saved: Series, smaller: Series, lost: Series, before: Series = ()) -> Ruling:
    """Judge what one expert saves in computation and in bytes.

    Parameters
    ----------
    saved : sequence of float
        One a seed: share of the multiply-adds that it saves, in [0, 1].
    smaller : sequence of float
        Share of the float32 super-net's bytes that it saves, in [0, 1].
    lost : sequence of float
        IoU that it loses on its class, a share: 0.02 is 2 points.
    before : sequence of float
        As in `b6`.
    """
    return Ruling(
        {
            "over 60% of the computation is saved": over(saved, 0.60, "points"),
            "over 95% of the bytes are saved": over(smaller, 0.95, "points"),
            "at most 2 points of IoU are lost": at_most(lost, IOU, "points", side=True),
        },
        f"saved {percent(saved)} of the computation, {percent(smaller)} of the bytes; "
        f"points of IoU lost: {points_lost(lost, before)}",
    )


def b12(apart: Series) -> Ruling:
    """Largest difference of the outputs of the folded and the unfolded net, over the largest output."""
    return Ruling(
        {"outputs are equal to 1e-5": at_most(apart, EQUAL)}, f"apart by {max(apart):.0e} of the largest output at most"
    )


def b13(ratio: dict[str, dict[str, Series]]) -> Ruling:
    """Rival and kind of net to the bytes of DeepCABAC over the rival's: of every seed, the net where it does worst."""
    return _smaller(ratio)


def b13c(ratio: dict[str, dict[str, Series]]) -> Ruling:
    """Series as in B13, of other rivals."""
    return _smaller(ratio)


def _smaller(ratio: dict[str, dict[str, Series]]) -> Ruling:
    conditions = {
        f"{net}: fewer bytes than {rival}": Condition(below(values, 1.0), BYTES, "points")
        for rival, nets in ratio.items()
        for net, values in nets.items()
    }
    texts = [
        f"{rival}: {', '.join(f'{net} {spread(values, 2)}' for net, values in nets.items())}"
        for rival, nets in ratio.items()
    ]
    return Ruling(conditions, f"at worst, of the bytes of {'; '.join(texts)}")
