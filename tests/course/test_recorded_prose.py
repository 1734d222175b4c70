"""What lessons 02 to 04 say about recorded runs, against the records: a record that says otherwise fails here.

Each test is for the sentence that its name repeats. Figures of the live run are printed by the lessons, not told.
"""

from functools import cache
from statistics import fmean

import numpy as np
import pytest

from relcomp_kit.evidence import record as records
from relcomp_kit.studies.pruning import measurement as pruning
from relcomp_kit.studies.pruning import results as pruning_results
from relcomp_kit.studies.relevance import measurement as relevance
from relcomp_kit.studies.relevance import results as relevance_results
from relcomp_kit.studies.segmentation import results as segmentation_results

reference = cache(records.reference)  # read once, and never changed here


def pruning_curves() -> dict[str, list[dict]]:
    return reference("02_prune_until_it_converges")["curves"]


def accuracies(name: str, sf: float = 0.95) -> list[float]:
    return [curve["test"][-1] for curve in pruning.select(pruning_curves()[name], sf)]


def test_light_pruning_adds_something_in_each_seed_in_one_next_to_nothing():
    curves = pruning_curves()
    light, plain = pruning.select(curves["pruned"], 0.6), curves["unpruned"]
    added = [ours["test"][30] - theirs["test"][30] for ours, theirs in zip(light, plain)]
    alone = [curve["test"][30] - curve["test"][0] for curve in plain]
    assert 0 < min(added) < 0.001 and max(added) < 0.01
    assert fmean(added) < 0.2 * fmean(alone)


def test_plain_training_and_light_pruning_fall_later_deep_pruning_stays_below_and_hardly_falls():
    curves = pruning_curves()
    mean = {sf: np.mean([c["test"] for c in pruning.select(curves["pruned"], sf)], axis=0) for sf in (0.6, 0.95)}
    plain = np.mean([c["test"] for c in curves["unpruned"]], axis=0)
    assert all(curve.max() - curve[-1] > 0.01 for curve in (mean[0.6], plain))
    late = mean[0.95][30:]
    assert late.max() - late[-1] < 0.005 and (late < plain[30:] - 0.02).all()
    assert abs(mean[0.95][-1] - mean[0.95][0]) < 0.005


def test_at_equal_sparsity_two_maps_beat_chance_magnitude_beats_two_maps_gradient_lies_between():
    two_maps, chance, magnitude = (accuracies(name) for name in ("pruned", "random", "magnitude"))
    assert all(a < b < c for a, b, c in zip(chance, two_maps, magnitude))
    assert fmean(magnitude) - fmean(two_maps) > fmean(two_maps) - fmean(chance)
    assert fmean(two_maps) < fmean(accuracies("taylor")) < fmean(magnitude)


def test_training_or_test_images_make_no_clear_difference():
    apart = [a - b for a, b in zip(accuracies("train images"), accuracies("pruned"))]
    assert min(apart) < 0 < max(apart)


def test_text_leaves_more_after_half_of_the_training_and_the_oracle_is_best_of_its_table():
    curves = pruning_curves()
    text, program = (pruning.select(curves[name], 0.95) for name in ("text", "pruned"))
    left, steps = (
        [fmean(what(curve) for curve in arms) for arms in (text, program)]
        for what in (lambda curve: pruning.density(curve)[-1], lambda curve: curve["sgd_steps"][-1])
    )
    assert left[0] > left[1] and 0.4 < steps[0] / steps[1] < 0.65
    oracle = fmean(accuracies("oracle"))
    assert oracle > max(fmean(c["test"][-1] for c in curves[name]) for name in ("rank", "probabilistic"))
    assert oracle > fmean(accuracies("pruned")) and fmean(accuracies("magnitude")) >= oracle


def test_predictions_are_too_low_and_by_a_larger_factor_the_larger_sf():
    measured, predicted = pruning.after_convergence(pruning_curves()["converged"])
    factors = {name: [fmean(measured[sf]) / fmean(by_sf[sf]) for sf in measured] for name, by_sf in predicted.items()}
    per_layer, per_neuron, frozen = factors.values()
    assert per_layer == sorted(per_layer) and per_neuron == sorted(per_neuron)
    assert all(a > b > c > 1 for a, b, c in zip(per_layer, per_neuron, frozen))


def test_two_digits_gain_nothing_at_the_published_budget():
    arms = pruning_curves()["two classes"]
    assert fmean(curve["test"][-1] - curve["test"][0] for curve in arms) < 0.002
    assert max(pruning.density(curve)[-1] for curve in arms) < 1 / 3


def test_text_keeps_least_in_the_last_layer_in_the_mean_and_two_of_three_seeds_break_it_at_95():
    text = pruning_results.layer_shares(pruning_curves(), "text")
    published = pruning_results.PUBLISHED_SHARES
    assert all(np.argmin(shares) == 2 for shares in text.values())
    larger = {(sf, layer) for sf in text for layer in range(3) if text[sf][layer] > published[sf][layer]}
    assert len(larger) >= 14
    each = list(zip(*pruning_results.shares_by_layer(pruning_curves(), "text")["0.95"].values()))
    assert sum(np.argmin(shares) != 2 for shares in each) == 2


def test_keras_weights_keep_98_of_the_first_layer_and_the_middle_one_keeps_least_in_two_of_three_seeds():
    curves = reference("02_prune_until_it_converges.pruning-layers")["curves"]
    shares = pruning_results.layer_shares(curves, "glorot")[0.6]
    assert shares == pytest.approx([0.98, 0.87, 0.90], abs=0.005)
    assert all(0.855 < curve["test"][0] < 0.87 for curve in curves["glorot"])
    each = zip(*pruning_results.shares_by_layer(curves, "glorot")["0.6"].values())
    assert sorted(int(np.argmin(shares)) for shares in each) == [1, 1, 2]


def test_slow_beats_fast_but_not_the_arm_that_is_pruned_at_once():
    curves = pruning_curves()
    against_fast, at_once = pruning.slow_against_fast(curves["pruned"]), pruning.slow_against_at_once(curves)
    assert all(fmean(against_fast["slow"][sf]) > fmean(against_fast["fast"][sf]) for sf in against_fast["slow"])
    assert fmean(at_once["fast"]["SF 0.9"]) >= fmean(at_once["slow"]["SF 0.9"])


def test_compact_improves_for_ten_epochs_and_large_nets_are_cut_short():
    record = reference("03_teach_a_net_the_railway")
    for history in record["curves"]["compact"]:
        assert 9.5 < history[-1]["epoch"] < 10.5
        assert history[-1]["miou"] > history[0]["miou"]
    cut = [line for line in segmentation_results.summary(record) if "resnet" in line]
    assert cut and all("CUT SHORT" in line for line in cut)


def test_within_a_layer_relevance_loses_half_magnitude_gains_and_stays_behind():
    record = reference("04_ask_which_weights_matter")
    pooled, within = (relevance_results.recorded_agreement(record, k) for k in ("filters", "filters of a layer"))
    for name in (relevance.LRP, relevance.OTHER_AGGREGATE, relevance.PLUS):
        assert 0.4 < within[name] / pooled[name] < 0.6
        assert within[name] > within["magnitude"]
    assert 0.6 < within[relevance.TAYLOR] / pooled[relevance.TAYLOR] < 0.8
    assert pooled["magnitude"] < 0.05 and within["magnitude"] > 0.15


def test_whole_net_relevance_leads_single_weights_magnitude_ends_ahead():
    record = reference("04_ask_which_weights_matter")
    ends = {}
    for scope in ("net", "weights"):
        shares, curves = relevance_results.recorded_curves(record, scope)
        ends[scope] = {name: fmean(each) for name, each in relevance_results.areas(curves["least"], shares).items()}
    controls = ("magnitude", "random")
    kinds = (relevance.LRP, relevance.OTHER_AGGREGATE, relevance.TAYLOR, relevance.PLUS)
    assert min(ends["net"][name] for name in kinds) > max(ends["net"][name] for name in controls) + 0.1
    assert max(ends["net"], key=ends["net"].get) == relevance.PLUS
    assert ends["weights"]["magnitude"] > ends["weights"][relevance.LRP]
    assert ends["weights"][relevance.PLUS] - ends["weights"]["random"] < 0.05
    single = relevance_results.recorded_agreement(record, "weights")
    assert single["magnitude"] < single[relevance.LRP]


def test_half_of_all_filters_can_go_by_z_plus_and_most_pixels_are_right():
    shares, curves = relevance_results.recorded_curves(reference("04_ask_which_weights_matter"), "net")
    assert fmean(curve[shares.index(0.5)] for curve in curves["least"][relevance.PLUS]) > 0.6
