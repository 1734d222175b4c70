"""What the records of a sweep of pruning decide: T14d from other initial weights, T3 and T4 with more seeds."""

import dataclasses
import json

import pytest

from relcomp_kit.errors import UserError
from relcomp_kit.studies.plans import points as points_of
from relcomp_kit.studies.pruning import results, sweep_claims
from relcomp_kit.sweeps.point import Point

SIZES = (28_224, 900, 250)
POINTS = points_of("pruning-layers")


def pruned(point: Point, left: tuple[float, ...] | None = None) -> dict:
    """The record of a point that keeps the published shares of its layers, or others."""
    shares = left or results.PUBLISHED_SHARES[point.values["sf"]]
    counts = [list(SIZES), [round(share * size) for share, size in zip(shares, SIZES)]]
    found = {"weights left": counts, "validation accuracy": [0.86, 0.89], "test accuracy": [0.87, 0.9]}
    return {"point": point.values, "measurements": [{"name": name, "value": value} for name, value in found.items()]}


def test_plan_decides_the_order_of_the_layers():
    content = sweep_claims.decided(POINTS, [pruned(point) for point in POINTS]).content
    (claim,) = content["claims"]
    assert (claim["id"], claim["verdict"], claim["seeds"]) == ("T14d", "reproduced", [0, 1, 2])
    assert claim["measured"].startswith("SF 0.6: 0.93/0.89/0.78")
    assert results.layer_shares(content["curves"], "glorot")[0.6] == pytest.approx([0.93, 0.89, 0.78], abs=0.002)
    json.dumps(content, allow_nan=False)


def test_another_order_is_not_reproduced():
    content = sweep_claims.decided(POINTS, [pruned(point, (0.2, 0.3, 0.4)) for point in POINTS]).content
    assert content["claims"][0]["verdict"] == "not reproduced"


def curve(point: Point, ends: dict[str, float]) -> dict:
    """The record of a point that rises evenly to an accuracy, by its rule, while its weights fall to a quarter."""
    seed, steps = point.values["seed"], point.values["steps"]
    way = [step / steps for step in range(steps + 1)]
    end = ends[point.values["rule"]] + seed / 1e4
    left = [[round(size * (1 - 0.75 * part)) for size in SIZES] for part in way]
    accuracies = [0.87 + part * (end - 0.87) for part in way]
    found = {"weights left": left, "validation accuracy": accuracies, "test accuracy": accuracies}
    return {"point": point.values, "measurements": [{"name": name, "value": value} for name, value in found.items()]}


def verdicts(plan: str, **ends: float) -> dict[str, str]:
    points = points_of(plan)
    content = sweep_claims.decided(points, [curve(point, ends) for point in reversed(points)]).content
    json.dumps(content, allow_nan=False)
    assert content["curves"].keys() == {"pruned", "unpruned"}
    seeds = [one["seed"] for one in content["curves"]["pruned"]]
    assert all(claim["seeds"] == seeds == sorted(seeds) for claim in content["claims"])
    return {claim["id"]: claim["verdict"] for claim in content["claims"]}


def test_plan_of_the_rise_decides_what_pruning_adds():
    assert verdicts("pruning-rise", median=0.91, none=0.88) == {"T3": "reproduced", "T3c": "reproduced"}
    assert verdicts("pruning-rise", median=0.91, none=0.909) == {"T3": "not reproduced", "T3c": "not reproduced"}
    assert len({point.values["seed"] for point in points_of("pruning-rise")}) == 20


def test_plan_of_a_quarter_decides_whether_few_weights_are_enough():
    assert verdicts("pruning-under-30", median=0.89, none=0.88) == {"T4": "reproduced", "T4c": "reproduced"}
    assert verdicts("pruning-under-30", median=0.89, none=0.92) == {"T4": "reproduced", "T4c": "not reproduced"}
    assert verdicts("pruning-under-30", median=0.86, none=0.88) == {"T4": "not reproduced", "T4c": "not reproduced"}


def test_plans_that_lack_a_partner_decide_nothing():
    points = points_of("pruning-rise")
    for some in (points[1:], points[::2], points + points_of("pruning-under-30")):
        with pytest.raises(UserError, match="or with the rules 'median' and 'none' for each seed"):
            sweep_claims.check(some)


@pytest.mark.parametrize("change", [{"initial": "torch"}, {"rule": "none"}, {"steps": 30}, {"images": "train"}])
def test_other_plans_decide_nothing(change):
    point = dataclasses.replace(POINTS[0], values=POINTS[0].values | change)
    with pytest.raises(UserError, match="--decide is for plans of the published program from the initial weights"):
        sweep_claims.check([point])
    with pytest.raises(UserError, match="--decide is for plans"):
        sweep_claims.check([*POINTS, dataclasses.replace(point, values=POINTS[0].values | {"dataset": "digits"})])
