"""The constraints file: what the kit needs, within the bounds of pyproject, in the versions that the records name."""

import json
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from relcomp_kit.course import constraints

try:
    import tomllib
except ImportError:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pins() -> dict[str, Requirement]:
    lines = (ROOT / constraints.FILE).read_text(encoding="utf-8").splitlines()
    wanted = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in wanted}


def test_every_direct_requirement_is_pinned_within_its_bounds(pins):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        wanted = Requirement(text)
        if wanted.name == "tomli":
            continue
        (pin,) = pins[canonicalize_name(wanted.name)].specifier
        assert pin.operator == "==" and wanted.specifier.contains(pin.version), text


def test_of_each_package_the_newest_recorded_version_counts(monkeypatch, tmp_path):
    folder = tmp_path / "data/reference/full"
    folder.mkdir(parents=True)
    for name, versions in (("a", {"torch": "2.9.1", "numba": "0.61"}), ("b", {"torch": "2.10.0", "nncodec": "none"})):
        (folder / f"{name}.json").write_text(json.dumps({"versions": versions}), encoding="utf-8")
    monkeypatch.setattr(constraints, "checkout", lambda: tmp_path)
    assert constraints.recorded() == {"torch": "2.10.0", "numba": "0.61", "nncodec": "none"}


def test_the_records_versions_are_the_pinned_ones(pins):
    known = constraints.recorded()
    assert known.pop("python").startswith("3.11.")
    for name, version in known.items():
        assert str(pins[canonicalize_name(name)].specifier) == f"=={version}"


@pytest.mark.slow
def test_what_is_needed_is_found_through_the_installed_packages():
    found = constraints.requirements()
    assert {"torch", "numba", "llvmlite", "matplotlib", "nbval"} <= found.keys(), "direct ones, and theirs"
    assert not any(name.startswith(("nvidia-", "cuda-")) or name == "relcomp-kit" for name in found)
    assert "+" not in "".join(found.values())
    assert ("nncodec" in found) <= (sys.version_info < (3, 13))


@pytest.mark.slow
def test_the_file_has_what_the_command_writes(pins):
    """Name by name, on the Python that the records were made with: versions may be newer here."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the constraints are those of Python 3.11")
    assert {line.partition("==")[0] for line in constraints.constraints().splitlines() if "==" in line} == pins.keys()
