"""Compression: what to prune, how coarsely to quantize, which filters make a small net, and how few bytes it takes.

`pruning`, `iterative_pruning` and `convergence` (formulas IX to XII); `ecqx` quantizes by ECQ and ECQ^x; `experts` cuts
small nets out of large ones; `nnc` writes nets as small files and opens them safely.
"""
