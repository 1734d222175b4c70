"""LRP by zennit's rules, composites and canonizers, with what zennit leaves out: the relevance of the parameters.

A rule of zennit computes modified outputs from modified inputs x' and parameters W', and hands each input
``x' dz'/dx' s`` with ``s`` the relevance of the output divided by ``z'``. The relevance of a weight is the same sum
taken at its other end, ``W' dz'/dW' s``: both are sums of the same shares ``x'_i w'_ji s_j``.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from zennit.canonizers import Canonizer, MergeBatchNorm
from zennit.composites import LAYER_MAP_BASE, EpsilonAlpha2Beta1Flat, EpsilonPlusFlat, LayerMapComposite
from zennit.core import BasicHook, Composite, mod_params
from zennit.rules import Epsilon, Norm
from zennit.torchvision import ResNetCanonizer
from zennit.types import Convolution, Linear

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp.functional_operations import BATCH_NORMS, MIXING, Survey
from relcomp_kit.relevance.lrp.propagation import RULES, LayerRelevance, Propagation
from relcomp_kit.relevance.lrp.rules import Gamma, by_share
from relcomp_kit.relevance.lrp.weight_products import LINEAR, LinearLayer, position_sums, weight_products
from relcomp_kit.relevance.lrp.working_copy import working_copy

CURE = "make modules of them (nn.ReLU, zennit.layer.Sum, ...), or leave out way='zennit' and canonizers"


def composite(rule: str) -> Composite:
    """Return zennit's composite of a rule in `relcomp_kit.relevance.lrp.RULES`."""
    if rule not in RULES:
        raise UserError(f"there is no rule {rule!r}; choose one of {', '.join(RULES)}")
    if rule == "z+":
        return EpsilonPlusFlat()
    if rule == "alpha2-beta1":
        return EpsilonAlpha2Beta1Flat()
    if rule == "gamma":
        return LayerMapComposite([*LAYER_MAP_BASE, (Convolution, Gamma()), (nn.Linear, Epsilon())])
    return LayerMapComposite([*LAYER_MAP_BASE, (Linear, Epsilon())])


def prepare(model: nn.Module, rule: str, canonizers: Sequence[Canonizer] | None = None) -> Propagation:
    """Return a copy of a net whose backward pass carries relevance by zennit's rules.

    Parameters
    ----------
    model : nn.Module
        In eval mode; it is not touched.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`.
    canonizers : sequence of zennit canonizers, optional
        zennit's ResNetCanonizer by default, which merges batch-norms into the layers before them and makes modules of
        the sums in torchvision's residual blocks; all else in it is left alone, so it serves other nets too.

    Raises
    ------
    UserError
        If there is no such rule, the net is in train mode, a weight is not a number, or a batch-norm cannot be merged.
    """
    net, names = working_copy(model)
    before = {name: value.detach() for name, value in net.state_dict().items()}
    paths = {module: name for name, module in net.named_modules()}
    for name, module in net.named_modules():
        if isinstance(module, BATCH_NORMS) and module.weight is None:
            raise UserError(
                f"{name} is a batch-norm without weights, which zennit cannot merge: leave out way='zennit'"
            )
    eps = {name: module.eps for name, module in net.named_modules() if isinstance(module, BATCH_NORMS)}
    merged: dict[str, str] = {}  # layer -> its batch-norm
    for canonizer in (ResNetCanonizer(),) if canonizers is None else canonizers:
        for done in _applied(canonizer, net):
            if isinstance(done, MergeBatchNorm):
                merged |= {paths[layer]: paths[done.batch_norm] for layer in done.linears}
                done.batch_norm.eps = 0.0  # or the identity that is left would still shrink its input
    net.requires_grad_(False)
    survey = Survey(net, set(), CURE, dict.fromkeys(MIXING, by_share))
    made = Propagation(net, carries_gradients=False, survey=survey, original=model)
    context: dict = {}
    chosen = composite(rule)
    for layer, module in net.named_modules():
        template = Norm() if isinstance(module, nn.Upsample) else chosen.module_map(context, layer, module)
        if isinstance(module, BATCH_NORMS) and layer not in merged.values():
            made.survey.found.append((layer, "batch-norm that is not merged into a layer before it"))
        if template is None:
            continue
        hook = template.copy()
        hook.register(module)
        if isinstance(hook, BasicHook):  # it remembers one input
            module.register_forward_hook(lambda *_, layer=layer: made.enter(layer))
        if isinstance(hook, BasicHook) and isinstance(module, LINEAR):
            split = _split(before, names, layer, merged.get(layer), eps)
            hook.backward = _recording(made, layer, hook, split)
    return made


def _applied(canonizer: Canonizer, net: nn.Module) -> list[Canonizer]:
    try:
        return canonizer.apply(net)
    except RuntimeError as error:
        raise UserError(
            "zennit merges each batch-norm into the layer that stands before it, and here one does not fit: leave out "
            "way='zennit', or take canonizers of your own"
        ) from error


def _recording(made: Propagation, layer: str, hook: BasicHook, split: Callable) -> Callable:
    """Return a backward function for a hook of zennit that computes what its own does, and reports the parameters."""

    def backward(module: LinearLayer, grad_input: tuple, grad_output: tuple) -> tuple:
        original = hook.stored_tensors["input"][0].detach()
        inputs, outputs, weights, biases = [], [], [], []
        for of_input, of_parameter, of_output in zip(hook.input_modifiers, hook.param_modifiers, hook.output_modifiers):
            x = of_input(original).requires_grad_()
            with mod_params(module, of_parameter, hook.param_keys, hook.require_params), torch.enable_grad():
                outputs.append(of_output(module.forward(x)))
                weights.append(module.weight.detach())
                if module.bias is not None:
                    biases.append(module.bias.detach())
            inputs.append(x)
        slopes = hook.gradient_mapper(grad_output[0], outputs)
        slopes = [slopes] if isinstance(slopes, Tensor) else list(slopes)
        relevance = hook.reducer(inputs, torch.autograd.grad(outputs, inputs, slopes)).detach()
        slopes = [slope.detach() for slope in slopes]
        ones = [1.0] * len(slopes)

        def of_weight(per_sample: bool) -> Tensor:
            products = (weight_products(module, x.detach(), s, per_sample=per_sample) for x, s in zip(inputs, slopes))
            return hook.reducer(ones, [weight * product for weight, product in zip(weights, products)])

        def of_bias() -> Tensor:
            if module.bias is None:
                return original.new_zeros(len(original), 1)
            return hook.reducer(
                ones,
                [
                    bias * position_sums(s, len(s), -1 if isinstance(module, nn.Linear) else 1)
                    for bias, s in zip(biases, slopes)
                ],
            )

        def parameters(per_sample: bool) -> dict[str, tuple[float, Tensor]]:
            return split(of_weight(per_sample), of_bias(), per_sample)

        made.report(layer, LayerRelevance(parameters, lambda: of_bias().sum(1)))
        return tuple(relevance if one.shape == relevance.shape else None for one in grad_input)

    return backward


def _split(
    before: dict[str, Tensor], names: dict[str, str], layer: str, batch_norm: str | None, eps: dict[str, float]
) -> Callable:
    """Return a function that names a layer's relevance by the parameters of the user's net.

    Where a batch-norm was merged, ``W' = scale W`` and ``b' = bias_bn + scale (b - mean)``, ``scale = weight_bn / sd``.
    A scale of a row changes no share in it, so the relevance of W' is that of W. What ``b'`` keeps goes to its parts
    in proportion; ``weight_bn`` is a factor of all that holds the scale.
    """
    bias = before.get(f"{layer}.bias")

    def plain(of_weight: Tensor, of_bias: Tensor, per_sample: bool) -> dict[str, Tensor]:
        found = {f"{layer}.weight": of_weight}
        if bias is not None:
            found[f"{layer}.bias"] = of_bias if per_sample else of_bias.sum(0)
        return found

    def merged(of_weight: Tensor, of_bias: Tensor, per_sample: bool) -> dict[str, Tensor]:
        assert batch_norm is not None
        weight, shift, mean, variance = (
            before[f"{batch_norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / (variance + eps[batch_norm]).sqrt()
        own = torch.zeros_like(shift) if bias is None else bias
        whole = shift + scale * (own - mean)
        share = torch.where(whole == 0, 0.0, of_bias / torch.where(whole == 0, 1.0, whole))  # (N, outputs)
        share = share if per_sample else share.sum(0)
        found = {f"{layer}.weight": of_weight, f"{batch_norm}.bias": share * shift}
        found[f"{batch_norm}.weight"] = of_weight.flatten(share.ndim).sum(-1) + share * scale * (own - mean)
        if bias is not None:
            found[f"{layer}.bias"] = share * scale * own
        return found

    def named(of_weight: Tensor, of_bias: Tensor, per_sample: bool) -> dict[str, tuple[float, Tensor]]:
        found = (merged if batch_norm else plain)(of_weight, of_bias, per_sample)
        return {names[name]: (1.0, value) for name, value in found.items()}

    return named
