"""Cases for lesson 08."""

from numpy.random import Generator


def chance_overlap(rng: Generator) -> tuple:
    """Return the filters of a layer, and how many each of two paths keeps: at least one, at most all."""
    filters = int(rng.integers(1, 30))
    return filters, *rng.integers(1, filters + 1, 2).tolist()


def kept_per_layer(rng: Generator) -> tuple:
    """Return relevances of layers of different widths, many of them equal, and a count from none to all."""
    relevance = [rng.integers(-2, 4, rng.integers(1, 6)).tolist() for _ in range(int(rng.integers(1, 5)))]
    return relevance, int(rng.integers(0, sum(map(len, relevance)) + 1))


def ahead_at_least_once(rng: Generator) -> tuple:
    """Return scenes, wins and scenes shown: none, some or all."""
    scenes = int(rng.integers(1, 40))
    return scenes, *rng.integers(0, scenes + 1, 2).tolist()
