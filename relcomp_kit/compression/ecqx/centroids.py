"""The grid of a weight tensor: multiples of one step, as many as the bit width allows."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.errors import UserError

BITS = range(2, 9)
CHUNK = 2**18  # weights at a time on a processor: what one step makes, the next finds in the cache
SAMPLE = 2**10  # numbers, at least, that show where the k-th smallest of many lies
RULES = ("p99.9-interpolated", "p99.9", "least-squares")
ROUNDS = 100


def check_bits(bits: int) -> None:
    """Raise unless the bit width is a whole number from 2 to 8."""
    if bits not in BITS:
        raise UserError(f"the bit width must be a whole number from {BITS[0]} to {BITS[-1]}, not {bits}")


def check_weight(weight: Tensor, name: str = "the tensor") -> None:
    """Raise unless a tensor holds numbers, all of them finite.

    Parameters
    ----------
    weight : Tensor
        Any shape.
    name : str
        What the tensor is called in an error.

    Raises
    ------
    UserError
        If it is empty, not of a float type, or holds NaN or infinity.
    """
    if not weight.is_floating_point() or not weight.numel():
        raise UserError(f"{name} must hold float weights, one at least, not {weight.numel()} of {weight.dtype}")
    if not torch.stack(torch.aminmax(weight.detach())).isfinite().all():
        raise UserError(f"{name} holds NaN or infinite weights: quantize a net that was trained without them")


def chunks(tensor: Tensor) -> Iterator[Tensor]:
    """Return a tensor piece by piece, flat, in the precision that is computed in: float64 as it is, others float32."""
    flat = tensor.detach().reshape(-1)
    dtype = torch.promote_types(tensor.dtype, torch.float32)
    size = CHUNK if tensor.device.type == "cpu" else max(len(flat), 1)
    return (piece.to(dtype) for piece in flat.split(size))


def centroid_step(weight: Tensor, bits: int, *, rule: str = "p99.9-interpolated") -> float:
    """Return the distance of two centroids: P99.9 of the absolute weights / (2 ** (bits - 1) - 1).

    P99.9 is the 99.9th percentile. Where it is 0, because nearly all weights are, the largest absolute weight takes its
    place; where all are 0, the step is 1 and every index 0. The step is a number of the weights' own type, so that
    index * step is rounded once, and at least the smallest one above 0. Source: Becking et al. 2022.

    Parameters
    ----------
    weight : Tensor
        Any shape, float16 to float64.
    bits : int
        2 to 8.
    rule : {"p99.9-interpolated", "p99.9", "least-squares"}
        "p99.9-interpolated": P99.9 lies between the two absolute weights on both sides of the rank 0.999 (n - 1), as
        NumPy's percentile and the published code have it. "p99.9": it is the smallest absolute weight that 99.9 % do
        not exceed (the nearest rank); the steps of small tensors are up to a tenth larger. "least-squares": starts from
        "p99.9" and alternates nearest levels and the best step, that of least squared error (Lloyd), until the step
        changes by less than 0.1 %; 100 rounds at most.

    Returns
    -------
    float
        The step, in units of the weights; above 0.

    Raises
    ------
    UserError
        If the bit width or the rule is not one of these, or the tensor is empty or holds NaN.
    """
    check_bits(bits)
    check_weight(weight)
    if rule not in RULES:
        raise UserError(f"there is no rule {rule!r} for the step; choose one of {', '.join(RULES)}")
    sizes = weight.detach().reshape(-1).abs().to(torch.promote_types(weight.dtype, torch.float32))
    top = _interpolated(sizes) if rule == "p99.9-interpolated" else kth_smallest(sizes, -(-999 * len(sizes) // 1000))
    top = top or sizes.max().item()
    if top == 0:
        return 1.0
    own = torch.finfo(weight.dtype)
    smallest = own.smallest_normal * own.eps
    step = max(top / (2 ** (bits - 1) - 1), smallest)
    if rule == "least-squares":
        step = _least_squares(weight, step, level_range(weight, bits))
    return max(torch.tensor(step, dtype=weight.dtype).item(), smallest)


def _interpolated(sizes: Tensor) -> float:
    """Return P99.9 by linear interpolation between the neighbours of the rank 0.999 (n - 1)."""
    rank = 0.999 * (len(sizes) - 1)
    below = math.floor(rank)
    low = kth_smallest(sizes, below + 1)
    return low if below == rank else low + (rank - below) * (kth_smallest(sizes, below + 2) - low)


def _least_squares(weight: Tensor, step: float, levels: tuple[int, int]) -> float:
    """Return the step of `centroid_step` by least squares, from another one."""
    for _ in range(ROUNDS):
        product = square = 0.0
        for piece in chunks(weight):
            u = piece / step
            index = u.round().clamp_(*levels)
            product += u.mul_(index).sum().item()
            square += index.square_().sum().item()
        step, before = step * product / square, step
        if abs(step - before) < before / 1000:
            break
    return step


def level_range(weight: Tensor, bits: int) -> tuple[int, int]:
    """Return the lowest and the highest of 2 ** bits indices: as many on both sides of 0, and one more on one.

    That one lies on the heavier side, where the absolute weights have the larger sum; if none is heavier, above 0. A
    tensor with one sign keeps the levels of the other, which no weight takes.

    Parameters
    ----------
    weight : Tensor
        Any shape, of a float type.
    bits : int
        2 to 8.

    Returns
    -------
    (int, int)
        The lowest and the highest index: -7 and 8, or -8 and 7, at 4 bit.

    Raises
    ------
    UserError
        If the bit width is not one of these.

    Examples
    --------
    >>> level_range(torch.tensor([0.5, -0.1]), bits=4)
    (-7, 8)
    """
    check_bits(bits)
    most = 2 ** (bits - 1) - 1
    total = sum(piece.double().sum().item() for piece in chunks(weight))
    return (-most, most + 1) if total >= 0 else (-most - 1, most)


def kth_smallest(values: Tensor, k: int) -> float:
    """Return the k-th smallest of many numbers, exactly.

    Two numbers of a sample enclose it, so that only what lies between them has to be searched (Floyd and Rivest 1975):
    a few comparisons a number, where `torch.kthvalue` moves all numbers several times and `torch.quantile` refuses
    more than 16 million. Should the sample mislead, all are searched.

    Parameters
    ----------
    values : Tensor
        (n,).
    k : int
        1 for the smallest, n for the largest.
    """
    if values.device.type != "cpu":
        return values.kthvalue(k).values.item()
    array, place = values.numpy(), k - 1
    size = int(len(array) ** (2 / 3))  # at which drawing, and searching what is enclosed, take about the same
    if size >= SAMPLE:
        sample = array[np.random.default_rng(0).integers(len(array), size=size)]
        share = k / len(array)
        margin = 3 * math.sqrt(size * share * (1 - share)) + 3  # enough in 99.7 % of all cases
        first, last = math.floor(share * size - margin), math.ceil(share * size + margin)
        sample.partition([max(first, 0), min(last, size - 1)])
        low = sample[first] if first >= 0 else -np.inf
        high = sample[last] if last < size else np.inf
        below = int(np.count_nonzero(array < low))
        between = array[np.flatnonzero((array >= low) & (array <= high))]
        if below <= place < below + len(between):
            array, place = between, place - below
    return np.partition(array, place)[place].item()


def count_up_to(values: Tensor, bound: float) -> int:
    """Return how many numbers are at most a bound.

    Parameters
    ----------
    values : Tensor
        Any shape.
    bound : float
        Rounded to the numbers' type first.
    """
    if values.device.type == "cpu":
        array = values.numpy()
        return int(np.count_nonzero(array <= array.dtype.type(bound)))  # a fifth of the time of torch's comparison
    return int((values <= bound).count_nonzero())
