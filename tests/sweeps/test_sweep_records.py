"""Records of a sweep that are damaged, or another point's, are put aside and run again."""

import json

import pytest

from relcomp_kit.sweeps.plan import read_plan
from relcomp_kit.sweeps.run import missing, read_records, record_file, run_missing


@pytest.fixture
def points(fake_plan):
    return read_plan(fake_plan("ok", "ok"))


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty", "truncated", "changed", "swapped", "no digest", "a list"])
def test_a_damaged_record_is_run_again(points, tmp_path, starts, damage, capsys):
    out = tmp_path / "out"
    assert run_missing(points, out, workers=1) == 0
    right = read_records(points, out)
    file, other = (record_file(out, point) for point in points)
    text = file.read_text(encoding="utf-8")
    record = json.loads(text)
    damaged = {
        "empty": "",
        "truncated": text[: len(text) // 2],
        "changed": text.replace('"measurements"', '"measurementz"', 1),
        "swapped": other.read_text(encoding="utf-8"),
        "no digest": json.dumps({name: value for name, value in record.items() if name != "sha256"}),
        "a list": "[1]",
    }
    file.write_text(damaged[damage], encoding="utf-8")
    assert missing(points, out) == points[:1] and read_records(points, out) == right[1:]
    assert run_missing(points, out, workers=1) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert said == [f"relcomp: {file.name} in {out} is damaged: it is put aside and made again"]
    assert file.with_name(file.name + ".damaged").is_file()
    again = read_records(points, out)
    assert [one["measurements"] for one in again] == [one["measurements"] for one in right]


@pytest.mark.slow
def test_records_on_a_full_disk_go_on_with_room(fake_plan, relcomp, small_disk, capsys):
    plan, out, filler = fake_plan("square", "square"), small_disk / "records", small_disk / "filler"
    out.mkdir()
    with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    assert relcomp("sweep", plan, "--workers", "1", "--out", out) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"relcomp: cannot write to {out}") and "No space left" in last and "are needed" in last
    assert [path.name for path in out.iterdir()] == [".locks"]
    filler.unlink()
    assert relcomp("sweep", plan, "--workers", "1", "--out", out) == 0
    assert len(list(out.glob("fake-*.json"))) == 2
