"""Pictures that people have: told by their first bytes, turned upright, brought to 8 bits of RGB."""

from contextlib import suppress

import numpy as np
from PIL import Image, ImageOps

FORMATS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}  # how a file begins that is read
BACKGROUND = "white"  # of what is transparent
LONGEST_START = 32  # bytes of a file that tell its format
BROKEN = Exception  # Pillow's decoders raise types of many kinds on damaged files


def format_of(start: bytes) -> str | None:
    """Return "PNG" or "JPEG" by the first bytes of a file, None for all that is not read.

    Other formats are not even tried: some of them, such as EPS, would start other programs.

    Parameters
    ----------
    start : bytes
        At least `LONGEST_START` of them, if the file has so many.
    """
    return next((name for begin, name in FORMATS.items() if start.startswith(begin)), None)


def other_format(start: bytes) -> str | None:
    """Return the name of a usual format that is not read, by the first bytes of a file, for a sentence about it.

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
    """Return a picture in 8 bits of RGB, on white where it is transparent.

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
