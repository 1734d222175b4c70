"""Prepare a net for relevance: by the kit's rules for operations, or by zennit's for modules."""

from collections.abc import Sequence

from torch import nn

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp import composites, gradient
from relcomp_kit.relevance.lrp.propagation import RULES, Propagation

WAYS = ("gradient", "zennit")


def prepare(
    model: nn.Module, rule: str = "epsilon", *, way: str | None = None, canonizers: Sequence | None = None
) -> Propagation:
    """Return a net prepared for a rule; the net itself is not touched.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...) alone or under "out".
    rule : str
        "epsilon" everywhere; or in convolutions "z+", "gamma" (0.25) or "alpha2-beta1", with epsilon in linear layers
        and, but for "gamma", the flat rule in the first layer (zennit's EpsilonPlusFlat, EpsilonAlpha2Beta1Flat).
    way : {"gradient", "zennit"}, optional
        By the kit's rules for operations, in one backward pass (the default); or by zennit's for modules, as a
        reference. With z+ zennit loses what a neuron receives that nothing speaks for; the gradient's way does not.
    canonizers : sequence of zennit canonizers, optional
        Instead of the kit's choice; asks for zennit's way.

    Raises
    ------
    UserError
        If there is no such rule or way, the way does not have the rule, the net is in train mode, it has no parameters,
        or one of its weights is not a number.
    """
    if rule not in RULES:
        raise UserError(f"there is no rule {rule!r}; choose one of {', '.join(RULES)}")
    if next(model.parameters(), None) is None:
        raise UserError("the net has no parameters, so that there is nothing to measure: give a net that has weights")
    if way is None:
        way = "gradient" if canonizers is None else "zennit"
    if way not in WAYS:
        raise UserError(f"there is no way {way!r} to compute relevance; choose one of {', '.join(WAYS)}")
    if way == "gradient":
        if canonizers is not None:
            raise UserError("canonizers change modules, and the gradient's way has none: take way='zennit'")
        return gradient.prepare(model, rule)
    return composites.prepare(model, rule, canonizers)
