"""Checks pass and fail as they should, print the claim alone, and refuse graders that anything would pass."""

import math

import numpy as np
import pytest
import torch

from relcomp_kit.course import check, solutions
from relcomp_kit.course.check import CheckFailed

GOOD = [
    (1.0, 1.05, {"atol": 0.1}),
    (95.0, 100.0, {"rtol": 0.05}),
    ([1, 2], torch.tensor([1.0, 2.0]), {}),
    (np.array([1.0, 2.0]), (1.001, 2.001), {"atol": 0.002}),
    (math.inf, math.inf, {}),
    (torch.tensor(3.0, requires_grad=True), 3, {}),
    ("tanh", "tanh", {}),
    (True, True, {}),
    (1 + 2j, 1 + 2j, {}),
]
BAD = [
    (1.0, 1.2, {"atol": 0.1}),
    (94.0, 100.0, {"rtol": 0.05}),
    ([1, 2, 3], [1, 2], {"atol": 9}),
    ([1.0, 1.0], 1.0, {"atol": 9}),
    ([1.0, 5.0], [1.0, 2.0], {"atol": 1}),
    (math.nan, 1.0, {"atol": 9}),
    (math.nan, math.nan, {"atol": 9}),
    (1.0, math.nan, {"rtol": 9}),
    (math.inf, 1.0, {"atol": 9}),
    (math.inf, -math.inf, {}),
    ("relu", "tanh", {}),
    (None, 1.0, {"atol": 9}),
    (None, None, {}),
    ([[1], [2, 3]], [[1], [2, 3]], {}),
    (1 + 5j, 1 + 2j, {}),
]


@pytest.mark.parametrize(("value", "expected", "tolerance"), GOOD)
def test_close_passes_and_prints_the_claim_only(value, expected, tolerance, capsys):
    check.close("the numbers agree", value, expected, **tolerance)
    assert capsys.readouterr().out == "✓ the numbers agree\n"


@pytest.mark.parametrize(("value", "expected", "tolerance"), BAD)
def test_close_fails_with_what_was_found(value, expected, tolerance, capsys):
    with pytest.raises(CheckFailed, match=r"✗ the numbers agree: expected .*, got .*"):
        check.close("the numbers agree", value, expected, **tolerance)
    assert capsys.readouterr().out == ""


def test_same_is_exact_for_whole_numbers_and_close_for_others():
    check.same("equal", torch.tensor([1, 2]), [1, 2])
    check.same("equal to rounding", 1.0, 1.000001)
    check.same("near 0", 0.0, 1e-10)
    for one, other in (([100_000_000, 2], [100_000_001, 2]), (1.0, 1.0001), (True, False), ("a", "b"), (0.0, 1e-8)):
        with pytest.raises(CheckFailed):
            check.same("different", one, other)


def test_true_takes_a_condition(capsys):
    check.true("two is more than one", torch.tensor(2) > 1)
    assert capsys.readouterr().out == "✓ two is more than one\n"
    with pytest.raises(CheckFailed, match=r"✗ one is more than two: found 1$"):
        check.true("one is more than two", 1 > 2, found=1)
    with pytest.raises(CheckFailed, match=r"✗ nothing$"):
        check.true("nothing", 0)


def double(x):
    return 2 * x


class fresh:
    """Generators, by the names of exercises."""

    @staticmethod
    def double(rng):
        return (int(rng.integers(2, 100)),)

    @staticmethod
    def product(rng):
        return tuple(rng.integers(3, 100, 2).tolist())

    @staticmethod
    def halves(rng):
        return ({"bn1.weight": torch.tensor(rng.random(2)), "bn1.bias": torch.tensor(rng.random(2))},)


def product(inputs, neurons):
    return inputs * neurons


def halves(state):
    return {name: value / 2 for name, value in state.items()}


@pytest.fixture(autouse=True)
def lesson(monkeypatch):
    """A lesson that has these three exercises."""
    monkeypatch.setattr(solutions, "solution_of", {"double": double, "product": product, "halves": halves}.get)


CASES = {1: 2, 3: 6}
TENSORS = [
    ((torch.tensor([1.0, 2.0]),), torch.tensor([2.0, 4.0])),
    ((torch.tensor([0.0, 3.0]),), torch.tensor([0.0, 6.0])),
]
STATE = {"bn1.weight": torch.ones(2), "bn1.bias": torch.zeros(2)}
STATES = [((STATE,), halves(STATE)), (({"bn1.weight": torch.ones(1)},), {"bn1.weight": torch.tensor([0.5])})]


@pytest.mark.parametrize("cases", [CASES, list(CASES.items()), TENSORS], ids=["dict", "pairs", "tensors"])
def test_exercise_accepts_the_solution_and_no_easy_answer(cases, capsys):
    check.exercise(double, cases, fresh.double)
    assert capsys.readouterr().out == "✓ double is right in the 2 cases shown, and in 100 that were drawn\n"
    for wrong in (lambda x: x, lambda x: 0 * x, lambda x: None, lambda x: 2, lambda x: 2 * x + 1e-3):
        with pytest.raises(CheckFailed, match="expected"):
            check.exercise(wrong, cases, fresh.double)
    assert capsys.readouterr().out == ""


def test_a_table_of_the_cases_shown_does_not_pass():
    said = r"✗ double\(x=\d\): expected \d+, got 6. \(The cases shown are right; of 100 others, drawn by the seed \d+,"
    with pytest.raises(CheckFailed, match=said):
        check.exercise(lambda x: CASES.get(x, 6), CASES, fresh.double)


def test_exercise_not_attempted_goes_on(capsys):
    def double(x):
        raise NotImplementedError

    check.exercise(double, CASES, fresh.double)
    assert capsys.readouterr().out == "· double: not attempted\n"


def test_exercise_with_several_arguments_names_the_case_that_fails():
    cases = {(784, 36): 28_224, (36, 25): 900}
    check.exercise(product, cases, fresh.product)
    with pytest.raises(CheckFailed, match=r"product\(inputs=784, neurons=36\): expected 28224, got 820$"):
        check.exercise(lambda inputs, neurons: inputs + neurons, cases, fresh.product)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda inputs, neurons: None, "expected one value, such as 28224, got nothing (is there a `return`?)"),
        (
            lambda inputs, neurons: [inputs],
            "expected one value, such as 28224, got values of the shape (1,), such as [784]",
        ),
        (lambda inputs, neurons: (one for one in "a"), "expected one value, such as 28224, got a generator"),
        (lambda inputs, neurons: {"a": 1}, "expected one value, such as 28224, got a dict with the keys a"),
    ],
)
def test_another_kind_of_result_is_said_in_words(wrong, said):
    with pytest.raises(CheckFailed) as caught:
        check.exercise(wrong, {(784, 36): 28_224, (36, 25): 900}, fresh.product)
    assert said in str(caught.value)


def test_dicts_are_compared_by_their_keys_and_values():
    check.exercise(halves, STATES, fresh.halves)
    for wrong, said in (
        (
            lambda state: dict(list(halves(state).items())[:1]),
            "expected a dict with the keys bn1.weight, bn1.bias, got a",
        ),
        (lambda state: halves(state) | {"bn1.bias": torch.ones(2)}, r"under 'bn1.bias', expected \[0.0, 0.0\], got"),
        (lambda state: list(state.values()), "expected a dict with the keys"),
    ):
        with pytest.raises(CheckFailed, match=said):
            check.exercise(wrong, STATES, fresh.halves)


def test_an_argument_must_stay_what_it_was():
    def halves(state):
        for value in state.values():
            value /= 2
        return state

    with pytest.raises(CheckFailed, match="an argument is not what it was: change a copy"):
        check.exercise(halves, STATES, fresh.halves)


def test_an_error_in_the_students_code_is_shown_with_the_case(capsys):
    with pytest.raises(ZeroDivisionError):
        check.exercise(lambda x: x / 0, CASES, fresh.double)
    assert capsys.readouterr().out == "✗ double(x=1) ends with an error:\n"


@pytest.mark.parametrize(
    ("cases", "tolerance"),
    [
        ({1: 2}, {}),
        ({}, {}),
        ({1: 2, 3: 2}, {}),
        ({1: 2.0, 3: 2.05}, {"atol": 0.1}),
        ({1: 100.0, 3: 101.0}, {"rtol": 0.02}),
    ],
)
def test_grader_that_a_constant_would_pass_is_refused(cases, tolerance):
    with pytest.raises(ValueError, match="a constant would pass"):
        check.exercise(double, cases, fresh.double, **tolerance)


@pytest.mark.parametrize(("cases", "tolerance"), [({1: 1, 3: 3}, {}), ({1: 1.05, 3: 2.95}, {"atol": 0.1})])
def test_grader_that_the_identity_would_pass_is_refused(cases, tolerance):
    with pytest.raises(ValueError, match="accept the identity"):
        check.exercise(double, cases, fresh.double, **tolerance)
