"""The experiment "quantize" on digits, small enough to run at once."""

import math

import pytest
import torch

from relcomp_kit.compression import nnc
from relcomp_kit.compression.ecqx.recipe import QatRecipe, resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.compression.gptq import gptq
from relcomp_kit.compression.nnc import rival_codecs
from relcomp_kit.errors import UserError
from relcomp_kit.relevance import weight_saliency
from relcomp_kit.studies.quantization import experiment
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


def test_information_is_that_of_the_clusters_in_which_weights_end():
    indices = {"a": torch.tensor([[0, 0, 0, 1], [0, 0, -2, -2]]), "b": torch.zeros(2, 2, dtype=torch.int64)}
    scores = {"a": torch.tensor([[0.0, 0, 0, 9], [0, 0, 1, 1]]), "b": torch.rand(2, 2)}
    assert cluster_information(indices, indices, scores) == pytest.approx((3 + 0) / 2)  # a weight of each tensor
    each = (5 * math.log2(8 / 5) + 3 + 2 * 2) / 12
    assert cluster_information(indices, indices, None) == pytest.approx(each)
    assert cluster_information(indices, indices, scores, share=1.0) == pytest.approx(each)


def test_by_the_clusters_of_another_quantization_a_weight_gains_only_by_moving():
    scores = {"a": torch.tensor([9.0, 8, 1, 1, 1, 1, 1, 1])}
    before = {"a": torch.tensor([1, 1, 1, 1, 0, 0, 0, 0])}
    left_alone = {"a": torch.tensor([1, 1, 0, 0, 0, 0, 0, 0])}  # others leave the cluster
    moved = {"a": torch.tensor([3, 1, 1, 1, 0, 0, 0, 0])}
    found = [cluster_information(one, before, scores, share=0.25) for one in (before, left_alone, moved)]
    assert found == [1.0, 1.0, pytest.approx((3 + 1) / 2)]  # a cluster that was empty counts as one weight of eight
    assert cluster_information(left_alone, left_alone, scores, share=0.25) == 2.0


@pytest.mark.slow
def test_arms_at_once_take_what_they_are_called(monkeypatch):
    """On digits: each score is that of its function, and every option arrives."""
    model, data = trained("ReLU", "digits", 0)
    batches = [(data.train.images[:40].flatten(1) * 2 - 1, data.train.labels[:40])]
    by_loss, squared = (weight_saliency.loss_change(model, batches, squared=one) for one in (False, True))
    met = weight_saliency.activation_aware(model, batches)
    for arm, expected in (("taylor", by_loss), ("fisher", squared), ("activation-aware", met)):
        found = experiment.arm_relevance(arm, model, batches, 0)
        assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    kwargs = {"net": "ReLU", "dataset": "digits", "seed": 0, "relevance_images": 100}
    plain = one_shot(arm="lrp", information=True, **kwargs)
    given = {}
    monkeypatch.setattr(experiment.ecqx, "quantize", lambda *args, **how: given.update(how) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one_shot(arm="lrp", floor=0.25, step_rule="p99.9", probabilities="published", **kwargs)
    assert (given["floor"], given["step"], given["probabilities"]) == (0.25, "p99.9", "published")
    bits = {name: value[0] for name, value in plain.items() if name.startswith("information")}
    assert len(bits) == 5 and bits["information of relevant weights"] > bits["information of all weights"] > 0


@pytest.mark.slow
def test_rivals_at_once_are_theirs():
    """On digits: GPTQ from the inputs that relevance would be measured on; nncodec at the step and the rate given."""
    model, data = trained("ReLU", "digits", 0)
    kwargs = {"net": "ReLU", "dataset": "digits", "seed": 0, "relevance_images": 100}
    found = one_shot(arm="gptq", bits=3, **kwargs)
    task = task_of(model, resolve(QatRecipe(batch=100)), data, 0)
    quantized = gptq(model, [task.batch(0)], 3)
    assert found["file size"][0] == len(nnc.encode(quantized)) and found["sparsity"][0] == quantized.sparsity
    if not rival_codecs.has_nncodec():
        return
    plain, coarse, bent = (
        one_shot(arm="rdoq", qp=qp, rate=rate, **kwargs) for qp, rate in ((-38, 0.0), (-16, 0.0), (-16, 1.0))
    )
    assert plain["file size"] > coarse["file size"] > bent["file size"]
    assert plain["sparsity"] < coarse["sparsity"] < bent["sparsity"]
    assert plain["accuracy"][0] > 0.8
