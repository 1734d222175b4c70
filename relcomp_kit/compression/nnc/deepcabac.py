"""DeepCABAC: integers as bins, bins by probabilities that learn, probabilities as bits (ISO/IEC 15938-17).

All of the coder is here, in plain functions on arrays that numba compiles; `in_python` gives the same functions
uncompiled, to be read, stepped through and compared.

1. Binarization: `binarize` turns an integer into questions with the answers 0 and 1: is it 0? negative? larger than 1?
   than 2? ... Each question has its own context, those about 0 and the sign one for each sign of the integer before.
2. Estimation: a context holds two estimates of how likely a 1 is, a fast and a slow one (`learn`). `STARTS` are the
   nine pairs of start and speed that the standard offers; `measure` finds what each would cost.
3. Arithmetic coding: `encode_bin` narrows an interval by the estimated probability; `decode_bin` follows it.

The subset is that of a net whose indices are known to lie between two bounds: no dependent quantization, no parent
tensor, one substream, rows of zeros skipped if that is smaller.

Sources. The whole: ISO/IEC 15938-17:2022, clause 10 (parsing by CABAC) with its tables; Kirchhoffer et al. 2022,
"Overview of the Neural Network Compression and Representation (NNR) Standard", section III-F. Binarization and its
contexts: Wiedemann et al. 2020, "DeepCABAC". Estimation: Haase et al. 2020, "State-based multi-parameter probability
estimation for context-based adaptive binary arithmetic coding". Arithmetic coding: the registers of CABAC in H.265,
9.3.4.3 (decoding) and 9.3.4.4 (encoding).
"""

import importlib.util
import sys

import numba
import numpy as np

# Contexts by number: is it 0, and its sign (3 each: the integer before was 0, below, above); length of what is left
# after the flags; which start was chosen; is a row all 0; then two for each "larger than" flag (positive, negative).
ZERO, SIGN, REMAINDER, START, ROW, LARGER = 0, 3, 6, 38, 39, 40

# Shift of the fast and of the slow estimate (a larger shift learns slower), and their first values: the standard's.
STARTS = np.array(
    [
        (5, 4, 0, 0),
        (5, 4, -41, -654),
        (5, 4, 95, 1519),
        (4, 5, 0, 0),
        (6, 6, 30, 482),
        (6, 6, 95, 1519),
        (6, 6, -21, -337),
        (7, 5, 0, 0),
        (7, 5, 30, 482),
    ],
    np.int32,
)
START_BITS = 3  # beyond the flag that it is not the first

# How far an estimate moves, by 16 + estimate / 2 ** 3 (fast) or / 2 ** 7 (slow), towards the answer: the standard's
# table, by the method of Haase et al. 2020.
MOVES = np.array([*range(2512, 719, -224), *range(560, 463, -96), 368, 272, 208, 144, 80, *[64] * 15, 0], np.int32)

# Width of the less likely answer, by range (8 parts of 32) and certainty: the standard's table.
_WIDTHS = """
128 112 97 84 74 65 57 50 45 39 34 30 27 23 20 18 15 14 12 11 10 9 7 7 5 5 4 4 3 3 2 2
142 125 108 93 82 72 63 56 50 43 38 33 30 26 22 20 17 16 13 12 11 10 8 8 6 6 5 5 3 3 2 2
156 137 119 103 90 79 70 61 55 48 42 37 33 28 24 22 19 17 15 13 12 11 9 9 6 6 5 5 4 4 2 2
171 150 130 112 99 87 76 67 60 52 46 40 36 31 27 24 21 19 16 15 13 12 10 10 7 7 6 6 4 4 3 3
185 162 141 121 107 94 82 73 65 56 50 43 39 34 29 26 22 21 17 16 14 13 11 11 8 8 6 6 4 4 3 3
199 175 152 131 115 101 89 78 70 61 54 47 42 36 31 28 24 22 19 17 15 14 12 12 8 8 7 7 5 5 3 3
213 187 163 140 123 108 95 84 75 65 58 50 45 39 33 30 26 24 20 18 16 15 13 13 9 9 7 7 5 5 3 3
228 200 174 150 132 116 102 90 80 70 62 54 48 42 36 32 28 26 22 20 18 16 14 14 10 10 8 8 6 6 4 4
"""
WIDTHS = np.array(_WIDTHS.split(), np.int32).reshape(8, 32)
DOUBLINGS = np.array([9 - width.bit_length() for width in range(256)], np.int32)  # of a width, until 256 or more

BIT = 2**15  # unit of costs: 1 / BIT bits
COST_STEP = 400.79895 / BIT  # bits by which the less likely answer becomes dearer with each step of certainty
PLAIN = "_in_python"  # ends the name of the uncompiled module
UNBOUNDED = 2**30  # instead of a highest integer; minus that instead of a lowest one
MOST_FLAGS = 128  # "larger than ..." of an integer
MOST_BYTES = 256  # of one integer: at most 165 bins of 7 bits, and 31 plain ones


def _costs() -> np.ndarray:
    """Return (1024, 2): the cost of 0 and of 1, by 512 + estimate / 2 ** 3. The unlikely answer's grows linearly."""
    certainty = np.minimum(np.abs(np.arange(-512, 512)), 511)
    unlikely = 1 + COST_STEP * (certainty + 0.5)
    likely = -np.log2(1 - 2.0**-unlikely)
    costs = np.where(
        np.arange(-512, 512)[:, None] < 0, np.stack([likely, unlikely], 1), np.stack([unlikely, likely], 1)
    )
    return np.rint(BIT * costs).astype(np.int64)


def _moved(size: int, part: int) -> np.ndarray:
    """Return (8, 2 size, 2): where an estimate goes, by its shift, size + estimate, and the answer; see `learn`."""
    estimates, shifts = np.arange(-size, size)[:, None], np.arange(8)[:, None, None]
    signs = np.array([-1, 1])
    moves = MOVES[np.clip(16 + (signs * estimates >> part), 0, 31)] >> shifts
    return np.clip(estimates + signs * moves, -size, size - 1).astype(np.int16)


COSTS = _costs()
FAST, SLOW = 128, 2048  # size of a fast and of a slow estimate, at most
NEXT_FAST, NEXT_SLOW = _moved(FAST, 3), _moved(SLOW, 7)


def _compiled(function):
    """Compile a function at its first call, for threads side by side; keep it on disk where a folder can be written."""
    if __name__.endswith(PLAIN):
        return function
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder for its cache
        return numba.njit(nogil=True)(function)


def _inlined(function):
    """Compile a short function into the ones that call it: a call costs more than what it does."""
    return function if __name__.endswith(PLAIN) else numba.njit(inline="always")(function)


@_inlined
def at(index):
    """Return an index as an unsigned one; numba need not ask then whether it counts from the end."""
    return np.uint64(index)


def in_python():
    """Return this module once more, uncompiled: the same functions, some thousand times slower."""
    name = __name__ + PLAIN
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, __file__)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


# ---- Estimation -----------------------------------------------------------------------------------------------------


def new_contexts(unary: int) -> np.ndarray:
    """Return contexts for 1 to `MOST_FLAGS` flags, (contexts, 4): fast and slow estimate, and the shift of each."""
    if not 1 <= unary <= MOST_FLAGS:
        raise ValueError(f"an integer has 1 to {MOST_FLAGS} flags, not {unary}")
    contexts = np.zeros((LARGER + 2 * unary, 4), np.int32)
    contexts[:, 2:] = STARTS[0, :2]
    return contexts


@_inlined
def learn(contexts, number, answer):
    """Move both estimates of a context towards an answer, 0 or 1."""
    fast, slow = contexts[number, 0], contexts[number, 1]
    contexts[number, 0] = NEXT_FAST[at(contexts[number, 2]), at(FAST + fast), at(answer)]
    contexts[number, 1] = NEXT_SLOW[at(contexts[number, 3]), at(SLOW + slow), at(answer)]


@_compiled
def measure(levels, starts, unary):
    """Return what the bins of each context would cost from each start, in 1 / BIT bits, (contexts, starts).

    Bins that bounds would save are counted too, as the reference encoder counts them.

    Parameters
    ----------
    levels : ndarray
        (n,): the integers in the order in which they are coded.
    starts : ndarray
        (starts, 4) int32: some of `STARTS`.
    unary : int
        Flags that an integer may have.
    """
    costs = np.zeros((LARGER + 2 * unary, len(starts)), np.int64)
    fast = np.zeros((LARGER + 2 * unary, len(starts)), np.int32)
    slow = np.zeros((LARGER + 2 * unary, len(starts)), np.int32)
    fast[:], slow[:] = starts[:, 2], starts[:, 3]
    next_fast, next_slow = NEXT_FAST[starts[:, 0]], NEXT_SLOW[starts[:, 1]]
    numbers, answers = np.zeros(MOST_BYTES, np.int32), np.zeros(MOST_BYTES, np.int32)
    before = 0
    for level in levels:
        count, _, _ = binarize(level, before, -UNBOUNDED, UNBOUNDED, unary, numbers, answers)
        before = level
        for place in range(count):
            number, answer = at(numbers[place]), at(answers[place])
            for start in range(at(len(starts))):
                quick, steady = fast[number, start], slow[number, start]
                costs[number, start] += COSTS[at(512 + (16 * quick + steady >> 3)), answer]
                fast[number, start] = next_fast[start, at(FAST + quick), answer]
                slow[number, start] = next_slow[start, at(SLOW + steady), answer]
    return costs


# ---- Binarization ---------------------------------------------------------------------------------------------------


@_inlined
def binarize(level, before, low, high, unary, numbers, answers):
    """Write the bins of an integer; return how many, and the integer and number of bits that follow without context.

    Parameters
    ----------
    level, before : int
        The integer and the one before it.
    low, high : int
        Bounds of all integers; what they rule out is not asked.
    unary : int
        Flags "larger than 1", "larger than 2", ... at most; what is left over comes in groups of 1, 2, 4, ...
    numbers, answers : int array
        Where the context and the answer of each bin are written.
    """
    side = np.int64(before < 0) + 2 * np.int64(before > 0)
    numbers[0], answers[0] = ZERO + side, level != 0
    count = 1
    if level == 0:
        return count, 0, 0
    if low < 0 < high:
        numbers[count], answers[count] = SIGN + side, level < 0
        count += 1
    size, limit, larger = abs(level), (-low if level < 0 else high), 0
    while larger < unary and larger + 1 < limit:
        numbers[count], answers[count] = LARGER + 2 * larger + (level < 0), size > larger + 1
        count += 1
        larger += 1
        if size <= larger:
            return count, 0, 0
    left, most, bits, first = size - larger - 1, limit - larger - 1, 0, 0
    while most >= first + (1 << bits):
        numbers[count], answers[count] = REMAINDER + bits, left >= first + (1 << bits)
        count += 1
        if left < first + (1 << bits):
            break
        first += 1 << bits
        bits += 1
    return count, left - first, bits


@_inlined
def read_level(window, stream, contexts, before, low, high, unary):
    """Return the next integer of a stream, the questions of `binarize` answered by `decode_bin`, and the window."""
    side = np.int64(before < 0) + 2 * np.int64(before > 0)
    answer, window = decode_bin(window, stream, contexts, ZERO + side)
    if not answer:
        return 0, window
    negative = 1 if low < 0 else 0
    if low < 0 < high:
        negative, window = decode_bin(window, stream, contexts, SIGN + side)
    limit, larger, sign = (-low if negative else high), 0, 1 - 2 * negative
    while larger < unary and larger + 1 < limit:
        answer, window = decode_bin(window, stream, contexts, LARGER + 2 * larger + negative)
        larger += 1
        if not answer:
            return sign * larger, window
    most, bits, first = limit - larger - 1, 0, 0
    while most >= first + (1 << bits):
        answer, window = decode_bin(window, stream, contexts, REMAINDER + bits)
        if not answer:
            break
        first += 1 << bits
        bits += 1
    left, window = decode_bypass(window, stream, bits)
    return sign * (larger + 1 + first + left), window


@_compiled
def contexts_in_use(low, high, unary):
    """Return the contexts that integers between two bounds can reach, in the order in which their starts are sent."""
    largest, groups = max(-low, high), 0
    while unary - 1 + (2 << groups) - 1 < largest:
        groups += 1
    numbers = [ZERO, ZERO + 1, ZERO + 2]
    if low < 0 < high:
        numbers += [SIGN, SIGN + 1, SIGN + 2]
    for flag in range(2 * min(unary, largest)):
        numbers.append(LARGER + flag)
    for group in range(groups):
        numbers.append(REMAINDER + group)
    return numbers


# ---- Arithmetic coding ----------------------------------------------------------------------------------------------


@_inlined
def encode_bin(interval, out, contexts, number, answer):
    """Return the part of the interval that stands for an answer, 0 or 1, and learn from it.

    The interval is its lower end, its size, the bits that are free above it, how many bytes wait for a carry (one, then
    255s), the first of those, and the place in ``out`` at which they will stand.
    """
    low, size, free, held, byte, place = interval
    number = at(number)
    estimate = 16 * contexts[number, 0] + contexts[number, 1]
    width = WIDTHS[at((size >> 5) & 7), at(abs(estimate >> 7) & 31)]
    size -= width
    unlikely = np.int64(estimate >= 0) ^ answer  # at the upper end; no branch: a processor cannot foresee it
    doublings = np.int64(size < 256)
    doublings += (DOUBLINGS[at(width & 255)] - doublings) * unlikely
    low += size * unlikely
    size += (width - size) * unlikely
    size, low, free = size << doublings, low << doublings, free - doublings
    learn(contexts, number, answer)
    if free < 12:
        return _move_byte(low, size, free, held, byte, place, out)
    return low, size, free, held, byte, place


@_compiled
def encode_bypass(interval, out, value, bits):
    """Return the interval behind an integer of so many bits, each answer being as likely as the other."""
    low, size, free, held, byte, place = interval
    while bits > 0:
        now = min(bits, 8)
        bits -= now
        low = (low << now) + size * ((value >> bits) & ((1 << now) - 1))
        free -= now
        if free < 12:
            low, size, free, held, byte, place = _move_byte(low, size, free, held, byte, place, out)
    return low, size, free, held, byte, place


@_compiled
def _move_byte(low, size, free, held, byte, place, out):
    """Move a byte out of the lower end; it waits until it is known whether a carry reaches it."""
    moved = low >> (24 - free)
    free += 8
    low &= 0xFFFFFFFF >> free
    if moved == 255:
        return low, size, free, held + 1, byte, place
    place = _write_held(out, held, byte, place, moved >> 8)
    return low, size, free, np.int64(1), moved & 255, place


@_compiled
def _write_held(out, held, byte, place, carry):
    for number in range(held):
        out[place] = ((byte if number == 0 else 255) + carry) & 255
        place += 1
    return place


@_compiled
def _finish(interval, out):
    """End the stream by the bin that says so, the lower end, a 1 and zeros up to the byte; return its length."""
    low, size, free, held, byte, place = interval
    low, size, free = (low + size - 2) << 7, np.int64(256), free - 7
    if free < 12:
        low, size, free, held, byte, place = _move_byte(low, size, free, held, byte, place, out)
    bits = 32 - free
    carry = low >> bits
    place = _write_held(out, held, byte, place, carry)
    last = (((low - (carry << bits)) >> 8 << 1) + 1) << (39 - bits)
    for shift in range(24, 31 - bits, -8):
        out[place] = (last >> shift) & 255
        place += 1
    return place


@_inlined
def decode_bin(window, stream, contexts, number):
    """Return the answer, 0 or 1, in whose part of the interval the stream lies, and the window behind it; learn."""
    value, size, needed, place = window
    number = at(number)
    estimate = 16 * contexts[number, 0] + contexts[number, 1]
    width = WIDTHS[at((size >> 5) & 7), at(abs(estimate >> 7) & 31)]
    size -= width
    unlikely = np.int64(value >= size << 7)  # no branch: a processor cannot foresee it
    answer = np.int64(estimate >= 0) ^ unlikely
    doublings = np.int64(size < 256)
    doublings += (DOUBLINGS[at(width & 255)] - doublings) * unlikely
    value -= (size << 7) * unlikely
    size += (width - size) * unlikely
    size, value, needed = size << doublings, value << doublings, needed + doublings
    learn(contexts, number, answer)
    if needed >= 0:
        return answer, _take_byte(value, size, needed, place, stream)
    return answer, (value, size, needed, place)


@_compiled
def decode_bypass(window, stream, bits):
    """Return an integer of so many bits that `encode_bypass` wrote, and the window behind it."""
    value, size, needed, place = window
    answers = 0
    for _ in range(bits):
        value <<= 1
        needed += 1
        if needed >= 0:
            value, size, needed, place = _take_byte(value, size, needed, place, stream)
        answers <<= 1
        if value >= size << 7:
            value -= size << 7
            answers += 1
    return answers, (value, size, needed, place)


@_inlined
def _take_byte(value, size, needed, place, stream):
    """Return the window with the next byte; behind the end of the stream there are zeros."""
    if place < len(stream):
        value += np.int64(stream[place]) << needed
    return value, size, needed - 8, place + 1


@_compiled
def _ended_well(window, stream):
    """Say whether the bin of the end, its 1 and its zeros are the last of the stream."""
    value, size, needed, place = window
    if value < (size - 2) << 7 or place != len(stream):
        return False
    return (np.int64(stream[place - 1]) << (8 + needed)) & 255 == 128


# ---- Whole tensors --------------------------------------------------------------------------------------------------


@_compiled
def encode_matrix(matrix, skipped, low, high, contexts, starts, unary):
    """Return the stream of a matrix of integers, as uint8.

    Parameters
    ----------
    matrix : ndarray
        (rows, width), integers.
    skipped : ndarray
        (rows,) bool: rows of zeros, for which one bin is written. All false: no bin is written for any row.
    low, high : int
        Bounds of the integers, 0 between them; not both 0.
    contexts : ndarray
        (contexts, 4) int32, from `new_contexts`; used up.
    starts : ndarray
        (contexts,): the number of the start of each context.
    unary : int
        As in `binarize`.
    """
    out = np.zeros(matrix.size // 4 + 4 * MOST_BYTES + len(skipped), np.uint8)
    interval = (np.int64(0), np.int64(510), np.int64(23), np.int64(0), np.int64(0), np.int64(0))
    rows, width = matrix.shape
    if rows > 1 and width > 1:
        skips = skipped.any()
        interval = encode_bypass(interval, out, np.int64(skips), 1)
        if skips:
            for row in range(rows):
                interval = encode_bin(interval, out, contexts, ROW, np.int64(skipped[row]))
    for number in contexts_in_use(low, high, unary):
        start = starts[number]
        interval = encode_bin(interval, out, contexts, START, np.int64(start > 0))
        if start > 0:
            interval = encode_bypass(interval, out, start - 1, START_BITS)
        contexts[number, 2:], contexts[number, :2] = STARTS[start, :2], STARTS[start, 2:]
    numbers, answers = np.zeros(MOST_BYTES, np.int32), np.zeros(MOST_BYTES, np.int32)
    before = 0
    for row in range(rows):
        if skipped[row]:
            continue
        for column in range(width):
            if interval[5] + interval[3] + MOST_BYTES > len(out):
                out = np.concatenate((out, np.zeros(len(out), np.uint8)))
            level = np.int64(matrix[row, column])
            count, left, bits = binarize(level, before, low, high, unary, numbers, answers)
            before = level
            for place in range(count):
                interval = encode_bin(interval, out, contexts, numbers[place], answers[place])
            if bits > 0:
                interval = encode_bypass(interval, out, left, bits)
    return out[: _finish(interval, out)]


@_compiled
def decode_matrix(stream, matrix, low, high, contexts, unary):
    """Fill a matrix of zeros from a stream of `encode_matrix`; return whether the stream ended where it should.

    Not a byte behind the end is read, and a stream that is too short ends the work.

    Parameters
    ----------
    stream : ndarray
        (bytes,) uint8.
    matrix : ndarray
        (rows, width), all 0; the integers are written into it.
    low, high : int
        Bounds of the integers, 0 between them; not both 0.
    contexts : ndarray
        (contexts, 4) int32, from `new_contexts`; used up.
    unary : int
        As in `binarize`.
    """
    rows, width = matrix.shape
    window = (0, 510, 8, 0)
    for _ in range(2):
        window = _take_byte(window[0], window[1], window[2], window[3], stream)
    skips, skipped = 0, np.zeros(rows, np.uint8)
    if rows > 1 and width > 1:
        skips, window = decode_bypass(window, stream, 1)
    if skips:
        for row in range(rows):
            skipped[row], window = decode_bin(window, stream, contexts, ROW)
            if window[3] > len(stream):
                return False
    for number in contexts_in_use(low, high, unary):
        start, window = decode_bin(window, stream, contexts, START)
        if start:
            start, window = decode_bypass(window, stream, START_BITS)
            start += 1
        contexts[number, 2:], contexts[number, :2] = STARTS[start, :2], STARTS[start, 2:]
    before = 0
    for row in range(rows):
        if skipped[row]:
            continue
        for column in range(width):
            before, window = read_level(window, stream, contexts, before, low, high, unary)
            if before < low or before > high or window[3] > len(stream):
                return False
            matrix[row, column] = before
    return _ended_well(window, stream)
