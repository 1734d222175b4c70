"""What the tests of studies share: a net and a few scenes."""

from dataclasses import replace

import pytest
from torch.utils.data import Subset

from relcomp_kit import datasets
from relcomp_kit.models.checkpoints import load_net


@pytest.fixture
def net_and_few_scenes(tmp_path, monkeypatch):
    """A committed net, four small rail scenes of each split, and an empty cache."""
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path))
    data = datasets.load_scenes("rail-scenes", (48, 80))
    few = {split: Subset(getattr(data, split), range(4)) for split in ("train", "validation", "test")}
    return load_net("compact-rail-scenes-0").eval(), replace(data, **few)
