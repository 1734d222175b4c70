"""Where a net runs and in which precision."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import nn

from relcomp_kit.errors import UserError

PRECISIONS = ("fp32", "bf16", "auto")


def choose_device() -> torch.device:
    """Return the first GPU of the CUDA kind if there is one, otherwise the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def device_of(net: nn.Module) -> torch.device:
    """Return where a net's numbers lie; the processor, if it has none."""
    return next(chain(net.parameters(), net.buffers()), torch.empty(0)).device


def describe_device(device: torch.device | None = None) -> str:
    """Return what computes, for people: by default what `choose_device` chooses."""
    if (device or choose_device()).type == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the numbers that a device draws, as for dropout.

    ``torch.manual_seed`` seeds every kind of device. For those that are not in use it keeps the call and stack, which
    takes about as long as a step of a small net.

    Parameters
    ----------
    device : torch.device
        A GPU, or anything else for the processor.
    seed : int
        The seed.
    """
    generator = torch.default_generator
    if device.type == "cuda":
        torch.cuda.init()
        generator = torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]
    generator.manual_seed(seed)


def choose_precision(precision: str, device: torch.device) -> str:
    """Return the precision to compute in; "auto" is bf16 where the device has instructions for it.

    A processor without such instructions computes bf16 too, but slower than fp32.

    Parameters
    ----------
    precision : str
        One of `PRECISIONS`: "fp32", "bf16" or "auto".
    device : torch.device
        Where the net runs.

    Returns
    -------
    str
        "fp32" or "bf16".

    Raises
    ------
    UserError
        If there is no such precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"there is no precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context in which convolutions run in the chosen precision; weights stay float32.

    Parameters
    ----------
    precision : str
        "bf16" turns the context on; with "fp32" it does nothing.
    device : torch.device
        Where the net runs.

    Returns
    -------
    torch.autocast
        The context manager.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def full_precision() -> Iterator[None]:
    """Let a GPU's convolutions and products read float32 numbers as they are, within a ``with``.

    By default cuDNN reads them in TF32, of 10 bits. That is enough for training; relevance would not be conserved.
    """
    backends: Any = torch.backends  # whose stubs do not know the settings of convolutions
    places = backends.cudnn.conv, backends.cuda.matmul
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        yield
    finally:
        for place, precision in zip(places, before):
            place.fp32_precision = precision
