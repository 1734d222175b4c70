"""What the records of a sweep of lesson 01's nets decide: T7 and T7c, or T1e, T1f and T12c."""

import json

import pytest

from relcomp_kit.cli.training import _deciding
from relcomp_kit.errors import UserError
from relcomp_kit.studies.plans import points as points_of
from relcomp_kit.studies.saliency import sweep_claims
from relcomp_kit.sweeps.point import Point

ACTIVATIONS, INPUTS = points_of("saliency-activations"), points_of("saliency-inputs")
BY_ACTIVATION = {"tanh": 0.9, "ReLU": 0.6}


def trained(point: Point) -> dict:
    """The record of a point whose net is as good as its activation, and as bad as its inputs."""
    values = point.values
    good = BY_ACTIVATION.get(values["activation"], 0.8) + values["seed"] / 1e4 + 0.01 * values["everywhere"]
    unit = values["inputs"].startswith("[0, 1]")
    found = {
        "test accuracy": good,
        "map correlation": None if values["activation"] == "sigmoid" and values["everywhere"] else good - unit / 2,
        "biases against weights": 3.0 if unit else 1.0,
        "signs": {"digit": 0.3, "others": 0.2, "edges": 0.1},
        "impact against saliency": 1.05,
    }
    return {"point": values, "measurements": [{"name": name, "value": one, "unit": ""} for name, one in found.items()]}


def decided(points: list[Point]) -> dict[str, dict]:
    content = sweep_claims.decided(points, [trained(point) for point in points]).content
    json.dumps(content, allow_nan=False)
    assert len(content["measurements"]) == 5 * len(points)
    return {claim["id"]: claim for claim in content["claims"]}


def test_plan_of_activations_decides_both_set_ups():
    claims = decided(ACTIVATIONS)
    assert list(claims) == ["T7", "T7c"]
    assert claims["T7"]["verdict"] == "reproduced" and claims["T7"]["seeds"] == list(range(3, 13))
    assert claims["T7"]["measured"].startswith("tanh 90.1, ") and claims["T7c"]["measured"].startswith("tanh 91.1, ")
    assert claims["T7c"]["verdict"] == "undecided"  # a net without any map ranks nothing


def test_plan_of_inputs_decides_signs_times_maps_and_biases():
    claims = decided(INPUTS)
    verdicts = {name: claim["verdict"] for name, claim in claims.items()}
    assert verdicts == {"T1e": "partly", "T1f": "not reproduced", "T12c": "reproduced"}
    assert "other digits' places" in claims["T1e"]["why"]


def test_plans_that_lack_a_partner_decide_nothing():
    for points in (ACTIVATIONS[1:], INPUTS[:-1], [*INPUTS, ACTIVATIONS[1]]):
        with pytest.raises(UserError, match="--decide is for plans that run every seed with all activations"):
            sweep_claims.check(points)
    assert sweep_claims.check(ACTIVATIONS) == sweep_claims.check(INPUTS) == "mnist"


def test_the_command_line_finds_who_decides():
    assert _deciding(ACTIVATIONS) is sweep_claims
    assert _deciding(points_of("pruning-rise")).__name__ == "relcomp_kit.studies.pruning.sweep_claims"
    assert _deciding(points_of("ecqx-voc")).__name__ == "relcomp_kit.studies.quantization.sweep_claims"
