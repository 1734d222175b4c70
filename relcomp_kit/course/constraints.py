"""The versions that the recorded results were made with, as constraints for pip."""

import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from relcomp_kit.files import checkout, read_json

FILE = "data/constraints.txt"
ROOT, EXTRAS = "relcomp_kit", ("", "test")
# What PyTorch's builds for graphics cards bring along; builds for processors lack it, and choose nothing of it.
PLATFORM = re.compile(r"nvidia-|cuda-|triton$")
HEAD = """\
# The versions that the kit's recorded results come from: pip install -c data/constraints.txt -e .
# Written by `relcomp lock`, for Python {python}. What the records do not name has the version that was installed then.
"""


def requirements() -> dict[str, str]:
    """Return name to version of all that the installed kit needs, directly or not, on this Python."""
    found: dict[str, str] = {}
    waiting = [Requirement(f"{ROOT}[{','.join(filter(None, EXTRAS))}]")]
    seen = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (name, *sorted(wanted.extras)) in seen or PLATFORM.match(name):
            continue
        seen.add((name, *sorted(wanted.extras)))
        try:
            found[name] = version(name).partition("+")[0]
        except PackageNotFoundError:  # an extra of an extra that nobody installed
            continue
        waiting += _needed(requires(name) or [], wanted.extras)
    del found[canonicalize_name(ROOT)]
    return dict(sorted(found.items()))


def recorded() -> dict[str, str]:
    """Return the newest version that a record under ``data/reference/full`` names of each package, and of "python"."""
    found: dict[str, str] = {}
    for file in (checkout() / "data/reference/full").glob("*.json"):
        for name, one in read_json(file)["versions"].items():
            found[name] = max(found.get(name, one), one, key=_numbers)
    return found


def constraints() -> str:
    """Return the text of the constraints file.

    Below Python 3.13, nncodec keeps numpy below 2; the record's version of numpy is for there.
    """
    versions, known = requirements(), recorded()
    python = known.pop("python")
    pinned = versions | {canonicalize_name(name): one for name, one in known.items() if one != "none"}
    lines = [f"{name}=={one}" + _where(name) for name, one in pinned.items()]
    return HEAD.format(python=python) + "\n".join(lines) + "\n"


def _needed(texts: Iterable[str], extras: Iterable[str]) -> list[Requirement]:
    wanted = [Requirement(text) for text in texts]
    places = [default_environment() | {"extra": extra} for extra in ("", *extras)]
    return [one for one in wanted if one.marker is None or any(one.marker.evaluate(place) for place in places)]


def _numbers(one: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", one)]


def _where(name: str) -> str:
    return "; python_version < '3.13'" if name in ("numpy", "nncodec") else ""
