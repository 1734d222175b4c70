"""The command line. Nothing heavy is imported before a command needs it, so that ``relcomp --help`` answers at once."""

import os
import sys
from contextlib import suppress

import typer

from relcomp_kit.cli import coding, compression, demonstration, lessons, machine, teaching, training
from relcomp_kit.errors import UserError, printable
from relcomp_kit.threads import patient

COMMANDS = (
    *(machine.check, lessons.run, lessons.lab, training.fetch, training.train, training.large, training.sweep),
    *(compression.compress, compression.predict, coding.encode, coding.decode, coding.info),
    *(teaching.slides, teaching.exercises, teaching.grade, demonstration.demo, teaching.api),
    *(lessons.render, machine.lock, lessons.report, lessons.site),
)

INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 and the number of the signal, as shells count

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
    """Run the command line; an error that the user can mend is one sentence, without a traceback.

    The exit status is 0, 1 if the command says what failed, 2 for a wrong option, 130 after Ctrl-C, and 141 if the
    reader of a pipe has gone, as after ``| head -1``.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it is closed
        stream.reconfigure(errors="backslashreplace")  # rather than to fail on a name that a terminal cannot show
    os.environ.update(patient())  # before anything imports torch
    try:
        try:
            app()
        finally:
            if sys.stdout:
                sys.stdout.flush()
    except UserError as error:
        status = _complain(str(error))
    except OSError as error:
        status = BROKEN_PIPE if isinstance(error, BrokenPipeError) else _complain(_sentence(error))
        _discard_output()
    except SystemExit as stop:  # so Typer ends, whatever it has caught
        status = stop.code
        if isinstance(stop.__context__, BrokenPipeError):
            status = BROKEN_PIPE
            _discard_output()
        elif isinstance(getattr(stop.__context__, "__cause__", None), KeyboardInterrupt):
            _complain("interrupted")
    except KeyboardInterrupt:  # before Typer has begun, or after it has ended
        _complain("interrupted")
        status = INTERRUPTED
    sys.exit(status)


def _complain(sentence: str) -> int:
    print(f"relcomp: {printable(sentence)}", file=sys.stderr)
    return 1


def _sentence(error: OSError) -> str:
    """Return an error of the system as a sentence, for errors that no command has explained."""
    named = [str(name) for name in (error.filename, error.filename2) if name is not None]
    reason = error.strerror or str(error) or type(error).__name__
    return f"{' and '.join(named) or 'reading or writing'} failed: {reason}; correct this, and run the command again"


def _discard_output() -> None:
    """Let what is still to be printed go nowhere, or Python would fail on it once more when it ends."""
    with suppress(OSError, AttributeError):  # where it has no number, as in a test, or is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
