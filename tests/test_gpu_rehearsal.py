"""The tests in tests/gpu are known to run, on the processor in the place of a GPU: before a release."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "gpu"
CHEAP = "relevance_of_weights or yardstick or conserved or centroids or cut_nets or decoded"


@pytest.mark.slow
@pytest.mark.skipif("RELCOMP_SOAK" not in os.environ, reason="takes most of a minute: RELCOMP_SOAK=full or short")
def test_the_cheap_ones_are_rehearsed(tmp_path):
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q", "-k", CHEAP]
    environment = os.environ | {"RELCOMP_GPU_REHEARSAL": "1", "RELCOMP_CACHE": str(tmp_path)}
    done = subprocess.run([*command, str(FOLDER)], capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]
