"""Coding of all weights of DeepLabV3-ResNet101 at 4 bit, beside nncodec's `compress` and `decompress`."""

import contextlib
import io
import resource
import time
from collections.abc import Callable

import numpy as np
import torch

from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.models.deeplab import deeplab


def processor_time() -> float:
    """Of this process and those that it started: other work on the machine does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def timed(run: Callable) -> tuple[float, object]:
    start = processor_time()
    with contextlib.redirect_stdout(io.StringIO()):
        result = run()
    return processor_time() - start, result


def test_coding_against_nncodec_called_plainly(say):
    """At least 3 times as fast as `compress`, decoding no slower than `decompress`, and the same indices from both.

    Both are given the indices as they are. nncodec searches the best starts of the contexts in every tensor, the kit in
    those that are small enough to gain much by it. It decodes as it does by default, in a process of its own.
    """
    from nncodec import nnc as theirs

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
    ratio = theirs_seconds / ours_seconds
    say(
        f"{sum(map(np.size, arrays.values())) / 1e6:.1f} M weights encoded in {ours_seconds:.1f} s, {ratio:.1f}x "
        f"as fast as by compress; decoded in {back_seconds:.1f} s, {their_back_seconds:.1f} s by decompress; "
        f"{len(ours) / 1e6:.2f} MB with all other numbers, without them {len(stream) / 1e6:.2f} MB by compress"
    )
    assert ratio >= 3
    assert back_seconds <= 1.05 * their_back_seconds
