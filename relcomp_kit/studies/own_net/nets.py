"""Nets of any origin for `relcomp compress`, and the files that it and the rest of the kit write, for `predict`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from relcomp_kit.artifacts import ForeignFile, read_artifact
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.datasets.colours import palette_of
from relcomp_kit.errors import UserError
from relcomp_kit.models import checkpoints, own_nets
from relcomp_kit.models.classifiers import NETS, classifier
from relcomp_kit.models.deeplab import SIZES, deeplab

FILES = (".nnc", ".safetensors")
MOST_SIDE, MOST_CLASSES = 4096, 2**16
USUAL_SIZES = {"vgg16": (32, 32), "resnet18": (224, 224)}  # of images of the kit's classifiers
SCENE_SIZE = (96, 160)
OWN_FILES = "name a file that `relcomp compress`, `encode`, `decode` or `train` wrote"


@dataclass(frozen=True, eq=False)
class Known:
    """What a file knows about its net.

    Parameters
    ----------
    net : str
        A net of the kit, or as `relcomp_kit.models.own_nets.build` takes it.
    classes : tuple of str
        Names, in the order of the outputs.
    size : (int, int)
        Height and width of its images.
    channels : int
        Of its images: 3, or 1 for grey ones.
    scale : (tuple of float, tuple of float), optional
        As in `relcomp_kit.datasets.transforms.normalize`.
    palette : tuple of (int, int, int)
        Colours of the classes, for a net that segments; none for one that classifies.
    asked : tuple of str
        The classes that an expert is for; all, where it is none.
    """

    net: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    channels: int = 3
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    palette: tuple[tuple[int, int, int], ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def segments(self) -> bool:
        """Whether the net answers for each pixel."""
        return bool(self.palette)

    def note(self) -> dict:
        """Return it as a file holds it, JSON-able."""
        plain = {"net": self.net, "classes": list(self.classes), "size": list(self.size), "channels": self.channels}
        plain |= {"scale": [list(part) for part in self.scale] if self.scale else None, "asked": list(self.asked)}
        return plain | {"palette": [list(colour) for colour in self.palette]}


@dataclass(frozen=True, eq=False)
class Opened:
    """A net from a file, ready to run.

    Parameters
    ----------
    net : nn.Module
        In eval mode, on the CPU.
    known : Known
        What the file says about it.
    paths : dict of str to path
        Experts in the file, by name.
    """

    net: nn.Module
    known: Known
    paths: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def open_net(spec: str, classes: Sequence[str] | int, weights: Path | str | None = None) -> nn.Module:
    """Return a trained net, of whatever origin, for the classes of a data set.

    Parameters
    ----------
    spec : str
        "torchvision:resnet18", or "module:function" of one's own, as `relcomp_kit.models.own_nets.build` takes it. Or a
        trained net of the kit: a committed name, such as "compact-rail-scenes-0", or a file of `relcomp train`,
        `encode`, `decode` or `compress`.
    classes : sequence of str or int
        Names of the classes, or how many there are.
    weights : Path or str, optional
        File of the weights of a net that is no file of the kit, as `relcomp_kit.models.own_nets.load_weights` takes it;
        without it, a function of one's own has to load them.

    Returns
    -------
    nn.Module
        In eval mode, on the CPU.

    Raises
    ------
    UserError
        If there is no such net, its weights do not fit, or it is for other classes.
    """
    count = classes if isinstance(classes, int) else len(classes)
    if spec.endswith(FILES) or spec in checkpoints.committed():
        if weights is not None:
            raise UserError(f"{spec} has its weights inside: leave out {weights}")
        opened = read(spec)
        if not isinstance(classes, int) and tuple(classes) != opened.known.classes:
            raise UserError(
                f"{spec} knows the classes {', '.join(opened.known.classes)}, not {', '.join(classes)}: take the set "
                "that it was trained on"
            )
        return opened.net
    net = own_nets.build(spec, count)
    if weights is not None:
        return own_nets.load_weights(net, weights)
    if spec.startswith(own_nets.TORCHVISION):
        raise UserError(f"{spec} has no trained weights: name their file with --weights")
    return net


def read(name: str | Path, net: str | None = None) -> Opened:
    """Open a file of the kit: a trained net, a quantized or coded one, or an expert.

    No code is run because a file names it: a net of one's own has to be named by who opens it.

    Parameters
    ----------
    name : str or Path
        A ``.nnc`` or ``.safetensors`` file, or a committed net.
    net : str, optional
        "module:function", where the file holds a net of one's own.

    Raises
    ------
    UserError
        If it is no such file, or a damaged one, or names a net that has to be named by its user.
    """
    state, info, paths = _content(str(name))
    known = _known(name, info)
    if net is not None and net != known.net:
        raise UserError(f"{name} holds the net {known.net}, not {net}")
    whole = _whole(name, known, net is not None)
    made = experts.restored(whole, state, torch.zeros(1, known.channels, *known.size), len(known.classes))
    if made is None:
        raise UserError(f"{name} does not hold the weights of {known.net}, nor of an expert of it: {OWN_FILES}")
    return Opened(made, known, paths)


def _content(name: str) -> tuple[dict[str, Tensor], dict, dict]:
    """Return the state, the info and the experts of a file."""
    if name in checkpoints.committed():
        made, info = checkpoints.load(name)
        return made.state_dict(), info, {}
    if not name.endswith(FILES):
        raise UserError(f"{name} is neither a .nnc nor a .safetensors file, nor a committed net: {OWN_FILES}")
    try:
        if name.endswith(".nnc"):
            decoded = nnc.decode(nnc.read_file(Path(name)), source=name)
            return ecqx.state_dict(decoded.quantized), decoded.info, decoded.paths
        if not Path(name).is_file():
            raise UserError(f"{name} is missing: {OWN_FILES}")
        tensors, info = read_artifact(Path(name))
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror}): {OWN_FILES}") from error
    except ForeignFile as error:
        raise UserError(f"{name} was not written by this kit: {OWN_FILES}") from error
    if any(key.startswith(ecqx.quantized.INDEX) for key in tensors):
        tensors = ecqx.state_dict(ecqx.from_tensors(tensors))
    return tensors, info, {}


def _known(name: str | Path, info: object) -> Known:
    """Return what a file says about its net, which anybody may have written."""
    info = info if isinstance(info, dict) else {}
    net, classes = info.get("net"), info.get("classes")
    texts = isinstance(classes, list) and all(isinstance(one, str) for one in classes)
    if not (isinstance(net, str) and texts and 0 < len(classes) <= MOST_CLASSES):
        raise UserError(f"{name} does not say which net and classes it is for: {OWN_FILES}")
    recipe = info.get("recipe") if isinstance(info.get("recipe"), dict) else {}
    size = info.get("size", recipe.get("size", USUAL_SIZES.get(net, (32, 32) if net in NETS else SCENE_SIZE)))
    channels, asked, scale = info.get("channels", 3), info.get("asked", classes), info.get("scale")
    palette = info.get("palette") or (palette_of(classes) if net in SIZES else [])
    sound = (
        _numbers(size, 2, 1, MOST_SIDE)
        and type(channels) is int
        and channels in (1, 3)
        and isinstance(asked, list)
        and all(one in classes for one in asked)
        and (scale is None or (_list(scale, 2) and all(_list(part, channels) for part in scale)))
        and isinstance(palette, list | tuple)
        and len(palette) in (0, len(classes))
        and all(_numbers(colour, 3, 0, 255) for colour in palette)
    )
    if not sound:
        raise UserError(f"{name} says about its images what cannot be: {OWN_FILES}")
    if net == "mlp-gsc":
        raise UserError(f"{name} is a net for sounds, and images are asked about: name another file")
    colours = tuple(tuple(colour) for colour in palette)
    return Known(net, tuple(classes), tuple(size), channels, _scale(name, scale), colours, tuple(asked or classes))


def _scale(name: str | Path, scale: list | None):
    if scale is None:
        return None
    parts = tuple(tuple(map(float, part)) for part in scale if all(_is_scale(one) for one in part))
    if len(parts) != 2 or not all(value > 0 for value in parts[1]):
        raise UserError(f"{name} says about its images what cannot be: {OWN_FILES}")
    return parts


def _is_scale(value: object) -> bool:
    return isinstance(value, int | float) and abs(value) <= torch.finfo(torch.float32).max  # not NaN either


def _list(value: object, length: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == length


def _numbers(value: object, length: int, low: int, high: int) -> bool:
    return _list(value, length) and all(type(one) is int and low <= one <= high for one in value)  # type: ignore


def _whole(name: str | Path, known: Known, named: bool) -> nn.Module:
    """Return the net that a file's is, or was cut out of, with weights of no meaning."""
    count = len(known.classes)
    if known.net in NETS:
        made = classifier(known.net)
        outputs = list(made.parameters())[-1].shape[0]
        if outputs != count:
            raise UserError(f"{name} lists {count} classes, and {known.net} of the kit has {outputs}: {OWN_FILES}")
        return made.eval()
    if known.net in SIZES:
        return deeplab(known.net, count).eval()
    if known.net.startswith(own_nets.TORCHVISION) or named:
        return own_nets.build(known.net, count)
    raise UserError(f"{name} holds a net of {known.net!r}: if that is code of yours, say so with --net {known.net}")
