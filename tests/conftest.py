"""What all tests share: one thread, seeded random numbers, an own cache on request, the same examples on every run."""

import gzip
import hashlib
import os
import random
import subprocess
import sys

import pytest

os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when a test, or a kernel that it starts, imports it

try:
    from hypothesis import settings
except ImportError:
    pass
else:
    settings.register_profile("relcomp", derandomize=True, deadline=None, database=None)
    settings.load_profile("relcomp")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Random numbers that are drawn without a generator are the same whichever tests ran before."""
    random.seed(0)
    if "numpy" in sys.modules:  # imported by the test's file; or the test needs none
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """An empty cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("RELCOMP_CACHE", str(folder))
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of 100 kB."""
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.fixture
def remount(small_disk):
    """``remount("size=1m")`` changes how the small disk is mounted."""
    return lambda options: subprocess.run(["mount", "-o", f"remount,{options}", small_disk], check=True)


def idx(array) -> bytes:
    """An array of bytes as an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.astype("uint8").tobytes()


@pytest.fixture(scope="session")
def tiny_files() -> dict[str, bytes]:
    """A tiny MNIST: name -> bytes of the four unpacked files."""
    import numpy as np

    generator = np.random.default_rng(0)
    content = {}
    for part, size in (("train", 30), ("t10k", 10)):
        content[f"{part}-images-idx3-ubyte"] = idx(generator.integers(0, 256, (size, 28, 28)))
        content[f"{part}-labels-idx1-ubyte"] = idx(np.arange(size) % 10)
    return content


@pytest.fixture
def tiny_registry(tiny_files, monkeypatch) -> dict:
    """The registry with the tiny files' sizes and hashes; nothing listens at its address."""
    from relcomp_kit.datasets import download

    archives = {name: gzip.compress(content, mtime=0) for name, content in tiny_files.items()}
    registry = {}
    for name in ("mnist", "fashion-mnist"):
        registry[name] = download.entry(name) | {
            "url": "http://127.0.0.1:9/",
            "train": 25,
            "validation": 5,
            "test": 10,
            "gz": {file: hashlib.sha256(content).hexdigest() for file, content in archives.items()},
        }
    registry["mnist"]["raw"] = {file: hashlib.sha256(content).hexdigest() for file, content in tiny_files.items()}
    monkeypatch.setattr(download, "entry", registry.__getitem__)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("RELCOMP_DATA", raising=False)
    monkeypatch.delenv("RELCOMP_OFFLINE", raising=False)
    return registry


@pytest.fixture
def tiny_data(tiny_registry, tiny_files, own_cache, tmp_path, monkeypatch):
    """A folder that holds the tiny MNIST, named by RELCOMP_DATA."""
    root = tmp_path / "data"
    (root / "MNIST" / "raw").mkdir(parents=True)
    for name, content in tiny_files.items():
        (root / "MNIST" / "raw" / name).write_bytes(content)
    monkeypatch.setenv("RELCOMP_DATA", str(root))
    return root
