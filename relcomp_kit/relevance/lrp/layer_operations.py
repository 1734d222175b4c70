"""Rules of layers with weights: linear, convolution, batch-norm, as the functions that their modules call.

Epsilon leaves the gradient as it is (LRP-0). For the others, rules of zennit say which parts of input and weight a
neuron's relevance ``R = c z`` is shared by; each input carries on ``c = R / x``.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp.layer_shares import Layer, Traced, divided, shares
from relcomp_kit.relevance.lrp.operations import Operations
from relcomp_kit.relevance.lrp.propagation import LayerRelevance
from relcomp_kit.relevance.lrp.rules import Rule
from relcomp_kit.relevance.lrp.weight_products import (
    Geometry,
    position_sums,
)

Parameters = dict[str, tuple[Tensor | float, Tensor]]


def _linear(op: Operations, function: Callable, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Give `torch.nn.functional.linear` its rule."""
    return _layer(op, function, input, weight, bias, (), None, False, op.composite.first if op.first else None)


def _convolution(
    op: Operations, function: Callable, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride=1, padding=0,
    dilation=1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Give `torch.nn.functional.conv1d`, ``conv2d`` and ``conv3d`` their rule."""
    axes = weight.ndim - 2
    if input.ndim == axes + 1:
        return op.call(function, input[None], weight, bias, stride, padding, dilation, groups)[0]
    stride, dilation = _each(stride, axes), _each(dilation, axes)
    if padding == "same":
        reach = [step * (size - 1) for step, size in zip(dilation, weight.shape[2:])]
        input = op.call(F.pad, input, [side for one in reversed(reach) for side in (one // 2, one - one // 2)])
    padding = (0,) * axes if isinstance(padding, str) else _each(padding, axes)
    geometry = Geometry(stride, padding, dilation, groups)
    rule = (op.composite.first if op.first else None) or op.composite.convolution
    return _layer(op, function, input, weight, bias, geometry, geometry, False, rule)


def _transposed_convolution(
    op: Operations, function: Callable, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride=1, padding=0,
    output_padding=0, groups: int = 1, dilation=1,
) -> Tensor:  # fmt: skip
    """Give `torch.nn.functional.conv_transpose1d`, ``2d`` and ``3d`` their rule."""
    axes = weight.ndim - 2
    stride, padding, dilation = (_each(one, axes) for one in (stride, padding, dilation))
    more = (stride, padding, output_padding, groups, dilation)
    geometry = Geometry(stride, padding, dilation, groups)
    return _layer(op, function, input, weight, bias, more, geometry, True, op.composite.convolution)


def _each(value, axes: int) -> tuple[int, ...]:
    return (value,) * axes if isinstance(value, int) else tuple(value) * (axes if len(value) == 1 else 1)


def _layer(
    op: Operations, function: Callable, input: Tensor, weight: Tensor, bias: Tensor | None, more: tuple,
    geometry: Geometry | None, transposed: bool, rule: Rule | None,
) -> Tensor:  # fmt: skip
    name, op.first = function.__name__, False
    if op.is_data(weight) or op.is_data(bias):
        op.refuse(f"{name} with weights that depend on the image")
        return function(input, weight, bias, *more)
    plain, plain_bias = op.plain((weight, bias))
    layer = Layer(lambda x, w, b: function(x, w, b, *more), plain, plain_bias, geometry, transposed, op.samples)
    if rule is not None:
        split = partial(_own, weight, bias)
        output = _by_rule(op, name, rule, layer, input, lambda x: layer.run(x, layer.weight, layer.bias), split)
        op.reads[output] = [0]
        op.convolved[output] = (rule, layer, input, weight, bias)
        return output
    output = layer.run(input, layer.weight, layer.bias)
    x, check = input.detach(), unchanged(op, input)

    def found(slope: Tensor) -> LayerRelevance:
        check()

        def parameters(per_sample: bool) -> Parameters:
            products = [(weight, layer.products(x, slope, per_sample))] if op.sources(weight) else []
            if bias is not None and op.sources(bias):
                products.append((bias, layer.sums(slope, per_sample)))
            return named(op, products, per_sample)

        def constants() -> Tensor:
            return slope.new_zeros(layer.samples) if layer.bias is None else layer.sums(slope, True) @ layer.bias

        def absolutes() -> Parameters:
            magnitudes = [(weight, layer.products(x.abs(), slope.abs(), False))] if op.sources(weight) else []
            if bias is not None and op.sources(bias):
                magnitudes.append((bias, layer.sums(slope.abs(), False)))
            return named(op, magnitudes, False)

        # a product of several rows, or of weights that are computed, is a sum whose parts have signs
        alone = geometry is None and x[..., 0].numel() == layer.samples
        direct = all(id(one) in op.names for one in (weight, bias) if one is not None and op.sources(one))
        return LayerRelevance(parameters, constants, absolutes if alone and direct else None)

    op.attach(output, name, [weight, bias], found)
    return output


def unchanged(op: Operations, input: Tensor) -> Callable[[], None]:
    """Return a check, for the backward pass, that nothing has written to an input since it was read.

    Parameters
    ----------
    op : Operations
        The pass that is watched.
    input : Tensor
        What is read.
    """
    name, version = op.here, input._version
    values = input.detach()  # shares the count of writes, not the history

    def check() -> None:
        if values._version != version:
            raise UserError(f"the input of {name} was changed in place after {name} had read it: add without +=")

    return check


def named(op: Operations, products: list[tuple[Tensor, Tensor]], per_sample: bool) -> Parameters:
    """Return the relevance of constants, by the names of the parameters that they are or are computed from.

    Parameters
    ----------
    op : Operations
        Knows where constants come from.
    products : list of (Tensor, Tensor)
        A constant and what is carried at it, of each sample or of all.
    per_sample : bool
        Whether samples are kept apart.
    """
    found: Parameters = {}
    for constant, product in products:
        name = op.names.get(id(constant))
        if name is not None:
            parts = {name: (constant, product)}
        elif per_sample:
            each = [op.pulled(constant, one) for one in product]
            parts = {name: (op.aliases[name].detach(), torch.stack([one[name] for one in each])) for name in each[0]}
        else:
            parts = {name: (op.aliases[name].detach(), one) for name, one in op.pulled(constant, product).items()}
        for name, (factor, one) in parts.items():
            found[name] = (factor, found[name][1] + one if name in found else one)
    return found


# a layer's constants, and their relevance for that of its weight and its bias
Split = Callable[[Tensor, Tensor], list[tuple[Tensor, Tensor]]]


def _by_rule(
    op: Operations, name: str, rule: Rule, layer: Layer, input: Tensor, function: Callable, split: Split
) -> Tensor:
    """Return ``function(input)``, a layer's output, through which relevance goes by a rule of zennit."""
    flat = op.composite.first

    def back(x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
        of_input, of_weight, of_bias = shares(rule, layer, x, y, slope)

        def parameters(per_sample: bool) -> Parameters:
            parts = [pair for pair in split(of_weight(per_sample), of_bias(per_sample)) if op.sources(pair[0])]
            own = {op.names[id(one)]: (1.0, part) for one, part in parts if id(one) in op.names}
            carried = [(one, divided(part, one.detach())) for one, part in parts if id(one) not in op.names]
            return own | named(op, carried, per_sample)

        def constants() -> Tensor:
            kept = of_bias(True).sum(1)
            if rule is not flat:
                return kept
            # a flat rule gives to zeros, too, which can carry nothing on: a padding, or what was cut off at 0
            return kept + torch.where(x == 0, of_input, 0.0).reshape(layer.samples, -1).sum(1)

        report(LayerRelevance(parameters, constants))
        return divided(of_input, x)

    output = Traced.apply(input, function, back, lambda x: layer.run(x, layer.weight, layer.bias))
    report = op.reporter(output, name, [constant for constant, _ in split(layer.weight, layer.weight.new_zeros(1))])
    return output


def _own(weight: Tensor, bias: Tensor | None, of_weight: Tensor, of_bias: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(weight, of_weight)] if bias is None else [(weight, of_weight), (bias, of_bias)]


def _batch_norm(
    op: Operations, function: Callable, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False, momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Give `torch.nn.functional.batch_norm` its rule: ``y = scale x + shift``, with ``scale = weight / sd``.

    Right behind a convolution that has a rule of its own it is merged into it, as the two are one linear function.
    """
    if training or running_mean is None or running_var is None or op.is_data(weight) or op.is_data(bias):
        op.refuse("batch_norm by statistics of the batch")
        return function(input, running_mean, running_var, weight, bias, training, momentum, eps)
    inverse_sd = (running_var + eps).rsqrt()
    own, shift = op.plain((weight, bias))
    scale = inverse_sd if own is None else own * inverse_sd
    shift = torch.zeros_like(scale) if shift is None else shift
    if input in op.convolved:
        op.merged.append((op.reads[input], [*op.sources(op.convolved[input][3]), *op.sources(op.convolved[input][4])]))
        convolved = op.convolved[input]
        return _merged(op, convolved, input.detach(), scale, running_mean, shift, weight, bias)
    output = function(input, running_mean, running_var, own, None if bias is None else shift, False, momentum, eps)
    x, check, samples = input.detach(), unchanged(op, input), op.samples

    def found(slope: Tensor) -> LayerRelevance:
        check()

        def parameters(per_sample: bool) -> Parameters:
            sums = position_sums(slope, samples if per_sample else 1, 1)
            products = [(bias, sums)] if bias is not None and op.sources(bias) else []
            if weight is not None and op.sources(weight):
                of_weight = position_sums(slope * x, len(sums), 1) - sums * running_mean
                products.append((weight, of_weight * inverse_sd))
            return named(op, [(one, part if per_sample else part[0]) for one, part in products], per_sample)

        def constants() -> Tensor:
            return position_sums(slope, samples, 1) @ (shift - scale * running_mean)

        return LayerRelevance(parameters, constants)

    op.attach(output, "batch_norm", [weight, bias], found)
    return output


def _merged(
    op: Operations, convolved: tuple, output: Tensor, scale: Tensor, mean: Tensor, shift: Tensor,
    weight_bn: Tensor | None, bias_bn: Tensor | None,
) -> Tensor:  # fmt: skip
    """Return the output of a convolution and a batch-norm as that of one layer, ``W' = scale W``.

    A scale of a row changes no share in it, so the relevance of W' is that of W. What
    ``b' = bias_bn + scale (bias - mean)`` keeps goes to its parts in proportion; ``weight_bn`` is a factor of all that
    holds the scale.
    """
    rule, layer, input, weight, bias = convolved
    own = torch.zeros_like(shift) if layer.bias is None else layer.bias
    whole = shift + scale * (own - mean)
    rows = scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    merged = replace(layer, weight=layer.weight * rows, bias=whole)

    def split(of_weight: Tensor, of_bias: Tensor) -> list[tuple[Tensor, Tensor]]:
        share = divided(of_bias, whole)
        found = _own(weight, bias, of_weight, share * scale * own)
        if weight_bn is not None:
            found.append((weight_bn, of_weight.flatten(share.ndim).sum(-1) + share * scale * (own - mean)))
        if bias_bn is not None:
            found.append((bias_bn, share * shift))
        return found

    normalised = output * _channels(scale, output) + _channels(shift - scale * mean, output)
    return _by_rule(op, "batch_norm", rule, merged, input, lambda x: normalised, split)


def _channels(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *(1,) * (like.ndim - 2))


LAYER_RULES: dict[str, Callable] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed_convolution),
    "linear": _linear,
    "batch_norm": _batch_norm,
}
