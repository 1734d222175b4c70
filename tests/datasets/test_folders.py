"""The official layouts, as tiny generated sets and as real frames, and every kind of bad input."""

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.datasets import Cityscapes

from relcomp_kit.datasets import layouts, pairs, rail_scenes
from relcomp_kit.datasets.scene_names import STANDS_FOR
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.scenes import describe, load_scenes
from relcomp_kit.errors import UserError

GENERATOR = np.random.default_rng(0)
SHAPE = (6, 8)


def write_image(path: Path, shape=SHAPE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GENERATOR.integers(0, 256, (*shape, 3), np.uint8)).save(path)


def write_ids(path: Path, ids, shape=SHAPE) -> None:
    """A label with all of the ids, in any order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(GENERATOR.permutation(np.resize(ids, shape).ravel()).reshape(shape).astype(np.uint8)).save(path)


def make_camvid(root: Path) -> None:
    for part, count in (("train", 4), ("val", 2), ("test", 3)):
        for index in range(count):
            write_image(root / "CamVid" / part / f"{part}_{index}.{'png' if index % 2 else 'jpg'}")
            write_ids(root / "CamVid" / f"{part}annot" / f"{part}_{index}.png", range(12))


def make_railsem19(root: Path) -> None:
    home = root / "RailSem19"
    for index in range(20):
        write_image(home / "jpgs" / "rs19_val" / f"rs{index:05d}.jpg")
        write_ids(home / "uint8" / "rs19_val" / f"rs{index:05d}.png", [*range(19), VOID])
    labels = [{"name": name, "color": colour} for name, colour in layouts.RAILSEM19.items()]
    (home / "rs19-config.json").write_text(json.dumps({"labels": labels}))


def make_rail8(root: Path) -> None:
    home, numbers = root / "RailSem19-rail8", [list(layouts.RAILSEM19).index(name) for name in layouts.RAIL8]
    for index in range(20):
        write_image(home / "images" / f"rs{index:05d}.jpg")
        write_ids(home / "labels" / f"rs{index:05d}.png", [*numbers, 255])


def make_cityscapes(root: Path) -> None:
    home = root / "cityscapes"
    for part, cities in (("train", ("aachen", "ulm")), ("val", ("lindau",))):
        for city in cities:
            for index in range(5):
                name = f"{city}_{index:06d}_000019"
                write_image(home / "leftImg8bit" / part / city / f"{name}_leftImg8bit.png")
                write_ids(home / "gtFine" / part / city / f"{name}_gtFine_labelIds.png", range(34))


def make_voc(root: Path) -> None:
    home = root / "VOCdevkit" / "VOC2012"
    for part, count in (("train", 10), ("val", 3)):
        names = [f"2007_{part}{index}" for index in range(count)]
        for name in names:
            write_image(home / "JPEGImages" / f"{name}.jpg")
            ids = GENERATOR.permutation(np.resize([*range(21), VOID], SHAPE).ravel()).reshape(SHAPE).astype(np.uint8)
            label = Image.fromarray(ids)
            label.putpalette(GENERATOR.integers(0, 256, 768, np.uint8).tobytes())  # VOC's labels have a colour table
            (home / "SegmentationClass").mkdir(exist_ok=True)
            label.save(home / "SegmentationClass" / f"{name}.png")
        (home / "ImageSets" / "Segmentation").mkdir(parents=True, exist_ok=True)
        (home / "ImageSets" / "Segmentation" / f"{part}.txt").write_text("\n".join(names) + "\n")
    write_image(home / "JPEGImages" / "only_for_detection.jpg")


def make_berdiba(root: Path, palette=rail_scenes.PALETTE) -> None:
    for index in range(10):
        write_image(root / "BerDiBa" / "images" / f"scene{index}.png")
        path = root / "BerDiBa" / "labels" / f"scene{index}.png"
        path.parent.mkdir(exist_ok=True)
        colours = np.array([*palette, (1, 2, 3)], np.uint8)
        Image.fromarray(colours[GENERATOR.permutation(np.resize(range(8), SHAPE).ravel()).reshape(SHAPE)]).save(path)


MAKERS = {
    "railsem19": make_railsem19,
    "railsem19-rail8": make_rail8,
    "cityscapes": make_cityscapes,
    "camvid": make_camvid,
    "voc": make_voc,
    "berdiba": make_berdiba,
}
SIZES = {  # training, validation, test
    "railsem19": (14, 2, 4),
    "railsem19-rail8": (13, 3, 4),
    "cityscapes": (9, 1, 5),
    "camvid": (4, 2, 3),
    "voc": (9, 1, 3),
    "berdiba": (7, 1, 2),
}
every_set = pytest.mark.parametrize("name", MAKERS)


@pytest.fixture
def root(tmp_path, own_cache, monkeypatch):
    """An empty folder that RELCOMP_DATA names."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("RELCOMP_DATA", str(folder))
    return folder


def splits(scenes):
    return scenes.train, scenes.validation, scenes.test


def names(split) -> list[str]:
    return [image.stem for image, _ in split.pairs]


@every_set
def test_layout_gives_the_pixels_and_classes_of_its_files(root, name):
    MAKERS[name](root)
    found = load_scenes(name)
    assert (found.name, found.source) == (name, "RELCOMP_DATA")
    assert tuple(map(len, splits(found))) == SIZES[name]
    assert len(found.classes) == len(set(found.classes)) == len(found.palette) == len(set(found.palette))
    every_name = [scene for split in splits(found) for scene in names(split)]
    assert len(set(every_name)) == len(every_name)
    filled = set(range(len(found.classes))) | (set() if name == "railsem19-rail8" else {VOID})  # there 255 is a class
    if name == "cityscapes":
        filled -= {found.classes.index(c) for c in ("tram-track", "trackbed", "rail-raised", "rail-embedded")}
    for split in splits(found):
        image_path, _ = split.pairs[0]
        image, label = pickle.loads(pickle.dumps(split))[0]  # as a worker process gets it
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.array(Image.open(image_path)))
        assert label.shape == SHAPE and set(label.unique().tolist()) == filled
    text = describe(found)
    assert str(root) not in text and "of their own size" in text and ("STAND-IN" in text) == (name in STANDS_FOR)


@every_set
def test_another_size(root, name):
    MAKERS[name](root)
    found = load_scenes(name, size=(12, 4))
    assert all(image.shape == (3, 12, 4) and label.shape == (12, 4) for image, label in found.train)
    assert "of 12x4" in describe(found)


def test_label_ids_become_classes(root):
    make_camvid(root)
    make_railsem19(root)
    make_berdiba(root)
    make_voc(root)
    for name, void in (("camvid", 11), ("railsem19", VOID), ("voc", VOID)):
        split = load_scenes(name).test
        raw = np.array(Image.open(split.pairs[0][1]))
        np.testing.assert_array_equal(split[0][1], np.where(raw == void, VOID, raw))
    split = load_scenes("berdiba").test
    raw = np.array(Image.open(split.pairs[0][1]))
    palette = np.array(rail_scenes.PALETTE, np.uint8)
    label = split[0][1].numpy()
    np.testing.assert_array_equal(palette[label[label != VOID]], raw[label != VOID])
    assert (raw[label == VOID] == (1, 2, 3)).all()


def test_cityscapes_classes_keep_their_colour_or_category_in_railsem19(root):
    make_cityscapes(root)
    split = load_scenes("cityscapes").test
    class_of = split.read_label.keywords["class_of"]
    merged = {"wall", "bridge", "tunnel", "rider"}  # into a class named after Cityscapes' category
    of_id = {entry.id: entry for entry in Cityscapes.classes}
    kept = [id for id, number in class_of.items() if number != VOID and of_id[id].name not in merged]
    assert len(kept) == 16 and len({class_of[id] for id in kept}) == 15
    palette = list(layouts.RAILSEM19.values())
    assert all(palette[class_of[id]] == of_id[id].color for id in kept)
    names_of = list(layouts.RAILSEM19)
    assert all(names_of[class_of[id]] == entry.category for id, entry in of_id.items() if entry.name in merged)
    raw = np.array(Image.open(split.pairs[0][1]))
    np.testing.assert_array_equal(split[0][1], np.vectorize(class_of.get)(raw))


def test_vocs_colours_are_the_known_ones(root):
    make_voc(root)
    palette = load_scenes("voc").palette
    assert palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert palette[15] == (192, 128, 128) and palette[20] == (0, 64, 128)


def test_berdiba_with_its_own_colours(root):
    palette = [(10 * index, 7, 9) for index in range(7)]
    make_berdiba(root, palette)
    with pytest.raises(UserError, match=r"labels/scene\d.png has no pixel in the colour of a class"):
        load_scenes("berdiba").train[0]
    with_the_kits_colours = load_scenes("berdiba").sha256
    given = dict(zip(rail_scenes.CLASSES, palette))
    path = root / "BerDiBa" / "colours.json"
    path.write_text(json.dumps(given))
    found = load_scenes("berdiba")
    assert found.sha256 != with_the_kits_colours
    assert list(found.palette) == palette and set(found.train[0][1].unique().tolist()) == {*range(7), VOID}
    for bad in ("[]", "{", "7", json.dumps(given | {"sky": [1, 2]}), json.dumps(given | {"sky": [1, 2, 300]})):
        path.write_text(bad)
        with pytest.raises(UserError, match=r"colours.json is not of the form.*take it away"):
            load_scenes("berdiba")


@every_set
def test_missing_set_names_both_places_the_layout_and_the_origin(root, own_cache, name, monkeypatch):
    layout = layouts.LAYOUTS[name]
    with pytest.raises(UserError) as caught:
        load_scenes(name)
    for part in (str(root / layout.folder), str(own_cache / "data" / layout.folder), layout.origin, layout.content):
        assert part in str(caught.value)
    monkeypatch.delenv("RELCOMP_DATA")
    with pytest.raises(UserError, match=rf"RELCOMP_DATA/{layout.folder} \(RELCOMP_DATA is not set\)"):
        load_scenes(name)


def test_cache_comes_after_relcomp_data(root, own_cache):
    make_camvid(own_cache / "data")
    assert load_scenes("camvid").source == "cache"
    make_camvid(root)
    assert load_scenes("camvid").source == "RELCOMP_DATA"


@every_set
def test_empty_folder_of_a_set_names_what_is_missing(root, name):
    (root / layouts.LAYOUTS[name].folder).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{layouts.LAYOUTS[name].folder}/.*: put the "):
        load_scenes(name)


def test_hash_is_over_names_sizes_and_split(root, monkeypatch):
    make_railsem19(root)
    before = load_scenes("railsem19").sha256
    label = root / "RailSem19" / "uint8" / "rs19_val" / "rs00003.png"
    moved = shutil.move(root, root.parent / "elsewhere")
    monkeypatch.setenv("RELCOMP_DATA", str(moved))
    assert load_scenes("railsem19", size=(3, 4)).sha256 == before
    label = moved / label.relative_to(root)
    content = label.read_bytes()
    label.write_bytes(content + b"\0")
    assert load_scenes("railsem19").sha256 != before
    label.write_bytes(content)
    assert load_scenes("railsem19").sha256 == before
    monkeypatch.setattr(layouts, "TEST_SHARE", 0.5)
    assert load_scenes("railsem19").sha256 != before


@pytest.mark.slow
@given(st.sets(st.text("abc01", min_size=1), min_size=3, max_size=60), st.sampled_from([0.1, 0.2, 0.5]), st.randoms())
def test_held_out_scenes_are_decided_by_their_names_alone(stems, share, random):
    listed = [(Path(f"/one/{stem}.jpg"), Path(f"/one/{stem}.png")) for stem in sorted(stems)]
    rest, held_out = pairs.hold_out(listed, share)
    assert sorted(rest + held_out) == listed and not set(rest) & set(held_out)
    assert rest == sorted(rest) and held_out == sorted(held_out)
    assert len(held_out) == max(1, round(share * len(listed)))
    shuffled = random.sample(listed, len(listed))
    elsewhere = [(Path("/two") / image.name, Path("/two") / label.name) for image, label in shuffled]
    assert {image.stem for image, _ in pairs.hold_out(elsewhere, share)[1]} == {image.stem for image, _ in held_out}


def test_split_is_the_same_on_every_machine(root):
    make_railsem19(root)
    found = load_scenes("railsem19")
    assert names(found.test) == ["rs00004", "rs00006", "rs00015", "rs00016"]  # the first by sha256 of the name
    assert names(found.validation) == ["rs00002", "rs00009"]  # the next


# Bad input: what is broken in a set, and the words of the sentence that says so.


def remove(path):
    path.unlink()


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def page(path):
    path.write_text("<html>log in</html>")


def empty(path):
    path.write_bytes(b"")


def in_colours(path):
    write_image(path)


def smaller(path):
    write_ids(path, [0, 1], (6, 7))


IMAGES = {
    "railsem19": "RailSem19/jpgs/rs19_val/rs00000.jpg",
    "railsem19-rail8": "RailSem19-rail8/images/rs00000.jpg",
    "cityscapes": "cityscapes/leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png",
    "camvid": "CamVid/train/train_1.png",
    "voc": "VOCdevkit/VOC2012/JPEGImages/2007_train0.jpg",
    "berdiba": "BerDiBa/images/scene0.png",
}
LABELS = {
    "railsem19": "RailSem19/uint8/rs19_val/rs00000.png",
    "railsem19-rail8": "RailSem19-rail8/labels/rs00000.png",
    "cityscapes": "cityscapes/gtFine/train/ulm/ulm_000000_000019_gtFine_labelIds.png",
    "camvid": "CamVid/trainannot/train_1.png",
    "voc": "VOCdevkit/VOC2012/SegmentationClass/2007_train0.png",
    "berdiba": "BerDiBa/labels/scene0.png",
}


def use_all(name):
    for split in splits(load_scenes(name)):
        list(split)


@every_set
def test_image_without_label(root, name):
    MAKERS[name](root)
    remove(root / LABELS[name])
    with pytest.raises(UserError, match=rf"{IMAGES[name]} has no label: put it at .*{LABELS[name]}, or take"):
        load_scenes(name)


@every_set
def test_label_without_image(root, name):
    MAKERS[name](root)
    remove(root / IMAGES[name])
    named = IMAGES[name] if name == "voc" else LABELS[name]  # VOC lists its images
    with pytest.raises(UserError, match=rf"{named} (has no image|is missing).*put "):
        load_scenes(name)


@every_set
@pytest.mark.parametrize("damage", [halve, page, empty])
@pytest.mark.parametrize("files", [IMAGES, LABELS], ids=["image", "label"])
def test_no_picture(root, name, files, damage):
    MAKERS[name](root)
    damage(root / files[name])
    with pytest.raises(UserError, match=rf"{files[name]} is no picture that can be read: put the set's original"):
        use_all(name)


@every_set
def test_label_of_another_size(root, name):
    MAKERS[name](root)
    Image.open(root / LABELS[name]).crop((0, 0, 7, 6)).save(root / LABELS[name])
    with pytest.raises(
        UserError, match=rf"{LABELS[name]} has 6x7 pixels and its image .* has 6x8, both turned .*: put"
    ):
        use_all(name)


@pytest.mark.parametrize("name", ["railsem19", "railsem19-rail8", "cityscapes", "camvid", "voc"])
def test_label_id_that_is_no_class(root, name):
    MAKERS[name](root)
    write_ids(root / LABELS[name], [3, 99])
    known = {"railsem19": "0 to 18 and 255", "railsem19-rail8": "3, 6, 7, 11, 12, 16, 17, 18 and 255"}
    known |= {"cityscapes": "0 to 33", "camvid": "0 to 11", "voc": "0 to 20 and 255"}
    with pytest.raises(UserError, match=rf"{LABELS[name]} holds the label id 99, .* \({known[name]}\): put"):
        use_all(name)


def test_label_in_colours_where_ids_are_expected(root):
    make_camvid(root)
    in_colours(root / LABELS["camvid"])
    with pytest.raises(UserError, match=rf"{LABELS['camvid']} is no map of label ids \(its mode is RGB"):
        use_all("camvid")


def test_split_without_images(root):
    make_camvid(root)
    for file in (root / "CamVid" / "val").iterdir():
        remove(file)
    with pytest.raises(UserError, match=r"CamVid/val holds no .png or .jpg or .jpeg files: put"):
        load_scenes("camvid")
    make_voc(root)
    (root / "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt").write_text("")
    with pytest.raises(UserError, match=r"val.txt names no images: put"):
        load_scenes("voc")


def test_too_few_scenes_for_three_splits(root):
    make_berdiba(root)
    for index in range(2, 10):
        remove(root / f"BerDiBa/images/scene{index}.png")
        remove(root / f"BerDiBa/labels/scene{index}.png")
    with pytest.raises(UserError, match=r"BerDiBa/images holds too few scenes for three splits"):
        load_scenes("berdiba")


def test_two_images_of_one_name(root):
    make_camvid(root)
    write_image(root / "CamVid/train/train_1.jpg")
    with pytest.raises(UserError, match=r"train_1.png and train_1.jpg have the same name: keep one"):
        load_scenes("camvid")


def test_what_is_no_picture_by_name_is_passed_over(root):
    make_camvid(root)
    (root / "CamVid/train/Thumbs.db").write_text("")
    (root / "CamVid/train/._train_0.jpg").write_text("")
    assert len(load_scenes("camvid").train) == 4


def test_strange_file_among_cityscapes_cities(root):
    make_cityscapes(root)
    (root / "cityscapes/leftImg8bit/train/notes.txt").write_text("")
    with pytest.raises(UserError, match=r"leftImg8bit/train/notes.txt is not the folder of a city.*take it away"):
        load_scenes("cityscapes")


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"labels": 3}', '{"labels": [{"name": "road"}]}', '{"labels": [{"name": 1, "color": "x"}]}'],
)
def test_railsem19_with_a_broken_list_of_classes(root, content):
    make_railsem19(root)
    (root / "RailSem19/rs19-config.json").write_text(content)
    with pytest.raises(UserError, match=r"rs19-config.json cannot be read as RailSem19's list of classes: put"):
        load_scenes("railsem19")


def test_railsem19_with_other_classes(root):
    make_railsem19(root)
    (root / "RailSem19/rs19-config.json").write_text('{"labels": [{"name": "road", "color": [1, 2, 3]}]}')
    with pytest.raises(UserError, match=r"rs19-config.json does not list RailSem19's 19 classes"):
        load_scenes("railsem19")


# Real frames.


@pytest.fixture(scope="module")
def railsem19():
    chosen = os.environ.get("RELCOMP_DATA")
    if not chosen or not (Path(chosen) / "RailSem19").is_dir():
        pytest.skip("no RailSem19 under RELCOMP_DATA")
    return load_scenes("railsem19", size=(135, 240))


def test_real_railsem19_has_the_known_classes_and_colours(railsem19):
    assert dict(zip(railsem19.classes, railsem19.palette)) == layouts.RAILSEM19
    assert all(re.fullmatch(r"rs\d{5}", name) for split in splits(railsem19) for name in names(split))


def test_real_railsem19_frames_look_like_railways(railsem19):
    raised, embedded, sky = (railsem19.classes.index(name) for name in ("rail-raised", "rail-embedded", "sky"))
    for split in splits(railsem19):
        assert len(split) > 0
        for image, label in split:
            rows, rails = np.indices(label.shape)[0], (label == raised) | (label == embedded)
            assert image.shape == (3, 135, 240) and 0 < rails.float().mean() < 0.2
            assert (label == VOID).float().mean() < 0.1
            if (label == sky).any():
                assert rows[label == sky].mean() < rows[rails].mean()


def test_real_frames_with_rail_classes_alone_look_like_railways():
    """Background in every frame, and rails in the lower half."""
    chosen = os.environ.get("RELCOMP_DATA")
    if not chosen or not (Path(chosen) / "RailSem19-rail8").is_dir():
        pytest.skip("no RailSem19-rail8 under RELCOMP_DATA")
    found = load_scenes("railsem19-rail8", size=(180, 320))
    assert tuple(map(len, splits(found))) == (37, 9, 12)
    assert found.classes == ("background", *layouts.RAIL8)
    rails = [found.classes.index(name) for name in ("rail-raised", "rail-embedded")]
    for split in splits(found):
        for _, label in split:
            assert label.max() < len(found.classes) and (label == 0).float().mean() > 0.3
        rows = [np.indices(label.shape)[0][np.isin(label, rails)] for _, label in split]
        assert np.concatenate(rows).mean() > 90, "rails lie in the lower half"
