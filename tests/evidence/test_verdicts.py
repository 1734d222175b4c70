"""Intervals decide: what is met, what fails, what three seeds cannot tell, and one sentence why."""

import math

import numpy as np
import pytest
from scipy import stats

from relcomp_kit.errors import UserError
from relcomp_kit.evidence import reasons, verdicts
from relcomp_kit.evidence.verdicts import FAILED, MET, UNDECIDED, Condition, Ruling, decide

MNIST, FREE = {"id": "T3", "needs": "mnist"}, {"id": "T8a", "needs": ""}
ALONE = MNIST | {"no_stand_in": "others are easier"}
SEEDS = (0, 1, 2)
YES, NO, OPEN = [0.1, 0.11, 0.12], [-0.1, -0.11, -0.12], [0.1, -0.1, 0.2]


def ruling(**margins) -> Ruling:
    return Ruling({name: Condition(some) for name, some in margins.items()}, "")


def test_the_interval_is_students():
    margins = [0.3, 0.1, 0.25, 0.2]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(margins), scale=stats.sem(margins))
    assert verdicts.interval(margins) == pytest.approx((low, high))
    wider = verdicts.interval(margins, 0.99)
    assert wider[0] < low and wider[1] > high
    assert verdicts.interval([0.2, 0.2, 0.2]) == pytest.approx((0.2, 0.2))


def test_a_method_that_does_nothing_is_seldom_met():
    rng = np.random.default_rng(0)
    drawn = rng.normal(0, 1, (2000, 3)).tolist()
    met = np.mean([verdicts.state(Condition(margins)) == MET for margins in drawn])
    agreed = np.mean([min(margins) > 0 for margins in drawn])
    assert met < 0.04 < 0.1 < agreed  # 2.5 %, where unanimity passes one in eight


@pytest.mark.parametrize(
    ("condition", "state"),
    [
        (Condition(YES), MET),
        (Condition([0.0] * 3), MET),  # a bound that is reached
        (Condition(NO), FAILED),
        (Condition([-1e-9] * 3), FAILED),
        (Condition(OPEN), UNDECIDED),
        (Condition([0.01, 0.02, 0.001]), UNDECIDED),  # three seeds agree, but their interval holds 0
        (Condition(YES, matters=0.05), MET),
        (Condition(YES, matters=0.2), FAILED),  # ahead, but an effect of interest is excluded
        (Condition([0.19, 0.2, 0.19], matters=0.2), UNDECIDED),
        (Condition([0.0] * 3, matters=0.005), FAILED),
        (Condition([0.1, math.nan, 0.1]), UNDECIDED),
        (Condition(YES[:2]), UNDECIDED),
    ],
)
def test_states(condition, state):
    assert verdicts.state(condition) == state


def test_without_chance_every_case_counts():
    assert verdicts.state(Condition([0.0, 0.5]), exact=True) == MET
    assert verdicts.state(Condition([0.5, -1.0]), exact=True) == FAILED


@pytest.mark.parametrize(
    ("claim", "margins", "dataset", "at_scale", "verdict"),
    [
        (MNIST, {"a": YES}, "mnist", True, "reproduced"),
        (MNIST, {"a": YES}, "mnist", False, "holds on a stand-in"),
        (MNIST, {"a": YES}, "fashion-mnist", True, "holds on a stand-in"),
        (MNIST, {"a": YES}, "digits", True, "holds on a stand-in"),
        (MNIST, {"a": YES[:2]}, "mnist", True, "too few seeds"),
        (MNIST, {"a": NO[:2]}, "mnist", False, "too few seeds"),
        (MNIST, {"a": YES, "b": YES[:1]}, "mnist", True, "too few seeds"),
        (MNIST, {"a": OPEN}, "mnist", True, "undecided"),
        (MNIST, {"a": OPEN}, "mnist", False, "undecided"),
        (MNIST, {"a": YES, "b": OPEN}, "mnist", True, "undecided"),
        (MNIST, {"a": NO, "b": OPEN}, "mnist", True, "undecided"),
        (MNIST, {"a": YES, "b": NO}, "mnist", True, "partly"),
        (MNIST, {"a": YES, "b": NO, "c": OPEN}, "mnist", True, "partly"),  # a part holds, a part does not
        (MNIST, {"a": NO, "b": NO}, "mnist", True, "not reproduced"),
        (MNIST, {"a": NO}, "mnist", False, "not testable here"),  # a reduced budget refutes nothing
        (MNIST, {"a": NO}, "camvid", True, "not testable here"),  # nor do other data
        (MNIST, {"a": NO}, "fashion-mnist", True, "not testable here"),
        (MNIST, {"a": OPEN}, "digits", True, "not testable here"),
        (MNIST, {"a": YES[:2]}, "digits", True, "not testable here"),
        (MNIST, {"a": [0.1, math.nan, 0.2]}, "mnist", True, "undecided"),  # a seed did not get there
        (ALONE, {"a": YES}, "rail-scenes", False, "not testable here"),
        (ALONE, {"a": YES}, "mnist", True, "reproduced"),
        (FREE, {"a": [0.0]}, None, False, "reproduced"),  # no data involved: one computation is enough
        (FREE, {"a": [-1.0]}, None, False, "not reproduced"),
        (FREE, {"a": [-1.0], "b": [1.0]}, None, True, "partly"),
    ],
)
def test_verdicts(claim, margins, dataset, at_scale, verdict):
    assert verdict in verdicts.VERDICTS
    found = ruling(**margins)
    assert decide(claim, found, dataset, at_scale, SEEDS) == verdict
    sentence = reasons.why(claim, found, verdict, SEEDS)
    assert sentence.endswith(".") and "nan" not in sentence


def test_three_values_of_one_seed_are_no_three_seeds():
    assert decide(MNIST, ruling(a=YES), "mnist", True, (0, 0, 0)) == "too few seeds"
    assert decide(MNIST, ruling(a=YES), "mnist", True) == "too few seeds"


@pytest.mark.parametrize("margins", [YES, NO, OPEN, YES[:2], NO[:1], [math.nan] * 3])
@pytest.mark.parametrize("at_scale", [True, False])
def test_no_stand_in_reproduces_and_none_refutes(margins, at_scale):
    for dataset in ("digits", "fashion-mnist", "camvid"):
        found = decide(MNIST, ruling(a=margins), dataset, at_scale, SEEDS)
        assert found not in ("reproduced", "not reproduced")
    on_digits = decide(MNIST, ruling(a=margins), "digits", at_scale, SEEDS)
    assert on_digits in ("holds on a stand-in", "not testable here")


@pytest.mark.parametrize("margins", [{}, {"a": []}, {"a": YES, "b": []}])
def test_a_condition_without_measurement_decides_nothing(margins):
    with pytest.raises(UserError, match="claim T3: a condition without a measurement"):
        decide(MNIST, ruling(**margins), "mnist", True)


def test_alternatives_are_one_condition():
    found = Ruling(
        {
            "one": Condition(NO, alternative=True),
            "other": Condition([0.1, 0.1001, 0.1002], alternative=True),
            "besides": Condition(OPEN),
        },
        "",
    )
    assert verdicts.states(MNIST, found) == {"other": MET, "besides": UNDECIDED}


@pytest.mark.parametrize(
    ("main", "side", "states"),
    [
        (YES, YES, {"main": MET}),
        (NO, YES, {"main": FAILED}),
        (YES, NO, {"main": FAILED, "side": FAILED}),
        (YES, OPEN, {"main": UNDECIDED, "side": UNDECIDED}),
        (NO, OPEN, {"main": FAILED}),
    ],
)
def test_side_conditions_are_no_merit_of_their_own(main, side, states):
    found = Ruling({"main": Condition(main), "side": Condition(side, side=True)}, "")
    assert verdicts.states(MNIST, found) == states


def told(verdict, **conditions):
    return reasons.why(MNIST, Ruling(conditions, ""), verdict, SEEDS)


def test_reasons_name_the_condition_that_decides_with_its_interval():
    points = Condition([0.010, 0.012, 0.011], 0.005, "points")
    assert told("reproduced", lead=points) == (
        "Holds: lead (ahead by 1.1 points, 95 % interval +0.85 to +1.3, 3 seeds)."
    )
    both = told("reproduced", far=Condition([10.0, 10.1, 10.2]), near=points)
    assert both.startswith("All hold; the closest: near (")
    assert told("undecided", lead=Condition([0.01, 0.002, -0.004], 0.005, "points")) == (
        "Not settled: lead (+0.27 points on average, 95 % interval −1.5 to +2.0, 3 seeds, where 0.5 points would "
        "matter)."
    )
    assert told("partly", a=points, b=Condition([-5.0, -5.1, -5.2], unit="weights")) == (
        "Holds: a (ahead by 1.1 points, 95 % interval +0.85 to +1.3, 3 seeds). "
        "Fails: b (missed by 5.1 weights, 95 % interval −5.3 to −4.9, 3 seeds)."
    )
    open_side = Condition([0.010, 0.002, -0.004], side=True)
    alone = told("undecided", lead=points, held=open_side)  # what only waits for it is no reason
    assert alone.startswith("Not settled: held (") and "lead" not in alone
    two = told("undecided", left=Condition([1.0, 2.0, -1.0]), held=open_side)
    assert two.startswith("Not settled: held (") and "; left (" in two
    failed = Condition([-0.1, -0.1, -0.1])
    assert told("not reproduced", a=failed) == "Fails: a (missed by 0.1 for every seed)."
    assert told("not testable here", a=failed).endswith("Smaller nets, budgets or other data refute nothing.")
    assert told("undecided", a=Condition([math.nan, 1.0, 1.0])) == (
        "Not settled: a (a run did not get to where it is decided)."
    )


def test_reasons_without_an_interval():
    found = Ruling({"a": Condition(YES[:2])}, "")
    assert reasons.why(MNIST, found, "too few seeds", (0, 1)).startswith("2 seeds give no interval")
    assert reasons.why(ALONE, found, "not testable here", SEEDS) == (
        "Nothing stands in for the published data: others are easier."
    )
    exact = Ruling({"a": Condition([0.5], unit="MB")}, "")
    assert reasons.why(FREE, exact, "reproduced") == "Holds: a (with 0.5 MB to spare)."
    exact = Ruling({"a": Condition([-1500.0], unit="weights")}, "")
    assert reasons.why(FREE, exact, "not reproduced") == "Fails: a (missed by 1,500 weights)."
