"""Experts: small nets inside the big one, each made of the filters that matter to a class, a concept, or several.

- `overview`: what of a net can be cut, and why not the rest.
- `coupling`: which filters can only go together, found by `tracing` a pass with `labels`.
- `scores`, `multiply_adds`, `paths`, `joining`: which filters an expert keeps, joining experts.
- `gating`: an expert switched on in the running net. `cutting`, `slicing`: an expert as a net of its own, from float or
  quantized. `measures`: what is left of the net.
- `folding`: batch-norms folded for use. `exporting`: the expert as a file for `torch.export` or ONNX Runtime.

Source: "mixture of relevant experts", Fraunhofer HHI in the BerDiBa project.
"""

from relcomp_kit.compression.experts.coupling import Groups, groups
from relcomp_kit.compression.experts.cutting import compact, cut
from relcomp_kit.compression.experts.exporting import export_onnx, export_program, open_onnx
from relcomp_kit.compression.experts.folding import folded
from relcomp_kit.compression.experts.gating import gate, gate_each
from relcomp_kit.compression.experts.joining import intersection, join
from relcomp_kit.compression.experts.measures import (
    coded_bytes,
    latencies,
    parameters,
    pruning_ratio,
    rates,
    score_kept,
    similarity,
)
from relcomp_kit.compression.experts.multiply_adds import ALL, macs
from relcomp_kit.compression.experts.overview import Overview, overview
from relcomp_kit.compression.experts.paths import (
    average_rel_path,
    magnitude_path,
    most_critical,
    random_path,
    relevant_path,
)
from relcomp_kit.compression.experts.slicing import compact_like, restored

__all__ = [
    "ALL",
    "Groups",
    "Overview",
    "average_rel_path",
    "coded_bytes",
    "compact",
    "compact_like",
    "cut",
    "export_onnx",
    "export_program",
    "folded",
    "gate",
    "gate_each",
    "groups",
    "intersection",
    "join",
    "latencies",
    "macs",
    "magnitude_path",
    "most_critical",
    "open_onnx",
    "overview",
    "parameters",
    "pruning_ratio",
    "random_path",
    "rates",
    "relevant_path",
    "restored",
    "score_kept",
    "similarity",
]
