"""What the records of a sweep of pruning decide: T14d, on the published program from other initial weights alone."""

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
    found = {"weights left": counts, "test accuracy": [0.87, 0.9]}
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


@pytest.mark.parametrize("change", [{"initial": "torch"}, {"rule": "none"}, {"steps": 30}, {"images": "train"}])
def test_other_plans_decide_nothing(change):
    point = dataclasses.replace(POINTS[0], values=POINTS[0].values | change)
    with pytest.raises(UserError, match="--decide is for plans of the published program from the initial weights"):
        sweep_claims.check([point])
    with pytest.raises(UserError, match="--decide is for plans"):
        sweep_claims.check([*POINTS, dataclasses.replace(point, values=POINTS[0].values | {"dataset": "digits"})])
