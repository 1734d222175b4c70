"""The table of all nets of torchvision that classify or segment: relevance, file, expert; or why not.

A row at a time is asserted by `test_table_of_any_net`. For people, in portions that fit a machine:

    python tests/relevance/lrp/any_nets.py resnet regnet    # those whose names begin so; without names all
"""

import copy
import functools
import sys
import time
from itertools import pairwise
from unittest import mock

import torch
from families import CLASSES, build
from torch import nn
from torchvision import models

from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.errors import UserError
from relcomp_kit.models.outputs import logits
from relcomp_kit.models.own_nets import TORCHVISION
from relcomp_kit.models.own_nets import build as from_line
from relcomp_kit.relevance.lrp import conservation, operation_rules, propagation

SIDES = {"vit": 224, "maxvit": 224, "inception": 96, "alexnet": 96}  # all else: 64
MOST_CODED = 60 * 10**6  # parameters of a net that is coded: larger ones take minutes each
HEADS = ("net", "parameters", "relevance lost", "carried", "file", "expert", "seconds")


def names() -> list[str]:
    return [*models.list_models(models), *models.list_models(models.segmentation)]


def side(name: str) -> int:
    return next((size for start, size in SIDES.items() if name.startswith(start)), 64)


def row(name: str) -> dict[str, str | float]:
    """What is measured of a net with random weights and disturbed batch-norms: a number, or the kit's own sentence."""
    seconds = time.process_time()
    net = build(lambda: from_line(TORCHVISION + name, CLASSES).train(), side(name))
    x = torch.randn(1, 3, side(name), side(name), generator=torch.Generator().manual_seed(0))
    count = sum(value.numel() for value in net.parameters())
    found = {"net": name, "parameters": count}
    lost = said(lambda: relevance(net, x))
    found["relevance lost"], found["carried"] = (lost, "-") if isinstance(lost, str) else lost
    found["file"] = said(lambda: file(net, name)) if count <= MOST_CODED else "not tried: it is large"
    found["expert"] = said(lambda: expert(net, x))
    return found | {"seconds": time.process_time() - seconds}


def said(measure):
    try:
        return measure()
    except UserError as error:
        return str(error)


def relevance(net: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """The largest share that a section between two cuts loses or makes, and the largest sum at a cut, of the start.

    The share is of what the section carries, not of the start: where biases make relevance grow on its way (1e15 times
    in EfficientNet-V2-L with random weights), the stabilizer's 1e-6 of it is more than the start, and no rule is wrong.
    It is measured in double precision, with a stabilizer of 1e-12: a rule is looked for, neither rounding nor what
    the stabilizer takes, which is a millionth of what stands next to 0 (6e-5 of a section of ShuffleNet-V2 1.0x).
    """
    small = functools.partial(propagation.stabilize, epsilon=1e-12)
    with mock.patch.object(propagation, "stabilize", small), mock.patch.object(operation_rules, "stabilize", small):
        found = conservation(copy.deepcopy(net).double(), x.double(), rule="epsilon").values()
    start = float(next(iter(found)).start)
    carried = [start, *(float(cut.relevance) for cut in found)]
    total = [start, *(float(cut.relevance + cut.kept) for cut in found)]
    lost = [abs(above - below) / max(map(abs, carried[n : n + 2])) for n, (above, below) in enumerate(pairwise(total))]
    return max(lost), max(map(abs, carried)) / abs(start)


def file(net: nn.Module, name: str) -> float:
    """How many bytes of float32 one byte of the file stands for; it has to be exact and to load strictly.

    It takes no more than 4 bit a weight, and what is not quantized as it is: normalizations, and counters.
    """
    quantized = ecqx.quantize(net, 4, 0.1)
    data = nnc.encode(quantized)
    decoded = nnc.decode(data).quantized
    state, expected = ecqx.state_dict(decoded), ecqx.state_dict(quantized)
    assert all(torch.equal(value, state[key]) for key, value in expected.items()) and state.keys() == expected.keys()
    from_line(TORCHVISION + name, CLASSES).load_state_dict(state)
    weights = sum(index.numel() for index in quantized.indices.values())
    assert len(data) < weights / 2 + quantized.original_bytes - 4 * weights
    return quantized.original_bytes / len(data)


def expert(net: nn.Module, x: torch.Tensor) -> float:
    """How far the cut net is from the gated one, of the whole net's largest logit; a gated net may answer 0."""
    path = experts.random_path(net, 0.6, x, torch.Generator().manual_seed(1))
    small = experts.compact(net, path, x)
    with torch.inference_mode():
        largest = logits(net(x)).abs().max()
        with experts.gate(net, path):
            return float((logits(small(x)) - logits(net(x))).abs().max() / largest)


def shown(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.2g}"


if __name__ == "__main__":
    print("| " + " | ".join(HEADS) + " |\n" + "|---" * len(HEADS) + "|")
    for one in names():
        if len(sys.argv) < 2 or one.startswith(tuple(sys.argv[1:])):
            found = row(one)
            print("| " + " | ".join(shown(found[head]) for head in HEADS) + " |", flush=True)
