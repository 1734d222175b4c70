"""The tests in tests/gpu: skipped for one reason without CUDA, and known to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent / "gpu"


def run(*options: str, **variables: str) -> str:
    """The last lines of pytest on the folder."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q", *options, str(FOLDER)]
    environment = {name: value for name, value in os.environ.items() if name != "RELCOMP_GPU_REHEARSAL"} | variables
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: they run")
def test_without_cuda_all_are_skipped_for_one_reason():
    told = run("-rs")
    lines = [line for line in told.splitlines() if line.startswith("SKIPPED")]
    assert lines and all("needs a GPU with CUDA" in line for line in lines)
    assert " passed" not in told


@pytest.mark.slow
def test_the_cheap_ones_are_rehearsed(tmp_path):
    cheap = "relevance or centroids or cut_nets or bf16 or decoded"
    told = run("-k", cheap, RELCOMP_GPU_REHEARSAL="1", RELCOMP_CACHE=str(tmp_path))
    assert " passed" in told
