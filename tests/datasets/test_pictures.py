"""Pictures that people have: every kind is read right, or refused in a sentence, by itself and in a set of scenes."""

import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relcomp_kit.cli import app
from relcomp_kit.datasets import pairs
from relcomp_kit.demonstrator import uploads
from relcomp_kit.errors import UserError

ORIENTATION = 0x0112
# By EXIF 2.32: where the first row and the first column of the file lie in the picture as people see it.
SIDES = {1: "top left", 2: "top right", 3: "bottom right", 4: "bottom left"} | {
    5: "left top",
    6: "right top",
    7: "right bottom",
    8: "left bottom",
}
UPRIGHT = np.kron(np.array([[0, 50, 100], [150, 200, 250]], np.uint8), np.ones((16, 16), np.uint8))


def stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The rows that a file of this orientation holds of a picture (H, W)."""
    sides = SIDES[orientation].split()
    pixels = pixels[::-1] if "bottom" in sides else pixels
    pixels = pixels[:, ::-1] if "right" in sides else pixels
    return pixels.T if sides[0] in ("left", "right") else pixels


def file(picture: Image.Image, kind: str = "PNG", orientation: int | None = None, **more) -> bytes:
    out = io.BytesIO()
    if orientation:
        more["exif"] = Image.Exif()
        more["exif"][ORIENTATION] = orientation
    picture.save(out, kind, **more)
    return out.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(folder: Path, content: bytes, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    """The image (H, W, 3) of a scene whose picture has this content, and this width and height."""
    path = write(folder / "picture.png", content)
    label = write(folder / "label.png", file(Image.new("L", size)))
    image, _ = pairs.Pairs([(path, label)], lambda path: pairs.read_ids(path, {0: 0}))[0]
    return image.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("orientation", SIDES)
def test_image_and_label_are_turned_upright_each_by_its_own_exif(tmp_path, orientation):
    photo = file(Image.fromarray(stored(UPRIGHT, orientation)), "JPEG", orientation, quality=95)
    image_path = write(tmp_path / "photo.jpg", photo)
    ids = UPRIGHT // 50
    labels = {
        "as seen": file(Image.fromarray(ids)),
        "as stored": file(Image.fromarray(stored(ids, orientation)), "PNG", orientation),
    }
    for content in labels.values():
        label_path = write(tmp_path / "label.png", content)
        split = pairs.Pairs([(image_path, label_path)], lambda path: pairs.read_ids(path, {n: n for n in range(6)}))
        image, label = split[0]
        np.testing.assert_array_equal(label, ids)
        assert np.abs(image[0].int().numpy() - UPRIGHT).max() < 12
    assert np.abs(uploads.decode(photo, "a")[0].int().numpy() - UPRIGHT).max() < 12


def test_a_label_drawn_over_the_stored_rows_is_refused_with_the_reason(tmp_path):
    image = write(tmp_path / "photo.jpg", file(Image.fromarray(stored(UPRIGHT, 6)), "JPEG", 6))
    label = write(tmp_path / "label.png", file(Image.fromarray(stored(UPRIGHT // 50, 6))))
    with pytest.raises(UserError, match=r"label.png has 48x32 pixels .* 32x48, both turned as their EXIF says: put"):
        pairs.Pairs([(image, label)], lambda path: pairs.read_ids(path, {n: n for n in range(6)}))[0]


def test_damaged_exif_leaves_a_picture_as_it_is(tmp_path, recwarn):
    for exif in (b"Exif\0\0", b"Exif\0\0garbage" * 9, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12"):
        image = read(tmp_path, file(Image.fromarray(UPRIGHT), "JPEG", exif=exif, quality=95), (48, 32))
        assert np.abs(image[..., 0].astype(int) - UPRIGHT).max() < 12
    assert not list(recwarn)


def coloured(mode: str, pixels, **more) -> bytes:
    return file(Image.new(mode, (20, 30), pixels), **more)


def palette_with_clear_entry() -> bytes:
    picture = Image.new("P", (20, 30), 1)
    picture.putpalette([9, 9, 9, 10, 20, 30])
    picture.putpixel((0, 0), 0)
    return file(picture, transparency=0)


def animated(kind: str) -> bytes:
    first, second = (Image.new("RGB", (20, 30), colour) for colour in ((10, 20, 30), "white"))
    return file(first, kind, save_all=True, append_images=[second], duration=100)


def sixteen_bits() -> bytes:
    return file(Image.fromarray(np.full((30, 20), 0x1234, np.uint16)))


READ = {
    "RGB": (coloured("RGB", (10, 20, 30)), (10, 20, 30)),
    "grey": (coloured("L", 77), (77, 77, 77)),
    "grey of 16 bits": (sixteen_bits(), (0x12, 0x12, 0x12)),
    "1 bit": (coloured("1", 1), (255, 255, 255)),
    "opaque": (coloured("RGBA", (10, 20, 30, 255)), (10, 20, 30)),
    "clear": (coloured("RGBA", (10, 20, 30, 0)), (255, 255, 255)),
    "half clear": (coloured("RGBA", (0, 0, 0, 127)), (128, 128, 128)),
    "half clear grey": (coloured("LA", (0, 127)), (128, 128, 128)),
    "palette": (palette_with_clear_entry(), (10, 20, 30)),
    "animated PNG": (animated("PNG"), (10, 20, 30)),
    "several pictures": (animated("MPO"), (10, 20, 30)),
    "ink": (file(Image.new("RGB", (20, 30), (10, 20, 30)).convert("CMYK"), "JPEG", quality=100), (10, 20, 30)),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(tmp_path, kind):
    content, colour = READ[kind]
    tolerance = 4 if kind in ("several pictures", "ink") else 0  # JPEG
    image = read(tmp_path, content)
    assert image.shape == (30, 20, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image[15, 10].astype(int), colour, atol=tolerance)
    upload = uploads.decode(content, "a").permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(upload, image)


def test_a_clear_entry_of_a_palette_is_white(tmp_path):
    assert read(tmp_path, palette_with_clear_entry())[0, 0].tolist() == [255, 255, 255]


def test_ink_is_inverted_as_adobe_has_it():
    assert b"Adobe" in READ["ink"][0], "the file says so, as all of its kind"


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path):
    ramp = np.array([[0, 255, 256, 0x7FFF, 0x8000, 0xFFFF]], np.uint16)
    assert read(tmp_path, file(Image.fromarray(ramp)), (6, 1))[0, :, 0].tolist() == [0, 0, 1, 0x7F, 0x80, 255]


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1)])
def test_one_pixel_wide(tmp_path, size):
    assert (read(tmp_path, file(Image.new("RGB", size, (1, 2, 3))), size) == (1, 2, 3)).all()
    with pytest.raises(UserError, match="16 at least each way"):
        uploads.decode(file(Image.new("RGB", size)), "a")


@pytest.mark.slow
def test_thirty_megabytes_are_read_from_a_set_and_too_large_to_upload(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3200, 3200, 3), np.uint8)
    content = file(Image.fromarray(pixels), compress_level=0)
    assert len(content) > 30 * 10**6
    np.testing.assert_array_equal(read(tmp_path, content, (3200, 3200)), pixels)
    with pytest.raises(UserError, match="is too large: choose an image of up to 10 MB"):
        uploads.decode(content, "a")


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kB that announces so many pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6))) + chunk(b"IEND", b"")
    )


REFUSED = {  # content, words of the sentence about a file of a set, words about an upload
    "GIF": (animated("GIF"), "is GIF: convert", "is GIF, neither PNG nor JPEG"),
    "WebP": (animated("WEBP"), "is WebP: convert", "is WebP, neither"),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(99), "is HEIC: convert", "is HEIC, neither"),
    "AVIF": (b"\0\0\0\x18ftypavif" + bytes(99), "is AVIF: convert", "is AVIF, neither"),
    "TIFF": (file(Image.new("L", (20, 30)), "TIFF"), "is TIFF: convert", "is TIFF, neither"),
    "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "is PostScript: convert", "is PostScript, neither"),
    "text": (b"not a picture\n" * 9, "is no picture that can be read: put", "neither PNG nor JPEG"),
    "nothing": (b"", "is no picture that can be read: put", "is empty"),
    "bomb": (bomb(20_000, 20_000), "has more than 100,000,000 pixels: make it smaller", "megapixels"),
    "large": (bomb(12_000, 10_000), "has 12,000x10,000 pixels, more than 100,000,000: make", "megapixels"),
    "cut short": (file(Image.fromarray(UPRIGHT), "JPEG")[:-200], "is no picture that can be read: put", "cut short"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(tmp_path, recwarn, kind):
    content, of_a_set, of_an_upload = REFUSED[kind]
    with pytest.raises(UserError, match=f"^{tmp_path / 'picture.png'} {of_a_set}") as found:
        read(tmp_path, content)
    assert str(found.value).isprintable()
    with pytest.raises(UserError, match=of_an_upload):
        uploads.decode(content, "a")
    assert not list(recwarn)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "1", "LA"])
def test_a_map_of_ids_has_one_channel_of_8_bits(tmp_path, mode):
    path = write(tmp_path / "label.png", coloured(mode, 1))
    with pytest.raises(UserError, match="is no map of label ids"):
        pairs.read_ids(path, {0: 0, 1: 1})


def test_a_map_of_ids_of_16_bits_is_refused_and_a_palette_is_numbers(tmp_path):
    with pytest.raises(UserError, match="is no map of label ids"):
        pairs.read_ids(write(tmp_path / "label.png", sixteen_bits()), {0: 0})
    path = write(tmp_path / "label.png", palette_with_clear_entry())
    assert np.unique(pairs.read_ids(path, {0: 5, 1: 6})).tolist() == [5, 6]


def make_camvid(root: Path, content: bytes, count: int = 2) -> None:
    for part in ("train", "val", "test"):
        for name, one in ((part, content), (f"{part}annot", file(Image.new("L", (20, 30), 3)))):
            (root / "CamVid" / name).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                write(root / "CamVid" / name / f"{index}.png", one)


def train(monkeypatch, tmp_path) -> int:
    monkeypatch.setenv("RELCOMP_DATA", str(tmp_path))
    options = ("--dataset", "camvid", "--profile", "quick", "--size", "30x20", "--batch", "2", "--steps", "1")
    monkeypatch.setattr(sys, "argv", ["relcomp", "train", "compact", *options, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        app.main()
    return stop.value.code or 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_training_refuses_a_picture_in_a_sentence(tmp_path, own_cache, monkeypatch, capsys, kind):
    make_camvid(tmp_path, REFUSED[kind][0])
    assert train(monkeypatch, tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"relcomp: {tmp_path}/CamVid/train/") and REFUSED[kind][1].split(":")[0] in line


@pytest.mark.slow
def test_a_training_takes_pictures_of_every_kind(tmp_path, own_cache, monkeypatch, capsys):
    make_camvid(tmp_path, coloured("RGB", (1, 2, 3)), len(READ))
    for index, (content, _) in enumerate(READ.values()):
        write(tmp_path / "CamVid" / "train" / f"{index}.png", content)
    assert train(monkeypatch, tmp_path) == 0, capsys.readouterr().err
