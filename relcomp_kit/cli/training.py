"""The commands that compute for long: `relcomp train` and `sweep`, and `fetch` for their data."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from relcomp_kit.cli.options import DEFAULT_OUT, interruptible
from relcomp_kit.errors import UserError

DEFAULT_SWEEP, DEFAULT_LARGE = DEFAULT_OUT / "sweep", DEFAULT_OUT / "large"


def fetch(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets, for example mnist.")]) -> None:
    """Download data sets by name and compare their hashes."""
    from relcomp_kit import datasets

    with interruptible("data sets that are complete stay in the cache"):
        for name in names:
            print(f"{name}: {datasets.fetch(name)}")


def train(
    net: Annotated[
        str,
        typer.Argument(
            metavar="[NET]",
            help="To segment scenes: compact, resnet50 or resnet101. To classify, each on its own set: mlp-gsc, vgg16, "
            "resnet20, -32, -44, -56 or resnet18.",
        ),
    ] = "compact",
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Set of scenes, for example camvid.")] = "rail-scenes",
    profile: Annotated[str, typer.Option(help="The recipe: quick takes a few steps; see also --steps.")] = "full",
    seed: Annotated[int, typer.Option(help="Decides initial weights and the order of the images.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimizer.")] = None,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Height and width of the images.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step, over all processes.")] = None,
    half_size_steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Steps that see scenes of half the size first, at a quarter of the cost."),
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at the start.")] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="inverse_sqrt lets rare classes weigh more; none: all alike.")
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many validations without a better mIoU.")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Start from COCO weights; not compact.")] = False,
    start: Annotated[
        str | None, typer.Option(metavar="NET", help="Start from a committed net of the same size; none: from scratch.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, bf16 or auto.")] = None,
    devices: Annotated[int, typer.Option(metavar="N", help="Processes on this machine, a GPU each or all on CPU.")] = 1,
    machines: Annotated[
        int, typer.Option(metavar="N", help="Machines that run this command and meet at $MASTER_ADDR:$MASTER_PORT.")
    ] = 1,
    out: Annotated[Path, typer.Option(help="Folder for weights, log and scores.")] = DEFAULT_OUT,
    tensorboard: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also log for TensorBoard.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on where a training was cut off; use what is finished.")] = True,
    record: Annotated[bool, typer.Option("--record", help="Maintainers: keep the net under data/checkpoints.")] = False,
) -> None:
    """Train a net that segments scenes, or one that classifies, and test it."""
    from relcomp_kit.models.classifiers import NETS

    if net in NETS:
        _train_classifier(net, seed, out, {"steps": steps, "batch": batch, "learning_rate": lr, "precision": precision})
        return
    from relcomp_kit.datasets.scenes import describe, load_scenes
    from relcomp_kit.files import cache_dir, make_folder, read_json
    from relcomp_kit.models.checkpoints import commit_checkpoint
    from relcomp_kit.studies.profiles import STEPS
    from relcomp_kit.studies.segmentation import training as train_net

    recipe = train_net.choose_recipe(
        net,
        dataset,
        profile,
        pretrained=pretrained,
        start=start,
        size=train_net.read_size(size) if size else None,
        steps=steps,
        batch=batch,
        half_size_steps=half_size_steps,
        learning_rate=lr,
        precision=precision,
        class_weights=class_weights,
        patience=patience,
    )
    if record:
        train_net.check_fit_to_record(recipe)
    for folder in filter(None, (out, tensorboard)):
        make_folder(folder)  # or it would be said after the training
    scenes = load_scenes(dataset, recipe.size)
    print(describe(scenes), flush=True)
    if recipe.steps < STEPS[net]:
        print(
            f"{recipe.steps:,} steps, CUT SHORT from {STEPS[net]:,}: --steps {STEPS[net]} trains to the end", flush=True
        )
    with interruptible(
        f"what was reached at the last validation (every {recipe.validate_every} steps) is in {cache_dir()}"
    ):
        file = train_net.train_net(
            recipe, scenes, seed, out, anew=not resume, devices=devices, machines=machines, log_dir=tensorboard
        )
    scores = read_json(file.with_suffix(".json"))
    print(
        f"{file}: {scores['test']['pixel_accuracy']:.1%} pixel accuracy and {scores['test']['miou']:.3f} mIoU "
        f"on the test split, after {scores['seconds']:.0f} s of training"
    )
    if record:
        print(f"recorded in {commit_checkpoint(file)}")


def large(
    net: Annotated[str, typer.Option(metavar="NET", help="compact, resnet50 or resnet101.")] = "resnet101",
    size: Annotated[str, typer.Option(metavar="HxW", help="Height and width of the scenes.")] = "192x320",
    minutes: Annotated[float, typer.Option(min=1, help="All that it may take; the training takes what is left.")] = 9,
    seed: Annotated[int, typer.Option(min=0, help="Decides initial weights and the order of the scenes.")] = 0,
    batch: Annotated[int, typer.Option(min=2, metavar="N", help="Scenes a step.")] = 16,
    steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Rehearse it: N steps a training, on 16 scenes, no clock.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where files and record go.")] = DEFAULT_LARGE,
) -> None:
    """Make a large net for rail scenes on a GPU that is lent for minutes: trained, quantized, cut, as small files."""
    from relcomp_kit.files import cache_dir
    from relcomp_kit.models.deeplab import SIZES
    from relcomp_kit.studies.large_net.run import Settings
    from relcomp_kit.studies.large_net.stages import large as run
    from relcomp_kit.studies.segmentation.training import read_size

    if net not in SIZES:
        raise UserError(f"there is no net {net!r}; choose one of {', '.join(SIZES)}")
    with interruptible(f"what was trained up to the last validation is in {cache_dir()}"):
        record = run(
            Settings(net, read_size(size), seed, batch, steps), minutes, out, lambda line: print(line, flush=True)
        )
    print(f"wrote {record}")


def _train_classifier(net: str, seed: int, out: Path, changes: dict) -> None:
    """Train a net on the set that it is for."""
    from relcomp_kit.files import cache_dir
    from relcomp_kit.studies.quantization.classifiers import train_classifier

    with interruptible(f"what was reached at the last validation is in {cache_dir()}"):
        file, scores = train_classifier(net, seed, out, **changes)
    told = ", ".join(f"{value:.1%} {name.replace('_', ' ')}" for name, value in scores.items())
    print(f"{file}: {told} on the test split")


def sweep(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="Experiment, fixed values, grid, extra points.")],
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes here; by default one a core.")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, tcp://HOST:PORT.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the records; points that have one are done.")] = DEFAULT_SWEEP,
    decide: Annotated[bool, typer.Option("--decide", help="Then decide the claims that hang on the plan.")] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Maintainers: keep what --decide found under data/reference.")
    ] = False,
) -> None:
    """Run a grid of points of an experiment: a JSON record each, and what is done already is not run again."""
    import relcomp_kit.studies  # noqa: F401, it registers the experiments of the kit
    from relcomp_kit.sweeps.plan import read_plan
    from relcomp_kit.sweeps.run import missing, run_missing

    points = read_plan(plan)
    if decide:
        _deciding(points).check(points)
    print(f"{len(points)} points, {len(points) - len(missing(points, out))} of them done before", flush=True)
    with interruptible(f"the records of finished points are in {out}"):
        failed = run_missing(points, out, workers=workers, cluster=cluster)
    print(f"{len(points) - failed} of {len(points)} records are in {out}", flush=True)
    if failed:
        what = "1 point" if failed == 1 else f"{failed} points"
        print(f"relcomp: {what} failed; run the same command again to try again", file=sys.stderr)
        raise typer.Exit(1)
    if decide:
        _decide(points, plan, out, record)


def _deciding(points: list) -> ModuleType:
    """Return the module that makes claims of the records of these points."""
    studies = {"prune": "pruning", "expert": "experts", "saliency": "saliency", "code": "coding"}
    study = studies.get(points[0].experiment, "quantization")
    return importlib.import_module(f"relcomp_kit.studies.{study}.sweep_claims")


def _decide(points: list, plan: Path, out: Path, record: bool) -> None:
    """Print what the records of a sweep decide, and write it into a folder beside them."""
    from relcomp_kit.evidence.claims import reference_folder
    from relcomp_kit.evidence.record import claims_text
    from relcomp_kit.files import write_json
    from relcomp_kit.sweeps.run import read_records

    content = _deciding(points).decided(points, read_records(points, out)).content
    print(claims_text(content))
    name = f"{content['lesson']}.{re.sub('^(ecqx|experts|code)-', '', plan.stem)}.json"
    kept = [out / "claims" / name, *([reference_folder() / name] if record else [])]
    for file in kept:
        file.parent.mkdir(exist_ok=True)
        write_json(file, content)
        print(f"wrote {file}")
