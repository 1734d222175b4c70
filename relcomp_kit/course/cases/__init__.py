"""Cases of the exercises, drawn anew each time, so that neither a shortcut nor a table of known cases passes.

A module for each lesson holds a generator for each of its graded exercises, of the same name. A generator takes a
random generator of numpy and returns the arguments of one case as a tuple of plain numbers, lists, dicts and tensors.
It draws from all of the domain that the exercise's text names, the edges often enough to come up in `COUNT` cases. It
draws nothing that the text leaves open, such as a weight half-way between two centroids. What is right it does not
know: results are those of the lesson's own solution (`relcomp_kit.course.solutions`).
"""

import copy
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

COUNT = 100  # cases drawn for an exercise: what goes wrong in one of twenty slips through once in 170 times


def draw(generate: Callable[[np.random.Generator], tuple], seed: int, count: int = COUNT) -> list[tuple]:
    """Return the arguments of cases; a seed gives each exercise its own, the same everywhere.

    Parameters
    ----------
    generate : callable
        The generator of an exercise.
    seed : int
        0 or more.
    count : int
        How many.
    """
    rng = np.random.default_rng([seed, zlib.crc32(generate.__name__.encode())])
    return [generate(rng) for _ in range(count)]


def solved(generate: Callable[[np.random.Generator], tuple], solution: Callable, seed: int) -> list[tuple[tuple, Any]]:
    """Return cases with what a lesson's solution gives for each, which may change its own arguments.

    Parameters
    ----------
    generate : callable
        As in `draw`.
    solution : callable
        Takes the arguments of a case.
    seed : int
        As in `draw`.
    """
    return [(arguments, solution(*copy.deepcopy(arguments))) for arguments in draw(generate, seed)]
