"""CIFAR-10, Speech Commands and Pascal VOC: both layouts, splits, downloads, and files that are something else."""

import hashlib
import io
import os
import pickle
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from test_audio import tone, write_wav
from test_download import send, serve

from relcomp_kit import datasets
from relcomp_kit.datasets import cifar10, download, labelled, speech_commands, voc_labels
from relcomp_kit.errors import UserError


@pytest.fixture
def root(tmp_path, monkeypatch, own_cache):
    """An empty folder that RELCOMP_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("RELCOMP_DATA", str(folder))
    return folder


# CIFAR-10


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 3, 32, 32), np.uint8), np.arange(count) % 10


@pytest.fixture
def batches(root, monkeypatch):
    """Six published batches of ten pictures each."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for seed, name in enumerate(cifar10.BATCHES):
        x, labels = pictures(10, seed)
        batch = {b"data": x.reshape(10, -1), b"labels": labels.tolist(), b"batch_label": b"one of six"}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    allow(folder, monkeypatch)
    return folder


def allow(folder, monkeypatch):
    md5 = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in cifar10.BATCHES}
    monkeypatch.setattr(cifar10, "BATCHES", md5)


def as_folders(place, monkeypatch):
    """The same pictures as files, in another order."""
    for split, seeds in (("train", range(5)), ("test", [5])):
        number = 0
        for seed in reversed(seeds):
            for picture, label in zip(*pictures(10, seed)):
                folder = place / split / cifar10.CLASSES[label]
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture.transpose(1, 2, 0)).save(folder / f"{number:05}.png")
                number += 1
    monkeypatch.setattr(cifar10, "PICTURES", {"train": 50, "test": 10})


def test_both_layouts_of_cifar10_are_one_set(root, batches, monkeypatch):
    first = datasets.load("cifar10")
    assert [len(split.labels) for split in (first.train, first.validation, first.test)] == [45, 5, 10]
    assert first.train.images.dtype == torch.uint8 and first.train.images.shape[1:] == (3, 32, 32)
    x, labels = pictures(10, 5)
    for picture, label in zip(first.test.images, first.test.labels):
        assert (x[labels == label.item()] == picture.numpy()).all((1, 2, 3)).any()
    for name in cifar10.BATCHES:
        (batches / name).unlink()
    batches.rmdir()
    as_folders(root / "cifar10", monkeypatch)
    second = datasets.load("cifar10")
    assert second.sha256 == first.sha256
    assert torch.equal(second.train.images, first.train.images)
    assert torch.equal(second.validation.labels, first.validation.labels)


def test_decoded_pictures_come_from_the_cache_until_a_file_changes(root, monkeypatch):
    as_folders(root / "cifar10", monkeypatch)
    first = datasets.load("cifar10")
    monkeypatch.setattr(cifar10, "_read_picture", None)
    assert datasets.load("cifar10").sha256 == first.sha256
    monkeypatch.undo()
    monkeypatch.setenv("RELCOMP_DATA", str(root))
    monkeypatch.setattr(cifar10, "PICTURES", {"train": 50, "test": 10})
    changed = next((root / "cifar10" / "test" / "dog").glob("*.png"))
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(changed)
    monkeypatch.setenv("RELCOMP_CACHE", str(root / "another"))
    assert datasets.load("cifar10").sha256 != first.sha256


class Calls:
    def __reduce__(self):
        return os.system, ("touch called",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps(Calls()),
        pickle.dumps({b"data": Calls(), b"labels": [1]}),
        pickle.dumps({b"data": np.array([Calls()], object), b"labels": [1]}, protocol=2),
        pickle.dumps([1, 2, 3]),
        pickle.dumps({b"data": np.zeros((2, 7), np.uint8), b"labels": [1, 2]}, protocol=2),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 12]}, protocol=2),
        pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, protocol=2),
        pickle.dumps({b"labels": [1]}),
        b"text",
        b"",
    ],
)
def test_a_pickle_that_is_no_batch_runs_nothing(batches, content, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (batches / "data_batch_3").write_bytes(content)
    with pytest.raises(UserError, match=r"data_batch_3 is not the published file \(wrong MD5\)"):
        datasets.load("cifar10")
    allow(batches, monkeypatch)  # someone who can make a file of the published MD5
    with pytest.raises(UserError, match=r"data_batch_3 (is no batch of CIFAR-10|holds)"):
        datasets.load("cifar10")
    assert not (tmp_path / "called").exists()


def test_missing_parts_of_cifar10_are_named(root, batches, monkeypatch):
    (batches / "test_batch").unlink()
    with pytest.raises(UserError, match=r"test_batch cannot be read .*relcomp fetch cifar10"):
        datasets.load("cifar10")


def test_a_folder_that_lacks_pictures_is_refused(root, monkeypatch):
    as_folders(root / "cifar10", monkeypatch)
    one = next((root / "cifar10" / "train" / "cat").glob("*.png"))
    Image.new("RGB", (33, 32)).save(one)
    with pytest.raises(UserError, match=r"is 33x32 and CIFAR-10's pictures 32x32"):
        datasets.load("cifar10")
    one.write_bytes(b"text")
    with pytest.raises(UserError, match="cannot be read as a picture"):
        datasets.load("cifar10")
    one.unlink()
    with pytest.raises(UserError, match="train holds 49 pictures of the ten classes, not 50"):
        datasets.load("cifar10")


# Speech Commands


def test_speakers_are_split_by_the_published_rule():
    """Counts of the published lists: 3,703 validation and 4,074 test clips of the ten keywords."""
    path = os.path.join(os.environ.get("RELCOMP_DATA", "nowhere"), "SpeechCommands", "log-mel.npz")
    if not os.path.isfile(path):
        pytest.skip("no SpeechCommands/log-mel.npz under RELCOMP_DATA")
    with np.load(path, allow_pickle=False) as packed:
        keyword = np.isin(packed["word"], speech_commands.KEYWORDS)
        splits = [speech_commands.split_of(name) for name in packed["name"][keyword]]
    assert [splits.count(split) for split in speech_commands.SPLITS] == [30_769, 3_703, 4_074]


def test_a_speaker_is_in_one_split():
    names = [f"{speaker:08x}_nohash_{take}.wav" for speaker in range(3000) for take in range(2)]
    splits = [speech_commands.split_of(name) for name in names]
    assert splits[::2] == splits[1::2]
    assert 0.08 < splits.count("test") / len(splits) < 0.12


def clip_names(count: int) -> list[str]:
    return [f"{hashlib.md5(bytes([i])).hexdigest()[:8]}_nohash_0.wav" for i in range(count)]


@pytest.fixture
def clips(root):
    folder = root / "SpeechCommands" / "speech_commands_v0.02"
    for number, word in enumerate((*speech_commands.KEYWORDS, "bed", "cat")):
        (folder / word).mkdir(parents=True)
        for name in clip_names(30):
            write_wav(folder / word / name, tone(200 + 100 * number)[: 9000 if name < "3" else 16_000])
    (folder / speech_commands.NOISE).mkdir()
    write_wav(folder / speech_commands.NOISE / "hiss.wav", np.tile(tone(3000), 12))
    return folder


@pytest.mark.slow
def test_clips_become_pictures_of_twelve_classes(clips):
    found = datasets.load("speech-commands")
    assert found.classes[-2:] == ("unknown", "silence") and len(found.classes) == 12
    for split in (found.train, found.validation, found.test):
        assert split.images.shape[1:] == (1, 98, 40) and split.images.dtype == torch.uint8
        counts = split.labels.bincount(minlength=12)
        keywords = counts[:10].sum().item()
        assert counts[10] == keywords // 10 and counts[11] == tenth(keywords)
    assert sum(len(split.labels) for split in (found.train, found.validation, found.test)) >= 300
    assert datasets.load("speech-commands").sha256 == found.sha256


def tenth(keywords: int) -> int:
    return (keywords + keywords // 10) // 11


def test_packed_pictures(root):
    path = root / "SpeechCommands" / "log-mel.npz"
    path.parent.mkdir()
    words = [*speech_commands.KEYWORDS * 20, *["unknown"] * 40, *[speech_commands.NOISE] * 60]
    names = [f"{hashlib.md5(bytes([i // 250, i % 250])).hexdigest()[:8]}_nohash_0.jpg" for i in range(len(words))]
    x = np.random.default_rng(0).integers(0, 256, (len(words), 98, 40), np.uint8)
    np.savez(path, x=x, word=np.array(words), name=np.array(names))
    found = datasets.load("speech-commands")
    whole = torch.cat([split.images for split in (found.train, found.validation, found.test)])
    assert len(whole.flatten(1).unique(dim=0)) == len(whole)  # nothing is in two splits
    np.savez(path, x=x, word=np.array(["yes"] * len(words)), name=np.array(names))
    with pytest.raises(UserError, match="lacks the words _background_noise_, down, go"):
        datasets.load("speech-commands")
    np.savez(path, x=np.array([Calls()], object), word=np.array(words), name=np.array(names))
    with pytest.raises(UserError, match="holds no log-mel pictures"):
        datasets.load("speech-commands")
    path.write_bytes(b"text")
    with pytest.raises(UserError, match="holds no log-mel pictures"):
        datasets.load("speech-commands")


def test_a_word_that_is_missing_is_named(clips):
    for file in (clips / "stop").iterdir():
        file.unlink()
    (clips / "stop").rmdir()
    with pytest.raises(UserError, match=r"lacks the folders stop: run `relcomp fetch speech-commands`"):
        datasets.load("speech-commands")


# Pascal VOC


@pytest.fixture
def voc(root):
    folder = root / "VOCdevkit" / "VOC2012"
    for name in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    for number in range(12):
        Image.new("RGB", (300 + number, 240), (number * 20, 0, 0)).save(folder / "JPEGImages" / f"{number}.jpg")
        things = "".join(f"<object><name>{name}</name></object>" for name in ("dog", "dog", "person")[: 1 + number % 3])
        (folder / "Annotations" / f"{number}.xml").write_text(f"<annotation>{things}</annotation>")
    (folder / "ImageSets/Main/train.txt").write_text("\n".join(map(str, range(10))))
    (folder / "ImageSets/Main/val.txt").write_text("10\n11\n")
    return folder


def test_voc_has_several_labels_an_image(voc):
    found = datasets.load("voc")
    assert [tuple(split.images.shape) for split in (found.train, found.validation, found.test)] == [
        (9, 3, 224, 224),
        (1, 3, 224, 224),
        (2, 3, 224, 224),
    ]
    dog, person = voc_labels.CLASSES.index("dog"), voc_labels.CLASSES.index("person")
    assert found.test.labels[:, [dog, person]].tolist() == [[1, 0], [1, 1]]
    assert found.test.labels.sum() == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<annotation></annotation>", "names no object"),
        ("<annotation><object><name>unicorn</name></object></annotation>", "names unicorn, which Pascal VOC"),
        ("no xml", "cannot be read as a description"),
    ],
)
def test_a_wrong_description_is_refused(voc, text, words):
    (voc / "Annotations" / "3.xml").write_text(text)
    with pytest.raises(UserError, match=words):
        datasets.load("voc")


def test_missing_list_and_picture_of_voc(voc):
    (voc / "JPEGImages" / "4.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"4\.jpg cannot be read as a picture"):
        datasets.load("voc")
    (voc / "ImageSets/Main/val.txt").unlink()
    (voc / "JPEGImages" / "4.jpg").write_bytes((voc / "JPEGImages" / "5.jpg").read_bytes())
    with pytest.raises(UserError, match=r"val\.txt cannot be read"):
        datasets.load("voc")


# Places and downloads


@pytest.mark.parametrize("name", labelled.NAMES)
def test_a_set_that_is_nowhere_says_where_it_belongs(root, name):
    with pytest.raises(UserError, match=rf"{name} is not on this machine: run `relcomp fetch {name}`, or put it as"):
        datasets.load(name)


def archive_of(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return made.getvalue()


@pytest.fixture
def server(own_cache, monkeypatch):
    """``server(archive)`` lets `fetch` find that archive, whose hash is the published one."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("RELCOMP_DATA", raising=False)
    monkeypatch.delenv("RELCOMP_OFFLINE", raising=False)
    known = download.entry("cifar10")

    def offer(archive: bytes, hashed: bytes | None = None):
        entry = known | {"hash": "md5:" + hashlib.md5(hashed or archive).hexdigest()}
        monkeypatch.setattr(download, "entry", lambda name: entry)
        return serve(lambda handler, file: send(handler, archive))

    return offer


def test_an_archive_is_unpacked_once(server, own_cache):
    with server(archive_of({"cifar-10-batches-py/data_batch_1": b"content"})) as (url, asked):
        made = datasets.fetch("cifar10", base_url=url)
        assert datasets.fetch("cifar10", base_url=url) == made
    assert (made / "data_batch_1").read_bytes() == b"content"
    assert made == own_cache / "data" / "cifar-10-batches-py"
    visible = [path.name for path in (own_cache / "data").iterdir() if path.name[0] != "."]  # not the locks
    assert len(asked) == 2 and visible == ["cifar-10-batches-py"]


def test_what_killed_downloads_left_goes_with_the_next_one(server, own_cache):
    data = own_cache / "data"
    (data / ".unpacking-abc" / "half").mkdir(parents=True)
    (data / "tmp12345678").write_bytes(b"half")
    (data / "tmp").mkdir()
    with server(archive_of({"cifar-10-batches-py/data_batch_1": b"content"})) as (url, _):
        datasets.fetch("cifar10", base_url=url)
    assert sorted(path.name for path in data.iterdir() if path.name[0] != ".") == ["cifar-10-batches-py", "tmp"]
    assert not list(data.glob(".unpacking-*"))


def flip(one, other):
    content = bytearray(one.read_bytes())
    content[len(content) // 2] ^= 4
    one.write_bytes(content)


def swap(one, other):
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.parametrize(
    "fault",
    [flip, swap, lambda one, other: one.write_bytes(one.read_bytes()[:99]), lambda one, other: one.unlink()],
    ids=["flipped", "swapped", "truncated", "lost"],
)
def test_a_fetched_set_that_is_damaged_is_put_aside_and_fetched_again(batches, server, own_cache, fault, capsys):
    packed = archive_of({f"cifar-10-batches-py/{file.name}": file.read_bytes() for file in batches.iterdir()})
    with server(packed) as (url, _):
        made = datasets.fetch("cifar10", base_url=url)
        right = datasets.load("cifar10").sha256
        for _ in range(2):
            fault(made / "data_batch_1", made / "data_batch_2")
            with pytest.raises(UserError, match=r"cifar10 in .* was damaged: run `relcomp fetch cifar10` again"):
                datasets.load("cifar10")
            (line,) = capsys.readouterr().err.splitlines()
            assert f"{made.name} in {made.parent} is damaged: it is put aside and has to be fetched again" in line
            datasets.fetch("cifar10", base_url=url)
            assert datasets.load("cifar10").sha256 == right


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside-of-relcomp", "cifar-10-batches-py/../../outside"])
def test_an_archive_that_leads_outside_is_refused(server, own_cache, name):
    with server(archive_of({name: b"content"})) as (url, _), pytest.raises(UserError, match="cannot be unpacked"):
        datasets.fetch("cifar10", base_url=url)
    assert not list(own_cache.rglob("outside*")) and not os.path.exists("/tmp/outside-of-relcomp")


def test_other_bytes_and_half_an_archive_are_refused(server, own_cache):
    whole = archive_of({"cifar-10-batches-py/data_batch_1": os.urandom(9000)})
    with server(whole, b"the published one") as (url, _), pytest.raises(UserError, match=r"wrong md5"):
        datasets.fetch("cifar10", base_url=url)
    with server(whole[:5000]) as (url, _), pytest.raises(UserError, match="cannot be unpacked"):
        datasets.fetch("cifar10", base_url=url)
    assert not (own_cache / "data" / "cifar-10-batches-py").exists()


def test_registry_names_the_archives():
    for name in download.ARCHIVES:
        known = download.entry(name)
        assert known["makes"] in {layout.place for layout in labelled.LAYOUTS[name]}
