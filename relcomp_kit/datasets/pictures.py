"""Users' pictures: recognised by their first bytes, turned upright, converted to 8-bit RGB."""

import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from relcomp_kit.errors import UserError

FORMATS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}  # how a file begins that is read
BACKGROUND = "white"  # of what is transparent
MOST_PIXELS = 100 * 10**6  # of a picture in a set: 0.3 GB in memory
LONGEST_START = 32  # bytes of a file that tell its format
BROKEN = Exception  # Pillow's decoders raise types of many kinds on damaged files


def format_of(start: bytes) -> str | None:
    """Return "PNG" or "JPEG" by the first bytes of a file, None for any other format.

    Other formats are refused before they are decoded, because some of them, such as EPS, would start other programs.

    Parameters
    ----------
    start : bytes
        At least `LONGEST_START` of them, if the file has so many.
    """
    return next((name for begin, name in FORMATS.items() if start.startswith(begin)), None)


def other_format(start: bytes) -> str | None:
    """Return the name of a common format that is not supported, by the first bytes of a file, for an error message.

    Parameters
    ----------
    start : bytes
        As for `format_of`.
    """
    if start[4:8] == b"ftyp":
        return {b"avif": "AVIF", b"avis": "AVIF"}.get(start[8:12], "HEIC")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    known = {b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"BM": "BMP", b"%PDF": "PDF", b"%!PS": "PostScript"}
    return next((name for begin, name in known.items() if start.startswith(begin)), None)


def upright(picture: Image.Image) -> Image.Image:
    """Return a picture turned as its EXIF orientation says, in its own mode; one with damaged EXIF is left as it is."""
    with suppress(BROKEN):
        return ImageOps.exif_transpose(picture)
    return picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture as 8-bit RGB, with white where it is transparent.

    Of 16 bits the upper 8 are taken, in grey as Pillow does in colour. Ink (CMYK) is read as Adobe and all cameras
    write it into JPEG, inverted. Of an animation, this is the first picture.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any mode that PNG and JPEG have.
    """
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        return Image.fromarray((np.asarray(picture).astype(np.int32) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, BACKGROUND), picture).convert("RGB")
    return picture.convert("RGB")


def decode(path: Path) -> Image.Image:
    """Return a whole picture of a set, upright, in its own mode.

    Parameters
    ----------
    path : Path
        A PNG or JPEG file, whatever its name.

    Raises
    ------
    UserError
        If it has another common format, or more than `MOST_PIXELS` pixels.
    Exception
        One of `BROKEN`, if it is damaged or no picture; the caller knows what to do about it.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own bound, and of damaged notes about the picture
            start = file.read(LONGEST_START)
            kind, other = format_of(start), other_format(start)
            if other:
                raise UserError(f"{path} is {other}: convert it to PNG or JPEG")
            if kind is None:
                raise ValueError("neither PNG nor JPEG")
            file.seek(0)
            with Image.open(file, formats=[kind]) as picture:
                width, height = picture.size
                if width * height > MOST_PIXELS:
                    raise UserError(
                        f"{path} has {width:,}x{height:,} pixels, more than {MOST_PIXELS:,}: make it smaller"
                    )
                picture.load()
                return upright(picture)
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} has more than {MOST_PIXELS:,} pixels: make it smaller") from error


def read_rgb(path: Path) -> Image.Image:
    """Return a whole picture of a set as 8-bit RGB, upright.

    Parameters
    ----------
    path : Path
        A PNG or JPEG file.

    Raises
    ------
    UserError
        If it cannot be read, or as in `decode`.
    """
    try:
        return to_rgb(decode(path))
    except UserError:
        raise
    except BROKEN as error:
        raise UserError(f"{path} cannot be read as a picture ({error})") from error
