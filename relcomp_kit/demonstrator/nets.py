"""Super-nets by name: the committed ones, those trained on this machine, and files."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from relcomp_kit.artifacts import peek, read_artifact
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.ecqx.qat import fingerprint
from relcomp_kit.compression.experts.coupling import check_path
from relcomp_kit.datasets.colours import Palette, palette_of
from relcomp_kit.datasets.scene_names import DRAWN_SIZE, SCENE_NAMES
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.demonstrator.work import step
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout
from relcomp_kit.models import checkpoints, segmentation_training
from relcomp_kit.models.deeplab import SIZES, deeplab
from relcomp_kit.relevance.channels import inner_layers
from relcomp_kit.studies.profiles import training_recipe

FILES = (".nnc", ".safetensors")
TRAINED = re.compile(rf"({'|'.join(SIZES)})-({'|'.join(SCENE_NAMES)})-([0-9]{{1,6}})")
DEFAULT_SIZE = DRAWN_SIZE["rail-scenes"]
MOST_FILE_BYTES = 2**28
MOST_CLASSES = 255
OWN_FILES = "name a file of `relcomp encode` or `relcomp train`"
BITS, LAMBDA = 4, 0.05  # of ECQ, where a float net is coded


@dataclass(frozen=True, eq=False)
class SuperNet:
    """A net and what is counted on it once.

    Attributes
    ----------
    name : str
    net : nn.Module
        In eval mode, on the CPU.
    classes : tuple of str
    palette : tuple of (int, int, int)
    dataset : str, optional
        The set of scenes that it was trained on, where that is known.
    size : (int, int)
        Height and width of its images.
    widths : dict of str to int
        Layers whose filters can be removed, to their filters.
    groups : experts.Groups
    macs, parameters : dict of str to int
        Of each layer, and over all; see `relcomp_kit.compression.experts`.
    stored : dict of str to path
        Experts that came with the file.
    trained : dict of str to Path
        Files of experts that were trained after their cut, by name; of committed nets.
    quantized : Quantized
        Read from the file, or made by ECQ.
    file_bytes : int, optional
        Of the NNC file that it was read from.
    identity : str
        Hash of its weights.
    """

    name: str
    net: nn.Module
    classes: tuple[str, ...]
    palette: Palette
    dataset: str | None
    size: tuple[int, int]
    widths: dict[str, int]
    groups: experts.Groups
    macs: dict[str, int]
    parameters: dict[str, int]
    stored: dict[str, dict[str, Tensor]]
    trained: dict[str, Path]
    quantized: Quantized
    file_bytes: int | None
    identity: str

    @property
    def example(self) -> Tensor:
        """An input of the net, (1, 3, height, width)."""
        return torch.zeros(1, 3, *self.size)


def names() -> list[str]:
    """Return the nets that need no file: committed ones, and large ones that were trained on this machine."""
    found = sorted(checkpoints.committed())
    for size in ("resnet50", "resnet101"):
        for dataset in (*DRAWN_SIZE, "camvid", "railsem19"):
            found += [checkpoints.name_of(size, dataset, seed) for seed in range(3) if _artifact(size, dataset, seed)]
    return found


def experts_folder(name: str) -> Path:
    """Return where the trained experts of a committed net lie."""
    return checkout() / "data" / "experts" / name


def load(name: str) -> SuperNet:
    """Return a net by its name or its file, kept for the next time.

    Parameters
    ----------
    name : str
        One of `names`, or a file of `relcomp encode` (``.nnc``), `relcomp decode` or `relcomp train`
        (``.safetensors``). It may hold an expert that was cut out of such a net: then that is the super-net.

    Raises
    ------
    UserError
        If there is no such net or it is no DeepLabV3 of the kit.
    """
    stamp = None
    if name.endswith(FILES):
        try:
            about = Path(name).stat()
        except (OSError, ValueError) as error:
            raise UserError(f"{name} is not there: {OWN_FILES}") from error
        if about.st_size > MOST_FILE_BYTES:
            raise UserError(f"{name} has {about.st_size / 1e6:,.0f} MB: the largest net to show has 268 MB")
        stamp = about.st_mtime_ns, about.st_size
    return _load(name, stamp)


@functools.lru_cache(maxsize=3)
def _load(name: str, stamp: tuple[int, int] | None) -> SuperNet:
    if name.endswith(".nnc"):
        return _from_nnc(name)
    if stamp is not None:
        return _from_safetensors(name)
    return _made(name, *(checkpoints.load(name) if name in checkpoints.committed() else _from_cache(name)))


def _from_nnc(name: str) -> SuperNet:
    data = nnc.read_file(Path(name))
    step("decoding the file")
    decoded = nnc.decode(data, source=name)
    net = _built(name, decoded.info, ecqx.state_dict(decoded.quantized))
    return _made(name, net, decoded.info, decoded.quantized, decoded.paths, len(data))


def _from_safetensors(name: str) -> SuperNet:
    """Return the net of a file that holds weights, or what `relcomp decode` writes: indices and steps."""
    try:
        tensors, info = read_artifact(Path(name))
    except UserError as error:
        raise UserError(f"{name} is no file of a net, or a damaged one: {OWN_FILES}") from error
    quantized = None
    if any(key.startswith(ecqx.quantized.INDEX) for key in tensors):
        quantized = ecqx.from_tensors(tensors)
        tensors = ecqx.state_dict(quantized)
    info = info if isinstance(info, dict) else {}
    return _made(name, _built(name, info, tensors), info, quantized)


def _built(name: str, info: dict, state: dict[str, Tensor]) -> nn.Module:
    """Return a net of the kit with the numbers of a file: a whole one, or an expert that was cut out of one."""
    size, classes = _text(info.get("net"), name), _classes(info, name)
    whole = deeplab(size, len(classes)).eval()
    net = experts.restored(whole, state, torch.zeros(1, 3, *_recipe(info)[1]), len(classes))
    if net is None:
        raise UserError(f"{name} does not hold the weights of a {size} net, nor of an expert of one: {OWN_FILES}")
    return net


def _from_cache(name: str) -> tuple[nn.Module, dict]:
    match = TRAINED.fullmatch(name)
    if match is None:
        raise UserError(
            f"there is no net {name!r}: choose one of {', '.join(names())}, or name a file that ends in .nnc or "
            ".safetensors"
        )
    size, dataset, seed = match[1], match[2], int(match[3])
    file = _artifact(size, dataset, seed)
    found = file and peek(file)  # who makes it again puts a damaged one aside
    if not found:
        raise UserError(
            f"{name} was not trained on this machine: `relcomp train {size} --dataset {dataset} --seed {seed}` "
            "does it, in hours on a GPU"
        )
    classes = load_scenes(dataset).classes
    net = deeplab(size, len(classes))
    net.load_state_dict(found[0])
    recipe = {"dataset": dataset, "size": list(training_recipe(size, dataset).size)}
    return net.eval(), {"net": size, "classes": list(classes), "recipe": recipe}


def _artifact(size: str, dataset: str, seed: int) -> Path | None:
    """Return the file of a net that was trained to the end of its recipe, from COCO weights or from scratch."""
    try:
        data = load_scenes(dataset)
    except UserError:
        return None
    for pretrained in (True, False) if size != "compact" else (False,):
        recipe = training_recipe(size, dataset, pretrained=pretrained)
        file = segmentation_training.kept_file(recipe, data, seed)
        if file.is_file():
            return file
    return None


def _made(
    name: str,
    net: nn.Module,
    info: dict,
    quantized: Quantized | None = None,
    stored: dict[str, dict[str, Tensor]] | None = None,
    file_bytes: int | None = None,
) -> SuperNet:
    """Count what is counted once, after a look at what the file says about its net."""
    classes, (dataset, size) = _classes(info, name), _recipe(info)
    net.requires_grad_(False)
    example = torch.zeros(1, 3, *size)
    widths = {layer: len(module.weight) for layer, module in inner_layers(net).items()}
    stored = stored or {}
    files = sorted(experts_folder(name).glob("*.nnc")) if name in checkpoints.committed() else []
    trained = {file.stem: file for file in files}
    for path in stored.values():
        check_path(widths, path)
    return SuperNet(
        name=name,
        net=net,
        classes=classes,
        palette=palette_of(classes),
        dataset=dataset,
        size=size,
        widths=widths,
        groups=experts.groups(net, example),
        macs=experts.macs(net, example),
        parameters=experts.parameters(net),
        stored=stored,
        trained=trained,
        quantized=quantized if quantized else ecqx.quantize(net, BITS, LAMBDA),
        file_bytes=file_bytes,
        identity=fingerprint(net),
    )


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 60 or not value.isprintable():
        raise UserError(f"{name} does not say which net and classes it is for: encode a net that `relcomp train` made")
    return value


def _classes(info: dict, name: str) -> tuple[str, ...]:
    """Return the class names of a file, which anybody may have written."""
    given = info.get("classes")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_CLASSES or len({*map(str, given)}) < len(given):
        given = [None]
    return tuple(_text(one, name) for one in given)


def _recipe(info: dict) -> tuple[str | None, tuple[int, int]]:
    """Return the set of scenes that a net was trained on, if that is known, and the size of its images."""
    recipe = info.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    dataset, size = recipe.get("dataset"), recipe.get("size")
    fits = isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) and 32 <= n <= 1080 for n in size)
    return dataset if dataset in SCENE_NAMES else None, tuple(size) if fits else DEFAULT_SIZE
