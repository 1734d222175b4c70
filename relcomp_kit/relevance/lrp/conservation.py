"""Whether relevance is conserved on its way through a net, measured at every cut that all of it passes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node, get_gradient_edge

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.relevance.lrp.initial_relevance import Start, start_relevance
from relcomp_kit.relevance.lrp.preparation import prepare
from relcomp_kit.relevance.lrp.working_copy import read_batch


@dataclass(frozen=True)
class Conservation:
    """The relevance at one cut through the net; it is conserved if ``relevance + kept == start``.

    Parameters
    ----------
    start : Tensor
        Relevance of each sample's outputs, (N,), float64.
    relevance : Tensor
        Sum of the relevance of all values at the cut for each sample, (N,), float64.
    kept : Tensor
        What constants between the cut and the outputs (biases, shifts, numbers added, zeros under a flat rule, ...)
        have kept, (N,), float64.
    """

    start: Tensor
    relevance: Tensor
    kept: Tensor

    @property
    def error(self) -> float:
        """``|relevance + kept - start| / |start|`` of the worst sample."""
        return float(((self.relevance + self.kept - self.start).abs() / self.start.abs()).max())

    @property
    def bias_share(self) -> float:
        """What constants have kept, as a share of the start: mean over the samples."""
        return float((self.kept / self.start).mean())


def conservation(
    model: nn.Module,
    x: Tensor,
    *,
    rule: str,
    start: Start = "predicted",
    target: Tensor | None = None,
    class_: int | None = None,
    way: str | None = None,
    canonizers: Sequence | None = None,
    strict: bool = True,
) -> dict[str, Conservation]:
    """Return the relevance at every sequential cut of a net, from its output to "input".

    A sequential cut is the output of a module that everything passes through on its way from the inputs to the outputs,
    such as that of every residual block. At each cut, the summed relevance plus what biases and shifts kept (those
    between the cut and the outputs) must equal the start. (Within one layer alone that is an identity, and proves
    nothing.)

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...) alone or under "out". It is left as it is, to the bit.
    x : Tensor
        One batch of images (N, ...), normalised as the net wants them.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`.
    start : str, Tensor or callable
        Where relevance starts; see `relcomp_kit.relevance.lrp.initial_relevance`.
    target : Tensor, optional
        True classes (N, ...), 255 where there is none; needed by the start "true" only.
    class_ : int, optional
        Start at this class only.
    way : {"gradient", "zennit"}, optional
        See `relcomp_kit.relevance.lrp.preparation.prepare`.
    canonizers : sequence of zennit canonizers, optional
        Instead of the kit's choice; for instance none, to see what goes wrong without them.
    strict : bool
        Refuse a net with an operation that has no rule; otherwise measure the error that this causes.

    Returns
    -------
    dict of str to Conservation
        One for each cut by the name of its module, the last module first, and one for "input" at the end.

    Raises
    ------
    UserError
        If a sample starts with 0, or with ``strict``, naming the modules without a rule.
    """
    made = prepare(model, rule, way=way, canonizers=canonizers)
    outputs: dict[str, Tensor] = {}
    nodes: dict[str, Node] = {}  # of autograd's graph, noted at once: what comes next may change an output in place

    def remember(name: str, output: Tensor) -> None:
        if isinstance(output, Tensor) and output.grad_fn is not None:
            outputs[name], nodes[name] = output, output.grad_fn

    made.survey.keeps_places = True
    for name, module in made.net.named_modules():
        module.register_forward_hook(lambda *call, name=name: remember(name, call[2]))
    kept: dict[str, Tensor] = {}
    made.listeners = [lambda layer, found: kept.__setitem__(layer, found.constants())]
    x, target = read_batch((x, target), device_of(model))
    x = made.images(x)
    output = made.forward(x, strict)
    relevance = start_relevance(output, target, start, class_=class_)
    total = relevance.flatten(1).double().sum(1)
    if not total.all():
        raise UserError(
            "a sample starts with relevance 0, of which no share can be told: choose another start or image"
        )
    cuts = _cuts(output, x, nodes, {name for name, _ in model.named_modules()} - {""})
    if len(x) > 1 and (made.survey.mixed or not all(made.survey.apart(outputs[name], len(x)) for name in cuts)):
        return _one_by_one(model, x, relevance, rule=rule, way=way, canonizers=canonizers, strict=strict)
    places = nodes | made.survey.places
    found = made.backward(output, relevance, [*(outputs[name] for name in cuts), x])
    result = {}
    for name, value in zip([*cuts, "input"], found):
        behind = cuts.get(name)
        constants = torch.zeros_like(total)
        for label, one in kept.items():
            if behind is None or places[label] in behind:
                constants = constants + one.double()
        result[name] = Conservation(total, value.reshape(len(x), -1).double().sum(1), constants)
    return result


def _one_by_one(model: nn.Module, x: Tensor, start: Tensor, **options) -> dict[str, Conservation]:
    """Ask for one sample after the other, where the net turns them so that they cannot be told apart in a batch."""
    each = [conservation(model, x[n : n + 1], start=start[n : n + 1], **options) for n in range(len(x))]
    parts = ("start", "relevance", "kept")
    return {
        name: Conservation(*(torch.cat([getattr(one[name], part) for one in each]) for part in parts))
        for name in each[0]
    }


def _cuts(output: Tensor, x: Tensor, nodes: dict[str, Node], own: set[str]) -> dict[str, set[Node]]:
    """Return the modules whose output all relevance passes, the last one first, each with autograd's nodes behind it.

    Of several modules with one and the same output, as a block and its last layer, the outermost is named.
    """
    found: dict[Node, tuple[str, set[Node]]] = {}
    end, leaf = (get_gradient_edge(tensor).node for tensor in (output, x))
    for name, node in nodes.items():
        if name not in own or node is end:
            continue
        reached = _reached(end, node)
        if node in reached and leaf not in reached and (node not in found or len(name) < len(found[node][0])):
            found[node] = (name, reached - {node})
    return dict(sorted(found.values(), key=lambda cut: len(cut[1])))


def _reached(first: Node, barrier: Node) -> set[Node]:
    """Return the nodes of autograd's graph that are reached from ``first`` without going on beyond ``barrier``."""
    reached, waiting = {first}, [first]
    while waiting:
        node = waiting.pop()
        if node is barrier:
            continue
        for following, _ in node.next_functions:
            if following is not None and following not in reached:
                reached.add(following)
                waiting.append(following)
    return reached
