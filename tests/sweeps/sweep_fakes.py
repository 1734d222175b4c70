"""Experiments that cost nothing, for workers to import."""

import os
import signal
import time
from pathlib import Path

VERSION = 3


def fake(*, x: int, folder: str, what: str = "square", scale: float = 1.0) -> dict:
    """Square ``x``, and leave a file of every start; or fail in one of many ways."""
    starts = len(list(Path(folder).glob(f"{x}.*")))
    (Path(folder) / f"{x}.{starts}.{os.getpid()}").touch()
    if (Path(folder) / "mended").exists():
        what = "square"
    if what == "fail":
        raise ValueError(f"no\nsquare of {x}")
    if what == "die" or (what == "die once" and not starts):
        os.kill(os.getpid(), signal.SIGKILL)
    while what == "wait" and not (Path(folder) / "go").exists():
        time.sleep(0.02)
    if what == "object":
        return {"square": object()}
    if what == "threads":
        import torch

        return {"threads": torch.get_num_threads(), "environment": os.environ["OMP_NUM_THREADS"]}
    return {"square": (x * x * scale, "m2"), "undefined": [float("nan"), 1.0], "by class": {"a": (float("inf"),)}}
