"""Coding of all weights of DeepLabV3-ResNet101 at 4 bit, beside nncodec's `compress` and `decompress`.

What bounds it is not bytes but bins: each index is one to a few dozen of them, and each bin needs the result of the one
before. Tensors know nothing of each other, so that as many are coded at a time as there are cores.
"""

import contextlib
import io
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.models.deeplab import deeplab


def timed(run: Callable) -> tuple[float, object]:
    """Seconds by the clock: both use all cores that they know how to use."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = run()
    return time.perf_counter() - start, result


def test_coding_against_nncodec_called_plainly(say, monkeypatch):
    """On two cores at least 6 times as fast as `compress`, twice as fast as `decompress`, and the same indices.

    Measured on a quiet machine: 6.7 to 7.2 times. The check leaves a busy one room: 5 times.
    """
    monkeypatch.delenv("OMP_NUM_THREADS")  # of the tests: one
    theirs = pytest.importorskip("nncodec.nnc", reason="nncodec is not installed: nothing to compare with")
    small = ecqx.quantize(torch.nn.Linear(300, 300), 4, 0.05)
    first_seconds, _ = timed(lambda: nnc.decode(nnc.encode(small)))
    net = deeplab("resnet101", 7)
    quantized = ecqx.quantize(net, 4, 0.05)
    arrays = {name: index.numpy().astype(np.int32) for name, index in quantized.indices.items()}
    options = {"bitstream_path": None, "return_bitstream": True, "use_dq": False}
    ours_seconds, ours = timed(lambda: nnc.encode(quantized))
    theirs_seconds, stream = timed(lambda: theirs.compress(arrays, **options))
    back_seconds, decoded = timed(lambda: nnc.decode(ours))
    their_back_seconds, their_decoded = timed(lambda: theirs.decompress(bytearray(stream)))
    for name, index in quantized.indices.items():
        assert torch.equal(decoded.quantized.indices[name], index)
        assert np.array_equal(their_decoded[name], index.numpy())
    say(
        f"{sum(map(np.size, arrays.values())) / 1e6:.1f} M weights encoded in {ours_seconds:.1f} s, "
        f"{theirs_seconds / ours_seconds:.1f}x as fast as by compress; decoded in {back_seconds:.1f} s, "
        f"{their_back_seconds / back_seconds:.1f}x as fast as by decompress; {len(ours) / 1e6:.2f} MB with all other "
        f"numbers, without them {len(stream) / 1e6:.2f} MB by compress; the first use took {first_seconds:.1f} s"
    )
    assert theirs_seconds >= 5 * ours_seconds
    assert their_back_seconds >= 2 * back_seconds
