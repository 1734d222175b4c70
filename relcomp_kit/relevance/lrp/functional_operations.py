"""What a net computes outside its modules: additions, activations and products that no rule can be attached to."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from zennit.layer import Sum

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp.weight_products import LINEAR

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# gradient times input of these is their output: relevance passes as a gradient does
THROUGH_ZERO = (nn.ReLU, nn.LeakyReLU, nn.RReLU)
# curved, or cut off at the top: relevance passes, the gradient would lose some
CURVED = (
    nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softsign, nn.Hardswish,
)  # fmt: skip
POOLING = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
)  # fmt: skip
MOVING = (
    nn.Identity, nn.Flatten, nn.Unflatten, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Upsample,
    nn.ZeroPad2d, nn.ChannelShuffle, nn.PixelShuffle,
)  # fmt: skip
KNOWN = (*LINEAR, *BATCH_NORMS, *THROUGH_ZERO, *CURVED, *POOLING, *MOVING, Sum)

# functions that only move values, or mix those of one channel, as the modules above do
MIXING = {
    "interpolate", "mean", "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
}  # fmt: skip
HARMLESS = MIXING | {
    "__get__", "__getitem__", "__len__", "size", "dim", "numel", "is_floating_point", "to", "type", "float", "clone",
    "contiguous", "view", "view_as", "reshape", "flatten", "unflatten", "permute", "transpose", "squeeze", "unsqueeze",
    "movedim", "expand", "chunk", "split", "unbind", "cat", "concat", "concatenate", "stack", "pad", "dropout", "roll",
    "max_pool1d", "max_pool2d", "max_pool3d", "register_hook", "_assert",
}  # fmt: skip


class Survey(TorchFunctionMode):
    """Note every function that a net calls outside the modules that have a rule.

    Parameters
    ----------
    net : nn.Module
        Its modules are followed by hooks from now on.
    allowed : set of str
        Names of functions that are allowed besides `HARMLESS`.
    cure : str
        What to do about others; the end of the error message.
    instead : dict, optional
        Name of a function to what is called in its place, as ``instead[name](function, *args, **options)``.
    """

    def __init__(self, net: nn.Module, allowed: set[str], cure: str, instead: dict[str, Callable] | None = None):
        super().__init__()
        self.cure = cure
        self.places: dict[str, Any] = {}
        self.keeps_places = False
        self.mixed = False
        self.instead = instead or {}
        self.allowed = HARMLESS | allowed
        self.found: list[tuple[str, str]] = []
        self._open: list[tuple[str, bool]] = [("the net", False)]
        for name, module in net.named_modules():
            module.register_forward_pre_hook(self._entering(name or "the net", isinstance(module, KNOWN)))
            module.register_forward_hook(self._leaving, always_call=True)

    def apart(self, value: Tensor, samples: int) -> bool:
        """Say whether the samples lie one after the other in a tensor, seen as a row a sample."""
        return value.ndim > 0 and len(value) % samples == 0

    def _entering(self, name: str, known: bool) -> Callable:
        def enter(module: nn.Module, args: tuple) -> None:
            self._open.append((name, known))

        return enter

    def _leaving(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        self._open.pop()

    def begin(self, x: Tensor) -> Tensor:
        """Begin a forward pass; return the images for it."""
        return x

    def end(self, output: Tensor) -> None:
        """End a forward pass with its output."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name, known = self._open[-1]
        called = getattr(function, "__name__", str(function))
        if not known and called not in self.allowed and (name, called) not in self.found:
            self.found.append((name, called))
        if not known and called in self.instead:
            return self.instead[called](function, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def complain(self) -> None:
        """Raise an error that names the modules with operations through which relevance cannot be traced.

        Raises
        ------
        UserError
            It names up to three of them.
        """
        if self.found:
            listed = ", ".join(f"{name} ({called})" for name, called in self.found[:3])
            more = f" and {len(self.found) - 3} more" if len(self.found) > 3 else ""
            raise UserError(f"there is no rule for what these do: {listed}{more}; {self.cure}")
