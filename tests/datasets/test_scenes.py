"""Sets of scenes by name: the kit's own, real CamVid, and what is counted and remembered of them."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision import tv_tensors

from relcomp_kit.datasets import scenes
from relcomp_kit.datasets.scene_names import DRAWN_SIZE, SCENE_NAMES
from relcomp_kit.errors import UserError


class Drawn(torch.utils.data.Dataset):
    """Eight scenes of 4x6 with random classes 0 to 2 and void; counts how often each is asked for."""

    def __init__(self):
        self.asked = [0] * 8

    def __len__(self):
        return 8

    def __getitem__(self, index):
        self.asked[index] += 1
        generator = torch.Generator().manual_seed(index)
        label = torch.tensor([0, 1, 2, scenes.VOID], dtype=torch.uint8)[
            torch.randint(0, 4, (4, 6), generator=generator)
        ]
        image = torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8, generator=generator)
        return tv_tensors.Image(image), tv_tensors.Mask(label)


@pytest.fixture(scope="module")
def camvid():
    root = os.environ.get("RELCOMP_DATA")
    if not root or not (Path(root) / "CamVid").is_dir():
        pytest.skip("no CamVid under RELCOMP_DATA")
    return scenes.load_scenes("camvid")


def test_rail_scenes_are_always_there_and_stand_in_loudly():
    found = scenes.load_scenes()
    assert [len(split) for split in (found.train, found.validation, found.test)] == [3600, 400, 1000]
    image, label = found.test[0]
    assert isinstance(image, tv_tensors.Image) and isinstance(label, tv_tensors.Mask)
    assert image.shape == (3, 96, 160) and label.shape == (96, 160) and image.dtype == label.dtype == torch.uint8
    assert len(found.classes) == len(found.palette) == 7
    assert set(label.unique().tolist()) <= {*range(7), scenes.VOID}
    text = scenes.describe(found)
    for part in ("3,600 training", "of 96x160", "7 classes", "STAND-IN for the BerDiBa synthetic set"):
        assert part in text
    assert "\n" not in text
    larger = scenes.load_scenes("rail-scenes", size=(48, 64))
    assert larger.train[0][1].shape == (48, 64) and larger.sha256 == found.sha256


@pytest.mark.parametrize("name", DRAWN_SIZE)
def test_what_is_drawn_is_the_same_at_every_size(name):
    found, same = scenes.load_scenes(name), scenes.load_scenes("rail-scenes", DRAWN_SIZE[name])
    assert found.name == name and found.sha256 == same.sha256 and name in scenes.describe(found)
    assert "STAND-IN for the BerDiBa" in scenes.describe(found)
    for split in ("train", "validation", "test"):
        image, labels = getattr(found, split)[3]
        assert labels.shape == image.shape[1:] == DRAWN_SIZE[name]
        assert torch.equal(image, getattr(same, split)[3][0])


def test_unknown_name_lists_the_names():
    with pytest.raises(UserError, match=rf"'kitti'.*{', '.join(SCENE_NAMES)}"):
        scenes.load_scenes("kitti")


@pytest.mark.parametrize("size", [(0, 5), (5,), (5, 5, 5), (4.0, 4), (-3, 4)])
def test_a_size_is_two_whole_numbers(size):
    with pytest.raises(UserError, match=r"\(height, width\) in whole pixels"):
        scenes.load_scenes("rail-scenes", size)


def test_remembered_scenes_are_decoded_once():
    drawn = Drawn()
    kept = scenes.remember(drawn)
    for _ in range(3):
        for index, (image, label) in enumerate(kept):
            assert torch.equal(image, Drawn()[index][0]) and torch.equal(label, Drawn()[index][1])
    assert len(kept) == 8 and drawn.asked == [1] * 8
    with pytest.raises(IndexError):
        kept[8]


def test_what_is_remembered_stays_below_the_limit():
    drawn = Drawn()
    kept = scenes.remember(drawn, limit=3 * 4 * (4 * 6) + 1)  # three scenes of 4 bytes a pixel
    for _ in range(5):
        list(kept)
    assert drawn.asked == [1] * 3 + [5] * 5


def test_loader_makes_batches_of_plain_tensors():
    images, labels = next(iter(DataLoader(scenes.remember(Drawn()), batch_size=3)))
    assert images.shape == (3, 3, 4, 6) and labels.shape == (3, 4, 6) and labels.dtype == torch.uint8


def test_class_frequencies_agree_with_counting():
    labels = np.stack([label.numpy() for _, label in Drawn()])
    shares, void = scenes.class_frequencies(Drawn(), ["a", "b", "c", "never"])
    assert list(shares) == ["a", "b", "c", "never"] and shares["never"] == 0
    assert void == pytest.approx((labels == scenes.VOID).mean())
    for index, name in enumerate("abc"):
        assert shares[name] == pytest.approx((labels == index).sum() / (labels != scenes.VOID).sum())
    assert sum(shares.values()) == pytest.approx(1)


def test_limited_count_spreads_over_the_split():
    drawn = Drawn()
    scenes.class_frequencies(drawn, "abc", limit=3)
    assert drawn.asked == [1, 0, 0, 0, 1, 0, 0, 1]


def test_nothing_but_void_is_an_error():
    image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    with pytest.raises(UserError, match=r"none of the 1 scenes"):
        scenes.class_frequencies([(image, torch.full((2, 2), scenes.VOID))], "abc")


def test_real_camvid_has_its_official_splits(camvid):
    assert [len(split) for split in (camvid.train, camvid.validation, camvid.test)] == [367, 101, 233]
    assert camvid.source == "RELCOMP_DATA" and "STAND-IN for RailSem19" in scenes.describe(camvid)
    names = [pair[0].stem for split in (camvid.train, camvid.validation, camvid.test) for pair in split.pairs]
    assert len(set(names)) == len(names)


def test_real_camvid_holds_all_classes_and_looks_like_streets(camvid):
    shares, void = scenes.class_frequencies(camvid.train, camvid.classes, limit=20)
    assert all(share > 0 for share in shares.values())
    assert shares["road"] > 0.2 and 0 < void < 0.1
    image, label = camvid.train[0]
    assert image.shape == (3, 360, 480) and label.shape == (360, 480)
    grey = image.float().mean(0)
    assert grey[label == camvid.classes.index("sky")].mean() > grey[label == camvid.classes.index("road")].mean()


def test_real_camvid_at_another_size(camvid):
    small = scenes.load_scenes("camvid", size=(90, 120))
    image, label = small.test[3]
    assert image.shape == (3, 90, 120) and label.shape == (90, 120)
    assert set(label.unique().tolist()) <= set(camvid.test[3][1].unique().tolist())
    assert small.sha256 == camvid.sha256
