"""The arithmetic coder: equal to nncodec's bit by bit where that is installed, equal to itself in plain Python."""

import math
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from relcomp_kit.compression import ecqx
from relcomp_kit.compression.nnc import cabac, deepcabac
from relcomp_kit.files import checkout
from relcomp_kit.models.checkpoints import load_net

PUBLISHED = Path(os.environ.get("RELCOMP_DATA", "")) / "CIFAR-10" / "pretrained"


@pytest.fixture(scope="module")
def reference():
    """nncodec's extension; it has no build for Python 3.13 and later."""
    return pytest.importorskip(
        "nncodec.extensions", reason="nncodec is not installed: nothing to compare with"
    ).deepCABAC


def theirs(reference, matrix, unary, *, profile=1, skip=False, search=True, limits=(0, 0)) -> bytes:
    """What nncodec writes; without limits it knows no bounds."""
    encoder = reference.Encoder()
    encoder.initCtxModels(unary, int(search))
    matrix = np.ascontiguousarray(matrix, np.int32)
    zeros = (~matrix.reshape(len(matrix), -1).any(1)).astype(np.int32)
    history = (reference.HdspMode.AlwaysOff, np.zeros(2, np.int8))
    levels = (limits[1] - limits[0] + 1, -limits[0]) if limits != (0, 0) else (0, 0)
    encoder.encodeLayer(matrix, 0, 0, profile, 0, int(skip and zeros.any()), zeros, *history, *levels)
    return encoder.finish().tobytes()


def their_integers(reference, stream: bytes, shape, low: int, high: int, unary: int) -> np.ndarray:
    decoder, matrix = reference.Decoder(), np.zeros(shape, np.int32)
    decoder.setStream(np.frombuffer(stream + bytes(8), np.uint8))
    decoder.initCtxModels(unary)
    history = (reference.HdspMode.AlwaysOff, np.zeros(2, np.int8))
    decoder.decodeLayer(matrix, 0, 0, 1, 0, *history, high - low + 1, -low)
    assert decoder.finish() == len(stream)
    return matrix


@st.composite
def matrices(draw, most_side: int = 24) -> np.ndarray:
    """Integers of any spread, of one sign or both, dense or not, with rows of zeros or without; not all 0."""
    rows, width = draw(st.integers(1, most_side)), draw(st.integers(1, most_side))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    matrix = np.rint(random.laplace(0, 10 ** draw(st.floats(-1, 4)), (rows, width)))
    matrix = np.clip(matrix, -(2**15), 2**15 - 1).astype(np.int16)
    if draw(st.booleans()):
        matrix = np.abs(matrix.clip(-(2**15) + 1)) * draw(st.sampled_from([-1, 1]))
    if draw(st.booleans()):
        matrix[random.random(rows) < 0.5] = 0
    if not matrix.any():
        matrix[0, 0] = 1
    return matrix.astype(np.int16)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(matrices(), st.sampled_from([1, 11, 128]), st.booleans(), st.booleans())
def test_streams_are_those_of_nncodec(reference, matrix, unary, skip, search):
    low, high = cabac.bounds(matrix)
    skip = skip and min(matrix.shape) > 1
    stream = cabac.encode_rows(matrix, low, high, unary, skip, search)
    assert stream == theirs(reference, matrix, unary, skip=skip, search=search, limits=(low, high))
    assert np.array_equal(their_integers(reference, stream, matrix.shape, low, high, unary), matrix)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(matrices(), st.sampled_from([1, 2, 11, 128]), st.booleans())
def test_what_is_encoded_is_decoded(matrix, unary, skip):
    low, high = cabac.bounds(matrix)
    stream = cabac.encode_rows(matrix, low, high, unary, skip and min(matrix.shape) > 1)
    restored = np.zeros_like(matrix)
    contexts = deepcabac.new_contexts(unary)
    assert deepcabac.decode_matrix(np.frombuffer(stream, np.uint8), restored, low, high, contexts, unary)
    assert np.array_equal(restored, matrix)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(matrices(8), st.sampled_from([2, 11]), st.booleans())
def test_plain_python_writes_and_reads_the_same(matrix, unary, skip):
    plain = deepcabac.in_python()
    assert not hasattr(plain.encode_matrix, "py_func"), "it is not compiled"
    low, high = cabac.bounds(matrix)
    zeros = ~matrix.any(1) if skip and min(matrix.shape) > 1 else np.zeros(len(matrix), bool)
    costs = plain.measure(matrix[~zeros].reshape(-1), plain.STARTS, unary)
    assert np.array_equal(costs, deepcabac.measure(matrix[~zeros].reshape(-1), deepcabac.STARTS, unary))
    starts = costs.argmin(1)
    stream = plain.encode_matrix(matrix, zeros, low, high, plain.new_contexts(unary), starts, unary)
    compiled = deepcabac.encode_matrix(matrix, zeros, low, high, deepcabac.new_contexts(unary), starts, unary)
    assert np.array_equal(stream, compiled)
    restored = np.zeros_like(matrix)
    assert plain.decode_matrix(stream, restored, low, high, plain.new_contexts(unary), unary)
    assert np.array_equal(restored, matrix)


@pytest.mark.parametrize("unary", [0, 129, -1])
def test_flags_that_the_buffers_do_not_hold_are_refused(unary):
    with pytest.raises(ValueError, match="1 to 128 flags"):
        deepcabac.new_contexts(unary)


def test_any_bytes_are_read_within_bounds():
    """Streams of chance, of all lengths, for matrices of all shapes: integers within bounds, or a refusal."""
    draw = np.random.default_rng(0)
    for _ in range(2000):
        stream = draw.integers(0, 256, draw.integers(0, 60), dtype=np.uint8)
        matrix = np.zeros(draw.integers(1, 40, 2), np.int16)
        low, high = -int(draw.integers(0, 2**15)), int(draw.integers(1, 2**15))
        unary = int(draw.integers(1, 129))
        deepcabac.decode_matrix(stream, matrix, low, high, deepcabac.new_contexts(unary), unary)
        assert low <= matrix.min() and matrix.max() <= high


def test_costs_are_what_the_coder_writes():
    """The estimate of `measure` and the length of the stream agree to a percent."""
    matrix = np.rint(np.random.default_rng(0).laplace(0, 1, (100, 500))).astype(np.int16)
    low, high = cabac.bounds(matrix)
    costs = deepcabac.measure(matrix.reshape(-1), deepcabac.STARTS, 11)
    told = costs.min(1).sum() / deepcabac.BIT / 8
    assert len(cabac.encode_rows(matrix, low, high, 11)) == pytest.approx(told, rel=0.01)


@pytest.mark.parametrize(
    "shape", [(5,), (4, 6), (4, 6, 3), (4, 6, 3, 2), (1, 7, 3, 3), (4, 1, 3, 3), (1, 1), (0, 3), ()]
)
@pytest.mark.parametrize("order", range(len(cabac.ORDERS)))
def test_every_order_is_undone(shape, order):
    values = np.arange(math.prod(shape)).reshape(shape)
    matrix = cabac.as_rows(values, order)
    assert len(matrix) == cabac.rows_of(shape, order)
    assert np.array_equal(cabac.from_rows(np.ascontiguousarray(matrix), shape, order), values)


def nets() -> list[str]:
    """The smallest and the largest published net, and one of the kit's; all of them with ``RELCOMP_ALL_NETS=1``."""
    published = [file.stem for file in sorted(PUBLISHED.glob("*.safetensors"))]
    if os.environ.get("RELCOMP_ALL_NETS"):
        return [*published, *sorted(file.stem for file in (checkout() / "data/checkpoints").glob("*.safetensors"))]
    return [*published[:1], *published[1:][-1:], "compact-rail-scenes-0"]


def indices(net: str, bits: int) -> dict[str, np.ndarray]:
    """Indices of all weights of a trained net, zeros being dear for half of its tensors."""
    file = PUBLISHED / f"{net}.safetensors"
    state = load_file(file) if file.is_file() else dict(load_net(net).named_parameters())
    state = {name: weight.detach().float() for name, weight in state.items() if weight.ndim > 1}
    levels, found = (-(2 ** (bits - 1) - 1), 2 ** (bits - 1) - 1), {}
    for place, (name, weight) in enumerate(state.items()):
        step = ecqx.centroid_step(weight, bits)
        found[name] = ecqx.assign(weight, step, levels, 0.3 * step**2 * (place % 2)).numpy()
    return found


@cache
def coded_tensors(net: str, bits: int) -> dict[str, tuple[np.ndarray, cabac.Coded]]:
    """The `indices` of a net, and what the kit makes of them."""
    return {name: (values, cabac.encode_integers(values)) for name, values in indices(net, bits).items()}


@pytest.mark.slow
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("net", nets())
def test_streams_of_trained_nets_are_those_of_nncodec(reference, net, bits):
    """Byte by byte where ours is told what nncodec does, and its streams are read."""
    for name, values in indices(net, bits).items():
        if not values.any():
            continue
        matrix, (low, high) = np.ascontiguousarray(values.reshape(len(values), -1), np.int16), cabac.bounds(values)
        stream = theirs(reference, matrix, 11, limits=(low, high))
        assert cabac.encode_rows(matrix, low, high, 11, False, True) == stream, name
        restored = np.zeros_like(matrix)
        contexts = deepcabac.new_contexts(11)
        assert deepcabac.decode_matrix(np.frombuffer(stream, np.uint8), restored, low, high, contexts, 11)
        assert np.array_equal(restored, matrix), name


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("net", nets())
def test_trained_nets_take_no_more_than_from_nncodec(reference, net, bits):
    """Tensor by tensor, whatever nncodec is told: its default or 127 flags, rows skipped or not, edition 1 or 2."""
    for name, (values, coded) in coded_tensors(net, bits).items():
        if not values.any():
            continue
        low, high = cabac.bounds(values)
        assert np.array_equal(
            cabac.decode_integers(coded.stream, values.shape, low, high, coded.order, coded.unary), values
        )
        matrix = values.reshape(len(values), -1)
        rivals = [
            len(theirs(reference, matrix, unary, profile=profile, skip=bool(profile)))
            for unary in cabac.UNARY
            for profile in (0, 1)
        ]
        assert len(coded.stream) <= min(rivals), name
        rows = np.ascontiguousarray(cabac.as_rows(values, coded.order), np.int16)
        stock = their_integers(reference, coded.stream, rows.shape, low, high, coded.unary)
        assert np.array_equal(stock, rows), "nncodec reads our streams"


@pytest.mark.slow
@pytest.mark.parametrize("bits, most", [(2, 1.0), (3, 1.0), (4, 1.0), (6, 1.002), (8, 1.015)])
@pytest.mark.parametrize("net", nets())
def test_trained_nets_take_no_more_than_their_entropy(net, bits, most):
    """All tensors of a net together, at or below order-0 entropy and what an adaptive coder pays to learn it.

    At 6 and 8 bit an integer has so many flags that what each context wastes adds up.
    """
    total = limit = 0
    for values, coded in coded_tensors(net, bits).values():
        count = np.unique(values, return_counts=True)[1]
        limit += -(count * np.log2(count / values.size)).sum() / 8 + (len(count) - 1) / 2 * math.log2(values.size) / 8
        total += len(coded.stream)
    assert total <= most * limit


def test_bounds_of_the_table_of_costs():
    """What is certain costs next to nothing, and both answers together are certain."""
    share = (2.0 ** (-deepcabac.COSTS / deepcabac.BIT)).sum(1)
    assert np.abs(share - 1).max() < 1e-3
    assert torch.tensor(deepcabac.COSTS).min() == 310
