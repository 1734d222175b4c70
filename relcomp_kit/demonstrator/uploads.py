"""Images that somebody gives: checked before they are decoded, and kept in memory alone."""

import hashlib
import io
import itertools
import re
import warnings
from collections import OrderedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional

from relcomp_kit.datasets.pictures import BROKEN, format_of, other_format, to_rgb, upright
from relcomp_kit.errors import UserError

MOST_BYTES = 10 * 10**6
MOST_PIXELS = 20 * 10**6
LONGEST = 1600  # pixels of a side that is kept: nets see less
SMALLEST = 16
MOST_IMAGES = 16
# For a page that shows nothing else: of a file the browser sends as much as says that it is too large. A message of
# hundreds of MB would end the connection without a word, and the upload button with it.
READ_THE_START = f"""<script>
const read = FileReader.prototype.readAsArrayBuffer
FileReader.prototype.readAsArrayBuffer = function (file) {{ read.call(this, file.slice(0, {MOST_BYTES + 1})) }}
</script>"""

_kept: OrderedDict[str, Tensor] = OrderedDict()
_given: dict[str, str] = {}  # name to the hash of its file, of forgotten images too: a name stands for one image


def decode(data: bytes, name: str) -> Tensor:
    """Return an uploaded image, (3, height, width), uint8, as a camera held upright would have taken it.

    Parameters
    ----------
    data : bytes
        A PNG or JPEG file of up to 10 MB and 20 megapixels. Sides above 1,600 pixels are made smaller.
    name : str
        For the sentence that says what is wrong.

    Raises
    ------
    UserError
        For everything else: too large, empty, cut short, another format whatever its name says.
    """
    name = shown_name(name)
    if not data:
        raise UserError(f"{name} is empty: choose a PNG or JPEG image")
    if len(data) > MOST_BYTES:
        raise UserError(f"{name} is too large: choose an image of up to {MOST_BYTES / 1e6:.0f} MB")
    kind = format_of(data)
    if kind is None:
        other = other_format(data)
        raise UserError(f"{name} is {f'{other}, ' if other else ''}neither PNG nor JPEG: convert it to one of them")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, laxer bound, and of damaged notes about the picture
            picture = Image.open(io.BytesIO(data), formats=[kind])
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise UserError(
                    f"{name} has {width:,}x{height:,} pixels: choose one of up to {MOST_PIXELS / 1e6:.0f} megapixels"
                )
            if min(width, height) < SMALLEST:
                raise UserError(f"{name} has {width}x{height} pixels: choose an image of {SMALLEST} at least each way")
            picture.draft("RGB", (LONGEST, LONGEST))  # lets JPEG decode at a fraction of the size
            picture = to_rgb(upright(picture))
            picture.thumbnail((LONGEST, LONGEST), Image.Resampling.BILINEAR)
            pixels = np.array(picture)
    except UserError:
        raise
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{name} has too many pixels: choose one of up to {MOST_PIXELS / 1e6:.0f} megapixels"
        ) from error
    except BROKEN as error:
        raise UserError(f"{name} cannot be decoded: it is damaged or cut short, choose another image") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def fit(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the middle of an image at a net's size: its aspect is kept, and what stands out on two sides is cut off.

    Bars around it would be something that no net has seen in training.

    Parameters
    ----------
    image : (3, height, width), uint8
        An image of any size.
    size : (int, int)
        Height and width that the net sees, in pixels.
    """
    height, width = image.shape[-2:]
    scale = max(size[0] / height, size[1] / width)
    scaled = [max(side, round(scale * own)) for side, own in zip(size, (height, width))]
    return functional.center_crop(functional.resize(image, scaled, antialias=True), list(size))


def keep(data: bytes, name: str) -> str:
    """Decode an image and keep it until the process ends; return the name for ``scene upload NAME``.

    Another image of the same name gets a number; of more than 16 images the oldest is forgotten.

    Parameters
    ----------
    data : bytes
        A PNG or JPEG file, as for `decode`.
    name : str
        Of the file.

    Raises
    ------
    UserError
        As `decode`.
    """
    image, name, digest = decode(data, name), shown_name(name), hashlib.sha256(data).hexdigest()
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    own = next(one for one in itertools.chain([name], numbered) if _given.setdefault(one, digest) == digest)
    _kept[own] = image
    _kept.move_to_end(own)
    while len(_kept) > MOST_IMAGES:
        _kept.popitem(last=False)
    return own


def names() -> list[str]:
    """Return the names of the images that are kept, the oldest first."""
    return list(_kept)


def get(name: str) -> Tensor:
    """Return an image that was kept."""
    if name not in _kept:
        raise UserError(f"there is no uploaded image {name!r}: upload it, images stay only while this page is open")
    return _kept[name]


def shown_name(name: str) -> str:
    """Return the last part of a file's name, printable and short."""
    last = re.split(r"[/\\]", str(name))[-1]
    printable = "".join(letter for letter in last if letter.isprintable())
    return " ".join(printable.split())[-60:].strip() or "the image"
