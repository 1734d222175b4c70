"""What students hand in, sorted by student and lesson: folders and zips as people and learning platforms make them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from relcomp_kit.course.grade.archives import BROKEN, Handed, TooMuch, expand, folder_files, single_file, zip_files
from relcomp_kit.course.grade.notebook_code import code_of, lesson_of
from relcomp_kit.errors import UserError

NOTEBOOK_BYTES = 20_000_000  # with its outputs; a rendered lesson takes 0.4 million
CLASS_ENTRIES = 100_000  # files and folders of all students, in the zip of a platform
ARCHIVES = {".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst"}
CANVAS = r"_(?:(?P<order>[1-9]\d*)_(?P<rest>.+)|(?P<page>(?:text|link)\.html))"
PLATFORMS = [
    re.compile(pattern, re.DOTALL)
    for pattern in (
        # Moodle: "Ann Lee_12_assignsubmission_file_/x.ipynb", or flat "Ann Lee_12_assignsubmission_file_x.ipynb"
        r"(?P<student>.+?_\d+)_assignsubmission_[a-z]+(?:_(?P<rest>.*))?",
        # Canvas: "leeann_LATE_12_345_x-1.ipynb", "anon_k8Xz1_345_x.ipynb"; the last number grows with every file
        r"(?P<student>anon)(?P<late>_LATE)?_(?P<user>[A-Za-z0-9]{5})" + CANVAS,
        r"(?P<student>[^\W\d]\w*?)(?P<late>_LATE)?_(?P<user>[1-9]\d*)" + CANVAS,
    )
]
NOTEBOOK = re.compile(r"(.*)\.ipynb(?:\.txt|\.json)?", re.IGNORECASE | re.DOTALL)  # some browsers add a suffix
COPIED = re.compile(r"copy|[\W\d_]", re.IGNORECASE)  # what browsers and Jupyter add to the name of a copy


@dataclass
class Pack:
    """What one student has handed in.

    Attributes
    ----------
    student : str
        The name of the folder or zip; a platform's name and number of the student.
    notebooks : dict of str to list of str
        Lesson to the code of its cells.
    problems : dict of str to str
        Lesson to what is wrong with its notebook; the empty name stands for the whole pack.
    remarks : list of str
        What does not count, and why; what else a teacher may want to know.
    """

    student: str
    notebooks: dict[str, list[str]] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def read_packs(place: Path, lessons: Mapping[str, set[str]]) -> list[Pack]:
    """Return the packs of all students, by name; nobody who is named by a folder or file is left out.

    Parameters
    ----------
    place : Path
        A student's folder or zip, a folder of such, or what a platform (Moodle, Canvas) gives, as its zip or unpacked.
    lessons : mapping of str to set of str
        The lessons to look for, and the names of their exercises, by which a renamed notebook is known.

    Raises
    ------
    UserError
        If there is nothing of the kind, a student's notebook lies beside the packs of others, or those of several
        students lie loose in one place.
    """
    place = Path(place)
    if not place.exists():
        raise UserError(f"{place} is missing: name a folder of packs, or a pack")
    inside = [] if place.is_file() else [file for file in folder_files(place) if not file.junk]
    if place.is_file():
        packs = _one_file(place, lessons)
    elif len(inside) == 1 and inside[0].name.lower().endswith(".zip"):  # perhaps a platform's, with all students in it
        packs = _one_file(place / inside[0].name, lessons)
    else:
        packs = _class(place, inside, lessons)
    if not any(pack.notebooks or pack.problems for pack in packs):
        raise UserError(f"{place} holds no notebook of {', '.join(lessons)}: name a folder of packs, or a pack")
    return packs


def _one_file(place: Path, lessons: Mapping[str, set[str]]) -> list[Pack]:
    """Return the packs in a zip, one or those of a platform's students; or that of a student's only notebook."""
    if NOTEBOOK.fullmatch(place.name):
        return [_pack(place.name, [single_file(place, place.parent)], lessons)]
    try:
        files = [file for file in zip_files(place, entries=CLASS_ENTRIES) if not file.junk]
    except BROKEN as error:
        name = printable(place.name)
        return [Pack(name, problems={"": f"{name} cannot be read as a zip ({printable(str(error))})"})]
    if any(_by_platform(file.parts[0]) for file in files):
        return _class(place, files, lessons)
    return [_pack(place.name, files, lessons)]


def _class(place: Path, files: list[Handed], lessons: Mapping[str, set[str]]) -> list[Pack]:
    """Return the packs of what lies in one place; only one if the place is itself a student's folder."""
    groups: dict[str, list[Handed]] = {}
    late: dict[str, list[str]] = {}
    loose: list[Handed] = []
    for file in files:
        top = file.parts[0]
        platform = _by_platform(top)
        if platform:
            student = "_".join(filter(None, (platform["student"], platform.get("user"))))
            name = platform.get("rest") or platform.get("page") or ""
            parts = tuple(filter(None, (name, *file.parts[1:]))) or (top,)
            groups.setdefault(student, []).append(replace(file, parts=parts, order=int(platform.get("order") or 0)))
            if platform.get("late"):
                late.setdefault(student, []).append(f"{printable(name)} was handed in late")
        elif len(file.parts) > 1 or file.kind == "folder" or Path(top).suffix.lower() in ARCHIVES | {".zip"}:
            groups.setdefault(top, []).append(file)
        elif NOTEBOOK.fullmatch(top):
            loose.append(file)
    packs = [_pack(student, some, lessons) for student, some in groups.items()]
    for pack, student in zip(packs, groups):
        pack.remarks += late.get(student, [])
    strays = [_pack(file.name, [file], lessons) for file in loose]
    own = [pack for pack in strays if pack.notebooks or pack.problems]
    if own and sum(bool(pack.notebooks or pack.problems) for pack in packs) > 1:
        where = place / own[0].student
        raise UserError(f"{where} lies beside the packs of others: put it into a folder with its student's name")
    _check_of_one(place, own)
    if own:
        return [_pack(place.absolute().name, files, lessons)]
    every, names = sorted([*packs, *strays], key=lambda pack: pack.student), set()
    for pack in every:
        while pack.student in names:  # they differ only in what cannot be printed
            pack.student += "?"
        names.add(pack.student)
    return every


def _check_of_one(place: Path, loose: list[Pack]) -> None:
    """Refuse notebooks of one lesson, loose in one place, whose names are those of several students."""
    named: dict[str, dict[str, str]] = {}
    for pack in loose:
        for lesson in (*pack.notebooks, *pack.problems):
            rest = COPIED.sub("", NOTEBOOK.sub(r"\1", pack.student).replace(lesson, "")).lower()
            named.setdefault(lesson, {}).setdefault(rest, pack.student)
    for lesson, names in named.items():
        different = [name for rest, name in names.items() if rest]
        if len(different) > 1:
            raise UserError(
                f"{different[0]} and {different[1]} in {place} are both notebooks of {lesson}: put each into a folder "
                "with its student's name; if they are of one student, put them into one folder, and that into another"
            )


def _by_platform(name: str) -> dict[str, str | None] | None:
    """Return the parts of a name that a platform has made: the student, the file's own name and so on."""
    found = next(filter(None, (pattern.fullmatch(name) for pattern in PLATFORMS)), None)
    return found and found.groupdict()


def _pack(student: str, files: Iterable[Handed], lessons: Mapping[str, set[str]]) -> Pack:
    """Return a student's pack; of several notebooks of a lesson the one that was changed last counts."""
    pack = Pack(printable(student))
    copies: dict[str, list[tuple[tuple, str, list[str]]]] = {}
    damaged: dict[str, str] = {}
    others: list[str] = []
    try:
        for file in expand(iter(files), lambda text: pack.problems.setdefault("", printable(text))):
            if file.kind == "link":
                pack.remarks.append(f"{printable(file.name)} does not count: it is a link or a device")
            elif file.kind == "file" and NOTEBOOK.fullmatch(file.name):
                _read_notebook(pack, file, lessons, copies, damaged)
            elif file.kind == "file" and file.name != "README.md":
                others.append(printable(file.name))
    except TooMuch as error:
        pack.problems[""] = printable(str(error))
    for lesson, found in copies.items():
        *earlier, (_, chosen, pack.notebooks[lesson]) = sorted(found)
        pack.remarks += [f"{name} does not count: {chosen} is a later copy of {lesson}" for _, name, _ in earlier]
    pack.problems |= {lesson: text for lesson, text in damaged.items() if lesson not in pack.notebooks}
    if others and not pack.notebooks and not pack.problems and not pack.remarks:
        pack.problems[""] = f"{others[0]} is neither a notebook nor a zip: ask for the .ipynb files, or a .zip of them"
    return pack


def _read_notebook(pack: Pack, file: Handed, lessons: Mapping[str, set[str]], copies: dict, damaged: dict) -> None:
    """Note a notebook under its lesson, or what is wrong with it."""
    name, stem = printable(file.name), NOTEBOOK.fullmatch(file.name)[1]
    try:
        content = file.read(NOTEBOOK_BYTES)
        if len(content) > NOTEBOOK_BYTES:
            raise ValueError(f"the notebook has more than {NOTEBOOK_BYTES:,} bytes")
        cells, whole = code_of(content)
    except BROKEN as error:
        lesson = lesson_of(stem, [], lessons)
        if lesson:
            damaged[lesson] = printable(str(error))
        else:
            pack.remarks.append(f"{name} does not count: {printable(str(error))}")
        return
    lesson = lesson_of(stem, cells, lessons)
    if lesson is None:
        pack.remarks.append(f"{name} does not count: it is the notebook of no lesson")
        return
    if not whole:
        pack.remarks.append(f"{name} is damaged: what can be read of it counts")
    key = whole, file.order, file.when, -len(file.parts), stem == lesson
    copies.setdefault(lesson, []).append((key, name, cells))


def printable(text: str) -> str:
    """Return a text without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
