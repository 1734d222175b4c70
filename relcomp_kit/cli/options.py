"""What several commands share: options, folders, and what Ctrl-C says."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

Lessons = Annotated[
    list[str] | None, typer.Argument(metavar="[LESSON]...", help="Number, beginning of a name or name; all if none.")
]
Out = Annotated[
    Path, typer.Option(help="Folder of the run: a site to open at index.html, executed notebooks, claims.json.")
]
DEFAULT_OUT = Path("relcomp-out")


def file_to_write(path: Path | None) -> Path | None:
    """Refuse a path that no file can be written to before anything is computed: the callback of such options."""
    from relcomp_kit.files import check_file

    if path is not None:
        check_file(path)
    return path


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Answer Ctrl-C with one sentence that says what is kept, and exit status 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nrelcomp: interrupted; {kept}; run the same command again to go on", file=sys.stderr)
        raise typer.Exit(130) from None
