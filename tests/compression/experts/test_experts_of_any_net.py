"""Every net of torchvision: gated and cut give the same, or what must stay is said; in bounded time and memory.

All classification and segmentation nets with ``RELCOMP_ALL_NETS=1``, which takes about an hour on one core; else one of
each way to couple channels.
"""

import os
import resource
import sys
import time

import pytest
import torch
from torch import nn
from torchvision import models

from relcomp_kit.compression.experts import compact, gate, groups, random_path
from relcomp_kit.compression.experts.cutting import logits

SEGMENTATION = models.list_models(models.segmentation)
HANDFUL = ("densenet121", "efficientnet_b0", "googlenet", "lraspp_mobilenet_v3_large", "resnext50_32x4d")
HANDFUL += ("shufflenet_v2_x0_5", "swin_v2_t")
SIDES = {"vit": 224, "maxvit": 224, "inception": 96, "alexnet": 96}  # all else: 64
SECONDS, MEGABYTES = 60, 500  # of processor time and of memory, that looking at a net may take


def nets() -> list[str]:
    return [*models.list_models(models), *SEGMENTATION] if os.environ.get("RELCOMP_ALL_NETS") else list(HANDFUL)


def built(name: str) -> nn.Module:
    options: dict = {"weights_backbone": None} if name in SEGMENTATION else {}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = models.get_model(name, weights=None, **options)
        for value in net.parameters():
            if not value.any():  # such as the head of a vision transformer
                nn.init.normal_(value, std=0.02)
    return net


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


@pytest.mark.slow
@pytest.mark.parametrize("name", nets())
def test_gated_and_cut_give_the_same(name, draw, enliven):
    net = enliven(built(name))
    side = next((size for start, size in SIDES.items() if name.startswith(start)), 64)
    x = draw(1, 3, side, side)
    seconds, memory = time.process_time(), megabytes()
    found = groups(net, x)
    assert time.process_time() - seconds < SECONDS and megabytes() - memory < MEGABYTES
    assert found.units, "something of each of these nets can be cut"
    assert all(found.fixed.values()) and not found.fixed.keys() & found.units.keys()
    path = random_path(net, 0.6, x, torch.Generator().manual_seed(1))
    small = compact(net, path, x)
    with torch.inference_mode():
        whole = logits(net(x))
        with gate(net, path):
            gated = logits(net(x))
        largest = gated.abs().max()
        assert (logits(small(x)) - gated).abs().max() <= 1e-5 * largest
        assert (whole - gated).abs().max() > 1e-7 * largest, "the path changes the output"
