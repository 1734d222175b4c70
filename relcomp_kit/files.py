"""Where things lie, and how they are written: atomically, so that an interrupted run loses nothing."""

import errno
import json
import os
import re
import shutil
import stat
import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

from relcomp_kit.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, the user's share of it, or the limit on a file
NOWHERE = "it is a link that leads nowhere"
LONGEST_PREFIX = 40  # letters of a name that its temporary file has too: a name may have 255 bytes


def is_clone(folder: Path) -> bool:
    """Say whether a folder is a clone of the project, with lessons and data, and not just the package."""
    return (folder / "data" / "claims.toml").is_file()


def checkout() -> Path:
    """Return the folder of the clone, which holds ``notebooks/`` and ``data/``.

    Raises
    ------
    UserError
        If the package was installed without its clone (the lessons are not part of the wheel).
    """
    root = Path(__file__).resolve().parent.parent
    if not is_clone(root):
        raise UserError(
            "the lessons are not part of the installed package: clone the project and run `pip install -e .` in it"
        )
    return root


def cache_dir() -> Path:
    """Return the folder for downloads and trained artifacts: ``$RELCOMP_CACHE``, or the user's cache.

    Raises
    ------
    UserError
        If neither can be told, as for a user without a home folder.
    """
    import platformdirs

    chosen = os.environ.get("RELCOMP_CACHE")
    try:
        folder = Path(chosen or platformdirs.user_cache_dir("relcomp_kit")).expanduser()  # "~" where there is no home
    except RuntimeError as error:  # no such user, or one without a home folder
        raise UserError(
            f"{chosen or 'the folder of the cache'} cannot be found ({error}): set RELCOMP_CACHE to a folder that you "
            "can write to"
        ) from error
    return folder.resolve() if chosen else folder


def refusal(place: Path, error: OSError, needed: int | None = None) -> UserError:
    """Return the sentence for a place that the system does not let be written: where, why, and what to do.

    Parameters
    ----------
    place : Path
        The file or folder.
    error : OSError
        What the system says.
    needed : int, optional
        Bytes to be written, for a disk that is full.
    """
    reason, cure = error.strerror or str(error), "choose another folder"
    with suppress(UserError):
        if Path(os.path.abspath(place)).is_relative_to(cache_dir()):
            cure = "set RELCOMP_CACHE to another folder"
    if error.errno in FULL:
        reason, cure = reason + _room(place, needed), f"make room, or {cure}"
    elif error.errno == errno.ENAMETOOLONG:
        cure = "choose a shorter name"
    elif isinstance(error, FileExistsError):
        reason = NOWHERE if place.is_symlink() else "it is a file, not a folder"
    return UserError(f"cannot write to {place}: {reason}; {cure}")


def _room(place: Path, needed: int | None) -> str:
    """Say how many bytes are needed, and how many are free on the disk of a place."""
    found = [] if needed is None else [f"{needed:,} bytes are needed"]
    there = next((folder for folder in Path(os.path.abspath(place)).parents if folder.is_dir()), None)
    if there:
        with suppress(OSError):
            found.append(f"{shutil.disk_usage(there).free:,} are free")
    return f" ({', '.join(found)})" if found else ""


def make_folder(folder: Path) -> Path:
    """Make a folder that can be written to, or say in one sentence why that fails; a link to a folder is followed."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise refusal(folder, error) from error
    return folder


def check_file(path: Path) -> Path:
    """Return the file that is written for a path, or refuse the path; nothing is made or changed.

    As for ``cp``, a link is followed and stays a link, if it leads to a file.

    Parameters
    ----------
    path : Path
        Where a file shall be written.

    Returns
    -------
    Path
        The path itself, or what its link leads to.

    Raises
    ------
    UserError
        If a folder is there, a link that leads nowhere, or a file that this user may not change.
    """
    path = Path(path)
    try:
        if path.is_symlink() and not path.exists():
            raise UserError(f"cannot write to {path}: {NOWHERE}; choose another name")
        if path.is_dir():
            raise UserError(f"cannot write to {path}: it is a folder; name a file")
        if not path.exists():
            return path
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is write-protected")
    except OSError as error:
        raise refusal(path, error) from error
    return path.resolve() if path.is_symlink() and path.is_file() else path


def check_apart(path: Path, *read: Path | str | None) -> None:
    """Refuse to write over a file that the same command reads: it would be lost.

    Parameters
    ----------
    path : Path
        What will be written.
    *read : Path, str or None
        What is read; None, and names that are no files, are left out.

    Raises
    ------
    UserError
        If it is one of them, under whatever name.
    """
    for source in (Path(one) for one in read if one is not None):
        try:
            same = path.samefile(source)
        except (OSError, ValueError):  # one of them is not there, or no name of a file
            continue
        if same:
            raise UserError(f"cannot write to {path}: {source} is read from there; choose another place")


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write a whole file or nothing: into a temporary file beside it, flushed, then renamed.

    As with ``cp``, a file that is there keeps its mode, a new one has what the user's umask leaves, and a link is
    followed: what it leads to is replaced. A device or pipe, such as ``/dev/stdout``, is written to as it is.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    content : bytes or str
        What the file shall hold; text is written as UTF-8.

    Returns
    -------
    Path
        The file that was written; not the path given if that is a link.

    Raises
    ------
    UserError
        If the folder or the file cannot be written to, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    path = check_file(path)
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name[:LONGEST_PREFIX]}.{uuid.uuid4().hex}")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return path
        mode = stat.S_IMODE(path.stat().st_mode) if path.is_file() else None
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise refusal(path, error, len(data)) from error
        raise
    return path


def write_json(path: Path, content) -> Path:
    """Write JSON atomically, keys in the order given, lists of numbers on one line.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    content : object
        What JSON can hold: dicts, lists, text, numbers that are finite, true, false, None.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If it holds something else.
    ValueError
        If a number is not finite.
    UserError
        If the folder cannot be written to.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    text = re.sub(r"\[[-+\d.,eE\s]*\]", lambda match: re.sub(r"\n\s*", " ", match[0]), text)
    return write_atomic(path, text + "\n")


def read_json(path: Path):
    """Read a JSON file, or say which file is broken and what to do."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); delete it and run again") from error
