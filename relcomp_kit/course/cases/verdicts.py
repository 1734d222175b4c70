"""Cases for lesson 09."""

import numpy as np
from numpy.random import Generator


def seeds_needed(rng: Generator) -> tuple:
    """Return conditions, the chance of one to hold by luck, and a level that no number of seeds meets exactly."""
    while True:
        conditions, chance, level = int(rng.integers(1, 5)), rng.uniform(0.1, 0.9), 10 ** rng.uniform(-4, -0.1)
        exact = np.log(level) / (conditions * np.log(chance))
        if abs(exact - exact.round()) > 1e-3:
            return conditions, float(chance), float(level)


def paired(rng: Generator) -> tuple:
    """Return accuracies of two arms by seed, not all seeds in both, and what may be lost; some just meet the bound.

    In 64ths, so that differences are exact.
    """
    lost = int(rng.integers(0, 4))
    seeds = rng.permutation(10)[: rng.integers(2, 8)].tolist()
    before = {seed: int(rng.integers(40, 60)) for seed in seeds}
    shift = int(rng.choice([-3, 0, 3]))
    after = {seed: value + shift - lost + int(rng.integers(-2, 3)) for seed, value in before.items()}
    for arm in (before, after):
        if rng.random() < 0.4:
            del arm[seeds[int(rng.integers(len(seeds)))]]
        if rng.random() < 0.4:
            arm[10 + len(arm)] = int(rng.integers(20, 60))
    pruned = {seed: after[seed] / 64 for seed in rng.permutation([*after]).tolist()}
    return {seed: value / 64 for seed, value in before.items()}, pruned, lost / 64


def explained(rng: Generator) -> tuple:
    """Return accuracies at the start, after training alone, and after pruning and training, of the same seeds."""
    seeds = int(rng.integers(1, 6))
    start = rng.uniform(0.6, 0.9, seeds)
    trained, pruned = start + rng.uniform(-0.02, 0.05, seeds), start + rng.uniform(0.01, 0.08, seeds)
    return start.tolist(), trained.tolist(), pruned.tolist()


def front(rng: Generator) -> tuple:
    """Return pairs of size and score; many have the same size or the same score, no two both."""
    points = {(int(rng.integers(1, 8)), int(rng.integers(0, 11)) / 10) for _ in range(int(rng.integers(1, 12)))}
    return (rng.permutation(sorted(points)).tolist(),)
