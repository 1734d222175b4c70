"""Quantized nets: what is quantized, lambda, exact round trips, bad input, and a trained net that goes on working."""

import copy
import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import Subset

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.compression import ecqx
from relcomp_kit.datasets.rail_scenes import CLASSES, RailScenes
from relcomp_kit.errors import UserError
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.metrics import evaluate


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(72, 5))
    layers(torch.randn(4, 3, 5, 5))  # batch-norm's statistics are no longer those of the start
    return layers.eval()


@pytest.fixture
def relevance(net) -> dict:
    return {name: torch.rand_like(value) * 7 for name, value in net.named_parameters()}


def test_weights_are_quantized_and_the_rest_is_not(net):
    before = copy.deepcopy(net.state_dict())
    quantized = ecqx.quantize(net, 4, 0.05)
    assert list(quantized.indices) == list(quantized.steps) == ["0.weight", "4.weight"]
    assert quantized.rest.keys() == before.keys() - quantized.indices.keys()
    for name, value in quantized.rest.items():
        assert torch.equal(value, before[name]) and value.dtype == before[name].dtype
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), "the net itself is left as it was"
    with torch.no_grad():
        net[1].bias.add_(1)
    assert torch.equal(quantized.rest["1.bias"], before["1.bias"]), "the result does not change with the net"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("bits", [2, 8])
def test_state_and_tensors_round_trip_exactly(net, dtype, bits, tmp_path):
    net.to(dtype)
    quantized = ecqx.quantize(net, bits, 0.05)
    state = ecqx.state_dict(quantized)
    other = copy.deepcopy(net)
    other.load_state_dict(state, strict=True)
    for name, value in other.state_dict().items():
        assert value.dtype == state[name].dtype
        assert torch.equal(value, state[name])
    for name, index in quantized.indices.items():
        assert torch.equal(state[name], index * quantized.steps[name])
        assert torch.equal((state[name].double() / quantized.steps[name].double()).round(), index.double())
    file = write_artifact(tmp_path / "net.safetensors", ecqx.to_tensors(quantized), {})
    again = ecqx.from_tensors(read_artifact(file)[0])
    for part in ("indices", "steps", "rest"):
        first, second = getattr(quantized, part), getattr(again, part)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert all(first[name].dtype == second[name].dtype for name in first)


@pytest.mark.parametrize("step", ["p99.9-interpolated", "p99.9", "least-squares"])
@pytest.mark.parametrize("extreme", ["max", "centroid"])
def test_lambda_is_the_published_share_of_the_one_that_empties_a_layer(net, step, extreme):
    """lambda_max found by bisection: the least at which no weight, up to the extreme one, leaves 0."""
    weights = ecqx.quantizable(net)
    for name, grid in ecqx.plan(net, 3, 0.2, step=step, extreme=extreme).items():
        weight = weights[name]
        assert grid.step == ecqx.centroid_step(weight, 3, rule=step)
        assert grid.levels == ecqx.level_range(weight, 3)
        last = 3 * grid.step if extreme == "centroid" else math.inf
        low, high = 0.0, 1e6 * grid.step**2
        for _ in range(60):
            middle = (low + high) / 2
            fitted, _ = ecqx.fit(weight, ecqx.Grid(grid.step, grid.levels, middle))
            low, high = (middle, high) if fitted.indices(weight.clamp(-last, last)).any() else (low, middle)
        share = weight.numel() / weights["4.weight"].numel()
        assert grid.lam == pytest.approx(0.2 * high * (share + 0.05) / 1.05, rel=1e-4)


def test_lambda_makes_zeros_and_saves_bits(net):
    found = [ecqx.quantize(net, 4, Lambda) for Lambda in (0, 0.05, 0.2, 0.6, 21)]
    sparsity, entropy = ([getattr(one, what) for one in found] for what in ("sparsity", "entropy"))
    assert sparsity == sorted(sparsity) and sparsity[0] < sparsity[1]
    assert entropy == sorted(entropy, reverse=True)
    assert sparsity[-1] == 1 and entropy[-1] == 0  # at 0.05 / 1.05 of Lambda even the smallest tensor has lambda_max


def test_sizes_are_those_of_the_counts(net):
    quantized = ecqx.quantize(net, 2, 0.1)
    bits = 0.0
    for index in quantized.indices.values():
        counts = [int((index == value).sum()) for value in index.unique()]
        bits += sum(-count * math.log2(count / index.numel()) for count in counts)
    rest = 4 * (8 + 8 + 8 + 8 + 8 + 5) + 8  # biases, batch-norm's four, its count of batches
    assert quantized.entropy == pytest.approx(bits / (216 + 360))
    assert quantized.coded_bytes == pytest.approx(bits / 8 + 2 * 4 + rest)
    assert quantized.original_bytes == 4 * (216 + 360) + rest
    assert quantized.compression_ratio == pytest.approx(quantized.original_bytes / quantized.coded_bytes)
    assert quantized.bits_per_weight == pytest.approx(8 * quantized.coded_bytes / (216 + 360 + 45 + 1))
    zeros = sum(int((index == 0).sum()) for index in quantized.indices.values())
    assert quantized.sparsity == pytest.approx(zeros / 576)
    assert quantized.sparsities.keys() == quantized.entropies.keys() == quantized.indices.keys()


def test_a_floor_saves_weights_without_relevance_from_zero(net, relevance):
    """Nine tenths of the weights have none, as by z+: without a floor they all become 0."""
    for value in relevance.values():
        value[torch.rand_like(value) < 0.9] = 0
    nothing = {name: relevance[name] == 0 for name in ("0.weight", "4.weight")}
    bare, floored = (ecqx.quantize(net, 4, 0.0, relevance=relevance, floor=floor) for floor in (0.0, 0.01))
    plain = ecqx.quantize(net, 4, 0.0)
    for name, none in nothing.items():
        assert not bare.indices[name][none].any()
        zeros = [(one.indices[name][none] == 0).float().mean() for one in (floored, plain)]
        assert zeros[0] <= zeros[1] + 0.1, "hardly more than by ECQ"
    with pytest.raises(UserError, match="the floor is a share of the largest relevance"):
        ecqx.quantize(net, 4, 0.0, relevance=relevance, floor=1.0)


def test_relevance_in_any_unit_moves_zeros_within_its_range(net, relevance):
    plain = ecqx.quantize(net, 4, 0.2)
    found = ecqx.quantize(net, 4, 0.2, relevance=relevance, give_back=0.05)
    scaled = ecqx.quantize(net, 4, 0.2, relevance={k: v * 2.0**-9 for k, v in relevance.items()}, give_back=0.05)
    for name, index in found.indices.items():
        assert torch.equal(index, scaled.indices[name])
        assert not torch.equal(index, plain.indices[name])
        assert plain.sparsities[name] - 0.05 - 1e-9 <= found.sparsities[name] <= plain.sparsities[name] + 1e-9
    silent = {name: torch.zeros_like(value) for name, value in relevance.items()}
    for name, index in ecqx.quantize(net, 4, 0.2, relevance=silent).indices.items():
        assert torch.equal(index, plain.indices[name])


def test_layers_are_left_out_by_name(net):
    assert list(ecqx.quantize(net, 4, 0.05, exclude=["0"]).indices) == ["4.weight"]
    assert list(ecqx.quantize(net, 4, 0.05, exclude="4.weight").indices) == ["0.weight"]
    nested = nn.ModuleDict({"a": net, "ab": nn.Linear(3, 3)})
    assert list(ecqx.quantizable(nested, ["a"])) == ["ab.weight"], "a name is no prefix of letters"


def test_truncated_indices_lose_levels_at_5_bit_and_none_at_2():
    """Powers of two times a step are exact, so that nothing is cut off; 3 times a step is rounded down now and then."""
    torch.manual_seed(0)
    net = nn.ModuleList(nn.Linear(50, 50) for _ in range(20))
    for bits in (2, 5):
        quantized = ecqx.quantize(net, bits, 0)
        cut = ecqx.truncated(quantized)
        moved = torch.stack([cut.indices[n].abs() - index.abs() for n, index in quantized.indices.items()])
        assert moved.max() == 0
        assert moved.min() == (-1 if bits == 5 else 0)


def changed(dictionary: dict, name: str, value) -> dict:
    return {key: value(old) if key == name else old for key, old in dictionary.items()}


def nan_at(value: float):
    return lambda tensor: tensor.clone().index_fill_(0, torch.tensor([1]), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: {k: v for k, v in r.items() if k != "4.weight"}, "no relevance of 4.weight: measure it on this net"),
        (lambda r: changed(r, "0.weight", lambda v: v[:2]), r"relevance of 0.weight is \(2, 3, 3, 3\) and its weights"),
        (lambda r: changed(r, "4.weight", nan_at(-1.0)), "relevance of 4.weight must be 0 or more, not -1.0 to"),
        (lambda r: changed(r, "4.weight", nan_at(math.nan)), "relevance of 4.weight must be 0 or more, not nan"),
        (lambda r: changed(r, "4.weight", nan_at(math.inf)), "relevance of 4.weight must be 0 or more, not 0.0.* inf"),
    ],
)
def test_bad_relevance_is_refused(net, relevance, change, message):
    with pytest.raises(UserError, match=message):
        ecqx.quantize(net, 4, 0.05, relevance=change(relevance))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 1}, "bit width must be a whole number from 2 to 8, not 1"),
        ({"bits": 9}, "bit width must be a whole number from 2 to 8, not 9"),
        ({"Lambda": -0.1}, "Lambda must be 0 or a positive number, not -0.1"),
        ({"Lambda": math.nan}, "Lambda must be 0 or a positive number, not nan"),
        ({"give_back": -0.1}, r"give back must lie in \[0, 1\], not -0.1"),
        ({"exclude": ["5"]}, "no parameter or layer '5' to leave out"),
        ({"exclude": ["0", "4"]}, "no weights with two dimensions to quantize, or all are left out"),
        ({"step": "max"}, "no rule 'max' for the step"),
        ({"extreme": "p99"}, "no extreme 'p99'; choose one of max, centroid"),
    ],
)
def test_bad_options_are_refused(net, options, message):
    with pytest.raises(UserError, match=message) as caught:
        ecqx.quantize(net, **{"bits": 4, "Lambda": 0.05} | options)
    assert "\n" not in str(caught.value)


def test_bad_nets_are_refused(net):
    shared = nn.Sequential(net[4], net[4])
    with pytest.raises(UserError, match=r"0.weight and 1.weight are one tensor"):
        ecqx.quantize(shared, 4, 0.05)
    with pytest.raises(UserError, match=r"1.weight and 0.weight are one tensor"):
        ecqx.quantize(shared, 4, 0.05, exclude=["0"])
    assert ecqx.quantize(nn.Sequential(net[0], shared), 4, 0.05, exclude=["1"]).indices.keys() == {"0.weight"}
    large = nn.Linear(2, 1, bias=False).half()
    large.weight.data = torch.tensor([[50_000.0, 65_000.0]]).half()
    with pytest.raises(UserError, match=r"centroids of weight leave the range of torch.float16: convert the net"):
        ecqx.quantize(_stretched(large), 3, 0)
    with torch.no_grad():
        net[4].weight[1, 2] = math.nan
    with pytest.raises(UserError, match=r"4.weight holds NaN or infinite weights"):
        ecqx.quantize(net, 4, 0.05)


def _stretched(layer: nn.Linear) -> nn.Linear:
    """A thousand and more weights, of which the largest lies beyond P99.9 by more than half a step."""
    layer.weight.data = torch.full((1, 2000), 50_000.0).half()
    layer.weight.data[0, :1] = 65_000.0
    return layer


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": torch.zeros(2)},
        {"index:a": torch.zeros(2, dtype=torch.int8)},
        {"step:a": torch.tensor(1.0)},
        {"index:a": torch.zeros(2), "step:a": torch.tensor(1.0)},
        {"index:a": torch.zeros(2, dtype=torch.int8), "step:a": torch.ones(1)},
    ],
)
def test_other_tensors_are_no_quantized_net(tensors):
    with pytest.raises(UserError, match="quantized net"):
        ecqx.from_tensors(tensors)


@pytest.mark.slow
def test_a_trained_net_goes_on_working():
    """8 bit are as good as float, 4 bit less, 2 bit of no use without training."""
    net = load_net("compact-rail-scenes-0")
    scenes = Subset(RailScenes("test", size=(48, 80)), range(8))
    found = {32: evaluate(net, scenes, CLASSES)["pixel_accuracy"]}
    for bits in (8, 4, 2):
        state = ecqx.state_dict(ecqx.quantize(net, bits, 0))
        again = deeplab("compact", len(CLASSES), seed=1)
        again.load_state_dict(state, strict=True)
        found[bits] = evaluate(again.eval(), scenes, CLASSES)["pixel_accuracy"]
    assert abs(found[8] - found[32]) < 0.01
    assert found[8] > found[4] > found[2]


def test_gradient_scales():
    gradient = torch.tensor([1.0, -2.0, 3.0, 4.0])
    index = torch.tensor([0, 2, -3, 1], dtype=torch.int8)
    scaled = partial(ecqx.scale_gradient, gradient, index, 0.5)
    assert scaled("none") is gradient
    assert scaled("abs").tolist() == [1, -2, 4.5, 2]
    assert scaled("signed").tolist() == [1, -2, -4.5, 2]
    with pytest.raises(UserError, match="no gradient scale 'unsigned'; choose one of none, abs, signed"):
        scaled("unsigned")


def test_what_is_left_out_may_be_named_once_only():
    net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    relevance = {name: torch.ones_like(value) for name, value in net.named_parameters()}
    found = ecqx.quantize(net, 4, 0.05, relevance=relevance, exclude=iter(["0"]))
    assert found.indices.keys() == {"1.weight"} and "0.weight" in found.rest
