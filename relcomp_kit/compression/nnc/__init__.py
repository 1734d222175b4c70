"""Coding: a quantized net as a file that is small, exact and safe to open.

Indices are coded without loss by DeepCABAC, the arithmetic coder of ISO/IEC 15938-17 (NNC), written out here and equal
to Fraunhofer HHI's nncodec bit by bit. Everything else (steps, biases, batch-norm, counters, names, shapes, masks of
experts, provenance) is bit-exact too, and one SHA-256 covers the whole file.

- `codec`: `encode` and `decode`. `path_masks`: which filters each expert keeps. `batch_norm_folding`: what is coarser
  if asked for, batch-norm as two vectors and float numbers in few bits.
- `bitstream`: the file. `cabac`, `float_coding`: its two kinds of content. `deepcabac`: the arithmetic coder.
- `inventory`: where the bytes go. `rival_codecs`: what other codecs make of the same indices.

Sources: Wiedemann et al. 2020, "DeepCABAC"; Kirchhoffer et al. 2022, "Overview of the Neural Network Compression and
Representation (NNR) Standard"; Becking et al. 2023, "NNCodec".
"""

from relcomp_kit.compression.nnc.bitstream import read_file
from relcomp_kit.compression.nnc.codec import Decoded, decode, encode
from relcomp_kit.compression.nnc.inventory import Row, table

__all__ = ["Decoded", "Row", "decode", "encode", "read_file", "table"]
