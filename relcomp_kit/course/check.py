"""Checks inside lessons: they raise outside their tolerance and print the claim, never the digits.

So the output is the same on every machine, and a notebook's stored output can be compared with a new run.
"""

import copy
import inspect
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from relcomp_kit.course.cases import solved
from relcomp_kit.course.grade.values import pack


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
    function: Callable,
    cases: dict | Iterable[tuple[tuple, Any]],
    generate: Callable[[np.random.Generator], tuple],
    *,
    atol: float = 1e-9,
    rtol: float = 1e-6,
) -> None:
    """Grade an exercise: the cases shown, and cases drawn anew, on which it must agree with the lesson's solution.

    Parameters
    ----------
    function : callable
        The student's. One that raises NotImplementedError counts as not attempted, and the run goes on.
    cases : dict of argument tuple to expected result, or pairs of them
        Those that are shown to students: at least two with different results, and not each its own argument.
    generate : callable
        Of the exercise's name, from `relcomp_kit.course.cases`: gives the arguments of a case.
    atol, rtol : float
        Tolerance for every case.

    Raises
    ------
    CheckFailed
        With a case that is wrong, the shortest of those drawn, what was expected and what came.
    """
    from relcomp_kit.course import solutions

    name, seed = generate.__name__, secrets.randbits(32)
    shown = pairs_of(cases)
    if len(shown) < 2 or all(difference(expected, shown[0][1], atol, rtol) is None for _, expected in shown):
        raise ValueError("an exercise needs two cases with different results, or a constant would pass")
    if all(difference(arguments[0], expected, atol, rtol) is None for arguments, expected in shown):
        raise ValueError("an exercise whose results are its arguments would accept the identity")
    try:
        for arguments, expected in shown:
            problem = _wrong(function, name, arguments, expected, atol, rtol)
            if problem:
                raise CheckFailed(f"✗ {problem}")
    except NotImplementedError:
        print(f"· {name}: not attempted")
        return
    drawn = solved(generate, solutions.solution_of(name), seed)
    problems = [_wrong(function, name, arguments, expected, atol, rtol) for arguments, expected in drawn]
    found = sorted(filter(None, problems), key=len)
    if found:
        raise CheckFailed(
            f"✗ {found[0]}. (The cases shown are right; of {len(drawn)} others, drawn by the seed {seed}, "
            f"{len(found)} are not.)"
        )
    print(f"✓ {name} is right in the {len(shown)} cases shown, and in {len(drawn)} that were drawn")


def _wrong(function: Callable, name: str, arguments: tuple, expected: Any, atol: float, rtol: float) -> str | None:
    """Return what is wrong with a student's function in one case as a sentence, None if nothing is."""
    given = copy.deepcopy(arguments)
    try:
        result = function(*given)
    except NotImplementedError:
        raise
    except Exception:
        print(f"✗ {name}({_called(function, arguments)}) ends with an error:")
        raise
    problem = difference(result, expected, atol, rtol)
    if problem is None and pack(given) != pack(arguments):
        problem = "the result is right, but an argument is not what it was: change a copy"
    return problem and f"{name}({_called(function, arguments)}): {problem}"


def pairs_of(cases: dict | Iterable[tuple[Any, Any]]) -> list[tuple[tuple, Any]]:
    """Return the cases of an exercise as pairs of its arguments and the expected result."""
    pairs = cases.items() if isinstance(cases, dict) else cases
    return [(given if isinstance(given, tuple) else (given,), expected) for given, expected in pairs]


def _plain(value: Any) -> Any:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value


def _short(value: Any, most: int = 60) -> str:
    text = " ".join(str(_plain(value)).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def _called(function: Callable, arguments: tuple) -> str:
    """Return the arguments of a call by name."""
    try:
        names = inspect.signature(function).bind(*arguments).arguments
    except (TypeError, ValueError):  # it takes others; what it says then is in the error
        return ", ".join(_short(argument, 200) for argument in arguments)
    return ", ".join(f"{name}={_short(_rounded(argument), 200)}" for name, argument in names.items())


def _rounded(value: Any) -> Any:
    """Return a value as one would write it down: tensors as lists, with four digits."""
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_rounded, value))
    value = value.tolist() if isinstance(value, torch.Tensor) else value
    return _rounded(value) if isinstance(value, list) else float(f"{value:.4g}") if type(value) is float else value


def difference(value: Any, expected: Any, atol: float, rtol: float) -> str | None:
    """Return how a value differs from what is expected as a sentence, or None if it is within the tolerance.

    Parameters
    ----------
    value, expected : number, text, array, tensor, list, or dict of these
        Their shapes or keys have to be equal.
    atol, rtol : float
        Of each element: ``abs(value - expected) <= atol + rtol * abs(expected)``.
    """
    if isinstance(expected, dict):
        if not isinstance(value, dict) or value.keys() != expected.keys():
            return f"expected {_kind(expected)}, got {_kind(value)}"
        found = ((key, difference(value[key], one, atol, rtol)) for key, one in expected.items())
        return next((f"under {key!r}, {problem}" for key, problem in found if problem), None)
    try:
        left, right = np.asarray(_plain(value)), np.asarray(_plain(expected))
    except ValueError:
        return f"expected {_short(expected)}, got {_short(value)}"
    if left.shape != right.shape or left.dtype == object:
        return f"expected {_kind(expected)}, got {_kind(value)}"
    if left.dtype.kind in "biufc" and right.dtype.kind in "biufc":
        wide = complex if "c" in (left.dtype.kind, right.dtype.kind) else float
        left, right = left.astype(wide), right.astype(wide)
        with np.errstate(invalid="ignore"):  # inf - inf: equal infinities count as equal by the first comparison
            good = bool(np.all((left == right) | (np.abs(left - right) <= atol + rtol * np.abs(right))))
    else:
        good = bool(np.all(left == right))
    return None if good else f"expected {_short(_rounded(expected))}, got {_short(_rounded(value))}"


def _kind(value: Any) -> str:
    """Return what kind of value it is, in words."""
    if value is None:
        return "nothing (is there a `return`?)"
    if isinstance(value, dict):
        return f"a dict with the keys {_short(', '.join(map(str, value)), 200)}"
    try:
        array = np.asarray(_plain(value))
    except (ValueError, TypeError):
        return f"a {type(value).__name__}"
    if array.dtype == object:
        return f"a {type(value).__name__}"
    if array.shape == ():
        return f"one value, such as {_short(_rounded(value))}"
    return f"values of the shape {tuple(array.shape)}, such as {_short(_rounded(value))}"
