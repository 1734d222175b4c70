"""Where a net runs and in which precision."""

import platform

import torch

from relcomp_kit.errors import UserError

PRECISIONS = ("fp32", "bf16", "auto")


def choose_device() -> torch.device:
    """Return the first GPU of the CUDA kind if there is one, otherwise the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def describe_device() -> str:
    """Return what `choose_device` chooses, for people."""
    if choose_device().type == "cuda":
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


def choose_precision(precision: str, device: torch.device) -> str:
    """Return "fp32" or "bf16"; "auto" is bf16 where the device multiplies it faster than fp32.

    A processor without instructions for bf16 computes it too, but slower.
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
    """Return the context in which convolutions run in the chosen precision; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
