"""The experiments that a sweep can run, by name, and what parameters they take.

An experiment is a function of annotated parameters that can be written in a plan. It returns a dict: name of a
measurement -> value, or (value, unit); values are what JSON knows. It has to draw all of its randomness from its
parameters, such as ``seed``. The ``VERSION`` of its module counts the changes, of defaults too, that give other values:
with another version all points are missing again.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import get_type_hints

from relcomp_kit.errors import UserError

EXPERIMENTS: dict[str, str] = {}  # name -> "package.module:function", so that a worker imports only what it runs


@dataclass(frozen=True)
class Parameter:
    """A parameter of an experiment: its type, and its default if it has one."""

    kind: object
    default: object = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Say whether a plan has to give it."""
        return self.default is inspect.Parameter.empty


def register(name: str, reference: str) -> None:
    """Make an experiment known to plans by its name.

    Parameters
    ----------
    name : str
        What a plan calls it.
    reference : str
        Where its function is, such as "package.module:function"; it is imported when a point runs.
    """
    EXPERIMENTS[name] = reference


def load(reference: str) -> tuple[Callable[..., dict], int]:
    """Return the function of a reference such as "package.module:function", and the version of its module."""
    module, _, name = reference.partition(":")
    found = import_module(module)
    return getattr(found, name), found.VERSION


def find(name: str) -> str:
    """Return the reference of an experiment."""
    if name not in EXPERIMENTS:
        raise UserError(f"there is no experiment {name!r}; choose one of {', '.join(EXPERIMENTS)}")
    return EXPERIMENTS[name]


def parameters(function: Callable) -> dict[str, Parameter]:
    """Return the parameters of an experiment; ``**plan: Plan`` stands for the fields of the dataclass `Plan`."""
    kinds = get_type_hints(function.__init__ if inspect.isclass(function) else function)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found = parameters(kinds[name]) | found
        else:
            found[name] = Parameter(kinds[name], parameter.default)
    return found
