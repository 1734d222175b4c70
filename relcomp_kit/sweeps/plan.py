"""Read the plan of a sweep: a TOML file that says which points of which experiment are wanted.

``experiment`` names it; every point takes the values of ``[fixed]`` and one of each list of ``[grid]``, in all
combinations; every ``[[extra]]`` is one more point, with the values of ``[fixed]`` unless it gives its own.
"""

import itertools
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Union, get_args, get_origin

from relcomp_kit.errors import UserError
from relcomp_kit.sweeps import experiments
from relcomp_kit.sweeps.experiments import Parameter
from relcomp_kit.sweeps.point import Point

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_POINTS = 100_000
KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
KEYS = {"experiment": str, "fixed": dict, "grid": dict, "extra": list}


def read_plan(file: Path) -> list[Point]:
    """Return the points of a plan, in its order: the last list of the grid runs fastest, extra points come last.

    Raises
    ------
    UserError
        If the file is no such plan, names what the experiment does not know, lacks what it needs, or gives a value of
        another type, or a point twice.
    """
    content = _read(file)
    name = content["experiment"]
    try:
        reference = experiments.find(name)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    function, version = experiments.load(reference)
    known = experiments.parameters(function)
    found: dict[str, Point] = {}
    for given in _combinations(file, content):
        values = _values(file, name, known, given)
        own = {key: value for key, value in given.items() if value is not content["fixed"].get(key)}
        label = ", ".join(f"{key} {value}" for key, value in own.items()) or "the values of [fixed]"
        point = Point(name, reference, version, values, label)
        if found.setdefault(point.name, point) is not point:
            raise UserError(f"{file} gives one point twice: {label}; take one of them out")
    return list(found.values())


def _read(file: Path) -> dict:
    """Return the four parts of a plan, each of the right shape."""
    try:
        content = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}; name the TOML file of a plan") from error
    except ValueError as error:
        raise UserError(f"{file} is no TOML: {error}") from error
    for key, value in content.items():
        if key not in KEYS:
            raise UserError(f"{file}: a plan knows no {key!r}; it has experiment, [fixed], [grid] and [[extra]]")
        if not isinstance(value, KEYS[key]) or (key == "extra" and not all(isinstance(one, dict) for one in value)):
            raise UserError(f'{file}: write {key} as in `experiment = "prune"`, `[fixed]`, `[grid]` or `[[extra]]`')
    if "experiment" not in content:
        raise UserError(f"{file} names no experiment: choose one of {', '.join(experiments.EXPERIMENTS)}")
    return {key: kind() for key, kind in KEYS.items()} | content


def _combinations(file: Path, content: dict) -> Iterator[dict]:
    """Yield what the plan gives of each point."""
    fixed, grid, extra = content["fixed"], content["grid"], content["extra"]
    if not grid and not extra:
        raise UserError(f"{file} wants no point: give lists in [grid], or points as [[extra]]")
    for name, choices in grid.items():
        if name in fixed:
            raise UserError(f"{file} gives {name} in [fixed] and in [grid]: take one of them out")
        if not isinstance(choices, list) or not choices:
            raise UserError(f"{file}: {name} in [grid] must be a list with one value at least")
    count = math.prod(map(len, grid.values()))
    if count > MOST_POINTS:
        raise UserError(f"{file}: the grid has {count:,} points, and {MOST_POINTS:,} is the most: make lists shorter")
    if grid:
        for choice in itertools.product(*grid.values()):
            yield fixed | dict(zip(grid, choice))
    for one in extra:
        yield fixed | one


def _values(file: Path, experiment: str, known: Mapping[str, Parameter], given: dict) -> dict:
    """Return a value for every parameter of the experiment, in its order."""
    for name in given:
        if name not in known:
            raise UserError(f"{file}: {experiment} has no parameter {name!r}; it takes {', '.join(known)}")
    values = {}
    for name, parameter in known.items():
        if name in given:
            try:
                values[name] = convert(given[name], parameter.kind)
            except TypeError as error:
                kind = describe(parameter.kind)
                raise UserError(f"{file}: {name} of {experiment} must be {kind}, not {given[name]!r}") from error
        elif parameter.required:
            raise UserError(f"{file} lacks {name}, which {experiment} needs: give it in [fixed] or [grid]")
        else:
            values[name] = parameter.default
    return values


def convert(value, kind):
    """Return a value of a TOML file as an annotated type.

    Parameters
    ----------
    value : object
        What TOML gives: a number, text, true or false, or a list of these.
    kind : type
        int, float, str, bool, a list or tuple of them such as ``tuple[int, int]``, or a union of these.

    Returns
    -------
    object
        The value as that type: a list becomes a tuple where one is asked for, and a whole number a float.

    Raises
    ------
    TypeError
        If it does not fit.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        fitting = [option for option in inner if _fits(value, option)]
        return convert(value, fitting[0] if fitting else None)
    if origin in (list, tuple) and isinstance(value, list):
        fixed_length = origin is tuple and inner[-1] is not Ellipsis
        if not fixed_length or len(value) == len(inner):
            return origin(convert(one, inner[0]) for one in value)
    if kind is float and type(value) is int and abs(value) <= sys.float_info.max:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise TypeError(value)
    return value


def _fits(value, kind) -> bool:
    try:
        convert(value, kind)
    except TypeError:
        return False
    return True


def describe(kind) -> str:
    """Return what values of an annotated type are, in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(describe(option) for option in inner if option is not NoneType)
    if origin in (list, tuple):
        length = "" if origin is list or inner[-1] is Ellipsis else f" of length {len(inner)}"
        return f"a list{length}, each entry {describe(inner[0])}"
    return KINDS[kind]
