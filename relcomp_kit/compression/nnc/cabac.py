"""Integers without loss by DeepCABAC: the one place that calls nncodec's arithmetic coder.

nncodec's own `compress` copies the whole net once a tensor. Its coder is called directly here, one stream a tensor.
Nothing but the extension is imported: it needs numpy alone.
"""

import numpy as np
from nncodec.extensions import deepCABAC

# Levels with contexts of their own: all up to 8 bit. ECQ at 6 bit and more leaves most levels out, here and there, and
# nncodec's usual 11 levels then cost a fifth more.
UNARY = 128
FEWEST_BITS = 0.005  # that the coder spends on an integer, however likely it is: its range shrinks by 2 in 510 at least
# Arguments of the coder: no dependent quantization, by rows, edition 2 (bounds of the integers are known), no parent.
OPTIONS = (0, 0, 1, 0)
NO_HISTORY = (deepCABAC.HdspMode.AlwaysOff, np.zeros(2, np.int8))
# Integers up to which the best starts of contexts are searched: that takes twice the time of coding, and gains 1 %.
SEARCHED = 300_000
PADDING = 8  # bytes: the decoder reads a little ahead


def bounds(values: np.ndarray) -> tuple[int, int]:
    """Return the lowest and the highest of some integers and 0."""
    return int(values.min(initial=0)), int(values.max(initial=0))


def by_position(values: np.ndarray) -> np.ndarray:
    """Return integers as a matrix, (positions in the kernel x outputs, inputs): the order in which they are coded."""
    outputs, inputs, positions = _sides(values.shape)
    return values.reshape(outputs, inputs, positions).transpose(2, 0, 1).reshape(positions * outputs, inputs)


def encode_integers(values: np.ndarray) -> bytes:
    """Return the stream of integers of any shape, up to 16 bit; nothing where all are 0.

    A kernel is coded position by position: first the matrix (outputs, inputs) of its first position, and so on. The
    coder's contexts look at the integer before, which then belongs to the same filter and position: 1 to 3 % smaller
    than kernel by kernel on trained nets.
    """
    low, high = bounds(values)
    if low == high:
        return b""
    matrix = np.ascontiguousarray(by_position(values), np.int32)
    encoder = deepCABAC.Encoder()
    encoder.initCtxModels(UNARY, int(values.size <= SEARCHED))
    no_rows = np.zeros(len(matrix), np.int32)
    encoder.encodeLayer(matrix, *OPTIONS, 0, no_rows, *NO_HISTORY, high - low + 1, -low)
    return encoder.finish().tobytes()


def decode_integers(stream: bytes, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Return the int32 integers of `encode_integers`, whose shape and `bounds` are known.

    Raises
    ------
    ValueError, RuntimeError
        If the stream does not end where these integers do, or holds others. A stream that nobody vouches for can also
        crash the process.
    """
    if low == high:
        return np.zeros(shape, np.int32)
    outputs, inputs, positions = _sides(shape)
    matrix = np.zeros((positions * outputs, inputs), np.int32)
    decoder = deepCABAC.Decoder()
    decoder.setStream(np.frombuffer(stream + bytes(PADDING), np.uint8))
    decoder.initCtxModels(UNARY)
    decoder.decodeLayer(matrix, *OPTIONS, *NO_HISTORY, high - low + 1, -low)
    if decoder.finish() != len(stream) or bounds(matrix) != (low, high):
        raise ValueError("the stream holds other integers than its header says")
    return matrix.reshape(positions, outputs, inputs).transpose(1, 2, 0).reshape(shape)


def _sides(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return outputs, inputs and positions of a kernel; vectors are one row."""
    if len(shape) < 2:
        return 1, int(np.prod(shape)), 1
    return shape[0], shape[1], int(np.prod(shape[2:]))
