"""Lessons as text and as notebooks: find, read, execute and render them.

A lesson's source is py:percent text (jupytext) in ``notebooks/source``; the notebook beside it is rendered from that
text, never edited. Neither is part of the installed package.
"""

import copy
import functools
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from relcomp_kit.course.kernel import execute, failure_text, notebooks_folder
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout, write_atomic

TAGS = frozenset({"parameters", "exercise", "nbval-check-output", "navigation"})
OUTPUT_LIMIT = 900_000  # bytes of all outputs of a notebook
IMAGE_LIMIT = 300_000  # bytes of an image
METADATA = {
    "jupytext": {"formats": "ipynb,source//py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "pygments_lexer": "ipython3"},
}
CELL_METADATA = ("tags", "slideshow")
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/-])/(?:home|root|Users|tmp|opt|mnt|var|private|usr)/\w|\b[A-Z]:\\\w|site-packages"
)
REMOTE_IMAGE = re.compile(r"!\[[^\]]*\]\(\s*(?:https?:)?//|<img[^>]+src=[\"']?(?:https?:)?//", re.IGNORECASE)


def find_lessons(names: Sequence[str] = ()) -> list[Path]:
    """Return the sources of the lessons named, in their order in the course; all of them when none is named.

    Parameters
    ----------
    names : sequence of str
        A number (``"01"``), the beginning of a name or a whole name.

    Raises
    ------
    UserError
        If a name fits no lesson, or more than one.
    """
    sources = sorted((notebooks_folder() / "source").glob("[0-9][0-9]_*.py"))
    chosen = set()
    for name in names:
        fits = [source for source in sources if source.stem == name] or [
            source for source in sources if name and source.stem.startswith(name)
        ]
        if len(fits) != 1:
            problem = "no lesson is called" if not fits else f"{len(fits)} lessons begin with"
            there = ", ".join(source.stem for source in sources) or "none"
            raise UserError(f"{problem} '{name}'; the lessons are: {there}")
        chosen.add(fits[0])
    return [source for source in sources if source in chosen or not names]


def read_source(source: Path) -> NotebookNode:
    """Read a lesson's text as a notebook without outputs; cell ids are ``<lesson number>-<index>``."""
    return _tidy(copy.deepcopy(_parsed(Path(source).read_text(encoding="utf-8"))), Path(source).stem)


@functools.lru_cache(maxsize=32)
def _parsed(text: str) -> NotebookNode:
    """Parse a lesson's text; kept, because whoever writes a site asks for every lesson six times."""
    import jupytext

    return jupytext.reads(text, fmt="py:percent")


def lesson_title(notebook: NotebookNode) -> str:
    """Return the first heading of a lesson."""
    headings = re.findall(r"^# (.+)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M)
    return headings[0].strip() if headings else "untitled"


def own_dataset(notebook: NotebookNode) -> str | None:
    """Return the data set that a lesson's parameters cell names, None if it does not let you choose one."""
    return next(iter(_datasets(notebook)), None)


def other_datasets(notebook: NotebookNode) -> list[str]:
    """Return the data sets that a comment behind or below the lesson's own lists, if not all of its kind will do."""
    return _datasets(notebook)[1:]


def _datasets(notebook: NotebookNode) -> list[str]:
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    line = re.search(r'^dataset = "[\w-]+"( *#.*)?(\n#.*)*$', "\n".join(cells), re.MULTILINE)
    return re.findall(r'"([\w-]+)"', line[0]) if line else []


def render(source: Path) -> Path:
    """Execute a lesson in its quick profile and write the notebook that people open.

    Raises
    ------
    UserError
        If a cell raises, or the result is not fit to be committed (see `problems`).
    """
    from papermill import PapermillExecutionError

    with tempfile.TemporaryDirectory() as records:
        try:
            notebook = execute(read_source(source), environment={"RELCOMP_RECORDS": records})
        except PapermillExecutionError as error:
            raise UserError(f"{source.stem}: {failure_text(error)}; nothing was written") from error
    notebook = _tidy(notebook, source.stem)
    found = problems(notebook)
    if found:
        raise UserError(f"{source.stem} is not fit to be committed: {'; '.join(found)}; nothing was written")
    return write_notebook(notebook, notebooks_folder() / f"{source.stem}.ipynb")


def problems(notebook: NotebookNode) -> list[str]:
    """Say why a rendered notebook must not be committed: one sentence each, none if it is fit."""
    found = []
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        found.append("the execution counts are not sequential")
    places = [str(checkout()), str(Path.home()), tempfile.gettempdir()]
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        texts = [cell.source]
        for output in outputs:
            if output.output_type == "error":
                found.append(f"cell {cell.id} raised {output.ename}")
            if output.get("name") == "stderr":
                found.append(f"cell {cell.id} wrote to stderr")
            images = {kind for kind in output.get("data", {}) if kind.startswith("image/")}
            if images - {"image/png"}:
                found.append(f"cell {cell.id} holds an image that is not PNG")
            if len(output.get("data", {}).get("image/png", "")) > IMAGE_LIMIT:
                found.append(f"cell {cell.id} holds an image of more than {IMAGE_LIMIT // 1000} kB")
            texts.append(output.get("text", ""))
            texts += [str(value) for kind, value in output.get("data", {}).items() if not kind.startswith("image/")]
        text = "\n".join(texts)
        if ABSOLUTE_PATH.search(text) or any(place in text for place in places if len(place) > 1):
            found.append(f"cell {cell.id} names an absolute path")
        if REMOTE_IMAGE.search(text):
            found.append(f"cell {cell.id} shows an image from the network")
        unknown = set(cell.metadata.get("tags", [])) - TAGS
        if unknown:
            found.append(f"cell {cell.id} has the unknown tag {', '.join(sorted(unknown))}")
    size = sum(len(json.dumps(cell.get("outputs", []))) for cell in notebook.cells)
    if size > OUTPUT_LIMIT:
        found.append(f"the outputs take {size // 1000} kB, more than {OUTPUT_LIMIT // 1000} kB")
    return found


def write_notebook(notebook: NotebookNode, path: Path) -> Path:
    """Write a notebook as `notebook_text` gives it, in one step, so that no reader sees half of it; return its path.

    Parameters
    ----------
    notebook : NotebookNode
        The notebook.
    path : Path
        Of the file.
    """
    return write_atomic(path, notebook_text(notebook))


def notebook_text(notebook: NotebookNode) -> str:
    """Return a notebook as the text of its file."""
    import nbformat

    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _tidy(notebook: NotebookNode, lesson: str) -> NotebookNode:
    """Keep what belongs to the lesson; drop timing, versions and other marks of the run."""
    import nbformat

    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"{lesson[:2]}-{index:03d}"
        cell.metadata = nbformat.from_dict({key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)})
    return nbformat.v4.new_notebook(cells=notebook.cells, metadata=nbformat.from_dict(METADATA), nbformat_minor=5)
