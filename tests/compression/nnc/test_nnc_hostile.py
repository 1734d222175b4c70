"""Files that are damaged, and files that were made to do harm: one sentence, in time, within memory.

`RELCOMP_HOSTILE=10000 python -m pytest tests/compression/nnc/test_nnc_hostile.py -k mutated -s` tries that many mutated
files, a quarter of an hour on a core of one's own, as ``RELCOMP_SOAK=full`` does; by default there are 200.
"""

import hashlib
import itertools
import json
import os
import resource
import struct
import time
import zlib
from collections import Counter

import numpy as np
import pytest
import torch

from relcomp_kit.compression import nnc
from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.nnc import bitstream, cabac
from relcomp_kit.errors import UserError

SEED = 0
TRIES = int(os.environ.get("RELCOMP_HOSTILE", 10_000 if os.environ.get("RELCOMP_SOAK") == "full" else 200))
MOST_BYTES = 2**26
MOST_SECONDS = 5
ONE_STEP = [["step:w"], ["float32"], [[]]]  # for a net of one weight
KINDS = ("flip", "cut", "splice", "inflate", "swap")


def signed(data: bytes) -> bytes:
    """The file with the digest that its content has, as whoever forges a file would write it."""
    return data[:8] + hashlib.sha256(data[:8] + data[40:]).digest() + data[40:]


def opened(data: bytes) -> tuple[dict, bytes]:
    """The header's JSON and the streams."""
    length = struct.unpack("<I", data[40:44])[0]
    return json.loads(zlib.decompress(data[48 : 48 + length])), data[48 + length :]


def closed(content: dict | bytes, streams: bytes, plain: int | None = None) -> bytes:
    """A file with this header and a right digest."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    header = zlib.compress(text)
    lengths = struct.pack("<II", len(header), len(text) if plain is None else plain)
    return signed(b"RELCOMP\x02" + bytes(32) + lengths + header + streams)


@pytest.fixture(scope="module")
def data(small) -> bytes:
    draw = torch.Generator().manual_seed(0)
    paths = {name: {"0": torch.rand(8, generator=draw) > 0.5} for name in ("rail", "sign")}
    return nnc.encode(small, paths=paths, info={"classes": ["rail"]})


def test_no_byte_can_change_unnoticed(data):
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        with pytest.raises(UserError, match="the file is"):
            nnc.decode(bytes(changed))


@pytest.mark.parametrize(
    "change, say",
    [
        (lambda d: b"", "no file of"),
        (lambda d: b"PK" + d, "no file of"),
        (lambda d: d[:30], "no file of"),
        (lambda d: d[:-1], "SHA-256 is wrong"),
        (lambda d: d + b"\0", "SHA-256 is wrong"),
        (lambda d: signed(d[:7] + b"\3" + d[8:]), "version 3"),
    ],
)
def test_damage_is_said_in_a_sentence(data, change, say):
    with pytest.raises(UserError, match=say) as error:
        nnc.decode(change(data), source="net.nnc")
    assert str(error.value).startswith("net.nnc is ")
    assert len(str(error.value).splitlines()) == 1


def forged(column: int, value, kind: str = "integers"):
    """A change of the header: one value of a column."""

    def change(content: dict) -> None:
        content[kind][column][0] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        forged(0, 3),
        forged(0, "weight:4.weight"),
        forged(1, "float32"),
        forged(1, "object"),
        forged(1, None),
        forged(2, [2**31, 1]),
        forged(2, [-1, 5]),
        forged(2, [1.0]),
        forged(2, [True, 3]),
        forged(2, [1] * 65),
        forged(2, [10**4000]),
        forged(2, "abc"),
        forged(2, [1000, 1000, 1000]),
        forged(3, 1),
        forged(3, -129),
        forged(4, 128),
        forged(4, 3.5),
        forged(5, -1),
        forged(5, 10**9),
        forged(6, 3),
        forged(6, -1),
        forged(6, 0.5),
        forged(7, 0),
        forged(7, 129),
        forged(7, "11"),
        forged(2, [2**40], "numbers"),
        forged(1, "float128", "numbers"),
        lambda content: content["integers"].pop(),
        lambda content: content["integers"][0].pop(),
        lambda content: content.pop("numbers"),
        lambda content: content.update(notes=[]),
        lambda content: content.update(integers=3),
    ],
)
def test_a_forged_header_is_refused_before_anything_is_decoded(data, change, monkeypatch):
    monkeypatch.setattr(bitstream, "plain_parts", lambda *_: pytest.fail("was decoded"))
    content, streams = opened(data)
    change(content)
    with pytest.raises(UserError, match="makes no sense"):
        nnc.decode(closed(content, streams))


def test_a_header_cannot_fill_the_memory(data):
    content, streams = opened(data)
    nested = b"[" * 100_000 + b"]" * 100_000
    for text, plain in (
        (bytes(2**24), 2**24),
        (bytes(2**24), 100),
        (nested, None),
        (b"{}", 2**32 - 1),
        (b"\xff", None),
    ):
        with pytest.raises(UserError, match="makes no sense"):
            nnc.decode(closed(text, streams, plain))
    zeros = {
        "integers": [["weight:w"], ["int8"], [[2**31 - 1]], [0], [0], [0], [0], [11]],
        "numbers": ONE_STEP,
        "notes": {"info": {}},
    }
    with pytest.raises(UserError, match="takes 2,147,483,651 bytes when decoded and 1,073,741,824 are allowed"):
        nnc.decode(closed(zeros, b""))
    assert len(content["integers"]) == 8


@pytest.mark.parametrize(
    "notes",
    [
        {"levels": ["none"]},
        {"levels": 3},
        {"folded": ["1"], "eps": "x"},
        {"folded": [[]]},
        {"paths": {"layers": ["0"], "lengths": [3], "experts": {"rail": [0]}}},
        {"paths": {"layers": ["0"], "lengths": [16], "experts": {"rail": [7]}}},
        {"paths": []},
        {"info": []},
    ],
)
def test_forged_notes_are_refused(data, notes):
    content, streams = opened(data)
    content["notes"] |= notes
    with pytest.raises(UserError, match="no quantized net"):
        nnc.decode(closed(content, streams))


def test_bytes_that_are_no_bool_are_refused():
    data = nnc.encode(Quantized({}, {}, {"mask": torch.tensor([3], dtype=torch.uint8)}))
    content, streams = opened(data)
    content["numbers"][1][0] = "bool"
    with pytest.raises(UserError, match="neither true nor false"):
        nnc.decode(closed(content, streams))


@pytest.mark.parametrize("shape", [[2**15, 1220], [2**26 - 1], [1, 2**26 - 1]])
def test_a_stream_that_is_too_short_ends_the_work(shape):
    """40 million integers and more of any size from a stream of 25 kB: the decoder stops at its end."""
    stream = np.random.default_rng(0).integers(0, 256, 25_001, dtype=np.uint8).tobytes()
    columns = [["weight:w"], ["int8"], [shape], [-128], [127], [len(stream)], [0], [128]]
    file = closed({"integers": columns, "numbers": ONE_STEP, "notes": {"info": {}}}, stream)
    spent = []
    for _ in range(2):  # the first one loads the compiled decoder, too
        before = time.process_time()
        with pytest.raises(UserError, match="does not hold"):
            nnc.decode(file)
        spent.append(time.process_time() - before)
    assert min(spent) < 1


@pytest.mark.slow
def test_the_longest_run_from_a_short_stream_is_bounded():
    """A stream of nothing but the likeliest answer stands for many integers: that work is bounded by its length."""
    levels = np.zeros((2000, 5000), np.int8)
    levels[0, 0] = levels[-1, -1] = 1
    plain = cabac.encode_rows(levels.astype(np.int16), 0, 1, 11)
    skipping = cabac.encode_integers(levels)
    assert len(plain) < 13_000 and len(skipping.stream) < 200
    for stream, order in ((plain, 1), (skipping.stream, skipping.order)):
        columns = [["weight:w"], ["int8"], [[2000, 5000]], [0], [1], [len(stream)], [order], [11]]
        file = closed({"integers": columns, "numbers": [], "notes": {"info": {}}}, stream)
        with pytest.raises(UserError, match="each weight needs one step"):  # the stream itself is right
            nnc.decode(file)


def mutate(kind: str, data: bytes, draw: np.random.Generator) -> bytes:
    """Change a file, in half of all cases its streams alone; the digest stays as it was."""
    content, streams = opened(data)
    start = bitstream.START - 8 if draw.random() < 0.5 else len(data) - len(streams)
    if kind == "flip":
        changed = bytearray(data)
        for place in draw.integers(start, len(data), draw.integers(1, 9)):
            changed[place] ^= 1 << draw.integers(8)
        return bytes(changed)
    first, last = sorted(draw.integers(start, len(data) + 1, 2).tolist())
    if kind == "cut":
        return data[:first] if draw.random() < 0.5 else data[:first] + data[last:]
    if kind == "splice":
        piece = draw.bytes(draw.integers(1, 200)) if draw.random() < 0.5 else data[start + (first - start) // 2 : last]
        return data[:first] + piece + data[last if draw.random() < 0.5 else first :]
    column = content["integers"]
    here, there = draw.choice(len(column[0]), 2, replace=False)
    if kind == "inflate":
        where = draw.integers(4)
        factor = int(2 ** draw.uniform(0.5, 40))
        if where == 0:
            side = draw.integers(len(column[2][here]))
            column[2][here][side] = column[2][here][side] * factor + 1
        elif where == 1:
            column[5][here] += min(factor, len(streams))
        elif where == 2:
            column[4][here] = min(127, column[4][here] + factor)
            column[3][here] = max(-128, column[3][here] - factor)
        else:
            numbers = content["numbers"]
            numbers[2][draw.integers(len(numbers[2]))] = [factor]
    elif draw.random() < 0.5:
        ends = np.cumsum([0, *column[5]]).tolist()
        pieces = [streams[a:b] for a, b in itertools.pairwise(ends)]
        pieces[here], pieces[there] = pieces[there], pieces[here]
        streams = b"".join([*pieces, streams[ends[-1] :]])
    else:
        for values in column[1:] if draw.random() < 0.5 else [column[draw.integers(1, len(column))]]:
            values[here], values[there] = values[there], values[here]
    text = json.dumps(content).encode()
    header = zlib.compress(text)
    return data[:40] + struct.pack("<II", len(header), len(text)) + header + streams


def attack(data: bytes, tries: int, seed: int) -> Counter:
    """Decode mutated files, every second one with its digest made right, and count what comes of them.

    Whatever is neither a decoded net nor a `UserError` is raised here.
    """
    draw = np.random.default_rng(seed)
    outcomes: Counter = Counter()
    for number in range(tries):
        kind = KINDS[number // 2 % len(KINDS)]
        changed = data
        while changed[40:] == data[40:]:
            changed = mutate(kind, data, draw)
        forged = number % 2 == 1
        before = time.process_time()
        try:
            decoded = nnc.decode(signed(changed) if forged else changed, most_bytes=MOST_BYTES)
        except UserError as error:
            assert len(str(error).splitlines()) == 1
            outcomes[kind, forged, "refused"] += 1
        else:
            assert forged, "a file whose digest is wrong was decoded"
            assert isinstance(decoded, nnc.Decoded)
            outcomes[kind, forged, "decoded to something"] += 1
        assert time.process_time() - before < MOST_SECONDS
    return outcomes


def test_mutated_files_do_no_harm(data, capsys):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = attack(data, TRIES, SEED)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    with capsys.disabled():
        print(f"\n    {TRIES} mutated files: {dict(outcomes)}; {grown / 1024:.0f} MB more here")
    assert sum(outcomes.values()) == TRIES
    assert sum(count for (_, forged, what), count in outcomes.items() if not forged and what == "refused") == TRIES // 2
    assert any(forged and what == "refused" for _, forged, what in outcomes)
    assert 1024 * grown <= 4 * MOST_BYTES


def net_of(numbers: dict[str, torch.Tensor], notes: dict) -> bytes:
    """A file whose rest and notes somebody made up."""
    content, streams = opened(nnc.encode(Quantized({}, {}, numbers)))
    content["notes"] |= notes
    return closed(content, streams)


def test_copies_of_one_mask_count_before_they_are_made():
    """A mask of ten million zeros costs no byte; a hundred experts would make a gigabyte of it."""
    content = {
        "integers": [["masks"], ["int8"], [[10_000_000]], [0], [0], [0], [0], [11]],
        "numbers": [],
        "notes": {"info": {}, "paths": {"layers": ["a"], "lengths": [10_000_000], "experts": {}}},
    }
    content["notes"]["paths"]["experts"] = {str(number): [0] for number in range(200)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="takes 2,010,000,000 bytes when decoded"):
        nnc.decode(closed(content, b""))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize(
    "step", [torch.ones(3), torch.tensor(1), torch.tensor(1 + 1j), torch.tensor(1, dtype=torch.float16)]
)
def test_levels_have_one_float_step(step):
    levels = {"a": torch.ones(4, 1, dtype=torch.int16), "a.scale": step}
    with pytest.raises(UserError, match="levels of a lack their step"):
        nnc.decode(net_of(levels, {"levels": ["a"]}))


def test_levels_count_as_what_they_become():
    content = net_of({"a": torch.zeros(1000, dtype=torch.int16), "a.scale": torch.tensor(1.0)}, {"levels": ["a"]})
    assert len(nnc.decode(content).quantized.rest["a"]) == 1000
    with pytest.raises(UserError, match="takes 10,004 bytes when decoded and 5,000 are allowed"):
        nnc.decode(content, most_bytes=5000)


@pytest.mark.parametrize(
    "notes",
    [
        {"eps": -1.0},
        {"eps": float("nan")},
        {"eps": "1e-5"},
        {"levels": "a"},
        {"levels": ["a", "a"]},
        {"folded": [1]},
        {"versions": ["a"]},
        {"versions": {"a": "2"}},
        {"versions": {"a": 10**30}},
        {"folded": ["b"], "eps": 10**400},
        {"info": ["a"]},
    ],
)
def test_notes_that_make_no_sense_are_one_sentence(notes):
    with pytest.raises(UserError, match=r"the file (is no quantized net|holds a header)"):
        nnc.decode(net_of({"a": torch.ones(3), "b.weight": torch.ones(2), "b.bias": torch.ones(2)}, notes))


@pytest.mark.parametrize(
    "weight", [torch.ones(4, 4), torch.ones(4, dtype=torch.int8), torch.ones(4, dtype=torch.int16)]
)
def test_only_vectors_are_unfolded(weight):
    with pytest.raises(UserError, match=r"b\.weight is no vector of a batch-norm"):
        nnc.decode(net_of({"b.weight": weight, "b.bias": torch.ones(4)}, {"folded": ["b"], "eps": 1e-5}))


def test_what_is_unfolded_counts_as_what_it_takes():
    vectors = {"b.weight": torch.ones(1000), "b.bias": torch.ones(1000)}
    content = net_of(vectors, {"folded": ["b"], "eps": 1e-5})
    assert len(nnc.decode(content).quantized.rest) == 4
    with pytest.raises(UserError, match="takes 40,000 bytes when decoded and 30,000 are allowed"):
        nnc.decode(content, most_bytes=30_000)


@pytest.mark.parametrize("name", ["\ud800", "n" * 2000])
def test_names_are_short_texts(name):
    with pytest.raises(UserError, match="is no name for a file"):
        nnc.encode(Quantized({}, {}, {name: torch.ones(1)}))
    content, streams = opened(nnc.encode(Quantized({}, {}, {"a": torch.ones(1)})))
    content["numbers"][0] = [f"rest:{name}"]
    with pytest.raises(UserError, match="a header that makes no sense"):
        nnc.decode(closed(content, streams))


def test_a_large_or_foreign_file_is_refused_by_its_first_bytes(tmp_path):
    for name, start, say in (
        ("net.nnc", b"RELCOMP\x02", "2,147,483,648 at most"),
        ("zip", b"PK", "no file of"),
    ):
        with open(tmp_path / name, "wb") as file:
            file.write(start)
            file.truncate(60 * 10**9)
        begin = time.monotonic()
        with pytest.raises(UserError, match=say):
            nnc.read_file(tmp_path / name)
        assert time.monotonic() - begin < MOST_SECONDS
    with pytest.raises(UserError, match="cannot be read"):
        nnc.read_file(tmp_path)


@pytest.mark.parametrize("name", ["weight:b", "step:b", "other:b", "b"])
def test_numbers_are_steps_or_the_rest(name):
    content, streams = opened(nnc.encode(Quantized({}, {}, {"a": torch.ones(3)})))
    content["numbers"][0][0] = name
    with pytest.raises(UserError, match="is no quantized net"):
        nnc.decode(closed(content, streams))


def test_a_net_has_each_tensor_once(data):
    content, streams = opened(data)
    content["numbers"][0] = [name.replace("rest:0.bias", "rest:0.weight") for name in content["numbers"][0]]
    assert "rest:0.weight" in content["numbers"][0]
    with pytest.raises(UserError, match="is no quantized net"):
        nnc.decode(closed(content, streams))


def test_a_file_of_very_many_tensors_is_refused():
    many = {str(number): torch.zeros(1, dtype=torch.bool) for number in range(bitstream.MOST_TENSORS + 1)}
    with pytest.raises(UserError, match="16,384 tensors at most"):
        nnc.encode(Quantized({}, {}, many))


@pytest.mark.parametrize("given", ["net.nnc", 5, 10**12, None, 1.5, [300], [1, 2]])
def test_only_bytes_are_decoded(given):
    with pytest.raises(UserError, match=r"give the bytes of a file, such as Path\('net.nnc'\).read_bytes"):
        nnc.decode(given)


@pytest.mark.parametrize("most", [-1, 1.5, float("nan"), None])
def test_a_limit_is_a_number_of_bytes(data, most):
    with pytest.raises(UserError, match="most_bytes is a whole number"):
        nnc.decode(data, most_bytes=most)
