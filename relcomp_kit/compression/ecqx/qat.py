"""Quantization-aware training of a net, from the cache or now, and the measurements of the result.

The loop itself is in `relcomp_kit.compression.ecqx.qat_loop`, recipes are in `relcomp_kit.compression.ecqx.recipe`.
"""

import copy
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.compression.ecqx.qat_loop import Report, Run, best_row, train
from relcomp_kit.compression.ecqx.quantized import Quantized, from_tensors, state_dict
from relcomp_kit.compression.ecqx.recipe import QatRecipe, resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.models.masked_net import MaskedLayer

__all__ = ["VERSION", "QatRecipe", "measure", "quantized_net"]

VERSION = 1  # of the training: a change that gives other weights raises it


def quantized_net(
    recipe: QatRecipe, net: nn.Module, data: ImageSet | SceneSet, seed: int, *, report: Report | None = None
) -> tuple[Quantized, list[dict]]:
    """Quantize a trained net by quantization-aware training, or take the result from the cache.

    Source: Becking et al. 2022.

    Parameters
    ----------
    recipe : QatRecipe
        The settings of the training.
    net : nn.Module
        A DeepLabV3 for scenes; for small grey images a `MaskedNet`, or any net of images in rows that gives logits; for
        larger ones any net that takes them and gives logits. It is left as it is.
    data : ImageSet or SceneSet
        The test split is not touched.
    seed : int
        Decides the order of the images, noise, augmentation, dropout and random relevance.
    report : callable, optional
        ``report(step, steps, text)`` after every step.

    Returns
    -------
    Quantized
        The state with the best score on the validation split, of those with all of lambda: pixel accuracy, or accuracy
        for small images. For the arm "float" all is in its ``rest``.
    list of dict
        One row a validation: step, loss (mean since the row before), learning_rate, Lambda (as far as warm-up has let
        it rise), seconds (since the start), the scores of the validation split, sparsity and entropy (bits per weight;
        both None for "float"), and whether this row is ``chosen``.

    Raises
    ------
    UserError
        If recipe, net and data do not fit together, or the loss is not finite.
    """
    recipe = resolve(recipe)
    task = task_of(net, recipe, data, seed)
    config = {"recipe": asdict(recipe), "seed": seed, "net": fingerprint(net), "size": list(task.size)}

    def make(partial: Path) -> tuple[dict, dict]:
        run = Run(net, recipe, task, seed)
        train(run, partial, {"version": VERSION, "data": data.sha256, **config}, report)
        chosen = best_row(run.history)
        return run.best, {"history": [row | {"chosen": i == chosen} for i, row in enumerate(run.history)]}

    tensors, info = load_or_make("qat", VERSION, config, data.sha256, make)
    return from_tensors(tensors), info["history"]


def measure(
    recipe: QatRecipe, net: nn.Module, data: ImageSet | SceneSet, seed: int, *, report: Report | None = None
) -> dict:
    """Return scores and sizes of a net after quantization-aware training: one point of a sweep.

    Parameters
    ----------
    recipe : QatRecipe
        The settings of the training.
    net : nn.Module
        The trained net, as in `quantized_net`; left as it is.
    data : ImageSet or SceneSet
        The test split is only scored on.
    seed : int
        That of the training.
    report : callable, optional
        ``report(step, steps, text)`` after every step.

    Returns
    -------
    dict
        Name to (value, unit), JSON-able: scores on the test split and on the validation split, by which the state was
        chosen; sparsity and entropy (None for the arm "float"); sizes as `Quantized` estimates them.

    Raises
    ------
    UserError
        As in `quantized_net`.
    """
    quantized, history = quantized_net(recipe, net, data, seed, report=report)
    task = task_of(net, resolve(recipe), data, seed)
    trained = copy.deepcopy(net).to(task.device).to(memory_format=torch.channels_last).eval()
    trained.load_state_dict(state_dict(quantized))
    # Without the masks of a `MaskedNet`: what they hide has the index 0.
    sized = replace(quantized, rest={n: v for n, v in quantized.rest.items() if not n.endswith("weight_mask")})
    row = next(row for row in history if row["chosen"])
    scores = {name.replace("_", " "): (value, "share") for name, value in task.scores(trained, "test").items()}
    return scores | {
        f"validation {task.chosen_by.replace('_', ' ')}": (row[task.chosen_by], "share"),
        "sparsity": (row["sparsity"], "share"),
        "entropy": (row["entropy"], "bits per weight"),
        "coded size": (sized.coded_bytes, "bytes"),
        "compression ratio": (sized.compression_ratio, ""),
        "chosen step": (row["step"], "steps"),
        "training time": (history[-1]["seconds"], "s"),
        "data": (data.sha256, ""),
    }


def fingerprint(net: nn.Module) -> str:
    """Return a hash of a net: what it is made of, and its weights and buffers to the bit."""
    parts: list[tuple[str, str, str] | str] = [
        (name, type(part).__name__, part.extra_repr()) for name, part in net.named_modules()
    ]
    parts += [part.activation for part in net.modules() if isinstance(part, MaskedLayer)]
    state = {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}
    return hashlib.sha256(json.dumps(parts).encode() + save(state)).hexdigest()
