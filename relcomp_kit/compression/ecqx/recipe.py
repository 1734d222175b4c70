"""What decides a quantization-aware training, but for net, data and seed."""

import math
from dataclasses import dataclass, replace

from relcomp_kit.compression.ecqx.centroids import RULES, check_bits
from relcomp_kit.compression.ecqx.quantize_net import EXTREMES
from relcomp_kit.compression.ecqx.straight_through import SCALES
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import choose_device, choose_precision
from relcomp_kit.models.recipe import CLASS_WEIGHTS, POLY_POWER, SCHEDULES

ARMS = ("ecq", "lrp", "magnitude", "random", "lsq", "float")
SOURCES = ("shadow", "quantized")


@dataclass(frozen=True)
class QatRecipe:
    """A quantization-aware training, but for net, data and seed.

    Parameters
    ----------
    arm : {"ecq", "lrp", "magnitude", "random", "lsq", "float"}
        "ecq": without relevance. "lrp": ECQ^x. "magnitude" and "random" put absolute weights, or uniform numbers drawn
        once, in the place of relevance. "lsq": nearest centroids, whose steps are learned with the weights, from those
        of ``step_rule`` on; it takes neither Lambda nor relevance. "float": the same training without quantization,
        because a net that is trained further becomes better by itself.
    bits, Lambda, give_back, exclude, step_rule, extreme
        As in `relcomp_kit.compression.ecqx.quantize`, where ``step_rule`` is called ``step``. Centroids and lambda are
        those of the net that is given, and stay.
    steps, batch : int
        Steps of Adam, and images in each.
    learning_rate : float
        1e-3 is the published one.
    schedule : {"constant", "poly"}
        As in `relcomp_kit.models.recipe.Recipe`.
    warm_up : int
        Steps in which lambda rises from 0 to its value. States of that time are never chosen.
    gradient_scale : {"none", "abs", "signed"}
        As in `relcomp_kit.compression.ecqx.scale_gradient`. "signed" is a defect of the published code.
    fit_every : int
        Probabilities, borders and beta are found anew every so many steps; indices at every step.
    relevance_every, relevance_batches : int
        Relevance is measured anew every so many steps, on so many batches of training data. New relevance moves many
        weights in and out of 0, and the statistics of batch-norm need some dozen steps to follow. So relevance that is
        measured often and on few images costs accuracy.
    momentum : float
        The share of the old relevance that is kept when new one comes; 0.1 is the published one.
    relevance_of : {"shadow", "quantized"}
        The weights that relevance is measured on. A weight that is 0 has no relevance. So on the quantized ones, a
        weight that has become 0 once stays irrelevant, and returns only by what momentum keeps of its old relevance.
    rule, aggregate : str
        As in `relcomp_kit.relevance.lrp.weight_relevance`.
    conserved : bool
        False leaves the sums of residual blocks without a rule, a defect of the published code: each branch receives
        all of the relevance, block after block.
    validate_every : int
        Steps between two validations.
    precision : {"fp32", "bf16", "auto"}
        As in `relcomp_kit.models.device.choose_precision`; not for small grey images.
    class_weights
        As in `relcomp_kit.models.recipe.Recipe`; for scenes.
    augment : bool
        Change every image at random: scenes as in `relcomp_kit.models.recipe.Recipe`, others by
        `relcomp_kit.datasets.transforms.crop_and_mirror`; not small grey images.
    noise, signed : bool
        As in `relcomp_kit.models.masked_net_training.prepare`; for small images.
    """

    arm: str = "lrp"
    bits: int = 4
    Lambda: float = 0.05
    steps: int = 300
    batch: int = 64
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warm_up: int = 0
    give_back: float = 0.1
    exclude: tuple[str, ...] = ()
    step_rule: str = "p99.9-interpolated"
    extreme: str = "max"
    gradient_scale: str = "none"
    fit_every: int = 10
    relevance_every: int = 40
    relevance_batches: int = 4
    momentum: float = 0.1
    relevance_of: str = "shadow"
    rule: str = "epsilon"
    aggregate: str = "mean_of_abs"
    conserved: bool = True
    validate_every: int = 50
    precision: str = "auto"
    class_weights: str | None = "inverse_sqrt"
    augment: bool = False
    noise: bool = True
    signed: bool = True

    def __post_init__(self):
        exclude = (self.exclude,) if isinstance(self.exclude, str) else tuple(self.exclude)  # a list if read from JSON
        object.__setattr__(self, "exclude", exclude)
        for name, known in (
            ("arm", ARMS),
            ("schedule", SCHEDULES),
            ("step_rule", RULES),
            ("extreme", EXTREMES),
            ("gradient_scale", SCALES),
            ("relevance_of", SOURCES),
            ("class_weights", CLASS_WEIGHTS),
        ):
            if getattr(self, name) not in known:
                listed = ", ".join(map(str, known))
                raise UserError(f"there is no {name} {getattr(self, name)!r}; choose one of {listed}")
        check_bits(self.bits)
        for name in ("steps", "batch", "fit_every", "relevance_every", "relevance_batches", "validate_every"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}: it must be 1 or more")
        if not 0 < self.learning_rate < math.inf:
            raise UserError(f"learning_rate is {self.learning_rate}: it must be above 0")
        if not 0 <= self.Lambda < math.inf:
            raise UserError(f"Lambda must be 0 or a positive number, not {self.Lambda}")
        if not 0 <= self.give_back <= 1:
            raise UserError(f"the sparsity to give back must lie in [0, 1], not {self.give_back}")
        if not 0 <= self.momentum < 1:
            raise UserError(
                f"the momentum is the share of the old relevance, 0 or more and below 1, not {self.momentum}"
            )
        if not 0 <= self.warm_up < self.steps:
            raise UserError(f"warm_up is {self.warm_up}: it must end before the {self.steps} steps of the training do")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, 0 being the first."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 - step / self.steps) ** POLY_POWER

    def lambda_share(self, step: int) -> float:
        """Return the share of lambda that is in force after so many steps."""
        return min(1.0, step / self.warm_up) if self.warm_up else 1.0


def resolve(recipe: QatRecipe) -> QatRecipe:
    """Return the recipe with the precision that "auto" means on this machine: it decides the weights."""
    return replace(recipe, precision=choose_precision(recipe.precision, choose_device()))
