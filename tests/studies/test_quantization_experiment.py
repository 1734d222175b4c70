"""The experiment "quantize" on digits, small enough to run at once."""

import math

import pytest
import torch

from relcomp_kit.errors import UserError
from relcomp_kit.studies.quantization.experiment import cluster_information, one_shot, quantize, trained

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


def test_an_unknown_arm_at_once_is_a_sentence():
    with pytest.raises(UserError, match="there is no arm 'hessian'; choose one of ecq, lrp"):
        one_shot(net="resnet20-published", dataset="cifar10", arm="hessian", seed=0)


def test_information_is_that_of_the_clusters_in_which_the_most_relevant_weights_end():
    indices = {"a": torch.tensor([[0, 0, 0, 1], [0, 0, 2, 2]]), "b": torch.zeros(2, 2, dtype=torch.int64)}
    relevance = {"a": torch.tensor([[0.0, 0, 0, 9], [0, 0, 1, 1]]), "b": torch.rand(2, 2)}
    relevant, each = cluster_information(indices, relevance)  # one weight of "a", one of "b"
    assert relevant == pytest.approx((3 + 0) / 2)
    assert each == pytest.approx((5 * math.log2(8 / 5) + 3 + 2 * 2) / 12)
    assert cluster_information(indices, relevance, share=1.0) == pytest.approx((each, each))
