"""One cache for many processes: who makes a file, what becomes of a damaged one, what a killed process leaves.

Files are written whole or not at all (`relcomp_kit.files.write_atomic`), so a reader needs no lock. Who makes one takes
its lock first, and looks again whether it is there: so it is made once, and its ``.partial`` has one writer. A lock is
the system's own (``flock``, by the library filelock) on an empty file in the folder ``.locks`` beside: it is gone with
the process that holds it, however that ends. The empty files stay.

What this promises where:

- A disk of this machine: all of it.
- NFS 4 from Linux, where ``flock`` is a lock of the server: the same between machines. The lock of a machine that dies
  is free after the server's lease, some 90 seconds. A machine may see a new file some seconds late, as long as its
  kernel remembers that there was none; it looks again under the lock. Mounted with ``local_lock=flock``, or by NFS 3
  without its lock daemon, a lock counts on its own machine alone, or there are none:
- A file system without locks: a line says so, and the work goes on. Then two processes may make the same thing twice,
  and the last one stays. Still nobody reads half a file, because renaming is atomic there too.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from relcomp_kit.files import LONGEST_PREFIX, make_folder, write_json

LOCKS = ".locks"
PATIENCE = 1.0  # seconds, after which the wait for a lock is said
POLL = 0.1  # seconds between two looks at a lock
NO_LOCKS = (OSError, NotImplementedError)  # what filelock raises where the file system has none
_unlocked: set[Path] = set()  # folders of which it was said that they know no locks


@contextmanager
def locked(path: Path, say: Callable[[str], None] | None = None) -> Iterator[bool]:
    """Hold the lock of a file while a ``with`` block runs; wait for it, and say so after a second.

    Parameters
    ----------
    path : Path
        What is going to be made. It need not exist; its folder is made if needed.
    say : callable, optional
        Takes the line; by default it is printed on stderr.

    Yields
    ------
    bool
        Whether it is held: False on a file system without locks.

    Raises
    ------
    UserError
        If the folder cannot be written to.
    """
    lock = _lock(path)
    try:
        try:
            lock.acquire(timeout=PATIENCE, poll_interval=POLL)
        except Timeout:
            (say or _say)(f"relcomp: waiting for another process, which makes {path.name}")
            lock.acquire(poll_interval=POLL)
    except NO_LOCKS as error:
        _say_unlocked(path.parent, error)
    try:
        yield lock.is_locked
    finally:
        lock.release()


@contextmanager
def claimed(paths: Iterable[Path], most: int = 1) -> Iterator[dict[Path, FileLock]]:
    """Hold those locks that are free, while a ``with`` block runs; nobody is waited for.

    Parameters
    ----------
    paths : iterable of Path
        What is going to be made, as for `locked`.
    most : int
        Locks to take: each is an open file.

    Yields
    ------
    dict of Path to FileLock
        The paths whose locks are held. One that is taken out and released is free before the block ends.

    Raises
    ------
    UserError
        If a folder cannot be written to.
    """
    held: dict[Path, FileLock] = {}
    with ExitStack() as stack:
        for path in paths:
            if len(held) == most:
                break
            lock = _lock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            except NO_LOCKS as error:
                _say_unlocked(path.parent, error)
            stack.callback(lock.release)
            held[path] = lock
        yield held


def _lock(path: Path) -> FileLock:
    return FileLock(make_folder(path.parent / LOCKS) / path.name, mode=0o666)  # others may share the cache


def _say_unlocked(folder: Path, error: Exception) -> None:
    if folder not in _unlocked:
        _unlocked.add(folder)
        _say(f"relcomp: files in {folder} cannot be locked ({error}): run one command at a time on it")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def clear_leftovers(*paths: Path) -> None:
    """Remove what killed processes left half written. The locks of the files have to be held.

    Parameters
    ----------
    *paths : Path
        Files whose temporary ones go, as `relcomp_kit.files.write_atomic` names them.
    """
    wanted = {path.name[:LONGEST_PREFIX] for path in paths}
    for folder in {path.parent for path in paths}:
        for file in folder.glob(f".*.{'?' * 32}"):  # a dot before, and a random number behind
            if file.name[1:-33] in wanted:
                file.unlink(missing_ok=True)


def set_aside(path: Path, cure: str = "made again") -> None:
    """Rename a damaged file or folder, so that it is made again, and say so on stderr.

    Parameters
    ----------
    path : Path
        The file or folder; ".damaged" is added to its name. Another process may have been quicker.
    cure : str
        How it comes back: the end of the line.
    """
    aside = path.with_name(path.name + ".damaged")
    try:
        if path.is_dir():  # a folder takes the place of no other one
            shutil.rmtree(aside, ignore_errors=True)
        path.replace(aside)
    except (FileNotFoundError, NotADirectoryError):
        return
    _say(f"relcomp: {path.name} in {path.parent} is damaged: it is put aside and {cure}")


def write_record(path: Path, content: dict) -> Path:
    """Write JSON with a digest of its content, atomically.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    content : dict
        What JSON can hold, without the key "sha256".

    Returns
    -------
    Path
        The file.
    """
    plain = json.loads(json.dumps(content))  # as it comes back: keys of a dict are text there
    return write_json(path, plain | {"sha256": _digest(plain)})


def read_record(path: Path, *, undigested: bool = False) -> dict | None:
    """Read what `write_record` wrote, if it is whole.

    Parameters
    ----------
    path : Path
        The file.
    undigested : bool
        Whether a file without a digest counts, as earlier versions wrote them.

    Returns
    -------
    dict or None
        The content; None if there is no file or it is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    digest = content.pop("sha256", None)
    return content if digest == _digest(content) or (digest is None and undigested) else None


def _digest(content: dict) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
