"""Experts on their own: a net in which the filters outside a path are not there, with the same output as the gated one.

The state of the small net is the state of the large one, sliced. That holds for whole numbers as for weights, so that
an expert cut from a quantized net keeps its indices and steps exactly.
"""

import torch
from torch import Tensor, nn

from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.experts.coupling import (
    BAD_INPUT,
    Path,
    fitting_example,
    groups,
    kept_units,
    reason,
)
from relcomp_kit.compression.experts.gating import gate
from relcomp_kit.compression.experts.slicing import compact_like, sliced
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of, full_precision
from relcomp_kit.models.outputs import logits
from relcomp_kit.relevance.channels import check_eval

TOLERANCE = 1e-4  # of the largest logit: what other orders of summation may change


def compact(net: nn.Module, path: Path, example: Tensor) -> nn.Module:
    """Return the net without the filters that a path leaves out, physically smaller; the given one is left as it is.

    Raises if its output on the example differs from the gated net's: by more than 1e-4 of the largest logit, or 10
    times the machine epsilon of the logits' type where that is more, as in float16.

    Parameters
    ----------
    net : nn.Module
        In eval mode, and outside of any `gate`.
    path : dict of str to Tensor
        As `relevant_path` gives it for this net.
    example : Tensor
        An input of the net, such as an image, or random numbers.

    Returns
    -------
    nn.Module
        In eval mode. Its ``state_dict()`` is all that has to be kept of it: `compact_like` builds the net again.

    Raises
    ------
    UserError
        If the path does not fit the net, or the small net's output is not the gated one's, as where the net's own
        code computes with the number of channels.
    """
    check_eval(net)
    found = groups(net, example)
    example = example.to(device_of(net))
    small = compact_like(net, sliced(net.state_dict(), kept_units(net, path, found), found.axes))
    with torch.inference_mode(), full_precision(), fitting_example(), gate(net, path):
        wanted = logits(net(example))
    if not wanted.isfinite().all():
        raise UserError("the net's logits on the example are not all finite: take finite weights and inputs")
    largest = wanted.abs().max()
    try:
        with torch.inference_mode(), full_precision():
            apart = (logits(small(example)) - wanted).abs().max()
    except BAD_INPUT as error:
        raise UserError(f"cut out, the expert does not run ({reason(error)}): keep more filters, or others") from error
    if not apart <= max(TOLERANCE, 10 * torch.finfo(wanted.dtype).eps) * largest:
        raise UserError(
            f"cut out, the expert computes something else than gated ({apart / largest:.1e} of the largest logit): the "
            "net's own code computes with the number of its channels, or it draws random numbers"
        )
    return small


def cut(quantized: Quantized, path: Path, net: nn.Module, example: Tensor) -> Quantized:
    """Return the expert of a quantized net: its indices, its steps and the rest, each exactly as they were.

    ``compact_like(net, ecqx.state_dict(cut(...)))`` is the net.

    Parameters
    ----------
    quantized : Quantized
        As `relcomp_kit.compression.ecqx.quantize` makes it of this net.
    path : dict of str to Tensor
        As `relevant_path` gives it for this net.
    net : nn.Module
        The net that was quantized; left as it is.
    example : Tensor
        An input of the net, as in `groups`.

    Returns
    -------
    Quantized
        The indices and the rest of the filters kept; all steps.

    Raises
    ------
    UserError
        If the weights or the path are of another net.
    """
    found = groups(net, example)
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    if shapes != {name: value.shape for name, value in (quantized.indices | quantized.rest).items()}:
        raise UserError("the quantized weights are of another net: give the net that was quantized")
    kept = kept_units(net, path, found)
    indices, rest = sliced(quantized.indices, kept, found.axes), sliced(quantized.rest, kept, found.axes)
    return Quantized(indices, dict(quantized.steps), rest, dict(quantized.versions))
