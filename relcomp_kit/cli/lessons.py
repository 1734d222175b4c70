"""The commands that run and show lessons: `relcomp run`, `lab`, `render`, `report`, `site`."""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from relcomp_kit.cli.options import DEFAULT_OUT, Lessons, Out, file_to_write, interruptible


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

    from relcomp_kit.course import runner, site
    from relcomp_kit.evidence import report
    from relcomp_kit.files import cache_dir

    console = Console()
    sources = runner.check_request(lessons or [], profile, out, dataset)
    parameters = {"profile": profile} | ({"dataset": dataset} if dataset else {})
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    results = []
    with interruptible(f"finished lessons are in {out}, what was trained is in {cache_dir()}"):
        site.keep_course(out, lambda line: print(line, flush=True))
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
    moved = runner.moved_figures(results, profile, out)  # from the records that ``record`` replaces
    if record:
        for result in results:
            if not result.error and (kept := runner.keep_record(result.lesson, profile, out)):
                print(f"recorded {kept.name} for the {profile} profile")
    console.print(report.terminal_table(rows))
    for line in moved:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"Open {out / 'index.html'} in a browser.", markup=False, soft_wrap=True)
    for result in failed:
        print(f"relcomp: lesson {result.lesson} failed: {result.error}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def lab() -> None:
    """Open JupyterLab at the lessons."""
    from relcomp_kit.course.kernel import kernel_environment, notebooks_folder

    folder = notebooks_folder()
    with kernel_environment({}), interruptible("your notebooks are as you saved them"):
        code = subprocess.call([sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}"])
    raise typer.Exit(code)


def render(lessons: Lessons = None) -> None:
    """Make notebooks/*.ipynb from notebooks/source/*.py, executed in the quick profile; and notebooks/glossary.md."""
    from relcomp_kit.course import glossary, notebooks
    from relcomp_kit.course.kernel import notebooks_folder
    from relcomp_kit.files import write_atomic

    with interruptible("notebooks rendered so far are kept"):
        for source in notebooks.find_lessons(lessons or []):
            print(f"rendered {notebooks.render(source).name}", flush=True)
        write_atomic(notebooks_folder() / glossary.FILE, glossary.text())


def report(
    out: Out = DEFAULT_OUT,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one page.", callback=file_to_write)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the claims as Markdown.", callback=file_to_write)
    ] = None,
) -> None:
    """Show the claims of a run beside the recorded ones; only these if there is no run."""
    from rich.console import Console

    from relcomp_kit.course import runner
    from relcomp_kit.evidence import claims
    from relcomp_kit.evidence.report import terminal_table

    rows = claims.table(runner.read_records(out))
    for written in runner.write_claims(rows, out, html, markdown):
        print(f"wrote {written}")
    if not (html or markdown):
        Console().print(terminal_table(rows))
        print("For what is missing, margins and figures as one page: relcomp report --html report.html")


def site(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the site goes; a site there is replaced.")],
    run: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="With the results of this run: the --out of `relcomp run`.")
    ] = None,
) -> None:
    """Write the course as one site: lessons, claims, slides, exercises, glossary, API; for any web server, or none."""
    from relcomp_kit.course import site as pages
    from relcomp_kit.progress import Progress

    with Progress("parts of the site", len(pages.lessons()) + 1, log_every=10) as progress:
        first = pages.write_site(folder, run, progress.advance)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{first}: {size / 1e6:.0f} MB")
