"""Every budget of every lesson, in one place: what `quick` and `full` mean."""

from dataclasses import dataclass

from relcomp_kit.errors import UserError


@dataclass(frozen=True)
class SaliencyBudget:
    """Lesson 01: nets trained as published, and how many images each measure sees."""

    training_steps: int = 1551
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 2000  # importance is cumulated over
    oracle_images: int = 500
    conv_steps: int = 200
    at_scale: bool = True  # the published net, training and number of images


@dataclass(frozen=True)
class PruningBudget:
    """Lesson 02: pruning steps, SGD steps between them, and which sparsification factors are run."""

    steps: int
    fine_tuning: int
    sf: tuple[float, ...]  # the published ones, and low ones for T6
    text_sf: tuple[float, ...]
    control_sf: tuple[float, ...]  # random, magnitude, importance from training images
    converge_steps: int
    converge_fine_tuning: int
    oracle_images: int
    at_scale: bool
    first_training: int = 1551
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class Profile:
    """A named set of budgets."""

    name: str
    saliency: SaliencyBudget
    pruning: PruningBudget


PROFILES = {
    "quick": Profile(
        "quick",
        SaliencyBudget(conv_steps=100),
        PruningBudget(
            steps=30,
            fine_tuning=50,
            sf=(0.3, 0.5, 0.6, 0.75, 0.9, 0.95),
            text_sf=(),
            control_sf=(0.95,),
            converge_steps=150,
            converge_fine_tuning=5,
            oracle_images=200,
            at_scale=False,
        ),
    ),
    "full": Profile(
        "full",
        SaliencyBudget(conv_steps=1000),
        PruningBudget(
            steps=150,
            fine_tuning=775,
            sf=(0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.75, 0.9, 0.95),
            text_sf=(0.55, 0.6, 0.75, 0.9, 0.95),
            control_sf=(0.95,),
            converge_steps=1000,
            converge_fine_tuning=100,
            oracle_images=500,
            at_scale=True,
        ),
    ),
}


def get_profile(name: str) -> Profile:
    """Return a profile by name."""
    if name not in PROFILES:
        raise UserError(f"there is no profile {name!r}; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
