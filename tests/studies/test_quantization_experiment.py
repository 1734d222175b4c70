"""The experiment "quantize" on digits, small enough to run at once."""

import pytest

from relcomp_kit.errors import UserError
from relcomp_kit.studies.quantization.experiment import quantize

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
