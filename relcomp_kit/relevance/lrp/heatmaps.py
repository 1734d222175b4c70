"""Relevance of inputs: which pixels a decision rests on."""

from collections.abc import Sequence

from torch import Tensor, nn

from relcomp_kit.errors import UserError
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
    """Return the relevance of every input value, of the shape of ``x``: for the decision above 0, against it below.

    Parameters
    ----------
    model, rule, start, class_, normalize, concept, way
        As in `relcomp_kit.relevance.lrp.weight_relevance`.
    x, target : Tensor
        One batch; the target is needed by the start "true" only.

    Raises
    ------
    UserError
        As there, and if relevance starts with 0 everywhere.
    """
    made = prepare(model, rule, way=way)
    channel = Channel(made, *concept) if concept is not None else None
    x, target = read_batch((x, target), next(model.parameters()).device)
    output = made.forward(x.requires_grad_())
    relevance = start_relevance(output, target, start, class_=class_, normalize=normalize)
    if not relevance.any():
        raise UserError("relevance starts with 0 everywhere in these images: take others, or another class or start")
    return trace(made, channel, output, relevance, x)
