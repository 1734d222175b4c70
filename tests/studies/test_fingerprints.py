"""Code behind a cached result may not change while its version stays: it would serve the figures of the old code."""

import json

import fingerprints
import pytest

ACCEPT = "python tests/studies/fingerprints.py --accept"


@pytest.mark.slow
def test_versions_are_raised_with_what_they_stand_for():
    stored, now = json.loads(fingerprints.STORED.read_text(encoding="utf-8")), fingerprints.current()
    wrong = fingerprints.complaints(stored, now)
    told = "\n".join(wrong)
    assert not wrong, (
        "Results in users' caches rest on code that has changed:\n"
        f"{told}\n"
        "If a figure moves by it, raise the VERSION in the modules named, so that the results are made again. "
        f"Then, or if none moves (a bit-for-bit test or an unchanged record shows it), run: {ACCEPT}"
    )
    assert stored == now, f"There is code or a version that {fingerprints.STORED.name} does not know yet; run: {ACCEPT}"


FIRST = """
from relcomp_kit.science import second
from relcomp_kit.science.second import LIMIT as most, Net
from relcomp_kit.files import cache_dir

def root(x: int) -> float:
    "A docstring."
    cache_dir()
    return second.helper(x) + most + Net().forward(x)

def other():
    return 1
"""
SECOND = """
LIMIT, KEPT = 3, {"a": 1}

def helper(x):
    return _inner(x)  # a comment

def _inner(x):
    return x * KEPT["a"]

class Net:
    width: int = 3

    def forward(self, x):
        return unused if x is None else x

def unused():
    return 2
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """``package(first, second)`` writes a package and returns the hashes of what `root` rests on."""
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    folder = tmp_path / "relcomp_kit" / "science"
    folder.mkdir(parents=True)
    (tmp_path / "relcomp_kit" / "files.py").write_text("def cache_dir():\n    return 1\n")
    (folder / "__init__.py").write_text("")
    cached = (fingerprints.module_file, fingerprints.definitions, fingerprints.uses)

    def hashes(first: str = FIRST, second: str = SECOND) -> dict[str, str]:
        (folder / "first.py").write_text(first)
        (folder / "second.py").write_text(second)
        for function in cached:
            function.cache_clear()
        found = fingerprints.reach({"relcomp_kit.science.first:root"})
        return {one.removeprefix("relcomp_kit.science."): fingerprints.digest(one) for one in found}

    yield hashes
    for function in cached:
        function.cache_clear()


def test_what_a_recipe_rests_on_is_found_by_name(package):
    names = {"helper", "_inner", "LIMIT", "KEPT", "Net", "unused"}
    assert package().keys() == {"first:root", *(f"second:{name}" for name in names)}


def test_what_decides_a_figure_is_noticed_and_nothing_else(package):
    before = package()
    same = FIRST.replace("x: int", "x: float").replace("A docstring", "Another").replace("return 1", "return 2")
    assert package(same, SECOND.replace("# a comment", "#").replace("width: int", "width: float")) == before
    for old, new, where in (
        ("x * KEPT", "x + KEPT", "_inner"),
        ('"a": 1', '"a": 2', "KEPT"),
        ("else x", "else -x", "Net"),
        ("width: int = 3", "width: int = 4", "Net"),
    ):
        after = package(FIRST, SECOND.replace(old, new))
        moved = {name.partition(":")[2] for name in before if before[name] != after[name]}
        assert where in moved and moved <= {where, "LIMIT"}
