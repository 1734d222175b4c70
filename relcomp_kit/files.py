"""Where things lie, and how they are written: atomically, so that an interrupted run loses nothing."""

import json
import os
import re
import tempfile
from pathlib import Path

from relcomp_kit.errors import UserError


def checkout() -> Path:
    """Return the folder of the clone, which holds ``notebooks/`` and ``data/``.

    Raises
    ------
    UserError
        If the package was installed without its clone (the lessons are not part of the wheel).
    """
    root = Path(__file__).resolve().parent.parent
    if not (root / "data" / "claims.toml").is_file():
        raise UserError(
            "the lessons are not part of the installed package: clone the project and run `pip install -e .` in it"
        )
    return root


def cache_dir() -> Path:
    """Return the folder for downloads and trained artifacts: ``$RELCOMP_CACHE``, or the user's cache."""
    chosen = os.environ.get("RELCOMP_CACHE")
    if chosen:
        return Path(chosen).expanduser().resolve()
    import platformdirs

    return Path(platformdirs.user_cache_dir("relcomp_kit"))


def make_folder(folder: Path) -> Path:
    """Make a folder that can be written to, or say in one sentence why that fails."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; choose another folder") from error
    return folder


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write a whole file or nothing: into a temporary file beside it, flushed, then renamed.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    content : bytes or str
        What the file shall hold; text is written as UTF-8.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    path = Path(path)
    make_folder(path.parent)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
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
