"""Cases for lesson 04."""

import torch
from numpy.random import Generator


def z_plus(rng: Generator) -> tuple:
    """Return values and weights of either sign, and what the neuron received; in some cases no part is positive."""
    inputs = int(rng.integers(1, 6))
    values, weights = rng.normal(size=(2, inputs)).round(2)
    if rng.random() < 0.2:
        weights = -abs(weights) * [1 if value > 0 else -1 for value in values]
    return tuple(values.tolist()), tuple(weights.tolist()), round(float(rng.normal(scale=3)), 2)


def mean_height(rng: Generator) -> tuple:
    """Return rising shares, two or more, at uneven distances, and an accuracy at each."""
    points = int(rng.integers(2, 7))
    shares = rng.uniform(0, 0.3) + rng.uniform(0.02, 0.2, points).cumsum()
    return tuple(shares.tolist()), tuple(rng.random(points).tolist())


def epsilon_relevance(rng: Generator) -> tuple:
    """Return an input, weights and biases of the lower layer, weights of the upper one, and epsilon."""
    inputs, hidden, outputs = rng.integers(1, 5, 3)
    shapes = ((inputs,), (hidden, inputs), (hidden,), (outputs, hidden))
    return *(torch.tensor(rng.normal(size=shape)) for shape in shapes), float(rng.uniform(0.01, 1))
