"""Cases for lesson 10."""

from numpy.random import Generator

PARTS = ("module", "net", "conv", "a", "b")


def unwrapped(rng: Generator) -> tuple:
    """Return names of a state: most have a common beginning, some are as short as it, some begin with the same text."""
    common = rng.choice(PARTS, rng.integers(0, 4)).tolist()
    names = []
    for _ in range(int(rng.integers(1, 5))):
        own = rng.choice(PARTS, rng.integers(1, 4)).tolist()
        if rng.random() < 0.2:
            own[0] += "2"
        names.append(".".join(common[: len(common) - (rng.random() < 0.1)] + own))
    return (names,)


def deviations(rng: Generator) -> tuple:
    """Return two counts and what they are of; sometimes none or all are right."""
    images = int(rng.integers(1, 300))
    counts = rng.integers(0, images + 1, 2)
    edge = rng.random(2) < 0.25
    counts[edge] = rng.choice([0, images], 2)[edge]
    return *counts.tolist(), images


def chosen(rng: Generator) -> tuple:
    """Return pairs of bytes, all different, and score, many of them equal, and a goal that some, all or none reach."""
    count = int(rng.integers(1, 8))
    sizes = rng.permutation(50)[:count] + 1
    scores = rng.integers(0, 6, count) / 8
    return list(zip(sizes.tolist(), scores.tolist())), int(rng.integers(0, 8)) / 8
