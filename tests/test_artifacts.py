"""The artifact cache: round trip, what decides a name, damage, and runs that break off."""

import os

import pytest
import torch

from relcomp_kit import artifacts
from relcomp_kit.artifacts import artifact_path, load_or_make, read_artifact, read_cached, write_artifact
from relcomp_kit.cache import LOCKS
from relcomp_kit.errors import UserError

TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "mask": torch.tensor([True, False]), "n": torch.tensor(3)}
INFO = {"curve": [0.1, 1 / 3], "text": "§"}


def files_in(folder):
    """Return the names of files, without the folder of locks."""
    return [name for name in os.listdir(folder) if name != LOCKS]


def test_tensors_come_back_in_one_order(tmp_path):
    """Coded files follow that order, and are to be the same each time."""
    tensors = {f"{name}.weight": torch.ones(3) for name in range(20)}
    file = write_artifact(tmp_path / "a.safetensors", tensors, {})
    assert {tuple(read_artifact(file)[0]) for _ in range(20)} == {tuple(sorted(tensors))}


def test_round_trip(tmp_path):
    tensors, info = read_artifact(write_artifact(tmp_path / "x.safetensors", TENSORS, INFO))
    assert info == INFO
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)


def test_tensors_may_share_memory_and_be_turned(tmp_path):
    whole = torch.arange(6.0).reshape(2, 3).requires_grad_()
    tensors, _ = read_artifact(write_artifact(tmp_path / "x", {"one": whole, "same": whole, "turned": whole.T}, {}))
    assert torch.equal(tensors["one"], tensors["same"]) and torch.equal(tensors["turned"], whole.T)


def test_everything_that_decides_the_content_decides_the_name(own_cache, monkeypatch):
    arguments = {"recipe": "r", "version": 1, "config": {"sf": 0.9, "seed": 0}, "data_hash": "ab"}
    name = artifact_path(**arguments)
    assert name.parent == own_cache / "artifacts" and name.name.startswith("r-")
    assert artifact_path(**(arguments | {"config": {"seed": 0, "sf": 0.9}})) == name  # the order decides nothing
    changes = ({"recipe": "q"}, {"version": 2}, {"config": {"sf": 0.9, "seed": 1}}, {"data_hash": "ac"})
    others = {artifact_path(**(arguments | change)) for change in changes}
    assert len(others | {name}) == 5
    major, minor = torch.__version__.split(".")[:2]
    monkeypatch.setattr(artifacts.torch, "__version__", f"{major}.{minor}.99+other")
    assert artifact_path(**arguments) == name
    monkeypatch.setattr(artifacts.torch, "__version__", f"{major}.{int(minor) + 1}.0")
    assert artifact_path(**arguments) not in others | {name}


@pytest.mark.parametrize("metadata", [None, {}, {"format": "pt"}])
def test_a_file_of_another_program_is_not_said_to_be_damaged(tmp_path, metadata):
    path = tmp_path / "x.safetensors"
    path.write_bytes(artifacts.save(TENSORS, metadata))
    with pytest.raises(UserError, match=r"x\.safetensors was not written by this kit: name a file that"):
        read_artifact(path)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "missing"])
def test_damaged_file_is_named(tmp_path, damage):
    path = write_artifact(tmp_path / "x.safetensors", TENSORS, INFO)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "garbage":
        path.write_bytes(b"garbage")
    else:
        path.unlink()
    say = "cannot be read .*: name a file" if damage == "missing" else "is damaged.*: make it anew"
    with pytest.raises(UserError, match=rf"x\.safetensors {say}"):
        read_artifact(path)


def test_made_once_and_the_partial_state_goes(own_cache):
    calls = []

    def make(partial):
        calls.append(partial)
        write_artifact(partial, TENSORS, {})
        return TENSORS, INFO

    for _ in range(2):
        tensors, info = load_or_make("r", 1, {}, "ab", make)
        assert torch.equal(tensors["a"], TENSORS["a"]) and info == INFO
    assert len(calls) == 1 and calls[0].suffix == ".partial"
    assert files_in(own_cache / "artifacts") == [artifact_path("r", 1, {}, "ab").name]
    load_or_make("r", 1, {"other": 1}, "ab", make)
    assert len(calls) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_half_written_when_make_breaks_off(own_cache, error):
    def make(partial):
        write_artifact(partial, TENSORS, {})
        raise error

    with pytest.raises(error):
        load_or_make("r", 1, {}, "ab", make)
    path = artifact_path("r", 1, {}, "ab")
    assert files_in(path.parent) == [path.with_suffix(".partial").name]  # the state to resume from, nothing else

    def resume(partial):
        return read_artifact(partial)[0], INFO

    assert torch.equal(load_or_make("r", 1, {}, "ab", resume)[0]["a"], TENSORS["a"])
    assert files_in(path.parent) == [path.name]


def test_every_flipped_bit_is_noticed_and_the_artifact_made_again(own_cache, capsys):
    path = artifact_path("r", 1, {}, "ab")
    load_or_make("r", 1, {}, "ab", lambda partial: (TENSORS, INFO))
    whole = path.read_bytes()
    for place in range(8, len(whole)):  # the first 8 say how long the header is
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        tensors, info = load_or_make("r", 1, {}, "ab", lambda partial: (TENSORS, INFO))
        assert info == INFO and all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    said = capsys.readouterr().err.splitlines()
    assert len(said) >= len(whole) - 8 - 8, "a space that becomes another one is no damage"
    assert all("is damaged: it is put aside and made again" in line for line in said)
    assert path.with_name(path.name + ".damaged").is_file() and path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 64, None])
@pytest.mark.parametrize("kind", ["artifact", "partial"])
def test_what_is_no_artifact_is_made_again(own_cache, content, kind):
    path = artifact_path("r", 1, {}, "ab")
    place = path if kind == "artifact" else path.with_suffix(".partial")
    other = write_artifact(own_cache / "artifacts" / "other.safetensors", {"a": torch.ones(2)}, {})
    place.write_bytes(other.read_bytes() if content is None else content)

    def make(partial):
        assert read_cached(partial) is None
        return TENSORS, INFO

    assert load_or_make("r", 1, {}, "ab", make)[1] == INFO


def test_a_user_s_own_file_may_be_renamed_and_is_checked(tmp_path):
    path = write_artifact(tmp_path / "x.safetensors", TENSORS, INFO).rename(tmp_path / "y.safetensors")
    assert read_artifact(path)[1] == INFO
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="SHA-256 is wrong"):
        read_artifact(path)
