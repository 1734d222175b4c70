"""A whole net: which tensors are quantized, on which grid, and how much entropy weighs in each."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from relcomp_kit.compression.ecqx.assignment import Grid, fit
from relcomp_kit.compression.ecqx.centroids import centroid_step, check_bits, check_weight, level_range
from relcomp_kit.compression.ecqx.lower_envelope import lambda_max, shares
from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.errors import UserError
from relcomp_kit.models.states import versions
from relcomp_kit.threads import paying

SMALLEST = 0.05  # what is left of a tensor's lambda, however small the tensor is
EXTREMES = ("max", "centroid")


def quantizable(model: nn.Module, exclude: Iterable[str] = ()) -> dict[str, Tensor]:
    """Return the weights that are quantized: float parameters with two dimensions or more, by name.

    Parameters
    ----------
    model : nn.Module
        Any net; left as it is.
    exclude : iterable of str
        Names of parameters or modules; a module's name leaves out all in it.

    Returns
    -------
    dict of str to Tensor
        Parameter name to the weight itself, not a copy.

    Raises
    ------
    UserError
        If a name is not in the net, a tensor is in it under two names, or nothing is left.
    """
    named = dict(model.named_parameters(remove_duplicate=False))
    exclude = [exclude] if isinstance(exclude, str) else list(exclude)
    for name in exclude:
        if not any(_inside(parameter, name) for parameter in named):
            raise UserError(f"the net has no parameter or layer {name!r} to leave out; see its named_parameters()")
    weights = {
        name: value.detach()
        for name, value in named.items()
        if value.is_floating_point()
        and value.ndim >= 2
        and value.numel()
        and not any(_inside(name, left_out) for left_out in exclude)
    }
    if not weights:
        raise UserError("the net has no weights with two dimensions to quantize, or all are left out")
    for name in weights:
        twins = [other for other, value in named.items() if value is named[name] and other != name]
        if twins:
            raise UserError(f"{name} and {twins[0]} are one tensor: give each layer its own copy, or leave both out")
    return weights


def _inside(parameter: str, name: str) -> bool:
    return parameter == name or parameter.startswith(name + ".")


def plan(
    model: nn.Module,
    bits: int,
    Lambda: float,
    *,
    exclude: Iterable[str] = (),
    step: str = "p99.9-interpolated",
    extreme: str = "max",
) -> dict[str, Grid]:
    """Return the grid of every weight tensor of a net, by name.

    Parameters
    ----------
    model : nn.Module
        Any net; left as it is.
    bits : int
        2 to 8: every tensor has up to 2 ** bits centroids.
    Lambda : float
        What entropy weighs against distance, 0 or more; see `quantize`.
    exclude : iterable of str
        Names of parameters, or of layers with all in them, that get no grid.
    step : {"p99.9-interpolated", "p99.9", "least-squares"}
        How the grid is spread, as in `centroid_step`.
    extreme : {"max", "centroid"}
        The weight that lambda_max is made for; see `quantize`.

    Returns
    -------
    dict of str to Grid
        Parameter name to its grid, with the tensor's own lambda.

    Raises
    ------
    UserError
        For a value outside its range, weights that are NaN or infinite, or a name that the net does not have.
    """
    planned = _planned(quantizable(model, exclude), bits, Lambda, step, extreme, "normalized")
    return {name: grid for name, _, grid, _ in planned}


def _planned(
    weights: dict[str, Tensor], bits: int, Lambda: float, step: str, extreme: str, probabilities: str
) -> Iterator[tuple[str, Tensor, Grid, np.ndarray]]:
    """Yield the name of each weight tensor, the tensor, its grid, and the share of its weights at every level."""
    check_bits(bits)
    if not 0 <= Lambda < math.inf:
        raise UserError(f"Lambda must be 0 or a positive number, not {Lambda}")
    if extreme not in EXTREMES:
        raise UserError(f"there is no extreme {extreme!r}; choose one of {', '.join(EXTREMES)}")
    largest = max(weight.numel() for weight in weights.values())
    for name, weight in weights.items():
        with paying([weight]):  # a sum is among it, but only its sign counts
            check_weight(weight, name)
            levels = level_range(weight, bits)
            low, high = (value.item() for value in torch.aminmax(weight))
        size = centroid_step(weight, bits, rule=step)
        if extreme == "centroid":
            top = (2 ** (bits - 1) - 1) * size
            low, high = max(low, -top), min(high, top)
        with paying([weight]):
            share = shares(weight, size, levels, probabilities=probabilities)
        lam = Lambda * lambda_max((low, high), share, levels, size)
        yield name, weight, Grid(size, levels, lam * (weight.numel() / largest + SMALLEST) / (1 + SMALLEST)), share


def quantize(
    model: nn.Module,
    bits: int,
    Lambda: float,
    *,
    relevance: dict[str, Tensor] | None = None,
    give_back: float = 0.1,
    exclude: Iterable[str] = (),
    step: str = "p99.9-interpolated",
    extreme: str = "max",
    probabilities: str = "normalized",
    floor: float = 0.0,
) -> Quantized:
    """Quantize a net's weights by ECQ, or by ECQ^x if there is relevance; the net itself is left as it is.

    Weights with two dimensions or more are quantized. Biases, batch-norm and buffers stay as they are.
    Source: Becking et al. 2022.

    Parameters
    ----------
    model : nn.Module
        On any device.
    bits : int
        2 to 8: every tensor has up to 2 ** bits centroids.
    Lambda : float
        What entropy weighs against distance, 0 or more. A tensor's own lambda is ``Lambda * lambda_max * (n / n of the
        largest tensor + 0.05) / 1.05``; lambda_max would send even its extreme weight to 0. So small tensors, whose
        bits hardly count, keep more of their precision.
    relevance : dict of str to Tensor, optional
        As `relcomp_kit.relevance.lrp.weight_relevance` gives it: names and shapes of the parameters, 0 or more, in any
        unit; it is divided by each tensor's largest. A tensor without any relevance is quantized by ECQ. In others,
        without a floor, a weight whose relevance is 0 becomes 0. If more weights have zero relevance than ECQ would set
        to 0, the tensor becomes sparser than under ECQ.
    give_back : float
        The most sparsity of a tensor that its relevance may give back, in [0, 1].
    exclude : iterable of str
        Names of parameters, or of layers with all in them, that stay float.
    step : {"p99.9-interpolated", "p99.9", "least-squares"}
        How the grid is spread, as in `centroid_step`. The published P99.9 puts the last centroid far out. At 2 bit that
        is the only centroid above 0, and normally distributed weights up to 1.6 standard deviations become 0.
    extreme : {"max", "centroid"}
        The weight that lambda_max is made for: the one farthest from 0, as published, or a weight on the last centroid
        that both sides have. In the former, a single outlier raises the lambda of all weights of its tensor.
    probabilities : {"normalized", "published"}
        As in `relcomp_kit.compression.ecqx.lower_envelope.shares`: those of the published code do not sum to 1.
    floor : float
        The least relevance, as a share of a tensor's largest, in [0, 1): below it, weights count as if they had it. A
        rule that gives many weights no relevance at all, such as z+, otherwise sends all of them to 0.

    Returns
    -------
    Quantized
        Indices and steps of the weights, and the rest of the net's state; on the CPU.

    Raises
    ------
    UserError
        In one sentence, for a value outside its range, relevance that is missing, misshaped, negative or NaN, weights
        that are NaN or infinite, or a name to leave out that the net does not have.

    See Also
    --------
    assign : the rule for one tensor, and its special cases.
    truncated : the indices that the published code stores.
    """
    weights = quantizable(model, exclude)
    if not 0 <= floor < 1:
        raise UserError(f"the floor is a share of the largest relevance, 0 or more and below 1, not {floor}")
    if relevance is not None:
        check_relevance(relevance, weights)
    indices, steps = {}, {}
    for name, weight, grid, share in _planned(weights, bits, Lambda, step, extreme, probabilities):
        part = None if relevance is None else normalized(relevance[name], floor)
        indices[name] = fit(weight, grid, relevance=part, give_back=give_back, share=share)[1].cpu()
        steps[name] = grid.step
    return assembled(model, indices, steps)


def assembled(model: nn.Module, indices: dict[str, Tensor], steps: dict[str, float]) -> Quantized:
    """Return a net with indices and steps in the place of some of its weights, on the CPU.

    Parameters
    ----------
    model : nn.Module
        On any device; left as it is.
    indices : dict of str to Tensor
        Parameter name to indices, as in `Quantized`.
    steps : dict of str to float
        The same names, to the distance of two centroids in units of the weights.

    Raises
    ------
    UserError
        If centroids leave the range of the weights' type.
    """
    state = model.state_dict()
    kept = {name: torch.tensor(step, dtype=state[name].dtype) for name, step in steps.items()}
    for name, index in indices.items():
        _check_range(name, index, kept[name])
    rest = {name: value.detach().cpu().clone() for name, value in state.items() if name not in indices}
    return Quantized(indices, kept, rest, versions(model))


def normalized(relevance: Tensor, floor: float = 0.0) -> Tensor:
    """Return relevance divided by its maximum, in float32 at least; where all is 0 it stays so.

    Parameters
    ----------
    relevance : Tensor
        Any shape, 0 or more, in any unit.
    floor : float
        The least value after that, where not all is 0.

    Returns
    -------
    Tensor
        Of the same shape, in [0, 1].
    """
    relevance = relevance.detach().to(torch.promote_types(relevance.dtype, torch.float32))
    most = relevance.max()
    return (relevance / most).clamp_min(floor) if most > 0 else relevance


def check_relevance(relevance: dict[str, Tensor], weights: dict[str, Tensor]) -> None:
    """Raise unless there is relevance of every weight, 0 or more.

    Parameters
    ----------
    relevance : dict of str to Tensor
        Relevance per weight, by parameter name.
    weights : dict of str to Tensor
        The weights, by parameter name.

    Raises
    ------
    UserError
        If a tensor is missing, misshaped, negative, infinite or NaN.
    """
    for name, weight in weights.items():
        if name not in relevance:
            raise UserError(f"there is no relevance of {name}: measure it on this net, or leave the layer out")
        found = relevance[name]
        if found.shape != weight.shape:
            raise UserError(
                f"the relevance of {name} is {tuple(found.shape)} and its weights are {tuple(weight.shape)}: "
                "measure it on this net"
            )
        least, most = (value.item() for value in torch.aminmax(found.detach()))
        if not 0 <= least <= most < math.inf:
            raise UserError(
                f"the relevance of {name} must be 0 or more, not {least} to {most}: "
                "take absolute values, and look for NaN in the net's weights or the images"
            )


def _check_range(name: str, index: Tensor, step: Tensor) -> None:
    if not (torch.stack(torch.aminmax(index)) * step).isfinite().all():
        raise UserError(f"the centroids of {name} leave the range of {step.dtype}: convert the net to float32 first")
