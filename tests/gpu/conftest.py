"""What a machine with CUDA must show: ``python -m pytest -n 0 tests/gpu``. Without CUDA all of it is skipped.

``RELCOMP_GPU_REHEARSAL=1`` puts the processor in the place of the GPU, so that the code of these tests is known to run
before a GPU is lent. What is compared is then equal, but for the checks that the yardsticks can tell anything at all.

Two yardsticks say how far the GPU's results may be from the processor's:

- *Sums in float32.* GPU and processor add the same n products in another order, and nothing else differs (TF32 is
  off). In any order the error against float64 is some multiple of 2^-24 that grows no faster than the square root of
  the longest run of additions. The processor adds in 16 lanes or more, the GPU one after the other at worst: then its
  runs are 16 times as long and its error 4 times as large. Both are random, which doubles that: `FACTOR`.
- *Trainings.* Rounding grows from step to step, by how much no bound says. So the same training is done twice on the
  processor, with its sums in two orders. The GPU's may be `FACTOR` times as far away as these two are from each other.
  Dropout is left out, because a GPU draws other random numbers.
"""

import copy
import os
import statistics
import sys

import pytest

REHEARSAL = os.environ.get("RELCOMP_GPU_REHEARSAL") == "1"
REASON = "needs a GPU with CUDA; RELCOMP_GPU_REHEARSAL=1 rehearses it on the processor"
FACTOR = 8
ROUNDING = 2**-24  # of float32, relative
FLIPPED = 0.05  # see `check_sums`


@pytest.fixture(autouse=True)
def card():
    """The device that is tested; TF32, which rounds what convolutions read to 10 bits, is off."""
    import torch

    if not (REHEARSAL or torch.cuda.is_available()):
        pytest.skip(REASON)
    convolutions, products = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = convolutions.fp32_precision, products.fp32_precision
    convolutions.fp32_precision = products.fp32_precision = "ieee"
    yield torch.device("cpu") if REHEARSAL else torch.device("cuda", 0)
    convolutions.fp32_precision, products.fp32_precision = before


@pytest.fixture
def only_card():
    """For what a processor cannot stand for."""
    if REHEARSAL:
        pytest.skip("only a GPU can show this")


@pytest.fixture
def use(monkeypatch):
    """``use(device)`` lets the kit choose this device from now on."""

    def choose(device) -> None:
        import relcomp_kit.studies.coding.experiment  # noqa: F401, with all that it imports
        from relcomp_kit.models.device import describe_device

        chosen, replacement = describe_device.__globals__["choose_device"], lambda: device
        for name, module in list(sys.modules.items()):
            if name.startswith("relcomp_kit") and getattr(module, "choose_device", None) is chosen:
                monkeypatch.setattr(module, "choose_device", replacement)

    return choose


@pytest.fixture(scope="session")
def scenes():
    """Eight small rail scenes of each split."""
    from dataclasses import replace

    from torch.utils.data import Subset

    from relcomp_kit.datasets.scenes import load_scenes

    data = load_scenes("rail-scenes", (48, 80))
    return replace(data, **{split: Subset(getattr(data, split), range(8)) for split in ("train", "validation", "test")})


@pytest.fixture
def without_dropout():
    """``without_dropout(net)`` is the net, whose dropout drops nothing."""
    from torch import nn

    def change(net):
        for module in net.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return net

    return change


@pytest.fixture
def net(without_dropout):
    """The trained compact DeepLabV3, on the processor."""
    from relcomp_kit.models.checkpoints import load_net

    return without_dropout(load_net("compact-rail-scenes-0"))


@pytest.fixture
def images(scenes):
    """Two batches of two scenes, as a net takes them, and their classes; on the processor."""
    from relcomp_kit.studies.relevance.measurement import batches

    return [(x.cpu(), target.cpu()) for x, target in batches(scenes.train, 4, 2)]


def apart(found: dict, exact: dict) -> list[float]:
    """The distance of each tensor from the exact one, relative to its length."""
    pairs = [(found[name].detach().cpu().double(), value) for name, value in exact.items() if value.any()]
    return [((one - value).norm() / value.norm()).item() for one, value in pairs]


@pytest.fixture
def check_sums():
    """``check_sums(card, processor, exact)`` compares tensors by name; ``exact`` was computed in float64.

    A ReLU whose input is 0 within rounding may be open here and shut there. Then the relevance of the weights before it
    lacks what flows through one position of one channel: more than any rounding, but a small part of a tensor. So the
    median of the tensors is held to the yardstick of sums, and each of them to `FLIPPED`.
    """

    def check(card: dict, processor: dict, exact: dict) -> None:
        ours, theirs = apart(card, exact), apart(processor, exact)
        told = f"median {statistics.median(ours):.1e}, the processor's {statistics.median(theirs):.1e}"
        assert statistics.median(ours) <= FACTOR * max(statistics.median(theirs), ROUNDING), told
        assert max(ours) <= FLIPPED, f"largest {max(ours):.1e}; {told}"

    return check


@pytest.fixture
def in_another_order():
    """A context in which the processor adds in another order: torch's own convolutions instead of oneDNN's."""
    import torch

    return lambda: torch.backends.mkldnn.flags(enabled=False)


@pytest.fixture
def in_double():
    """``in_double(net)`` is a copy in float64."""
    return lambda net: copy.deepcopy(net).cpu().double()
