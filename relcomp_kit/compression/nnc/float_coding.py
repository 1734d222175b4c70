"""Numbers that are kept bit by bit: similar bytes of similar tensors side by side, then LZMA.

The first byte of a float holds sign and size, the last one is noise. Sorted by their place in the number, the first
bytes compress well. Tensors of one role (all biases, all variances) have numbers of similar size and are kept together.
"""

import lzma
from collections.abc import Sequence

import numpy as np

# Bytes of a number, by the name of its type. Complex numbers count as two.
ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex64": 8,
}
# Bytes without text's habits: no bits of the place or of the byte before in the contexts. The dictionary bounds memory.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**22, "lc": 0, "lp": 0, "pb": 0}]


def pack(names: Sequence[str], dtypes: Sequence[str], contents: Sequence[bytes]) -> bytes:
    """Return the bytes of tensors, compressed; nothing if they hold nothing.

    Parameters
    ----------
    names, dtypes : sequences of str
        Of the tensors; the part of a name after its last dot is the role.
    contents : sequence of bytes
        The tensors' numbers.
    """
    shuffled = []
    for dtype, group in _groups(names, dtypes):
        joined = np.frombuffer(b"".join(contents[place] for place in group), np.uint8)
        shuffled.append(joined.reshape(-1, ITEM_BYTES[dtype]).T.tobytes())
    plain = b"".join(shuffled)
    return lzma.compress(plain, lzma.FORMAT_RAW, filters=FILTERS) if plain else b""


def unpack(section: bytes, names: Sequence[str], dtypes: Sequence[str], sizes: Sequence[int]) -> list[bytes]:
    """Return the tensors' bytes that `pack` was given.

    Parameters
    ----------
    section : bytes
        As `pack` returns it.
    names, dtypes : sequences of str
        Of the tensors, as `pack` was given them.
    sizes : sequence of int
        Bytes of each tensor.

    Raises
    ------
    ValueError, lzma.LZMAError
        If the section does not hold just these.
    """
    total = sum(sizes)
    plain = b""
    if total or section:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=FILTERS)
        plain = decoder.decompress(section, max_length=total + 1)
        if len(plain) != total or not decoder.eof or decoder.unused_data:
            raise ValueError("the section holds other numbers than its header says")
    contents, start = [b""] * len(names), 0
    for dtype, group in _groups(names, dtypes):
        length = sum(sizes[place] for place in group)
        planes = np.frombuffer(plain, np.uint8, length, start).reshape(ITEM_BYTES[dtype], -1)
        joined, start, end = planes.T.tobytes(), start + length, 0
        for place in group:
            contents[place] = joined[end : end + sizes[place]]
            end += sizes[place]
    return contents


def _groups(names: Sequence[str], dtypes: Sequence[str]) -> list[tuple[str, list[int]]]:
    """Return the types and the places of their tensors, sorted by role."""
    places = sorted(range(len(names)), key=lambda place: (names[place].rpartition(".")[2], place))
    return [(dtype, [place for place in places if dtypes[place] == dtype]) for dtype in sorted(set(dtypes))]
