"""LRP-epsilon in the limit of a small epsilon, as gradient times value: one ordinary backward pass.

In a linear layer ``z_j = sum_i w_ji x_i + b_j`` LRP-0 gives the weight ``R_i<-j = w_ji x_i R_j / z_j``. Write
``c_j = R_j / z_j``: then ``R_i<-j = w_ji x_i c_j`` and ``c_i = R_i / x_i = sum_j w_ji c_j``. That is the chain rule: c
is the gradient of the start, as long as an activation hands ``c`` down by ``c_z = c_y y / z``. For ReLU this is its own
derivative (Shrikumar et al. 2016); for tanh and others the backward pass is changed to it below.

Relevance of one's own that starts at an output which a last ReLU has set to 0 is lost here; zennit's way hands it on.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp.functional_operations import BATCH_NORMS, CURVED, RELUS, SUMS, Survey
from relcomp_kit.relevance.lrp.propagation import LayerRelevance, Propagation, stabilize
from relcomp_kit.relevance.lrp.weight_products import LINEAR, LinearLayer, position_sums, weight_products
from relcomp_kit.relevance.lrp.working_copy import working_copy

CURE = "make each a module that has a rule, such as nn.GELU, or leave it out"


def prepare(model: nn.Module) -> Propagation:
    """Return a copy of a net whose backward pass carries ``c = relevance / value``."""
    net, names = working_copy(model)
    for name, module in list(net.named_modules()):
        if isinstance(module, CURVED):
            net.set_submodule(name, Passing(module).eval())
    made = Propagation(net, carries_gradients=True, survey=Survey(net, SUMS | RELUS, CURE))
    for layer, module in net.named_modules():
        if isinstance(module, (*LINEAR, *BATCH_NORMS)):
            prefix = f"{layer}." if layer else ""
            own = {part: names[prefix + part] for part, _ in module.named_parameters()}
            found = _linear if isinstance(module, LINEAR) else _batch_norm
            module.register_forward_hook(_follow(made, layer or "the net", own, found))
    return made


class Passing(nn.Module):
    """An activation through which relevance passes unchanged: the gradient at its input is ``gradient * y / z``."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, z: Tensor) -> Tensor:
        return _Pass.apply(z, self.activation)


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z: Tensor, activation: nn.Module) -> Tensor:
        y = activation(z)
        ctx.save_for_backward(z, y)
        return y

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor, None]:
        z, y = ctx.saved_tensors
        return slope * y / stabilize(z), None


def _follow(made: Propagation, layer: str, own: dict[str, str], found: Callable) -> Callable:
    """Return a forward hook that waits for the backward pass at a layer's output and reports the layer then."""

    def hook(module: nn.Module, args: tuple, output: Tensor) -> None:
        made.enter(layer)
        x, version = args[0], args[0]._version

        def report(slope: Tensor) -> None:
            if x._version != version:
                raise UserError(f"the input of {layer} was changed in place after {layer} had read it: add without +=")
            made.report(layer, found(module, own, x.detach(), slope.detach()))

        if output.requires_grad:  # not where the net cuts it off itself, which `Survey` or the end result will tell
            output.register_hook(report)

    return hook


def _linear(module: LinearLayer, own: dict[str, str], x: Tensor, slope: Tensor) -> LayerRelevance:
    def parameters(per_sample: bool) -> dict[str, tuple[Tensor, Tensor]]:
        result = {own["weight"]: (module.weight, weight_products(module, x, slope, per_sample=per_sample))}
        if module.bias is not None:
            sums = position_sums(module, slope)
            result[own["bias"]] = (module.bias, sums if per_sample else sums.sum(0))
        return result

    def constants() -> Tensor:
        return position_sums(module, slope) @ module.bias if module.bias is not None else slope.new_zeros(len(slope))

    return LayerRelevance(parameters, constants)


def _batch_norm(module: _BatchNorm, own: dict[str, str], x: Tensor, slope: Tensor) -> LayerRelevance:
    """In eval mode ``y = scale x + shift`` with ``scale = weight / sd`` and ``shift = bias - scale mean``."""
    mean, variance = module.running_mean, module.running_var
    assert mean is not None and variance is not None  # `working_copy` refuses others
    inverse_sd = (variance + module.eps).rsqrt()

    def parameters(per_sample: bool) -> dict[str, tuple[Tensor, Tensor]]:
        if not own:
            return {}
        sums = position_sums(module, slope)
        of_weight = (position_sums(module, slope * x) - sums * mean) * inverse_sd
        if not per_sample:
            of_weight, sums = of_weight.sum(0), sums.sum(0)
        return {own["weight"]: (module.weight, of_weight), own["bias"]: (module.bias, sums)}

    def constants() -> Tensor:
        weight, bias = (module.weight, module.bias) if own else (1.0, 0.0)
        return position_sums(module, slope) @ (bias - weight * inverse_sd * mean)

    return LayerRelevance(parameters, constants)
