"""Files: whole or not at all, one clear sentence for a folder that cannot be written to, JSON both ways."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relcomp_kit import files
from relcomp_kit.errors import UserError


@pytest.mark.parametrize(("content", "stored"), [("Lösung\n", "Lösung\n".encode()), (b"\x00\xff", b"\x00\xff")])
def test_content_arrives_and_folders_are_made(tmp_path, content, stored):
    path = files.write_atomic(tmp_path / "new" / "folder" / "file", content)
    assert path.read_bytes() == stored
    assert path.stat().st_mode & 0o777 == 0o644
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("broken", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_whole(tmp_path, monkeypatch, broken, error):
    path = files.write_atomic(tmp_path / "file", "old")

    def fail(*_, **__):
        raise error("no space left")

    monkeypatch.setattr(files.os, broken, fail)
    with pytest.raises(UserError if error is OSError else error, match="no space left"):
        files.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "x.json", tmp_path / "file" / "deeper" / "x.json"):
        with pytest.raises(UserError, match=r"cannot write to .*file.*; choose another folder") as found:
            files.write_atomic(path, "")
        assert "\n" not in str(found.value)


def test_read_only_folder_is_one_sentence(tmp_path, monkeypatch):
    def refuse(dir):  # as the system does for all but root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(UserError, match=r"^cannot write to .*: Permission denied; choose another folder$"):
        files.write_atomic(tmp_path / "x", "")
    assert os.listdir(tmp_path) == []


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('[]1, \n"\\é'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@settings(max_examples=40)
@given(content=TREES)
def test_json_round_trip(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "x.json"
    assert files.read_json(files.write_json(path, content)) == content


def test_lists_of_numbers_stand_on_one_line_and_order_is_kept(tmp_path):
    path = files.write_json(tmp_path / "x.json", {"z": [1, -2.5, 3e-7], "a": "[1,  2]"})
    assert path.read_text().splitlines() == ["{", ' "z": [ 1, -2.5, 3e-07 ],', ' "a": "[1,  2]"', "}"]


def test_nan_is_no_json_and_leaves_the_old_file(tmp_path):
    path = files.write_json(tmp_path / "x.json", [1])
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, [float("nan")])
    assert files.read_json(path) == [1]


@pytest.mark.parametrize("content", [None, "{", b"\xff"])
def test_broken_json_is_named(tmp_path, content):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"x\.json cannot be read as JSON \(.*\); delete it and run again"):
        files.read_json(path)


def test_cache_folder_is_the_chosen_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELCOMP_CACHE", "here")
    assert files.cache_dir() == tmp_path / "here"
    monkeypatch.delenv("RELCOMP_CACHE")
    assert files.cache_dir().name == "relcomp_kit"


def test_checkout_is_the_clone(monkeypatch, tmp_path):
    assert (files.checkout() / "pyproject.toml").is_file()
    monkeypatch.setattr(files, "__file__", str(tmp_path / "site" / "relcomp_kit" / "files.py"))
    with pytest.raises(UserError, match="clone the project"):
        files.checkout()
