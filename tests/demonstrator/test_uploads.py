"""Uploaded images: what is accepted, what is done to it, and that nothing else gets in or out but a sentence."""

import io
import pickle
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from relcomp_kit.demonstrator import uploads
from relcomp_kit.errors import UserError


def file(picture: Image.Image, kind: str = "PNG", **more) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def noise(height=40, width=60, mode="RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def png(head: bytes, rows: bytes) -> bytes:
    """A PNG file of a header and of rows."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few kB that announces so many pixels."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), bytes(10_000_000))


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "RGBA", "LA", "CMYK"])
def test_modes_become_rgb(mode):
    picture = noise(mode="RGBA").convert(mode) if mode in ("RGBA", "LA") else noise(mode="RGB").convert(mode)
    image = uploads.decode(file(picture, "JPEG" if mode == "CMYK" else "PNG"), "a")
    assert image.shape == (3, 40, 60) and image.dtype == torch.uint8
    if mode in ("RGB", "L", "P", "1"):
        np.testing.assert_array_equal(image.permute(1, 2, 0), np.array(picture.convert("RGB")))


def test_what_is_transparent_is_white():
    clear = Image.new("RGBA", (20, 20), (10, 20, 30, 0))
    assert (uploads.decode(file(clear), "a") == 255).all()


def test_a_camera_held_upright_gives_an_upright_image():
    picture = Image.new("RGB", (60, 40), "white")
    picture.paste("red", (0, 0, 10, 10))
    turned = picture.getexif()
    turned[0x0112] = 6  # the camera was turned by 90 degrees: what is at the upper left belongs to the upper right
    image = uploads.decode(file(picture, "JPEG", exif=turned, quality=95), "a")
    assert image.shape == (3, 60, 40)
    assert image[0, 2, -3] > 200 and image[1, 2, -3] < 80 and image[1, 2, 3] > 200


@pytest.mark.slow
def test_a_large_photograph_is_turned_too():
    picture = Image.new("RGB", (4000, 3000), "white")
    picture.paste("red", (0, 0, 600, 600))
    turned = picture.getexif()
    turned[0x0112] = 6
    image = uploads.decode(file(picture, "JPEG", exif=turned, quality=95), "a")
    assert image.shape == (3, 1600, 1200)
    assert image[0, 20, -20] > 200 and image[1, 20, -20] < 80 and image[1, 20, 20] > 200


@pytest.mark.parametrize("colour", ["red", "green", "navy", "white", "black"])
def test_colours_of_printers_and_palettes_are_those_of_the_picture(colour):
    plain = Image.new("RGB", (40, 30), colour)
    wanted = np.array(plain, int).transpose(2, 0, 1)
    for picture, kind in ((plain.convert("CMYK"), "JPEG"), (plain.quantize(), "PNG"), (plain.convert("RGBA"), "PNG")):
        image = uploads.decode(file(picture, kind, **({"quality": 95} if kind == "JPEG" else {})), "a")
        assert np.abs(image.numpy().astype(int) - wanted).max() <= 6, picture.mode


def test_sixteen_bits_a_colour_become_eight():
    pixels = np.full((30, 40, 3), (65535, 32896, 0), ">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    image = uploads.decode(png(struct.pack(">IIBBBBB", 40, 30, 16, 2, 0, 0, 0), rows), "a")
    assert image.shape == (3, 30, 40) and image[:, 0, 0].tolist() == [255, 128, 0]


@pytest.mark.slow
def test_large_photographs_are_made_smaller():
    image = uploads.decode(file(Image.new("RGB", (5000, 3900), "green"), "JPEG"), "a")
    assert max(image.shape) == 1600 and abs(image.shape[1] / image.shape[2] - 0.78) < 0.01


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "neither PNG nor JPEG"),
        (b"GIF89a" + bytes(100), "neither PNG nor JPEG"),
        (b"PK\x03\x04" + bytes(100), "neither PNG nor JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "neither PNG nor JPEG"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "cannot be decoded"),
        (b"\xff\xd8\xff" + bytes(1000), "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n" + bytes(10 * 10**6), "MB"),
        (b"\xff\xd8\xff" + bytes(30 * 10**6), "MB"),
        (b"a text that is called a picture", "neither PNG nor JPEG"),
        (pickle.dumps({"weights": [1.0]}), "neither PNG nor JPEG"),
        (file(noise(200, 1)), "16 at least"),
        (bomb(20_000, 20_000), "megapixels"),
        (bomb(30_000, 30_000), "megapixels"),
        (bomb(65_000, 300_000), "megapixels"),
        (bomb(2**31 - 1, 2**31 - 1), "megapixels|cannot be decoded"),
        (file(noise(8, 200)), "16 at least"),
        (file(noise())[:-2000], "cannot be decoded"),
        (file(noise(), "JPEG")[:500], "cannot be decoded"),
        (file(noise(), "TIFF"), "neither PNG nor JPEG"),
    ],
)
def test_all_else_is_refused_in_a_sentence(data, part):
    with pytest.raises(UserError, match=part) as error, warnings.catch_warnings():
        warnings.simplefilter("error")
        uploads.decode(data, "../../etc/\x1b[31mphoto.png")
    assert str(error.value).startswith("[31mphoto.png ")
    assert str(error.value).isprintable()


@pytest.mark.slow
@given(st.data())
def test_a_damaged_file_is_an_image_or_refused(data):
    original = data.draw(st.sampled_from([file(noise()), file(noise(), "JPEG")]))
    place = data.draw(st.integers(0, len(original) - 1))
    broken = original[:place] + data.draw(st.binary(max_size=8)) + original[place + data.draw(st.integers(0, 8)) :]
    try:
        image = uploads.decode(broken, "a")
    except UserError:
        return
    assert image.dtype == torch.uint8 and image.shape[0] == 3 and max(image.shape) <= 1600


@pytest.mark.slow
@given(st.integers(16, 300), st.integers(16, 300))
def test_the_middle_is_cut_out(height, width):
    image = uploads.fit(torch.zeros(3, height, width, dtype=torch.uint8), (96, 160))
    assert image.shape == (3, 96, 160)


def test_the_aspect_is_kept():
    image = torch.zeros(3, 200, 200, dtype=torch.uint8)
    image[:, 80:120, 80:120] = 255  # a square in the middle stays one
    bright = uploads.fit(image, (96, 160))[0] > 127
    assert abs(int(bright.any(0).sum()) - int(bright.any(1).sum())) <= 1


@pytest.fixture
def nothing_kept(monkeypatch):
    for store in ("_kept", "_given"):
        monkeypatch.setattr(uploads, store, type(getattr(uploads, store))())


def test_names_stand_for_one_image_each(nothing_kept):
    first, second = file(noise()), file(noise(50))
    assert uploads.keep(first, "C:\\photos\\a b.png") == "a b.png"
    assert uploads.keep(second, "a b.png") == "a b.png (2)"
    assert uploads.keep(first, "a b.png") == "a b.png"
    assert uploads.names() == ["a b.png (2)", "a b.png"]
    assert uploads.get("a b.png (2)").shape == (3, 50, 60)
    with pytest.raises(UserError, match="only while this page is open"):
        uploads.get("other.png")


def test_only_some_images_are_kept(nothing_kept):
    for number in range(uploads.MOST_IMAGES + 3):
        uploads.keep(file(Image.new("RGB", (20, 20), (number, 0, 0))), f"{number}.png")
    assert uploads.names() == [f"{number}.png" for number in range(3, uploads.MOST_IMAGES + 3)]
    assert uploads.keep(file(Image.new("RGB", (20, 20), "white")), "0.png") == "0.png (2)"
