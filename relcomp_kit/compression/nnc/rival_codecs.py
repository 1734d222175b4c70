"""What other codecs make of the same indices, in bytes: DeepCABAC's rivals.

The others get the indices position by position, the order in which most nets become smallest. Indices are packed, two
to eight in a byte, because general codecs look at whole bytes and would waste the bits that an unpacked index leaves
empty.
"""

import bz2
import contextlib
import gzip
import heapq
import io
import lzma
import math
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.compression.nnc.cabac import as_rows, bounds, encode_integers
from relcomp_kit.errors import UserError

WIDTHS = (1, 2, 4, 8, 16)  # bits of an index that fill bytes without a rest
LENGTH_BITS = 5  # of an entry in Huffman's table: codes of up to 31 bits
GENERAL = ("bzip2", "gzip", "xz", "zstd")


def index_bytes(quantized: Quantized) -> dict[str, float]:
    """Return what the indices take with each codec, in bytes.

    Returns
    -------
    dict of str to float
        "DeepCABAC", as in the file; "order-0 entropy", every tensor with its own distribution and without a table;
        "table" of that, (levels - 1) / 2 * log2 n bits a tensor, what an adaptive coder pays to learn it (Rissanen
        1984); "Huffman", canonical, a tensor at a time with its table; "raw", of fixed width; and `GENERAL` codecs at
        their strongest usual level, all tensors in one stream.
    """
    tensors = [index.numpy() for index in quantized.indices.values()]
    counts = [np.unique(values, return_counts=True)[1] for values in tensors]
    packed = b"".join(pack(values) for values in tensors)
    return {
        "DeepCABAC": sum(len(encode_integers(values).stream) for values in tensors),
        "order-0 entropy": sum(quantized.entropies[n] * i.numel() for n, i in quantized.indices.items()) / 8,
        "table": sum((len(count) - 1) / 2 * math.log2(count.sum()) for count in counts) / 8,
        "Huffman": sum(huffman_bytes(values) for values in tensors),
        "raw": sum(math.ceil(values.size * _width(values) / 8) for values in tensors),
    } | {codec: len(compress(codec, packed)) for codec in GENERAL}


def pack(values: np.ndarray) -> bytes:
    """Return indices as bytes, several in one where they are small enough; the lowest is 0."""
    low, _ = bounds(values)
    width = next(bits for bits in WIDTHS if bits >= _width(values))
    codes = (as_rows(values, 0).ravel().astype(np.int32) - low).astype(np.uint16 if width == 16 else np.uint8)
    if width >= 8:
        return codes.tobytes()
    each = 8 // width
    rows = np.pad(codes, (0, -len(codes) % each)).reshape(-1, each).astype(np.uint8)
    shifts = np.arange(8 - width, -1, -width, dtype=np.uint8)
    return np.left_shift(rows, shifts).sum(axis=1, dtype=np.uint8).tobytes()


def compress(codec: str, packed: bytes) -> bytes:
    """Return bytes compressed by a general codec.

    Parameters
    ----------
    codec : str
        One of `GENERAL`.
    packed : bytes
        Anything.

    Raises
    ------
    UserError
        If there is no such codec.
    """
    if codec == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=19).compress(packed)
    pressed = {
        "bzip2": lambda: bz2.compress(packed, 9),
        "gzip": lambda: gzip.compress(packed, 9, mtime=0),
        "xz": lambda: lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME),
    }
    if codec not in pressed:
        raise UserError(f"there is no codec {codec!r}; choose one of {', '.join(GENERAL)}")
    return pressed[codec]()


def huffman_lengths(counts: list[int]) -> list[int]:
    """Return the length of each symbol's code in bits; a symbol alone takes one.

    Source: Huffman 1952. A canonical code is known from its lengths.
    """
    lengths = [0] * len(counts)
    heap = [(count, symbol, [symbol]) for symbol, count in enumerate(counts)]
    heapq.heapify(heap)
    if len(heap) == 1:
        return [1]
    while len(heap) > 1:
        (first, order, under), (second, _, others) = heapq.heappop(heap), heapq.heappop(heap)
        for symbol in under + others:
            lengths[symbol] += 1
        heapq.heappush(heap, (first + second, order, under + others))
    return lengths


def huffman_bytes(values: np.ndarray) -> int:
    """Return the bytes of a tensor's indices in a canonical Huffman code, with the table of the codes' lengths."""
    if not values.size:
        return 0
    symbols, counts = np.unique(values, return_counts=True)
    coded = sum(count * length for count, length in zip(counts.tolist(), huffman_lengths(counts.tolist())))
    table = LENGTH_BITS * (int(symbols[-1]) - int(symbols[0]) + 1)
    return math.ceil((coded + table) / 8)


def has_nncodec() -> bool:
    """Tell whether the reference software is installed; there is none for Python 3.13 and later."""
    return find_spec("nncodec") is not None


def nncodec_floats(
    state: dict[str, Tensor], *, dependent: bool, qp: int = -38, rate: float = 0.0
) -> tuple[int, dict[str, Tensor]]:
    """Quantize and code a float net by nncodec itself.

    Parameters
    ----------
    state : dict of str to Tensor
        Float tensors are coded as float32. Others are left out: nncodec does not take them.
    dependent : bool
        Dependent (trellis-coded) quantization, which is nncodec's default, or uniform.
    qp : int
        Step of tensors with two dimensions and more, on a logarithmic scale: 4 more double it. By default nncodec's.
    rate : float
        What bits weigh against distance, its ``lambda_scale``: above 0, rounding is rate-distortion-optimized (RDOQ).

    Returns
    -------
    int
        Bytes.
    dict of str to Tensor
        The decoded state, other tensors as they were.

    Raises
    ------
    UserError
        If nncodec gives up, which it does by leaving the interpreter, or is not installed.
    """
    if not has_nncodec():
        raise UserError(
            "nncodec is not installed, and there is none for Python 3.13 and later: take Python 3.10 to 3.12"
        )
    from nncodec import nnc  # heavy: only who compares needs it

    names = [name for name, value in state.items() if value.is_floating_point() and value.numel()]
    # Numbers for names, and no tensor without dimensions: nncodec reads a meaning into some names' endings.
    arrays = {
        str(i): state[name].detach().cpu().float().reshape(-1, *state[name].shape[1:]) for i, name in enumerate(names)
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            stream = nnc.compress(
                {key: value.contiguous().numpy() for key, value in arrays.items()},
                bitstream_path=None,
                return_bitstream=True,
                use_dq=dependent,
                qp=qp,
                lambda_scale=rate,
            )
            decoded = nnc.decompress(bytearray(stream))
    except SystemExit as error:
        raise UserError(f"nncodec cannot code this net ({error}): take one of finite float32 numbers") from error
    coarse = {n: torch.from_numpy(decoded[str(i)]).reshape(state[n].shape) for i, n in enumerate(names)}
    return len(stream), {name: coarse.get(name, value) for name, value in state.items()}


def _width(values: np.ndarray) -> int:
    """Return the bits of an index of fixed width; 0 where all are 0."""
    low, high = bounds(values)
    return (high - low).bit_length()
