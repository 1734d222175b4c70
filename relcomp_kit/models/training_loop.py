"""The loop itself, as it runs in every process: step, validate, write down, go on."""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from relcomp_kit.artifacts import read_cached, write_artifact
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.scenes import REMEMBERED_BYTES, remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import autocast, seed_generator
from relcomp_kit.models.distributed import Group
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.models.scene_batches import TrainingBatches, draw
from relcomp_kit.models.states import load_state
from relcomp_kit.models.training_log import write_csv, write_tensorboard
from relcomp_kit.threads import cores

Report = Callable[[int, int, str], None]
MOST_WORKERS = 8


@dataclass(frozen=True)
class Files:
    """Where a run writes, and the identity by which it knows its own state again (JSON-able).

    ``result`` is on this machine alone, the others may be shared by all that train together.
    """

    result: Path
    partial: Path
    log: Path | None
    log_dir: Path | None
    identity: dict


def fit(
    group: Group,
    net: nn.Module,
    recipe: Recipe,
    data: SceneSet,
    seed: int,
    weights: Tensor | None,
    files: Files,
    report: Report | None,
) -> None:
    """Train from the last saved state to the end; the result is in ``files.result`` on every machine.

    Parameters
    ----------
    group : Group
        The processes that train together.
    net : nn.Module
        Gives ``{"out": (N, classes, H, W)}``; it is copied and left as it is.
    recipe : Recipe
        Decides the training; its precision is "fp32" or "bf16".
    data : SceneSet
        Loaded with the recipe's size.
    seed : int
        Decides order of the images, augmentation and dropout.
    weights : Tensor, optional
        What a pixel of each class weighs in the loss, (classes,); without them all weigh the same.
    files : Files
        Where the state and the logs are written.
    report : callable, optional
        Called as ``report(step, steps, text)`` after every step, in the first process.

    Raises
    ------
    UserError
        If the loss is not finite, a label is no class, or ``files.partial`` is of another run.
    """
    run = Run(group, copy.deepcopy(net), recipe, data, seed, weights)
    run.resume(files)
    loader = DataLoader(
        run.batches,
        batch_size=None,
        sampler=range(run.done, recipe.steps),
        num_workers=0 if run.batches.at_hand else workers(group),
    )
    with torch.random.fork_rng(devices=[group.device] if group.device.type == "cuda" else []):
        for images, labels in () if run.stopped() else loader:
            loss = run.step(images, labels)
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at step {run.done}: take a lower learning rate than {recipe.learning_rate:g}"
                    + (", or precision fp32" if recipe.precision == "bf16" else "")
                )
            if run.done % recipe.validate_every == 0 or run.done == recipe.steps:
                run.validate()
                run.write(files)
            if report and group.rank == 0:
                miou = f", validation mIoU {run.history[-1]['miou']:.3f}" if run.history else ""
                report(run.done, recipe.steps, f"loss {loss:.3f}{miou}")
            if run.stopped():
                break
    if group.local_rank == 0:
        write_artifact(files.result, run.best, {"history": run.history})


def workers(group: Group) -> int:
    """Return how many processes load batches for one that trains; 0 if it loads them itself."""
    return 0 if group.device.type == "cpu" else min(MOST_WORKERS, cores() // group.size)


def memory_share(group: Group) -> int:
    """Return how many bytes of training scenes each process that loads batches may keep in memory."""
    return REMEMBERED_BYTES // (group.size * max(1, workers(group)))


class Run:
    """One training as one of its processes sees it: net, optimizer, history.

    Parameters
    ----------
    group : Group
        The processes that train together.
    net : nn.Module
        Gives ``{"out": (N, classes, H, W)}``; it is moved to the device of the group and trained in place.
    recipe : Recipe
        Decides the training; its precision is "fp32" or "bf16".
    data : SceneSet
        Loaded with the recipe's size.
    seed : int
        Decides order of the images, augmentation and dropout.
    weights : Tensor, optional
        What a pixel of each class weighs in the loss, (classes,); without them all weigh the same.
    """

    def __init__(self, group: Group, net: nn.Module, recipe: Recipe, data: SceneSet, seed: int, weights: Tensor | None):
        self.group, self.recipe, self.data, self.seed = group, recipe, data, seed
        self.plain = net.to(group.device).to(memory_format=torch.channels_last)
        self.net = group.share(self.plain.train())
        adam = torch.optim.AdamW if recipe.weight_decay else torch.optim.Adam
        self.optimizer = adam(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
        self.weights = (torch.ones(len(data.classes)) if weights is None else weights).to(group.device)
        self.validation = remember(data.validation, REMEMBERED_BYTES // group.size)
        train = remember(data.train, memory_share(group))
        self.batches = TrainingBatches(train, recipe, len(data.classes), seed, group.rank, group.size)
        self.done, self.seconds, self.since = 0, 0.0, time.monotonic()
        self.best: dict[str, Tensor] = {}
        self.history: list[dict] = []
        self.losses: list[float] = []

    def step(self, images: Tensor, labels: Tensor) -> float:
        """Do one step of the optimizer on this process' part of a batch; return the loss on the whole batch."""
        seed_generator(self.group.device, draw(self.seed, self.done, self.group.rank, 1))  # of dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(self.done)
        self.optimizer.zero_grad()
        loss = self.loss(images.to(self.group.device), labels.to(self.group.device).long())
        loss.backward()
        nn.utils.clip_grad_norm_(self.plain.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.done += 1
        self.losses.append(self.group.total(loss).item() / self.group.size)
        return self.losses[-1]

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return this part's share of the cross entropy; its mean over the processes is that of the whole batch.

        The parts hold different numbers of labelled pixels, so a mean over each would weigh them differently.
        """
        x = normalize(images).contiguous(memory_format=torch.channels_last)
        with autocast(self.recipe.precision, self.group.device):
            output = self.net(x)["out"].float()
        total = nn.functional.cross_entropy(output, labels, self.weights, ignore_index=VOID, reduction="sum")
        counted = self.group.total(self.weights[labels[labels != VOID]].sum())
        return total * self.group.size / counted.clamp(min=torch.finfo(counted.dtype).tiny)

    def validate(self) -> None:
        """Add a row to the history, and keep the state if it is the best so far."""
        took = time.monotonic() - self.since
        for buffer in self.plain.buffers():  # each process has seen its own images
            if buffer.is_floating_point():
                buffer.copy_(self.group.total(buffer) / self.group.size)
        found = evaluate(
            self.plain,
            self.validation,
            self.data.classes,
            batch=self.recipe.batch,
            precision=self.recipe.precision,
            group=self.group,
        )
        self.seconds += time.monotonic() - self.since
        size = self.batches.chosen.size
        self.history.append(
            {
                "step": self.done,
                "epoch": self.done / (self.batches.chosen.samples // size),
                "loss": sum(self.losses) / len(self.losses),
                "learning_rate": self.recipe.learning_rate_at(self.done - 1),
                "images_per_second": len(self.losses) * size / took,
                "seconds": self.seconds,
                "pixel_accuracy": found["pixel_accuracy"],
                "miou": found["miou"],
                "iou": plain(found["iou"]),
            }
        )
        if best_row(self.history) == len(self.history) - 1:
            self.best = {name: value.cpu().clone() for name, value in self.plain.state_dict().items()}
        self.losses, self.since = [], time.monotonic()

    def stopped(self) -> bool:
        """Say whether the validation mIoU has not improved for as many validations as the recipe allows."""
        waited = len(self.history) - 1 - best_row(self.history) if self.history else 0
        return self.recipe.patience is not None and waited >= self.recipe.patience

    def write(self, files: Files) -> None:
        """Write the state and the log, once on every machine."""
        if self.group.local_rank == 0:
            state = self.optimizer.state_dict()["state"]
            tensors = {f"net.{name}": value for name, value in self.plain.state_dict().items()}
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
            tensors |= {f"optimizer.{index}.{key}": value for index in state for key, value in state[index].items()}
            info = {"identity": files.identity, "step": self.done, "history": self.history}
            write_artifact(files.partial, tensors, info)
        if self.group.rank == 0 and files.log:
            write_csv(files.log, self.history)
        if self.group.rank == 0 and files.log_dir:
            write_tensorboard(files.log_dir, self.history[-1:])

    def resume(self, files: Files) -> None:
        """Go on from the written state, if there is one: the first process reads it for all."""
        found = read_cached(files.partial) if self.group.rank == 0 else None
        found = self.group.from_first(found)
        if found is None:
            return
        tensors, info = found
        wanted = json.loads(json.dumps(files.identity))  # as it comes back from the file
        if info["identity"] != wanted:
            raise UserError(
                f"{files.partial} is the state of another training ({differences(info['identity'], wanted)}): "
                "delete it, or name another file"
            )
        self.done, self.history = info["step"], info["history"]
        self.seconds = self.history[-1]["seconds"]
        load_state(self.plain, _part(tensors, "net."))
        self.best = _part(tensors, "best.")
        state = self.optimizer.state_dict()
        for index, parameter in zip(count(), self.plain.parameters()):
            values = _part(tensors, f"optimizer.{index}.")
            # in the memory format of the parameter, which the file does not keep
            state["state"][index] = {
                key: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
                for key, value in values.items()
            }
        self.optimizer.load_state_dict(state)


def best_row(history: list[dict]) -> int:
    """Return the index of the row with the highest validation mIoU, the first of equal ones."""
    return max(range(len(history)), key=lambda index: history[index]["miou"])


def differences(one: dict, other: dict) -> str:
    """Return the names of the entries in which two identities differ, fields of their recipes included.

    Parameters
    ----------
    one : dict
        Identity of a run, with its ``recipe`` as a dict.
    other : dict
        Identity of another run, of the same form.

    Returns
    -------
    str
        The names in alphabetical order, with commas between them.
    """
    one, other = ({**identity, **identity["recipe"], "recipe": None} for identity in (one, other))
    return ", ".join(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
