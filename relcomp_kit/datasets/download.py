"""Where data sets lie on this machine, and how they get here: hashed downloads, without torch."""

import gzip
import hashlib
import os
import sys
from pathlib import Path
from threading import Thread

from relcomp_kit import files
from relcomp_kit.cache import clear_leftovers, locked, set_aside
from relcomp_kit.datasets import unpacked
from relcomp_kit.errors import UserError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REGISTRY = Path(__file__).resolve().parents[2] / "data" / "registry.toml"
NAMES = ("mnist", "fashion-mnist", "digits")
ARCHIVES = ("cifar10", "speech-commands", "voc")  # one file to download and unpack each
PROBE_SECONDS = 5  # in all, for the first answer of a server
READ_SECONDS = 4  # for each further piece
ON_DISK = "point RELCOMP_DATA at a folder that holds it"


class Unreachable(UserError):
    """No download is possible now: no network, no answer, or `RELCOMP_OFFLINE`."""


def entry(name: str) -> dict:
    """Return what `data/registry.toml` says about a data set that can be downloaded."""
    if not REGISTRY.is_file():
        raise UserError(
            "the list of data sets is not part of the installed package: "
            "clone the project and run `pip install -e .` in it"
        )
    return tomllib.loads(REGISTRY.read_text(encoding="utf-8"))[name]


def check_name(name: str) -> None:
    """Raise a `UserError` for a data set that the kit does not know."""
    if name not in NAMES + ARCHIVES:
        raise UserError(f"unknown data set {name!r}: choose one of {', '.join(NAMES + ARCHIVES)}")


def offline() -> bool:
    """Return whether ``$RELCOMP_OFFLINE`` forbids downloads (set, and not 0)."""
    return os.environ.get("RELCOMP_OFFLINE", "") not in ("", "0")


def data_dir() -> Path | None:
    """Return ``$RELCOMP_DATA`` as an absolute folder, None where it is not set.

    The variable itself is made absolute too: a notebook's kernel starts in another folder and inherits it.

    Raises
    ------
    UserError
        If it is set but no folder.
    """
    chosen = os.environ.get("RELCOMP_DATA")
    if not chosen:
        return None
    folder = Path(os.path.expanduser(chosen)).resolve()
    if not folder.is_dir():
        raise UserError(f"RELCOMP_DATA names {folder}, which is not a folder: correct it, or unset it")
    os.environ["RELCOMP_DATA"] = str(folder)
    return folder


def missing(name: str, root: Path) -> list[str]:
    """Return the files of a data set that a root folder lacks, as paths relative to it.

    Parameters
    ----------
    name : str
        A data set of ``data/registry.toml``.
    root : Path
        The folder that holds the set's own folder, for example ``data`` in the cache.

    Returns
    -------
    list of str
        Paths of the unpacked files that are not there; empty if all are.
    """
    known = entry(name)
    return [
        f"{known['folder']}/raw/{file}" for file in known["gz"] if not (root / known["folder"] / "raw" / file).is_file()
    ]


def fetch(name: str, folder: Path | None = None, *, base_url: str | None = None) -> Path:
    """Download a data set, check its hash, and unpack it where `load` looks.

    A set that lies in ``$RELCOMP_DATA`` is left there, unless ``folder`` or ``base_url`` asks for a download. Archives
    that are already there with the right hash are not downloaded again; unpacked files are written anew.

    Parameters
    ----------
    name : str
        One of `NAMES` or `ARCHIVES`.
    folder : Path, optional
        The root folder; default is ``data`` in the cache.
    base_url : str, optional
        Another mirror than the registry's.

    Returns
    -------
    Path
        The folder with the unpacked files.

    Raises
    ------
    Unreachable
        Within 10 s if there is no network, no answer, or ``$RELCOMP_OFFLINE`` is set.
    UserError
        If the name is unknown, the folder cannot be written, or what the server sends has another hash.
    """
    check_name(name)
    if name == "digits":
        raise UserError("digits come with scikit-learn: there is nothing to fetch")
    known = entry(name)
    own = data_dir() if folder is None and base_url is None else None
    if own and name in ARCHIVES and (own / known["makes"]).is_dir():
        return own / known["makes"]
    if own and name in NAMES and not missing(name, own):
        return own / known["folder"] / "raw"
    url = base_url or known["url"]
    root = files.cache_dir() / "data" if folder is None else Path(folder).expanduser().resolve()
    if name in ARCHIVES:
        return _fetch_archive(known, url, root)
    raw = root / known["folder"] / "raw"
    if any(archived(raw, file, sha256) is None for file, sha256 in known["gz"].items()):
        if offline():
            raise Unreachable(f"RELCOMP_OFFLINE is set, so {known['title']} is not downloaded: unset it to download")
        probe(known["title"], url + next(iter(known["gz"])) + ".gz")
    with locked(files.make_folder(raw).parent) as alone:
        for left in raw.glob("tmp????????") if alone else ():  # pooch's, of a process that was killed
            left.unlink(missing_ok=True)
        clear_leftovers(*(raw / file for file in known["gz"] if alone))
        for file, sha256 in known["gz"].items():
            archive = _download(known["title"], f"{url}{file}.gz", f"sha256:{sha256}", raw)
            files.write_atomic(raw / file, gzip.decompress(archive.read_bytes()))
    return raw


def _fetch_archive(known: dict, url: str, root: Path) -> Path:
    """Download an archive and unpack it beside its place, then move it there: an interrupted run leaves no half set."""
    made = root / known["makes"]
    if made.is_dir():
        return made
    if offline():
        raise Unreachable(f"RELCOMP_OFFLINE is set, so {known['title']} is not downloaded: unset it to download")
    probe(known["title"], url + known["archive"])
    with locked(files.make_folder(root) / known["archive"]) as alone:
        if not made.is_dir():
            if alone:
                unpacked.clear_leftovers(root)
            archive = _download(known["title"], url + known["archive"], known["hash"], root)
            unpacked.unpack(archive, root / known["into"], made)
            archive.unlink()
    return made


def archived(raw: Path, file: str, sha256: str) -> bytes | None:
    """Return a downloaded archive of a data set if it is there and whole.

    Parameters
    ----------
    raw : Path
        Folder of the files.
    file : str
        Name of an unpacked file; its archive lies beside it, with ``.gz`` behind its name.
    sha256 : str
        Of the archive, as the registry has it.

    Returns
    -------
    bytes or None
        The archive, packed; None if it is not there, or has another content.
    """
    try:
        content = (raw / f"{file}.gz").read_bytes()
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


def put_damaged_aside(name: str) -> None:
    """Set aside cached files of a data set whose content does not match the registry or their archive.

    They then count as missing, and `fetch` restores them from their archives, or downloads them again.

    Parameters
    ----------
    name : str
        A data set of ``data/registry.toml``. A file that has neither an archive nor a hash there cannot be checked.
    """
    known = entry(name)
    raw = files.cache_dir() / "data" / known["folder"] / "raw"
    for file, sha256 in known["gz"].items():
        try:
            content = (raw / file).read_bytes()
        except OSError:
            continue
        if digest := known["raw"].get(file):
            whole = hashlib.sha256(content).hexdigest() == digest
        else:
            archive = archived(raw, file, sha256)
            whole = archive is None or gzip.decompress(archive) == content
        if not whole:
            set_aside(raw / file)


def probe(title: str, url: str, cure: str = ON_DISK) -> None:
    """Raise `Unreachable` unless a server answers within `PROBE_SECONDS`.

    The question is asked in a thread, because a slow name server or many addresses ignore the time limit of requests.

    Parameters
    ----------
    title : str
        What is to be downloaded, for the message.
    url : str
        Address of a file on the server.
    cure : str
        How the file gets onto this machine without a network; the end of the message.

    Raises
    ------
    Unreachable
        If there is no answer in time, or the answer is an error.
    """
    import requests

    outcome: list[Exception | None] = []  # None if the server has answered

    def ask():
        try:
            with requests.get(url, stream=True, timeout=READ_SECONDS) as answer:
                answer.raise_for_status()
            outcome.append(None)
        except requests.RequestException as error:
            outcome.append(error)

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if not outcome or outcome[0] is not None:
        raise unreachable(title, url, outcome[0] if outcome else None, cure)


def _download(title: str, url: str, known_hash: str, folder: Path) -> Path:
    """Download one archive through pooch, which writes atomically and checks the hash."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=READ_SECONDS)
    name = url.rsplit("/", 1)[1]
    try:
        return Path(pooch.retrieve(url, known_hash, fname=name, path=folder, downloader=downloader))
    except requests.RequestException as error:
        raise unreachable(title, url, error) from error
    except ValueError as error:
        raise UserError(
            f"{url} sent bytes that are not {title}'s (wrong {known_hash.partition(':')[0]}): "
            "a login page or proxy may have answered; "
            "try another network, or set RELCOMP_OFFLINE=1 to work without"
        ) from error
    except OSError as error:
        raise files.refusal(folder / name, error) from error


def unreachable(title: str, url: str, error: Exception | None, cure: str = ON_DISK) -> Unreachable:
    """Return the error that says in one sentence why a download is impossible.

    Parameters
    ----------
    title : str
        What was to be downloaded.
    url : str
        Where from; the message names the host.
    error : Exception or None
        What went wrong; None if no answer came in time.
    cure : str
        What to do instead of going online; the end of the message.

    Returns
    -------
    Unreachable
        To be raised by the caller.
    """
    import requests

    if error is None or isinstance(error, requests.Timeout):
        reason = "no answer in time"
    elif isinstance(error, requests.HTTPError) and error.response is not None:
        reason = f"HTTP status {error.response.status_code}"
    else:
        reason = "no connection"
    host = url.split("/")[2]
    return Unreachable(f"{title} cannot be downloaded from {host} ({reason}): go online and try again, or {cure}")
