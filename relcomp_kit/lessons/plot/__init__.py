"""Every figure of the lessons: one function a figure, one palette (red for, blue against, grey removed)."""

from relcomp_kit.lessons.plot.curves import (
    accuracy_over_sparsity,
    arms_against,
    counts_over_steps,
    limits_over_sf,
    predictions,
    sparsity_over_sf,
)
from relcomp_kit.lessons.plot.maps import (
    conv_maps,
    image_rows,
    input_maps,
    measures,
    neuron_tiles,
    outer_product,
    program_flow,
    two_orders,
)

__all__ = [
    "accuracy_over_sparsity",
    "arms_against",
    "conv_maps",
    "counts_over_steps",
    "image_rows",
    "input_maps",
    "limits_over_sf",
    "measures",
    "neuron_tiles",
    "outer_product",
    "predictions",
    "program_flow",
    "sparsity_over_sf",
    "two_orders",
]
