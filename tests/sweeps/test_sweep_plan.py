"""Plans of sweeps: which points they name, and what is said of plans that are none."""

import dataclasses
import json

import pytest

from relcomp_kit.compression.pruning_plan import Plan
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout
from relcomp_kit.sweeps import experiments
from relcomp_kit.sweeps.plan import convert, describe, read_plan

HEAD = 'experiment = "fake"\n'


def test_a_grid_and_extra_points(fake, write_plan):
    text = (
        HEAD
        + '[fixed]\nfolder = "f"\nscale = 2\n[grid]\nx = [1, 2]\nwhat = ["a", "b"]\n[[extra]]\nx = 7\nscale = 3.5\n'
    )
    points = read_plan(write_plan(text))
    assert [(p.values["x"], p.values["what"], p.values["scale"]) for p in points] == [
        (1, "a", 2.0),
        (1, "b", 2.0),
        (2, "a", 2.0),
        (2, "b", 2.0),
        (7, "square", 3.5),
    ]
    assert [point.label for point in points[-2:]] == ["x 2, what b", "scale 3.5, x 7"]
    assert {(point.experiment, point.reference, point.version) for point in points} == {("fake", "sweep_fakes:fake", 3)}
    assert len({point.name for point in points}) == 5


def test_names_are_decided_by_experiment_version_and_values_alone(fake, write_plan):
    one = read_plan(write_plan(HEAD + '[fixed]\nscale = 1\n[grid]\nx = [1]\nfolder = ["f"]'))[0]
    same = read_plan(write_plan(HEAD + '[[extra]]\nwhat = "square"\nfolder = "f"\nx = 1', "other.toml"))[0]
    assert one.name == same.name == "fake-d5e9e5d47ed002e7"  # the same on every machine, today and later
    changed = [{"version": 4}, {"experiment": "other"}, {"values": one.values | {"x": 2}}]
    assert len({one.name, *(dataclasses.replace(one, **change).name for change in changed)}) == 4


EXPERIMENTS = "code, expert, one-shot, prune, quantize, saliency, train"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("experiment = ", "is no TOML: Invalid value"),
        ("[fixed]\nx = 1", f"names no experiment: choose one of {EXPERIMENTS}"),
        ('experiment = "nope"', f"there is no experiment 'nope'; choose one of {EXPERIMENTS}"),
        ("experiment = 3", "write experiment as in `experiment = "),
        (HEAD + "grid = [1]", "write grid as in"),
        (HEAD + "extra = [1]", "write extra as in"),
        (HEAD + "[points]\nx = 1", "a plan knows no 'points'"),
        (HEAD, "wants no point"),
        (HEAD + "[grid]", "wants no point"),
        (HEAD + "[grid]\nx = []", "x in [grid] must be a list with one value at least"),
        (HEAD + "[grid]\nx = 1", "x in [grid] must be a list with one value at least"),
        (HEAD + "[fixed]\nx = 1\n[grid]\nx = [1]", "gives x in [fixed] and in [grid]"),
        (HEAD + '[fixed]\nfolder = "f"\n[grid]\ny = [1]', "fake has no parameter 'y'; it takes x, folder, what, scale"),
        (HEAD + "[grid]\nx = [1]", "lacks folder, which fake needs"),
        (HEAD + '[fixed]\nfolder = "f"\n[grid]\nx = [1, 1.5]', "x of fake must be a whole number, not 1.5"),
        (HEAD + '[fixed]\nfolder = "f"\n[grid]\nx = [true]', "x of fake must be a whole number, not True"),
        (HEAD + '[fixed]\nfolder = "f"\nscale = nan\n[grid]\nx = [1]', "scale of fake must be a number, not nan"),
        (HEAD + '[fixed]\nfolder = "f"\n[grid]\nx = [1, 2, 1]', "gives one point twice: x 1;"),
        (HEAD + '[fixed]\nfolder = "f"\n[grid]\nx = [1]\nscale = [1, 1.0]', "gives one point twice: x 1, scale 1.0;"),
        (HEAD + '[fixed]\nfolder = "f"\n[grid]\nx = [1]\n[[extra]]\nx = 1', "gives one point twice: x 1;"),
        (HEAD + f"[grid]\nx = {list(range(1000))}\nscale = {list(range(1000))}", "the grid has 1,000,000 points"),
    ],
)
def test_bad_plans_are_answered_in_one_sentence(fake, write_plan, text, words):
    file = write_plan(text)
    with pytest.raises(UserError) as error:
        read_plan(file)
    assert words in str(error.value) and str(error.value).startswith(str(file)) and "\n" not in str(error.value)


def test_readme_names_every_experiment():
    readme = (checkout() / "README.md").read_text(encoding="utf-8")
    assert "A plan names an experiment (" + ", ".join(f"`{name}`" for name in EXPERIMENTS.split(", ")) + ")" in readme


def test_a_missing_plan_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.toml cannot be read: No such file"):
        read_plan(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (1, float, 1.0),
        (2, int | None, 2),
        ([3, 8], tuple[int, ...], (3, 8)),
        ([], tuple[int, ...], ()),
        ([1, 2.5], list[float], [1.0, 2.5]),
        ([96, 160], tuple[int, int] | None, (96, 160)),
        ("tanh", str | tuple[str, ...], "tanh"),
        (["tanh", "relu"], str | tuple[str, ...], ("tanh", "relu")),
    ],
)
def test_values_become_the_annotated_type(value, kind, expected):
    found = convert(value, kind)
    assert found == expected and type(found) is type(expected)
    assert [type(one) for one in found] == [type(one) for one in expected] if isinstance(value, list) else True


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (1.0, int, "a whole number"),
        (True, float, "a number"),
        (10**400, float, "a number"),
        (0, bool, "true or false"),
        ("3", int | None, "a whole number"),
        ([1], tuple[int, int] | None, "a list of length 2, each entry a whole number"),
        ([1, "a"], str | tuple[str, ...], "text or a list, each entry text"),
        (3, list[float], "a list, each entry a number"),
    ],
)
def test_other_values_are_refused(value, kind, words):
    with pytest.raises(TypeError):
        convert(value, kind)
    assert describe(kind) == words


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_what_an_experiment_takes_can_be_written_in_a_plan(name):
    function, version = experiments.load(experiments.find(name))
    known = experiments.parameters(function)
    assert version >= 1 and known["seed"].required
    for parameter in known.values():
        assert describe(parameter.kind)
        assert parameter.required or json.dumps(parameter.default)


def test_pruning_takes_the_fields_of_its_plan():
    known = experiments.parameters(experiments.load(experiments.find("prune"))[0])
    assert {field.name for field in dataclasses.fields(Plan)} == known.keys() - {"dataset", "at_once"}
    assert known["sf"].default == Plan().sf and known["classes"].kind == tuple[int, ...]


@pytest.mark.parametrize("file", sorted((checkout() / "data" / "sweeps").glob("*.toml")), ids=lambda file: file.stem)
def test_committed_plans_can_be_read(file):
    assert read_plan(file)
