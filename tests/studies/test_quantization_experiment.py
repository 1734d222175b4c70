"""The experiment "quantize" on digits, small enough to run at once."""

import pytest

from relcomp_kit.errors import UserError
from relcomp_kit.studies.quantization.experiment import quantize, trained

SHORT = {"dataset": "digits", "net": "ReLU", "seed": 0, "steps": 4, "validate_every": 2, "bits": 4, "Lambda": 0.1}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path))


@pytest.mark.slow
def test_a_point_says_how_good_and_how_small_the_net_is():
    found = quantize(arm="ecq", **SHORT)
    assert found["accuracy"][0] > 0.5
    assert found["compression ratio"][0] > 4
    assert found["data"] and found["made by"]
    assert quantize(arm="ecq", **SHORT)["accuracy"] == found["accuracy"]  # from the cache


def test_bad_bits_get_a_sentence():
    with pytest.raises(UserError, match="bit width"):
        quantize(arm="ecq", **SHORT | {"bits": 9})


def test_fewer_scored_scenes_are_another_set_with_the_same_training_scenes():
    _, whole = trained("compact", "rail-scenes", 0)
    _, few = trained("compact", "rail-scenes", 0, scored_scenes=3)
    assert (len(few.validation), len(few.test)) == (3, 3)
    assert few.train is whole.train and few.sha256 != whole.sha256
    assert few.test[2][0].equal(whole.test[2][0])
    assert trained("tanh", "digits", 0, scored_scenes=3)[1].sha256 == trained("tanh", "digits", 0)[1].sha256
