"""One net of lesson 01 as a point of a sweep: what its setting changes, and what is measured of it."""

import dataclasses

import pytest
import torch

from relcomp_kit import datasets
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.models.masked_net_training import Batches, Samples, one_hot_others_cold, train
from relcomp_kit.studies.saliency import experiment
from relcomp_kit.studies.saliency import measurement as study
from relcomp_kit.studies.thesis_net import trained_net


@pytest.mark.slow
def test_points_measure_what_their_setting_decides(own_cache):
    points = {
        "published": experiment.saliency(seed=0, dataset="digits"),
        "everywhere": experiment.saliency(seed=0, dataset="digits", activation="sigmoid", everywhere=True),
        "unit": experiment.saliency(seed=0, dataset="digits", inputs="[0, 1], no noise"),
    }
    names = {name: set(found) for name, found in points.items()}
    assert names["published"] == names["everywhere"] == names["unit"]
    accuracy, correlation, silent = ("test accuracy", "map correlation", "weights without a gradient")
    assert points["published"][accuracy][0] > 0.7 > points["everywhere"][accuracy][0]
    assert points["published"][correlation][0] > points["unit"][correlation][0]
    assert points["published"][silent][0] == 0 < points["unit"][silent][0]
    for found in points.values():
        assert set(found["signs"][0]) == {"digit", "others", "edges"}
        assert all(-1 <= value <= 1 for value in found["signs"][0].values())
        assert found["impact against saliency"][0] > 0 and found["biases against weights"][0] > 0


def test_one_hot_nets_are_trained_for_other_targets_and_kept_apart(own_cache):
    digits = datasets.load("digits")
    cold, hot = (trained_net(digits, 0, 5, cold=value) for value in (-1.0, 0.0))
    assert (cold.net.cold, hot.net.cold) == (-1, 0)
    by_hand, samples = MaskedNet((64, 36, 25, 10), seed=0), hot.train
    targets = torch.nn.functional.one_hot(samples.labels, 10).float()
    train(by_hand, samples, targets, Batches(len(samples), 0), 0, 5)
    assert torch.equal(by_hand.layers[0].weight, hot.net.layers[0].weight)
    assert not torch.equal(cold.net.layers[0].weight, hot.net.layers[0].weight)
    assert len(list((own_cache / "artifacts").glob("net-*"))) == 2


def test_an_activation_everywhere_is_at_the_output_too():
    assert study.EVERYWHERE["ReLU"] == ("relu", "relu", "relu")
    assert study.EVERYWHERE["ReLU, then tanh"] == ("relu", "tanh", "tanh")
    assert study.EVERYWHERE.keys() == study.HIDDEN.keys()


def test_signs_of_a_region_cancel_or_add_up():
    slopes = torch.tensor([[1.0, 3.0, -2.0, 2.0], [0.0, 0.0, -1.0, -3.0]])
    parts = {"left": torch.tensor([True, True, False, False]), "right": torch.tensor([False, False, True, True])}
    assert study.region_signs(slopes, parts) == {"left": 1, "right": -0.5}


def test_biases_move_as_training_moves_them():
    x, labels = torch.rand(20, 6, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    net = MaskedNet((6, 5, 4, 3), seed=2)
    with torch.no_grad():
        net.layers[0].bias += 0.2
        net.layers[0].weight -= 0.1
    assert experiment._moved(net, 2) == pytest.approx(2, abs=1e-4)
    train(net, Samples(x, labels), one_hot_others_cold(labels, 3), Batches(20, 0), 0, 3)
    assert experiment._moved(net, 2) != pytest.approx(2, abs=1e-4)


def test_settings_that_are_none_and_stand_ins_are_refused(monkeypatch):
    with pytest.raises(UserError, match="no 'swish' for such a net; choose one of tanh; sigmoid"):
        experiment.saliency(seed=0, dataset="digits", activation="swish")
    with pytest.raises(UserError, match=r"no '\[0, 2\]' for such a net"):
        experiment.saliency(seed=0, dataset="digits", inputs="[0, 2]")
    stand_in = dataclasses.replace(datasets.load("digits"), stand_in_for="mnist")
    monkeypatch.setattr(experiment, "_dataset", lambda name: stand_in)
    with pytest.raises(UserError, match="mnist is not on this machine: run `relcomp fetch mnist`, or take"):
        experiment.saliency(seed=0)
