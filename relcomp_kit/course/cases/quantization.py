"""Cases for lesson 05."""

import torch
from numpy.random import Generator


def border(rng: Generator) -> tuple:
    """Return two different indices in any order, and what each costs."""
    j, k = rng.choice(range(-8, 9), 2, replace=False).tolist()
    return j, float(rng.uniform(0, 2)), k, float(rng.uniform(0, 2))


def beta_for(rng: Generator) -> tuple:
    """Return costs of 0 and of the best other index, relevances between 0 and 1, and a count."""
    weights = int(rng.integers(1, 9))
    zeros, others = rng.uniform(0.05, 3, (2, weights)).tolist()
    return (
        tuple(zeros),
        tuple(others),
        tuple(rng.uniform(0.02, 0.98, weights).tolist()),
        int(rng.integers(1, weights + 1)),
    )


def straight_through(rng: Generator) -> tuple:
    """Return weights, a step, inputs (images, weights), targets (images,) and a rate."""
    images, weights = rng.integers(1, 6, 2)
    step = float(rng.uniform(0.1, 1))
    raw = (rng.integers(-5, 6, weights) + rng.uniform(-0.49, 0.49, weights)) * step
    inputs, targets = rng.normal(size=(images, weights)), rng.normal(size=images)
    return torch.tensor(raw), step, torch.tensor(inputs), torch.tensor(targets), float(rng.uniform(0.01, 0.5))


def assign(rng: Generator) -> tuple:
    """Return weights, a step, the levels, lambda, relevances from 0 to 1, and beta.

    Between no weight and all of them are nearest to 0, and some lie outside of the levels.
    """
    weights, most = int(rng.integers(1, 30)), int(rng.choice([1, 3, 7]))
    levels = torch.arange(-most, most + 2) if rng.random() < 0.5 else torch.arange(-most - 1, most + 1)
    step = float(rng.uniform(0.1, 1))
    raw = rng.normal(loc=rng.choice([0, 0, 3]), scale=rng.choice([0.3, 1.5, 4]), size=weights) * step
    relevance = rng.random(weights)
    relevance[rng.random(weights) < 0.1] = rng.integers(0, 2)
    lam = float(rng.choice([0.05, 0.3, 1]) * step**2 * rng.uniform(0.2, 1))
    return torch.tensor(raw), step, levels, lam, torch.tensor(relevance), float(rng.uniform(0.1, 2))
