"""What `relcomp train` does: train a net by its recipe, test it, and write weights, log and scores."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from relcomp_kit.datasets.scene_names import SCENE_NAMES
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder, read_json, write_json
from relcomp_kit.models.checkpoints import load_net, name_of, save_half
from relcomp_kit.models.classifiers import NETS
from relcomp_kit.models.deeplab import SIZES
from relcomp_kit.models.device import choose_device, describe_device
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.models.recipe import Recipe, resolve, with_steps
from relcomp_kit.models.segmentation_training import trained
from relcomp_kit.models.training_log import write_csv
from relcomp_kit.progress import Progress
from relcomp_kit.provenance import commit
from relcomp_kit.studies.profiles import STEPS, training_recipe


class StepsLine:
    """The progress line of a training, with the time left; it starts at the step at which the training goes on.

    A training calls it after every step; the line is gone when the ``with`` block ends, however it ends.
    """

    def __init__(self, what: str):
        self.what, self.line = what, None

    def __enter__(self) -> "StepsLine":
        return self

    def __exit__(self, *_) -> None:
        if self.line:
            self.line.__exit__()

    def __call__(self, step: int, steps: int, text: str) -> None:
        if self.line is None:
            self.line = Progress(self.what, steps - step + 1).__enter__()
        self.line.what = f"{self.what}, step {step} of {steps}, {text}"
        self.line.advance()


def choose_recipe(net: str, dataset: str, profile: str, *, pretrained: bool = False, **changes) -> Recipe:
    """Return the recipe of a net and a set of scenes, with some of its fields changed.

    Parameters
    ----------
    net, dataset, profile, pretrained
        As in `relcomp_kit.studies.profiles.training_recipe`.
    **changes
        Fields of `relcomp_kit.models.recipe.Recipe`; None leaves what the recipe says, "none" stands for None. With
        other steps the same share of them is at half size, with another size of images none.

    Raises
    ------
    UserError
        If there is no such net or set of scenes.
    """
    for name, known, what in ((net, (*SIZES, *NETS), "net"), (dataset, SCENE_NAMES, "set of scenes")):
        if name not in known:
            raise UserError(f"there is no {what} {name!r}; choose one of {', '.join(known)}")
    recipe = training_recipe(net, dataset, profile, pretrained=pretrained)
    changes = {name: value for name, value in changes.items() if value is not None}
    if changes.get("size", recipe.size) != recipe.size:
        recipe = replace(recipe, half_size_steps=0)
    recipe = with_steps(recipe, changes.pop("steps", recipe.steps))
    return replace(recipe, **{name: None if value == "none" else value for name, value in changes.items()})


def read_size(text: str) -> tuple[int, int]:
    """Return height and width from text such as "96x160"."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise UserError(f"--size is {text!r}: write height x width in pixels, such as 96x160")
    return int(height), int(width)


def train_net(recipe: Recipe, data: SceneSet, seed: int, out: Path, **options) -> Path:
    """Train a net or take it from the cache, test it, and write three files.

    Parameters
    ----------
    recipe, data, seed
        As in `relcomp_kit.models.segmentation_training.trained`.
    out : Path
        Folder of the files: ``<net>-<dataset>-<seed>.safetensors`` in half precision, ``.csv`` with a row a
        validation, and ``.json`` with the scores of the half-precision net on the test split.
    **options
        As in `relcomp_kit.models.segmentation_training.trained`.

    Returns
    -------
    Path
        The safetensors file.

    Raises
    ------
    UserError
        If the folder holds the result of another recipe for the same net, set and seed.
    """
    recipe = resolve(recipe)
    stem = make_folder(out) / name_of(recipe.net, data.name, seed)
    file, log, told = (stem.with_name(stem.name + suffix) for suffix in (".safetensors", ".csv", ".json"))
    if told.is_file() and _recipe_in(told) != recipe:
        raise UserError(f"{told} is of another training of this net: choose another folder with --out, or delete it")
    with StepsLine(f"training {recipe.net} on {data.name}") as line:
        run, note = trained(recipe, data, seed, note=provenance(), log=log, report=line, **options)
    write_csv(log, run.history)
    info = {
        "net": recipe.net,
        "classes": list(data.classes),
        "seed": seed,
        "data": data.sha256,
        "recipe": asdict(recipe),
        "full_length": STEPS[recipe.net],
        "history": run.history,
        "metrics": run.metrics,
    } | note
    save_half(file, run.state_dict, info)
    net = load_net(file).to(choose_device())
    found = evaluate(net, data.test, data.classes, batch=recipe.batch, precision=recipe.precision)
    test = {
        "pixel_accuracy": found["pixel_accuracy"],
        "miou": found["miou"],
        "iou": plain(found["iou"]),
    }
    save_half(file, run.state_dict, info | {"test": test})
    scores = {key: value for key, value in info.items() if key not in ("history", "metrics")}
    scores |= {"seconds": run.history[-1]["seconds"], "validation": run.metrics, "test": test}
    scores["confusion"] = found["confusion"].tolist()
    write_json(told, scores)
    return file


def _recipe_in(scores: Path) -> Recipe:
    try:
        return Recipe(**read_json(scores)["recipe"])
    except (LookupError, TypeError) as error:  # another file of that name, or one that somebody has changed
        raise UserError(f"{scores} names no training: choose another folder with --out, or delete it") from error


def check_fit_to_record(recipe: Recipe) -> None:
    """Refuse to commit a net that was not made by its full recipe, or was made by changed code."""
    if recipe != training_recipe(recipe.net, recipe.dataset, "full", pretrained=recipe.pretrained):
        raise UserError("--record keeps nets of the full recipe alone: leave out the options that change it")
    if commit().endswith("+"):
        raise UserError("--record needs a net that names its commit: commit your changes first")


def provenance() -> dict:
    """Return what made a net, for those who read its file."""
    return {"commit": commit(), "torch": torch.__version__, "device": describe_device()}
