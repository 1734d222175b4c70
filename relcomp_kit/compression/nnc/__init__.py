"""Coding: a quantized net as a file that is small, exact and safe to open.

Indices are coded without loss by DeepCABAC, the arithmetic coder of ISO/IEC 15938-17 (NNC), from Fraunhofer HHI's
nncodec. Everything else (steps, biases, batch-norm, counters, names, shapes, masks of experts, provenance) is bit-exact
too, and one SHA-256 covers the whole file.

- `codec`: `encode` and `decode`. `masks`: which filters each expert keeps. `folding`: what is coarser if asked for,
  batch-norm as two vectors and float numbers in few bits.
- `bitstream`: the file. `cabac`, `numbers`: its two kinds of content. They know numpy and no torch, so that `worker`,
  in which a file that is not trusted is decoded, starts at once and needs little memory; `process` starts it.
- `inventory`: where the bytes go. `codecs`: what other codecs make of the same indices.

Sources: Wiedemann et al. 2020, "DeepCABAC"; Kirchhoffer et al. 2022, "Overview of the Neural Network Compression and
Representation (NNR) Standard"; Becking et al. 2023, "NNCodec".
"""

from importlib import import_module

_PLACES = {
    "Decoded": "codec",
    "decode": "codec",
    "encode": "codec",
    "Row": "inventory",
    "table": "inventory",
}
__all__ = ["Decoded", "Row", "decode", "encode", "table"]


def __getattr__(name: str):
    """Import what needs torch when it is asked for: `worker` shall not."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
