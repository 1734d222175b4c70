"""What of a net experts can be made of, and why not of the rest: a look at the net before anything is computed."""

from dataclasses import dataclass

from torch import Tensor, nn

from relcomp_kit.compression.experts.coupling import groups
from relcomp_kit.compression.experts.multiply_adds import ALL, macs


@dataclass(frozen=True)
class Overview:
    """What of a net can be removed.

    Parameters
    ----------
    free : dict of str to int
        Layer whose filters can be removed, to their number.
    fixed : dict of str to str
        Layer whose filters all stay, to the reason: a clause.
    share : float
        Share of the net's multiply-adds in layers that get smaller when filters are removed, in [0, 1].
    """

    free: dict[str, int]
    fixed: dict[str, str]
    share: float

    def __str__(self) -> str:
        count = len(self.free) + len(self.fixed)
        layers = f"{count} layer{'s' * (count != 1)}"
        first = (
            f"{sum(self.free.values())} filters of {len(self.free)} of {layers} can be removed; "
            f"{self.share:.0%} of the multiply-adds depend on them"
        )
        reasons: dict[str, list[str]] = {}
        for name, why in self.fixed.items():
            reasons.setdefault(why, []).append(name)
        return "\n".join([first, *(f"{_named(names)} must keep all, because {why}" for why, names in reasons.items())])


def overview(net: nn.Module, example: Tensor) -> Overview:
    """Return which layers of a net filters can be removed from, and why not from the rest.

    Parameters
    ----------
    net : nn.Module
        Any net of one input; left as it is.
    example : Tensor
        An input of the net, as in `groups`.

    Returns
    -------
    Overview
        To be read by name, or printed: a line, and one for each reason.

    Raises
    ------
    UserError
        If the example does not go through the net.
    """
    found, counted = groups(net, example), macs(net, example)
    smaller = sum(counted.get(name, 0) for name in found.units.keys() | found.reads.keys())
    widths = {name: len(unit) for name, unit in found.units.items()}
    return Overview(widths, dict(found.fixed), smaller / counted[ALL] if counted[ALL] else 0.0)


def _named(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
