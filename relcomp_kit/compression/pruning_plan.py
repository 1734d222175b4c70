"""What decides one pruning curve: its plan, and the images it is trained, chosen, measured and reported on."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from relcomp_kit.compression.pruning import check_sf
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import INITIAL
from relcomp_kit.models.masked_net_training import Samples, prepare
from relcomp_kit.relevance.saliency import LOSSES

RULES = ("none", "median", "rate", "match", "rank", "probabilistic")
MEASURES = ("outer", "outer_impact", "gradient", "taylor", "magnitude", "random", "oracle")


@dataclass(frozen=True)
class Plan:
    """Everything that decides one pruning curve.

    Attributes
    ----------
    protocol : {"program", "text"}
        The published program (fixed steps, scaling per sample, ties go) or the thesis' text (training until the
        validation accuracy stops rising, scaling per neuron, ties stay).
    rule : {"none", "median", "rate", "match", "rank", "probabilistic"}
        "none" trains on without pruning; "match" keeps as many weights per neuron as ``counts`` says.
    measure : {"outer", "outer_impact", "gradient", "taylor", "magnitude", "random", "oracle"}
        What importance is: outer product of input importances (by saliency or impact), cumulated abs(dJ/dW) or
        abs(W o dJ/dW), abs(W), random numbers, or the measured change of the loss.
    images : {"train", "test"}
        Which images importance is measured on; the published program takes test images.
    sf, rate : float
        Sparsification factor of "median"; share removed per step of "rate", share aimed at by "rank" and
        "probabilistic".
    steps : int
        Pruning steps.
    first_training, fine_tuning : int
        SGD steps before the first and after every pruning step ("program").
    first_images, later_images : int
        Images that importance is cumulated over, at the first and at later pruning steps.
    cumulate : bool
        Whether importance is added up over all pruning steps so far, or measured anew at every step.
    loss : {"training", "pruning"}
        Whose gradient saliency is.
    hold_at : float
        Share of the weights left at which pruning stops while training goes on.
    until_unchanged : int
        Stop after so many steps in which no weight went; 0 never does.
    classes : tuple of int
        The classes kept; empty means all.
    activations : str or tuple of str
        One for all layers, or one per layer.
    initial : {"torch", "glorot"}
        Range of the initial weights, as in `MaskedNet`.
    seed : int
        Decides initial weights, noise, order of batches and the images importance is measured on.
    """

    protocol: str = "program"
    rule: str = "median"
    measure: str = "outer"
    images: str = "test"
    sf: float = 0.9
    rate: float = 0.1
    steps: int = 150
    first_training: int = 1551
    fine_tuning: int = 775
    first_images: int = 2000
    later_images: int = 1000
    cumulate: bool = True
    loss: str = "training"
    hold_at: float = 0.0
    until_unchanged: int = 0
    classes: tuple[int, ...] = ()
    activations: str | tuple[str, ...] = "tanh"
    initial: str = "torch"
    seed: int = 0

    def __post_init__(self):
        for value, choices in (
            (self.protocol, ("program", "text")),
            (self.rule, RULES),
            (self.measure, MEASURES),
            (self.images, ("train", "test")),
            (self.loss, LOSSES),
            (self.initial, INITIAL),
        ):
            if value not in choices:
                raise UserError(f"a pruning plan knows no {value!r}; choose one of {', '.join(choices)}")
        check_sf(self.sf)
        if not 0 < self.rate < 1:
            raise UserError(f"a plan's rate is a share of the weights, in (0, 1), not {self.rate}")
        for name in ("steps", "first_images", "later_images"):
            if getattr(self, name) < 1:
                raise UserError(f"a plan's {name} must be at least 1, not {getattr(self, name)}")
        if self.rule == "probabilistic" and self.protocol == "text":
            raise UserError(
                "the probabilistic rule draws masks during a fixed number of steps: protocol 'program' only"
            )


@dataclass(frozen=True)
class Images:
    """The samples of one curve: what is trained on, chosen on, measured on and reported on.

    The test images are split, so that no accuracy is reported on an image that importance was measured on.
    """

    train: Samples
    validation: Samples
    importance: Samples
    report: Samples


@functools.lru_cache(maxsize=1)
def _prepared(dataset: ImageSet, seed: int) -> tuple[Samples, Samples, Samples]:
    """Draw the noise of all three splits; kept, since neighbouring plans share data set and seed."""
    splits = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = (prepare(split, seed * 10 + i) for i, split in enumerate(splits))
    return train, validation, test


def split_images(dataset: ImageSet, plan: Plan) -> Images:
    """Prepare a data set for a plan: noise drawn once, classes chosen, test images split in two.

    A fifth of the test images (2,000 of MNIST's 10,000) is set apart for importance, drawn by the plan's seed.

    Parameters
    ----------
    dataset : ImageSet
        With splits train, validation and test.
    plan : Plan
        Its ``classes``, ``images`` and ``seed`` decide.

    Returns
    -------
    Images
        The samples, ``x`` (images, pixels) each.

    Raises
    ------
    UserError
        If a split has no image of the classes, or there are too few test images to set a fifth apart.
    """
    splits: Sequence[Samples] = _prepared(dataset, plan.seed)
    if plan.classes:
        splits = [part.subset(torch.isin(part.labels, torch.tensor(plan.classes))) for part in splits]
    training, validation, test = splits
    if not all(map(len, splits)):
        raise UserError(f"{dataset.name} has no image of the classes {list(plan.classes)} in one of its splits")
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(plan.seed))
    apart = len(test) // 5
    if plan.images == "test" and not apart:
        raise UserError(f"{dataset.name} has {len(test)} test images of these classes, too few to set a fifth apart")
    importance = test.subset(order[:apart]) if plan.images == "test" else training
    return Images(training, validation, importance, test.subset(order[apart:]))
