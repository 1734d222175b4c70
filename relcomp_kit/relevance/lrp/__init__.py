"""Relevance of weights by layer-wise relevance propagation (LRP): which weights a decision rests on.

A neuron passes the relevance that it received on to its inputs, by their shares of its sum (LRP-0, formula II of
Böhnke; with a stabiliser LRP-epsilon, Bach et al. 2015). What flows through one weight, ``R_i<-j``, summed over the
places where the weight is used, is the weight's relevance (Becking et al. 2022).

- `initial_relevance`: what the outputs receive. `working_copy`: the net that is worked on, never the user's own.
- `operations`: every function that a net calls has a rule (`operation_rules`, `layer_operations`, `attention`), or is
  refused by name. `composites`: zennit's rules for modules, as a reference.
- `weights`, `heatmaps`, `conservation`: what is measured along the way.
"""

from relcomp_kit.relevance.lrp.conservation import Conservation, conservation
from relcomp_kit.relevance.lrp.heatmaps import heatmap
from relcomp_kit.relevance.lrp.propagation import RULES
from relcomp_kit.relevance.lrp.weights import filter_relevance, weight_relevance, weight_relevance_per_class

__all__ = [
    "RULES",
    "Conservation",
    "conservation",
    "filter_relevance",
    "heatmap",
    "weight_relevance",
    "weight_relevance_per_class",
]
