"""Cases for lesson 07."""

from numpy.random import Generator


def canonical(rng: Generator) -> tuple:
    """Return the lengths of words that fill a tree, in any order: two words or more."""
    lengths = [1, 1]
    for _ in range(int(rng.integers(0, 8))):
        length = lengths.pop(int(rng.integers(len(lengths)))) + 1
        lengths += [length, length]
    return (rng.permutation(lengths).tolist(),)


def merged(rng: Generator) -> tuple:
    """Return weight, bias, and the four numbers of a batch-norm; the variance may be as small as epsilon."""
    return *rng.normal(size=5).tolist(), float(10 ** rng.uniform(-6, 1))


def zero_bits(rng: Generator) -> tuple:
    """Return indices that come in crowds, and the shifts of the fast and of the slow estimate."""
    indices: list[int] = []
    for _ in range(int(rng.integers(1, 30))):
        again = indices and rng.random() < 0.4
        indices.append(indices[-1] if again else int(rng.choice([0, 0, 0, 1, -1, 2, -5])))
    return indices, int(rng.integers(1, 5)), int(rng.integers(4, 8))
