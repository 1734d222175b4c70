"""Where nets run: what is said of it, float32 that stays float32 where it counts, and processes that share GPUs."""

import pytest
import torch
from torch import nn

from relcomp_kit.compression import experts
from relcomp_kit.errors import UserError
from relcomp_kit.models import device as module
from relcomp_kit.models import distributed
from relcomp_kit.models.device import describe_device, device_of, full_precision, seed_generator
from relcomp_kit.relevance.lrp import weight_relevance

SEEN: list[list[str]] = []
PLACES = torch.backends.cudnn.conv, torch.backends.cuda.matmul


def now() -> list[str]:
    return [place.fp32_precision for place in PLACES]


class Noted(nn.Conv2d):
    """A convolution that notes in which precision it runs, forward and backward; its copies do, too."""

    def forward(self, x):
        if x.device.type != "meta":  # where nothing but shapes is computed
            SEEN.append(now())
        output = super().forward(x)
        if output.requires_grad:
            output.register_hook(lambda gradient: SEEN.append(now()))
        return output


@pytest.fixture
def net():
    return nn.Sequential(Noted(3, 8, 3), nn.ReLU(), Noted(8, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()


def test_a_net_lies_where_its_numbers_do():
    norm = nn.BatchNorm2d(3, affine=False, device="meta")
    assert device_of(norm).type == device_of(nn.Linear(2, 2, device="meta")).type == "meta"
    assert device_of(nn.ReLU()).type == "cpu"


def test_full_precision_ends_with_its_block_also_by_an_error():
    before = now()
    with pytest.raises(ZeroDivisionError), full_precision():
        assert now() == ["ieee", "ieee"]
        1 / 0  # noqa: B018
    assert now() == before


def test_relevance_and_the_check_of_a_cut_net_do_without_tf32(net):
    """cuDNN's own choice is TF32, in which relevance is not conserved and a cut net differs from the gated one."""
    before, x = now(), torch.rand(2, 3, 8, 8)
    SEEN.clear()
    relevance = weight_relevance(net, [(x, torch.tensor([0, 1]))])
    experts.compact(net, experts.relevant_path(net, relevance, 0.5, x), x)
    assert SEEN == 8 * [["ieee", "ieee"]]  # two layers: forward, backward, gated, cut
    assert now() == before


def test_what_computes_is_named(monkeypatch):
    monkeypatch.setattr(module, "choose_device", lambda: torch.device("cuda", 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    assert describe_device() == "a card"
    assert "threads" in describe_device(torch.device("cpu"))


def test_processes_have_a_gpu_each_or_share_them():
    cpu, cuda = torch.device("cpu"), torch.device
    assert distributed.place(1, 2, 0) == ("gloo", cpu)
    assert [distributed.place(rank, 2, 2) for rank in (0, 1)] == [("nccl", cuda("cuda", 0)), ("nccl", cuda("cuda", 1))]
    assert [distributed.place(rank, 3, 2)[1].index for rank in (0, 1, 2)] == [0, 1, 0]
    assert distributed.place(0, 2, 1) == ("gloo", cuda("cuda", 0))  # NCCL refuses two processes on one


def test_machines_of_a_group_must_not_share_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert distributed.count(2, 1) == 2
    with pytest.raises(UserError, match="this machine has 1 GPU, not 2: take fewer devices on each machine"):
        distributed.count(2, 2)


def test_the_processor_draws_as_torch_seeds_it_and_no_note_is_kept_for_devices_not_in_use():
    torch.manual_seed(3)
    first, kept = torch.rand(4), len(torch.cuda._queued_calls)
    seed_generator(torch.device("cpu"), 3)
    assert torch.equal(torch.rand(4), first) and len(torch.cuda._queued_calls) == kept
