"""The file: what it holds and how it is checked. Knows numpy and no torch.

8 bytes    RELCOMP and the version
32 bytes   SHA-256 of everything else
4, 4       lengths of the header, compressed and plain, little-endian
header     JSON, compressed by zlib
streams    one a tensor of integers, in the header's order; then all other numbers in one
"""

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from relcomp_kit.compression.nnc.cabac import FEWEST_BITS, bounds, decode_integers, encode_integers
from relcomp_kit.compression.nnc.numbers import ITEM_BYTES, pack, unpack
from relcomp_kit.errors import UserError

VERSION = 1
MAGIC = b"RELCOMP"
START = len(MAGIC) + 1 + 32 + 8  # where the header starts
MOST_HEADER = 2**22  # bytes of plain JSON: what it becomes in memory is some ten times that
MOST_ITEMS = 2**31 - 1  # of a tensor: nncodec counts in C's int
MOST_DIMS = 64  # torch's own limit


@dataclass(frozen=True)
class Integers:
    """A tensor of integers: name, type, shape, lowest and highest (0 is between them), bytes of its stream."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: int
    high: int
    size: int

    @property
    def items(self) -> int:
        return math.prod(self.shape)

    @property
    def plain(self) -> int:
        return self.items * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Numbers:
    """A tensor whose bits are kept: name, type, shape."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def plain(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Header:
    """What a file holds.

    Attributes
    ----------
    integers : tuple of Integers
    numbers : tuple of Numbers
    notes : dict
        JSON-able: what the numbers mean to the caller.
    length : int
        Bytes up to the streams.
    """

    integers: tuple[Integers, ...]
    numbers: tuple[Numbers, ...]
    notes: dict = field(default_factory=dict)
    length: int = START

    @property
    def plain(self) -> int:
        """Bytes of all decoded tensors."""
        return sum(entry.plain for entry in (*self.integers, *self.numbers))

    @property
    def largest(self) -> int:
        """Items of the largest tensor of integers."""
        return max((entry.items for entry in self.integers), default=0)


def write(integers: list[tuple[str, np.ndarray]], numbers: list[tuple[Numbers, bytes]], notes: dict) -> bytes:
    """Return a file.

    Parameters
    ----------
    integers : list of (name, int8 or int16 array)
    numbers : list of (Numbers, bytes)
    notes : dict
        JSON-able.

    Raises
    ------
    UserError
        If the header is too large or no JSON, or as `check_size` says.
    """
    for name, array in integers:
        check_size(name, array.shape)
    streams = [encode_integers(array) for _, array in integers]
    columns = {
        "integers": [
            (name, array.dtype.name, array.shape, *bounds(array), len(stream))
            for (name, array), stream in zip(integers, streams)
        ],
        "numbers": [(entry.name, entry.dtype, entry.shape) for entry, _ in numbers],
    }
    try:  # columns instead of rows: like stands beside like, and compresses
        text = json.dumps(
            {k: list(zip(*rows)) for k, rows in columns.items()} | {"notes": notes}, separators=(",", ":")
        )
    except (TypeError, ValueError) as error:
        raise UserError(
            f"the info cannot be written as JSON ({error}): give numbers, texts, lists and dicts"
        ) from error
    if len(text) > MOST_HEADER:
        raise UserError(f"the header would take {len(text):,} bytes and {MOST_HEADER:,} is the most: shorten the info")
    header = zlib.compress(text.encode("ascii"), 9)
    entries = [entry for entry, _ in numbers]
    streams.append(pack([e.name for e in entries], [e.dtype for e in entries], [content for _, content in numbers]))
    magic = MAGIC + bytes([VERSION])
    body = b"".join([struct.pack("<II", len(header), len(text)), header, *streams])
    return b"".join([magic, _digest(magic, body), body])


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Raise a `UserError` if a tensor has more numbers than a file can say."""
    if not _fits(shape):
        raise UserError(f"{name} of shape {tuple(shape)} is too large for one file: split the layer")


def read(data: bytes, source: str) -> Header:
    """Return the header of a file after comparing its digest; nothing is decoded before.

    Parameters
    ----------
    data : bytes
    source : str
        What the file is called in an error.

    Raises
    ------
    UserError
        If it is no such file, of another version, incomplete or changed, or its header contradicts itself.
    """
    magic = bytes(data[: len(MAGIC) + 1])
    if magic[:-1] != MAGIC or len(data) < START:
        raise UserError(f"{source} is no file of `relcomp encode`: choose one, or encode the net")
    if magic[-1] != VERSION:
        raise UserError(f"{source} is of version {magic[-1]} and this relcomp reads {VERSION}: update relcomp")
    body = memoryview(data)[len(magic) + 32 :]
    if _digest(magic, body) != bytes(data[len(magic) : len(magic) + 32]):
        raise UserError(f"{source} is incomplete or changed (its SHA-256 is wrong): fetch it again, or encode anew")
    try:
        return _header(body, len(data))
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error, RecursionError) as error:
        raise UserError(f"{source} holds a header that makes no sense ({error}): encode the net anew") from error


def plain_parts(data: bytes, header: Header) -> Iterator[bytes]:
    """Yield the bytes of the decoded tensors, first the integers', then the numbers'.

    Raises
    ------
    ValueError, RuntimeError, lzma.LZMAError
        If a stream holds anything but what the header says. Forged streams can also crash the process.
    """
    start = header.length
    for entry in header.integers:
        stream, start = bytes(data[start : start + entry.size]), start + entry.size
        values = decode_integers(stream, entry.shape, entry.low, entry.high)
        yield np.ascontiguousarray(values, np.dtype(entry.dtype)).tobytes()
    numbers = header.numbers
    names, dtypes = [entry.name for entry in numbers], [entry.dtype for entry in numbers]
    yield from unpack(bytes(data[start:]), names, dtypes, [entry.plain for entry in numbers])


def _digest(magic: bytes, body: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(magic)
    digest.update(body)
    return digest.digest()


def _header(body: memoryview, total: int) -> Header:
    compressed, plain = struct.unpack("<II", body[:8])
    _require(plain <= MOST_HEADER and START + compressed <= total, "its length")
    decoder = zlib.decompressobj()
    text = decoder.decompress(bytes(body[8 : 8 + compressed]), plain + 1)
    _require(len(text) == plain and decoder.eof and not decoder.unused_data, "its length")
    content = json.loads(text)
    integers = tuple(Integers(n, d, tuple(s), *rest) for n, d, s, *rest in _rows(content["integers"], 6))
    numbers = tuple(Numbers(n, d, tuple(s)) for n, d, s in _rows(content["numbers"], 3))
    for entry in (*integers, *numbers):
        _require(type(entry.name) is str and entry.dtype in ITEM_BYTES, "a name or a type")
        _require(_fits(entry.shape), f"the shape of {entry.name}")
    for entry in integers:
        _require(entry.dtype in ("int8", "int16"), f"the type of {entry.name}")
        limits = np.iinfo(entry.dtype)
        _require(all(type(value) is int for value in (entry.low, entry.high, entry.size)), f"numbers of {entry.name}")
        _require(limits.min <= entry.low <= 0 <= entry.high <= limits.max, f"the range of {entry.name}")
        holds = 8 * entry.size / FEWEST_BITS if entry.low < entry.high else MOST_ITEMS * (entry.size == 0)
        _require(entry.items <= holds, f"the size of {entry.name}")
    for entries in (integers, numbers):
        _require(len({entry.name for entry in entries}) == len(entries), "a name that stands there twice")
    length = START + compressed
    rest = total - length - sum(entry.size for entry in integers)
    _require(all(entry.size >= 0 for entry in integers) and rest >= 0, "the lengths of its streams")
    _require(type(content["notes"]) is dict, "its notes")
    return Header(integers, numbers, content["notes"], length)


def _rows(columns: list, count: int) -> list[tuple]:
    if not columns:
        return []
    _require(len(columns) == count and len({len(column) for column in columns}) == 1, "its columns")
    return list(zip(*columns))


def _fits(shape: tuple) -> bool:
    return (
        len(shape) <= MOST_DIMS
        and all(type(side) is int and side >= 0 for side in shape)
        and math.prod(max(side, 1) for side in shape) <= MOST_ITEMS
    )


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
