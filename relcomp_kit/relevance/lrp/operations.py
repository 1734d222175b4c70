"""LRP on operations: every function that a net calls gets its rule, inside torch's modules and outside of them.

The backward pass carries ``c = relevance / value``. Many functions need no rule for that, since their gradient is one:
if f is linear, or grows in proportion with its inputs, as ReLU and max-pooling do, then ``sum_i x_i df/dx_i = f``
(Euler), and each input has its share. `relcomp_kit.relevance.lrp.operation_rules` has the rules of the others, and
`layer_operations` those of layers with weights. What has neither is refused by name.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from relcomp_kit.relevance.lrp.functional_operations import Survey
from relcomp_kit.relevance.lrp.propagation import LayerRelevance
from relcomp_kit.relevance.lrp.rules import Composite

CURE = "no rule, epsilon included, copes with them: compute the same by other functions, or leave them out"
HIDDEN = "something that torch does not show, such as TorchScript or an autograd.Function"

# they move values; some of these names stand for a method, a function and one that works in place
MOVING = {
    "__getitem__", "T", "mT", "H", "mH", "chunk", "split", "tensor_split", "hsplit", "vsplit", "unbind",
    "view", "view_as", "reshape",
    "reshape_as", "flatten", "unflatten", "ravel", "permute", "transpose", "t", "swapaxes", "swapdims", "movedim",
    "moveaxis", "squeeze", "unsqueeze", "expand", "expand_as", "repeat", "tile", "repeat_interleave", "roll", "flip",
    "rot90", "narrow", "select", "index_select", "gather", "unfold", "diagonal", "tril", "triu", "pixel_shuffle",
    "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle", "cat",
    "concat", "concatenate", "stack", "pad", "broadcast_to",
}  # fmt: skip
# linear, or in proportion to their inputs (Euler): their gradients are their rule
PROPORTIONAL = MOVING | {
    "to", "type", "type_as", "float", "double", "half", "bfloat16", "cpu", "cuda", "clone", "contiguous", "neg",
    "negative", "positive", "dropout", "dropout1d", "dropout2d", "dropout3d", "dropout_", "feature_dropout",
    "alpha_dropout", "mean", "sum", "nansum", "cumsum", "interpolate", "upsample", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "lp_pool1d", "lp_pool2d",
    "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices", "grid_sample", "fold", "amax",
    "amin", "max", "min", "topk", "sort", "median", "norm", "std", "abs", "relu", "relu_", "leaky_relu",
    "leaky_relu_", "rrelu",
}  # fmt: skip
# what they return is no longer differentiable, or constant
ASKING = {
    "__len__", "__bool__", "__contains__", "__hash__", "__repr__", "__format__", "size", "dim", "ndimension",
    "numel", "nelement", "stride",
    "storage_offset", "element_size", "is_floating_point", "is_complex", "is_contiguous", "is_tensor",
    "get_device", "argmax",
    "argmin", "argsort", "all", "any", "eq", "ne", "lt", "le", "gt", "ge", "equal", "allclose", "isclose", "isnan",
    "isinf", "isfinite", "sign", "logical_not", "logical_and", "logical_or", "zeros_like", "ones_like", "full_like",
    "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor",
    "register_hook", "retain_grad", "_assert", "_assert_async", "result_type", "can_cast",
    "is_same_size",
}  # fmt: skip
ATTRIBUTES = {"data", "grad", "real", "imag"}  # of a tensor, by which values escape; all others are all right
PLAIN = PROPORTIONAL | ASKING
# their rules call other functions, each of which is looked at
COMPOSED = {
    "layer_norm", "group_norm", "instance_norm", "rms_norm", "stack", "__iter__", "scaled_dot_product_attention",
    "multi_head_attention_forward",
}  # fmt: skip
LIKE = {"to", "type_as", "view_as", "reshape_as", "expand_as"}  # ask a second tensor for its shape or its kind
LARGEST = {"max", "min"}  # of one tensor, or of two
FIRST = 2.0**20  # label of the first sample; what is none, as a padding, lies far from it


def name_of(function: Callable) -> str:
    """Return what a function is called, the name of the attribute if it reads one."""
    name = getattr(function, "__name__", str(function))
    if name != "__get__":
        return name
    attribute = getattr(getattr(function, "__self__", None), "__name__", name)
    return attribute if attribute in ATTRIBUTES | MOVING else "size"


def leaves(*nested: Any) -> Iterator[Any]:
    """Yield all values among arguments, also those in lists and dicts."""
    return iter(tree_flatten(nested)[0])


class Operations(Survey):
    """Give each function that a net calls its rule, and tell what its parameters and constants have received.

    "Data" is what depends on the images. All else is constant; where parameters are among it, relevance of the
    constant goes on to them as gradient times value.

    Parameters
    ----------
    net : nn.Module
        Its parameters ask for no gradient.
    names : dict of str to str
        For each of its parameters the name in the user's net.
    rules : dict of str to callable
        Rule of a function by its name, called as ``rule(operations, function, *args, **options)``.
    composite : Composite
        The rules of convolutions and of the first layer.
    """

    def __init__(self, net: nn.Module, names: dict[str, str], rules: dict[str, Callable], composite: Composite):
        super().__init__(net, set(), CURE)
        self.modules, self.rules, self.composite = dict(net.named_modules()), rules, composite
        self.names = {id(parameter): names[name] for name, parameter in net.named_parameters()}
        self.report: Callable[[str, LayerRelevance], None] = lambda label, found: None
        self.aliases: dict[str, Tensor] = {}
        self.uses: dict[str, int] = {}
        self.places: dict[str, Any] = {}
        self.keeps_places = False
        self.begin(torch.empty(1))

    def begin(self, x: Tensor) -> Tensor:
        """Forget the last forward pass; return the images (N, ...) for the next one, free to be written to."""
        x = x.clone()
        self.samples = len(x)
        self.uses.clear()
        self.places.clear()
        self.seen, self.derived, self.turned = (WeakTensorKeyDictionary() for _ in range(3))
        self.mixed = self._reporting = False
        self.convolved, self.reads = WeakTensorKeyDictionary(), WeakTensorKeyDictionary()
        self.merged: list[tuple[list[int], list[str]]] = []
        self.first = True
        self.seen[x] = True
        return x

    def __torch_function__(self, function, types, args=(), kwargs=None):
        return self.call(function, *args, **(kwargs or {}))

    def call(self, function: Callable, *args, **options) -> Any:
        """Call a function as the net does."""
        name = name_of(function)
        tensors = [one for one in leaves(args, options) if isinstance(one, Tensor)]
        data = [one for one in tensors if self.is_data(one)]
        if not data:
            return self._constant(function, name, tensors, args, options)
        if any(one not in self.seen for one in data):
            self.refuse(HIDDEN)
        for one in data:
            if name not in ASKING and one in self.reads:
                self.reads[one][0] += 1
        rule = self.rules.get(name)
        if rule is not None:
            result = rule(self, function, *args, **options)
        else:
            if name not in PLAIN or (name in PROPORTIONAL and self._loses(name, data, tensors)):
                self.refuse(name)
            result = function(*args, **options)
        for one in leaves(result):
            if isinstance(one, Tensor) and one.requires_grad:
                self.seen[one] = True
            elif isinstance(one, Tensor) and one.is_floating_point() and name not in ASKING:
                self.refuse(f"{name} without gradients")
        if self.samples > 1 and name not in ASKING:
            self._follow(function, name, data, args, options, result)
            self.mixed |= self._reporting and any(map(self._turned, filter(self.is_data, leaves(result))))
        self._reporting = False
        return result

    def is_data(self, value: Any) -> bool:
        """Say whether a value depends on the images."""
        return isinstance(value, Tensor) and value.requires_grad and value not in self.derived

    @property
    def here(self) -> str:
        """Path of the module that is being called."""
        return self._open[-1][0]

    def refuse(self, what: str) -> None:
        """Note that a function has no rule."""
        here = (self.here, what)
        if here not in self.found:
            self.found.append(here)

    def end(self, output: Tensor) -> None:
        """End a forward pass; refuse an output that comes from a function which was not seen."""
        if self.is_data(output) and output not in self.seen:
            self.refuse(HIDDEN)
        for (reads,), sources in self.merged:
            if reads == 1:  # by the batch-norm alone: the convolution as it was before will not be arrived at
                for source in sources:
                    self.uses[source] -= 1

    # --- constants

    def _loses(self, name: str, data: list[Tensor], tensors: list[Tensor]) -> bool:
        """Say whether a function whose rule is for one tensor also takes a parameter or a second tensor."""
        if name in LARGEST:
            return len(tensors) > 1  # a number that it is held against would keep a share
        return name not in LIKE and (len(data) > 1 or any(map(self.sources, tensors)))

    def sources(self, value: Any) -> tuple[str, ...]:
        """Return the names of the parameters that a constant comes from."""
        if not isinstance(value, Tensor):
            return ()
        name = self.names.get(id(value))
        return (name,) if name is not None else self.derived.get(value, ())

    def linked(self, value: Tensor) -> Tensor:
        """Return a constant as autograd needs it: a parameter as a leaf, what is computed from parameters as it is."""
        name = self.names.get(id(value))
        if name is None:
            return value
        if name not in self.aliases:
            self.aliases[name] = value.detach().requires_grad_()
        self.derived[self.aliases[name]] = (name,)
        return self.aliases[name]

    def plain(self, values: Any) -> Any:
        """Return arguments in which constants have no history."""
        return tree_map(lambda one: one.detach() if isinstance(one, Tensor) and one in self.derived else one, values)

    def _constant(self, function: Callable, name: str, tensors: list[Tensor], args: tuple, options: dict) -> Any:
        """Call a function without data; from the result autograd can go back to the parameters in it."""
        found = {name for one in tensors for name in self.sources(one)}
        if not found:
            return function(*args, **options)
        args, options = tree_map(lambda one: self.linked(one) if isinstance(one, Tensor) else one, (args, options))
        if name in ("data", "detach"):
            function = torch.Tensor.clone  # it stays the parameter, for all that a forward pass can do with it
        with torch.enable_grad():
            result = function(*args, **options)
        for one in leaves(result, args[:1] if name == "__setitem__" else ()):  # what is written into, too
            if isinstance(one, Tensor) and one.requires_grad:
                self.derived[one] = tuple(sorted(found))
        return result

    def pulled(self, value: Tensor, products: Tensor, rows: slice | None = None) -> dict[str, Tensor]:
        """Return what is carried at parameters for what is carried at a constant made from them.

        Parameters
        ----------
        value : Tensor
            The constant, or one that is a parameter itself.
        products : Tensor
            Carried at it, or at ``rows`` of it.
        rows : slice, optional
            A part of its first dimension.

        Returns
        -------
        dict of str to Tensor
            By parameter name, in the parameter's shape.
        """
        linked = self.linked(value)
        names = self.sources(value)
        inputs = [self.aliases[name] for name in names]
        with torch.enable_grad():
            part = linked if rows is None else linked[rows]
        found = torch.autograd.grad(part, inputs, products, retain_graph=True, allow_unused=True)
        # as tensors of their own, which may be written to: autograd may give the very products
        return {name: one.clone() for name, one in zip(names, found) if one is not None}

    # --- what is reported

    def attach(
        self, output: Tensor, name: str, constants: Iterable[Tensor | None], found: Callable[[Tensor], LayerRelevance]
    ) -> None:
        """Report ``found(c)`` of a function when the backward pass arrives at its output with ``c``."""
        report = self.reporter(output, name, constants)
        output.register_hook(lambda slope: report(found(slope.detach())))

    def reporter(
        self, output: Tensor, name: str, constants: Iterable[Tensor | None]
    ) -> Callable[[LayerRelevance], None]:
        """Note that a function uses constants, and return what reports their relevance in a backward pass."""
        for one in constants:
            for source in self.sources(one):
                self.uses[source] = self.uses.get(source, 0) + 1
        label, report = f"{self.here} ({name}) {len(self.places)}", self.report
        self.places[label] = output.grad_fn if self.keeps_places else None
        self._reporting = True
        return lambda found: report(label, found)

    # --- samples

    def _follow(self, function: Callable, name: str, data: list[Tensor], args: tuple, options: dict, result: Any):
        """Note results in which the samples do not lie one after the other, as images in a batch do.

        A label for each value, the number of its sample, is moved as the values are.
        """
        results = [one for one in leaves(result) if isinstance(one, Tensor) and one.requires_grad]
        if name in COMPOSED or any(one is other for one in results for other in data):
            return
        if name not in MOVING:
            labels = [self.turned[one] for one in data if one in self.turned]
            for one in results:
                if labels and labels[0] is not None and labels[0].shape == one.shape:
                    self.turned[one] = labels[0]
                elif labels or not one.ndim or len(one) % self.samples:
                    self.turned[one] = None
            return
        if any(one in self.turned and self.turned[one] is None for one in data):
            moved: list[Tensor | None] = [None] * len(results)
        else:
            args, options = tree_map(self._label, (args, options))
            function = torch.Tensor.reshape if name == "view" else function  # labels are no values of their own each
            moved = [one for one in leaves(function(*args, **options)) if isinstance(one, Tensor)]
        for one, label in zip(results, moved):
            if label is None or not self._in_order(label):
                self.turned[one] = label

    def _turned(self, value: Tensor) -> bool:
        return value in self.turned or bool(len(value) % self.samples)

    def apart(self, value: Tensor, samples: int) -> bool:
        """Say whether the samples lie one after the other in a tensor, seen as a row a sample."""
        return value not in self.turned and value.numel() % samples == 0

    def _label(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        if not self.is_data(value):
            return torch.zeros((), device=value.device).expand(value.shape)
        if value in self.turned:
            return self.turned[value]
        each = torch.arange(self.samples, device=value.device).float() + FIRST
        if len(value) % self.samples:  # in order behind another axis: (1, N, ...)
            return each.repeat_interleave(value.numel() // self.samples).reshape(value.shape)
        rows = each.repeat_interleave(len(value) // self.samples)
        return rows.reshape(-1, *(1,) * (value.ndim - 1)).expand(value.shape)

    def _in_order(self, label: Tensor) -> bool:
        if label.numel() % self.samples:
            return False
        rows = label.reshape(self.samples, -1) - FIRST
        own = rows == torch.arange(self.samples, device=rows.device)[:, None]
        return bool((own | (rows < 0) | (rows >= self.samples)).all())
