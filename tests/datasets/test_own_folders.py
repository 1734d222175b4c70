"""Folders of one's own: every usual layout is read, held out the same way everywhere, and what is wrong is said."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.own_folders import fitted, load_folder, with_scale
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.errors import UserError


def picture(file: Path, value: int, size=(6, 8), mode: str = "RGB") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size[::-1], (value,) * 3 if mode == "RGB" else value).save(file)
    return file


def classes(folder: Path, count: int = 10, names=("cat", "dog"), start: int = 0) -> Path:
    for place, name in enumerate(names):
        for number in range(count):
            picture(folder / name / f"{number}.png", start + 100 * place + number)
    return folder


def scenes(folder: Path, count: int = 8, listed: str | None = "sky\nground\n") -> Path:
    for number in range(count):
        picture(folder / "images" / f"{number}.png", number)
        label = np.zeros((6, 8), np.uint8)
        label[3:] = 1
        label[0, 0] = 255
        (folder / "labels").mkdir(exist_ok=True)
        Image.fromarray(label).save(folder / "labels" / f"{number}.png")
    if listed is not None:
        (folder / "classes.txt").write_text(listed)
    return folder


def counts(data) -> list[int]:
    parts = (data.train, data.validation, data.test)
    return [len(part.labels) if isinstance(data, ImageSet) else len(part) for part in parts]


def test_a_folder_a_class_is_held_out_class_by_class(tmp_path):
    data = load_folder(classes(tmp_path))
    assert data.classes == ("cat", "dog") and counts(data) == [14, 2, 4]
    assert data.train.images.shape == (14, 3, 6, 8) and data.train.images.dtype == torch.uint8
    for part in (data.train, data.validation, data.test):
        assert torch.equal(part.images[:, 0, 0, 0] >= 100, part.labels == 1), "each picture has its own class"
        assert set(part.labels.tolist()) == {0, 1}
    seen = torch.cat([part.images[:, 0, 0, 0] for part in (data.train, data.validation, data.test)])
    assert len(seen.unique()) == 20, "no picture is in two parts"


def test_the_same_folder_elsewhere_gives_the_same_set(tmp_path):
    one = load_folder(classes(tmp_path / "a"))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    other = load_folder(tmp_path / "b")
    assert one.sha256 == other.sha256 and torch.equal(one.test.images, other.test.images)
    picture(tmp_path / "b" / "cat" / "0.png", 77)
    assert load_folder(tmp_path / "b").sha256 != one.sha256


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("train", "val", "test"), [20, 20, 20]),
        (("train", "validation", "test"), [20, 20, 20]),
        (("train", "val"), [18, 2, 20]),
        (("train", "test"), [18, 2, 20]),
        (("train",), [14, 2, 4]),
    ],
)
def test_parts_that_are_there_are_taken(tmp_path, parts, expected):
    for place, part in enumerate(parts):
        classes(tmp_path / part, start=10 * place)
    data = load_folder(tmp_path)
    assert counts(data) == expected
    if len(parts) > 1:
        assert set((data.test.images[:, 0, 0, 0] % 100 // 10).tolist()) == {len(parts) - 1}


def test_few_of_each_part_and_hidden_and_empty_folders(tmp_path):
    classes(tmp_path)
    (tmp_path / "notes").mkdir()
    for hidden in (".cache", "__MACOSX"):
        classes(tmp_path / hidden)
    (tmp_path / "cat" / "readme.txt").write_text("not a picture")
    data = load_folder(tmp_path, most=3)
    assert counts(data) == [3, 2, 3] and data.classes == ("cat", "dog")


def test_sizes(tmp_path):
    classes(tmp_path)
    assert load_folder(tmp_path, (4, 4)).train.images.shape[2:] == (4, 4)
    picture(tmp_path / "cat" / "0.png", 0, (20, 10))
    assert load_folder(tmp_path).train.images.shape[2:] == (224, 224)


def test_the_middle_of_a_picture(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 200
    Image.fromarray(pixels).save(tmp_path / "x.png")
    assert (fitted(tmp_path / "x.png", (10, 10)) == 200).all()
    assert fitted(tmp_path / "x.png", (5, 15)).shape == (3, 5, 15)
    assert fitted(tmp_path / "x.png", (7, 7), grey=True).shape == (1, 7, 7)


def test_scenes_by_number_and_by_colour(tmp_path):
    data = load_folder(scenes(tmp_path / "a"))
    assert isinstance(data, SceneSet) and data.classes == ("sky", "ground") and counts(data) == [5, 1, 2]
    image, label = data.test[0]
    assert image.shape == (3, 6, 8) and label[0, 0] == 255 and label[5, 0] == 1
    coded = scenes(tmp_path / "b", listed="blue sky 0 0 255\nground 10 20 30\n")
    for file in (coded / "labels").glob("*.png"):
        colours = np.zeros((6, 8, 3), np.uint8)
        colours[:3], colours[3:] = (0, 0, 255), (10, 20, 30)
        colours[0, 0] = 9
        Image.fromarray(colours).save(file)
    data = load_folder(coded, (12, 16))
    assert data.classes == ("blue sky", "ground") and data.palette == ((0, 0, 255), (10, 20, 30))
    _, label = data.train[0]
    assert label.shape == (12, 16) and label[0, 0] == 255 and label[11, 15] == 1
    for part in ("train", "val"):
        scenes(tmp_path / "c" / part, listed=None)
    (tmp_path / "c" / "classes.txt").write_text("sky\nground")
    assert counts(load_folder(tmp_path / "c")) == [7, 1, 8]


def test_sets_by_name_and_another_scale(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plain = load_folder("rail-scenes", most=3)
    assert counts(plain) == [3, 3, 3]
    other = with_scale(plain, ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))
    assert other.scale == ((0.5,) * 3, (0.2,) * 3) and other.sha256 != plain.sha256
    digits = load_folder("digits", most=5)
    assert digits.train.images.dtype == torch.uint8 and digits.train.images.max() == 255
    with pytest.raises(UserError, match="one number for each of 1 channels"):
        with_scale(digits, ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))


def broken(folder):
    classes(folder)
    (folder / "cat" / "0.png").write_bytes(b"no picture")


def webp(folder):
    classes(folder)
    Image.new("RGB", (8, 6)).save(folder / "cat" / "0.webp")


def other_class(folder):
    classes(folder / "train")
    classes(folder / "test", names=("cat", "cow"))


def two_names(folder):
    for part in ("train", "val", "validation"):
        classes(folder / part)


def no_label(folder):
    scenes(folder)
    (folder / "labels" / "3.png").unlink()


def several_sizes(folder):
    scenes(folder)
    picture(folder / "images" / "0.png", 0, (12, 16))


BAD = {
    "nothing": (lambda folder: None, "holds no folders with pictures"),
    "one class": (lambda folder: classes(folder, names=("cat",)), "holds 1 folder with pictures"),
    "pictures beside each other": (lambda folder: picture(folder / "0.png", 0), "a class is a folder"),
    "too few": (lambda folder: classes(folder, 1), "the class cat has too few pictures"),
    "a broken picture": (broken, "0.png cannot be read as a picture"),
    "another format": (webp, "0.webp is WebP"),
    "a class that nobody trains on": (other_class, "cow is a class that .*train has no pictures of"),
    "a part under two names": (two_names, "are the same part"),
    "scenes without classes": (lambda folder: scenes(folder, listed=None), "classes.txt cannot be read"),
    "no class listed": (lambda folder: scenes(folder, listed="\n"), "lists 0 classes"),
    "a class listed twice": (lambda folder: scenes(folder, listed="a\na\n"), "2 classes, 1 of them different"),
    "an image without a label": (no_label, "3.png has no label"),
    "images of several sizes": (several_sizes, "differ in size"),
    "too few scenes": (lambda folder: scenes(folder, 2), "too few scenes for three splits"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_are_a_sentence(tmp_path, case):
    make, words = BAD[case]
    make(tmp_path)
    with pytest.raises(UserError, match=words) as found:
        load_folder(tmp_path)
    assert "\n" not in str(found.value)


def test_a_label_that_is_no_class_is_named(tmp_path):
    data = load_folder(scenes(tmp_path, listed="sky\n"))
    with pytest.raises(UserError, match="holds the label id 1"):
        data.train[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (0, 4)}, "whole pixels above 0"),
        ({"most": 0}, "take 1 or more"),
        ({"scale": ((0.5,) * 3, (0.0,) * 3)}, "above 0"),
        ({"scale": ((0.5,), (0.2,))}, "each of 3 channels"),
    ],
)
def test_bad_options_are_a_sentence(tmp_path, options, words):
    with pytest.raises(UserError, match=words):
        load_folder(classes(tmp_path), **options)


def test_neither_a_folder_nor_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nowhere is no folder: name .* or one of berdiba, camvid"):
        load_folder("nowhere")


@pytest.mark.slow
def test_few_pictures_of_many_are_of_all_classes(tmp_path):
    """Also where a part was held out of the training pictures, by the same kind of order."""
    for name in "abcd":
        (tmp_path / name).mkdir()
        Image.new("RGB", (2, 2)).save(tmp_path / name / "0.png")
        for index in range(1, 800):
            shutil.copy(tmp_path / name / "0.png", tmp_path / name / f"{index}.png")
    data = load_folder(tmp_path, most=24)
    for part in (data.train, data.validation, data.test):
        assert part.labels.bincount().tolist() == [6] * 4


def test_validation_is_held_out_of_the_test_part_for_a_net_that_knows_the_training_part(tmp_path):
    for place, part in enumerate(("train", "test")):
        classes(tmp_path / part, start=10 * place)
    plain, halved = load_folder(tmp_path), load_folder(tmp_path, validation_from="test")
    assert torch.equal(halved.test.images, plain.test.images[::2])
    assert torch.equal(halved.validation.images, plain.test.images[1::2])
    assert halved.sha256 != plain.sha256
    with pytest.raises(UserError, match="held out of train or test, not of 'both'"):
        load_folder(tmp_path, validation_from="both")
