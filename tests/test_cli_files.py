"""Files and folders of real people, through every option that takes one: written right, or refused in a sentence."""

import json
import os
import pickle
import resource
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import torch
from PIL import Image

from relcomp_kit import artifacts, files
from relcomp_kit.cli import app
from relcomp_kit.compression import ecqx
from relcomp_kit.errors import UserError, printable
from relcomp_kit.files import write_atomic

STRANGE = ("with space", "Übung", "quo'te\"s", "two\nlines", "-dash", ".dot", "[bold]x[/bold]", "%s{x}$HOME", "雪" * 60)
RELCOMP = (sys.executable, "-c", "from relcomp_kit.cli.app import main; main()")


@pytest.fixture
def relcomp(monkeypatch, tmp_path, own_cache, capsys):
    """``relcomp(*arguments)`` runs the command line in an empty folder and returns its status and lines on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELCOMP_DATA", raising=False)

    def run(*arguments) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["relcomp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app.main()
        return stop.value.code or 0, capsys.readouterr().err.splitlines()

    return run


@pytest.fixture
def net(tmp_path) -> Path:
    """A tiny quantized net, as `relcomp encode` takes it."""
    index = torch.randint(-3, 4, (4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.int8)
    quantized = ecqx.Quantized({"w": index}, {"w": torch.tensor(0.5)}, {"b": torch.ones(4)})
    return artifacts.write_artifact(tmp_path / "net.safetensors", ecqx.to_tensors(quantized), {"net": "tiny"})


def refused(outcome: tuple[int, list[str]], *words: str) -> None:
    """The command has ended with one sentence that holds these words."""
    status, lines = outcome
    assert status == 1 and len(lines) == 1, lines
    assert lines[0].startswith("relcomp: ") and lines[0].isprintable()
    assert all(word in lines[0] for word in words), lines[0]


# Where a command writes.

FOLDERS = (
    pytest.param(("slides", "00", "--out"), marks=pytest.mark.slow, id="slides --out"),
    ("exercises", "00", "--out"),
    pytest.param(("api", "--out"), marks=pytest.mark.slow, id="api --out"),
    ("grade", "packs", "--out"),
    ("run", "00", "--out"),
    pytest.param(("train", "compact", "--profile", "quick", "--out"), marks=pytest.mark.slow, id="train --out"),
    pytest.param(
        ("train", "compact", "--profile", "quick", "--tensorboard"), marks=pytest.mark.slow, id="train --tensorboard"
    ),
    ("sweep", "plan.toml", "--out"),
    ("compress", "compact-rail-scenes-0", "--data", "rail-scenes", "-o"),
)
FILES = (
    ("encode", "net.safetensors", "-o"),
    ("decode", "net.nnc", "-o"),
    ("report", "--html"),
    ("report", "--markdown"),
    ("exercises", "00", "--zip"),
)


def named(command: tuple[str, ...]) -> str:
    return " ".join((command[0], command[-1]))


@pytest.mark.parametrize("command", FOLDERS, ids=named)
@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_a_folder_to_write_that_is_none(relcomp, tmp_path, command, kind):
    (tmp_path / "packs").mkdir()
    (tmp_path / "plan.toml").write_text('experiment = "train"\n[grid]\nseed = [0]\n')
    place = tmp_path / "place"
    if kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(tmp_path / "nowhere")
    status, lines = relcomp(*command, "place")
    assert status == 1 and len(lines) == 1 and "place" in lines[0], lines
    assert kind != "file" or place.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("command", FILES, ids=named)
@pytest.mark.parametrize("kind", ["folder", "link to nowhere"])
def test_a_file_to_write_that_is_none(relcomp, net, tmp_path, command, kind):
    place = tmp_path / "place"
    if kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(tmp_path / "nowhere")
    refused(relcomp(*command, "place"), "place")
    assert not (tmp_path / "nowhere").exists() and (kind != "folder" or not list(place.iterdir()))


@pytest.mark.parametrize("command", [("exercises", "00", "--zip"), ("encode", "net.safetensors", "-o")], ids=named)
def test_a_name_that_is_too_long(relcomp, net, tmp_path, command):
    refused(relcomp(*command, "x" * 256), "File name too long", "shorter name")
    assert relcomp(*command, "x" * 255) == (0, []) and (tmp_path / ("x" * 255)).is_file()


def test_a_link_to_a_file_is_written_through_and_the_place_is_said(relcomp, net, tmp_path, monkeypatch, capsys):
    (tmp_path / "far").mkdir()
    far = tmp_path / "far" / "real.nnc"
    far.write_text("old")
    (tmp_path / "link.nnc").symlink_to(far)
    monkeypatch.setattr(sys, "argv", ["relcomp", "encode", "net.safetensors", "-o", "link.nnc"])
    with pytest.raises(SystemExit):
        app.main()
    assert capsys.readouterr().out.startswith(f"{far}: ")
    assert (tmp_path / "link.nnc").is_symlink() and far.read_bytes() != b"old"
    assert os.listdir(tmp_path / "far") == ["real.nnc"]


OVER = {  # what would be lost, and the command
    "encode": ("net.safetensors", ("encode", "net.safetensors", "-o", "net.safetensors")),
    "encode, by a link": ("net.safetensors", ("encode", "net.safetensors", "-o", "link")),
    "encode --paths": ("paths", ("encode", "net.safetensors", "--paths", "paths", "-o", "paths")),
    "decode": ("net.nnc", ("decode", "net.nnc", "-o", "net.nnc")),
    "decode, masks": ("net.paths.safetensors", ("decode", "net.paths.safetensors", "-o", "net")),
    "predict": ("a.png", ("predict", "compact-rail-scenes-0", "a.png", "-o", ".")),
    "predict, one over the next": ("a.png", ("predict", "compact-rail-scenes-0", "b/a.png", "a.png", "-o", ".")),
    "compress": ("net.nnc", ("compress", "net.nnc", "--data", "rail-scenes", "--images", "4", "-o", ".")),
    "compress --weights": (
        "results.json",
        ("compress", "torchvision:squeezenet1_1", "--weights", "results.json", "--data", "rail-scenes", "-o", "."),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", OVER)
def test_no_command_writes_over_what_it_reads(relcomp, net, tmp_path, case):
    name, command = OVER[case]
    artifacts.write_artifact(tmp_path / "paths", {"all:w": torch.ones(4, dtype=torch.bool)}, {})
    assert relcomp("encode", "net.safetensors", "--paths", "paths", "-o", "net.nnc") == (0, [])
    (tmp_path / "net.paths.safetensors").write_bytes((tmp_path / "net.nnc").read_bytes())
    (tmp_path / "results.json").write_bytes(net.read_bytes())
    (tmp_path / "link").symlink_to("net.safetensors")
    (tmp_path / "b").mkdir()
    for place in ("a.png", "b/a.png"):
        Image.new("RGB", (20, 20)).save(tmp_path / place)
    before = (tmp_path / name).read_bytes()
    refused(relcomp(*command), *(["two pictures"] if "b/a.png" in command else ["is read from there"]))
    assert (tmp_path / name).read_bytes() == before


def test_a_link_to_a_folder_is_written_into(relcomp, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link").symlink_to("far")
    assert relcomp("exercises", "00", "--out", "link") == (0, [])
    assert (tmp_path / "link").is_symlink() and len(list((tmp_path / "far").glob("*.ipynb"))) == 1


def test_a_device_is_written_to_and_stays_one(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_atomic(fifo, "content")
        assert os.read(reader, 99) == b"content" and stat.S_ISFIFO(fifo.stat().st_mode)
    finally:
        os.close(reader)
    write_atomic(Path(os.devnull), "content")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_new_file_has_what_the_umask_leaves_and_an_old_one_keeps_its_mode(tmp_path, umask, mode):
    old = tmp_path / "old"
    old.touch(mode=0o640)
    old.chmod(0o640)
    before = os.umask(umask)
    try:
        assert write_atomic(tmp_path / "new", "").stat().st_mode & 0o777 == mode
        assert write_atomic(old, "").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)


def test_a_write_protected_file_is_kept(tmp_path, monkeypatch):
    path = write_atomic(tmp_path / "mine", "old")
    monkeypatch.setattr(files.os, "access", lambda path, how: False)  # as the system does for all but root
    with pytest.raises(UserError, match=r"mine: it is write-protected; choose another folder"):
        write_atomic(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", STRANGE)
def test_strange_names(relcomp, net, tmp_path, monkeypatch, name):
    monkeypatch.setenv("RELCOMP_CACHE", f"cache {name}")
    assert relcomp("encode", "net.safetensors", "-o", name) == (0, [])
    assert relcomp("info", "--", name) == (0, [])
    assert relcomp("decode", "-o", f"{name}.safetensors", "--", name) == (0, [])
    assert relcomp("encode", "-o", f"{name}/folder/again.nnc", "--", f"{name}.safetensors")[0] == 1, (
        "a file is no folder"
    )
    assert relcomp("exercises", "00", "--out", f"{name}.folder") == (0, [])
    written = {path.name for path in (tmp_path / f"{name}.folder").iterdir()}
    assert (tmp_path / name).is_file() and written == {"00_start_here.ipynb", "README.md", "glossary.md"}
    monkeypatch.setenv("RELCOMP_DATA", f"no {name}")
    status, lines = relcomp("fetch", "mnist")
    assert status == 1 and len(lines) == 1 and printable(name) in lines[0]


# Where a command reads.


def header(tensors: dict, length: int | None = None, rest: bytes = bytes(16)) -> bytes:
    """A safetensors file with this header, which says this of its own length."""
    text = json.dumps(tensors | {"__metadata__": {"info": "{}"}}).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + rest


def floats(start: int, end: int, shape: list[int] = (2,)) -> dict:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


HOSTILE = {
    "nothing": b"",
    "text": b"not a net",
    "a pickle": pickle.dumps({"w": [1.0]}),
    "a long header": header({}, length=2**63),
    "a header beyond the file": header({}, length=10**6),
    "beyond the file": header({"w": floats(0, 2**40)}),
    "overlapping": header({"w": floats(0, 8), "v": floats(4, 12)}),
    "a gap": header({"w": floats(0, 8), "v": floats(12, 20)}, rest=bytes(20)),
    "another shape": header({"w": floats(0, 8, [3])}),
    "a shape that overflows": header({"w": floats(0, 8, [2**62, 8])}),
    "backwards": header({"w": floats(8, 0)}),
}
READERS = {
    "encode": ("encode", "bad.safetensors", "-o", "out.nnc"),
    "encode --bits": ("encode", "bad.safetensors", "-o", "out.nnc", "--bits", "4"),
    "encode --paths": ("encode", "net.safetensors", "-o", "out.nnc", "--paths", "bad.safetensors"),
    "decode": ("decode", "bad.safetensors", "-o", "out.safetensors"),
    "info": ("info", "bad.safetensors"),
    "predict": ("predict", "bad.safetensors", "x.png"),
    "compress": ("compress", "bad.safetensors", "--data", "rail-scenes", "--images", "4"),
    "compress --weights": (
        *("compress", "torchvision:squeezenet1_1", "--weights", "bad.safetensors"),
        *("--data", "rail-scenes", "--images", "4"),
    ),
}


@pytest.mark.parametrize("command", READERS)
def test_hostile_nets(relcomp, net, tmp_path, command):
    for content in HOSTILE.values():
        (tmp_path / "bad.safetensors").write_bytes(content)
        refused(relcomp(*READERS[command]), "bad.safetensors")
    (tmp_path / "bad.safetensors").unlink()
    refused(relcomp(*READERS[command]), "bad.safetensors")
    (tmp_path / "bad.safetensors").mkdir()
    refused(relcomp(*READERS[command]), "bad.safetensors")
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize(
    "info",
    [
        [],
        None,
        3,
        "x",
        {},
        {"net": "huge", "classes": []},
        {"net": ["compact"], "classes": ["a"]},
        {"net": "compact", "classes": 3},
    ],
)
def test_nets_whose_notes_are_nonsense(relcomp, tmp_path, info):
    artifacts.write_artifact(tmp_path / "net.safetensors", {"w": torch.ones(2)}, info)
    refused(relcomp("encode", "net.safetensors", "-o", "out.nnc", "--bits", "4"), "net.safetensors")


@pytest.mark.parametrize("command", [("sweep", "place"), ("grade", "nowhere"), ("demo", "--net", "place")], ids=named)
def test_a_file_to_read_that_is_a_folder_or_not_there(relcomp, tmp_path, command):
    (tmp_path / "place").mkdir()
    refused(relcomp(*command), command[-1])


# Disks.


def test_a_cache_on_a_full_disk_is_named_with_what_it_needs_and_goes_on_with_room(small_disk, remount, monkeypatch):
    monkeypatch.setenv("RELCOMP_CACHE", str(small_disk / "cache"))
    made = []

    def load():
        return artifacts.load_or_make("x", 1, {}, "", lambda partial: made.append(0) or ({"w": torch.ones(10**5)}, {}))

    with pytest.raises(UserError) as found:
        load()
    for words in (str(small_disk), "No space left", "400,", "bytes are needed", "are free", "set RELCOMP_CACHE"):
        assert words in str(found.value)
    assert not [path for path in small_disk.rglob("*") if path.is_file() and path.parent.name != ".locks"]
    remount("size=1m")
    assert load()[0]["w"].sum() == 10**5 and len(made) == 2
    load()
    assert len(made) == 2


@pytest.mark.slow
def test_an_output_on_a_full_disk(relcomp, small_disk, remount):
    (small_disk / "filler").write_bytes(bytes(90_000))
    refused(relcomp("exercises", "--zip", small_disk / "x.zip"), "x.zip", "No space left", "needed", "make room")
    assert os.listdir(small_disk) == ["filler"]
    (small_disk / "filler").unlink()
    remount("size=9m")
    assert relcomp("exercises", "--zip", small_disk / "x.zip") == (0, [])


def test_a_read_only_cache(small_disk, remount, monkeypatch):
    monkeypatch.setenv("RELCOMP_CACHE", str(small_disk))
    path = artifacts.write_artifact(artifacts.artifact_path("x", 1, {}, ""), {"w": torch.ones(2)}, {})
    remount("ro")
    assert artifacts.load_or_make("x", 1, {}, "", pytest.fail)[0]["w"].tolist() == [1, 1]
    for place, reason in ((path, "it is write-protected"), (path.with_name("new"), "Read-only file system")):
        with pytest.raises(UserError, match=f"{reason}; set RELCOMP_CACHE to another folder"):
            artifacts.write_artifact(place, {}, {})


def test_a_cache_that_vanishes_is_made_again(own_cache):
    path = artifacts.write_artifact(own_cache / "artifacts" / "x.safetensors", {"w": torch.ones(2)}, {})
    path.unlink()
    path.parent.rmdir()
    own_cache.rmdir()
    assert artifacts.read_cached(path) is None
    assert artifacts.write_artifact(path, {"w": torch.ones(2)}, {}).is_file()


def test_a_limit_on_the_size_of_files(tmp_path):
    write_atomic(tmp_path / "x", "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"x: File too large \(20,000 bytes are needed, .* are free\); make room"):
            write_atomic(tmp_path / "x", bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["x"] and (tmp_path / "x").read_text() == "old"


# Terminals, homes and signals.


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("exercises", "00"), "relcomp_kit.course.exercises.write_exercises"),
        (("slides", "00"), "relcomp_kit.course.slides.write_slides"),
        (("api",), "relcomp_kit.course.api_pages.write_api"),
        (("check",), "relcomp_kit.course.environment.findings"),
        (("report",), "relcomp_kit.course.runner.read_records"),
        (("render", "00"), "relcomp_kit.course.notebooks.render"),
        (("fetch", "mnist"), "relcomp_kit.datasets.fetch"),
        (("encode", "net.safetensors", "-o", "x"), "relcomp_kit.compression.nnc.encode"),
        (("info", "net.safetensors"), "relcomp_kit.compression.nnc.read_file"),
        (("decode", "net.safetensors", "-o", "x"), "relcomp_kit.compression.nnc.read_file"),
        (("grade", "packs"), "relcomp_kit.course.grade.marks.asked"),
    ],
)
@pytest.mark.parametrize(("raised", "status"), [(KeyboardInterrupt, 130), (BrokenPipeError(32, "Broken pipe"), 141)])
def test_ctrl_c_is_one_line_and_a_closed_pipe_is_none(relcomp, net, monkeypatch, arguments, where, raised, status):
    def fail(*_, **__):
        raise raised

    monkeypatch.setattr(where, fail)
    found, lines = relcomp(*arguments)
    lines = [line for line in lines if line and "bubblewrap" not in line]
    assert found == status
    assert len(lines) == (status == 130) and all("interrupted" in line for line in lines)


def test_what_the_system_refuses_elsewhere_is_a_sentence(relcomp, monkeypatch):
    def fail():
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("relcomp_kit.course.environment.findings", fail)
    refused(relcomp("check"), "/some/where failed: Permission denied")


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run a line of bash in which ``relcomp`` is the command line."""
    script = f'relcomp() {{ "{RELCOMP[0]}" {RELCOMP[1]} "{RELCOMP[2]}" "$@"; }}; {command}'
    root = str(Path(files.__file__).parents[1])
    own = {"PATH": os.environ["PATH"], "PYTHONPATH": root, "RELCOMP_CACHE": str(folder / "cache"), **environment}
    return subprocess.run(["bash", "-c", script], cwd=folder, env=own, capture_output=True, timeout=300)


@pytest.mark.slow
def test_a_reader_that_goes_away(tmp_path):
    done = shell(
        "relcomp exercises 00 | true; echo ${PIPESTATUS[0]}; relcomp --help | true; echo ${PIPESTATUS[0]}", tmp_path
    )
    assert done.stdout.split() == [b"141", b"141"] and not done.stderr


@pytest.mark.slow
def test_a_full_output_and_closed_streams(tmp_path):
    done = shell("relcomp exercises 00 >/dev/full; echo $?; relcomp exercises 00 --out b <&- >&-; echo $?", tmp_path)
    assert done.stdout.split() == [b"1", b"0"]
    assert done.stderr.count(b"\n") == 1 and b"No space left" in done.stderr
    assert (tmp_path / "b").is_dir()


@pytest.mark.slow
def test_a_terminal_that_knows_ascii_alone(tmp_path):
    done = shell("relcomp exercises 00 --out Übung", tmp_path, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0 and not done.stderr and rb"\xdcbung" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "command, environment", [("relcomp report", {"NO_COLOR": "1"}), ("relcomp --help", {"TERM": "dumb"})]
)
def test_a_narrow_terminal_without_colours(tmp_path, command, environment):
    done = shell(command, tmp_path, COLUMNS="40", HOME=str(tmp_path / "none"), **environment)
    assert done.returncode == 0 and b"\x1b" not in done.stdout
    lines = done.stdout.decode().splitlines()
    assert max(len(line) for line in lines if "│" in line or "┃" in line) <= 40


@pytest.mark.slow
def test_no_home(tmp_path):
    """No HOME, and a user whom the machine does not know."""
    code = "import os, pwd; pwd.getpwuid = {}.__getitem__; from relcomp_kit.cli.app import main; main()"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(files.__file__).parents[1]),
        "RELCOMP_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, "fetch", "mnist"], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1
    assert os.listdir(tmp_path) == []


LESSON = """
from pathlib import Path
import nbformat
from relcomp_kit.course import kernel
code = "import matplotlib.pyplot as plt\\nplt.plot([1])\\nfrom relcomp_kit.compression import nnc\\nprint(6 * 7)"
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
made = kernel.execute(notebook)
print([one.get("text") for one in made.cells[-1].outputs if one.output_type == "stream" and one.name == "stdout"])
"""


@pytest.mark.slow
def test_a_read_only_home(small_disk, remount, tmp_path):
    """Lessons run if the cache lies elsewhere; where it does not, a sentence says so before anything runs."""
    remount("ro")
    home = {"HOME": str(small_disk), "RELCOMP_OFFLINE": "1"}
    done = shell("relcomp exercises 00; relcomp report --markdown x.md; relcomp decode no.nnc -o x", tmp_path, **home)
    assert (tmp_path / "exercises" / "README.md").is_file() and (tmp_path / "x.md").is_file()
    assert done.stderr.splitlines()[-1].startswith(b"relcomp: no.nnc cannot be read"), done.stderr
    (tmp_path / "lesson.py").write_text(LESSON, encoding="utf-8")
    done = shell(f"{sys.executable} lesson.py", tmp_path, **home)
    assert done.stdout.split() == [b"['42\\n']"], done.stderr
    done = shell("relcomp run 00; relcomp train compact --profile quick", tmp_path, RELCOMP_CACHE="", **home)
    said = [line for line in done.stderr.decode().splitlines() if line.startswith("relcomp: ")]
    sentence = f"{small_disk}/.cache/relcomp_kit: Read-only file system; set RELCOMP_CACHE to another folder"
    assert len(said) == 2 and sentence in said[0] and "set RELCOMP_CACHE" in said[1], done.stderr
    assert done.returncode == 1 and b"Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif("RELCOMP_SOAK" not in os.environ, reason="takes most of a minute: RELCOMP_SOAK=full or short")
def test_the_demonstrator_in_a_read_only_home(small_disk, remount, tmp_path):
    remount("ro")
    own = {"HOME": str(small_disk), "RELCOMP_CACHE": str(tmp_path), "RELCOMP_OFFLINE": "1", "NO_PROXY": "127.0.0.1"}
    process = subprocess.Popen(
        [*RELCOMP, "demo", "--no-browser"],
        env=os.environ | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        address = process.stdout.readline().split()[-1]
        answer = requests.get(address, timeout=120)
        assert answer.status_code == 200 and "kernelId" in answer.text
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_cache_of_nobody_knows_whom(monkeypatch):
    monkeypatch.setenv("RELCOMP_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(UserError, match=r"~nobody-of-this-name/cache cannot be found .*: set RELCOMP_CACHE"):
        files.cache_dir()
    monkeypatch.delenv("RELCOMP_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")  # as it is without a home
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(UserError, match=r"the folder of the cache cannot be found .*: set RELCOMP_CACHE"):
        files.cache_dir()
