"""Checks pass and fail as they should, print the claim alone, and refuse graders that anything would pass."""

import math

import numpy as np
import pytest
import torch

from relcomp_kit.course import check
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


CASES = {1: 2, 3: 6}
TENSORS = [
    ((torch.tensor([1.0, 2.0]),), torch.tensor([2.0, 4.0])),
    ((torch.tensor([0.0, 3.0]),), torch.tensor([0.0, 6.0])),
]


@pytest.mark.parametrize("cases", [CASES, list(CASES.items()), TENSORS], ids=["dict", "pairs", "tensors"])
def test_exercise_accepts_the_solution_and_no_easy_answer(cases, capsys):
    check.exercise(double, cases)
    assert capsys.readouterr().out == "✓ double is right in all 2 cases\n"
    for wrong in (lambda x: x, lambda x: 0 * x, lambda x: None, lambda x: 2, lambda x: 2 * x + 1e-3):
        with pytest.raises(CheckFailed, match="expected"):
            check.exercise(wrong, cases)
    assert capsys.readouterr().out == ""


def test_exercise_not_attempted_goes_on(capsys):
    def double(x):
        raise NotImplementedError

    check.exercise(double, CASES)
    assert capsys.readouterr().out == "· double: not attempted\n"


def test_exercise_with_several_arguments_names_the_case_that_fails():
    cases = {(784, 36): 28_224, (36, 25): 900}
    check.exercise(lambda inputs, neurons: inputs * neurons, cases)
    with pytest.raises(CheckFailed, match=r"product\(784, 36\): expected 28224.*, got 820"):

        def product(inputs, neurons):
            return inputs + neurons

        check.exercise(product, cases)


def test_an_error_in_the_students_code_is_shown():
    with pytest.raises(ZeroDivisionError):
        check.exercise(lambda x: x / 0, CASES)


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
        check.exercise(double, cases, **tolerance)


@pytest.mark.parametrize(("cases", "tolerance"), [({1: 1, 3: 3}, {}), ({1: 1.05, 3: 2.95}, {"atol": 0.1})])
def test_grader_that_the_identity_would_pass_is_refused(cases, tolerance):
    with pytest.raises(ValueError, match="accept the identity"):
        check.exercise(double, cases, **tolerance)
