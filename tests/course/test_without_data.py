"""Lessons about images on what comes with the kit, scikit-learn's digits: no data set, no network."""

import os
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.environ.get("RELCOMP_SOAK") != "full", reason="takes five minutes and two cores: RELCOMP_SOAK=full"
    ),
]
RELCOMP = (sys.executable, "-c", "from relcomp_kit.cli.app import main; main()")


def test_lessons_run_without_data_and_without_a_network(tmp_path):
    own = {"RELCOMP_OFFLINE": "1", "RELCOMP_CACHE": str(tmp_path / "cache")}
    environment = {name: value for name, value in os.environ.items() if name != "RELCOMP_DATA"} | own
    command = [*RELCOMP, "run", "01", "02", "04", "05", "07", "09", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
