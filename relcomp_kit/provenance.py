"""What made a measurement beside its parameters: commit, machine and versions."""

import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout

LIBRARIES = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "numba", "zennit", "zennit-crp", "nncodec")


@functools.cache
def commit() -> str:
    """Return the checked-out commit, with ``+`` behind it if files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(checkout()), *words], capture_output=True, text=True, check=True, timeout=20
        ).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError, UserError):  # no git, or the package without its clone
        return "unknown"


def circumstances() -> dict:
    """Return what made a measurement beside its parameters: commit, machine and versions."""
    return {
        "commit": commit(),
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
