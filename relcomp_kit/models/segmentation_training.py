"""Training of nets that segment: one way for every size, set, precision and number of processes.

A run is a function of recipe, seed and data. Its state is saved at every validation, and a killed run resumes from
there with the same result: on a CPU with the same number of threads bit for bit.
"""

import functools
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from relcomp_kit.artifacts import artifact_path, load_or_make, peek, read_artifact
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import class_frequencies
from relcomp_kit.errors import UserError
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.deeplab import deeplab, take_over
from relcomp_kit.models.distributed import count, launch
from relcomp_kit.models.recipe import Recipe, resolve
from relcomp_kit.models.training_log import write_tensorboard
from relcomp_kit.models.training_loop import Files, Report, best_row, fit

__all__ = ["Recipe", "Trained", "class_weights", "kept_file", "reached", "resolve", "train", "trained"]

VERSION = 1  # of the training: a change that gives other weights raises it
FREQUENCY_SCENES = 400  # that class weights are counted on
RAREST = 1e-4  # a class with a smaller share of the pixels weighs no more than one with this share


@dataclass(frozen=True, eq=False)
class Trained:
    """What training gives: the state with the best validation mIoU, and how it came about.

    ``history`` has one row a validation: step, epoch, loss (mean since the row before), learning_rate,
    images_per_second, seconds (since the start), and of the validation split pixel_accuracy, miou and iou (class ->
    IoU, None where the class does not occur). ``metrics`` is the row of the state that was kept.
    """

    state_dict: dict[str, Tensor]
    history: list[dict]
    metrics: dict


def trained(
    recipe: Recipe, data: SceneSet, seed: int, *, note: dict | None = None, anew: bool = False, **options
) -> tuple[Trained, dict]:
    """Return a trained net from the cache, or train it now; an interrupted training is resumed.

    Parameters
    ----------
    recipe : Recipe
        Decides the training, together with the data and the seed.
    data : SceneSet
        Loaded with the recipe's size.
    seed : int
        Decides initial weights, order of the images, augmentation and dropout.
    note : dict, optional
        What to store with a net that is trained now, such as the commit; JSON-able.
    anew : bool
        Forget what is in the cache, and train from the start.
    **options
        Further arguments of `train`: log, log_dir, devices, machines, report. ``log_dir`` gets the whole history of a
        net from the cache too, if it holds no event file yet.

    Returns
    -------
    Trained
        The net's best state and its history.
    dict
        The note that was kept.
    """
    processes = count(options.get("devices", 1), options.get("machines", 1))

    def make(partial: Path) -> tuple[dict, dict]:
        run = train(recipe, data, seed, partial=partial, **options)
        return run.state_dict, {"history": run.history, "metrics": run.metrics, "note": note or {}}

    if anew:
        path = kept_file(recipe, data, seed, processes)
        for file in (path, path.with_suffix(".partial")):
            file.unlink(missing_ok=True)
    together = options.get("machines", 1) > 1
    config = _config(recipe, seed, processes)
    state, info = load_or_make("segmentation", VERSION, config, data.sha256, make, together=together)
    log_dir = options.get("log_dir")
    if log_dir and not any(log_dir.glob("events.out.tfevents.*")):  # the net has come from the cache
        write_tensorboard(log_dir, info["history"])
    return Trained(state, info["history"], info["metrics"]), info["note"]


def kept_file(recipe: Recipe, data: SceneSet, seed: int, processes: int = 1) -> Path:
    """Return where the cache keeps, or would keep, a net of `trained`.

    Parameters
    ----------
    recipe, data, seed
        As in `trained`.
    processes : int
        By how many processes it was trained together.

    Returns
    -------
    pathlib.Path
        There is a file only once the training has ended.
    """
    return artifact_path("segmentation", VERSION, _config(recipe, seed, processes), data.sha256)


def _config(recipe: Recipe, seed: int, processes: int) -> dict:
    """Return what decides a net, as the cache knows it: what is not used leaves the name as older versions gave it."""
    fields = _fields(resolve(recipe), "half_size_steps", "start")
    return {"recipe": fields, "seed": seed} | ({"processes": processes} if processes > 1 else {})


def _fields(recipe: Recipe, *younger: str) -> dict:
    """Return what a recipe says; without its younger fields where they are not used, as older versions wrote it."""
    return {name: value for name, value in asdict(recipe).items() if value or name not in younger}


def reached(recipe: Recipe, data: SceneSet, seed: int) -> Trained | None:
    """Return the best state of a training by `trained` that was stopped before its end; None before a validation.

    Parameters
    ----------
    recipe, data, seed
        As in `trained`, for a training by one process.
    """
    found = peek(kept_file(recipe, data, seed).with_suffix(".partial"))
    if found is None:
        return None
    tensors, info = found
    best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
    return Trained(best, info["history"], info["history"][best_row(info["history"])])


def train(
    recipe: Recipe,
    data: SceneSet,
    seed: int,
    *,
    partial: Path | None = None,
    log: Path | None = None,
    log_dir: Path | None = None,
    devices: int = 1,
    machines: int = 1,
    report: Report | None = None,
) -> Trained:
    """Train a DeepLabV3 by cross entropy on all pixels that are not void, and keep its best state in validation.

    Parameters
    ----------
    recipe : Recipe
        Net, size, steps, batch and all else that decides the training; "auto" precision is resolved here.
    data : SceneSet
        Loaded with the recipe's size.
    seed : int
        Decides initial weights, order of the images, augmentation and dropout.
    partial : Path, optional
        File in which the run keeps its state at every validation, and from which a killed run goes on. It is left
        there at the end.
    log : Path, optional
        CSV file with a row a validation.
    log_dir : Path, optional
        Folder for TensorBoard.
    devices : int
        Processes on this machine, a GPU each, or all on the CPU. They share every batch: gradients are averaged over
        all of its pixels. Batch-norm takes the statistics of each process' own part, so that 8 images a process are
        a sensible minimum.
    machines : int
        How many machines make this same call; see `relcomp_kit.models.distributed.launch`. They share one cache folder.
        If each has its own, all of them must be in the same state: a machine that finds the net in its cache does not
        take part, and the others would wait for it in vain.
    report : callable, optional
        ``report(step, steps, text)`` after every step; for several processes it has to be picklable.

    Returns
    -------
    Trained
        The state with the best validation mIoU, and the history.

    Raises
    ------
    UserError
        If recipe, data and devices do not fit together, a label is no class, the loss is not finite, or ``partial`` is
        of another run.
    """
    recipe = resolve(recipe)
    processes = count(devices, machines)
    _check(recipe, data, seed, processes)
    net = deeplab(recipe.net, len(data.classes), pretrained=recipe.pretrained, seed=seed)
    if recipe.start:
        otherwise = f"{recipe.start} cannot start this net: take weights of a DeepLabV3 of the same size"
        take_over(net, load_net(recipe.start).state_dict(), otherwise)
    identity = {
        "version": VERSION,
        "recipe": _fields(recipe, "start"),
        "seed": seed,
        "data": data.sha256,
        "processes": processes,
    }
    weights = class_weights(recipe, data)
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.safetensors"
        files = Files(result, Path(partial or Path(folder) / "run.partial"), log, log_dir, identity)
        work = functools.partial(
            fit, net=net, recipe=recipe, data=data, seed=seed, weights=weights, files=files, report=report
        )
        launch(work, devices, machines)
        best, info = read_artifact(result)
    return Trained(best, info["history"], info["history"][best_row(info["history"])])


def _check(recipe: Recipe, data: SceneSet, seed: int, processes: int) -> None:
    """Raise a `UserError` if recipe, data and processes do not fit together, before anything is started."""
    if recipe.dataset != data.name:
        raise UserError(f"the recipe is for {recipe.dataset} and the data are {data.name}: load the recipe's set")
    scenes = {name: len(getattr(data, name)) for name in ("train", "validation")}
    for name, number in scenes.items():
        if not number:
            raise UserError(f"{data.name} has no scene in its {name} split: put the whole set in its folder")
    size = tuple(data.train[0][1].shape)
    if size != recipe.size:
        raise UserError(
            f"the scenes of {data.name} are {size[0]}x{size[1]} and the recipe's {recipe.size[0]}x{recipe.size[1]}: "
            "load the set with the recipe's size"
        )
    if seed < 0:
        raise UserError(f"seed {seed} is below 0: take 0 or a higher number")
    batch = min(recipe.batch, scenes["train"])
    if batch % processes or batch < 2 * processes:
        raise UserError(
            f"a batch of {batch} cannot be shared by {processes} processes: "
            "take a multiple, with 2 images for each at least, which batch-norm needs"
        )


def class_weights(recipe: Recipe, data: SceneSet) -> Tensor | None:
    """Return the weight of a pixel of each class in the loss.

    Parameters
    ----------
    recipe : Recipe
        Its ``class_weights`` say how: by 1 / square root of the share of its class, or all the same.
    data : SceneSet
        Shares are counted on its training split, on `FREQUENCY_SCENES` scenes at most.

    Returns
    -------
    (classes,) Tensor, or None
        1 on the average pixel; classes rarer than `RAREST` weigh as if they had that share. None where all weigh the
        same.
    """
    if recipe.class_weights is None:
        return None
    shares, _ = class_frequencies(data.train, data.classes, limit=FREQUENCY_SCENES)
    share = torch.tensor([shares[name] for name in data.classes])
    weights = share.clamp(min=RAREST).rsqrt()
    return weights / (weights * share).sum()
