"""What lesson 02 decides from its curves, on the curves of the recorded full run."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from relcomp_kit.evidence.record import reference
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.pruning import results

MNIST = SimpleNamespace(
    name="mnist", classes=range(10), train=SimpleNamespace(images=torch.empty(1, 1, 28, 28, dtype=torch.uint8))
)
SAVING = {"dense": 4, "masked": 4}


@pytest.fixture(scope="module")
def recorded() -> dict:
    return reference(results.LESSON)


def nearly(found, expected) -> bool:
    """Whether two results are equal; fits differ in their last digits from one version of SciPy to the next."""
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(nearly(found[name], expected[name]) for name in expected)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(nearly, found, expected))
    return found == pytest.approx(expected, rel=1e-6) if isinstance(expected, float) else found == expected


def test_curves_of_the_record_give_its_claims_again(recorded, tmp_path, monkeypatch):
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))
    carried = {}  # T13 takes nets
    record = results.decided("full", MNIST, get_profile("full").pruning, recorded["curves"], {}, carried, SAVING)
    wanted = [claim for claim in recorded["claims"] if not claim["id"].startswith("T13")]
    assert [
        one["id"] for one, other in zip(record.content["claims"], wanted, strict=True) if not nearly(one, other)
    ] == []
    assert [path.stem for path in tmp_path.glob("*.json")] == [results.LESSON]


def test_layers_come_out_in_the_opposite_order_of_the_thesis(recorded):
    text, program = (results.layer_shares(recorded["curves"], group) for group in ("text", "pruned"))
    assert list(program) == list(text) == list(results.PUBLISHED_SHARES)
    for sf, published in results.PUBLISHED_SHARES.items():
        assert np.argmin(published) == 2
        assert np.argmin(program[sf]) == 0
        assert np.argmin(text[sf]) == 2
        assert (text[sf] > np.array(published) - 0.005).all()
    assert text[0.95][0] == pytest.approx(results.PUBLISHED_SHARES[0.95][0], abs=0.005)
    assert program[0.6] == pytest.approx([0.73, 0.83, 0.91], abs=0.005)


def test_group_that_was_not_run_has_no_shares(recorded):
    assert results.layer_shares(recorded["curves"], "no such group") == {}
