"""The recipe of a segmentation training: all that decides it, except seed and data."""

from dataclasses import dataclass, replace

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import choose_device, choose_precision

SCHEDULES = ("constant", "poly")
CLASS_WEIGHTS = (None, "inverse_sqrt")
POLY_POWER = 0.9


@dataclass(frozen=True)
class Recipe:
    """All that decides a training, except seed and data.

    Parameters
    ----------
    net : str
        One of `relcomp_kit.models.deeplab.SIZES`.
    dataset : str
        One of `relcomp_kit.datasets.scene_names.SCENE_NAMES`.
    size : (int, int)
        Height and width of the images.
    steps, batch : int
        Steps of the optimizer, and images in each.
    learning_rate : float
        Of Adam, or of AdamW if ``weight_decay`` is not 0. 1e-4 is the published one, for pre-trained weights.
    schedule : str
        "constant", or "poly": the learning rate falls as (1 - step / steps) ** 0.9.
    pretrained : bool
        Start from COCO weights.
    start : str, optional
        Start from a committed net of the same size, such as "compact-rail-scenes-0", with a new last convolution.
    class_weights : str, optional
        "inverse_sqrt" weighs a pixel by 1 / sqrt(share of its class), so that rare classes count more.
    half_size_steps : int
        How many of the steps, from the first on, see scenes of half the height and width: they cost a quarter.
    clip : float
        Longest gradient, as its norm over all parameters.
    validate_every : int
        Steps between two validations.
    patience : int, optional
        Validations without a better mIoU after which training stops.
    augment : bool
        Scale, crop, mirror and light change at random.
    precision : str
        "fp32", "bf16" or "auto"; see `relcomp_kit.models.device.choose_precision`.
    """

    net: str
    dataset: str
    size: tuple[int, int]
    steps: int
    batch: int = 16
    learning_rate: float = 1e-3
    schedule: str = "poly"
    weight_decay: float = 0.0
    pretrained: bool = False
    start: str | None = None
    class_weights: str | None = None
    half_size_steps: int = 0
    clip: float = 1.0
    validate_every: int = 100
    patience: int | None = None
    augment: bool = True
    precision: str = "auto"

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(self.size))  # a list where the recipe was read from JSON
        for name in ("steps", "batch", "validate_every", "learning_rate", "clip"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} is {getattr(self, name)}: it must be above 0")
        if not 0 <= self.half_size_steps <= self.steps:
            raise UserError(f"half_size_steps is {self.half_size_steps}: take 0 to {self.steps}, the steps in all")
        if self.patience is not None and self.patience < 1:
            raise UserError(f"patience is {self.patience}: take 1 or more, or None to train to the end")
        if self.pretrained and self.start:
            raise UserError(f"a training starts from COCO weights or from {self.start}, not from both: choose one")
        for name, known in (("schedule", SCHEDULES), ("class_weights", CLASS_WEIGHTS)):
            if getattr(self, name) not in known:
                raise UserError(
                    f"there is no {name} {getattr(self, name)!r}; choose one of {', '.join(map(str, known))}"
                )

    @property
    def origin(self) -> str:
        """From what the training starts, as text: "COCO weights", the name of a net, or "scratch"."""
        return "COCO weights" if self.pretrained else self.start or "scratch"

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step, 0 being the first."""
        if self.schedule == "constant":
            return self.learning_rate
        return self.learning_rate * (1 - step / self.steps) ** POLY_POWER


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """Return the recipe with another number of steps, the same share of them at half size.

    Parameters
    ----------
    recipe : Recipe
        What is trained, and how.
    steps : int
        Steps of the optimizer in all.
    """
    return replace(recipe, steps=steps, half_size_steps=recipe.half_size_steps * steps // recipe.steps)


def resolve(recipe: Recipe) -> Recipe:
    """Return the recipe with the precision that "auto" means on this machine: it decides the weights."""
    return replace(recipe, precision=choose_precision(recipe.precision, choose_device()))
