"""relcomp_kit: relevance tells which weights of a network matter, and the kit compresses by it.

What most people want stands here by name and is imported when it is used, so that ``import relcomp_kit`` is instant:

>>> import torch, relcomp_kit
>>> net = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)).eval()
>>> batches = [(torch.ones(8, 4), torch.zeros(8, dtype=torch.int64))]
>>> relevance = relcomp_kit.weight_relevance(net, batches)
>>> quantized = relcomp_kit.quantize(net, bits=4, Lambda=0.05, relevance=relevance)
>>> decoded = relcomp_kit.decode(relcomp_kit.encode(quantized))
>>> all(torch.equal(index, decoded.quantized.indices[name]) for name, index in quantized.indices.items())
True
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for editors and type checkers
    from relcomp_kit.compression.convergence import lambertw_limit, recurrence
    from relcomp_kit.compression.ecqx import Quantized, assign, centroid_step, quantize, state_dict
    from relcomp_kit.compression.experts import (
        average_rel_path,
        compact,
        export_onnx,
        gate,
        groups,
        join,
        macs,
        magnitude_path,
        random_path,
        relevant_path,
    )
    from relcomp_kit.compression.nnc import Decoded, decode, encode
    from relcomp_kit.compression.pruning import median_threshold_step
    from relcomp_kit.datasets import fetch, load, load_scenes
    from relcomp_kit.datasets.own_folders import load_folder
    from relcomp_kit.errors import UserError
    from relcomp_kit.models.deeplab import deeplab
    from relcomp_kit.relevance.lrp import (
        conservation,
        filter_relevance,
        heatmap,
        weight_relevance,
        weight_relevance_per_class,
    )
    from relcomp_kit.studies.own_net.compressing import compress
    from relcomp_kit.studies.own_net.look import look_at
    from relcomp_kit.studies.own_net.nets import open_net
    from relcomp_kit.studies.own_net.task import task_for

__version__ = "0.1.0"
__all__ = [
    "Decoded",
    "Quantized",
    "UserError",
    "assign",
    "average_rel_path",
    "centroid_step",
    "compact",
    "compress",
    "conservation",
    "decode",
    "deeplab",
    "encode",
    "export_onnx",
    "fetch",
    "filter_relevance",
    "gate",
    "groups",
    "heatmap",
    "join",
    "lambertw_limit",
    "load",
    "load_folder",
    "load_scenes",
    "look_at",
    "macs",
    "magnitude_path",
    "median_threshold_step",
    "open_net",
    "quantize",
    "random_path",
    "recurrence",
    "relevant_path",
    "state_dict",
    "task_for",
    "weight_relevance",
    "weight_relevance_per_class",
]

_PLACES = {  # module -> names
    "compression.convergence": ("lambertw_limit", "recurrence"),
    "compression.ecqx": ("Quantized", "assign", "centroid_step", "quantize", "state_dict"),
    "compression.experts": (
        *("average_rel_path", "compact", "export_onnx", "gate", "groups", "join", "macs"),
        *("magnitude_path", "random_path", "relevant_path"),
    ),
    "compression.nnc": ("Decoded", "decode", "encode"),
    "compression.pruning": ("median_threshold_step",),
    "datasets": ("fetch", "load", "load_scenes"),
    "datasets.own_folders": ("load_folder",),
    "errors": ("UserError",),
    "models.deeplab": ("deeplab",),
    "relevance.lrp": (
        *("conservation", "filter_relevance", "heatmap"),
        *("weight_relevance", "weight_relevance_per_class"),
    ),
    "studies.own_net.compressing": ("compress",),
    "studies.own_net.look": ("look_at",),
    "studies.own_net.nets": ("open_net",),
    "studies.own_net.task": ("task_for",),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}
_ROOMS = ("compression", "datasets", "models", "relevance")


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f"relcomp_kit.{_HOME[name]}"), name)
    if name in _ROOMS:
        return import_module(f"relcomp_kit.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "__version__"])
