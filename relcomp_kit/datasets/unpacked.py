"""Sets that come as one archive: unpacked whole or not at all, with a digest by which damage is noticed later."""

import hashlib
import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from relcomp_kit.cache import read_record, set_aside, write_record
from relcomp_kit.errors import UserError
from relcomp_kit.files import make_folder

UNPACKING = ".unpacking-"  # how the folder begins that an archive is unpacked into


def clear_leftovers(folder: Path) -> None:
    """Remove what a download or an unpacking that was killed has left, up to some GB. The set's lock has to be held.

    Parameters
    ----------
    folder : Path
        Where archives lie.
    """
    for left in folder.glob(f"{UNPACKING}*"):
        shutil.rmtree(left, ignore_errors=True)
    for left in folder.glob("tmp????????"):  # pooch's
        if left.is_file():
            left.unlink(missing_ok=True)


def unpack(archive: Path, into: Path, made: Path) -> None:
    """Unpack an archive beside its place, note a digest of all files, and move them there in one step.

    Parameters
    ----------
    archive : Path
        A tar file.
    into : Path
        Where its entries belong: its own folder, or one below.
    made : Path
        The folder that it makes.

    Raises
    ------
    UserError
        If it is damaged, holds links or paths that lead outside, or there is no room.
    """
    if not hasattr(tarfile, "data_filter"):  # came with 3.10.12 and 3.11.4
        raise UserError(f"this Python cannot unpack safely: unpack {archive} into {into} yourself")
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=UNPACKING) as temporary:
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(Path(temporary) / into.relative_to(archive.parent), filter="data")
            whole = Path(temporary) / made.relative_to(archive.parent)
            make_folder(made.parent)
            write_record(_record(made), {"files": _digest(whole)})
            whole.replace(made)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise UserError(f"{archive} cannot be unpacked ({error}): make room for it, or delete it") from error


def check(name: str, made: Path) -> None:
    """Check an unpacked set against the digest of its files; a damaged one is put aside, with a line on stderr.

    All files are read for it, which takes as long as reading the set. One that was put there by hand has no digest.

    Parameters
    ----------
    name : str
        Of the set, for messages.
    made : Path
        Its folder.

    Raises
    ------
    UserError
        If it is damaged.
    """
    noted = read_record(_record(made))
    if noted is not None and noted["files"] != _digest(made):
        set_aside(made, "has to be fetched again")
        raise UserError(f"{name} in {made} was damaged: run `relcomp fetch {name}` again")


def _record(made: Path) -> Path:
    return made.with_name(f".{made.name}.json")


def _digest(folder: Path) -> str:
    """Return a hash of the names and contents of all files in a folder."""
    whole = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        told = file.relative_to(folder).as_posix(), hashlib.sha256(file.read_bytes()).hexdigest()
        whole.update(json.dumps(told).encode())
    return whole.hexdigest()
