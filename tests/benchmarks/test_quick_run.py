"""The three lessons in their quick profile, from nothing: four minutes on two cores, most of it matrix products."""

import os
import subprocess
import sys
import time


def test_three_lessons_from_an_empty_cache_in_four_minutes(tmp_path):
    environment = os.environ | {"RELCOMP_CACHE": str(tmp_path / "cache")}
    start = time.perf_counter()
    command = [sys.executable, "-c", "from relcomp_kit.cli import main; main()", "run", "00", "01", "02"]
    subprocess.run([*command, "--out", str(tmp_path / "out")], check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    print(f"three lessons, quick, empty cache: {seconds:.0f} s")
    assert seconds < 240
