"""Downloads against servers on this machine: good, closed, hanging, stalling, wrong."""

import gzip
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import pytest

from relcomp_kit import datasets
from relcomp_kit.datasets import download
from relcomp_kit.errors import UserError


@contextmanager
def serve(answer):
    """Run a server whose GET is answered by ``answer(handler, file name without .gz)``; gives (url, paths asked)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer(self, self.path.strip("/").removesuffix(".gz"))

        def log_message(self, *args):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None  # a client that has heard enough hangs up
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


def send(handler, content: bytes, status: int = 200):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture
def archives(tiny_files):
    return {name: gzip.compress(content, mtime=0) for name, content in tiny_files.items()}


def test_good_server_fills_the_cache_and_load_reads_it(tiny_registry, own_cache, archives, tiny_files):
    with serve(lambda handler, file: send(handler, archives[file])) as (url, asked):
        raw = datasets.fetch("mnist", base_url=url)
        first = len(asked)
        (raw / "t10k-labels-idx1-ubyte").write_bytes(b"damaged")
        datasets.fetch("mnist", base_url=url)
    assert raw == own_cache / "data" / "MNIST" / "raw"
    assert {path.name: path.read_bytes() for path in raw.glob("*ubyte")} == tiny_files
    assert first == len(asked) == 5, "one question whether the server is there, then each archive once; no more later"
    assert datasets.load("mnist").source == "cache"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_load_downloads_what_is_nowhere(tiny_registry, own_cache, archives, name):
    with serve(lambda handler, file: send(handler, archives[file])) as (url, _):
        tiny_registry[name]["url"] = url
        assert datasets.load(name).source == "download"
    assert datasets.load(name).source == "cache"


def test_fetch_into_another_folder(tiny_registry, own_cache, archives, tmp_path):
    with serve(lambda handler, file: send(handler, archives[file])) as (url, _):
        datasets.fetch("fashion-mnist", tmp_path / "mine", base_url=url)
    assert download.missing("fashion-mnist", tmp_path / "mine") == []
    assert not own_cache.exists()


def test_nothing_is_said_on_stderr(tiny_registry, own_cache, archives, capfd):
    with serve(lambda handler, file: send(handler, archives[file])) as (url, _):
        datasets.fetch("mnist", base_url=url)
    assert capfd.readouterr() == ("", "")


def test_closed_port_gives_up_at_once(tiny_registry, own_cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        start = time.monotonic()
        with pytest.raises(download.Unreachable, match=r"no connection.*RELCOMP_DATA"):
            datasets.fetch("mnist", base_url=url)
    assert time.monotonic() - start < 10


@pytest.mark.slow
def test_hanging_server_is_given_up_within_ten_seconds(tiny_registry, own_cache):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(download.Unreachable, match="no answer in time"):
            datasets.fetch("mnist", base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert time.monotonic() - start < 10


def test_probe_ends_even_if_requests_does_not(tiny_registry, own_cache, monkeypatch):
    monkeypatch.setattr(download, "PROBE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        with pytest.raises(download.Unreachable, match="no answer in time"):
            datasets.fetch("mnist", base_url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert time.monotonic() - start < download.READ_SECONDS


@pytest.mark.slow
def test_stalling_server_leaves_no_half_file(tiny_registry, own_cache, archives, monkeypatch):
    monkeypatch.setattr(download, "READ_SECONDS", 0.5)
    done = Event()

    def stall(handler, file):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(archives[file])))
        handler.end_headers()
        handler.wfile.write(archives[file][:100])
        handler.wfile.flush()
        done.wait(20)

    with serve(stall) as (url, _):
        try:
            with pytest.raises(download.Unreachable):
                datasets.fetch("mnist", base_url=url)
        finally:
            done.set()
    assert list((own_cache / "data" / "MNIST" / "raw").iterdir()) == []


def test_wrong_bytes_are_refused_and_never_replaced_by_digits(tiny_registry, own_cache):
    with serve(lambda handler, file: send(handler, b"<html>please log in</html>")) as (url, _):
        tiny_registry["mnist"]["url"] = url
        with pytest.raises(UserError, match="wrong sha256") as caught:
            datasets.load("mnist")
    assert not isinstance(caught.value, download.Unreachable)
    assert list((own_cache / "data" / "MNIST" / "raw").iterdir()) == []


def test_missing_file_on_the_server_is_said_with_its_status(tiny_registry, own_cache):
    with (
        serve(lambda handler, file: send(handler, b"", 404)) as (url, _),
        pytest.raises(download.Unreachable, match="HTTP status 404"),
    ):
        datasets.fetch("mnist", base_url=url)


def test_offline_asks_nobody(tiny_registry, own_cache, archives, monkeypatch):
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    with serve(lambda handler, file: send(handler, archives[file])) as (url, asked):
        with pytest.raises(download.Unreachable, match="RELCOMP_OFFLINE is set"):
            datasets.fetch("mnist", base_url=url)
        assert asked == []
        monkeypatch.setenv("RELCOMP_OFFLINE", "0")
        datasets.fetch("mnist", base_url=url)


def test_a_set_in_the_data_folder_is_not_fetched(tiny_data, own_cache, monkeypatch):
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    assert datasets.fetch("mnist") == tiny_data / "MNIST" / "raw"
    with pytest.raises(download.Unreachable):
        datasets.fetch("fashion-mnist")
    assert not own_cache.exists()


def test_nothing_to_fetch_and_unknown_names():
    with pytest.raises(UserError, match="come with scikit-learn"):
        datasets.fetch("digits")
    with pytest.raises(UserError, match="choose one of mnist"):
        datasets.fetch("imagenet")


def test_folder_that_cannot_be_written(tiny_registry, archives, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with (
        serve(lambda handler, file: send(handler, archives[file])) as (url, _),
        pytest.raises(UserError, match="cannot write to"),
    ):
        datasets.fetch("mnist", tmp_path / "file", base_url=url)


def test_package_without_its_clone_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(download, "REGISTRY", tmp_path / "registry.toml")
    with pytest.raises(UserError, match="clone the project"):
        datasets.fetch("mnist")


def test_registry_is_complete():
    for name in ("mnist", "fashion-mnist"):
        known = download.entry(name)
        assert len(known["gz"]) == 4 and len(known["classes"]) == 10
        assert all(len(digest) == 64 for table in (known["gz"], known["raw"]) for digest in table.values())
        assert known["train"] + known["validation"] == 60_000


def test_names_come_without_torch():
    code = "import sys, relcomp_kit.datasets as d; assert d.NAMES and d.fetch; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
