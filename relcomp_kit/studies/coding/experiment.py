"""The experiment "code": a net, or an expert cut out of it, quantized in training and written as a file."""

import copy
import functools
from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net, resolve
from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.compression.experts import ALL
from relcomp_kit.compression.nnc import inventory, rival_codecs
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.models.states import load_state
from relcomp_kit.studies.experts.experiment import class_path, example_of, train_on
from relcomp_kit.studies.quantization.experiment import kept
from relcomp_kit.studies.segmentation.training import provenance

__all__ = ["FILES", "VERSION", "code", "decoded_net", "expert_net", "parts", "plain_state", "quantized_of", "scores"]

VERSION = 2
FILES = {  # a name to what `nnc.encode` is asked for
    "exact": {},
    "folded": {"fold": True},
    "16 bit": {"float_bits": 16},
    "8 bit": {"float_bits": 8},
    "folded, 16 bit": {"fold": True, "float_bits": 16},
    "folded, 8 bit": {"fold": True, "float_bits": 8},
}
SCORED = ("exact", "folded, 8 bit")
COMPARED = 8  # test scenes on which the outputs of a folded net are compared
Data = ImageSet | SceneSet


def code(
    *,
    seed: int,
    net: str = "compact",
    dataset: str = "rail-scenes",
    wanted: tuple[str, ...] = (),
    keep: float = 1.0,
    cut_steps: int = 300,
    relevance_scenes: int = 64,
    scored_scenes: int | None = None,
    **recipe: QatRecipe,
) -> dict:
    """Quantize a trained net, or an expert out of it, encode it, and return what files take and how well they do.

    Parameters
    ----------
    seed : int
        Of the net, and of all training.
    net, dataset : str
        As in the experiment "quantize".
    wanted : tuple of str
        The classes that the expert is for, by relevance; none for the whole net.
    keep : float
        The share of all filters that the expert keeps.
    cut_steps : int
        Of float training between the cut and quantization, as in the experiment "expert".
    relevance_scenes : int
        Training scenes that the path's relevance is measured on.
    scored_scenes : int, optional
        Of the validation and the test split that nets are scored on; by default all. Small images all count.
    **recipe
        The fields of `relcomp_kit.compression.ecqx.recipe.QatRecipe`; class weights "none" stand for None.
    """
    values = {"net": net, "dataset": dataset, "seed": seed, "wanted": wanted, "keep": keep, "cut_steps": cut_steps}
    values |= {"relevance_scenes": relevance_scenes, "scored_scenes": scored_scenes}
    model, data, small, quantized = quantized_of(values | recipe)
    found = {f"float {name}": value for name, value in _float_scores(model, data, seed).items()}
    found["float32 size"] = (sum(value.nbytes for value in plain_state(model).values()), "bytes")
    if isinstance(data, SceneSet):
        example = example_of(data)
        found["MACs"] = (experts.macs(small, example)[ALL] / experts.macs(model, example)[ALL], "share")
    files = {name: nnc.encode(quantized, **options) for name, options in FILES.items()}
    nets = {name: decoded_net(files[name], small) for name in (*SCORED, "folded")}
    for name in SCORED:
        found |= {f"{name} {what}": value for what, value in scores(nets[name], data, seed).items()}
    return found | {
        "files": ({name: len(file) for name, file in files.items()}, "bytes"),
        "parts": ({name: parts(file) for name, file in files.items()}, "bytes"),
        "indices": (rival_codecs.index_bytes(quantized), "bytes"),
        "estimate": (quantized.coded_bytes, "bytes"),
        "weights": (sum(index.numel() for index in quantized.indices.values()), ""),
        "sparsity": (quantized.sparsity, "share"),
        "entropy": (quantized.entropy, "bits per weight"),
        "decoded exactly": _same(nnc.decode(files["exact"]).quantized, quantized),
        "outputs apart": (_apart(nets["exact"], nets["folded"], data), "share of the largest"),
        "data": data.sha256,
        "made by": provenance()["commit"],
    }


def quantized_of(values: dict) -> tuple[nn.Module, Data, nn.Module, Quantized]:
    """Return a trained net, its data, the expert that is cut out of it (or the net itself), and its quantized form.

    Parameters
    ----------
    values : dict
        The point's, as `code` takes them.

    Raises
    ------
    UserError
        For the arm "float", or if classes are given without a share below 1, or the other way round.
    """
    recipe = {field.name: values[field.name] for field in fields(QatRecipe) if field.name in values}
    if recipe.get("class_weights") == "none":
        recipe["class_weights"] = None
    chosen, seed, wanted, keep = QatRecipe(**recipe), values["seed"], values["wanted"], values["keep"]
    if chosen.arm == "float":
        raise UserError("the arm float has no whole numbers to code: take ecq or lrp")
    if bool(wanted) != (keep < 1):
        raise UserError(f"an expert needs classes and a share of the filters below 1, not {list(wanted)} and {keep}")
    net, data = kept(values["net"], values["dataset"], seed, scored_scenes=values["scored_scenes"])
    small = net
    if wanted:
        small = expert_net(net, data, wanted, keep, values["cut_steps"], values["relevance_scenes"], seed)
    quantized, _ = quantized_net(chosen, small, data, seed)
    rest = {name: value for name, value in quantized.rest.items() if not name.endswith("_mask")}
    return net, data, small, replace(quantized, rest=rest)


def expert_net(
    net: nn.Module, data: SceneSet, wanted: Sequence[str], keep: float, steps: int, scenes: int, seed: int
) -> nn.Module:
    """Return the expert for some classes, trained a little, as in the experiment "expert".

    Parameters
    ----------
    net : nn.Module
        The trained net; it stays as it is.
    data : SceneSet
        Scenes of the size and classes that the net was trained on.
    wanted : sequence of str
        Names of the classes.
    keep : float
        The share of all filters.
    steps : int
        Of float training after the cut.
    scenes : int
        Training scenes that relevance is measured on.
    seed : int
        Of the training.
    """
    small = experts.compact(net, class_path(net, data, wanted, keep, scenes), example_of(data))
    if steps:
        train_on(small, data, seed, steps)
    return small


def plain_state(net: nn.Module) -> dict[str, Tensor]:
    """Return the state of a net that a file has to hold: all of it but the masks."""
    return {name: value for name, value in net.state_dict().items() if not name.endswith("_mask")}


def scores(net: nn.Module, data: Data, seed: int, splits: Sequence[str] = ("validation", "test")) -> dict[str, tuple]:
    """Return the accuracy of a net on each split and, on scenes, the IoU of every class.

    Parameters
    ----------
    net : nn.Module
        A net for this data.
    data : ImageSet or SceneSet
        The data set.
    seed : int
        Of the noise in small images.
    splits : sequence of str
        Of "validation" and "test".
    """
    found = {}
    task = None if isinstance(data, SceneSet) else task_of(net, resolve(QatRecipe()), data, seed)
    for split in splits:
        if task:
            found[f"{split} accuracy"] = (task.scores(net, split)["accuracy"], "share")
            continue
        seen = evaluate(net, getattr(data, split), data.classes, precision="auto")
        found[f"{split} accuracy"] = (seen["pixel_accuracy"], "share")
        found[f"{split} IoU"] = (plain(seen["iou"]), "share")
    return found


@functools.lru_cache(maxsize=1)
def _float_scores(net: nn.Module, data: Data, seed: int) -> dict[str, tuple]:
    return scores(net, data, seed)


def parts(file: bytes) -> dict[str, int]:
    """Return what the indices of a file take, all other numbers, and the header with the digest."""
    rows = {row.name: row.size for row in nnc.table(file, nnc.decode(file))}
    others = {name: rows.pop(name) for name in (inventory.NUMBERS, inventory.HEADER)}
    return {"indices": sum(rows.values())} | others


def decoded_net(file: bytes, net: nn.Module) -> nn.Module:
    """Return a copy of a net with what a file holds, in eval mode.

    Parameters
    ----------
    file : bytes
        As `relcomp_kit.compression.nnc.encode` returns it.
    net : nn.Module
        A net of the same layers and sizes; what the file lacks, such as masks, is taken from it.
    """
    made = copy.deepcopy(net)
    load_state(made, net.state_dict() | ecqx.state_dict(nnc.decode(file).quantized))
    return made.eval()


def _same(one: Quantized, other: Quantized) -> bool:
    """Say whether two quantized nets are the same to the bit, types included."""
    pairs = [(one.indices, other.indices), (one.steps, other.steps), (one.rest, other.rest)]
    return all(
        left.keys() == right.keys()
        and all(left[n].dtype == right[n].dtype and torch.equal(left[n], right[n]) for n in left)
        for left, right in pairs
    )


@torch.no_grad()
def _apart(one: nn.Module, other: nn.Module, data: Data) -> float | None:
    """Return the largest difference of two nets' outputs over the largest output; None without batch-norm."""
    if not isinstance(data, SceneSet):
        return None
    x = normalize(stack([data.test[i] for i in range(min(COMPARED, len(data.test)))])[0].to(choose_device()))
    first, second = one(x)["out"], other(x)["out"]
    return ((first - second).abs().max() / first.abs().max()).item()
