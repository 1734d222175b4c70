"""The experiment "train": a net by recipe and seed, from the cache where it is there."""

import dataclasses

import pytest
from torch.utils.data import Subset

from relcomp_kit.errors import UserError
from relcomp_kit.models import segmentation_training
from relcomp_kit.studies.segmentation import experiment

TINY = {"size": (32, 48), "steps": 2, "batch": 4, "class_weights": "none", "precision": "fp32", "profile": "quick"}


@pytest.fixture
def few_scenes(monkeypatch, own_cache):
    """Sets of scenes with eight in each split."""
    load = experiment.load_scenes

    def load_few(name, size):
        few = load(name, size)
        parts = {split: Subset(getattr(few, split), range(8)) for split in ("train", "validation", "test")}
        return dataclasses.replace(few, **parts)

    monkeypatch.setattr(experiment, "load_scenes", load_few)


@pytest.mark.slow
def test_scores_of_a_net_that_is_trained_once(few_scenes, monkeypatch):
    measured = experiment.train(seed=1, **TINY)
    assert 0 <= measured["pixel accuracy"][0] <= 1 and measured["mIoU"][1] == "share"
    assert len(measured["IoU per class"][0]) == 7 and measured["training time"][0] > 0
    monkeypatch.setattr(segmentation_training, "train", None)
    assert experiment.train(seed=1, **TINY) == measured
    with pytest.raises(TypeError):  # another net, not in the cache
        experiment.train(seed=2, **TINY)


def test_unknown_names_are_told():
    with pytest.raises(UserError, match="there is no net 'huge'"):
        experiment.train(seed=0, net="huge")
