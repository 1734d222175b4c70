"""The experiment "expert" on a few scenes and with a net that was trained on many."""

import pytest
import torch

from relcomp_kit.errors import UserError
from relcomp_kit.studies.experts import experiment as module
from relcomp_kit.studies.experts.experiment import expert


@pytest.fixture(autouse=True)
def few_scenes(net_and_few_scenes, monkeypatch):
    monkeypatch.setattr(module, "kept", lambda *values: net_and_few_scenes)
    module.class_relevance.cache_clear()


@pytest.mark.slow
def test_a_point_says_what_an_expert_costs_and_how_good_it_is():
    found = {
        (arm, wanted): expert(seed=0, keep=0.5, wanted=wanted, arm=arm, steps=0, relevance_scenes=4)
        for arm, wanted in (("relevance", ("rail",)), ("relevance", ("rail", "sky")), ("random", ("rail",)))
    }
    single, joined, chance = found.values()
    assert 0 < single["MACs"][0] < single["filters"][0] and single["filters"][0] == pytest.approx(0.5, abs=0.02)
    assert joined["filters"][0] > single["filters"][0]
    assert len(single["test IoU as cut"][0]) == 7 and "test IoU trained" not in single
    assert chance["test pixel accuracy as cut"] != single["test pixel accuracy as cut"]
    whole = expert(seed=0, keep=1.0, arm="magnitude", steps=0)
    assert (whole["MACs"][0], whole["parameters"][0]) == (1.0, 1.0)


@pytest.mark.slow
def test_at_the_widths_of_relevance_every_arm_costs_what_relevance_does(monkeypatch):
    def weights(when, net, data):  # instead of scores, which take longer: a number that tells one expert from another
        return {"weights": (sum(value.double().square().sum().item() for value in net.parameters()), "")}

    monkeypatch.setattr(module, "_scores", weights)
    point = {"seed": 0, "keep": 0.5, "steps": 0, "relevance_scenes": 4}
    found = {arm: expert(**point, arm=arm, widths="relevance") for arm in module.ARMS}
    costs = [{name: one[name][0] for name in ("MACs", "parameters", "filters")} for one in found.values()]
    assert all(cost == costs[0] for cost in costs)
    which = {arm: one["weights"] for arm, one in found.items()}
    assert which["relevance"] == expert(**point)["weights"], "its own widths are these"
    assert which["magnitude"] == which["magnitude per layer"], "how many each layer keeps is given"
    assert len(set(which.values())) == len(which) - 1
    own = expert(**point, arm="random per filter")
    assert own["MACs"][0] != costs[0]["MACs"] and own["filters"][0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["relevance", "average", "magnitude", "random", "Taylor"])
def test_a_budget_of_multiply_adds_is_kept_and_layers_have_multiples(arm, net_and_few_scenes, monkeypatch):
    monkeypatch.setattr(module, "_scores", lambda when, net, data: {"net": [len(w) for w in net.parameters()]})
    found = expert(seed=0, keep=0.3, arm=arm, budget="macs", multiple=8, steps=0, relevance_scenes=4)
    assert 0.25 < found["MACs"][0] < 0.4, "rounding up adds a little"
    assert all(width % 8 == 0 for width in found["net"][:-2]), "all but the layer that tells classes apart"


@pytest.mark.slow
def test_a_concept_ranks_filters_before_it_and_the_class_those_behind(net_and_few_scenes):
    net, data = net_and_few_scenes
    of_class = module.class_relevance(net, data, 4)["rail"]
    of_concept = module.concept_relevance(net, data, 4, "rail")
    behind = [layer for layer, values in of_class.items() if torch.equal(values, of_concept[layer])]
    assert of_concept.keys() == of_class.keys()
    assert behind == [layer for layer in of_class if layer in ("classifier.1", "classifier.4")]
    before = of_class["backbone.conv1"]
    assert of_concept["backbone.conv1"].sum() < before.sum(), "a part of the class's relevance takes this channel"


@pytest.mark.slow
def test_a_short_training_comes_from_the_cache_the_second_time():
    point = {"seed": 0, "keep": 0.4, "arm": "average", "steps": 2, "batch": 2, "relevance_scenes": 4}
    first, again = expert(**point), expert(**point)
    assert first["test IoU trained"] == again["test IoU trained"] != first["test IoU as cut"]
    assert first["training time"] == again["training time"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"widths": "broad"}, "no widths 'broad'; choose one of own, relevance"),
        ({"arm": "taste"}, "no arm 'taste'; choose one of relevance, average"),
        ({"wanted": ("tram",)}, "has no class 'tram'; choose one of rail, trackbed"),
        ({"budget": "money"}, "no budget 'money'; choose one of filters, macs"),
        ({"budget": "macs", "widths": "relevance"}, "leave nothing to budget"),
        ({"multiple": 8, "arm": "magnitude per layer"}, "leave nothing to budget"),
        ({"arm": "concept"}, "the arm 'concept' takes one class, and widths = 'relevance'"),
        ({"arm": "concept", "widths": "relevance", "wanted": ("rail", "sky")}, "takes one class"),
        ({"wanted": ()}, "no expert for no class"),
        ({"dataset": "mnist"}, "mnist has nothing to segment"),
        ({"keep": 0.0}, r"the share to keep must lie in \(0, 1\], not 0.0"),
    ],
)
def test_bad_points_get_a_sentence(change, words):
    with pytest.raises(UserError, match=words):
        expert(**{"seed": 0, "keep": 0.5, "steps": 0, "relevance_scenes": 4} | change)
