"""Checks inside lessons: they raise outside their tolerance and print the claim, never the digits.

So the output is the same on every machine, and a notebook's stored output can be compared with a new run.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch


class CheckFailed(AssertionError):
    """A checked claim does not hold; the message says what was found."""


def close(claim: str, value: Any, expected: Any, *, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Check numbers, arrays or tensors against what is expected.

    Parameters
    ----------
    claim : str
        A full sentence, printed behind a tick if it holds.
    value, expected : number, array, tensor or list of numbers
        Compared element by element: ``abs(value - expected) <= atol + rtol * abs(expected)``.
    atol, rtol : float
        Absolute and relative tolerance.

    Raises
    ------
    CheckFailed
        If shapes differ or an element is outside its tolerance (NaN is outside).
    """
    problem = difference(value, expected, atol, rtol)
    if problem:
        raise CheckFailed(f"✗ {claim}: {problem}")
    print(f"✓ {claim}")


def same(claim: str, one: Any, other: Any) -> None:
    """Check that two ways give the same: integers, booleans and text exactly, floating point to 1e-5 of its size.

    Parameters
    ----------
    claim : str
        A full sentence, printed behind a tick if it holds.
    one, other : number, text, array, tensor or list
        Compared element by element; if either is floating point, within ``1e-9 + 1e-5 * abs(other)``.

    Raises
    ------
    CheckFailed
        If they differ.
    """
    floating = any(np.asarray(_plain(side)).dtype.kind == "f" for side in (one, other))
    close(claim, one, other, rtol=1e-5 if floating else 0.0, atol=1e-9 if floating else 0.0)


def true(claim: str, condition: Any, found: Any = None) -> None:
    """Check a condition.

    Parameters
    ----------
    claim : str
        A full sentence, printed behind a tick if it holds.
    condition : bool
        Or anything that `bool` takes.
    found : object, optional
        Shown only if the condition does not hold.

    Raises
    ------
    CheckFailed
        If the condition does not hold.
    """
    if not bool(condition):
        raise CheckFailed(f"✗ {claim}" + ("" if found is None else f": found {found}"))
    print(f"✓ {claim}")


def exercise(
    function: Callable, cases: dict | Iterable[tuple[tuple, Any]], *, atol: float = 0.0, rtol: float = 1e-6
) -> None:
    """Grade an exercise: every case must give its expected result.

    Parameters
    ----------
    function : callable
        The student's. One that raises NotImplementedError counts as not attempted, and the run goes on.
    cases : dict of argument tuple to expected result, or pairs of them
        At least two with different results, so that no constant passes; none whose result is its own
        argument throughout, so that the identity does not pass.
    atol, rtol : float
        Tolerance for every case.

    Raises
    ------
    CheckFailed
        With the first case that is wrong, what was expected and what came.
    """
    pairs = pairs_of(cases)
    if len(pairs) < 2 or all(difference(expected, pairs[0][1], atol, rtol) is None for _, expected in pairs):
        raise ValueError("an exercise needs two cases with different results, or a constant would pass")
    if all(difference(arguments[0], expected, atol, rtol) is None for arguments, expected in pairs):
        raise ValueError("an exercise whose results are its arguments would accept the identity")
    for arguments, expected in pairs:
        try:
            result = function(*arguments)
        except NotImplementedError:
            print(f"· {function.__name__}: not attempted")
            return
        problem = difference(result, expected, atol, rtol)
        if problem:
            shown = ", ".join(_short(argument) for argument in arguments)
            raise CheckFailed(f"✗ {function.__name__}({shown}): {problem}")
    print(f"✓ {function.__name__} is right in all {len(pairs)} cases")


def pairs_of(cases: dict | Iterable[tuple[Any, Any]]) -> list[tuple[tuple, Any]]:
    """Return the cases of an exercise as pairs of its arguments and the expected result."""
    pairs = cases.items() if isinstance(cases, dict) else cases
    return [(given if isinstance(given, tuple) else (given,), expected) for given, expected in pairs]


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def _short(value: Any) -> str:
    text = " ".join(str(_plain(value)).split())
    return text if len(text) <= 60 else text[:57] + "..."


def difference(value: Any, expected: Any, atol: float, rtol: float) -> str | None:
    """Return how a value differs from what is expected as a sentence, or None if it is within the tolerance.

    Parameters
    ----------
    value, expected : number, text, array, tensor or list
        Their shapes have to be equal.
    atol, rtol : float
        Of each element: ``abs(value - expected) <= atol + rtol * abs(expected)``.
    """
    try:
        left, right = np.asarray(_plain(value)), np.asarray(_plain(expected))
    except ValueError:
        return f"expected {_short(expected)}, got {_short(value)}"
    if left.shape != right.shape:
        return f"expected {_shape(right)}, got {_shape(left)}"
    if left.dtype.kind in "biufc" and right.dtype.kind in "biufc":
        wide = complex if "c" in (left.dtype.kind, right.dtype.kind) else float
        left, right = left.astype(wide), right.astype(wide)
        with np.errstate(invalid="ignore"):  # inf - inf: equal infinities count as equal by the first comparison
            good = bool(np.all((left == right) | (np.abs(left - right) <= atol + rtol * np.abs(right))))
    else:
        good = left.dtype != object and bool(np.all(left == right))
    return None if good else f"expected {_short(right)}, got {_short(left)}"


def _shape(array: np.ndarray) -> str:
    return "one value" if array.shape == () else f"the shape {tuple(array.shape)}"
