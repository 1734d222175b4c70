"""What a net is shown: drawn by the kit, a real frame, or an uploaded image."""

import functools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from relcomp_kit.datasets import rail_scenes
from relcomp_kit.datasets.rail_scenes import CLASSES, SPLITS, WEATHERS
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.demonstrator import uploads
from relcomp_kit.demonstrator.tokens import no_such, whole
from relcomp_kit.errors import UserError

SYNTHETIC, FRAMES, UPLOAD = "synthetic", ("camvid", "railsem19", "railsem19-rail8"), "upload"
KINDS = (SYNTHETIC, *FRAMES, UPLOAD)
MOST_SYNTHETIC = 10**6


@dataclass(frozen=True, eq=False)
class Scene:
    """An image (3, height, width), uint8, what it is, and the class of every pixel where that is known."""

    image: Tensor
    title: str
    truth: Tensor | None
    classes: tuple[str, ...]


def canonical(words: Sequence[str]) -> str:
    """Return a scene as a state holds it, from its words; see `relcomp_kit.demonstrator.state.State`."""
    kind, *rest = words or [""]
    if kind not in KINDS:
        raise no_such("kind of scene", kind, KINDS)
    if kind == UPLOAD:
        if not rest or not all(rest):
            raise UserError("write scene upload NAME, with the name of an image that was uploaded")
        return " ".join([kind, *rest])
    if not rest:
        raise UserError(f"write scene {kind} and a number, such as: scene {kind} 7")
    if len(rest) > (2 if kind == SYNTHETIC else 1):
        raise UserError(f"there is a word too many: scene {' '.join(words)}")
    if rest[1:] and rest[1] not in WEATHERS:
        raise no_such("weather", rest[1], WEATHERS)
    number = whole(rest[0], "the number of a scene")
    if kind == SYNTHETIC and number >= MOST_SYNTHETIC:
        raise UserError(f"synthetic scenes are counted from 0 to {MOST_SYNTHETIC - 1:,}, not {number:,}")
    return " ".join([kind, str(number), *rest[1:]])


def check(scene: str) -> None:
    """Raise a `UserError` unless a state's scene is written as `canonical` writes it."""
    words = scene.split(" ", 1 if scene.startswith(f"{UPLOAD} ") else -1)
    if canonical(words) != scene:
        raise UserError(f"the scene {scene!r} is written {canonical(words)!r}")


@functools.cache
def sets() -> dict[str, tuple[str, ...]]:
    """Return the kinds of scenes with a truth that this machine has, and the classes of each."""
    found = {SYNTHETIC: CLASSES}
    for name in FRAMES:
        with suppress(UserError):
            found[name] = load_scenes(name).classes
    return found


def like(classes: Sequence[str]) -> str | None:
    """Return the first scene with the truth of these classes, as a state holds it; None if this machine has none.

    Parameters
    ----------
    classes : sequence of str
        Of a net.
    """
    kind = next((kind for kind, known in sets().items() if known == tuple(classes)), None)
    return f"{kind} 0" if kind is not None else None


@functools.lru_cache(maxsize=32)
def load(scene: str, size: tuple[int, int]) -> Scene:
    """Return a scene in the size of a net's images.

    Synthetic scenes are those of the test split, which goes on after its 1,000; frames are counted through test,
    validation and training split. Frames are resized as for training; of uploads the middle is cut out.

    Parameters
    ----------
    scene : str
        As `canonical` gives it.
    size : (int, int)
    """
    kind, rest = scene.split(" ", 1)
    if kind == UPLOAD:
        return Scene(uploads.fit(uploads.get(rest), size), rest, None, ())
    if kind == SYNTHETIC:
        number, _, weather = rest.partition(" ")
        image, label = rail_scenes.render(SPLITS["test"][0] + int(number), size, weather or None)
        title = f"scene {number}{', ' + weather if weather else ''}"
        return Scene(torch.from_numpy(image).permute(2, 0, 1).contiguous(), title, torch.from_numpy(label), CLASSES)
    frames, number = _frames(kind, size), int(rest)
    for split in ("test", "validation", "train"):
        part = getattr(frames, split)
        if number < len(part):
            image, label = (value.as_subclass(Tensor) for value in part[number])
            title = f"{kind} {rest}{', seen in training' if split == 'train' else ''}"
            return Scene(image, title, label, frames.classes)
        number -= len(part)
    count = sum(len(getattr(frames, split)) for split in ("test", "validation", "train"))
    raise UserError(f"{kind} has the frames 0 to {count - 1} on this machine, not {rest}")


@functools.lru_cache(maxsize=2)
def _frames(name: str, size: tuple[int, int]) -> SceneSet:
    return load_scenes(name, size)
