"""Cases for lesson 01."""

import torch
from numpy.random import Generator


def cumulated(rng: Generator) -> tuple:
    """Return the importance of inputs (images, inputs) and of neurons (images, neurons), and which images are right."""
    images, inputs, neurons = rng.integers(1, 6, 3)
    right = rng.random(images) < 0.6
    right[rng.integers(images)] = True
    ends = (torch.tensor(rng.random((images, count))).float() for count in (inputs, neurons))
    return *ends, torch.tensor(right)


def scale_rows(rng: Generator) -> tuple:
    """Return rows of any size and place; some have no variation."""
    rows, columns = rng.integers(1, 6, 2)
    values = rng.normal(size=(rows, columns)) * 10 ** rng.uniform(-2, 2, (rows, 1)) + rng.normal(size=(rows, 1))
    values[rng.random(rows) < 0.25] = rng.choice([-1.0, 0.0, 4.0])
    return (torch.tensor(values).float(),)


def ratio(rng: Generator) -> tuple:
    """Return a map of importance and a region, both flat; the region has at least one pixel."""
    pixels = int(rng.integers(1, 20))
    region = rng.random(pixels) < rng.choice([0.2, 0.5, 0.8])
    region[rng.integers(pixels)] = True
    return torch.tensor(rng.random(pixels) * rng.uniform(0.1, 10)).float() + 1e-3, torch.tensor(region)
