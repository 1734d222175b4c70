"""The relevance of a layer's inputs, weight and bias by a rule of zennit."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relcomp_kit.relevance.lrp.rules import Rule
from relcomp_kit.relevance.lrp.weight_products import (
    Geometry,
    convolution_products,
    linear_products,
    position_sums,
)


class Traced(torch.autograd.Function):
    """A function of one tensor whose backward pass is ``back(x, y, c)``.

    What comes next may write into y, as the sum of a residual block does; then it is computed ``again`` from x.

    Parameters
    ----------
    *args, **kwargs
        Unused: autograd calls `forward` and `backward`.
    """

    @staticmethod
    def forward(ctx, x: Tensor, function: Callable, back: Callable[..., Tensor], again: Callable) -> Tensor:
        y = function(x)
        ctx.back, ctx.again = back, again
        ctx.y, ctx.version = y.detach(), y._version
        ctx.save_for_backward(x)
        return y

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        y = ctx.y if ctx.y._version == ctx.version else ctx.again(x)
        return ctx.back(x, y, slope), None, None, None


@dataclass
class Layer:
    """A layer as a function of its input and weights.

    Attributes
    ----------
    run : callable
        ``run(x, weight, bias)``.
    weight, bias : Tensor
        Detached from autograd's graph.
    geometry : Geometry or None
        None for a linear layer.
    transposed : bool
        Whether it is a transposed convolution: input and output have changed places.
    samples : int
        How many samples there are, each in rows one after the other.
    """

    run: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    weight: Tensor
    bias: Tensor | None
    geometry: Geometry | None
    transposed: bool
    samples: int

    def products(self, x: Tensor, slope: Tensor, per_sample: bool) -> Tensor:
        """Return the gradient of ``<slope, run(x, weight)>``, of each sample or of all."""
        samples = self.samples if per_sample else None
        if self.geometry is None:
            return linear_products(x, slope, samples)
        if self.transposed:
            x, slope = slope, x
        return convolution_products(x, slope, self.weight, self.geometry, samples)

    def sums(self, slope: Tensor, per_sample: bool) -> Tensor:
        """Return slopes summed over positions, (N, outputs) or (outputs,)."""
        found = position_sums(slope, self.samples if per_sample else 1, -1 if self.geometry is None else 1)
        return found if per_sample else found[0]


def divided(values: Tensor, by: Tensor) -> Tensor:
    """Return a quotient, which is 0 where the divisor is 0.

    Parameters
    ----------
    values, by : Tensor
        Of one shape.
    """
    return torch.where(by == 0, 0.0, values / by)


def shares(rule: Rule, layer: Layer, x: Tensor, y: Tensor, slope: Tensor) -> tuple[Tensor, Callable, Callable]:
    """Return relevance of a layer's input, and functions that return that of its weight and of its bias.

    Where no part of a sum is positive, as in a neuron with few inputs, z+ would lose what the neuron received; epsilon
    is used there. Where no part is negative, alpha-beta would have nothing to give beta to; z+ is used there.

    Parameters
    ----------
    rule : Rule
        The rule.
    layer : Layer
        The layer, with its weights.
    x, y : Tensor
        Its input and output.
    slope : Tensor
        What the backward pass carries at y: relevance over value.
    """
    hook, received = rule.hook, slope * y
    inputs, outputs, weights, biases = [], [], [], []
    with torch.enable_grad():
        for of_input, of_parameter in zip(hook.input_modifiers, hook.param_modifiers):
            inputs.append(of_input(x.detach()).requires_grad_())
            weights.append(of_parameter(layer.weight, "weight"))
            biases.append(None if layer.bias is None else of_parameter(layer.bias, "bias"))
            outputs.append(layer.run(inputs[-1], weights[-1], biases[-1]))
    slopes = hook.gradient_mapper(received, [one.detach() for one in outputs])
    slopes = [slopes] if isinstance(slopes, Tensor) else list(slopes)
    if rule.alpha > 1:
        alone = (outputs[2] + outputs[3]).detach() == 0
        slopes[:2] = [torch.where(alone, one / rule.alpha, one) for one in slopes[:2]]
    of_input = hook.reducer(inputs, torch.autograd.grad(outputs, inputs, slopes)).detach()
    ones = [1.0] * len(slopes)
    against = None
    if rule.alpha:
        nothing = ((outputs[0] + outputs[1]).detach() == 0) & (received != 0)
        against = rule.alpha * slope * nothing if nothing.any() else None
    if against is not None:
        with torch.enable_grad():
            whole = x.detach().requires_grad_()
            (back,) = torch.autograd.grad(layer.run(whole, layer.weight, None), whole, against)
        of_input = of_input + x * back

    def of_weight(per_sample: bool) -> Tensor:
        products = (layer.products(one.detach(), s, per_sample) for one, s in zip(inputs, slopes))
        found = hook.reducer(ones, [weight * product for weight, product in zip(weights, products)])
        return found if against is None else found + layer.weight * layer.products(x, against, per_sample)

    def of_bias(per_sample: bool) -> Tensor:
        if layer.bias is None:
            return x.new_zeros(layer.samples, 1) if per_sample else x.new_zeros(1)
        found = hook.reducer(
            ones, [bias * layer.sums(s, per_sample) for bias, s in zip(biases, slopes) if bias is not None]
        )
        return found if against is None else found + layer.bias * layer.sums(against, per_sample)

    return of_input, of_weight, of_bias
