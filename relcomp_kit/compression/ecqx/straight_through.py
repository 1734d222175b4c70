"""What quantization-aware training needs of a tensor: the gradients for its full-precision copy, and for its step.

The straight-through step itself is in `qat_loop`: quantized weights in the forward pass, and their gradient to the
full-precision copy.

Indices come from `relcomp_kit.compression.ecqx.fit`: ``Assignment.indices`` makes them again at each step, at the price
of one table look-up a weight, and of a logarithm where there is relevance.
"""

from torch import Tensor

from relcomp_kit.errors import UserError

SCALES = ("none", "abs", "signed")


def scale_gradient(gradient: Tensor, indices: Tensor, step: float, scale: str) -> Tensor:
    """Return the gradient that a full-precision weight receives from its centroid.

    Source: Becking et al. 2022, with the sign as measured on their code.

    Parameters
    ----------
    gradient, indices : Tensor
        Of one shape; the gradient is with respect to the quantized weight.
    step : float
        Distance of two centroids, in units of the weights.
    scale : {"none", "abs", "signed"}
        "none": the straight-through gradient as it is. "abs": times the absolute value of the centroid, unless that is
        0. "signed": times the centroid, unless that is 0; so the published code does, and every negative weight walks
        up its gradient instead of down.

    Returns
    -------
    Tensor
        Of the gradient's shape.

    Raises
    ------
    UserError
        If there is no such scale.
    """
    if scale not in SCALES:
        raise UserError(f"there is no gradient scale {scale!r}; choose one of {', '.join(SCALES)}")
    if scale == "none":
        return gradient
    factor = (indices.abs() if scale == "abs" else indices).to(gradient.dtype) * step
    return gradient * factor.masked_fill_(indices == 0, 1)


def learned_step_gradients(
    gradient: Tensor, weight: Tensor, step: float, levels: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Return the gradients of a full-precision weight and of the logarithm of its step, where both are learned (LSQ).

    Weights beyond the last level do not move any more; they, and the rounding of the others, pull the step.
    Source: Esser, McKinstry, Bablani, Appuswamy, Modha: "Learned Step Size Quantization", 2020. There the step itself
    is learned, by a gradient that is scaled down. Adam's steps have one size whatever the gradient's, so here its
    logarithm is: all steps change by the same factor.

    Parameters
    ----------
    gradient, weight : Tensor
        Of one shape; the gradient is with respect to the quantized weight.
    step : float
        Distance of two centroids, in units of the weights.
    levels : (int, int)
        The lowest and the highest index.

    Returns
    -------
    Tensor
        Of the gradient's shape.
    Tensor
        0-dimensional.
    """
    scaled = weight / step
    inside = (scaled >= levels[0]) & (scaled <= levels[1])
    index = scaled.round().clamp_(*levels)
    return gradient * inside, step * (gradient * (index - scaled * inside)).sum()
