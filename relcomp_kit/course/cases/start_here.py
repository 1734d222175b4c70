"""Cases for lesson 00."""

import torch
from numpy.random import Generator


def sparsity(rng: Generator) -> tuple:
    """Return an inverse density, 1 or more."""
    return (float(rng.choice([1, 1 + rng.random(), rng.uniform(1, 100), rng.integers(1, 100)])),)


def first_to_go(rng: Generator) -> tuple:
    """Return weights (weights,) and images (count, weights) whose pixels differ in brightness by a factor of 100."""
    weights, images = int(rng.integers(2, 8)), int(rng.integers(1, 7))
    brightness = 10 ** rng.uniform(-2, 0, weights)
    values = rng.normal(size=(images, weights)) * brightness
    return torch.tensor(rng.normal(size=weights)).float(), torch.tensor(values).float()


def nearest_centroid(rng: Generator) -> tuple:
    """Return a weight, some of them far outside, never half-way between two centroids, and a step."""
    step = float(rng.uniform(0.05, 2))
    index = int(rng.integers(-6, 7)) if rng.random() < 0.8 else int(rng.integers(-100, 101))
    return float(index + rng.uniform(-0.49, 0.49)) * step, step
