"""All lessons in their quick profile, as one types it: what a first run takes on two cores, and a second one."""

import os
import subprocess
import sys
import time

FIRST, SECOND = 12 * 60, 4 * 60  # seconds


def seconds_of_a_run(environment: dict[str, str], out) -> float:
    """Run all lessons, and return the seconds it takes; a lesson that fails raises."""
    start = time.perf_counter()
    command = [sys.executable, "-c", "from relcomp_kit.cli.app import main; main()", "run", "--out", str(out)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def test_all_lessons_from_an_empty_cache_and_with_a_full_one(tmp_path, say):
    environment = os.environ | {"RELCOMP_CACHE": str(tmp_path / "cache"), "RELCOMP_THREADS": "2"}
    environment["OMP_NUM_THREADS"] = "2"
    first = seconds_of_a_run(environment, tmp_path / "first")
    second = seconds_of_a_run(environment, tmp_path / "second")
    say(f"all lessons, quick, two cores: {first:.0f} s from an empty cache, {second:.0f} s with a full one")
    assert first < FIRST
    assert second < SECOND
