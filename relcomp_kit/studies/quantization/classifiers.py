"""The nets of the sets on which ECQ^x was published: trained here by recipe, or with weights that others published.

They are trained by the loop of quantization-aware training, in the arm that does not quantize: so a net, and the same
net quantized, differ in nothing else.
"""

import functools
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from relcomp_kit import files
from relcomp_kit.compression.ecqx import state_dict
from relcomp_kit.compression.ecqx.qat import QatRecipe, Report, quantized_net
from relcomp_kit.compression.ecqx.recipe import resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.datasets import catalogue
from relcomp_kit.datasets.download import data_dir
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder, write_json
from relcomp_kit.models.checkpoints import load_net, name_of, save_half
from relcomp_kit.models.classifiers import DATASETS, NETS, classifier
from relcomp_kit.models.training_log import write_csv
from relcomp_kit.studies.segmentation.training import StepsLine, provenance

PUBLISHED = "-published"  # ends the name of a net whose weights others have trained
FOLDER = Path("cifar10/pretrained")  # of their files, in the folder of all data
EPOCH = 45_000 // 128  # steps
_CIFAR10 = QatRecipe(
    arm="float", steps=60 * EPOCH, batch=128, schedule="poly", augment=True, validate_every=EPOCH, precision="auto"
)
RECIPES = {name: _CIFAR10 for name in NETS} | {
    "mlp-gsc": replace(_CIFAR10, steps=20 * 288, validate_every=288),
    "resnet18": replace(_CIFAR10, steps=20 * 160, batch=32, learning_rate=1e-4, validate_every=160),
}


def trained_classifier(
    name: str, data: ImageSet, seed: int, *, report: Report | None = None, **changes
) -> tuple[nn.Module, list[dict]]:
    """Return a trained net, from the cache or trained now, or one with weights that others published.

    Parameters
    ----------
    name : str
        A key of `relcomp_kit.models.classifiers.NETS`; with "-published" at its end ("resnet20-published") its weights
        come from ``cifar10/pretrained`` in ``$RELCOMP_DATA``.
    data : ImageSet
        The set that it is for.
    seed : int
        Of weights and training; published weights are the same for all seeds.
    report : callable, optional
        ``report(step, steps, text)`` after every step.
    **changes
        Fields of the recipe to change; None leaves what it says.

    Returns
    -------
    nn.Module
        In eval mode.
    list of dict
        A row a validation, as `relcomp_kit.compression.ecqx.qat.quantized_net` gives it; none for published weights.

    Raises
    ------
    UserError
        If there is no such net, it is for another set, or its weights are missing or damaged.
    """
    base = name.removesuffix(PUBLISHED)
    if base not in NETS:
        raise UserError(f"there is no net {name!r}; choose one of {', '.join(NETS)}")
    if data.name != DATASETS[base]:
        raise UserError(f"{name} is a net for {DATASETS[base]}, not for {data.name}")
    if name != base:
        net = classifier(base)
        net.load_state_dict(published_state(base))
        return net.eval(), []
    recipe = replace(RECIPES[base], **{field: value for field, value in changes.items() if value is not None})
    net = classifier(base, seed, pretrained=base == "resnet18")
    trained, history = quantized_net(recipe, net, data, seed, report=report)
    net.load_state_dict(state_dict(trained))
    return net.eval(), history


def published_state(name: str) -> dict:
    """Return the weights of a ResNet of CIFAR-10 that others have trained, (Idelbayev, 91.8 to 93.6 %).

    Parameters
    ----------
    name : str
        Such as "resnet20".

    Raises
    ------
    UserError
        If the file is not in ``$RELCOMP_DATA`` or the cache, or is no such file.
    """
    own = data_dir() or files.cache_dir() / "data"
    path = own / FOLDER / f"{name}.safetensors"
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing: put published weights of {name} there, or train it as {name}") from error
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}): put the original file there") from error


def train_classifier(name: str, seed: int, out: Path, **changes) -> tuple[Path, dict]:
    """Train a net or take it from the cache, test it, and write its weights, its history and its scores.

    Parameters
    ----------
    name : str
        As in `trained_classifier`.
    seed : int
        Of weights and training.
    out : Path
        Folder of ``<net>-<set>-<seed>.safetensors`` (half precision), ``.csv`` and ``.json``.
    **changes
        Fields of the recipe to change; None leaves what it says.

    Returns
    -------
    Path
        The safetensors file.
    dict of str to float
        Scores of the half-precision net on the test split.

    Raises
    ------
    UserError
        As in `trained_classifier`, or if the folder cannot be written to.
    """
    base = name.removesuffix(PUBLISHED)
    if base not in NETS:
        raise UserError(f"there is no net {name!r}; choose one of {', '.join(NETS)}")
    data = load(DATASETS[base])
    stem = make_folder(out) / name_of(name, data.name, seed)
    with StepsLine(f"training {name} on {data.name}") as line:
        net, history = trained_classifier(name, data, seed, report=line, **changes)
    file = stem.with_name(stem.name + ".safetensors")
    info = {"net": base, "classes": list(data.classes), "seed": seed, "data": data.sha256} | provenance()
    save_half(file, net.state_dict(), info)
    scores = scores_in_test(load_net(file), data)
    if history:
        write_csv(stem.with_name(stem.name + ".csv"), history)
    write_json(stem.with_name(stem.name + ".json"), info | {"test": scores})
    return file, scores


def scores_in_test(net: nn.Module, data: ImageSet, seed: int = 0) -> dict[str, float]:
    """Return what a net scores on the test split, in [0, 1].

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    data : ImageSet
        The set that it is for.
    seed : int
        Does not matter here.

    Returns
    -------
    dict of str to float
        "accuracy", or "mean_average_precision" where an image has several labels.
    """
    return task_of(net, resolve(QatRecipe(arm="float")), data, seed).scores(net, "test")


# For experiments: neighbouring points of a sweep share the set.
load = functools.lru_cache(maxsize=1)(catalogue.load)
