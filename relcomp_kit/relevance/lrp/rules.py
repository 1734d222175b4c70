"""Rules of layers: which of zennit's belong together, and what zennit 0.4 does not have."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from zennit.core import BasicHook, stabilize
from zennit.rules import AlphaBeta, Flat, ZPlus


class Gamma(BasicHook):
    """LRP-gamma for inputs and outputs of any sign: shares that go with the sign of the output count 1 + gamma times.

    zennit 0.4's rule favours positive weights everywhere. Before the sum of a residual block outputs are negative too;
    there its denominator comes close to 0, and relevance explodes. Source: Montavon et al. 2019; the generalisation is
    Andéol, Kawakami et al. 2023.

    Parameters
    ----------
    gamma : float
        How much is added to the shares that go with the output.
    """

    def __init__(self, gamma: float = 0.25):
        def favour(sign: float, *, with_bias: bool) -> Callable[[Tensor, str], Tensor]:
            def modify(parameter: Tensor, name: str) -> Tensor:
                if name == "bias" and not with_bias:
                    return torch.zeros_like(parameter)
                return parameter + gamma * (parameter * sign).clamp_min(0) * sign

            return modify

        def slopes(relevance: Tensor, outputs: list[Tensor]) -> list[Tensor]:
            positive = outputs[4] >= 0
            above = torch.where(positive, relevance / stabilize(outputs[0] + outputs[1]), 0.0)
            below = torch.where(positive, 0.0, relevance / stabilize(outputs[2] + outputs[3]))
            return [above, above, below, below, torch.zeros_like(relevance)]

        super().__init__(
            input_modifiers=[lambda x: x.clamp(min=0), lambda x: x.clamp(max=0)] * 2 + [lambda x: x],
            param_modifiers=[
                favour(1, with_bias=True),
                favour(-1, with_bias=False),
                favour(-1, with_bias=True),
                favour(1, with_bias=False),
                lambda parameter, _: parameter,
            ],
            output_modifiers=[lambda output: output] * 5,
            gradient_mapper=slopes,
            reducer=lambda inputs, gradients: sum(x * slope for x, slope in zip(inputs[:4], gradients[:4])),
        )


class _ByShare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        with torch.enable_grad():
            ctx.x = x.detach().requires_grad_()
            ctx.output = function(ctx.x)
        return ctx.output.detach()

    @staticmethod
    def backward(ctx, relevance: Tensor) -> tuple[Tensor, None]:
        slope = relevance / stabilize(ctx.output.detach())
        (back,) = torch.autograd.grad(ctx.output, ctx.x, slope, retain_graph=True)
        return ctx.x.detach() * back, None


def by_share(function: Callable[..., Tensor], input: Tensor, *args, **options) -> Tensor:
    """Call a linear function, such as an interpolation, through which relevance goes back by shares (LRP-0).

    As a plain gradient the relevance of an enlarged logit would go to its neighbours by distance alone, also to one
    that is nearly 0 or spoke against it; divided by that logit in the next layer, it would explode.

    Parameters
    ----------
    function : callable
        Called as ``function(input, *args, **options)``; linear in its input.
    input : Tensor
        What relevance goes back to, of any shape that the function takes.
    *args
        Further arguments of the function.
    **options
        Its keyword arguments.

    Returns
    -------
    Tensor
        What the function returns.
    """
    return _ByShare.apply(input, lambda value: function(value, *args, **options))


class Rule(NamedTuple):
    """A rule of zennit for one layer.

    Parameters
    ----------
    hook : BasicHook
        What it makes of inputs, parameters and relevance; it is not hooked into anything.
    alpha : float
        How much of the relevance goes to what speaks for the output; 0 if the rule does not ask.
    """

    hook: BasicHook
    alpha: float = 0.0


class Composite(NamedTuple):
    """Rules of a net: of its convolutions, and of the first layer if it has one of its own. All else is epsilon.

    Parameters
    ----------
    convolution, first : Rule, optional
        None is epsilon.
    """

    convolution: Rule | None = None
    first: Rule | None = None


COMPOSITES = {
    "epsilon": Composite(),
    "z+": Composite(Rule(ZPlus(), 1.0), Rule(Flat())),
    "gamma": Composite(Rule(Gamma())),
    "alpha2-beta1": Composite(Rule(AlphaBeta(), 2.0), Rule(Flat())),
}
