"""Cases for lesson 03."""

from numpy.random import Generator


def recall_and_precision(rng: Generator) -> tuple:
    """Return a confusion matrix as a tuple of rows, and a class that occurs in truth and prediction."""
    classes = int(rng.integers(2, 6))
    k = int(rng.integers(classes))
    rows = rng.integers(0, 20, (classes, classes))
    rows[rng.random((classes, classes)) < 0.2] = 0
    rows[k, rng.integers(classes)] += 1
    rows[rng.integers(classes), k] += 1
    return tuple(map(tuple, rows.tolist())), k


def alarms(rng: Generator) -> tuple:
    """Return frames of both kinds in any order, and the least number of pixels, which some frames just reach."""
    kinds = rng.permutation([True, False, *(rng.random(rng.integers(0, 9)) < 0.5)])
    frames = tuple((int(rng.integers(1, 30)) if here else 0, int(rng.integers(0, 12))) for here in kinds)
    return frames, int(rng.integers(1, 12))


def merge(rng: Generator) -> tuple:
    """Return a confusion matrix as a tuple of rows, and the new class of each class; none of them is left out."""
    new = int(rng.integers(1, 5))
    groups = rng.permutation([*range(new), *rng.integers(0, new, rng.integers(0, 4))])
    rows = rng.integers(0, 20, (len(groups), len(groups)))
    return tuple(map(tuple, rows.tolist())), tuple(groups.tolist())
