"""A net prepared for relevance, with one interface for both ways to compute it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import full_precision
from relcomp_kit.relevance.lrp.functional_operations import Survey
from relcomp_kit.relevance.lrp.working_copy import output_of

NEXT_TO_ZERO = 1e-20
RULES = ("epsilon", "z+", "gamma", "alpha2-beta1")


@dataclass
class LayerRelevance:
    """What one layer contributes in one backward pass.

    Attributes
    ----------
    parameters : callable
        ``parameters(per_sample)`` gives, for each parameter name in the user's net, ``(factor, product)``: its
        relevance is ``factor * product``, with a leading dimension of samples if ``per_sample``.
    constants : callable
        Relevance (N,) that stays with the layer's constants: its bias, the shift of its batch-norm, or, under a flat
        rule, zeros that the net has made.
    absolutes : callable or None
        As ``parameters``, with the sum over samples of each product's absolute value, where that costs no more than
        the sum of products: in a linear layer with one row a sample, where a product is one input times one slope.
    """

    parameters: Callable[[bool], Mapping[str, tuple[Tensor | float, Tensor]]]
    constants: Callable[[], Tensor]
    absolutes: Callable[[], Mapping[str, tuple[Tensor | float, Tensor]]] | None = None


@dataclass
class Propagation:
    """A working copy of a net whose backward pass carries relevance.

    Attributes
    ----------
    net : nn.Module
        The copy, with hooks.
    carries_gradients : bool
        The backward pass carries ``relevance / value`` (gradients); otherwise relevance itself.
    survey : Survey
        Notes what the net does outside its modules.
    listeners : list of callable
        Called with (layer name, `LayerRelevance`) whenever a backward pass has reached a layer.
    original : nn.Module, optional
        The net whose outputs the copy must have; asked once, in the first forward pass.
    entered : set of str
        Layers that the latest forward pass has used and that cannot be used twice.
    uses : dict of str to int
        How often the latest forward pass has used a parameter, where it can be used more than once.
    flat : bool
        Whether black pixels receive relevance too, and gradients are carried.
    """

    net: nn.Module
    carries_gradients: bool
    survey: Survey
    listeners: list[Callable[[str, LayerRelevance], None]] = field(default_factory=list)
    original: nn.Module | None = None
    entered: set[str] = field(default_factory=set)
    uses: dict[str, int] = field(default_factory=dict)
    flat: bool = False

    def images(self, x: Tensor) -> Tensor:
        """Return images that relevance can be traced back to.

        For the flat rule a 0 becomes a number that is next to it, as ``c = relevance / value`` has to exist.
        """
        x = x.detach()
        return (torch.where(x == 0, NEXT_TO_ZERO, x) if self.flat else x).requires_grad_()

    def forward(self, x: Tensor, strict: bool = True) -> Tensor:
        """Return the logits; with ``strict`` a net that relevance cannot be traced through is an error."""
        self.entered.clear()
        with torch.enable_grad(), full_precision():
            images = self.survey.begin(x)
            with self.survey:
                output = output_of(self.net(images))
        self.survey.end(output)
        if strict:
            self.survey.complain()
        if self.original is not None:
            self._compare(self.original, x[:1].clone(), output[:1])  # the net may change its images in place
        if not output.requires_grad:
            raise UserError("the net's outputs do not depend on its inputs by a gradient: nothing can be traced back")
        return output

    @torch.no_grad()
    def _compare(self, original: nn.Module, x: Tensor, output: Tensor) -> None:
        with full_precision():
            expected = output_of(original(x))
        self.original = None
        if (output - expected).abs().max() > 1e-3 * expected.abs().max():
            raise UserError(
                "zennit's canonizer changes what this net computes, since its modules do not stand in the order in "
                "which they are used: leave out way='zennit', or take canonizers of your own"
            )

    def backward(self, output: Tensor, relevance: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Trace the relevance of the outputs back; return that of ``tensors``, each of its tensor's shape."""
        back = self.carry(output, self.carried(output, relevance), tensors)
        return [self.relevance(tensor, one) for tensor, one in zip(tensors, back)]

    def carried(self, tensor: Tensor, relevance: Tensor) -> Tensor:
        """Return what the backward pass carries at a tensor for its relevance."""
        return relevance / stabilize(tensor.detach()) if self.carries_gradients else relevance

    def relevance(self, tensor: Tensor, carried: Tensor) -> Tensor:
        """Return the relevance of a tensor at which the backward pass has arrived."""
        return tensor.detach() * carried if self.carries_gradients else carried

    def carry(
        self, output: Tensor, carried: Tensor, tensors: Sequence[Tensor], *, again: bool = False, listen: bool = True
    ) -> list[Tensor]:
        """Carry back from ``output`` to ``tensors``.

        With ``again`` that can be done another time. Without ``listen`` no layer is reported.
        """
        listeners, self.listeners = self.listeners, self.listeners if listen else []
        try:
            with full_precision():
                back = torch.autograd.grad(output, tensors, carried, retain_graph=again, allow_unused=True)
        except RuntimeError as error:
            if "modified by an inplace operation" not in str(error):
                raise
            raise UserError(
                "the net writes in place to values that something has read before: add and multiply without += and *="
            ) from error
        finally:
            self.listeners = listeners
        return [torch.zeros_like(tensor) if one is None else one for tensor, one in zip(tensors, back)]

    def enter(self, layer: str) -> None:
        """Note that the forward pass uses a layer."""
        if layer in self.entered:
            raise UserError(f"{layer} is used twice in one forward pass: give each use a module of its own")
        self.entered.add(layer)

    def report(self, layer: str, found: LayerRelevance) -> None:
        """Tell the listeners what a layer contributes."""
        for listener in self.listeners:
            listener(layer, found)


class Channel:
    """Channels of a layer's output, as a concept: relevance may go on through them only.

    Parameters
    ----------
    made : Propagation
        The prepared net; its layer is followed by hooks from now on.
    layer : str
        Name of a module that gives (N, channels, ...).
    channels : int or sequence of int
        The channels that count, from 0.

    Raises
    ------
    UserError
        If the net has no such layer.
    """

    def __init__(self, made: Propagation, layer: str, channels: int | Sequence[int]):
        modules = dict(made.net.named_modules())
        if layer not in modules:
            raise UserError(f"there is no layer {layer!r} for a concept; see the net's named_modules()")
        self.layer = layer
        self.channels = [channels] if isinstance(channels, int) else list(channels)
        self.value: Tensor | None = None
        made.net.register_forward_pre_hook(self._forget)
        modules[layer].register_forward_hook(self._remember)

    def _forget(self, module: nn.Module, args: tuple) -> None:
        self.value = None

    def _remember(self, module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        if not isinstance(output, Tensor) or output.ndim < 2:
            raise UserError(f"{self.layer} gives no tensor (N, channels, ...): choose one of the layers in it")
        if self.value is not None:
            raise UserError(
                f"{self.layer} is used twice in one forward pass: choose the block that it is in, or another"
            )
        self.value = output
        return output.clone()  # what comes next may change it in place, as the sum of a residual block does

    def keep(self, carried: Tensor) -> Tensor:
        """Return what is carried at the layer's outputs, with all other channels at 0."""
        wrong = [channel for channel in self.channels if not 0 <= channel < carried.shape[1]]
        if wrong or not self.channels:
            raise UserError(f"{self.layer} has the channels 0 to {carried.shape[1] - 1}, not {wrong or 'none'}")
        kept = torch.zeros_like(carried)
        kept[:, self.channels] = carried[:, self.channels]
        return kept


def trace(
    made: Propagation, channel: Channel | None, output: Tensor, relevance: Tensor, x: Tensor, *, again: bool = False
) -> Tensor:
    """Trace relevance back from the outputs to the inputs, through a concept's channels if there is one.

    Parameters
    ----------
    made : Propagation
        The prepared net, after its forward pass.
    channel : Channel, optional
        The channels that relevance may pass through; None for all ways.
    output : Tensor
        What the forward pass returned, (N, classes, ...).
    relevance : Tensor
        Relevance of the outputs, in the shape of ``output``.
    x : Tensor
        The inputs of the forward pass, (N, ...).
    again : bool
        Keep autograd's graph, so that it can be done another time.

    Returns
    -------
    Tensor
        Relevance of the inputs, in the shape of ``x``.

    Raises
    ------
    UserError
        If the forward pass did not use the concept's layer, or the layer has no such channel.
    """
    carried = made.carried(output, relevance)
    if channel is not None:
        if channel.value is None:
            raise UserError(f"the net does not use {channel.layer} in its forward pass: choose another layer")
        (of_layer,) = made.carry(output, carried, [channel.value], again=True, listen=False)
        output, carried = channel.value, channel.keep(of_layer)
    return made.relevance(x, *made.carry(output, carried, [x], again=again))


def stabilize(value: Tensor, epsilon: float = 1e-6) -> Tensor:
    """Return values moved away from 0 by epsilon, 0 itself to the positive side.

    Parameters
    ----------
    value : Tensor
        Any shape.
    epsilon : float
        How far to move, in the unit of the values.

    Returns
    -------
    Tensor
        In the shape of ``value``, nowhere closer to 0 than epsilon.
    """
    return value + torch.where(value < 0, -epsilon, epsilon)
