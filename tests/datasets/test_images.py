"""Loading by name: order of the sources, splits, the stand-in, and every kind of bad input."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from relcomp_kit import datasets
from relcomp_kit.datasets import images
from relcomp_kit.errors import UserError

TEST_COUNTS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # of the official MNIST test set


@pytest.fixture(scope="module")
def mnist():
    root = os.environ.get("RELCOMP_DATA")
    if not root or not (Path(root) / "MNIST" / "raw").is_dir():
        pytest.skip("no MNIST under RELCOMP_DATA")
    return datasets.load("mnist")


def test_real_mnist_has_the_official_test_set_and_a_full_training_set(mnist):
    assert (mnist.name, mnist.source, mnist.stand_in_for) == ("mnist", "RELCOMP_DATA", None)
    for split, count in ((mnist.train, 55_000), (mnist.validation, 5_000), (mnist.test, 10_000)):
        assert split.images.shape == (count, 1, 28, 28) and split.images.dtype == torch.float32
        assert split.labels.shape == (count,) and split.labels.dtype == torch.int64
        assert split.images.min() == 0 and split.images.max() == 1
    assert mnist.test.labels.bincount().tolist() == TEST_COUNTS
    both = torch.cat([mnist.train.labels, mnist.validation.labels]).bincount()
    assert both.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def test_split_is_a_partition_and_the_same_on_every_machine():
    train, validation = images.split_indices(55_000, 5_000)
    assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(60_000))
    assert validation[:5].tolist() == [11, 22, 36, 37, 68]


def test_tiny_set_holds_the_bytes_of_its_files(tiny_data, tiny_files):
    found = datasets.load("mnist")
    raw = np.frombuffer(tiny_files["train-images-idx3-ubyte"][16:], np.uint8).reshape(30, 1, 28, 28)
    index, _ = images.split_indices(25, 5)
    assert torch.equal(found.train.images, torch.from_numpy(raw[index.numpy()]).float() / 255)
    assert found.train.labels.tolist() == (index % 10).tolist()
    assert found.test.labels.tolist() == list(range(10))
    assert len(found.validation.labels) == 5
    assert datasets.banner(found).count("\n") == 0 and "RELCOMP_DATA" in datasets.banner(found)
    assert str(tiny_data) not in datasets.banner(found)


def test_hash_depends_on_every_file(tiny_data, tiny_registry):
    tiny_registry["mnist"]["raw"] = {}
    before = datasets.load().sha256
    assert datasets.load().sha256 == before
    path = tiny_data / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert datasets.load().sha256 != before


def test_cache_comes_after_relcomp_data(tiny_data, own_cache, monkeypatch):
    shutil.copytree(tiny_data, own_cache / "data")
    assert datasets.load().source == "RELCOMP_DATA"
    monkeypatch.delenv("RELCOMP_DATA")
    assert datasets.load().source == "cache"


def test_relcomp_data_becomes_absolute_once(tiny_data, monkeypatch):
    monkeypatch.chdir(tiny_data.parent)
    monkeypatch.setenv("RELCOMP_DATA", tiny_data.name)
    datasets.load()
    monkeypatch.chdir("/")
    assert datasets.load().source == "RELCOMP_DATA"


@pytest.mark.parametrize("online", [True, False])
def test_digits_stand_in_loudly_where_mnist_cannot_be_had(tiny_registry, own_cache, monkeypatch, online):
    if not online:
        monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    found = datasets.load("mnist")
    assert (found.name, found.source, found.stand_in_for) == ("digits", "scikit-learn", "mnist")
    text = datasets.banner(found)
    for part in ("STAND IN FOR MNIST", "decides a claim", "relcomp fetch mnist", "RELCOMP_DATA"):
        assert part in text


def test_digits_by_name_are_stratified_disjoint_and_no_stand_in(own_cache):
    found = datasets.load("digits")
    assert found.stand_in_for is None and "STAND IN" not in datasets.banner(found)
    splits = (found.train, found.validation, found.test)
    assert [tuple(split.images.shape) for split in splits] == [(1257, 1, 8, 8), (180, 1, 8, 8), (360, 1, 8, 8)]
    assert all(split.images.min() == 0 and split.images.max() == 1 for split in splits)
    shares = torch.stack([split.labels.bincount() / len(split.labels) for split in splits])
    assert (shares.max(0).values - shares.min(0).values).max() < 0.01
    pixels = torch.cat([split.images.flatten(1) for split in splits])
    assert len(pixels.unique(dim=0)) == 1797
    assert datasets.load("digits").sha256 == found.sha256


def test_unknown_name_lists_the_names():
    with pytest.raises(UserError, match=r"'cifar'.*mnist, fashion-mnist, digits"):
        datasets.load("cifar")


@pytest.mark.parametrize("name", datasets.NAMES)
def test_relcomp_data_that_is_no_folder_is_an_error(tiny_registry, own_cache, monkeypatch, tmp_path, name):
    monkeypatch.setenv("RELCOMP_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"nowhere.*not a folder"):
        datasets.load(name)


def test_relcomp_data_without_mnist_is_an_error_even_with_a_cache(tiny_data, own_cache):
    shutil.copytree(tiny_data, own_cache / "data")
    shutil.rmtree(tiny_data / "MNIST")
    with pytest.raises(UserError, match=r"lacks MNIST/raw/train-images-idx3-ubyte.*unset RELCOMP_DATA"):
        datasets.load("mnist")


def test_one_missing_file_is_named(tiny_data):
    (tiny_data / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"lacks MNIST/raw/t10k-labels-idx1-ubyte:"):
        datasets.load("mnist")


def test_fashion_mnist_that_is_nowhere_names_the_command(tiny_data, monkeypatch):
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    with pytest.raises(UserError, match=r"relcomp fetch fashion-mnist"):
        datasets.load("fashion-mnist")


def test_fashion_mnist_comes_from_its_own_folder(tiny_data):
    (tiny_data / "MNIST").rename(tiny_data / "FashionMNIST")
    found = datasets.load("fashion-mnist")
    assert found.name == "fashion-mnist" and found.classes[9] == "Ankle boot"


def test_a_changed_byte_is_named_with_the_cure(tiny_data):
    path = tiny_data / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte is damaged.*sha256.*relcomp fetch mnist"):
        datasets.load("mnist")


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:3],
        lambda content: content[:-1],
        lambda content: content[:10],
        lambda content: b"<html>" + content,
        lambda content: bytes([0, 0, 99]) + content[3:],
        lambda content: content + b"\x00",
    ],
)
def test_broken_idx_file_without_known_hash_is_named_with_the_cure(tiny_data, file, damage):
    (tiny_data / "MNIST").rename(tiny_data / "FashionMNIST")
    path = tiny_data / "FashionMNIST" / "raw" / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=rf"{file[:5].rstrip('-')}.* is damaged.*relcomp fetch fashion-mnist"):
        datasets.load("fashion-mnist")


def test_label_that_is_no_class_is_an_error(tiny_data):
    (tiny_data / "MNIST").rename(tiny_data / "FashionMNIST")
    path = tiny_data / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0a")
    with pytest.raises(UserError, match=r"a label is no class"):
        datasets.load("fashion-mnist")
