"""Read what students hand in: folders and zips, which are never unpacked, and notebooks that may hold anything."""

import json
import zipfile
import zlib
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import IO

from relcomp_kit.errors import UserError

PACK_BYTES = 50_000_000  # of a zip
ENTRIES = 10_000  # in a zip
NOTEBOOK_BYTES = 20_000_000  # with its outputs; a rendered lesson takes 0.4 million


@dataclass
class Pack:
    """What one student has handed in.

    Attributes
    ----------
    student : str
        The name of the folder or zip.
    notebooks : dict of str to list of str
        Lesson to the code of its cells.
    problems : dict of str to str
        Lesson to what is wrong with its notebook; the empty name stands for the whole pack.
    remarks : list of str
        Notebooks that do not count, and why.
    """

    student: str
    notebooks: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_packs(place: Path, lessons: list[str]) -> list[Pack]:
    """Return the packs of all students, by name.

    Parameters
    ----------
    place : Path
        A student's folder or zip, or a folder of such; a student's folder may hold the zip that was handed in.
    lessons : list of str
        Names of the notebooks to look for, without ``.ipynb``; a file's name may have more before and behind.

    Raises
    ------
    UserError
        If there is nothing of the kind, or a student's notebook lies beside the packs of others.
    """
    place = Path(place)
    if not place.exists():
        raise UserError(f"{place} is missing: name a folder of packs, or a pack")
    inside = [] if place.is_file() else sorted(path for path in place.iterdir() if not path.name.startswith("."))
    packs = [_read(path, lessons) for path in inside if path.is_dir() or path.suffix.lower() == ".zip"]
    strays = [path for path in inside if path.suffix == ".ipynb" and path.is_file()]
    own = [path for path in strays if _lesson(path.stem, lessons)]
    if own and sum(bool(pack.notebooks or pack.problems) for pack in packs) > 1:
        raise UserError(f"{own[0]} lies beside the packs of others: put it into a folder with its student's name")
    if own or place.is_file():
        packs = [_read(place.absolute(), lessons)]
    else:
        packs += [Pack(printable(path.name), problems={"": "its name is that of no lesson"}) for path in strays]
        packs.sort(key=lambda pack: pack.student)
    if not any(pack.notebooks or pack.problems for pack in packs):
        raise UserError(f"{place} holds no notebook of {', '.join(lessons)}: name a folder of packs, or a pack")
    return packs


def _read(place: Path, lessons: list[str]) -> Pack:
    pack = Pack(printable(place.name))
    inside = [place] if place.is_file() else place.rglob("*")
    for file in sorted(inside, key=lambda path: (len(path.parts), path.stem not in lessons, path)):
        hidden = any(part.startswith(".") for part in file.relative_to(place).parts)
        if hidden or file.is_symlink() or not file.is_file():
            continue
        if file.suffix.lower() == ".zip":
            _read_zip(file, lessons, pack)
        elif file.suffix == ".ipynb":
            with file.open("rb") as stream:
                _keep(pack, file.name, lessons, stream)
    return pack


def _read_zip(file: Path, lessons: list[str], pack: Pack) -> None:
    """Read the notebooks of a zip: never more of one than a notebook may take, and nothing onto the disk."""
    if file.stat().st_size > PACK_BYTES:
        pack.problems[""] = f"{printable(file.name)} has more than {PACK_BYTES:,} bytes"
        return
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            if len(entries) > ENTRIES:
                raise ValueError(f"more than {ENTRIES:,} entries")
            for entry in sorted(entries, key=lambda entry: (entry.filename.count("/"), entry.filename)):
                name = entry.filename.rpartition("/")[2]
                if name.endswith(".ipynb") and "/." not in f"/{entry.filename}":
                    with archive.open(entry) as stream:
                        _keep(pack, name, lessons, stream)
    except (zipfile.BadZipFile, RuntimeError, ValueError, OSError, EOFError, zlib.error, LZMAError) as error:
        pack.problems[""] = f"{printable(file.name)} cannot be read as a zip ({printable(str(error))})"


def _lesson(stem: str, lessons: list[str]) -> str | None:
    """Return the lesson that a file's name holds; browsers and students put more before and behind it."""
    return next((lesson for lesson in lessons if lesson in stem), None)


def _keep(pack: Pack, name: str, lessons: list[str], stream: IO[bytes]) -> None:
    """Keep the code of a notebook; of several copies of a lesson the one nearest to the top counts."""
    lesson = _lesson(name.removesuffix(".ipynb"), lessons)
    if lesson is None:
        pack.remarks.append(f"{printable(name)} does not count: its name is that of no lesson")
        return
    if lesson in pack.notebooks or lesson in pack.problems:
        pack.remarks.append(f"{printable(name)} does not count: it is a second copy of {lesson}")
        return
    content = stream.read(NOTEBOOK_BYTES + 1)
    if len(content) > NOTEBOOK_BYTES:
        pack.problems[lesson] = f"the notebook has more than {NOTEBOOK_BYTES:,} bytes"
        return
    try:
        pack.notebooks[lesson] = _code(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pack.problems[lesson] = "the file is no notebook"


def _code(notebook: dict) -> list[str]:
    """Return the code of a notebook's cells, each a text or a list of lines."""
    sources = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return [source if isinstance(source, str) else "".join(source) for source in sources]


def printable(text: str) -> str:
    """Return a text without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
