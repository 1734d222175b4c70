"""`relcomp predict`: what a net in a file of the kit says about pictures."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from relcomp_kit.compression import experts
from relcomp_kit.datasets.own_folders import fitted
from relcomp_kit.datasets.pictures import read_rgb
from relcomp_kit.datasets.transforms import normalize, standardize
from relcomp_kit.errors import UserError
from relcomp_kit.files import check_apart, make_folder, write_atomic
from relcomp_kit.models.outputs import logits
from relcomp_kit.studies.own_net.nets import Known, Opened

MIXED = 0.55  # share of a class' colour in a picture
FOLDER = Path("predicted")


@dataclass(frozen=True, eq=False)
class Answer:
    """What a net says about a picture.

    Parameters
    ----------
    image : Path
        The picture.
    words : str
        The class with its probability, or the classes with their shares of the pixels, the largest first.
    file : Path or None
        What was written, for a net that segments.
    """

    image: Path
    words: str
    file: Path | None


def predict(
    opened: Opened,
    images: Sequence[Path],
    out: Path = FOLDER,
    *,
    expert: str | None = None,
    labels: bool = False,
) -> Iterator[Answer]:
    """Yield what a net says about pictures, one after the other.

    Parameters
    ----------
    opened : Opened
        As `relcomp_kit.studies.own_net.nets.read` gives it.
    images : sequence of Path
        PNG or JPEG files.
    out : Path
        Folder of what a net that segments writes: for each picture a PNG of its name and size.
    expert : str, optional
        Name of an expert in the file, which answers instead of the whole net.
    labels : bool
        Write the number of each pixel's class, with a colour table, instead of the picture in the classes' colours.

    Yields
    ------
    Answer
        One a picture.

    Raises
    ------
    UserError
        If a picture cannot be read or would be written over, two have the same name, or there is no such expert.
    """
    if expert is not None and expert not in opened.paths:
        known = ", ".join(opened.paths) or "none"
        raise UserError(f"there is no expert {expert!r} in the file: it has {known}")
    files = [Path(image) for image in images]
    named = Counter(file.stem for file in files)
    for file in files:
        if file.is_dir():
            raise UserError(f"{file} is a folder: name the PNG or JPEG files in it, as {file}/*.png")
        if not file.is_file():
            raise UserError(f"{file} is missing: name a PNG or JPEG file")
    twice = [name for name, count in named.items() if count > 1]
    gated = experts.gate(opened.net, opened.paths[expert]) if expert else nullcontext()
    with gated, torch.inference_mode():
        for file in files:
            answer, pixels = _asked(opened.net, opened.known, file)
            if answer.ndim == 1:
                place = int(answer.argmax())
                yield Answer(file, f"{opened.known.classes[place]} ({answer[place]:.1%})", None)
                continue
            if twice:
                raise UserError(f"two pictures are called {twice[0]}, and one would replace the other in {out}")
            classes = answer.argmax(0).to(torch.uint8).numpy()
            place = Path(out) / f"{file.stem}.png"
            check_apart(place, *files)
            drawn = _label_map(classes, opened.known) if labels else _picture(classes, pixels, opened.known)
            content = io.BytesIO()
            drawn.save(content, "png")
            make_folder(out)
            written = write_atomic(place, content.getvalue())
            yield Answer(file, _shares(classes, opened.known), written)


def _asked(net: nn.Module, known: Known, file: Path) -> tuple[Tensor, np.ndarray]:
    """Return probabilities (classes,), or (classes, height, width) for a net that segments; and the picture."""
    picture = read_rgb(file)
    pixels = np.array(picture)
    if known.segments:
        resized = picture.resize((known.size[1], known.size[0]), Image.Resampling.BILINEAR)
        x = normalize(torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None], known.scale)
    else:
        x = standardize(torch.from_numpy(fitted(file, known.size, known.channels == 1))[None], known.scale)
    answer = logits(net(x))
    if answer.ndim == 4:
        answer = nn.functional.interpolate(answer, pixels.shape[:2], mode="bilinear", align_corners=False)
    others = [place for place, name in enumerate(known.classes) if name not in known.asked]
    if not known.segments:
        answer[:, others] = -torch.inf
    return answer.softmax(1)[0], pixels


def _label_map(classes: np.ndarray, known: Known) -> Image.Image:
    picture = Image.fromarray(classes, "P")
    picture.putpalette([part for colour in known.palette for part in colour])
    return picture


def _picture(classes: np.ndarray, pixels: np.ndarray, known: Known) -> Image.Image:
    colours = np.array(known.palette, float)[classes]
    return Image.fromarray((MIXED * colours + (1 - MIXED) * pixels).round().astype(np.uint8))


def _shares(classes: np.ndarray, known: Known) -> str:
    counts = Counter(classes.flatten().tolist()).most_common()
    return ", ".join(f"{known.classes[place]} {count / classes.size:.1%}" for place, count in counts)
