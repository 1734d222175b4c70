"""The command line. Nothing heavy is imported before a command needs it, so that ``relcomp --help`` answers at once."""

import sys

import typer

from relcomp_kit.cli import coding, demonstration, lessons, machine, teaching, training
from relcomp_kit.errors import UserError

COMMANDS = (
    *(machine.check, lessons.run, lessons.lab, training.fetch, training.train, training.sweep),
    *(coding.encode, coding.decode, coding.info, teaching.slides, teaching.exercises, teaching.grade),
    *(demonstration.demo, teaching.api, lessons.render, machine.lock, lessons.report),
)

app = typer.Typer(
    name="relcomp",
    help="Relevance tells which weights of a network matter: lessons that run, and the published claims they test.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; what the user can mend is said in one sentence, without a traceback."""
    try:
        app()
    except UserError as error:
        print(f"relcomp: {error}", file=sys.stderr)
        sys.exit(1)
