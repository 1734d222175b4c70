"""Multiply-accumulate operations: of a net, and of what is left of it when units are removed."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from relcomp_kit.compression.experts.coupling import BAD_INPUT, Groups, blank_passes, unfitting
from relcomp_kit.relevance.channels import channel_layers

ALL = "all"


def macs(net: nn.Module, example: Tensor) -> dict[str, int]:
    """Return the multiply-accumulate operations of one forward pass: half of what torch's flop counter counts.

    Convolutions and linear layers count, which is nearly all. Nothing is computed but shapes.

    Parameters
    ----------
    net : nn.Module
        Any net; left as it is.
    example : Tensor
        An input of the size that is asked about.

    Returns
    -------
    dict of str to int
        Multiply-accumulate operations of each layer, by its name, and of the whole net, under "all" (`ALL`); for the
        whole batch.

    Raises
    ------
    UserError
        If the example does not go through the net.
    """
    for empty, x in blank_passes(net, example):
        try:
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                empty(x)
        except BAD_INPUT as error:
            failed = error
            continue
        counted = {name: sum(by_kind.values()) // 2 for name, by_kind in counter.get_flop_counts().items()}
        root = type(empty).__name__
        layers = {name: counted.get(f"{root}.{name}" if name else root, 0) for name in channel_layers(net)}
        return layers | {ALL: counter.get_total_flops() // 2}
    raise unfitting(failed) from failed


def macs_left(counted: dict[str, int], found: Groups) -> Callable[[Tensor], float]:
    """Return a function that tells the multiply-accumulate operations left with the units of a mask, (units,) bool.

    A layer has those of the net times the share of its filters and the share of the channels that it reads. Exact where
    each filter reads the same number of channels, as in all nets that `groups` lets be cut.

    Parameters
    ----------
    counted : dict of str to int
        As `macs` returns it for a net.
    found : Groups
        As `groups` returns them for this net.
    """
    layers = {name: value for name, value in counted.items() if name != ALL and value}

    def left(kept: Tensor) -> float:
        total = float(counted[ALL])
        for name, value in layers.items():
            shares = [found.units[name]] if name in found.units else []
            shares += [found.reads[name]] if name in found.reads else []
            product = 1.0
            for unit in shares:
                product *= ((unit < 0) | kept[unit]).double().mean().item()
            total -= value * (1 - product)
        return total

    return left


def unit_macs(counted: dict[str, int], found: Groups) -> Tensor:
    """Return how many multiply-accumulate operations the net has less without each unit, (units,) float64.

    Parameters
    ----------
    counted, found
        As in `macs_left`.
    """
    saved = torch.zeros(found.count, dtype=torch.float64)
    for of_layers in (found.units, found.reads):
        for name, unit in of_layers.items():
            cut = unit[unit >= 0]
            saved.index_add_(0, cut, torch.full((len(cut),), counted.get(name, 0) / len(unit), dtype=torch.float64))
    return saved
