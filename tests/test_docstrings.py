"""Public docstrings are numpydoc: every argument has its line, what stands in ``__all__`` says what comes back too."""

import dataclasses
import functools
import importlib
import inspect
import pkgutil

import pytest

import relcomp_kit

validation = pytest.importorskip("numpydoc.validate")
MISSING = {  # by numpydoc's names
    *("GL08", "GL05", "GL06", "GL07", "GL10"),  # no docstring, wrong headings
    *("PR01", "PR02", "PR03", "PR07", "PR10"),  # arguments that are not there, unknown, out of order, without a word
}
RESULT = {"RT01", "YD01"}  # no Returns, no Yields
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(relcomp_kit.__path__, "relcomp_kit.")
    if not module.name.startswith("relcomp_kit.cli")  # whose arguments say what they are to the command line
)


def public(module) -> dict[str, object]:
    """Return the functions and classes that a module defines for others, by their full name."""
    own = {
        name: one
        for name, one in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(one) or inspect.isclass(one))
        and one.__module__ == module.__name__
        and not getattr(one, "_is_protocol", False)
    }
    return {f"{module.__name__}.{name}": one for name, one in own.items()}


@functools.cache
def exported() -> set[object]:
    """Return what stands in the ``__all__`` of any package."""
    packages = [module.name for module in pkgutil.walk_packages(relcomp_kit.__path__, "relcomp_kit.") if module.ispkg]
    found = set()
    for package in (relcomp_kit, *map(importlib.import_module, packages)):
        found |= {id(getattr(package, name)) for name in getattr(package, "__all__", ())}
    return found


def arguments(one) -> int:
    """Return how many arguments a function or class takes."""
    try:
        return len([name for name in inspect.signature(one).parameters if name != "self"])
    except ValueError:
        return 0


def faults(name: str, one: object, in_all: bool) -> list[str]:
    """Return what a docstring lacks."""
    if inspect.isclass(one) and (dataclasses.is_dataclass(one) or issubclass(one, Exception)) and not in_all:
        return [] if one.__doc__ else ["no docstring"]
    wanted = MISSING if in_all or arguments(one) > 1 else {"GL08"}
    if in_all and inspect.isfunction(one) and inspect.signature(one).return_annotation not in (None, "None"):
        wanted = wanted | RESULT
    return [f"{code} {text}" for code, text in validation.validate(name)["errors"] if code in wanted]


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_docstrings_say_what_goes_in_and_comes_out(name):
    module, in_all = importlib.import_module(name), exported()
    found = {full: faults(full, one, id(one) in in_all) for full, one in public(module).items()}
    assert not any(found.values()), "\n".join(f"{full}: {texts}" for full, texts in found.items() if texts)
