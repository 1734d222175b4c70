"""Integers of any shape without loss by DeepCABAC, each tensor scanned in the order in which it is smallest.

A context looks at the integer before, and the order decides which integer that is. To choose the order costs nothing
and saves up to 7 %. The number of flags "larger than ..." and the skipping of rows of zeros are chosen in the same way.
"""

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relcomp_kit.compression.nnc import deepcabac
from relcomp_kit.errors import UserError

# Flags an integer may have: as many as nncodec's default, or all up to 8 bit. ECQ at 6 bit and more leaves most levels
# out, here and there, and few flags then cost a fifth more.
UNARY = (11, 128)
# How a kernel (outputs, inputs, positions) becomes rows: for each position the matrix (outputs, inputs); a filter after
# the other, as it lies; for each input and position all outputs.
ORDERS = ("position", "filter", "input")
TRIED = 2**16  # integers up to which every choice is tried to the end; the order of larger tensors is judged by as many
TIMED = 2**19  # integers up to which the starts are judged by all of them; in larger tensors by a quarter as many
JUDGE = 3  # the number of the start by which orders are judged: one that learns fast from even odds
PIECES = 8  # of a large tensor that stand for all of it
SLIGHT = 0.005  # share that an order must save over the filters' order, which is nncodec's, to be tried
FEWEST_BITS = 0.005  # that the coder spends on a row or an integer, however likely: its interval shrinks by 2 in 510


@dataclass(frozen=True)
class Coded:
    """A stream, and what the decoder has to know of it: the number of the order in `ORDERS`, and the flags."""

    stream: bytes
    order: int
    unary: int


def bounds(values: np.ndarray) -> tuple[int, int]:
    """Return the lowest and the highest of some integers and 0."""
    return int(values.min(initial=0)), int(values.max(initial=0))


def as_rows(values: np.ndarray, order: int) -> np.ndarray:
    """Return integers as a matrix whose rows are coded one after the other; vectors are one row.

    Parameters
    ----------
    values : ndarray
        Integers of any shape; a kernel is (outputs, inputs, ...).
    order : int
        A place in `ORDERS`.
    """
    outputs, inputs, positions = _sides(values.shape)
    kernel = values.reshape(outputs, inputs, positions)
    if ORDERS[order] == "position":
        return kernel.transpose(2, 0, 1).reshape(positions * outputs, inputs)
    if ORDERS[order] == "filter":
        return kernel.reshape(outputs, inputs * positions)
    return kernel.transpose(1, 2, 0).reshape(inputs * positions, outputs)


def from_rows(matrix: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Return the integers of `as_rows`.

    Parameters
    ----------
    matrix : ndarray
        As `as_rows` returns it.
    shape : tuple of int
        That of the integers.
    order : int
        A place in `ORDERS`.
    """
    outputs, inputs, positions = _sides(shape)
    if ORDERS[order] == "position":
        return matrix.reshape(positions, outputs, inputs).transpose(1, 2, 0).reshape(shape)
    if ORDERS[order] == "filter":
        return matrix.reshape(shape)
    return matrix.reshape(inputs, positions, outputs).transpose(2, 0, 1).reshape(shape)


def rows_of(shape: tuple[int, ...], order: int) -> int:
    """Return how many rows `as_rows` makes.

    Parameters
    ----------
    shape : tuple of int
        That of the integers.
    order : int
        A place in `ORDERS`.
    """
    outputs, inputs, positions = _sides(shape)
    return {"position": positions * outputs, "filter": outputs, "input": inputs * positions}[ORDERS[order]]


def encode_integers(values: np.ndarray) -> Coded:
    """Return the smallest stream found of integers of any shape, up to 16 bit; an empty one where all are 0."""
    low, high = bounds(values)
    if low == high:
        return Coded(b"", 0, UNARY[0])
    values = values.astype(np.int16, copy=False)
    unaries = UNARY if max(-low, high) > UNARY[0] else UNARY[:1]
    orders = _orders(values) if values.size <= TRIED else _promising(values)
    tried = []
    for order in orders:
        matrix = np.ascontiguousarray(as_rows(values, order))
        for skip in _skips(matrix):
            tried += [Coded(encode_rows(matrix, low, high, unary, skip), order, unary) for unary in unaries]
    return min(tried, key=lambda coded: len(coded.stream))


def _orders(values: np.ndarray) -> list[int]:
    """Return the orders in which these integers are not scanned alike."""
    outputs, _, positions = _sides(values.shape)
    if outputs == 1 and positions == 1:
        return [0]
    return [0, 2] if positions == 1 else [0, 1, 2]


def _promising(values: np.ndarray) -> list[int]:
    """Return the filters' order, and another one if the estimate for a part of the tensor finds it clearly better."""
    orders = _orders(values)
    usual = orders[-2] if len(orders) > 1 else 0  # 0 where a kernel has one position: the same
    if len(orders) == 1:
        return orders
    some = _pieces(values, max(PIECES, TRIED * len(values) // values.size))
    costs = {order: _cost(some, order) for order in orders}
    best = min(orders, key=lambda order: costs[order])
    return [usual, best] if costs[best] < (1 - SLIGHT) * costs[usual] else [usual]


def _pieces(values: np.ndarray, count: int) -> np.ndarray:
    """Return about so many entries of the first dimension, in `PIECES` runs from everywhere in it."""
    length, run = len(values) // PIECES, count // PIECES
    if length <= run:
        return values
    return np.concatenate([values[start : start + run] for start in range(0, PIECES * length, length)])


def _cost(values: np.ndarray, order: int) -> int:
    levels = np.ascontiguousarray(as_rows(values, order)).reshape(-1)
    return int(_run(deepcabac.measure, levels, deepcabac.STARTS[JUDGE : JUDGE + 1], UNARY[0]).sum())


def encode_rows(matrix: np.ndarray, low: int, high: int, unary: int, skip: bool = False, search: bool = True) -> bytes:
    """Return the stream of a matrix, as nncodec's ``encodeLayer`` writes it.

    Parameters
    ----------
    matrix : ndarray
        (rows, width) int16, contiguous.
    low, high : int
        Bounds of the integers, 0 between them; not both 0.
    unary : int
        Flags "larger than ..." of an integer, at most.
    skip : bool
        Write one bin for a row of zeros, and for each other row too.
    search : bool
        Give each context the start that costs least.
    """
    zeros = ~matrix.any(1) if skip else np.zeros(len(matrix), bool)
    contexts = deepcabac.new_contexts(unary)
    starts = np.zeros(len(contexts), np.int64)
    if search:
        starts = best_starts(np.ascontiguousarray(matrix[~zeros]).reshape(-1), unary)
    return _run(deepcabac.encode_matrix, matrix, zeros, low, high, contexts, starts, unary).tobytes()


def best_starts(levels: np.ndarray, unary: int) -> np.ndarray:
    """Return the number of the cheapest start of each context, (contexts,).

    Parameters
    ----------
    levels : ndarray
        (n,) int16: the integers in the order in which they are coded.
    unary : int
        Flags "larger than ..." of an integer, at most.
    """
    if len(levels) > TIMED:
        levels = _pieces(levels, TIMED // 4)
    costs = _run(deepcabac.measure, levels, deepcabac.STARTS, unary)
    costs[:, 1:] += deepcabac.START_BITS * deepcabac.BIT
    return costs.argmin(1)


def decode_integers(
    stream: bytes, shape: tuple[int, ...], low: int, high: int, order: int, unary: int, dtype: str = "int16"
) -> np.ndarray:
    """Return the integers of `encode_integers`, whose shape and `bounds` are known.

    Parameters
    ----------
    stream : bytes
        As `encode_integers` returns it; empty where all are 0.
    shape : tuple of int
        That of the integers.
    low, high : int
        Their `bounds`.
    order : int
        A place in `ORDERS`.
    unary : int
        Flags "larger than ..." of an integer, at most.
    dtype : {"int16", "int8"}
        Type of the result.

    Raises
    ------
    ValueError
        If the stream does not end where these integers do, or holds others. Nothing else can happen: no read goes
        past the end of the stream, and the work is bounded by its length.
    """
    if low == high:
        return np.zeros(shape, dtype)
    rows = rows_of(shape, order)
    matrix = np.zeros((rows, math.prod(shape) // rows), dtype)
    content = np.frombuffer(stream, np.uint8)
    ended = _run(deepcabac.decode_matrix, content, matrix, low, high, deepcabac.new_contexts(unary), unary)
    if not ended or bounds(matrix) != (low, high):
        raise ValueError("the stream holds other integers than its header says")
    return from_rows(matrix, shape, order)


def _run(function: Callable, *arguments):
    """Call a compiled function; damage in the folder where numba keeps what it has compiled is told in a sentence."""
    try:
        return function(*arguments)
    except (EOFError, pickle.UnpicklingError) as error:
        folder = getattr(getattr(function, "stats", None), "cache_path", "of numba's cache")
        raise UserError(f"the coder's compiled form is damaged: delete the folder {folder}, and run again") from error


def _skips(matrix: np.ndarray) -> tuple[bool, ...]:
    """Return whether skipping rows of zeros is worth a try: not in vectors, where the stream has no word for it."""
    return (False, True) if min(matrix.shape) > 1 and not matrix.any(1).all() else (False,)


def _sides(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return outputs, inputs and positions of a kernel; vectors are one row."""
    if len(shape) < 2:
        return 1, math.prod(shape), 1
    return shape[0], shape[1], math.prod(shape[2:])
