"""Check the machine, one line per finding, plain enough to paste into a bug report."""

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from relcomp_kit import threads
from relcomp_kit.datasets.download import NAMES, data_dir, missing
from relcomp_kit.datasets.scene_names import DRAWN_SIZE
from relcomp_kit.errors import UserError
from relcomp_kit.files import cache_dir, make_folder

PACKAGES = ("torch", "torchvision", "zennit", "zennit-crp", "numba", "jupyterlab")
MODULES = {"zennit-crp": "crp"}  # where the module is not called like the package
OLDEST_PYTHON = (3, 10)
MEMORY_GB, DISK_GB = 4, 5  # what the quick profile needs, with room


@dataclass(frozen=True)
class Finding:
    """One line of the table: ``state`` is "ok", "warn" (some things will not work) or "fail" (the lessons will not)."""

    state: str
    name: str
    detail: str

    def line(self) -> str:
        """Return the line as text."""
        return f"{f'[{self.state}]':<7}{self.name:<14}{self.detail}"


def findings() -> list[Finding]:
    """Look at this machine and return what was found, in a fixed order."""
    return [
        _python(),
        *(_package(name) for name in PACKAGES),
        _reference(),
        _memory(),
        _disk(),
        _threads(),
        _gpu(),
        _cache(),
        _data(),
    ]


def _python() -> Finding:
    fits = sys.version_info >= OLDEST_PYTHON
    needed = "" if fits else f"; Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed: install one"
    here = f"{platform.python_version()} on {platform.platform(terse=True)}{needed}"
    return Finding("ok" if fits else "fail", "Python", here)


def _package(name: str) -> Finding:
    try:
        version = importlib.metadata.version(name)
        importlib.import_module(MODULES.get(name, name))
    except Exception as error:  # a broken package can raise anything while it is imported
        return Finding("fail", name, f"cannot be imported ({str(error).splitlines()[0]}); run `pip install -e .` again")
    return Finding("ok", name, version)


def _reference() -> Finding:
    """Tell whether there is a second coder to hold the kit's own against; the kit needs none."""
    try:
        return Finding("ok", "nncodec", f"{importlib.metadata.version('nncodec')}, to compare the kit's own coder with")
    except importlib.metadata.PackageNotFoundError:
        return Finding("ok", "nncodec", "not installed: the kit's own coder needs it only to be compared with it")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    detail = f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    return Finding("ok" if memory.available >= MEMORY_GB * 1e9 else "warn", "memory", f"{detail}, {MEMORY_GB} needed")


def _disk() -> Finding:
    try:
        folder = cache_dir()
        while not folder.exists():
            folder = folder.parent
    except (OSError, UserError) as error:  # where nobody may look, or there is no home
        return Finding("warn", "disk", f"free space for the cache cannot be told ({error}), {DISK_GB} GB needed")
    free = shutil.disk_usage(folder).free / 1e9
    return Finding("ok" if free >= DISK_GB else "warn", "disk", f"{free:.0f} GB free for the cache, {DISK_GB} needed")


def _threads() -> Finding:
    import torch

    used = torch.get_num_threads()
    detail = f"{used} used by torch, {os.cpu_count()} processors, {threads.cores()} for relcomp"
    if hint := "" if threads.own_choice() else threads.advice(used):
        return Finding("warn", "threads", f"{detail}; {hint}")
    return Finding("ok", "threads", detail)


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("ok", "GPU", torch.cuda.get_device_name())
    return Finding("ok", "GPU", "none; the quick profile needs none")


def _cache() -> Finding:
    try:
        return Finding("ok", "cache", f"{make_folder(cache_dir())} can be written to")
    except UserError as error:
        return Finding("fail", "cache", str(error))


def _data() -> Finding:
    try:
        chosen = data_dir()
    except UserError as error:
        return Finding("fail", "data sets", str(error))
    folders = [folder for folder in (chosen, cache_dir() / "data") if folder]
    found = [name for name in NAMES if name == "digits" or any(not missing(name, folder) for folder in folders)]
    found += _scenes(folders)
    setting = f"RELCOMP_DATA is {chosen}" if chosen else "RELCOMP_DATA is not set"
    if "mnist" in found:
        return Finding("ok", "data sets", f"{', '.join(found)}; {setting}")
    hint = "the first lesson tries to download mnist and else takes digits"
    return Finding("warn", "data sets", f"{', '.join(found)}; {setting}; {hint}")


def _scenes(folders: list[Path]) -> list[str]:
    """Return the sets of scenes that are here."""
    try:
        from relcomp_kit.datasets.layouts import LAYOUTS
    except ImportError:  # torch or torchvision cannot be used, which has a line of its own
        return []
    present = [n for n, layout in LAYOUTS.items() if any((folder / layout.folder).is_dir() for folder in folders)]
    return [*DRAWN_SIZE, *present]
