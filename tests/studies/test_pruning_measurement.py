"""What lesson 02 measures and records."""

import json

import torch

from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.studies.pruning import measurement as pruning_study


def test_what_a_mask_saves_can_be_recorded():
    net = MaskedNet((64, 12, 10))
    net.layers[0].weight_mask[:, ::2] = 0
    saving = pruning_study.what_it_saves(net, torch.rand(20, 64))
    assert json.loads(json.dumps(saving)) == saving
    assert saving["masked"] == saving["dense"] == 4 * (64 * 12 + 12 * 10)
    assert saving["csr"] == 6 * (32 * 12 + 12 * 10) + 4 * (12 + 1 + 10 + 1)
    assert saving["gzip"] < saving["dense"]
