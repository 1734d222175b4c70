"""Experts: small nets inside the big one, each made of the filters that matter to a class, a concept, or several.

- `coupling`: which filters can only go together. `scores`, `paths`: which filters an expert keeps, joining experts.
- `gating`: an expert switched on in the running net. `cutting`: an expert as a net of its own, from float or quantized.
- `measures`: what is left of the net. `exporting`: the expert as a file for `torch.export` or ONNX Runtime.

Source: "mixture of relevant experts", Fraunhofer HHI in the BerDiBa project.
"""

from relcomp_kit.compression.experts.coupling import Groups, groups
from relcomp_kit.compression.experts.cutting import compact, compact_like, cut
from relcomp_kit.compression.experts.exporting import export_onnx, export_program, open_onnx
from relcomp_kit.compression.experts.gating import gate, gate_each
from relcomp_kit.compression.experts.measures import (
    ALL,
    coded_bytes,
    latencies,
    macs,
    parameters,
    pruning_ratio,
    rates,
    score_kept,
    similarity,
)
from relcomp_kit.compression.experts.paths import (
    average_rel_path,
    intersection,
    join,
    magnitude_path,
    most_critical,
    random_path,
    relevant_path,
)

__all__ = [
    "ALL",
    "Groups",
    "average_rel_path",
    "coded_bytes",
    "compact",
    "compact_like",
    "cut",
    "export_onnx",
    "export_program",
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
    "parameters",
    "pruning_ratio",
    "random_path",
    "rates",
    "relevant_path",
    "score_kept",
    "similarity",
]
