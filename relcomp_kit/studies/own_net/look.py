"""A first look at a net: what of it can be treated, and why not the rest. Seconds, before anything is trained."""

from dataclasses import dataclass

from torch import Tensor, nn

from relcomp_kit.compression import ecqx, experts
from relcomp_kit.compression.experts import ALL, Overview
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp import conservation

FAINT = 1e-6  # an answer that the stabiliser of the epsilon rule is not small beside
LOST = 0.05  # of the start, that may be lost or made on the way before relevance is called not conserved
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Look:
    """What of a net can be treated.

    Parameters
    ----------
    parameters, macs : int
        Of the whole net; multiply-adds of one image.
    quantized : float
        Share of the parameters that are quantized, in [0, 1].
    unquantized : str
        Why there are none, if so.
    conserved : float or None
        What is lost or made of the relevance at the worst cut through the net, as a share of the start; None where it
        cannot be measured.
    unmeasured : str
        Why relevance cannot be measured, if so.
    cut : Overview or None
        Which filters can be removed.
    uncut : str
        Why there are none, if so.
    """

    parameters: int
    macs: int
    quantized: float
    unquantized: str
    conserved: float | None
    unmeasured: str
    cut: Overview | None
    uncut: str

    @property
    def can_measure(self) -> bool:
        """Whether relevance of the weights can be had."""
        return self.conserved is not None

    @property
    def can_cut(self) -> bool:
        """Whether an expert can be made."""
        return self.cut is not None and bool(self.cut.free)

    @property
    def can_quantize(self) -> bool:
        """Whether there is a weight to quantize."""
        return not self.unquantized

    def __str__(self) -> str:
        lines = [f"{self.parameters:,} parameters, {self.macs:,} multiply-adds an image"]
        if self.can_measure:
            lines.append(
                f"relevance: every operation has a rule; at the worst cut {self.conserved:.1%} of it is lost or made"
            )
        else:
            lines.append(f"relevance: not of this net, because {self.unmeasured}")
        quantized = f"{self.quantized:.1%} of the parameters become whole numbers and a step"
        lines.append(f"quantization: {quantized if self.can_quantize else f'none, because {self.unquantized}'}")
        lines.append(f"experts: {self.cut if self.cut is not None else f'none, because {self.uncut}'}")
        return "\n".join(lines)


def look_at(net: nn.Module, batch: Batch) -> Look:
    """Return what of a net can be treated.

    Parameters
    ----------
    net : nn.Module
        In eval mode; left as it is.
    batch : (Tensor, Tensor)
        Some images as the net wants them, and their classes; two are enough.

    Returns
    -------
    Look
        To be read by name, or printed.
    """
    x = batch[0]
    weights, unquantized = 0, ""
    try:
        weights = sum(value.numel() for value in ecqx.quantizable(net).values())
    except UserError as error:
        unquantized = str(error)
    conserved, unmeasured = None, ""
    try:
        cuts = conservation(net, x, rule="epsilon", start="predicted")
        conserved = max(
            float((one.relevance + one.kept - one.start).abs().sum() / one.start.abs().sum()) for one in cuts.values()
        )
        if not conserved <= LOST:
            most = max(float(one.start.abs().max()) for one in cuts.values())
            reason = f"at a cut {conserved:.0%} of it are lost or made"
            if most < FAINT:
                reason = f"its answers are all but 0 ({most:.0e}), as without training: there is nothing to share out"
            unmeasured, conserved = reason, None
    except UserError as error:
        unmeasured = str(error)
    cut, uncut, counted = None, "", 0
    try:
        cut, counted = experts.overview(net, x[:1]), experts.macs(net, x[:1])[ALL]
    except UserError as error:
        uncut = str(error)
    parameters = sum(value.numel() for value in net.parameters())
    share = weights / parameters if parameters else 0.0
    return Look(parameters, counted, share, unquantized, conserved, unmeasured, cut, uncut)
