"""The command line. Nothing heavy is imported before a command needs it, so that ``relcomp --help`` answers at once."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from relcomp_kit import cli_demo, cli_nnc, cli_teach
from relcomp_kit.cli_teach import Lessons
from relcomp_kit.errors import UserError

app = typer.Typer(
    name="relcomp",
    help="Relevance tells which weights of a network matter: lessons that run, and the published claims they test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Out = Annotated[Path, typer.Option(help="Folder of the run: executed notebooks, pages, claims.json, index.html.")]
DEFAULT_OUT = Path("relcomp-out")
DEFAULT_SWEEP = DEFAULT_OUT / "sweep"


def main() -> None:
    """Run the command line; what the user can mend is said in one sentence, without a traceback."""
    try:
        app()
    except UserError as error:
        print(f"relcomp: {error}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Answer Ctrl-C with one sentence that says what is kept, and exit status 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nrelcomp: interrupted; {kept}; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None


@app.command()
def check() -> None:
    """Check this machine: one line each, to paste into a bug report."""
    from relcomp_kit.lessons import environment

    findings = environment.findings()
    for finding in findings:
        print(finding.line())
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


@app.command()
def run(
    lessons: Lessons = None,
    profile: Annotated[str, typer.Option(help="quick: minutes on a CPU; full: the published budgets.")] = "quick",
    out: Out = DEFAULT_OUT,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another data set, in lessons that let you choose.")
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Maintainers: keep the records under data/reference.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Lessons at a time; by default two where there is room.")
    ] = None,
) -> None:
    """Run lessons and decide the claims."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from relcomp_kit.files import cache_dir
    from relcomp_kit.lessons import report, runner

    console = Console()
    sources = runner.check_request(lessons or [], profile, out, dataset)
    parameters = {"profile": profile} | ({"dataset": dataset} if dataset else {})
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    results = []
    with interruptible(f"finished lessons are in {out}, what was trained is in {cache_dir()}"):
        try:
            with Progress(*columns, console=console) as progress:
                bars = {source.stem: progress.add_task(source.stem, total=None) for source in sources}
                at_a_time = jobs or runner.default_jobs(profile)
                if not console.is_terminal:  # a log, in which no bar moves
                    print(f"{len(sources)} lessons, {at_a_time} at a time", flush=True)
                for result in runner.run_lessons(
                    sources, parameters, out, at_a_time, lambda name: partial(progress.update, bars[name])
                ):
                    results.append(result)
                    if not console.is_terminal:
                        print(
                            f"{result.lesson}: {'failed' if result.error else 'done'} in {result.seconds:.0f} s",
                            flush=True,
                        )
        finally:
            rows = runner.write_reports(results, profile, out, [source.stem for source in sources])
    failed = [result for result in results if result.error]
    if record:
        for result in results:
            if not result.error and (kept := runner.keep_record(result.lesson, profile, out)):
                print(f"recorded {kept.name} for the {profile} profile")
    console.print(report.terminal_table(rows))
    for line in runner.moved_figures(results, profile, out):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"Open {out / 'index.html'} in a browser.", markup=False, soft_wrap=True)
    for result in failed:
        print(f"relcomp: lesson {result.lesson} failed: {result.error}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


@app.command()
def lab() -> None:
    """Open JupyterLab at the lessons."""
    from relcomp_kit.lessons.kernel import kernel_environment, notebooks_folder

    folder = notebooks_folder()
    with kernel_environment({}), interruptible("your notebooks are as you saved them"):
        code = subprocess.call([sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"])
    raise typer.Exit(code)


@app.command()
def fetch(names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Data sets, for example mnist.")]) -> None:
    """Download data sets by name and compare their hashes."""
    from relcomp_kit import datasets

    with interruptible("data sets that are complete stay in the cache"):
        for name in names:
            print(f"{name}: {datasets.fetch(name)}")


@app.command()
def train(
    net: Annotated[str, typer.Argument(metavar="[NET]", help="compact, resnet50 or resnet101.")] = "compact",
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Set of scenes, for example camvid.")] = "rail-scenes",
    profile: Annotated[str, typer.Option(help="The recipe: quick takes a few steps; see also --steps.")] = "full",
    seed: Annotated[int, typer.Option(help="Decides initial weights and the order of the images.")] = 0,
    steps: Annotated[int | None, typer.Option(help="Steps of the optimizer.")] = None,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Height and width of the images.")] = None,
    batch: Annotated[int | None, typer.Option(help="Images a step, over all processes.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate at the start.")] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="inverse_sqrt lets rare classes weigh more; none: all alike.")
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many validations without a better mIoU.")] = None,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Start from COCO weights; not compact.")] = False,
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
    """Train a net that segments scenes, and test it."""
    from relcomp_kit.datasets.scenes import describe, load_scenes
    from relcomp_kit.files import cache_dir, read_json
    from relcomp_kit.lessons import train_net
    from relcomp_kit.lessons.profiles import STEPS
    from relcomp_kit.models.checkpoints import commit_checkpoint

    recipe = train_net.choose_recipe(
        net,
        dataset,
        profile,
        pretrained=pretrained,
        size=train_net.read_size(size) if size else None,
        steps=steps,
        batch=batch,
        learning_rate=lr,
        precision=precision,
        class_weights=class_weights,
        patience=patience,
    )
    if record:
        train_net.check_fit_to_record(recipe)
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


@app.command()
def sweep(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="Experiment, fixed values, grid, extra points.")],
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes here; by default one a core.")] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask scheduler, tcp://HOST:PORT.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the records; points that have one are done.")] = DEFAULT_SWEEP,
) -> None:
    """Run a grid of points of an experiment: a JSON record each, and what is done already is not run again."""
    from relcomp_kit.lessons.sweeps.plan import read_plan
    from relcomp_kit.lessons.sweeps.run import missing, run_missing

    points = read_plan(plan)
    print(f"{len(points)} points, {len(points) - len(missing(points, out))} of them done before", flush=True)
    with interruptible(f"the records of finished points are in {out}"):
        failed = run_missing(points, out, workers=workers, cluster=cluster)
    print(f"{len(points) - failed} of {len(points)} records are in {out}", flush=True)
    if failed:
        what = "1 point" if failed == 1 else f"{failed} points"
        print(f"relcomp: {what} failed; run the same command again to try again", file=sys.stderr)
        raise typer.Exit(1)


for command in (cli_nnc.encode, cli_nnc.decode, cli_nnc.info, cli_teach.slides, cli_teach.exercises, cli_teach.grade):
    app.command()(command)
app.command()(cli_demo.demo)


@app.command()
def render(lessons: Lessons = None) -> None:
    """Make notebooks/*.ipynb from notebooks/source/*.py, executed in the quick profile."""
    from relcomp_kit.lessons import notebooks

    with interruptible("notebooks rendered so far are kept"):
        for source in notebooks.find_lessons(lessons or []):
            print(f"rendered {notebooks.render(source).name}", flush=True)


@app.command()
def lock() -> None:
    """Write the versions that the records come from as constraints for pip (maintainers)."""
    from relcomp_kit.files import checkout, write_atomic
    from relcomp_kit.lessons import locked

    file = checkout() / locked.FILE
    write_atomic(file, locked.constraints().encode())
    print(f"wrote {file}")


@app.command()
def report(
    out: Out = DEFAULT_OUT,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the claims as Markdown.")] = None,
) -> None:
    """Show the claims of a run beside the recorded ones; only these if there is no run."""
    from rich.console import Console

    from relcomp_kit.lessons import claims, runner
    from relcomp_kit.lessons.report import terminal_table

    rows = claims.table(runner.read_records(out))
    for written in runner.write_claims(rows, out, html, markdown):
        print(f"wrote {written}")
    if not (html or markdown):
        Console().print(terminal_table(rows))
        print("For what is missing, margins and figures as one page: relcomp report --html report.html")
