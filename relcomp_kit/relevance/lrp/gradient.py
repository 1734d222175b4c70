"""LRP as a gradient: one backward pass, in which each function hands down ``c = relevance / value`` by its rule.

In a linear layer ``z_j = sum_i w_ji x_i + b_j`` LRP-0 gives the weight ``R_i<-j = w_ji x_i R_j / z_j``. Write
``c_j = R_j / z_j``: then ``R_i<-j = w_ji x_i c_j`` and ``c_i = R_i / x_i = sum_j w_ji c_j``. That is the chain rule: c
is the gradient of the start, as long as an activation hands ``c`` down by ``c_z = c_y y / z``. For ReLU this is its own
derivative (Shrikumar et al. 2016); where a rule asks for something else, the backward pass is changed to it.

If the user gives relevance to an output that a final ReLU has set to 0, it is lost here; zennit's way passes it on.
"""

from torch import nn

from relcomp_kit.relevance.lrp.operation_rules import OPERATION_RULES
from relcomp_kit.relevance.lrp.operations import Operations
from relcomp_kit.relevance.lrp.propagation import Propagation
from relcomp_kit.relevance.lrp.rules import COMPOSITES
from relcomp_kit.relevance.lrp.working_copy import working_copy


def prepare(model: nn.Module, rule: str) -> Propagation:
    """Return a copy of a net whose backward pass carries ``c = relevance / value``.

    Parameters
    ----------
    model : nn.Module
        In eval mode; it is not touched.
    rule : str
        One of `relcomp_kit.relevance.lrp.RULES`, for its convolutions.
    """
    net, names = working_copy(model)
    composite = COMPOSITES[rule]
    operations = Operations(net, names, OPERATION_RULES, composite)
    made = Propagation(net, True, operations, uses=operations.uses, flat=composite.first is not None)
    operations.report = made.report
    return made
