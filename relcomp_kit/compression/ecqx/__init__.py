"""Entropy-constrained quantization (ECQ), and ECQ^x, which asks relevance which weights may become 0.

A weight tensor becomes integer indices and one step: weight = index * step. ECQ takes the index with the smallest sum
of squared distance and lambda times its bits. ECQ^x raises the cost of 0 for relevant weights and lowers it for others.

- `centroids`: the grid. `lower_envelope`: where the cheapest index changes, in closed form. `interval_lookup`: indices
  by table, exactly.
- `assignment`: one tensor, with relevance or without. `quantize_net`: a whole net. `quantized`: what comes out.
- `straight_through`: the gradient in quantization-aware training. `qat`: that training; `recipe`: its settings.

Source: Becking et al. 2022, "ECQ^x: Explainability-Driven Quantization for Low-Bit and Sparse DNNs".
"""

from relcomp_kit.compression.ecqx.assignment import Assignment, Grid, assign, fit
from relcomp_kit.compression.ecqx.centroids import centroid_step, level_range
from relcomp_kit.compression.ecqx.quantize_net import normalized, plan, quantizable, quantize
from relcomp_kit.compression.ecqx.quantized import Quantized, from_tensors, state_dict, to_tensors, truncated
from relcomp_kit.compression.ecqx.straight_through import scale_gradient

__all__ = [
    "Assignment",
    "Grid",
    "Quantized",
    "assign",
    "centroid_step",
    "fit",
    "from_tensors",
    "level_range",
    "normalized",
    "plan",
    "quantizable",
    "quantize",
    "scale_gradient",
    "state_dict",
    "to_tensors",
    "truncated",
]
