"""Nets to bytes and back: exact, with batch-norm folded or numbers in few bits if asked, with experts' masks."""

import copy
import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.nnc import batch_norm_folding, bitstream, cabac
from relcomp_kit.compression.nnc.cabac import Coded, bounds, decode_integers, encode_integers, rows_of
from relcomp_kit.compression.nnc.codec import DTYPES
from relcomp_kit.errors import UserError
from relcomp_kit.models.checkpoints import load_net


def restored(coded: Coded, values: np.ndarray) -> np.ndarray:
    """What the decoder makes of a stream when it knows shape and bounds."""
    return decode_integers(coded.stream, values.shape, *bounds(values), coded.order, coded.unary)


@pytest.fixture(scope="module")
def compact():
    return load_net("compact-rail-scenes-0")


@pytest.mark.slow
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_trained_net_is_exact_and_small(compact, bits, same):
    quantized = ecqx.quantize(compact, bits, 0.05)
    data = nnc.encode(quantized, info={"classes": ["rail", "Gleis ü"]})
    decoded = nnc.decode(data)
    same(quantized, decoded.quantized)
    assert decoded.info == {"classes": ["rail", "Gleis ü"]}
    assert decoded.paths == {}
    header = bitstream.read(data, "the file")
    payload = sum(entry.size for entry in header.integers)
    counts = [np.unique(index.numpy(), return_counts=True)[1] for index in quantized.indices.values()]
    table = sum((len(count) - 1) / 2 * math.log2(count.sum()) for count in counts) / 8
    order0 = sum(quantized.entropies[name] * index.numel() for name, index in quantized.indices.items()) / 8
    assert payload <= {2: 1.0, 4: 1.0, 8: 1.05}[bits] * (order0 + table)
    raw = sum(value.nbytes for value in (*quantized.steps.values(), *quantized.rest.values()))
    assert len(data) - payload < 0.5 * raw, "the header and all other numbers"


def tensors(dtype: str, sides) -> st.SearchStrategy:
    """Tensors of any bits: NaN with a payload, infinities, -0."""

    def make(shape: tuple, seed: int) -> torch.Tensor:
        draw = np.random.default_rng(seed)
        count = math.prod(shape)
        if dtype == "bool":
            return torch.from_numpy(np.asarray(draw.random(shape) > 0.5))
        content = draw.integers(0, 256, count * bitstream.ITEM_BYTES[dtype], dtype=np.uint8)
        return torch.tensor(content.tolist(), dtype=torch.uint8).view(DTYPES[dtype]).reshape(shape)

    return st.builds(make, sides.map(tuple), st.integers(0, 2**31))


shapes = st.lists(st.integers(0, 4), max_size=4)
names = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["conv_G", "conv_H", "a.weight", "a.running_var", "größe", "权重", "[/b]", "."]),
)
rests = st.dictionaries(
    names, st.sampled_from(sorted(DTYPES)).flatmap(lambda dtype: tensors(dtype, shapes)), max_size=6
)
weights = st.dictionaries(
    names,
    st.tuples(
        st.sampled_from(["int8", "int16"]).flatmap(lambda dtype: tensors(dtype, shapes)),
        st.sampled_from(["float32", "float64", "bfloat16"]).flatmap(lambda dtype: tensors(dtype, st.just([]))),
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=60)
@given(weights, rests)
def test_any_dict_of_tensors_is_exact(same, weights, rest):
    rest = {name: value for name, value in rest.items() if name not in weights}
    quantized = Quantized(
        {n: index for n, (index, _) in weights.items()}, {n: s for n, (_, s) in weights.items()}, rest
    )
    same(quantized, nnc.decode(nnc.encode(quantized)).quantized)


@pytest.mark.parametrize("shape", [(1,), (7,), (), (3, 4), (5, 1), (4, 3, 3, 3), (8, 1, 3, 3), (40, 50)])
@pytest.mark.parametrize(
    "low, high", [(-1, 1), (0, 1), (-1, 0), (-8, 7), (-16, 16), (-18, 17), (-128, 128), (-32768, 32767)]
)
def test_integers_in_any_range_are_exact(shape, low, high):
    draw = np.random.default_rng(0)
    for zeros in (0, 0.9):
        values = np.where(draw.random(shape) < zeros, 0, draw.integers(low, high + 1, shape)).astype(np.int16)
        assert np.array_equal(restored(encode_integers(values), values), values)


def test_likely_rows_cost_more_than_the_header_allows():
    """Rows of zeros are skipped for next to nothing each, and a net of nothing else can still be read."""
    values = np.zeros((100_000, 10), np.int8)
    values[50, 5] = 1
    coded = encode_integers(values)
    assert 8 * len(coded.stream) / rows_of(values.shape, coded.order) > 1.1 * bitstream.FEWEST_BITS
    assert np.array_equal(restored(coded, values), values)
    assert encode_integers(np.zeros((100, 1000), np.int8)).stream == b""


def outputs(net, quantized: Quantized) -> torch.Tensor:
    other = copy.deepcopy(net)
    other.load_state_dict(ecqx.state_dict(quantized), strict=True)
    images = torch.randn(
        2, 3, *((5, 5) if len(net.state_dict()) < 20 else (48, 80)), generator=torch.Generator().manual_seed(0)
    )
    with torch.no_grad():
        found = other(images)
    return found["out"] if isinstance(found, dict) else found


@pytest.mark.slow
@pytest.mark.parametrize("which", ["small", "compact"])
def test_folded_batch_norm_gives_the_same_outputs(which, small_net, compact):
    net = small_net if which == "small" else compact
    quantized = ecqx.quantize(net, 4, 0.05)
    folded = nnc.decode(nnc.encode(quantized, fold=True)).quantized
    before, after = outputs(net, quantized), outputs(net, folded)
    assert (after - before).abs().max() <= 1e-5 * max(1, before.abs().max())
    assert list(folded.rest) == list(quantized.rest)
    for name, value in quantized.indices.items():
        assert torch.equal(value, folded.indices[name]), "weights stay index times step"
    layers = batch_norm_folding.batch_norms(quantized.rest)
    assert len(layers) == sum(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    for layer in layers:
        assert folded.rest[f"{layer}.running_mean"].eq(0).all()
        assert folded.rest[f"{layer}.running_var"].eq(1).all()
        assert torch.equal(folded.rest[f"{layer}.num_batches_tracked"], quantized.rest[f"{layer}.num_batches_tracked"])


def test_folding_needs_the_eps_of_the_net(small_net):
    net = copy.deepcopy(small_net)
    net[1].eps = 0.1
    quantized = ecqx.quantize(net, 4, 0.05)
    right, wrong = (nnc.decode(nnc.encode(quantized, fold=True, eps=e)).quantized for e in (0.1, 1e-5))
    assert (outputs(net, right) - outputs(net, quantized)).abs().max() <= 1e-5
    assert (outputs(net, wrong) - outputs(net, quantized)).abs().max() > 1e-3


def test_entries_may_come_in_any_order(small_net, small):
    """A file of safetensors gives them by name: bias before weight."""
    other = Quantized(small.indices, small.steps, dict(sorted(small.rest.items(), reverse=True)))
    for one in (other, Quantized(small.indices, small.steps, dict(sorted(small.rest.items())))):
        folded = nnc.decode(nnc.encode(one, fold=True, float_bits=16)).quantized
        assert (outputs(small_net, folded) - outputs(small_net, small)).abs().max() < 1e-2


def test_a_batch_norm_that_cannot_be_folded_keeps_its_vectors(small, same):
    for value in (-1.0, math.nan):
        rest = small.rest | {"1.running_var": torch.full((8,), value)}
        broken = Quantized(small.indices, small.steps, rest)
        same(broken, nnc.decode(nnc.encode(broken, fold=True)).quantized)
    lone = {"running_var": torch.ones(3), "weight": torch.ones(3)}
    assert batch_norm_folding.batch_norms(lone) == []
    whole = lone | {"bias": torch.ones(3), "running_mean": torch.ones(3)}
    assert batch_norm_folding.batch_norms(whole) == [""], "a net that is a batch-norm itself"


def test_float_bits_round_to_half_a_step_and_save_bytes(small):
    rest = small.rest | {
        "mask": torch.tensor([True, False]),
        "nan": torch.tensor([math.nan, 1.0]),
        "zero": torch.zeros(9),
    }
    quantized = Quantized(small.indices, small.steps, rest)
    exact = nnc.encode(quantized)
    sizes = []
    for bits in (8, 12, 16):
        data = nnc.encode(quantized, float_bits=bits)
        decoded = nnc.decode(data).quantized
        sizes.append(len(data))
        for name in ("0.bias", "1.weight", "1.bias", "1.running_mean", "4.bias"):
            value, found = rest[name], decoded.rest[name]
            assert found.dtype == value.dtype
            error = (found.double() - value.double()).abs().max()
            assert 0 < error <= 0.5001 * value.abs().max() / (2 ** (bits - 1) - 1)
        for name in ("1.running_var", "1.num_batches_tracked", "mask", "zero"):
            assert torch.equal(decoded.rest[name], rest[name])
        assert decoded.rest["nan"].isnan().tolist() == [True, False]
    assert sizes[0] < sizes[1] < sizes[2]
    assert sizes[1] < len(exact), "16 bit save nothing here: their note takes as much"
    for bits in (7, 17):
        with pytest.raises(UserError, match="8 to 16"):
            nnc.encode(quantized, float_bits=bits)


def test_masks_of_experts_travel_with_the_net(small):
    draw = torch.Generator().manual_seed(0)
    shared = torch.rand(64, generator=draw) > 0.3
    paths = {
        "rail": {"0": torch.tensor([True] * 8), "a.conv1": shared, "a.conv2": shared.clone()},
        "sign ü": {"0": torch.tensor([True, False] * 4), "a.conv1": shared.clone()},
        "none": {},
    }
    decoded = nnc.decode(nnc.encode(small, paths=paths)).paths
    assert {expert: list(path) for expert, path in decoded.items()} == {e: list(path) for e, path in paths.items()}
    for expert, path in paths.items():
        for layer, mask in path.items():
            assert decoded[expert][layer].dtype == torch.bool
            assert torch.equal(decoded[expert][layer], mask)
    header = bitstream.read(nnc.encode(small, paths=paths), "the file")
    assert header.integers[-1].items == 8 + 64 + 8, "equal masks are stored once"
    assert header.integers[-1].size <= 80 / 8 + 6


def test_masks_cost_little_more_than_their_entropy(small):
    mask = torch.rand(4000, generator=torch.Generator().manual_seed(0)) > 0.9
    header = bitstream.read(nnc.encode(small, paths={"rail": {"0": mask}}), "the file")
    share = mask.float().mean().item()
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    assert header.integers[-1].size <= 1.03 * 4000 / 8 * entropy + 4


@pytest.mark.parametrize(
    "change, say",
    [
        (lambda q: {"paths": {"rail": {"0": torch.ones(8)}}}, "one bool per output channel"),
        (lambda q: {"paths": {"rail": {"0": torch.ones(2, 2, dtype=torch.bool)}}}, "one bool per output channel"),
        (lambda q: {"info": {"what": object()}}, "JSON"),
        (lambda q: {"info": {"what": "x" * 2**22}}, "shorten the info"),
        (lambda q: {"quantized": Quantized(q.indices, {}, q.rest)}, "one step"),
        (lambda q: {"quantized": Quantized({"w": torch.zeros(3)}, {"w": torch.tensor(1.0)}, {})}, "int8 or int16"),
        (lambda q: {"quantized": Quantized({}, {}, {"w": torch.zeros(3).to(torch.float8_e5m2)})}, "cannot be stored"),
        (lambda q: {"quantized": Quantized({}, {}, {"w": torch.zeros(1).expand(2**31)})}, "too large for one file"),
    ],
)
def test_what_cannot_be_stored_is_said_in_a_sentence(small, change, say):
    arguments = {"quantized": small} | change(small)
    with pytest.raises(UserError, match=say) as error:
        nnc.encode(arguments.pop("quantized"), **arguments)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_of_the_first_version_still_opens():
    """Written by nncodec's coder, position by position, with 128 flags; it holds the digest of its tensors."""
    decoded = nnc.decode((Path(__file__).parent / "version1.nnc").read_bytes())
    digest = hashlib.sha256()
    for part in (decoded.quantized.indices, decoded.quantized.steps, decoded.quantized.rest):
        for name, value in part.items():
            digest.update(name.encode())
            digest.update(bytes(value.contiguous().reshape(-1).view(torch.uint8).tolist()))
    assert digest.hexdigest() == decoded.info["sha256"]
    assert decoded.paths["rail"]["0"].tolist() == [True, False] * 4


def test_order_and_flags_travel_with_the_file(small, same):
    """A linear layer whose columns are alike is scanned by column, and one of large integers gets all flags."""
    draw = np.random.default_rng(0)
    columns = np.repeat(draw.integers(-3, 4, (1, 60)), 200, axis=0).astype(np.int8)
    large = np.where(draw.random((200, 60)) < 0.5, 100, -100).astype(np.int8)
    indices = {"columns": torch.from_numpy(columns), "large": torch.from_numpy(large)}
    net = Quantized(indices, {name: torch.tensor(0.5) for name in indices}, {})
    data = nnc.encode(net)
    first, second = bitstream.read(data, "the file").integers
    assert first.order == 2 and second.unary == 128
    same(net, nnc.decode(data).quantized)


def test_float_bits_leave_a_tensor_exact_whose_step_would_take_the_name_of_another():
    rest = {"a": torch.tensor([1.0, 2.0]), "a.scale": torch.tensor(5.0), "b": torch.tensor([1.0, 2.0])}
    found = nnc.decode(nnc.encode(Quantized({}, {}, rest), float_bits=8)).quantized.rest
    assert torch.equal(found["a"], rest["a"]) and torch.equal(found["a.scale"], rest["a.scale"])
    assert (found["b"] - rest["b"]).abs().max() <= 2 / 127 / 2


def test_paths_may_stand_second(small):
    paths = {"rail": {"0": torch.tensor([True] * 7 + [False])}}
    assert nnc.encode(small, paths) == nnc.encode(small, paths=paths)


@pytest.mark.parametrize(
    "change, say",
    [
        ({"quantized": None}, "NoneType is no quantized net"),
        ({"quantized": {"a": torch.ones(2)}}, "dict is no quantized net"),
        ({"quantized": Quantized({}, {}, {1: torch.ones(2)})}, "named by text, not by 1"),
        ({"quantized": Quantized({}, {"a": torch.tensor(1.0)}, {})}, "a needs int8 or int16 indices and one step"),
        ({"quantized": Quantized({}, {}, {"a": None})}, "a is no dense tensor"),
        ({"quantized": Quantized({}, {}, {"a": torch.ones(2, device="meta")})}, "a is no dense tensor"),
        ({"quantized": Quantized({}, {}, {"a": torch.eye(2).to_sparse()})}, "a is no dense tensor"),
        ({"paths": {1: {"0": torch.tensor([True])}}}, "named by text"),
        ({"paths": {"e": None}}, "a dict of experts"),
        ({"paths": {"0": torch.tensor([True])}}, "a dict of experts"),
        ({"paths": {"e": {"0": [True]}}}, "is list: give one bool"),
        ({"info": ["a"]}, "the info is a dict, not list"),
        ({"info": "text"}, "the info is a dict, not str"),
        ({"fold": True, "eps": -3}, "eps must be 0 or a positive number"),
        ({"fold": True, "eps": float("nan")}, "eps must be 0 or a positive number"),
        ({"fold": True, "eps": 10**400}, "eps must be 0 or a positive number"),
        ({"paths": {"e": {"a:b": torch.tensor([True])}}}, "'a:b' is no name for a layer"),
        ({"quantized": Quantized({}, {}, {"a": torch.ones(1, dtype=torch.complex128)})}, "complex128, which cannot be"),
        ({"quantized": Quantized({}, {}, {"a": torch.ones([1] * 33)})}, "too large for one file"),
        (
            {"quantized": Quantized({"a": torch.ones([1] * 40, dtype=torch.int8)}, {"a": torch.tensor(1.0)}, {})},
            "too large for one file",
        ),
    ],
)
def test_odd_input_is_one_sentence(small, change, say):
    arguments = {"quantized": small} | change
    with pytest.raises(UserError, match=say):
        nnc.encode(arguments.pop("quantized"), **arguments)


def test_what_only_sounds_like_a_batch_norm_is_not_folded(same):
    names = ("my_weight", "my_bias", "my_running_mean", "my_running_var")
    quantized = Quantized({}, {}, {name: torch.ones(3) for name in names})
    same(quantized, nnc.decode(nnc.encode(quantized, fold=True)).quantized)


def test_a_damaged_cache_of_the_compiler_is_told(monkeypatch):
    def damaged(*_):
        raise EOFError("Ran out of input")

    monkeypatch.setattr(cabac.deepcabac, "encode_matrix", damaged)
    with pytest.raises(UserError, match=r"compiled form is damaged: delete the folder .*, and run again"):
        cabac.encode_integers(np.ones((2, 2), np.int8))


def test_conjugated_and_negated_views_are_stored_as_they_look():
    value = torch.tensor([1 + 2j, 3 - 1j])
    rest = {"c": value.conj(), "n": torch._neg_view(torch.tensor([1.0, -2.0]))}
    found = nnc.decode(nnc.encode(Quantized({}, {}, rest))).quantized.rest
    assert torch.equal(found["c"], value.conj().resolve_conj()) and found["n"].tolist() == [-1.0, 2.0]
