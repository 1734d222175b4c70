"""Every kind of file of the cache, damaged in every way: the right content comes back, and one line says so."""

import gzip
import json

import pytest
import torch

from relcomp_kit import datasets
from relcomp_kit.artifacts import artifact_path, load_or_make, read_cached, write_artifact
from relcomp_kit.course.grade import graded
from relcomp_kit.evidence import claims
from relcomp_kit.evidence.record import Record
from relcomp_kit.sweeps import run
from relcomp_kit.sweeps.point import Point

VERSION = 1
FAULTS = {
    "truncated": lambda content, other: content[: len(content) // 2],
    "emptied": lambda content, other: b"",
    "flipped": lambda content, other: content[:-9] + bytes([content[-9] ^ 4]) + content[-8:],
    "swapped": lambda content, other: other,
}


@pytest.fixture
def artifact(own_cache):
    """An artifact, another one, and how they are read."""

    def read(key):
        tensors, info = load_or_make("r", 1, {"key": key}, "ab", lambda _: ({"a": torch.arange(9) + key}, {"key": key}))
        return tensors["a"].tolist(), info

    return [artifact_path("r", 1, {"key": key}, "ab") for key in (0, 1)], read


@pytest.fixture
def partial_state(own_cache):
    """The states of two trainings that were killed, and how they end; what they make depends on every step once."""
    paths = [artifact_path("r", 1, {"key": key}, "ab") for key in (0, 1)]

    def read(key):
        def make(partial):
            found = read_cached(partial)
            sums = found[0]["sums"] if found else torch.full((20,), key)
            for step in range(found[1]["step"] if found else 0, 4):
                sums = sums * 2 + step
                if step == 1 and not killed[key]:
                    killed[key] = True
                    write_artifact(partial, {"sums": sums}, {"step": 2})
                    raise KeyboardInterrupt
            return {"sums": sums}, {}

        try:
            return load_or_make("r", 1, {"key": key}, "ab", make)[0]["sums"].tolist()
        except KeyboardInterrupt:
            return sum_of(key)

    def sum_of(key):
        return [((key * 2 + 0) * 2 + 1) * 4 + 7] * 20

    killed = {0: False, 1: False}
    return [path.with_suffix(".partial") for path in paths], read


def square(*, x: int) -> dict:
    """The experiment of `sweep_record`."""
    return {"square": (x * x, "m2")}


@pytest.fixture
def sweep_record(tmp_path, monkeypatch):
    """Records of two points."""
    monkeypatch.setattr(run, "run_here", lambda jobs, workers: ((name, job()) for name, job in jobs))
    points = [Point("square", f"{__name__}:square", VERSION, {"x": x}) for x in (2, 3)]

    def read(key):
        assert run.run_missing(points[key : key + 1], tmp_path, workers=1) == 0
        (record,) = run.read_records(points[key : key + 1], tmp_path)
        return record["measurements"]

    return [run.record_file(tmp_path, point) for point in points], read


@pytest.fixture
def lesson_record(tmp_path, monkeypatch):
    """Records of two lessons; a damaged one is missing until the lesson runs again."""
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))

    def read(key):
        found = {record["lesson"]: record for record in claims.live(tmp_path)}
        name = f"0{key}_x"
        if name not in found:
            made = Record(name, "quick", "mnist")
            made.measure("accuracy", 0.5 + key, "share")
            made.save()
            found = {record["lesson"]: record for record in claims.live(tmp_path)}
        return found[name]["measurements"]

    return [tmp_path / f"0{key}_x.json" for key in (0, 1)], read


@pytest.fixture
def student_marks(tmp_path):
    """The marks of two students, which a grading that was ended goes on from."""

    def read(key):
        found = graded.read(tmp_path, f"of-{key}")
        if found is None:
            found = [{"student": f"s{key}", "state": "right" if key else "wrong"}]
            graded.note(tmp_path, f"of-{key}", found)
        return found

    return [tmp_path / f"of-{key}.json" for key in (0, 1)], read


@pytest.fixture
def images(request, tiny_registry, tiny_files, own_cache, monkeypatch):
    """The files of a small set in the cache, without a network: two unpacked ones of a kind, or their archives."""
    name, ending = request.param
    raw = own_cache / "data" / tiny_registry[name]["folder"] / "raw"
    raw.mkdir(parents=True)
    for file, content in tiny_files.items():
        (raw / file).write_bytes(content)
        (raw / f"{file}.gz").write_bytes(gzip.compress(content, mtime=0))
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")

    def read(key):
        found = datasets.load(name)
        assert found.name == name
        return [split.labels.tolist() + split.images.flatten().tolist() for split in (found.train, found.test)]

    return [raw / f"{part}-labels-idx1-ubyte{ending}" for part in ("t10k", "train")], read


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(
    ("kind", "lines", "images"),
    [
        ("artifact", 1, ("mnist", "")),
        ("partial_state", 1, ("mnist", "")),
        ("sweep_record", 1, ("mnist", "")),
        ("lesson_record", 1, ("mnist", "")),
        ("student_marks", 1, ("mnist", "")),
        ("images", 1, ("mnist", "")),
        ("images", 1, ("fashion-mnist", "")),
        ("images", 0, ("mnist", ".gz")),  # the unpacked file is whole
    ],
    indirect=["images"],
)
def test_a_damaged_file_is_made_again(kind, lines, images, fault, request, capsys):
    (file, other), read = request.getfixturevalue(kind)
    right = [read(key) for key in (0, 1)]
    capsys.readouterr()
    file.write_bytes(FAULTS[fault](file.read_bytes(), other.read_bytes()))
    assert [read(key) for key in (0, 1)] == right
    said = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert len(said) == lines
    assert all(f"{file.name} in {file.parent} is damaged: it is put aside" in line for line in said)
    assert [read(key) for key in (0, 1)] == right
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize("images", [("fashion-mnist", ".gz")], indirect=True)
def test_an_archive_that_is_damaged_cannot_vouch_for_what_came_out_of_it(images, capsys):
    (file, _), read = images
    right = read(0)
    file.write_bytes(b"")
    assert read(0) == right and capsys.readouterr().err == ""


def test_a_lesson_s_record_of_an_earlier_version_counts(tmp_path, capsys):
    (tmp_path / "01_x.json").write_text(json.dumps({"lesson": "01_x", "claims": []}), encoding="utf-8")
    assert [record["lesson"] for record in claims.live(tmp_path)] == ["01_x"] and capsys.readouterr().err == ""


@pytest.mark.parametrize("content", ["", "[1]", "[" * 100_000, '{"seed": 1e999, "sha256": ""}', None])
def test_a_seed_of_gradings_that_is_damaged_is_drawn_anew_and_said(tmp_path, capsys, content):
    assert graded.kept_seed(tmp_path, 7) == graded.kept_seed(tmp_path, None) == 7 and capsys.readouterr().err == ""
    file = tmp_path / "seed.json"
    file.write_text(file.read_text("utf-8").replace("7", "1", 1) if content is None else content, encoding="utf-8")
    seed = graded.kept_seed(tmp_path, None)
    assert "seed.json" in capsys.readouterr().err and seed >= 0
    assert graded.kept_seed(tmp_path, None) == seed and capsys.readouterr().err == ""
