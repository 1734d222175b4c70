"""Relevance of inputs: which pixels a decision rests on."""

from collections.abc import Sequence

from torch import Tensor, nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.relevance.lrp.initial_relevance import Start, start_relevance
from relcomp_kit.relevance.lrp.preparation import prepare
from relcomp_kit.relevance.lrp.propagation import Channel, trace
from relcomp_kit.relevance.lrp.working_copy import read_batch


def heatmap(
    model: nn.Module,
    x: Tensor,
    target: Tensor | None = None,
    *,
    rule: str = "epsilon",
    start: Start = "predicted",
    class_: int | None = None,
    normalize: bool = False,
    concept: tuple[str, int | Sequence[int]] | None = None,
    way: str | None = None,
) -> Tensor:
    """Return the relevance of every input value: above 0 it speaks for the decision, below 0 against it.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...) alone or under "out". It is left as it is, to the bit.
    x : Tensor
        One batch of images (N, ...), normalised as the net wants them.
    target : Tensor, optional
        True classes (N, ...), 255 where there is none; needed by the start "true" only.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`.
    start : str, Tensor or callable
        Where relevance starts; see `relcomp_kit.relevance.lrp.initial_relevance`.
    class_ : int, optional
        Start at this class only.
    normalize : bool
        Every sample starts with the same amount, instead of with its logits.
    concept : (str, int or sequence of int), optional
        A layer and channels of its output: only what flows through them counts.
    way : {"gradient", "zennit"}, optional
        See `relcomp_kit.relevance.lrp.preparation.prepare`.

    Returns
    -------
    Tensor
        In the shape of ``x``, in the unit of the start: logits by default, or shares of 1 with ``normalize``.

    Raises
    ------
    UserError
        As for `relcomp_kit.relevance.lrp.weight_relevance`, and if relevance starts with 0 everywhere.
    """
    made = prepare(model, rule, way=way)
    channel = Channel(made, *concept) if concept is not None else None
    x, target = read_batch((x, target), device_of(model))
    x = made.images(x)
    output = made.forward(x)
    relevance = start_relevance(output, target, start, class_=class_, normalize=normalize)
    if not relevance.any():
        raise UserError("relevance starts with 0 everywhere in these images: take others, or another class or start")
    return trace(made, channel, output, relevance, x)
