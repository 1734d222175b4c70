"""The rivals' sizes, the table of a file, and the three commands."""

import bz2
import gzip
import json
import lzma
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.cli import app
from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.compression.nnc import rival_codecs
from relcomp_kit.errors import UserError

UNPACK = {"bzip2": bz2.decompress, "gzip": gzip.decompress, "xz": lzma.decompress}


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=40))
def test_huffman_is_the_best_prefix_code(counts):
    lengths = rival_codecs.huffman_lengths(counts)
    total = sum(counts)
    entropy = -sum(count / total * math.log2(count / total) for count in counts)
    mean = sum(count * length for count, length in zip(counts, lengths)) / total
    assert entropy - 1e-9 <= mean <= entropy + 1, "a symbol alone takes a bit"
    if len(counts) > 1:
        assert sum(2.0**-length for length in lengths) == 1, "Kraft's sum of a full tree"


def test_huffman_of_the_textbook():
    assert sorted(rival_codecs.huffman_lengths([45, 13, 12, 16, 9, 5])) == [1, 3, 3, 3, 4, 4]
    assert rival_codecs.huffman_bytes(np.zeros(80, np.int8)) == math.ceil((80 + 5) / 8), "a bit for each, and a table"
    assert rival_codecs.huffman_bytes(np.zeros(0, np.int8)) == 0


@pytest.mark.parametrize("low, high, each", [(0, 1, 8), (-1, 2, 4), (-1, 1, 4), (-3, 4, 2), (-8, 7, 2), (-9, 7, 1)])
def test_indices_are_packed_densely_and_without_loss(low, high, each):
    values = np.random.default_rng(0).integers(low, high + 1, (5, 7)).astype(np.int8)
    values[0, :2] = low, high
    packed = rival_codecs.pack(values)
    assert len(packed) == math.ceil(35 / each)
    width = 8 // each
    unpacked = [byte >> shift & (1 << width) - 1 for byte in packed for shift in range(8 - width, -1, -width)]
    assert np.array_equal(np.array(unpacked[:35]) + low, values.ravel())
    assert len(rival_codecs.pack(np.array([-1000, 1000], np.int16))) == 4


def test_rivals_code_what_was_packed(small):
    packed = b"".join(rival_codecs.pack(index.numpy()) for index in small.indices.values())
    for codec, unpack in UNPACK.items():
        assert unpack(rival_codecs.compress(codec, packed)) == packed
    import zstandard

    assert zstandard.ZstdDecompressor().decompress(rival_codecs.compress("zstd", packed)) == packed
    with pytest.raises(UserError, match="choose one of bzip2, gzip, xz, zstd"):
        rival_codecs.compress("rar", packed)


def test_sizes_are_in_their_order(small):
    sizes = rival_codecs.index_bytes(small)
    assert set(sizes) == {"DeepCABAC", "order-0 entropy", "table", "Huffman", "raw", *rival_codecs.GENERAL}
    assert sizes["order-0 entropy"] <= sizes["Huffman"] <= sizes["raw"] + 10
    assert sizes["raw"] == math.ceil(216 * 3 / 8) + math.ceil(1000 * 3 / 8)
    assert sizes["DeepCABAC"] <= 1.05 * (sizes["order-0 entropy"] + sizes["table"])


@pytest.mark.skipif(not rival_codecs.has_nncodec(), reason="nncodec is not installed: nothing to compare with")
def test_nncodecs_own_quantization_and_its_exit(monkeypatch, small_net, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    state = {name: value.clone() for name, value in small_net.state_dict().items()} | {"x_G": torch.tensor(0.5)}
    for dependent in (False, True):
        size, decoded = rival_codecs.nncodec_floats(state, dependent=dependent)
        assert 0 < size < sum(value.nbytes for value in state.values())
        assert decoded.keys() == state.keys()
        for name, value in state.items():
            assert decoded[name].shape == value.shape
            assert torch.allclose(decoded[name].float(), value.float(), atol=0.02)
    from nncodec import nnc as theirs

    monkeypatch.setattr(theirs, "compress", lambda *_, **__: sys.exit("cannot read"))
    with pytest.raises(UserError, match="nncodec cannot code this net"):
        rival_codecs.nncodec_floats(state, dependent=True)
    assert not capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_where_nncodec_is_missing_a_sentence_says_so(monkeypatch, small_net):
    monkeypatch.setattr(rival_codecs, "has_nncodec", lambda: False)
    with pytest.raises(UserError, match=r"nncodec is not installed, .*: take Python 3.10 to 3.12"):
        rival_codecs.nncodec_floats(small_net.state_dict(), dependent=False)


def test_the_table_adds_up_to_the_file(small):
    data = nnc.encode(small, paths={"rail": {"0": torch.ones(8, dtype=torch.bool)}}, fold=True)
    rows = nnc.table(data, nnc.decode(data))
    assert [row.name for row in rows] == [*small.indices, "masks of experts", "all other numbers", "header and digest"]
    assert sum(row.size for row in rows) == len(data)
    assert sum(row.share for row in rows) == pytest.approx(1)
    for row in rows[:2]:
        assert row.zeros == small.sparsities[row.name]
        assert row.bits == 8 * row.size / small.indices[row.name].numel()
    assert rows[-2].items == 2 + 3 * 8 + 5 + 1, "steps, biases and folded batch-norm, its counter"
    assert math.isnan(rows[-1].bits)


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["relcomp", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        app.main()
    return stop.value.code or 0


@pytest.mark.slow
def test_commands_make_the_same_net_again(small, small_net, monkeypatch, tmp_path, capsys, same):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")  # narrower, the table breaks its words
    about = {"classes": ["rail", "[sky]"], "seed": 0}
    write_artifact(tmp_path / "net.safetensors", ecqx.to_tensors(small), about)
    masks = {"rail:0": torch.tensor([True] * 7 + [False]), "a:b:4": torch.ones(5, dtype=torch.bool)}
    write_artifact(tmp_path / "masks.safetensors", masks, {})
    assert call(monkeypatch, "encode", "net.safetensors", "-o", "net.nnc", "--paths", "masks.safetensors") == 0
    assert f"{(tmp_path / 'net.nnc').stat().st_size:,} bytes" in capsys.readouterr().out
    assert call(monkeypatch, "decode", "net.nnc", "-o", "again.safetensors") == 0
    tensors, info = read_artifact(tmp_path / "again.safetensors")
    original = ecqx.to_tensors(small)
    assert info == about and tensors.keys() == original.keys()
    assert all(torch.equal(tensors[key], original[key]) for key in tensors)
    found = read_artifact(tmp_path / "again.paths.safetensors")[0]
    assert found.keys() == masks.keys() and all(torch.equal(found[key], masks[key]) for key in masks)
    assert call(monkeypatch, "decode", "net.nnc", "-o", "float.safetensors", "--float") == 0
    small_net.load_state_dict(small_net.state_dict() | read_artifact(tmp_path / "float.safetensors")[0], strict=True)
    for name in ("keep-0.25", "keep-0.75"):
        assert call(monkeypatch, "decode", "net.nnc", "-o", name) == 0
        assert read_artifact(tmp_path / f"{name}.paths.safetensors")[0].keys() == masks.keys()
    capsys.readouterr()
    assert call(monkeypatch, "info", "net.nnc") == 0
    shown = capsys.readouterr().out
    expected = ("0.weight", "8x3x3x3", "all other numbers", "[sky]", "experts: a:b, rail", "%")
    assert not [part for part in expected if part not in shown], shown


@pytest.mark.slow
def test_names_are_shown_as_they_are(monkeypatch, tmp_path, capsys):
    """Brackets are no markup, and what steers a terminal is spelled out."""
    monkeypatch.setenv("COLUMNS", "120")
    file = tmp_path / "net.nnc"
    index, step = {"a[/b]": torch.ones(2, 2, dtype=torch.int8)}, {"a[/b]": torch.tensor(1.0)}
    file.write_bytes(nnc.encode(ecqx.Quantized(index, step, {}), info={"from": "\x1b]0;you\x07"}))
    assert call(monkeypatch, "info", file) == 0
    shown = capsys.readouterr().out
    assert "a[/b]" in shown and "from: \\x1b]0;you\\x07" in shown and "\x1b]" not in shown


@pytest.mark.slow
def test_a_committed_net_is_quantized_on_the_way(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "encode", "compact-rail-scenes-0", "-o", "net.nnc", "--bits", 2, "--fold") == 0
    size = (tmp_path / "net.nnc").stat().st_size
    assert size < 0.02 * 4 * 1.9e6
    decoded = nnc.decode((tmp_path / "net.nnc").read_bytes())
    assert decoded.info["net"] == "compact" and decoded.info["bits"] == 2 and "log" not in decoded.info


@pytest.mark.slow
def test_bad_input_is_one_sentence(small, small_net, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    write_artifact(tmp_path / "float.safetensors", dict(small_net.state_dict()), {})
    write_artifact(tmp_path / "net.safetensors", ecqx.to_tensors(small), {})
    (tmp_path / "text.nnc").write_text(json.dumps({"a": 1}), encoding="utf-8")
    (tmp_path / "short.nnc").write_bytes(nnc.encode(small)[:-9])
    for arguments, say in (
        (("encode", "none.safetensors", "-o", "x"), "is missing"),
        (("encode", "float.safetensors", "-o", "x"), "--bits 4"),
        (("encode", "text.nnc", "-o", "x"), "is damaged, or no safetensors file"),
        (("encode", "net.safetensors", "-o", "x", "--paths", "none"), "none cannot be read (No such file"),
        (("encode", "net.safetensors", "-o", "x", "--paths", "."), ". cannot be read (Is a directory)"),
        (("encode", "none", "-o", "x", "--bits", "4"), "no committed net"),
        (("encode", "compact-rail-scenes-0", "-o", "x", "--bits", "9"), "from 2 to 8"),
        (("encode", "net.safetensors", "-o", "x", "--float-bits", "4"), "from 8 to 16"),
        (("encode", "net.safetensors", "-o", "x", "--paths", "float.safetensors"), "which is no mask"),
        (("decode", "none.nnc", "-o", "x"), "cannot be read"),
        (("decode", "text.nnc", "-o", "x"), "no file of `relcomp encode`"),
        (("decode", "short.nnc", "-o", "x"), "SHA-256 is wrong"),
        (("info", "short.nnc"), "SHA-256 is wrong"),
    ):
        assert call(monkeypatch, *arguments) == 1, arguments
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("relcomp: ") and say in lines[0], lines
        assert not (tmp_path / "x").exists()
