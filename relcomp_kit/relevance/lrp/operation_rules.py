"""Rules of functions without weights of their own: sums with constants, products, activations, norms, attention.

- Constants in a sum keep their share, as a bias does.
- A product of k values that depend on the image gives each 1/k (AttnLRP's uniform rule, Achtibat et al. 2024).
- A divisor that depends on the image counts as a constant: so it is in layer norm (AttnLRP; Ali et al. 2022).
- A curved activation passes on what it received (AttnLRP's identity rule), except the share of the constant ``f(0)``.
- Softmax is replaced by its first-order Taylor expansion (AttnLRP), whose remainder counts as a constant.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from relcomp_kit.relevance.lrp.attention import ATTENTION_RULES
from relcomp_kit.relevance.lrp.layer_operations import LAYER_RULES, Parameters, unchanged
from relcomp_kit.relevance.lrp.layer_shares import Traced
from relcomp_kit.relevance.lrp.norms import NORM_RULES
from relcomp_kit.relevance.lrp.operations import Operations, leaves, name_of
from relcomp_kit.relevance.lrp.propagation import LayerRelevance, stabilize
from relcomp_kit.relevance.lrp.working_copy import TracedSigmoid

ADDING = {
    "add", "sub", "subtract", "rsub", "__rsub__", "cat", "concat", "concatenate", "where", "masked_fill", "pad",
    "__setitem__",
}  # fmt: skip
MATRICES = {"matmul", "mm", "einsum", "tensordot", "bilinear"}  # a constant in them is the same for all samples
SCALING = {"mul", "multiply", "div", "divide", "true_divide", "bmm", "prelu"} | MATRICES
DIVISION = {"div", "divide", "true_divide"}
OF_ALL = {"normalize", "local_response_norm"}  # with a divisor that counts as a constant, y is x times a number
CURVED = {
    "tanh", "sigmoid", "hardsigmoid", "hardtanh", "relu6", "elu", "selu", "celu", "gelu", "silu", "mish", "softsign",
    "hardswish", "softplus", "logsigmoid", "log_sigmoid", "tanhshrink", "sin", "atan", "erf", "exp", "expm1", "sqrt",
    "square",
} | OF_ALL  # fmt: skip


def _in_place(rule: Callable) -> Callable:
    """Return a rule for a function that writes into its first argument, from that of the same function without."""

    def written(op: Operations, function: Callable, target: Tensor, *args, **options) -> Tensor:
        if rule is _affine and all(map(op.is_data, (target, *args))) and not options:
            return function(target, *args)
        base = getattr(torch.Tensor, name_of(function).rstrip("_"))
        values = op.call(torch.clone, target)  # they are needed later
        return _write(op, target, rule(op, base, values, *args, **options))

    return written


def _write(op: Operations, target: Tensor, result: Tensor) -> Tensor:
    target.copy_(result)
    op.derived.pop(target, None)
    op.seen[target] = True
    return target


def _affine(op: Operations, function: Callable, *args, **options) -> Tensor:
    """Report what constants keep of a sum, and what parameters receive in a sum or in a product with data."""
    name = name_of(function)
    values = list(leaves(args, options))
    constants = [one for one in values if isinstance(one, Tensor) and one.is_floating_point() and not op.is_data(one)]
    parameters = [one for one in constants if op.sources(one)]
    numbers = not name.startswith("c") and any(isinstance(one, int | float) for one in values)  # cat's is an axis
    adding = name in ADDING and bool(constants or numbers)
    output = function(*op.plain(args), **op.plain(options))
    if not (adding or parameters):
        return output
    data = [one for one in values if op.is_data(one)]
    # a sum needs no value of the data later, and a product all
    kept = {id(one): one.new_zeros(()).expand(one.shape) if adding else one.detach() for one in data}
    check = unchanged(op, data[0]) if not adding else None
    call = Call(op, function, *tree_map(lambda one: kept.get(id(one), one), (args, options)))
    call.data, call.parameters = {id(one) for one in kept.values()}, parameters
    call.matrices = name in MATRICES

    def found(slope: Tensor) -> LayerRelevance:
        if check:
            check()

        def constant() -> Tensor:
            if not adding:
                return slope.new_zeros(call.samples)
            alone = function(*op.plain(call.args), **op.plain(call.options))
            return torch.where(slope == 0, 0.0, slope * alone).reshape(call.samples, -1).sum(1)

        return LayerRelevance(lambda per_sample: call.received(slope, per_sample), constant)

    op.attach(output, name, parameters, found)
    return output


class Call:
    """A function with its arguments, called again in the backward pass to see what its parameters receive.

    Parameters
    ----------
    op : Operations
        The pass that is watched.
    function : callable
        What the net calls.
    args : tuple
        What the net gives it.
    options : dict
        The same by name.
    """

    def __init__(self, op: Operations, function: Callable, args: tuple, options: dict):
        self.op, self.function, self.args, self.options = op, function, args, options
        self.samples = op.samples
        self.data: set[int] = set()
        self.parameters: list[Tensor] = []
        self.matrices = False

    def received(self, slope: Tensor, per_sample: bool) -> Parameters:
        """Return what parameters receive for what is carried at the output."""
        if not self.parameters:
            return {}
        if not per_sample:
            found = self._carried(slope, None)
        else:
            each = [self._carried(slope, n) for n in range(self.samples)]
            found = {name: torch.stack([one[name] for one in each]) for name in each[0]}
        return {name: (self.op.aliases[name].detach(), one) for name, one in found.items()}

    def _carried(self, slope: Tensor, sample: int | None) -> dict[str, Tensor]:
        rows: dict[int, slice | None] = {}
        leaf: dict[int, Tensor] = {}

        def part(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            rows[id(value)] = self._rows(value, slope, sample)
            cut = value.detach() if rows[id(value)] is None else value.detach()[rows[id(value)]]
            if any(value is one for one in self.parameters):
                leaf[id(value)] = cut = cut.requires_grad_()
            return cut

        with torch.enable_grad():
            args, options = tree_map(part, (self.args, self.options))
            output = self.function(*args, **options)
        own = slope if sample is None else slope.unflatten(0, (self.samples, -1))[sample]
        if self.matrices and output.shape != own.shape:  # the constant is there once for each sample
            self.matrices = False
            return self._carried(slope, sample)
        back = dict(zip(leaf, torch.autograd.grad(output, list(leaf.values()), own)))
        found: dict[str, Tensor] = {}
        for one in {id(one): one for one in self.parameters}.values():
            for name, carried in self.op.pulled(one, back[id(one)], rows[id(one)]).items():
                found[name] = found[name] + carried if name in found else carried
        return found

    def _rows(self, value: Tensor, slope: Tensor, sample: int | None) -> slice | None:
        """Return a sample's rows of a tensor; None for a tensor that is the same for all samples."""
        same = id(value) not in self.data
        if same and not self.matrices:
            same = value.ndim != slope.ndim or len(value) != len(slope)
        if sample is None or same:
            return None
        step = len(value) // self.samples
        return slice(sample * step, (sample + 1) * step)


def _product(op: Operations, function: Callable, *args, **options) -> Tensor:
    """Give a product its rule: 1/k of the relevance to each of k factors that depend on the image."""
    name = name_of(function)
    if options.get("rounding_mode") is not None:
        op.refuse(name)
    if name in DIVISION and op.is_data(args[1]):
        if not op.is_data(args[0]):
            op.refuse(f"{name} by what depends on the image")
            return function(*op.plain(args), **options)
        args = (args[0], args[1].detach(), *args[2:])
    factors = sum(op.is_data(one) for one in leaves(args, options))
    if factors == 1:
        return _affine(op, function, *args, **options)
    if any(op.sources(one) for one in leaves(args, options)):
        op.refuse(f"{name} of a parameter and of more than one value that depends on the image")

    def shared(value: Any) -> Any:
        if not op.is_data(value):
            return value
        view = value.view_as(value)
        view.register_hook(lambda carried: carried / factors)
        return view

    args, options = tree_map(shared, op.plain((args, options)))
    return function(*args, **options)


def _curved(op: Operations, function: Callable, input: Tensor, *args, **options) -> Tensor:
    """Give an activation its rule: all but the share of ``f(0)`` goes on, by ``c (f(z) - f(0)) / z``."""
    name = name_of(function)
    if not op.is_data(input) or any(isinstance(one, Tensor) for one in leaves(args, options)):
        op.refuse(name)
        return function(input, *op.plain(args), **op.plain(options))
    target, inplace = input, options.pop("inplace", False)
    input = op.call(torch.clone, input) if inplace else input

    def run(z: Tensor) -> Tensor:
        return function(z, *args, **options)

    zero = input.new_zeros(())
    offset = zero if name in OF_ALL or _is_traced(op) else run(zero)
    output = Traced.apply(input, run, lambda z, y, slope: slope * (y - offset) / stabilize(z), run)
    if offset:
        samples = op.samples
        constants = lambda slope: (slope * offset).reshape(samples, -1).sum(1)  # noqa: E731
        op.attach(output, name, [], lambda slope: LayerRelevance(lambda _: {}, partial(constants, slope)))
    return _write(op, target, output) if inplace else output


def _is_traced(op: Operations) -> bool:
    return op.here in op.modules and isinstance(op.modules[op.here], TracedSigmoid)


def _power(op: Operations, function: Callable, input: Tensor, exponent: Any) -> Tensor:
    """Give ``x ** exponent`` its rule, an activation's, if the exponent is a positive number."""
    if isinstance(exponent, int | float) and exponent > 0 and op.is_data(input):
        return _curved(op, function, input, exponent)
    op.refuse(name_of(function))
    return function(input, exponent)


def _clamp(op: Operations, function: Callable, input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Give a clamp its rule, an activation's."""
    return _curved(op, function, input, min, max)


def _softmax(op: Operations, function: Callable, input: Tensor, *args, **options) -> Tensor:
    """Report the remainder of softmax's first-order expansion, in which each input has the share ``x_i ds/dx_i``."""
    output = function(input, *args, **options)
    axis = options.get("dim", args[0] if args else None)
    x, s, samples = input.detach(), output.detach(), op.samples
    if axis is None:
        op.refuse("softmax without dim")
        return output

    def found(slope: Tensor) -> LayerRelevance:
        def constants() -> Tensor:
            finite = torch.where(s == 0, 0.0, x)  # a mask is minus infinity
            rest = s - s * (finite - (s * finite).sum(axis, keepdim=True))
            return (slope * rest).reshape(samples, -1).sum(1)

        return LayerRelevance(lambda _: {}, constants)

    op.attach(output, "softmax", [], found)
    return output


def _set_item(op: Operations, function: Callable, target: Tensor, index: Any, value: Any) -> None:
    """Write a value into a part of a tensor, one of which may be a constant."""
    if op.is_data(target) and op.is_data(value):
        return function(target, index, value)

    def __setitem__(target: Tensor, index: Any, value: Any) -> Tensor:
        made = target.clone()
        made[index] = value
        return made

    _write(op, target, _affine(op, __setitem__, op.call(torch.clone, target), index, value))
    return None


def _stack(op: Operations, function: Callable, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Stack tensors as `torch.stack` does."""
    return op.call(torch.cat, [op.call(torch.unsqueeze, one, dim) for one in tensors], dim)


def _iterate(op: Operations, function: Callable, input: Tensor) -> Any:
    """Go through a tensor's first dimension."""
    return iter(op.call(torch.unbind, input))


OPERATION_RULES: dict[str, Callable] = {
    **LAYER_RULES,
    **NORM_RULES,
    **ATTENTION_RULES,
    **dict.fromkeys(ADDING, _affine),
    **dict.fromkeys(SCALING, _product),
    **dict.fromkeys(CURVED, _curved),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    **dict.fromkeys(("clamp", "clip"), _clamp),
    "pow": _power,
    "stack": _stack,
    "__iter__": _iterate,
    "__setitem__": _set_item,
}
WRITING = (
    "add", "sub", "mul", "div", "masked_fill", "tanh", "sigmoid", "clamp", "clip", "pow", "square", "exp", "sqrt",
)  # fmt: skip
OPERATION_RULES |= {f"{name}_": _in_place(OPERATION_RULES[name]) for name in WRITING}
