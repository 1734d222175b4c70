"""Cases for lesson 02."""

import torch
from numpy.random import Generator


def layer_limit(rng: Generator) -> tuple:
    """Return inputs, neurons and SF below 1."""
    return int(rng.integers(2, 1000)), int(rng.integers(1, 60)), float(rng.uniform(0.05, 0.99))


def largest_sf(rng: Generator) -> tuple:
    """Return the importances left in any order, even and odd counts, all above 0, and the number at the start."""
    left = int(rng.integers(1, 10))
    at_start = left + int(rng.integers(0, 40))
    return torch.tensor(rng.uniform(0.01, 1, left) * rng.uniform(0.1, 10)).float(), at_start


def rounded_down(rng: Generator) -> tuple:
    """Return weights, a rate that a float holds exactly (a 64th, or several), and steps."""
    weights = rng.choice([rng.integers(1, 20), rng.integers(1, 1000)])
    return int(weights), int(rng.integers(1, 64)) / 64, int(rng.choice([0, 1, 2, 5, 1000]))
