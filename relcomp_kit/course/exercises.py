"""The students' version of the lessons: without outputs, without solutions, as notebooks or as one zip.

On Colab each notebook has a machine of its own, without the kit. A teacher whose students work there names a clone that
Colab can reach; then every notebook begins with a cell that installs the kit from it, and does nothing elsewhere.
"""

import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from relcomp_kit.course import glossary, navigation
from relcomp_kit.course.notebooks import find_lessons, lesson_title, notebook_text, read_source
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder, write_atomic

EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can name
ADDRESS = re.compile(r"https://[\w.-]+(/[\w.~-]+)+/?")

README = """# Exercises

{lessons}

Every notebook runs from top to bottom. Each exercise is a function whose body is missing: write it in place of
`raise NotImplementedError`, in the same cell, and run the cell below it. It says at once whether you are right: in the
cases that it shows, and in a hundred others, drawn anew each time. Where you are wrong it names one of them, what came,
and what was expected. The stars say how hard an exercise is: ★ takes a line, ★★ a thought before it, ★★★ half an hour.
An exercise that you leave alone does not stop the notebook. The last one of a lesson is open: nobody grades it, so talk
about it. The answers to the three questions are hidden behind a click.

## How to run them

Install the kit, `relcomp_kit`, as the README in a clone of it says; your teacher knows where to clone it from. On Colab
the first cell of each notebook does that, if your pack has one. In the same terminal, where `relcomp check` finds
nothing wrong, go to this folder and run

    jupyter lab

## How to hand them in

Save the notebooks under the names they have, and hand in this folder, or a zip of it. Only the cells of the exercises
are graded, together with the imports and functions above them that they use, so keep everything that an exercise needs
in its own cell. They are graded on cases that nobody has seen before. Each one has {seconds} seconds, and neither
network nor files nor `relcomp_kit`: write it yourself. Of two copies of a notebook the one changed last counts.
"""

COLAB = """# On Colab, this installs the kit and starts the kernel again; then run all cells. Elsewhere it does nothing.
import importlib.util
import os
import subprocess
import sys

if "COLAB_RELEASE_TAG" in os.environ and importlib.util.find_spec("relcomp_kit") is None:
    clone = "/content/relcomp-course"  # not relcomp_kit: Python would take the folder itself for the package
    if not os.path.isdir(clone):
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", "{address}", clone], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--editable", clone], check=True)
    os.kill(os.getpid(), 9)  # numpy is older now than the one that this kernel has loaded"""


def write_exercises(folder: Path, names: Sequence[str] = (), colab: str | None = None) -> list[Path]:
    """Write the students' notebooks and their README into a folder.

    Parameters
    ----------
    folder : Path
        It is made if needed.
    names : sequence of str
        Of lessons, as for `find_lessons`.
    colab : str, optional
        Address of a clone, for a first cell that installs the kit on Colab.

    Raises
    ------
    UserError
        If one of the files is there already, since it may hold a student's work, or the address is not one of a clone.
    """
    files = student_files(names, colab)
    make_folder(folder)
    there = [name for name in files if (Path(folder) / name).exists()]
    if there:
        raise UserError(f"{folder} already holds {', '.join(there)}, perhaps with work in it: choose another --out")
    return [write_atomic(Path(folder) / name, text) for name, text in files.items()]


def write_pack(file: Path, names: Sequence[str] = (), colab: str | None = None) -> Path:
    """Write the students' notebooks and their README as one zip, the same bytes whenever and wherever it is made.

    Parameters
    ----------
    file : Path
        The zip; the folder in it has the same name without the suffix.
    names : sequence of str
        Of lessons, as for `find_lessons`; none for all.
    colab : str, optional
        As for `write_exercises`.

    Raises
    ------
    UserError
        If the file is there already, or the address is not one of a clone.
    """
    file = Path(file)
    if file.exists():
        raise UserError(f"{file} is there already, perhaps with work in it: choose another name")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as pack:  # versions of zlib compress differently
        for name, text in student_files(names, colab).items():
            entry = zipfile.ZipInfo(f"{file.stem}/{name}", EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, readable
            pack.writestr(entry, text.encode())
    return write_atomic(file, content.getvalue())


def student_files(names: Sequence[str] = (), colab: str | None = None) -> dict[str, str]:
    """Return the texts of a student's files by their names: README, glossary, and lessons that link to each other.

    Parameters
    ----------
    names : sequence of str
        Of lessons, as for `find_lessons`; none for all.
    colab : str, optional
        Address of a clone, beginning with ``https://``, for a first cell that installs the kit on Colab.

    Raises
    ------
    UserError
        If the address is not one of a clone, or a name fits no lesson or several.
    """
    from relcomp_kit.course.grade.process import SECONDS

    if colab is not None and not ADDRESS.fullmatch(colab):
        raise UserError(f"{colab!r} is no address of a clone: it begins with https:// and has no spaces")
    lessons = {source.stem: student_version(read_source(source), colab) for source in find_lessons(names)}
    listing = "\n".join(f"- {name}.ipynb: {lesson_title(lesson)}" for name, lesson in lessons.items())
    listing += f"\n- {glossary.FILE}: the words of the course"
    files = {"README.md": README.format(lessons=listing, seconds=SECONDS), glossary.FILE: glossary.text()}
    titles = {name: lesson_title(lesson) for name, lesson in lessons.items()}
    for name, lesson in lessons.items():
        navigation.link(lesson, name, titles)
    return files | {f"{name}.ipynb": notebook_text(lesson) for name, lesson in lessons.items()}


def student_version(notebook: NotebookNode, colab: str | None = None) -> NotebookNode:
    """Take the solutions out of the cells tagged ``exercise``; the notebook that is given is changed and returned.

    Parameters
    ----------
    notebook : NotebookNode
        A lesson, as `read_source` reads it.
    colab : str, optional
        Address of a clone; with one, a cell that installs the kit on Colab comes first.

    Raises
    ------
    UserError
        If an exercise has no line ``# solution``.
    """
    import nbformat

    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            cell.source = without_solution(cell.source)
    if colab is not None:
        first = nbformat.v4.new_code_cell(COLAB.format(address=colab), id="colab")
        notebook.cells.insert(0, first)
    return notebook


def without_solution(code: str) -> str:
    """Replace what follows the line ``# solution`` in its function by ``raise NotImplementedError``.

    Raises
    ------
    UserError
        If there is no such line, so that no solution slips through.
    """
    lines, kept, indent = code.splitlines(), [], None
    for line in lines:
        if line.strip() == "# solution":
            indent = line[: line.index("#")]
            kept += [f"{indent}# your code here", f"{indent}raise NotImplementedError"]
            continue
        if indent is not None and line.strip() and not line.startswith(indent):
            indent = None
            kept += ["", ""]
        if indent is None:
            kept.append(line)
    if kept == lines:
        raise UserError(f"an exercise has no line '# solution': {lines[0] if lines else 'empty cell'}")
    return "\n".join(kept)
