"""The file: what it holds and how it is checked. Knows numpy and no torch.

8 bytes    RELCOMP and the version
32 bytes   SHA-256 of everything else
4, 4       lengths of the header, compressed and plain, little-endian
header     JSON, compressed by zlib
streams    one a tensor of integers, in the header's order; then all other numbers in one
"""

import hashlib
import itertools
import json
import math
import os
import struct
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from relcomp_kit.compression.nnc.cabac import FEWEST_BITS, ORDERS, bounds, decode_integers, encode_integers, rows_of
from relcomp_kit.compression.nnc.deepcabac import MOST_FLAGS
from relcomp_kit.compression.nnc.float_coding import ITEM_BYTES, pack, unpack
from relcomp_kit.errors import UserError
from relcomp_kit.threads import threads

VERSION = 2
OLDEST = 1  # version that is still read: all tensors in the first order, with 128 flags, no row skipped
MAGIC = b"RELCOMP"
START = len(MAGIC) + 1 + 32 + 8  # where the header starts
MOST_HEADER = 2**22  # bytes of plain JSON: what it becomes in memory is some ten times that
MOST_ITEMS = 2**31 - 1  # of a tensor
MOST_DIMS = 32  # of a tensor: NumPy's own limit
MOST_FILE = 2**31  # bytes: what decodes to 1 GiB, the most that is decoded unless one asks for more, takes less
MOST_NAME = 1000  # characters of a tensor's name
MOST_TENSORS = 2**14  # of a file: each takes some time, however small it is


@dataclass(frozen=True)
class Integers:
    """A tensor of integers: name, type, shape, lowest and highest (0 is between them), bytes of its stream.

    ``order`` is a place in `cabac.ORDERS`, ``unary`` the flags "larger than ..." of an integer.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    low: int
    high: int
    size: int
    order: int = 0
    unary: int = MOST_FLAGS

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
    def items(self) -> int:
        return math.prod(self.shape)

    @property
    def plain(self) -> int:
        return self.items * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Header:
    """What a file holds.

    Attributes
    ----------
    integers : tuple of Integers
        Tensors of integers, in the order of their streams.
    numbers : tuple of Numbers
        All other tensors.
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
    def entries(self) -> tuple[Integers | Numbers, ...]:
        """All tensors, in the order of `plain_parts`."""
        return (*self.integers, *self.numbers)

    @property
    def plain(self) -> int:
        """Bytes of all decoded tensors."""
        return sum(entry.plain for entry in self.entries)


def write(integers: list[tuple[str, np.ndarray]], numbers: list[tuple[Numbers, bytes]], notes: dict) -> bytes:
    """Return a file.

    Parameters
    ----------
    integers : list of (str, ndarray)
        Names and int8 or int16 arrays of any shape.
    numbers : list of (Numbers, bytes)
        Tensors whose bits are kept, and these.
    notes : dict
        JSON-able.

    Raises
    ------
    UserError
        If the header is too large or no JSON, or as `check_size` says.
    """
    if len(integers) + len(numbers) > MOST_TENSORS:
        raise UserError(f"a file holds {MOST_TENSORS:,} tensors at most, not {len(integers) + len(numbers):,}")
    for name, shape in [*((name, array.shape) for name, array in integers), *((e.name, e.shape) for e, _ in numbers)]:
        check_size(name, shape)
    coded = _side_by_side(lambda entry: encode_integers(entry[1]), integers, [array.size for _, array in integers])
    columns: dict[str, list[tuple]] = {
        "integers": [
            (name, array.dtype.name, array.shape, *bounds(array), len(part.stream), part.order, part.unary)
            for (name, array), part in zip(integers, coded)
        ],
        "numbers": [(entry.name, entry.dtype, entry.shape) for entry, _ in numbers],
    }
    try:  # columns instead of rows: like stands beside like, and compresses
        text = json.dumps(
            {k: list(zip(*rows)) for k, rows in columns.items()} | {"notes": notes}, separators=(",", ":")
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"the info cannot be written as JSON ({error}): give numbers, texts, lists and dicts"
        ) from error
    if len(text) > MOST_HEADER:
        raise UserError(f"the header would take {len(text):,} bytes and {MOST_HEADER:,} is the most: shorten the info")
    header = zlib.compress(text.encode("ascii"), 9)
    entries = [entry for entry, _ in numbers]
    streams = [part.stream for part in coded]
    streams.append(pack([e.name for e in entries], [e.dtype for e in entries], [content for _, content in numbers]))
    magic = MAGIC + bytes([VERSION])
    body = b"".join([struct.pack("<II", len(header), len(text)), header, *streams])
    return b"".join([magic, _digest(magic, body), body])


def check_size(name: str, shape: tuple[int, ...]) -> None:
    """Raise a `UserError` if a tensor has a name that no file can hold, or more numbers than one can say.

    Parameters
    ----------
    name : str
        Of the tensor; 1,000 characters at most, all of which UTF-8 knows.
    shape : tuple of int
        Of the tensor; 32 dimensions and 2 ** 31 - 1 numbers at most.

    Raises
    ------
    UserError
        If it is too large, or its name is too long or no text.
    """
    if not is_name(name):
        raise UserError(f"{name[:40]!r} is no name for a file: give {MOST_NAME:,} characters at most, no surrogates")
    if not _fits(shape):
        raise UserError(f"{name} of shape {tuple(shape)} is too large for one file: split the layer")


def is_name(name: object) -> bool:
    """Return whether this is a text that names something in a file: short, and known to UTF-8.

    Parameters
    ----------
    name : object
        Perhaps from a file that anyone may have written.
    """
    return isinstance(name, str) and len(name) <= MOST_NAME and not any("\ud800" <= sign <= "\udfff" for sign in name)


def read_file(path: Path) -> bytes:
    """Return all bytes of a coded file; its first ones and its size are looked at before.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bytes
        All that is in it, which `decode` takes.

    Raises
    ------
    UserError
        If it cannot be read, is no coded file, or is larger than any that can be decoded.
    """
    try:
        with open(path, "rb") as stream:
            begin, size = stream.read(len(MAGIC)), os.fstat(stream.fileno()).st_size
            if begin != MAGIC:
                raise _foreign(path)
            if size > MOST_FILE:
                raise UserError(f"{path} takes {size:,} bytes, a coded net {MOST_FILE:,} at most: name another file")
            return begin + stream.read(MOST_FILE)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): name a file of `relcomp encode`") from error


def _foreign(source: Path | str) -> UserError:
    return UserError(f"{source} is no file of `relcomp encode`: choose one, or encode the net")


def read(data: bytes, source: str) -> Header:
    """Return the header of a file after comparing its digest; nothing is decoded before.

    Parameters
    ----------
    data : bytes
        The whole file.
    source : str
        What the file is called in an error.

    Raises
    ------
    UserError
        If it is no such file, of another version, incomplete or changed, or its header contradicts itself.
    """
    magic = bytes(data[: len(MAGIC) + 1])
    if magic[:-1] != MAGIC or len(data) < START:
        raise _foreign(source)
    if not OLDEST <= magic[-1] <= VERSION:
        advice = "update relcomp" if magic[-1] > VERSION else "encode the net anew"
        raise UserError(f"{source} is of version {magic[-1]} and this relcomp reads {OLDEST} to {VERSION}: {advice}")
    body = memoryview(data)[len(magic) + 32 :]
    if _digest(magic, body) != bytes(data[len(magic) : len(magic) + 32]):
        raise UserError(f"{source} is incomplete or changed (its SHA-256 is wrong): fetch it again, or encode anew")
    try:
        return _header(body, len(data), magic[-1])
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error, RecursionError) as error:
        raise UserError(f"{source} holds a header that makes no sense ({error}): encode the net anew") from error


def plain_parts(data: bytes, header: Header) -> list[bytes]:
    """Return the bytes of the decoded tensors, first the integers', then the numbers'.

    Parameters
    ----------
    data : bytes
        The whole file.
    header : Header
        As `read` returns it.

    Raises
    ------
    ValueError, lzma.LZMAError
        If a stream holds anything but what the header says.
    """
    ends = list(itertools.accumulate((entry.size for entry in header.integers), initial=header.length))

    def plain(place: int) -> bytes:
        entry, stream = header.integers[place], data[ends[place] : ends[place + 1]]
        values = decode_integers(
            stream, entry.shape, entry.low, entry.high, order=entry.order, unary=entry.unary, dtype=entry.dtype
        )
        return values.tobytes()

    parts = _side_by_side(plain, range(len(header.integers)), [entry.size for entry in header.integers])
    numbers = header.numbers
    names, dtypes = [entry.name for entry in numbers], [entry.dtype for entry in numbers]
    return parts + unpack(data[ends[-1] :], names, dtypes, [entry.plain for entry in numbers])


def _side_by_side(function, items: Sequence, work: Sequence[int]) -> list:
    """Return what a function makes of each item, on all cores that this process may use; the most work comes first."""
    with ThreadPoolExecutor(threads()) as pool:
        places = sorted(range(len(items)), key=lambda place: -work[place])
        running = {place: pool.submit(function, items[place]) for place in places}
        try:
            return [running[place].result() for place in range(len(items))]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _digest(magic: bytes, body: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(magic)
    digest.update(body)
    return digest.digest()


def _header(body: memoryview, total: int, version: int) -> Header:
    compressed, plain = struct.unpack("<II", body[:8])
    _require(plain <= MOST_HEADER and START + compressed <= total, "its length")
    decoder = zlib.decompressobj()
    text = decoder.decompress(bytes(body[8 : 8 + compressed]), plain + 1)
    _require(len(text) == plain and decoder.eof and not decoder.unused_data, "its length")
    content = json.loads(text)
    columns = 6 if version == 1 else 8
    integers = tuple(Integers(n, d, tuple(s), *rest) for n, d, s, *rest in _rows(content["integers"], columns))
    numbers = tuple(Numbers(n, d, tuple(s)) for n, d, s in _rows(content["numbers"], 3))
    entries: tuple[Integers | Numbers, ...] = (*integers, *numbers)
    for entry in entries:
        _require(is_name(entry.name) and entry.dtype in ITEM_BYTES, "a name or a type")
        _require(_fits(entry.shape), f"the shape of {entry.name}")
    for entry in integers:
        _require(entry.dtype in ("int8", "int16"), f"the type of {entry.name}")
        limits = np.iinfo(entry.dtype)
        values = (entry.low, entry.high, entry.size, entry.order, entry.unary)
        _require(all(type(value) is int for value in values), f"numbers of {entry.name}")
        _require(0 <= entry.order < len(ORDERS) and 1 <= entry.unary <= MOST_FLAGS, f"the order of {entry.name}")
        _require(limits.min <= entry.low <= 0 <= entry.high <= limits.max, f"the range of {entry.name}")
        if entry.low == entry.high:
            _require(entry.size == 0, f"the size of {entry.name}")
        else:
            _require(
                entry.items > 0 and rows_of(entry.shape, entry.order) <= 8 * entry.size / FEWEST_BITS,
                f"the size of {entry.name}",
            )
    _require(len(entries) <= MOST_TENSORS, "the number of its tensors")
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
