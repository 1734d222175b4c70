"""Cases for lesson 06."""

import torch
from numpy.random import Generator


def needed(rng: Generator) -> tuple:
    """Return scores, whole numbers of which one is above 0, and a share in 16ths: sums are exact, and goals are met."""
    scores = rng.integers(0, 9, rng.integers(1, 9))
    scores[rng.integers(len(scores))] += 1
    return tuple(scores.tolist()), int(rng.integers(1, 17)) / 16


def overlap_of(rng: Generator) -> tuple:
    """Return two paths through one layer, at least one filter in either."""
    filters = int(rng.integers(1, 10))
    one, other = rng.random((2, filters)) < rng.choice([0.2, 0.5, 0.8])
    one[rng.integers(filters)] = True
    pair = [tuple(one.tolist()), tuple(other.tolist())]
    return tuple(pair if rng.random() < 0.5 else pair[::-1])


def work(rng: Generator) -> tuple:
    """Return channels in and out, the side of a filter, height, width, and the shares that are kept."""
    sizes = (*rng.integers(1, 65, 2), rng.choice([1, 3, 5, 7]), *rng.integers(1, 50, 2))
    return *map(int, sizes), *map(float, rng.choice([0.25, 0.5, 0.75, 1.0], 2))


def gate(rng: Generator) -> tuple:
    """Return the numbers of a net by name, and the masks of some of its layers.

    Some layers have a batch-norm, others a bias, others nothing behind their weights.
    """
    state, masks = {}, {}
    inputs = int(rng.integers(1, 4))
    for number in range(1, int(rng.integers(2, 5))):
        outputs = int(rng.integers(1, 5))
        shapes = {f"conv{number}.weight": (outputs, inputs)}
        kind = rng.choice(["norm", "norm", "bias", "nothing"])
        if kind == "norm":
            parts = ("weight", "bias", "running_mean", "running_var")
            shapes |= {f"bn{number}.{part}": (outputs,) for part in parts}
        elif kind == "bias":
            shapes |= {f"conv{number}.bias": (outputs,)}
        state |= {
            name: torch.tensor(rng.uniform(0.1, 1, shape) * rng.choice([-1, 1])) for name, shape in shapes.items()
        }
        if rng.random() < 0.8:
            masks[f"conv{number}"] = torch.tensor(rng.random(outputs) < 0.5)
        inputs = outputs
    return state, masks
