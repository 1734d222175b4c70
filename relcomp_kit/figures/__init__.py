"""Every figure of the lessons: one function a figure, and one table of names, colours and markers for all of them."""

from relcomp_kit.figures.coding import (
    bytes_by_layer,
    code_curves,
    code_sizes,
    folded_lines,
    shrinking_interval,
    signs_of_indices,
    size_ladder,
)
from relcomp_kit.figures.experts import filters_by_class, growing, leak, path_layers, path_similarity
from relcomp_kit.figures.experts_curves import advantage_by_frequency, bars_by_group, expert_curves
from relcomp_kit.figures.ledger import verdict_counts, whole_picture
from relcomp_kit.figures.own_net import relevance_by_layer, sizes_and_scores, what_goes
from relcomp_kit.figures.pruning_curves import (
    accuracy_over_sparsity,
    arms_against,
    counts_over_steps,
    limits_over_sf,
    predictions,
    sparsity_over_sf,
)
from relcomp_kit.figures.published_tasks import published_tasks
from relcomp_kit.figures.quantization import cost_parabolas, weights_on_grid, zero_cluster
from relcomp_kit.figures.quantization_curves import bars, pareto, training
from relcomp_kit.figures.relevance import heatmaps, reference_crops, small_net
from relcomp_kit.figures.relevance_curves import agreement, areas, conservation, flipping, removal_curves
from relcomp_kit.figures.relevance_weights import gradient_identity, weight_against_relevance
from relcomp_kit.figures.saliency_maps import (
    conv_maps,
    image_rows,
    input_maps,
    measures,
    neuron_tiles,
    outer_product,
    program_flow,
    two_orders,
)
from relcomp_kit.figures.scenes import crops_of_class, predictions_beside_truth, scene_sheet
from relcomp_kit.figures.segmentation_scores import (
    accuracy_by_weather,
    bytes_of_nets,
    class_shares,
    confusion,
    iou_per_class,
    learning_curves,
)
from relcomp_kit.figures.speech import spoken_word

__all__ = [
    "accuracy_by_weather",
    "accuracy_over_sparsity",
    "advantage_by_frequency",
    "agreement",
    "areas",
    "arms_against",
    "bars",
    "bars_by_group",
    "bytes_by_layer",
    "bytes_of_nets",
    "class_shares",
    "code_curves",
    "code_sizes",
    "confusion",
    "conservation",
    "conv_maps",
    "cost_parabolas",
    "counts_over_steps",
    "crops_of_class",
    "expert_curves",
    "filters_by_class",
    "flipping",
    "folded_lines",
    "gradient_identity",
    "growing",
    "heatmaps",
    "image_rows",
    "input_maps",
    "iou_per_class",
    "leak",
    "learning_curves",
    "limits_over_sf",
    "measures",
    "neuron_tiles",
    "outer_product",
    "pareto",
    "path_layers",
    "path_similarity",
    "predictions",
    "predictions_beside_truth",
    "program_flow",
    "published_tasks",
    "reference_crops",
    "relevance_by_layer",
    "removal_curves",
    "scene_sheet",
    "shrinking_interval",
    "signs_of_indices",
    "size_ladder",
    "sizes_and_scores",
    "small_net",
    "sparsity_over_sf",
    "spoken_word",
    "training",
    "two_orders",
    "verdict_counts",
    "weight_against_relevance",
    "weights_on_grid",
    "what_goes",
    "whole_picture",
    "zero_cluster",
]
