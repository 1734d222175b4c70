"""Relevance of weights, streamed over batches: the memory does not grow with the number of images."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.relevance.lrp.initial_relevance import Start, start_relevance
from relcomp_kit.relevance.lrp.preparation import prepare
from relcomp_kit.relevance.lrp.propagation import Channel, LayerRelevance, trace
from relcomp_kit.relevance.lrp.working_copy import read_batch

AGGREGATES = ("sum", "abs_of_mean", "mean_of_abs")


def weight_relevance(
    model: nn.Module,
    batches: Iterable,
    *,
    rule: str = "epsilon",
    aggregate: str = "mean_of_abs",
    start: Start = "true",
    normalize: bool = False,
    momentum: float | None = None,
    concept: tuple[str, int | Sequence[int]] | None = None,
    class_: int | None = None,
    way: str | None = None,
    canonizers: Sequence | None = None,
) -> dict[str, Tensor]:
    """Return how much relevance flows through each parameter of a net.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...) alone or under "out". It is left as it is, to the bit.
    batches : iterable of (x, target)
        Images (N, ...) and true classes, 255 where there is none. Targets are needed for ``start="true"`` (the default)
        only, or by a function as start that reads them; else ``x`` alone is enough.
    rule : str
        "epsilon" everywhere (on a ReLU net gradient times weight, at the price of one backward pass); or in
        convolutions "z+", "gamma" (0.25) or "alpha2-beta1", with epsilon in linear layers. "z+" and "alpha2-beta1" use
        the flat rule in the first layer; "gamma" does not. What else a net computes has the rules of
        `relcomp_kit.relevance.lrp.operation_rules`, whichever of these is chosen.
    aggregate : {"sum", "abs_of_mean", "mean_of_abs"}
        Of the samples' relevances: their sum, with sign; the absolute value of their mean, in which samples for and
        against cancel; the mean of their absolute values, in which they do not.
    start : str, Tensor or callable
        "true", "predicted", "positive", or relevance of one's own; see `relcomp_kit.relevance.lrp.initial_relevance`.
    normalize : bool
        Every sample starts with the same amount, instead of with its logits.
    momentum : float, optional
        By default, all samples are aggregated together. With a number in [0, 1), each batch is aggregated on its own,
        and the result is their moving average: it starts as the value of the first batch, and at each later one becomes
        ``momentum * average + (1 - momentum) * value of the batch``. Batches in which nothing starts are left out.
    concept : (str, int or sequence of int), optional
        A layer and channels of its output: only what flows through them counts. What lies behind the layer gets 0.
    class_ : int, optional
        Start at this class only.
    way : {"gradient", "zennit"}, optional
        See `relcomp_kit.relevance.lrp.preparation.prepare`.
    canonizers : sequence of zennit canonizers, optional
        Instead of the kit's choice. They are taken as they are: with sums or batch-norms left out, relevance is not
        conserved, as in code that forgets them; `relcomp_kit.relevance.lrp.conservation` shows how much.

    Returns
    -------
    dict of str to Tensor
        Keys and shapes of ``model.named_parameters()``; 0 where nothing was reached. Means are over the samples that
        start with some relevance.

    Raises
    ------
    UserError
        In one sentence, if the net is in train mode, holds NaN, does something without a rule, no batch comes, one is
        empty, or nothing starts.

    Notes
    -----
    Cost: "sum" with epsilon is one forward and one backward pass. "mean_of_abs" needs each sample's own gradients: a
    batched product for each tap of a filter, with memory for one layer's weights for every sample.
    A parameter that reaches the images through other operations, such as weight norm, gets gradient times value.
    Source: Bach et al. 2015 (LRP); Becking et al. 2022 (relevance of weights); Achtibat et al. 2024 (AttnLRP), Ali et
    al. 2022 (norms).
    """
    asked = {None: class_}
    return _stream(model, batches, asked, rule, aggregate, start, normalize, momentum, concept, way, canonizers)[None]


def weight_relevance_per_class(
    model: nn.Module, batches: Iterable, classes: Sequence[int], **options
) -> dict[int, dict[str, Tensor]]:
    """Return `weight_relevance` for each class, in one pass over the data: one forward, one backward a class.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...) alone or under "out". It is left as it is, to the bit.
    batches : iterable of (x, target)
        Images (N, ...) and true classes, 255 where there is none. Targets are needed for ``start="true"`` (the default)
        only; else ``x`` alone is enough.
    classes : sequence of int
        A start at "true" or "predicted" keeps the samples or pixels of the class.
    **options
        As in `weight_relevance`, but for ``class_``.

    Returns
    -------
    dict of int to dict of str to Tensor
        For each class what `weight_relevance` returns: keys and shapes of ``model.named_parameters()``.

    Raises
    ------
    UserError
        As in `weight_relevance`, and if no class is asked for, or one never occurs.
    """
    if not classes:
        raise UserError("there is no class to ask for: give at least one")
    defaults = {"rule": "epsilon", "aggregate": "mean_of_abs", "start": "true", "normalize": False}
    settings: dict[str, Any] = {**defaults, "momentum": None, "concept": None, "way": None, "canonizers": None}
    return _stream(model, batches, {int(one): int(one) for one in classes}, **settings | options)


def filter_relevance(relevance: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the relevance of filters and neurons: that of their weights, summed.

    Parameters
    ----------
    relevance : dict of str to Tensor
        As `weight_relevance` returns it.

    Returns
    -------
    dict of str to Tensor
        Module name to (output channels,), for every weight of two dimensions or more.
    """
    return {
        name.removesuffix("weight").rstrip("."): value.flatten(1).sum(1)
        for name, value in relevance.items()
        if name.endswith("weight") and value.ndim > 1
    }


def _stream(
    model: nn.Module,
    batches: Iterable,
    asked: dict,
    rule: str,
    aggregate: str,
    start: Start,
    normalize: bool,
    momentum: float | None,
    concept: tuple | None,
    way: str | None,
    canonizers: Sequence | None,
) -> dict:
    """Return for every key of ``asked`` (key to class or None) the relevance of the parameters."""
    if aggregate not in AGGREGATES:
        raise UserError(f"there is no aggregate {aggregate!r}; choose one of {', '.join(AGGREGATES)}")
    if momentum is not None and not 0 <= momentum < 1:
        raise UserError(f"the momentum is the share of the old value, 0 or more and below 1, not {momentum}")
    made = prepare(model, rule, way=way, canonizers=canonizers)
    channel = Channel(made, *concept) if concept is not None else None
    running = {key: Running(aggregate, momentum, made.uses) for key in asked}
    device, empty, last = device_of(model), True, list(asked)[-1]
    for batch in batches:
        empty = False
        x, target = read_batch(batch, device)
        x = made.images(x)
        output = made.forward(x, strict=canonizers is None)
        starts = {
            key: start_relevance(output, target, start, class_=class_, normalize=normalize)
            for key, class_ in asked.items()
        }
        for key, relevance in starts.items():
            running[key].begin(relevance)
        one_by_one = aggregate == "mean_of_abs" and len(x) > 1 and made.survey.mixed
        for rows in [slice(n, n + 1) for n in range(len(x))] if one_by_one else [slice(None)]:
            if one_by_one:
                part = made.images(x[rows])
                output = made.forward(part)
            for key, relevance in starts.items():
                if relevance[rows].any():
                    made.listeners = [running[key].add]
                    trace(made, channel, output, relevance[rows], part if one_by_one else x, again=key != last)
                    running[key].settle()
        for key in asked:
            running[key].end()
        del starts
        del output, x  # with it goes all that the layers remember of the batch, before the next one needs the room
    if empty:
        raise UserError("there is no batch to measure relevance on: the iterable is empty")
    missing = [key for key in asked if not running[key].samples]
    if missing:
        what = "relevance starts with 0 everywhere" if missing[0] is None else f"class {missing[0]} never occurs"
        raise UserError(f"{what} in these batches: take more or other images, or another start")
    parameters = dict(model.named_parameters())
    return {key: running[key].result(parameters) for key in asked}


class Running:
    """Sums over samples, or a moving average over batches, of every parameter's relevance.

    Parameters
    ----------
    aggregate : str
        One of `AGGREGATES`; see `weight_relevance`.
    momentum : float or None
        Share of the old average that each batch keeps; None for sums over all samples.
    uses : dict of str to int
        How often a forward pass uses a parameter: what it receives in all of them is one sum.
    """

    def __init__(self, aggregate: str, momentum: float | None, uses: Mapping[str, int]):
        self.aggregate, self.momentum, self.uses = aggregate, momentum, uses
        self._waiting: dict[str, Tensor] = {}
        self.sums: dict[str, Tensor] = {}
        self.factors: dict[str, Tensor | float] = {}
        self.samples = 0
        self.average: dict[str, Tensor] | None = None
        self._active = 0

    def begin(self, relevance: Tensor) -> None:
        """Note how many samples of a batch start with some relevance."""
        self._active = int(relevance.flatten(1).any(1).sum())

    def settle(self) -> None:
        """End a pass: what it found of parameters that are used more than once is complete."""
        for name, product in self._waiting.items():
            total = product.abs().sum(0)
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self._waiting.clear()

    def add(self, layer: str, found: LayerRelevance) -> None:
        """Add a layer's share of one backward pass."""
        per_sample = self.aggregate == "mean_of_abs"
        magnitudes = found.absolutes() if per_sample and found.absolutes is not None else {}
        if magnitudes and all(self.uses.get(name, 1) == 1 for name in magnitudes):
            parts, per_sample = magnitudes, False  # these are sums over the samples
        else:
            parts = found.parameters(per_sample)
        for name, (factor, product) in parts.items():
            self.factors[name] = factor
            if per_sample and self.uses.get(name, 1) > 1:
                self._waiting[name] = self._waiting[name] + product if name in self._waiting else product
                continue
            if per_sample:
                product = torch.sum(product.abs_(), 0, out=torch.empty_like(product[0]))  # as it lies in memory
            self.sums[name] = self.sums[name].add_(product) if name in self.sums else product

    def end(self) -> None:
        """End a batch."""
        if not self._active:
            return
        self.samples += self._active
        if self.momentum is None:
            return
        new = self._finished(self._active)
        old = self.average or new
        self.average = {name: self.momentum * old[name] + (1 - self.momentum) * value for name, value in new.items()}
        self.sums.clear()

    def _finished(self, samples: int) -> dict[str, Tensor]:
        """Turn the sums into relevance, in place: memory touched anew would cost more than the arithmetic."""
        for name, total in self.sums.items():
            total.mul_(self.factors[name])
            if self.aggregate != "sum":
                total.abs_().div_(samples)
        return {name: total.contiguous() for name, total in self.sums.items()}

    def result(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the relevance by name, in the order of the net, 0 for parameters that were never reached."""
        found = self._finished(self.samples) if self.average is None else self.average
        return {
            name: found[name] if name in found else torch.zeros_like(value, requires_grad=False)
            for name, value in parameters.items()
        }
