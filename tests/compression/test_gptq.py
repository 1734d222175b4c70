"""GPTQ against its definition written out, against rounding to the nearest, and on nets of every kind of layer."""

import pytest
import torch
from torch import nn

from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.compression.ecqx import centroid_step, level_range
from relcomp_kit.compression.gptq import BLOCK, gptq, round_columns
from relcomp_kit.errors import UserError


def written_out(weight, hessian, step, levels, damping):
    """Optimal brain quantization in a fixed order: after each column, the others are set by the inverse of theirs."""
    weight, n = weight.clone(), len(hessian)
    hessian = hessian + damping * hessian.diagonal().mean() * torch.eye(n, dtype=hessian.dtype)
    indices = torch.empty_like(weight)
    for j in range(n):
        inverse = torch.linalg.inv(hessian[j:, j:])
        indices[:, j] = (weight[:, j] / step).round().clamp(*levels)
        error = weight[:, j] - step * indices[:, j]
        weight[:, j:] -= error[:, None] * inverse[0] / inverse[0, 0]
    return indices


def correlated(inputs, samples, draw):
    x = torch.randn(inputs, samples, generator=draw, dtype=torch.float64)
    return x + x.roll(1, 0) + 0.5 * x[:1]


@pytest.mark.parametrize("inputs", [1, 7, 40, BLOCK + 5])
def test_columns_are_rounded_as_the_definition_says(inputs):
    draw = torch.Generator().manual_seed(inputs)
    weight = torch.randn(5, inputs, generator=draw, dtype=torch.float64)
    x = correlated(inputs, 3 * inputs, draw)
    asked = (weight, x @ x.T, 0.4, (-3, 4), 0.01)
    before = weight.clone()
    assert torch.equal(round_columns(*asked), written_out(*asked))
    assert torch.equal(weight, before)


def test_inputs_that_have_nothing_in_common_are_rounded_to_the_nearest():
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 9, generator=draw, dtype=torch.float64)
    found = round_columns(weight, torch.diag(torch.arange(9.0, dtype=torch.float64)), 0.3, (-4, 3), 0.01)
    assert torch.equal(found, (weight / 0.3).round().clamp(-4, 3))  # the first, whose input is always 0, too


def test_what_is_pruned_stays_0_and_the_rest_makes_up_for_nothing_else():
    draw = torch.Generator().manual_seed(0)
    weight, mask = torch.randn(4, 30, generator=draw, dtype=torch.float64), torch.ones(4, 30, dtype=torch.float64)
    mask[:, ::2] = 0
    x = correlated(30, 90, draw)
    hessian = x @ x.T
    found = round_columns(weight * mask, hessian, 0.3, (-4, 3), 0.01, mask)
    assert not found[:, ::2].any()
    errors = [
        torch.einsum("oi,ij,oj->", *(each - weight * mask, hessian, each - weight * mask))
        for each in (0.3 * found, 0.3 * (weight * mask / 0.3).round().clamp(-4, 3))
    ]
    assert errors[0] < errors[1]


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, padding="same", padding_mode="reflect"),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, stride=2, dilation=2, padding=1, groups=4, bias=False),
        nn.BatchNorm2d(12),
        nn.Conv2d(12, 6, (1, 3), padding=(0, 1)),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 3),
    ).eval()


def pictures(count=6):
    draw = torch.Generator().manual_seed(1)
    x = torch.rand(count, 4, 14, 15, generator=draw)
    return [(x[:4], None), (x[4:], None)]


def test_the_hessian_of_each_layer_is_that_of_what_its_weights_meet():
    """With a fine grid, the error of the outputs is least: far below that of rounding to the nearest."""
    one, asked = net(), pictures(40)
    x = torch.cat([x for x, _ in asked])
    for bits in (3, 5):
        found = gptq(one, asked, bits)
        nearest = ecqx.quantize(one, bits, 0.0)
        assert all(found.steps[name] == nearest.steps[name] for name in nearest.steps)
        for layer in ("0", "2", "4", "7"):  # each alone, in a net that is otherwise float
            errors = []
            for quantized in (found_alone(one, asked, bits, layer), nearest):
                changed = net()
                state = {f"{layer}.weight": ecqx.state_dict(quantized)[f"{layer}.weight"]}
                changed.load_state_dict(one.state_dict() | state)
                stop = int(layer) + 1
                with torch.inference_mode():
                    errors.append((changed[:stop](x) - one[:stop](x)).square().mean().item())
            assert errors[0] < errors[1], (bits, layer, errors)


def found_alone(one, asked, bits, layer):
    others = [name for name in ("0", "2", "4", "7") if name != layer]
    return gptq(one, asked, bits, exclude=others)


def test_a_net_is_quantized_coded_and_left_as_it_was():
    one, asked = net(), pictures()
    before = {name: value.clone() for name, value in one.state_dict().items()}
    quantized = gptq(one, asked, 4)
    assert all(torch.equal(value, before[name]) for name, value in one.state_dict().items())
    for name, index in quantized.indices.items():
        low, high = level_range(before[name], 4)
        assert index.dtype == torch.int8 and low <= index.min() and index.max() <= high
        assert quantized.steps[name].item() == centroid_step(before[name], 4)
    decoded = nnc.decode(nnc.encode(quantized)).quantized
    assert all(torch.equal(decoded.indices[name], index) for name, index in quantized.indices.items())
    net().load_state_dict(ecqx.state_dict(quantized))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_net_in_half_precision_is_quantized(kind):
    one = nn.Sequential(nn.Linear(30, 8), nn.Linear(8, 3)).eval().to(kind)
    found = gptq(one, [(300 * torch.rand(50, 30).to(kind), None)], 4)
    assert all(step.dtype == kind for step in found.steps.values())


def test_eight_bits_take_eight_unless_the_levels_reach_128():
    one, asked = net(), pictures()
    found, nearest = gptq(one, asked, 8), ecqx.quantize(one, 8, 0.0)
    assert {name: each.dtype for name, each in found.indices.items()} == {
        name: each.dtype for name, each in nearest.indices.items()
    }


def test_layers_follow_the_inputs_that_quantized_ones_leave():
    """The last layer alone makes up for what those before it lost: it ends elsewhere than if they were float."""
    one, asked = net(), pictures(40)
    whole, alone = gptq(one, asked, 2), found_alone(one, asked, 2, "7")
    assert not torch.equal(whole.indices["7.weight"], alone.indices["7.weight"])


class Idle(nn.Module):
    """A layer that is never called, and a weight that belongs to none."""

    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Linear(4, 3), nn.Linear(4, 3)
        self.table = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        return self.used(x @ self.table)


def test_what_no_layer_is_called_with_is_rounded_to_the_nearest():
    one = Idle().eval()
    found, nearest = gptq(one, [(torch.randn(9, 4), None)], 4), ecqx.quantize(one, 4, 0.0)
    for name in ("idle.weight", "table"):
        assert torch.equal(found.indices[name], nearest.indices[name])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bits": 1}, "2 to 8"),
        ({"damping": 0.0}, "above 0, not 0.0"),
        ({"batches": []}, "one batch at least"),
        ({"exclude": ["nothing"]}, "no parameter or layer 'nothing'"),
        ({"step": "wide"}, "no rule 'wide'"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_sentence(change, said):
    asked = {"batches": pictures(), "bits": 4} | change
    with pytest.raises(UserError, match=said):
        gptq(net(), **asked)


def test_a_net_in_train_mode_or_with_a_nan_is_refused():
    with pytest.raises(UserError, match="eval"):
        gptq(net().train(), pictures(), 4)
    bad = net()
    with torch.no_grad():
        bad[0].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"0\.weight"):
        gptq(bad, pictures(), 4)
