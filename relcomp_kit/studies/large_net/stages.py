"""`relcomp large`: a large net from drawn scenes to small files, within the minutes that a card is lent for.

What was trained stays in the cache, and how many steps fit into the time is written down: the same command goes on
where it was stopped. A stage that its time does not last for is cut short, and the record and the lines say so.
"""

import multiprocessing
import statistics
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from relcomp_kit.artifacts import write_artifact
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx import qat_loop
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net
from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.compression.ecqx.recipe import resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.datasets.stacked import in_memory
from relcomp_kit.errors import UserError
from relcomp_kit.files import write_atomic, write_json
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.models.segmentation_training import Trained, reached, train, trained
from relcomp_kit.relevance.lrp import weight_relevance
from relcomp_kit.studies.coding.experiment import decoded_net
from relcomp_kit.studies.experts.experiment import class_relevance, example_of, train_on
from relcomp_kit.studies.large_net.clock import OutOfTime
from relcomp_kit.studies.large_net.run import WANTED, Run, Say, Settings
from relcomp_kit.studies.profiles import STEPS, training_recipe
from relcomp_kit.studies.relevance.measurement import batches
from relcomp_kit.studies.segmentation.training import provenance
from relcomp_kit.threads import cores

KEEP = 0.5, 0.2  # of the multiply-adds, by the experts
BITS, LAMBDA = 4, 0.2
QAT_STEPS, EXPERT_STEPS = 500, 200
RELEVANCE_SCENES, AT_ONCE = 64, 8
PROBE, VALIDATIONS = 12, 4  # steps that are timed; validations of the training
REHEARSED = 16  # scenes of each split
MOST_BYTES = 16 * 10**6  # of a file


def large(settings: Settings, minutes: float, out: Path, say: Say = print) -> Path:
    """Train a large net, ask for its relevance, quantize it, cut experts out of it, and write all as small files.

    Parameters
    ----------
    settings : Settings
        What decides the run.
    minutes : float
        That it may take; the training takes what the stages behind it leave.
    out : Path
        Folder of the files: ``net.nnc``, ``expert-*.nnc``, ``relevance.safetensors`` (of filters, by class),
        ``record.json``, and ``plan.json``, by which the same command goes on.
    say : callable
        Takes lines for people.

    Returns
    -------
    Path
        The record.

    Raises
    ------
    UserError
        If the folder is of another run, there was no time for a single validation, or a file exceeds `MOST_BYTES`.
    """
    run = Run(settings, minutes, out, say)
    if not settings.steps:  # the coder's first use on a machine takes half a minute
        multiprocessing.get_context("spawn").Process(target=_compile_coder, daemon=True).start()
    with run.stage("scenes"):
        data = in_memory(load_scenes("rail-scenes", settings.size), cores(), REHEARSED if settings.steps else None)
    with run.stage("train"):
        net = _trained(run, data)
        run.score("float", net, data)
    with run.stage("relevance"):
        relevance = _relevance(run, net, data)
    with run.stage("quantize"):
        quantized = _quantized(run, "quantize", "net", net, data, QAT_STEPS)
    with run.stage("experts"):
        paths, small = _experts(run, net, data, relevance)
    with run.stage("files"):
        _write(run, "net", quantized, net, data, paths)
        for name, (expert, coded) in small.items():
            _write(run, name, coded, expert, data, {})
    run.record.measure("time", run.clock.taken(), "s", stage="all")
    return write_json(out / "record.json", run.record.content)


def _compile_coder() -> None:
    nnc.encode(ecqx.quantize(nn.Linear(40, 40), BITS, LAMBDA))


def _trained(run: Run, data: SceneSet) -> nn.Module:
    settings = run.settings
    recipe = replace(training_recipe(settings.net, data.name), size=settings.size, batch=settings.batch)
    steps = run.plan.steps("train", lambda: _training_steps(run, recipe, data))
    recipe = replace(recipe, steps=steps, validate_every=-(-steps // VALIDATIONS))
    try:
        found, _ = trained(recipe, data, settings.seed, note=provenance(), report=run.watch("train"))
        if steps < STEPS[settings.net]:
            run.cut("train", f"{steps:,} steps of training, of {STEPS[settings.net]:,}")
    except OutOfTime:
        found = _reached(run, recipe, data)
    run.record.measure("steps", found.history[-1]["step"], "steps", stage="train")
    run.record.measure("validation mIoU", [row["miou"] for row in found.history], "share")
    net = deeplab(settings.net, len(data.classes))
    net.load_state_dict(found.state_dict)
    return net.eval().to(choose_device())


def _reached(run: Run, recipe: Recipe, data: SceneSet) -> Trained:
    found = reached(recipe, data, run.settings.seed)
    if found is None:
        raise UserError("the time was over before the first validation: take more --minutes, or a smaller --size")
    run.cut("train", f"the training ended at step {found.history[-1]['step']:,} of {recipe.steps:,}, as time was over")
    return found


def _training_steps(run: Run, recipe: Recipe, data: SceneSet) -> int:
    """Return for how many steps there is time, after a short training on few scenes that is timed."""
    few, times = replace(data, validation=torch.utils.data.Subset(data.validation, range(recipe.batch))), []
    probe = replace(recipe, steps=PROBE, validate_every=PROBE)
    train(probe, few, run.settings.seed, report=lambda *_: times.append(time.monotonic()))
    took = [after - before for before, after in pairwise(times)]
    step = statistics.median(took[PROBE // 2 : -1])
    validation = took[-1] + (len(data.validation) / recipe.batch - 1) * step  # a pass costs less than a step
    run.plan.content["seconds"] = step, validation
    return run.clock.steps("train", STEPS[recipe.net], step, VALIDATIONS * validation)


def _relevance(run: Run, net: nn.Module, data: SceneSet) -> dict:
    """Return the relevance of filters for each class, on as many scenes as there is time for."""

    def measure() -> int:
        start = time.monotonic()
        class_relevance(net, data, AT_ONCE)
        took = time.monotonic() - start
        return run.clock.steps("relevance", RELEVANCE_SCENES // AT_ONCE, took, share=0.9)

    scenes = min(AT_ONCE * run.plan.steps("relevance", measure), len(data.train))
    found = class_relevance(net, data, scenes)
    if scenes < RELEVANCE_SCENES:
        run.cut("relevance", f"relevance of {scenes} scenes, of {RELEVANCE_SCENES}")
    run.record.measure("scenes", scenes, "scenes", stage="relevance")
    kept = {f"{name}:{layer}": value for name, one in found.items() for layer, value in one.items()}
    write_artifact(run.out / "relevance.safetensors", kept, {"scenes": scenes, **provenance()})
    return found


def _rate(run: Run) -> float:
    """Return the learning rate of what is trained further: half of the net's, as in the sweeps of the lessons."""
    return training_recipe(run.settings.net, "rail-scenes").learning_rate / 2


def _qat_recipe(run: Run, steps: int) -> QatRecipe:
    """Return the recipe of lesson 05's sweep; relevance is measured more seldom, because it costs more here."""
    how = {"schedule": "poly", "learning_rate": _rate(run), "warm_up": steps // 5, "step_rule": "p99.9"}
    batch = min(run.settings.batch, 8)
    return QatRecipe("lrp", BITS, LAMBDA, steps, batch, relevance_every=250, validate_every=-(-steps // 2), **how)


def _quantized(
    run: Run, stage: str, name: str, net: nn.Module, data: SceneSet, wanted: int, share: float = 1.0
) -> Quantized:
    """Return a net quantized by ECQ^x: in training, or without where there is no time."""
    try:
        run.clock.check(stage)
        steps = run.plan.steps(f"{name}, quantized", lambda: _qat_steps(run, stage, net, data, wanted, share))
        found, history = quantized_net(_qat_recipe(run, steps), net, data, run.settings.seed, report=run.watch(stage))
        if steps < wanted:
            run.cut(stage, f"{name}: {steps} steps of quantization-aware training, of {wanted}")
        run.record.measure("steps", history[-1]["step"], "steps", stage=f"{name}, quantized")
        return found
    except OutOfTime:
        run.cut(stage, f"{name}: quantized without training, as time was over")
        return ecqx.quantize(net, BITS, LAMBDA, relevance=weight_relevance(net, batches(data.train, AT_ONCE)))


def _qat_steps(run: Run, stage: str, net: nn.Module, data: SceneSet, wanted: int, share: float) -> int:
    """Return for how many steps there is time, after three that are timed."""
    recipe = resolve(_qat_recipe(run, wanted))
    timed = qat_loop.Run(net, recipe, task_of(net, recipe, data, run.settings.seed), run.settings.seed)
    for _ in range(3):  # the last one counts; the first steps of a device take longer
        times = [time.monotonic()]
        for work in (timed.refresh, timed.fit, timed.step, timed.assign):
            work()
            times.append(time.monotonic())
        timed.fitted = {}  # so that the next one fits again
    measuring, fitting, step, assigning = (after - before for before, after in pairwise(times))
    others = (wanted // recipe.relevance_every + 1) * measuring + 2 * run.seconds[1]
    return run.clock.steps(stage, wanted, step + assigning + fitting / recipe.fit_every, others, share)


def _experts(run: Run, net: nn.Module, data: SceneSet, relevance: dict) -> tuple[dict, dict]:
    """Return paths by name, and by name the experts after a short training, with their quantized selves."""
    paths, small, example = {}, {}, example_of(data)
    if WANTED not in relevance:
        run.cut("experts", f"no expert: {WANTED} occurs in none of the scenes that relevance was asked on")
        return {}, {}
    whole = experts.macs(net, example)[ALL]
    for number, keep in enumerate(KEEP):
        name, share = f"expert-{WANTED}-{100 * keep:.0f}", 1 / (2 * (len(KEEP) - number))
        paths[name] = experts.relevant_path(net, relevance[WANTED], keep, example, by="macs")
        one = experts.compact(net, paths[name], example)
        run.record.measure("multiply-adds", experts.macs(one, example)[ALL] / whole, "share", net=name)
        run.score(f"{name}, as cut", one, data)
        _train_further(run, name, one, data, share)
        small[name] = one, _quantized(run, "experts", name, one, data, EXPERT_STEPS, share)
    return paths, small


def _train_further(run: Run, name: str, expert: nn.Module, data: SceneSet, share: float) -> None:
    """Train an expert a little, in place, if there is time."""
    step, validation = run.seconds
    others = EXPERT_STEPS / 50 * validation  # `train_on` validates every 50 steps
    batch, rate, watch = min(run.settings.batch, 8), _rate(run), run.watch("experts")
    try:
        run.clock.check("experts")
        steps = run.plan.steps(name, lambda: run.clock.steps("experts", EXPERT_STEPS, step, others, share))
        train_on(expert, data, run.settings.seed, steps, batch, rate, report=watch)
        if steps < EXPERT_STEPS:
            run.cut("experts", f"{name}: {steps} steps of training, of {EXPERT_STEPS}")
        run.record.measure("steps", steps, "steps", stage=name)
        run.score(f"{name}, trained", expert, data)
    except OutOfTime:
        run.cut("experts", f"{name}: as cut, as time was over")


def _write(run: Run, name: str, quantized: Quantized, net: nn.Module, data: SceneSet, paths: dict) -> None:
    """Write a quantized net as a file, decode it, and test what came out."""
    recipe = {"dataset": data.name, "size": list(run.settings.size)}
    info = {"net": run.settings.net, "classes": list(data.classes), "seed": run.settings.seed, "recipe": recipe}
    coded = nnc.encode(quantized, paths=paths, info=info | provenance() | {"bits": BITS, "lambda": LAMBDA})
    write_atomic(run.out / f"{name}.nnc", coded)
    run.record.measure("file", len(coded), "bytes", net=name)
    run.record.measure("sparsity", quantized.sparsity, "share", net=name)
    run.say(f"{name}.nnc: {len(coded):,} bytes, 1/{quantized.original_bytes / len(coded):.1f} of its float32 net")
    if len(coded) > MOST_BYTES:
        raise UserError(
            f"{run.out / name}.nnc has {len(coded):,} bytes, more than {MOST_BYTES:,}: it is too large to keep"
        )
    run.score(f"{name}.nnc", decoded_net(coded, net), data)
