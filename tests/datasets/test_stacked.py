"""Splits that lie in memory: the same scenes, another identity where they are fewer, no helpers for their batches."""

import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors

from relcomp_kit.datasets.scenes import describe, load_scenes, remember
from relcomp_kit.datasets.stacked import in_memory
from relcomp_kit.models.scene_batches import TrainingBatches
from relcomp_kit.models.segmentation_training import Recipe


@pytest.mark.slow
def test_the_scenes_are_the_same_in_order(monkeypatch):
    monkeypatch.setattr("relcomp_kit.datasets.stacked.PIECE", 2)
    drawn = load_scenes("rail-scenes", (32, 48))
    made = in_memory(drawn, 2, 5)
    for name in ("train", "validation", "test"):
        split = getattr(made, name)
        assert len(split) == 5 and split.size == (32, 48)
        for index in range(5):
            for one, other in zip(split[index], getattr(drawn, name)[index]):
                assert type(one) is type(other) and torch.equal(one.as_subclass(Tensor), other.as_subclass(Tensor))
    assert made.sha256 != drawn.sha256 != in_memory(drawn, 1, 4).sha256
    assert isinstance(made.train[0][0], tv_tensors.Image) and "5 training" in describe(made)


def test_batches_that_are_at_hand_need_no_helpers():
    drawn = load_scenes("rail-scenes", (32, 48))
    made = in_memory(drawn, 1, 2)
    recipe = Recipe("compact", "rail-scenes", (32, 48), steps=1, batch=2, augment=False)
    assert TrainingBatches(remember(made.train), recipe, 7, 0).at_hand
    assert not TrainingBatches(remember(drawn.train), recipe, 7, 0).at_hand
    augmented = Recipe("compact", "rail-scenes", (32, 48), steps=1, batch=2)
    assert not TrainingBatches(remember(made.train), augmented, 7, 0).at_hand
