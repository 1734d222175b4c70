"""How many threads: what is told, what is shared, and what is the quickest beside other work."""

import os
import subprocess
import sys

import pytest
import torch

from relcomp_kit import threads
from relcomp_kit.compression import ecqx
from relcomp_kit.errors import UserError

NAMES = ("RELCOMP_THREADS", "OMP_NUM_THREADS", *threads.WAITING)


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_measured", {})


@pytest.fixture
def two_threads():
    with threads.using(2):
        yield


@pytest.fixture
def took(monkeypatch):
    """A function that says how long each number of threads takes; the list counts measurements."""
    asked = []

    def say(found: dict[int, float]) -> list[int]:
        monkeypatch.setattr(threads, "_measure", lambda most: asked.append(most) or found)
        return asked

    return say


def test_cores_are_those_told_or_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "3")
    assert threads.cores() == 3
    monkeypatch.delenv("RELCOMP_THREADS")
    assert 1 <= threads.cores() <= os.cpu_count()
    for wrong in ("two", "0", "-1", "1.5"):
        monkeypatch.setenv("RELCOMP_THREADS", wrong)
        with pytest.raises(UserError, match=f"RELCOMP_THREADS is '{wrong}'"):
            threads.cores()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_cores_follow_the_affinity_of_the_process():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); from relcomp_kit import threads; "
    done = subprocess.run([sys.executable, "-c", code + "print(threads.cores())"], capture_output=True, check=True)
    assert done.stdout.split() == [b"1"]


@pytest.mark.parametrize(
    ("told", "own"), [(None, None), ("", None), ("0", None), ("many", None), ("4", 4), ("3,1", 3), ("8", None)]
)
def test_the_choice_of_the_user_is_told_from_a_share(monkeypatch, told, own):
    monkeypatch.setenv("RELCOMP_THREADS", "8")
    if told is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert threads.own_choice() == own
    assert [threads.threads(count) for count in (1, 2, 3, 99)] == ([own] * 4 if own else [8, 4, 2, 1])
    assert threads.processes() == 8 // (own or 1)


def test_processes_share_the_cores_and_their_own_processes_that_share(monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "8")
    share = threads.environment(2)
    assert share == {"OMP_WAIT_POLICY": "PASSIVE", "RELCOMP_THREADS": "4", "OMP_NUM_THREADS": "4"}
    for name, value in share.items():
        monkeypatch.setenv(name, value)
    assert (threads.cores(), threads.own_choice(), threads.threads()) == (4, None, 4)
    assert threads.environment(4) == {"RELCOMP_THREADS": "1", "OMP_NUM_THREADS": "1"}


def test_what_the_user_says_stays(monkeypatch):
    monkeypatch.setenv("RELCOMP_THREADS", "8")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.environment(8)["OMP_NUM_THREADS"] == "3"
    for name in threads.WAITING:
        with monkeypatch.context() as patch:
            patch.setenv(name, "1")
            assert threads.patient() == {}


def test_torch_has_its_threads_back_whatever_happens(two_threads):
    with pytest.raises(ZeroDivisionError), threads.using(1):
        assert torch.get_num_threads() == 1
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("found", "best"),
    [
        ({1: 1.0, 2: 0.5, 4: 0.25}, 4),
        ({1: 1.0, 2: 0.5, 4: 0.49}, 2),
        ({1: 1.0, 2: 0.95, 4: 3.0}, 1),
        ({1: 1.0, 2: 7.0, 3: 0.5}, 3),
    ],
)
def test_the_fewest_threads_that_are_as_quick_are_taken_and_measured_seldom(took, monkeypatch, found, best):
    asked = took(found)
    most = max(found)
    assert [threads.quickest(most) for _ in range(3)] == [best] * 3 and asked == [most]
    said = threads.advice(most)
    assert said == "" if best == most else f"OMP_NUM_THREADS={best}" in said
    monkeypatch.setattr(threads, "VALID", 0.0)
    threads.quickest(most)
    assert asked == [most] * 2


def test_long_work_takes_the_threads_that_pay(took, two_threads, monkeypatch):
    asked = took({1: 1.0, 2: 8.0})
    long, short = torch.zeros(threads.LONG), torch.zeros(threads.LONG - 1)
    with threads.paying([short, torch.empty(threads.LONG, device="meta")]):
        assert (torch.get_num_threads(), asked) == (2, [])
    with threads.paying([long]):
        assert (torch.get_num_threads(), asked) == (1, [2])
        with threads.paying([long]):
            assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with threads.paying([long]):
        assert torch.get_num_threads() == 2
    assert asked == [2]


@pytest.mark.slow
def test_a_measurement_is_of_one_two_four_and_all_threads():
    with threads.using(5):
        found = threads.seconds(3)
        assert torch.get_num_threads() == 5
    assert list(found) == [1, 2, 3] and all(took > 0 for took in found.values())
    assert threads.seconds(3) is found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ECQ", "ECQ^x"])
def test_indices_do_not_depend_on_the_threads(kind):
    """What `paying` is used for; more than one piece, and a last one that no number of threads divides."""
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(2**18 + 4097, generator=draw)
    relevance = ecqx.normalized(torch.rand(weight.shape, generator=draw) ** 3) if kind == "ECQ^x" else None
    grid = ecqx.Grid(ecqx.centroid_step(weight, 4), ecqx.level_range(weight, 4), 1e-3)
    with threads.using(1):
        made, expected = ecqx.fit(weight, grid, relevance=relevance)
    for count in (2, 3, 7):
        with threads.using(count):
            assert torch.equal(made.indices(weight), expected)


POLICY = "import os, sys; from relcomp_kit.cli.app import main; sys.argv[1:] = ['--help']\ntry: main()\nfinally: "
POLICY += "print('\\n' + os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.slow
def test_the_command_line_lets_threads_sleep_before_torch_is_there():
    done = subprocess.run([sys.executable, "-c", POLICY], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "PASSIVE False"
