"""The files that a student hands in, from folders and zips, of which nothing is unpacked onto the disk."""

import io
import os
import re
import stat
import struct
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from lzma import LZMAError
from pathlib import Path

ZIP_BYTES = 50_000_000  # of a student's zip
READ_BYTES = 300_000_000  # of all that is read of one student
ENTRIES = 10_000  # files and folders of one student
DEPTH = 3  # zips in one another
UTF8, UNICODE_PATH = 0x800, 0x7075  # of a zip: the flag of its names, and Info-ZIP's field for them
BROKEN = (zipfile.BadZipFile, RuntimeError, ValueError, OSError, EOFError, zlib.error, LZMAError, struct.error)


class TooMuch(Exception):
    """More than one student may hand in; the message says of what."""


@dataclass(frozen=True)
class Handed:
    """A file or folder of a pack.

    Attributes
    ----------
    parts : tuple of str
        Its path; a zip counts as a folder.
    when : float
        Seconds since 1970 at which it was last changed.
    kind : str
        "file", "folder", or "link", for whatever else there is.
    read : callable
        Takes a number of bytes, and returns the content, one byte more if there is more.
    order : int
        By which a platform numbers what it is given, 0 without one.
    """

    parts: tuple[str, ...]
    when: float
    kind: str
    read: Callable[[int], bytes]
    order: int = 0

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.parts[-1]

    @property
    def junk(self) -> bool:
        """Return whether a system or an editor has left it: hidden files, and what macOS and Windows add."""
        return any(part.startswith((".", "__MACOSX")) or part in ("Thumbs.db", "desktop.ini") for part in self.parts)


def folder_files(place: Path) -> Iterator[Handed]:
    """Return all that lies in a folder; links are not followed."""
    for folder, folders, files in os.walk(place):
        for name in (*sorted(folders), *sorted(files)):
            yield single_file(Path(folder, name), place)


def single_file(path: Path, place: Path) -> Handed:
    """Return a file or folder by its path within a place.

    Parameters
    ----------
    path, place : Path
        The file, and the folder that it is handed in in.
    """
    state = path.lstat()
    parts = tuple(unicodedata.normalize("NFC", part) for part in path.relative_to(place).parts)
    return Handed(parts, state.st_mtime, _kind(state.st_mode), lambda most: _read(path, most))


def zip_files(source: Path | io.BytesIO, above: tuple[str, ...] = (), entries: int = ENTRIES) -> Iterator[Handed]:
    """Return all that lies in a zip; paths that lead out of it are cut to what is in it.

    Parameters
    ----------
    source : Path or BytesIO
        The zip.
    above : tuple of str
        Folders that it lies in.
    entries : int
        The most that it may have.

    Raises
    ------
    ValueError
        If it has more entries than it may.
    zipfile.BadZipFile, or another of `BROKEN`
        If it cannot be read.
    """
    if _directory_bytes(source) > 500 * entries:  # before each becomes an object
        raise ValueError(f"more than {entries:,} entries")
    archive = zipfile.ZipFile(source)
    if len(archive.filelist) > entries:
        raise ValueError(f"more than {entries:,} entries")
    for entry in archive.infolist():
        mode = entry.external_attr >> 16 if entry.create_system == 3 else 0
        kind = "folder" if entry.is_dir() else _kind(mode or stat.S_IFREG)
        parts = [part for part in re.split(r"[/\\]", entry_name(entry)) if part not in ("", ".", "..")]
        if parts:
            yield Handed((*above, *parts), _when(entry), kind, lambda most, entry=entry: _extract(archive, entry, most))


def expand(files: Iterator[Handed], unreadable: Callable[[str], None]) -> Iterator[Handed]:
    """Return the files of a student, and those in the zips among them, as far as one may hand in and read.

    Parameters
    ----------
    files : iterator of Handed
        What lies at the top.
    unreadable : callable
        Takes a sentence about a zip that cannot be read.

    Raises
    ------
    TooMuch
        If there is more; reading a file that was returned raises it, too.
    """
    entries, size, stack = 0, 0, [files]

    def within(read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        def limited(most: int) -> bytes:
            nonlocal size
            content = read(min(most, READ_BYTES - size))
            size += len(content)
            if size > READ_BYTES:
                raise TooMuch(f"there is more than {READ_BYTES:,} bytes to read")
            return content

        return limited

    while stack:
        try:
            file = next(stack[-1], None)
        except BROKEN as error:
            unreadable(f"a zip cannot be read ({error})")
            file = None
        if file is None:
            stack.pop()
            continue
        entries += 1
        if entries > ENTRIES:
            raise TooMuch(f"there are more than {ENTRIES:,} files and folders")
        if file.junk:
            continue
        file = replace(file, read=within(file.read))
        if file.kind != "file" or not file.name.lower().endswith(".zip"):
            yield file
        elif len(stack) > DEPTH:
            unreadable(f"{file.name} lies in {DEPTH} zips, one in the other: ask for one zip")
        else:
            try:
                content = file.read(ZIP_BYTES)
                if len(content) > ZIP_BYTES:
                    raise ValueError(f"it has more than {ZIP_BYTES:,} bytes")
                stack.append(iter([*zip_files(io.BytesIO(content), file.parts)]))
            except BROKEN as error:
                unreadable(f"{file.name} cannot be read as a zip ({error})")


def entry_name(entry: zipfile.ZipInfo) -> str:
    """Return the name of a zip's entry as whoever packed it meant it.

    Without a flag the bytes of a name are code page 437 by the book; some programs write UTF-8 all the same, and
    Info-ZIP puts it into a field of its own.
    """
    name = entry.orig_filename
    if not entry.flag_bits & UTF8:
        raw = name.encode("cp437")
        with suppress(UnicodeError):
            name = _unicode_field(entry.extra, raw) or raw.decode("utf-8")
    return unicodedata.normalize("NFC", name.partition("\0")[0])


def _unicode_field(extra: bytes, raw: bytes) -> str | None:
    """Return the name in Info-ZIP's field, if it belongs to the name beside it."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == UNICODE_PATH and extra[5:9] == struct.pack("<I", zlib.crc32(raw)):
            return extra[9 : 4 + size].decode("utf-8")
        extra = extra[4 + size :]
    return None


def _directory_bytes(source: Path | io.BytesIO) -> int:
    """Return the size of a zip's table of contents, as its end says."""
    stream = source if isinstance(source, io.BytesIO) else source.open("rb")
    stream.seek(max(0, stream.seek(0, os.SEEK_END) - 66_000))
    tail = stream.read()
    if stream is not source:
        stream.close()
    place = tail.rfind(b"PK\5\6")
    return struct.unpack_from("<I", tail, place + 12)[0] if 0 <= place <= len(tail) - 22 else 0


def _when(entry: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*entry.date_time, 0, 0, -1))
    except (ValueError, OverflowError):  # a date that no calendar has
        return 0.0


def _kind(mode: int) -> str:
    names = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder"}
    return names.get(stat.S_IFMT(mode), "link")


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most + 1)


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    with archive.open(entry) as stream:
        return stream.read(most + 1)
