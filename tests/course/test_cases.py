"""No wrong answer passes an exercise: every solution is mutated, and what survives has to equal it on its domain."""

import ast
import copy
import random
import signal
import warnings
from collections import OrderedDict
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from answers import RIGHT, WRONG
from domains import DOMAINS
from mutants import mutants
from torch import nn

from relcomp_kit.compression import ecqx, experts
from relcomp_kit.course import check, notebooks, solutions
from relcomp_kit.course.cases import draw
from relcomp_kit.course.grade.cells import run_cell
from relcomp_kit.relevance import lrp

SAMPLE = 1000  # cases of a domain, on which what passed must equal the solution
FEW, LITTLE = 4, 100  # mutants of an exercise, and cases of its domain, in the fast test


@cache
def exercises() -> dict[str, SimpleNamespace]:
    """Every graded exercise of every lesson: its cell, the names in it, its check."""
    found = {}
    for source in notebooks.find_lessons():
        cells = solutions.code_cells(source)
        code = [text for text, _ in cells]

        def note(function, shown, generate, *, atol=1e-9, rtol=1e-6, cells=cells, code=code):
            name = generate.__name__
            place = next(i for i, (text, tags) in enumerate(cells) if "exercise" in tags and f"def {name}(" in text)
            assert name not in found, "two exercises have one name"
            found[name] = SimpleNamespace(
                solution=function,
                shown=check.pairs_of(shown),
                generate=generate,
                space=run_cell(code, place),
                tree=next(one for one in ast.parse(code[place]).body if getattr(one, "name", "") == name),
                tolerance=(atol, rtol),
            )

        for index, text in enumerate(code):
            if "check.exercise(" in text:
                run_cell(code, index, {"check": SimpleNamespace(exercise=note)})
    return found


every = pytest.mark.parametrize("name", sorted(DOMAINS))


@cache
def cases_of(name: str, seed: int) -> list:
    """The cases of a marking, with what the solution gives."""
    one = exercises()[name]
    drawn = draw(one.generate, seed)
    return one.shown + [(given, one.solution(*copy.deepcopy(given))) for given in drawn]


def wrong_in(function, cases, tolerance) -> bool:
    """Whether a function is wrong in one of some cases."""
    try:
        return any(
            check.difference(function(*copy.deepcopy(given)), expected, *tolerance) is not None
            for given, expected in cases
        )
    except Exception:
        return True


@contextmanager
def a_second():
    """Raise where something takes longer: a mutant may never end."""

    def late(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@cache
def sample(name: str, count: int = SAMPLE) -> list:
    """Cases from all over the domain, drawn by nothing that marks."""
    rng, solution = random.Random(name), exercises()[name].solution
    drawn = [DOMAINS[name](rng) for _ in range(count)]
    return [(given, solution(*copy.deepcopy(given))) for given in drawn]


def surviving(name: str, few: int | None = None) -> tuple[int, list[str]]:
    """Return how many mutants there are, and those that pass though they are not equal to the solution."""
    one, cases, left = exercises()[name], cases_of(name, seed=1), []
    made = mutants(one.tree)
    for what, tree in random.Random(0).sample(made, few) if few else made:
        space = dict(one.space)
        with warnings.catch_warnings(), a_second():
            warnings.simplefilter("ignore")
            exec(compile(ast.Module([tree], []), "<mutant>", "exec"), space)
            passed = not wrong_in(space[name], cases, one.tolerance)
        if passed and wrong_in(space[name], sample(name, LITTLE if few else SAMPLE), one.tolerance):
            left.append(what)
    return len(made), left


def test_every_exercise_has_what_it_takes():
    assert exercises().keys() == DOMAINS.keys() == WRONG.keys() == RIGHT.keys()
    assert all(len(some) >= 2 for some in WRONG.values())


@every
def test_few_mutants_are_refused(name):
    _, left = surviving(name, FEW)
    assert not left


@pytest.mark.slow
@every
def test_all_mutants_are_refused(name):
    count, left = surviving(name)
    assert count >= 20
    assert not left, f"of {count} mutants these pass: " + "; ".join(left)


@every
def test_wrong_answers_of_hand_are_refused(name):
    one = exercises()[name]
    for seed in range(3):
        cases = cases_of(name, seed)
        passed = [place for place, wrong in enumerate(WRONG[name]) if not wrong_in(wrong, cases, one.tolerance)]
        assert not passed, f"seed {seed}: wrong answers {passed} pass"


@every
def test_other_ways_to_be_right_are_accepted(name):
    one = exercises()[name]
    for seed in range(3):
        assert not wrong_in(RIGHT[name], cases_of(name, seed), one.tolerance)
    assert not wrong_in(RIGHT[name], sample(name, LITTLE), one.tolerance)


@every
def test_a_table_of_known_cases_is_refused(name):
    """What was shown, or drawn in another marking, and for all else the last result."""
    one = exercises()[name]
    known = cases_of(name, seed=1)

    table = {repr(case): result for case, result in known}

    def from_table(*given):
        return table.get(repr(given), known[-1][1])

    assert not wrong_in(from_table, known, one.tolerance)
    assert wrong_in(from_table, cases_of(name, seed=2), one.tolerance)


@every
def test_a_seed_gives_the_same_cases_again(name):
    generate = exercises()[name].generate
    assert repr(draw(generate, 1)) == repr(draw(generate, 1)) != repr(draw(generate, 2))


def test_the_solutions_agree_with_the_kit():
    """ECQ (relevance of one half at beta 1 changes nothing), LRP on a net of ReLUs, and the gate."""
    rng, kit = np.random.default_rng(0), {name: one.solution for name, one in exercises().items()}
    weights = torch.tensor(rng.normal(size=500))
    even = torch.full((500,), 0.5, dtype=weights.dtype)
    levels = torch.arange(-3, 5)
    ours = kit["assign"](weights, 0.5, levels, 0.05, even, 1.0)
    assert torch.equal(ours, ecqx.assign(weights, 0.5, (-3, 4), 0.05).to(ours.dtype))

    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3, bias=False)).double().eval()
    x = torch.tensor(rng.normal(size=4))
    by_weight = lrp.weight_relevance(net, [x[None]], aggregate="sum", start="predicted")["0.weight"].sum(0)
    given = (x, net[0].weight.detach(), net[0].bias.detach(), net[2].weight.detach(), 1e-12)
    torch.testing.assert_close(kit["epsilon_relevance"](*given), by_weight.to(x.dtype), rtol=1e-4, atol=1e-6)

    layers = OrderedDict(conv1=nn.Conv2d(1, 3, 1), bn1=nn.BatchNorm2d(3), relu=nn.ReLU(), conv2=nn.Conv2d(3, 2, 1))
    net, image, mask = nn.Sequential(layers).eval(), torch.rand(1, 1, 4, 4), torch.tensor([True, False, True])
    with torch.no_grad():
        layers["bn1"].bias += 1
        gated = kit["gate"](net.state_dict(), {"conv1": mask})
        with experts.gate(net, {"conv1": mask}):
            expected = net(image)
        torch.testing.assert_close(torch.func.functional_call(net, gated, image), expected)


def test_the_cases_shown_alone_would_not_do():
    """What this file asks can be missed: without drawn cases, wrong answers pass many exercises."""
    fooled = [
        name
        for name, one in exercises().items()
        if any(not wrong_in(wrong, one.shown, one.tolerance) for wrong in WRONG[name])
    ]
    assert len(fooled) > len(WRONG) / 2
