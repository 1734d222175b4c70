"""The loop of quantization-aware training: the net runs on quantized weights, and a full-precision copy of them learns.

One loop for all nets. The gradient at the quantized weights goes straight through to the copy (the shadow), from which
the weights are assigned to their centroids again. Biases and batch-norm are trained in float.

The result depends on recipe, net, data and seed alone. The state is saved at every validation. A training that was
killed goes on from there and ends with the same result: on a processor with the same number of threads, bit for bit.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from zennit.canonizers import SequentialMergeBatchNorm

from relcomp_kit.artifacts import read_cached, write_artifact
from relcomp_kit.compression.ecqx.assignment import Assignment, Grid, fit
from relcomp_kit.compression.ecqx.quantize_net import check_relevance, normalized, plan
from relcomp_kit.compression.ecqx.quantized import Quantized, to_tensors
from relcomp_kit.compression.ecqx.recipe import QatRecipe
from relcomp_kit.compression.ecqx.straight_through import learned_step_gradients, scale_gradient
from relcomp_kit.compression.ecqx.tasks import Batch, Images, Pictures, Scenes
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import seed_generator
from relcomp_kit.models.masked_net import MaskedLayer
from relcomp_kit.models.scene_batches import draw
from relcomp_kit.models.states import load_state, versions
from relcomp_kit.relevance.lrp import weight_relevance

Report = Callable[[int, int, str], None]


def train(run: "Run", partial: Path, identity: dict, report: Report | None) -> None:
    """Train from the last written state to the end.

    Parameters
    ----------
    run : Run
        Is trained.
    partial : Path
        File in which the state is written at every validation.
    identity : dict
        JSON-able: what decides the training; a file with another one is refused.
    report : callable or None
        ``report(step, steps, text)`` after every step.

    Raises
    ------
    UserError
        If the loss is not finite, or the file holds the state of another training.
    """
    run.resume(partial, identity)
    cuda = run.task.device.type == "cuda"
    with torch.random.fork_rng(devices=[run.task.device] if cuda else []):
        while run.done < run.recipe.steps:
            run.fit()
            loss = run.step()
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at step {run.done}: take a lower learning rate than "
                    f"{run.recipe.learning_rate:g}, and a larger batch if the scenes are void"
                )
            run.assign()
            if run.done % run.recipe.validate_every == 0 or run.done == run.recipe.steps:
                run.validate()
                run.write(partial, identity)
            if report:
                report(run.done, run.recipe.steps, f"loss {loss:.3f}")


class Run:
    """One training: the net on quantized weights, their shadow, and what has been noted so far.

    Parameters
    ----------
    net : nn.Module
        The trained net; copied.
    recipe : QatRecipe
        The settings, resolved.
    task : Images, Pictures or Scenes
        Gives batches, loss and scores.
    seed : int
        Decides dropout and random relevance; the task has its own.

    Attributes
    ----------
    weights : dict of str to nn.Parameter
        The net's own tensors that are quantized: indices times steps. Empty for the arm "float".
    shadow : dict of str to Tensor
        The same in full precision, in memory of its own.
    log_steps : dict of str to Tensor
        Logarithms of the steps that are learned, 0-dimensional: of the arm "lsq" alone.
    """

    def __init__(self, net: nn.Module, recipe: QatRecipe, task: Images | Pictures | Scenes, seed: int):
        self.recipe, self.task, self.seed = recipe, task, seed
        self.net = copy.deepcopy(net).to(task.device).to(memory_format=torch.channels_last).train()
        for layer in self.net.modules():
            if isinstance(layer, MaskedLayer):  # what is masked away costs no bits
                layer.weight.detach().mul_(layer.weight_mask)
        self.grids: dict[str, Grid] = {}
        if recipe.arm != "float":
            exclude, rule, extreme = recipe.exclude, recipe.step_rule, recipe.extreme
            self.grids = plan(self.net, recipe.bits, recipe.Lambda, exclude=exclude, step=rule, extreme=extreme)
        named = dict(self.net.named_parameters())
        self.weights = {name: named[name] for name in self.grids}
        self.shadow = {name: weight.detach().clone() for name, weight in self.weights.items()}
        learned = self.grids if recipe.arm == "lsq" else {}
        self.log_steps = {
            name: torch.tensor(math.log(grid.step)).to(self.shadow[name]) for name, grid in learned.items()
        }
        others = (named[name] for name in named if name not in self.grids)
        self.trained = [*self.shadow.values(), *self.log_steps.values(), *others]
        self.optimizer = torch.optim.Adam(self.trained, recipe.learning_rate)
        self.indices: dict[str, Tensor] = {}
        self.relevance: dict[str, Tensor] = {}
        self.fitted: dict[str, Assignment] = {}
        self.share = 1.0  # of lambda
        self.done = 0
        self.best: dict[str, Tensor] = {}
        self.history: list[dict] = []
        self.losses: list[float] = []
        self.seconds, self.since = 0.0, time.monotonic()

    def step(self) -> float:
        """Do one step of Adam on shadow, biases and batch-norm; return the loss of the quantized net before it."""
        seed_generator(self.task.device, draw(self.seed, self.done, 1))  # of dropout
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_at(self.done)
        loss = self.backward(self.task.batch(self.done))
        for name, weight in self.weights.items():
            if weight.grad is None:
                continue
            shadow, grid = self.shadow[name], self.grids[name]
            if self.log_steps:
                found = learned_step_gradients(weight.grad, shadow, grid.step, grid.levels)
                shadow.grad, self.log_steps[name].grad = found
            else:
                shadow.grad = scale_gradient(weight.grad, self.indices[name], grid.step, self.recipe.gradient_scale)
        self.optimizer.step()
        self.done += 1
        self.losses.append(loss.item())
        return self.losses[-1]

    def backward(self, batch: Batch) -> Tensor:
        """Return the loss on a batch, and leave its gradients in the net.

        From the first gradient in bf16 that is not finite, the training goes on in fp32: on processors, torch 2.15
        gives NaN for dilated convolutions with an odd number of channels, at some sizes of images.
        """
        self.net.zero_grad()
        loss = self.task.loss(self.net, batch)
        loss.backward()
        gradients = (value.grad for value in self.net.parameters() if value.grad is not None)
        if self.task.precision == "bf16" and not all(gradient.isfinite().all() for gradient in gradients):
            self.task.precision = "fp32"
            return self.backward(batch)
        return loss

    def fit(self) -> None:
        """Fit the assignments again if that is due, after measuring relevance if that is due.

        This happens before a step, not after it. New relevance moves many weights, and so no state is validated before
        it was trained for a step with them.
        """
        recipe = self.recipe
        if self.log_steps:
            self.assign()
            return
        due = recipe.arm not in ("ecq", "float") and self.done % recipe.relevance_every == 0
        if due:
            self.refresh()
        elif self.fitted and self.done % recipe.fit_every and self.done != recipe.warm_up:
            return
        self.share = recipe.lambda_share(self.done)
        for name, grid in self.grids.items():
            relevance = normalized(self.relevance[name]) if self.relevance else None
            grid = replace(grid, lam=grid.lam * self.share)
            self.fitted[name], _ = fit(self.shadow[name], grid, relevance=relevance, give_back=recipe.give_back)
        self.assign()

    def assign(self) -> None:
        """Assign the shadow's weights to centroids, and write these into the net."""
        if self.log_steps:
            self.follow_steps()
            self.indices = {
                name: (self.shadow[name] / grid.step).round().clamp(*grid.levels).to(grid.dtype)
                for name, grid in self.grids.items()
            }
        else:
            self.indices = {name: fitted.indices(self.shadow[name]) for name, fitted in self.fitted.items()}
        self.load({name: index * self.grids[name].step for name, index in self.indices.items()})

    def follow_steps(self) -> None:
        """Spread the grids by the steps that are learned."""
        for name, log_step in self.log_steps.items():
            self.grids[name] = replace(self.grids[name], step=log_step.exp().item())

    @torch.no_grad()
    def load(self, values: dict[str, Tensor]) -> None:
        """Copy values into the net's own weights, so that net and shadow never share memory."""
        for name, weight in self.weights.items():
            weight.copy_(values[name])

    def refresh(self) -> None:
        """Measure relevance and mix it with the old one, whose share is the momentum."""
        new = self.measured()
        check_relevance(new, self.shadow)
        kept = self.recipe.momentum if self.relevance else 0.0
        old = self.relevance or new
        # In one memory format, because a mean depends on the order of its terms, and files do not keep formats.
        self.relevance = {
            name: ((1 - kept) * new[name] + kept * old[name]).contiguous() if kept else new[name].contiguous()
            for name in self.shadow
        }

    def measured(self) -> dict[str, Tensor]:
        """Return the relevance of the weights now, or what the arm puts in its place."""
        recipe = self.recipe
        if recipe.arm == "magnitude":
            return {name: weight.abs() for name, weight in self.shadow.items()}
        if recipe.arm == "random":
            generator = torch.Generator().manual_seed(draw(self.seed, 2))
            return {
                name: torch.rand(weight.shape, generator=generator).to(weight) for name, weight in self.shadow.items()
            }
        batches = (self.task.batch(self.done + index) for index in range(recipe.relevance_batches))
        before = {name: weight.detach().clone() for name, weight in self.weights.items()}
        if recipe.relevance_of == "shadow":
            self.load(self.shadow)
        how: dict[str, Any] = {"rule": recipe.rule, "aggregate": recipe.aggregate}
        if not recipe.conserved:
            how |= {"way": "zennit", "canonizers": [SequentialMergeBatchNorm()]}
        found = weight_relevance(self.net.eval(), batches, **how)
        self.load(before)
        self.net.train()
        return found

    def quantized(self) -> Quantized:
        """Return the net as it is now."""
        state = {name: value.detach().cpu().clone() for name, value in self.net.state_dict().items()}
        return Quantized(
            {name: index.cpu() for name, index in self.indices.items()},
            {name: torch.tensor(grid.step, dtype=state[name].dtype) for name, grid in self.grids.items()},
            {name: value for name, value in state.items() if name not in self.grids},
            versions(self.net),
        )

    def validate(self) -> None:
        """Add a row to the history, and keep the state if it is the best so far."""
        quantized = self.quantized()
        scores = self.task.scores(self.net.eval(), "validation")
        self.net.train()
        self.seconds += time.monotonic() - self.since
        row = {
            "step": self.done,
            "loss": sum(self.losses) / len(self.losses),
            "learning_rate": self.recipe.learning_rate_at(self.done - 1),
            "Lambda": self.recipe.Lambda * self.share,
            "lambda_share": self.share,
            "seconds": self.seconds,
            "score": scores[self.task.chosen_by],
            **scores,
            "sparsity": quantized.sparsity if self.grids else None,
            "entropy": quantized.entropy if self.grids else None,
        }
        self.history.append(row)
        if best_row(self.history) == len(self.history) - 1:
            self.best = to_tensors(quantized)
        self.losses, self.since = [], time.monotonic()
        self.fitted = {}  # files do not keep it: the next step fits anew, whether the run was killed here or not

    def write(self, partial: Path, identity: dict) -> None:
        """Write all that the run needs to go on."""
        state = self.optimizer.state_dict()["state"]
        parts = {"net": self.net.state_dict(), "shadow": self.shadow, "index": self.indices}
        parts |= {"relevance": self.relevance, "best": self.best, "log_step": self.log_steps}
        parts |= {f"optimizer {index}": values for index, values in state.items()}
        tensors = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        info = {"identity": identity, "step": self.done, "lambda_share": self.share, "history": self.history}
        write_artifact(partial, tensors, info)

    def resume(self, partial: Path, identity: dict) -> None:
        """Go on from a written state, if there is one."""
        found = read_cached(partial)
        if found is None:
            return
        tensors, info = found
        if info["identity"] != json.loads(json.dumps(identity)):
            raise UserError(f"{partial} is the state of another training: delete it")
        self.done, self.share, self.history = info["step"], info["lambda_share"], info["history"]
        self.seconds = self.history[-1]["seconds"]
        load_state(self.net, _part(tensors, "net"))
        for name, value in _part(tensors, "shadow").items():
            self.shadow[name].copy_(value)  # keeps its memory format
        for name, value in _part(tensors, "log_step").items():
            self.log_steps[name].copy_(value)
        self.follow_steps()
        device = self.task.device
        self.indices = {name: value.to(device) for name, value in _part(tensors, "index").items()}
        self.relevance = {name: value.to(device) for name, value in _part(tensors, "relevance").items()}
        self.best = _part(tensors, "best")
        state = self.optimizer.state_dict()
        for index, parameter in enumerate(self.trained):
            if values := _part(tensors, f"optimizer {index}"):
                state["state"][index] = {
                    key: torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
                    for key, value in values.items()
                }
        self.optimizer.load_state_dict(state)


def best_row(history: list[dict]) -> int:
    """Return the index of the row with the best score of those with all of lambda, the first of equal ones.

    While there is none, the index of the last row.
    """
    complete = [index for index, row in enumerate(history) if row["lambda_share"] == 1]
    return max(complete, key=lambda index: history[index]["score"], default=len(history) - 1)


def _part(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """Return the tensors of a part of the written state, by their own names."""
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
