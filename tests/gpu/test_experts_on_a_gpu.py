"""Experts on a GPU: the path, the gated net, the cut net, and the experiment from a net to a trained expert."""

import copy

import torch

from relcomp_kit.compression import experts, nnc
from relcomp_kit.relevance.lrp import weight_relevance_per_class
from relcomp_kit.studies.coding import experiment as coding
from relcomp_kit.studies.experts import experiment as study

RAIL = 0


def test_paths_gates_and_cut_nets_are_the_processors(card, net, images, in_double, check_sums):
    """Scores of filters are sums, so only filters whose scores are equal within rounding may change places."""
    relevance = weight_relevance_per_class(net, images, [RAIL], normalize=True)[RAIL]
    there = copy.deepcopy(net).to(card)
    moved = {name: value.to(card) for name, value in relevance.items()}
    x = images[0][0]
    path = experts.relevant_path(net, relevance, 0.5, x[:1])
    assert all(torch.equal(mask, path[name]) for name, mask in experts.relevant_path(there, moved, 0.5, x[:1]).items())
    double = in_double(net)
    with torch.no_grad(), experts.gate(net, path), experts.gate(there, path), experts.gate(double, path):
        gated = [{"out": one(x.to(next(one.parameters())))["out"]} for one in (there, net, double)]
    check_sums(*gated)
    small = experts.compact(there, path, x[:1])
    assert next(small.parameters()).device == card
    with torch.no_grad():
        cut = {"out": small(x.to(card))["out"]}
    check_sums(cut, gated[1], gated[2])


def test_an_expert_is_cut_trained_and_coded(card, net, scenes, use, own_cache, monkeypatch):
    use(card)
    there = copy.deepcopy(net).to(card)
    monkeypatch.setattr(study, "kept", lambda *what, **scored: (there, scenes))
    monkeypatch.setattr(coding, "kept", lambda *what, **scored: (there, scenes))
    study.class_relevance.cache_clear()
    coding._float_scores.cache_clear()
    point = {"seed": 0, "keep": 0.5, "relevance_scenes": 4}
    found = study.expert(**point, steps=2, batch=4)
    assert 0 < found["MACs"][0] < 1 and found["test IoU trained"] != found["test IoU as cut"]
    coded = coding.code(**point, wanted=("rail",), cut_steps=0, arm="ecq", steps=1, batch=4)
    assert coded["decoded exactly"] is True and coded["outputs apart"][0] < 1e-4
    study.class_relevance.cache_clear()  # of a net that the next test lacks
    coding._float_scores.cache_clear()


def test_a_decoded_net_runs_on_the_card(card, net, images):
    from relcomp_kit.compression import ecqx

    quantized = ecqx.quantize(copy.deepcopy(net).to(card), 4, 0.1)
    file = nnc.encode(quantized)
    decoded = coding.decoded_net(file, net).to(card)
    with torch.no_grad():
        assert decoded(images[0][0].to(card))["out"].isfinite().all()
