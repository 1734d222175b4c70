"""What the lessons say of recorded runs, held against the records: a new record that says otherwise fails here.

Each test is for the sentence that its name repeats. Figures of the live run are printed by the lessons, not told.
"""

import re
from functools import cache
from statistics import fmean

import numpy as np
import pytest

from relcomp_kit.course import notebooks
from relcomp_kit.evidence import claims, verdicts
from relcomp_kit.evidence import record as records
from relcomp_kit.evidence.features import features_count
from relcomp_kit.files import checkout
from relcomp_kit.studies import whole_picture
from relcomp_kit.studies.coding import results as coding
from relcomp_kit.studies.experts import results as experts
from relcomp_kit.studies.experts import sweep_claims
from relcomp_kit.studies.pruning import measurement as pruning
from relcomp_kit.studies.pruning import results as pruning_results
from relcomp_kit.studies.quantization import results as quantization
from relcomp_kit.studies.quantization import sweep_claims as quantization_claims
from relcomp_kit.studies.relevance import measurement as relevance
from relcomp_kit.studies.relevance import results as relevance_results
from relcomp_kit.studies.segmentation import results as segmentation_results
from relcomp_kit.sweeps.table import select

RIVALS = ("ecq", "lrp", "magnitude")
reference = cache(records.reference)  # read once, and never changed here


def pruning_curves() -> dict[str, list[dict]]:
    return reference("02_prune_until_it_converges")["curves"]


def accuracies(name: str, sf: float = 0.95) -> list[float]:
    return [curve["test"][-1] for curve in pruning.select(pruning_curves()[name], sf)]


def claims_in(*names: str) -> dict[str, dict]:
    """What some records decide: claim to its entry."""
    return {entry["id"]: entry for name in names for entry in reference(name)["claims"]}


def test_ten_more_nets_tell_what_inputs_and_activations_do():
    found = claims_in("01_find_important_weights.saliency-inputs", "01_find_important_weights.saliency-activations")
    assert found["T1e"]["verdict"] == "reproduced" and found["T1f"]["verdict"] == "not reproduced"
    inputs = {name: fmean(values) for name, values in found["T12c"]["series"].items()}
    assert (inputs["signed_maps"], inputs["unit_maps"]) == pytest.approx((0.94, 0.27), abs=0.005)
    assert 7 < inputs["unit_biases"] / inputs["signed_biases"] < 8
    hidden, everywhere = (
        {name: fmean(values) for name, values in found[claim]["series"]["accuracy"].items()} for claim in ("T7", "T7c")
    )
    alike = [hidden[name] for name in ("tanh", "ReLU", "leaky ReLU")]
    assert max(alike) - min(alike) < 0.005 and min(alike) - hidden["sigmoid"] > 0.5
    assert everywhere["tanh"] > everywhere["leaky ReLU"] + 0.005 > everywhere["ReLU"] + 0.01
    assert everywhere["sigmoid"] < 0.15 and everywhere["ReLU, then tanh"] > everywhere["tanh"]


def test_twenty_seeds_gain_3_points_by_training_and_pruning_adds_less_than_half_a_point():
    curves = reference("02_prune_until_it_converges.pruning-rise")["curves"]
    starts, pruned, plain = (
        [curve["test"][step] for curve in curves[name]]
        for name, step in (("pruned", 0), ("pruned", 30), ("unpruned", 30))
    )
    assert len(starts) == len(pruned) == len(plain) == 20
    alone, added = fmean(plain) - fmean(starts), fmean(pruned) - fmean(plain)
    assert (alone, added) == pytest.approx((0.033, 0.004), abs=0.0005)
    assert added / (alone + added) == pytest.approx(0.1, abs=0.02)


def test_27_percent_of_the_weights_end_above_the_start_and_below_plain_training():
    record = reference("02_prune_until_it_converges.pruning-under-30")
    start, plain = (next(iter(entry["margins"].values())) for entry in record["claims"])
    assert [entry["verdict"] for entry in record["claims"]] == ["reproduced", "not reproduced"]
    assert fmean(start) == pytest.approx(0.017, abs=0.002) and fmean(plain) == pytest.approx(-0.014, abs=0.002)
    assert claims_in("02_prune_until_it_converges")["T4"]["verdict"] == "undecided"
    left = [sum(curve["left"][-1]) / sum(curve["left"][0]) for curve in record["curves"]["pruned"]]
    assert fmean(left) == pytest.approx(0.27, abs=0.005) and max(left) < 0.3


def test_by_the_text_pruning_brings_nothing_of_the_rise():
    claim = claims_in("02_prune_until_it_converges")["T3d"]
    (margins,) = claim["margins"].values()
    assert claim["verdict"] == "not reproduced" and fmean(margins) < 0


def test_by_the_text_slow_ends_a_point_higher_at_both_factors_and_the_last_layer_ends_in_no_line():
    found = claims_in("02_prune_until_it_converges")
    assert found["T11d"]["verdict"] == "reproduced"
    assert all(fmean(margins) > 0.01 for margins in found["T11d"]["margins"].values())
    lines, losses = found["T10c"]["margins"].values()
    assert fmean(lines) < 0 and fmean(losses) < 0


def test_of_lesson_01_each_claim_went_as_it_says():
    found = claims_in("01_find_important_weights")
    verdict = {name: entry["verdict"] for name, entry in found.items()}
    assert all(verdict[name] == "reproduced" for name in ("T1a", "T1c", "T12"))
    assert all(verdict[name] == "not reproduced" for name in ("T1b", "T1d"))
    margins = found["T2"]["margins"]
    by_accuracy, by_oracle = (margins[name] for name in sorted(margins, key=lambda name: "oracle" in name))
    assert verdict["T2"] == "partly" and min(by_accuracy) > 0 > fmean(by_oracle)
    (below_sigmoid,) = (
        each for name, each in found["T7"]["margins"].items() if name == "accuracy: ReLU is below sigmoid"
    )
    assert max(below_sigmoid) < -0.4


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


def test_at_equal_sparsity_two_maps_beat_random_choice_magnitude_beats_two_maps_gradient_lies_between():
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
    assert pruning_results.layer_shares(curves, "glorot")[0.95] == pytest.approx([0.23, 0.24, 0.23], abs=0.005)
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


def test_taylor_is_closest_to_ablation_yet_at_the_same_share_of_every_layer_keeps_no_more_than_a_random_order():
    record = reference("04_ask_which_weights_matter")
    pooled = relevance_results.recorded_agreement(record, "filters")
    assert max(pooled, key=pooled.get) == relevance.TAYLOR
    shares, curves = relevance_results.recorded_curves(record, "layer")
    areas = relevance_results.areas(curves["least"], shares)
    assert fmean(areas[relevance.TAYLOR]) <= fmean(areas["random"])


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


def lost(lesson, bits, zeros=0.7):
    """Arm to the points lost by every net at a share of zeros, against the float net that was trained as long."""
    rows, _ = quantization.recorded(reference(lesson))
    fair, judged = quantization.trained_as_long(rows), quantization.judged(rows)
    found = {}
    for arm in quantization.ARMS:
        nets = [select(judged, bits=bits, arm=arm, seed=seed) for seed in fair]
        scores = [quantization.at_sparsity(net, zeros) for net in nets]
        found[arm] = [100 * (one["test"] - score) for one, score in zip(fair.values(), scores)]
    return found


def mean(values):
    return {arm: fmean(each) for arm, each in values.items()}


@pytest.mark.parametrize("number", ["05", "06", "07", "08"])
def test_run_times_are_those_of_the_readme(number):
    (source,) = notebooks.find_lessons([number])
    intro = notebooks.read_source(source).cells[0].source
    readme = (checkout() / "README.md").read_text(encoding="utf-8")
    quick, full = re.search(rf"^\| \[{number} .*\| ([^|]+) \| ([^|]+) \|$", readme, re.MULTILINE).groups()
    (sentence,) = (line for line in intro.splitlines() if "two cores" in line)
    assert all(time in sentence for time in re.findall(r"[\d.]+ (?:min|h)\b", f"{quick}, {full}"))


def test_without_training_lrp_beats_ecq_and_random_and_magnitude_on_two_nets_of_three():
    once = quantization.recorded_one_shot(reference("05_quantize_by_relevance"))
    compact = [rows for name, rows in once if name == "compact"]
    lines = quantization.ahead_table(compact)
    assert len(lines) == 4 and all("nets of 3" in line for line in lines)
    for line in lines:
        assert re.search(r"ECQ: 3; .*magnitude: 2; random: 3", line)
    arms = {arm: fmean(values) for arm, values in quantization.by_arm(compact, 4, 0.2).items() if arm != "float"}
    assert max(arms, key=arms.get) == "magnitude"
    assert 0.10 < arms["lrp"] - arms["ecq"] < 0.12  # "eleven points ahead of ECQ"
    settings = ((4, 0.2, 0.03, 0.075), (3, 0.1, 0.03, 0.075), (4, 0.05, 0, 0.005), (4, 0.1, 0, 0.01))
    for bits, Lambda, least, most in settings:
        arms = quantization.by_arm(compact, bits, Lambda)
        costs = [abs(with_rule - without) for with_rule, without in zip(arms["lrp"], arms["lrp, sums left out"])]
        assert least < fmean(costs) and max(costs) < most


def test_at_once_lrp_leads_on_all_nets_of_cifar10_and_the_fault_does_no_harm():
    record = reference("05_quantize_by_relevance.cifar10-one-shot")
    rows = [one for one in record["measurements"] if one["name"] == "accuracy at once"]
    nets = dict.fromkeys(one["net"] for one in rows)

    def each(arm, step_rule="p99.9-interpolated", probabilities="normalized", key="accuracy"):
        some = select(rows, arm=arm, step_rule=step_rule, probabilities=probabilities)
        return [100 * fmean(one[key] for one in select(some, net=net)) for net in nets]

    def ahead(first, second):
        return [one - other for one, other in zip(first, second)]

    lrp, ecq = each("lrp"), each("ecq")
    lead = ahead(lrp, ecq)
    assert lead == sorted(lead) and [round(lead[0], 1), round(lead[-1], 1)] == [0.7, 3.3]
    assert min(ahead(lrp, each("magnitude"))) > 0
    lost = ahead(each("float"), lrp)
    assert round(min(lost)) == 6 and round(max(lost)) == 10
    draws = [
        score - 100 * one["accuracy"] for net, score in zip(nets, ecq) for one in select(rows, net=net, arm="random")
    ]
    assert len(draws) == 20 and (round(min(draws)), round(max(draws))) == (4, 26)
    better = ahead(each("ecq", probabilities="published"), ecq)
    assert (round(min(better), 1), round(max(better), 1)) == (0.4, 2.8)
    zeros = ahead(each("ecq", probabilities="published", key="sparsity"), each("ecq", key="sparsity"))
    assert all(round(more) in (2, 3) for more in zeros) and round(fmean(zeros)) == 2
    for arm in ("lrp", "magnitude"):
        assert max(map(abs, ahead(each(arm, key="sparsity"), each("ecq", key="sparsity")))) < 0.1
    faulty = ahead(each("lrp", probabilities="published"), each("ecq", probabilities="published"))
    assert (round(fmean(faulty), 1), round(fmean(lead), 1)) == (1.4, 2.1)
    rank = ahead(ecq, each("ecq", step_rule="p99.9"))
    assert round(rank[0], 1) == 2.0 and max(rank[1:]) < 1


def test_deeplab_at_four_bit_and_more_all_arms_lie_together_below_random_is_behind():
    lesson = "05_quantize_by_relevance.rail-scenes"
    for bits in (4, 5):
        values = mean(lost(lesson, bits))
        assert max(values.values()) < 0.5 and max(values.values()) - min(values.values()) < 0.25
    for bits, least, most in ((3, 0.75, 1), (2, 1.5, 1.6)):
        each = lost(lesson, bits)
        values = mean(each)
        assert all(least <= values[arm] <= most for arm in RIVALS)
        assert max(values, key=values.get) == "random"
        assert len({min(RIVALS, key=lambda arm, net=net: each[arm][net]) for net in range(3)}) > 1


def test_mnist_random_is_last_and_the_other_arms_overlap():
    bounds = {2: (1.6, 2), 3: (0.65, 0.85), 4: (0, 0.5), 5: (0, 0.5)}
    for bits, (least, most) in bounds.items():
        each = lost("05_quantize_by_relevance", bits)
        values = mean(each)
        assert all(least <= values[arm] <= most for arm in RIVALS)
        assert max(values, key=values.get) == "random"
        ranges = [(min(each[arm]), max(each[arm])) for arm in RIVALS]
        assert max(low for low, _ in ranges) < min(high for _, high in ranges)


def test_the_published_grid_is_better_at_nine_zeros_in_ten():
    rows, _ = quantization.recorded(reference("05_quantize_by_relevance"))
    for seed in (0, 1, 2):
        some = select(rows, arm="lrp", bits=2, seed=seed)
        ours, published = (select(some, step_rule=rule) for rule in ("least-squares", "p99.9"))
        zeros = min(row["sparsity"] for row in published)
        assert 0.89 < zeros < 0.93
        best = max(row["accuracy"] for row in published)
        assert best > max((row["accuracy"] for row in ours if row["sparsity"] >= zeros - 0.02), default=0)


def test_training_longer_helps_the_float_net_on_mnist_only():
    gains = []
    for lesson in ("05_quantize_by_relevance", "05_quantize_by_relevance.rail-scenes"):
        rows, start = quantization.recorded(reference(lesson))
        longer = quantization.trained_as_long(rows)
        gains.append(fmean(longer[seed]["test"] - start[seed]["test"] for seed in start))
        for axis in quantization.mean_accuracies(quantization.judged(rows)).values():
            score = {arm: fmean(values) for arm, values in axis.items()}
            assert abs(score["lrp"] - score["ecq"]) < 0.001 and abs(score["lrp"] - score["magnitude"]) < 0.001
            assert score["lrp"] > score["random"]
    assert gains[0] > 0.01 and gains[1] <= 0


def test_experts_of_half_of_the_filters_after_training():
    rows = experts.recorded(reference("06_cut_out_relevant_experts"))
    rail = fmean(row["test trained"]["rail"] for row in experts.supers(rows).values())

    def points(arm, wanted=("rail",)):
        some = [row for row in select(rows, arm=arm, keep=0.5) if row["wanted"] in (wanted, ())]
        return 100 * (rail - fmean(row["test trained"]["rail"] for row in some))

    assert 1.5 < points("relevance") < 2.5  # "loses two points"
    assert 6 < points("random") < 7.5  # "random filters lose seven"
    assert points("magnitude") > points("magnitude per layer") > points("random")
    assert points("average") < points("relevance")
    ahead = experts.advantage(rows, 0.5, "trained")
    assert [name for name, values in ahead.items() if fmean(values) < 0] == ["anomaly on track"]
    assert min(ahead["anomaly on track"]) < 0 < max(ahead["anomaly on track"])
    joined, single = experts.joined_and_single(rows, 0.5)
    assert min(single["anomaly on track"]) < 0.01 and min(joined["anomaly on track"]) > 0.2


def test_experts_of_four_fifths_of_the_filters_as_cut():
    """Lesson 06: magnitude and the average keep nearly all of the rails, relevance of the rail three quarters."""
    rows = experts.recorded(reference("06_cut_out_relevant_experts"))
    rail = fmean(row["test as cut"]["rail"] for row in experts.supers(rows).values())

    def kept(arm):
        some = [row for row in select(rows, arm=arm, keep=0.8) if row["wanted"] in (("rail",), ())]
        return fmean(row["test as cut"]["rail"] for row in some) / rail

    assert min(kept("magnitude"), kept("average")) > 0.95
    assert 0.7 < kept("relevance") < 0.8


def test_three_nets_settle_neither_condition_of_b5():
    """Lesson 06: two nets reach three quarters, one misses them by far; nor is it settled that two points are lost."""
    (entry,) = (one for one in reference("06_cut_out_relevant_experts")["claims"] if one["id"] == "B5")
    saved, lost = (entry["margins"][name] for name in sorted(entry["margins"], reverse=True))
    assert sum(margin >= 0 for margin in saved) == 2 and min(saved) < -0.1
    low, high = verdicts.interval(lost)
    assert fmean(lost) > 0 and low < 0 < high


def test_the_expert_of_the_small_file_is_not_the_one_of_least_computation():
    rows = experts.recorded(reference("06_cut_out_relevant_experts"))
    least = {
        seed: experts.smallest(select(rows, arm="relevance", seed=seed, wanted=("rail",)), start, "rail")
        for seed, start in experts.supers(rows).items()
    }
    assert sorted(row["keep"] for row in least.values()) == [0.5, 0.5, 0.65]
    coded, _ = coding.recorded(reference("07_encode_with_nnc"))
    chosen = coding.chosen(coding.cut(coded), coding.LOST)
    assert {row["keep"] for row in chosen.values()} == {0.65}


def test_as_cut_rivals_that_know_the_class_are_ahead_under_either_widths_and_fisher_loses_nothing():
    rows = experts.recorded(reference("06_cut_out_relevant_experts.rail-scenes-widths-as-cut"))
    own, equal = sweep_claims.by_widths(rows, "rail", "as cut").values()
    mean = {arm: fmean(values) for arm, values in own.items()}, {arm: fmean(values) for arm, values in equal.items()}
    for scores in mean:
        assert min(scores[name] for name in ("Taylor", "Fisher", "average")) > scores["relevance"] + 0.03
    blind = ("magnitude", "random", "batch-norm scale", "expected output", "activation-aware")
    assert max(mean[1][name] for name in blind) < mean[1]["relevance"]
    assert mean[1]["magnitude"] / mean[0]["magnitude"] == pytest.approx(0.5, abs=0.03)
    whole = fmean(
        row["test as cut"]["rail"] for row in experts.supers(experts.recorded(reference(sweep_claims.LESSON))).values()
    )
    assert mean[0]["Fisher"] > whole - 0.005 and mean[0]["relevance"] / whole == pytest.approx(0.75, abs=0.01)
    work = {arm: fmean(row["macs"] for row in select(rows, arm=arm, widths="own")) for arm in ("Taylor", "Fisher")}
    relevance = fmean(row["macs"] for row in select(rows, arm="relevance"))
    assert work["Taylor"] == pytest.approx(0.5, abs=0.01) and relevance < work["Fisher"] < relevance + 0.03


def test_as_cut_one_concept_is_above_chance_on_every_net_and_ahead_of_its_class_on_two():
    """Lesson 06: by six points and by one, and eleven behind on the third."""
    record = reference("06_cut_out_relevant_experts.rail-scenes-widths-as-cut")
    (claim,) = (claim for claim in record["claims"] if claim["id"] == "B5h")
    assert claim["verdict"] == "undecided"
    concept, relevance, chance = (claim["series"][name] for name in ("concept", "relevance", "chance"))
    assert min(one - other for one, other in zip(concept, chance, strict=True)) > 0.12
    ahead = sorted(100 * (one - other) for one, other in zip(concept, relevance, strict=True))
    assert ahead == pytest.approx([-11, 1, 6], abs=0.5)


def test_trained_at_equal_widths_a_third_of_the_lead_of_relevance_is_left_and_the_class_is_known_to_all_alike():
    """Lesson 06: seven points over magnitude become three, five over chance one and a half."""
    record = reference("06_cut_out_relevant_experts.rail-scenes-widths")
    found = {claim["id"]: claim for claim in record["claims"]}
    leads = {side: found["B5e"]["series"][side] for side in ("own", "equal")}
    mean = {side: {rival: 100 * fmean(values) for rival, values in of.items()} for side, of in leads.items()}
    assert mean["own"]["magnitude"] == pytest.approx(7, abs=0.5) and mean["own"]["chance"] == pytest.approx(5, abs=0.5)
    assert mean["equal"]["magnitude"] == pytest.approx(3, abs=0.5) and mean["equal"]["chance"] == pytest.approx(
        1.5, abs=0.3
    )
    shares = [1 - mean["equal"][rival] / mean["own"][rival] for rival in ("magnitude", "chance")]
    assert fmean(shares) == pytest.approx(2 / 3, abs=0.04)
    assert found["B5e"]["verdict"] == "undecided" and "magnitude" in found["B5e"]["why"].split("(")[0]
    assert found["B5d"]["verdict"] == "partly"
    rows = experts.recorded(record)
    own, knowing = sweep_claims.by_widths(rows, "rail", "trained").values()
    assert fmean(own["average"]) - fmean(own["relevance"]) == pytest.approx(0.01, abs=0.002)
    assert min(own["average"]) > max(own["relevance"])
    knowing = {arm: fmean(knowing[arm]) for arm in ("relevance", "average", "Taylor", "Fisher")}
    assert max(knowing.values()) - min(knowing.values()) < 0.005


def test_at_once_the_rule_of_lrp_matters_more_than_relevance_against_the_loss():
    """Lesson 05: the second table of four nets on CIFAR-10, from the shallowest to the deepest."""
    record = reference("05_quantize_by_relevance.cifar10-one-shot-scores")
    rows = select(record["measurements"], name=quantization_claims.AT_ONCE)

    def of_nets(**how):
        return [one["accuracy"] for one in select(rows, **{"rule": "epsilon", "floor": 0.0} | how)]

    epsilon, ecq, (gamma, alpha, bare) = (
        of_nets(arm="lrp"),
        of_nets(arm="ecq"),
        (of_nets(arm="lrp", rule=rule) for rule in ("gamma", "alpha2-beta1", "z+")),
    )
    assert len(epsilon) == 4 and all(one > other for one, other in zip(gamma, epsilon))
    assert [one > other for one, other in zip(alpha, epsilon)] == [False, True, True, True]
    assert max(bare) < 0.11, "it guesses"
    floored = of_nets(arm="lrp", rule="z+", floor=0.001)
    others = [of_nets(arm=arm) for arm in ("taylor", "fisher", "activation-aware", "magnitude")] + [
        epsilon,
        gamma,
        alpha,
    ]
    assert [one > max(rest) for one, *rest in zip(floored, *others)] == [False, False, True, True]
    assert floored[0] < ecq[0]
    (told,) = (claim["series"] for claim in record["claims"] if claim["id"] == "X4c-cifar10")
    assert fmean(told["relevant"]) == pytest.approx(5.1, abs=0.05) and fmean(told["large"]) == pytest.approx(
        5.5, abs=0.05
    )


def test_at_once_and_at_equal_bytes_gptq_and_rdoq_are_far_ahead_of_relevance():
    """Lesson 05: the table by bytes of four nets on CIFAR-10."""
    (claim,) = reference("05_quantize_by_relevance.cifar10-one-shot-rivals")["claims"]
    assert claim["id"] == "X2f-cifar10" and claim["verdict"] == "not testable here"
    relevance, rivals = claim["series"]["relevance"], claim["series"]["rivals"]
    three, four = (f"the bytes of GPTQ at {bits} bit" for bits in (3, 4))
    measured = reference("05_quantize_by_relevance.cifar10-one-shot")["measurements"]
    whole = [one["accuracy"] for one in select(measured, name=quantization_claims.AT_ONCE, arm="float")]
    assert all(0.005 < one - other < 0.02 for one, other in zip(whole, rivals["GPTQ"][three], strict=True))
    assert fmean(relevance[three]) < 0.5
    for low, middle, high in zip(relevance[three], rivals["RDOQ"][three], rivals["GPTQ"][three], strict=True):
        assert low < middle - 0.1 and middle < high - 0.1
    behind = [one - other for one, other in zip(rivals["GPTQ"][four], relevance[four], strict=True)]
    assert min(behind) > 0.02 and max(behind) < 0.032
    assert all(one > other for one, other in zip(rivals["RDOQ"][four], relevance[four], strict=True))


def test_ecqx_and_ecq_stay_within_a_fifth_of_a_point_of_learned_steps_and_take_fewer_bytes_at_5_bit():
    """Lesson 05: the table of LSQ on MNIST."""
    record = reference("05_quantize_by_relevance.mnist-learned-steps")
    rows = select(record["measurements"], name=quantization_claims.LEARNED)

    def mean(name, arm, bits):
        return fmean(one[name] for one in select(rows, arm=arm, bits=bits))

    (claim,) = record["claims"]
    assert claim["id"] == "X2g" and claim["verdict"] == "holds on a stand-in" and len(claim["seeds"]) == 10
    for arm in ("lrp", "ecq"):
        for bits in (2, 3, 4, 5):
            assert abs(mean("accuracy", arm, bits) - mean("accuracy", "lsq", bits)) < 0.002
        assert mean("bytes", arm, 5) / mean("bytes", "lsq", 5) == pytest.approx(0.9, abs=0.02)


def test_deepcabac_is_smaller_than_every_rival():
    rows, _ = coding.recorded(reference("07_encode_with_nnc"))
    for rival in coding.worst(rows, (*coding.RIVALS, *coding.OTHERS)).values():
        assert all(max(values) < 1 for values in rival.values())


@pytest.fixture(scope="module")
def standings():
    """Claim to its verdict from the recorded full runs, and which claims are controls."""
    rows = claims.table([], "quick")
    return {row["id"]: claims.standing(row) for row in rows}, {row["id"] for row in rows if row["control"]}


def test_of_the_thesis_what_was_argued_reproduces_and_of_its_controls_two_are_met_and_one_in_part(standings):
    found, controls = standings
    assert all(found[claim] == "reproduced" for claim in ("T8a", "T8b", "T9", "T12"))
    standing = {claim: found[claim] for claim in controls if claim[0] == "T"}
    met = {claim for claim, verdict in standing.items() if verdict == "reproduced"}
    assert met == {"T11d", "T12c"} and standing.pop("T7c") == "partly"
    assert {verdict for claim, verdict in standing.items() if claim not in met} == {"not reproduced", "undecided"}
    assert all(found[claim] == "not reproduced" for claim in ("T8c", "T8d", "T8e"))


def test_without_their_data_b1_and_b2_are_not_testable_here(standings):
    found, _ = standings
    assert found["B1"] == found["B2"] == "not testable here"


def test_of_the_rail_work_only_the_size_is_reproduced_and_computation_is_undecided(standings):
    found, _ = standings
    assert [claim for claim in found if claim[0] == "B" and found[claim] == "reproduced"] == ["B11"]
    assert all(found[claim] == "holds on a stand-in" for claim in ("B4", "B6", "B12", "B13", "B13c"))
    assert found["B5"] == found["B8"] == "undecided"


def test_on_published_sets_quantization_holds_at_once_and_no_trained_net_beats_ecq(standings):
    found, _ = standings
    published = {claim for claim in found if claim.endswith(("-gsc", "-cifar10", "-voc"))}
    decided = {claim for claim in published if found[claim] != "open"}
    trained = {f"{claim}-gsc" for claim in ("X1", "X1c", "X2", "X2c", "X3")}  # for one epoch
    assert decided == {f"{claim}-cifar10" for claim in ("X2d", "X2e", "X2f", "X4", "X4c", "X4d")} | trained
    assert {claim: found[claim] for claim in ("X1-gsc", "X1c-gsc")} == {"X1-gsc": "undecided", "X1c-gsc": "partly"}
    assert {found[claim] for claim in trained - {"X1-gsc", "X1c-gsc"}} == {"not testable here"}
    assert found["X2d-cifar10"] == found["X4-cifar10"] == "holds on a stand-in" and found["X2e-cifar10"] == "undecided"
    failed = ("X2f-cifar10", "X4c-cifar10", "X4d-cifar10")  # on a stand-in
    assert {found[claim] for claim in failed} == {"not testable here"}
    met = {"reproduced", "holds on a stand-in", "partly"}
    assert not met & {found[claim] for claim in ("X2", "X2-rail", "X2-gsc", "X3", "X3-rail", "X3c", "X3c-rail")}


def test_of_the_thesis_most_is_shown_of_the_rail_work_most_on_stand_ins_and_one_thing_is_missing():
    thesis, rail, ecqx = (
        {state: int(count) for count, state in re.findall(r"(\d+) (shown|stand-in|implemented|missing)", line)}
        for line in features_count()
    )
    assert thesis["shown"] > sum(thesis.values()) / 2 and rail["stand-in"] > sum(rail.values()) / 2
    assert [work.get("missing", 0) for work in (thesis, rail, ecqx)] == [1, 0, 0]


@pytest.mark.slow
def test_within_a_point_pruned_nets_stay_above_a_fifth_quantized_and_files_get_below_a_tenth():
    for panel in whole_picture.panels():
        for family in panel.families:
            scores = {point.size: fmean(point.scores) for point in family.points}
            least = min(size for size, score in scores.items() if score >= max(scores.values()) - 0.01)
            if family.step == whole_picture.PRUNE:
                assert least > 1 / 5, family.name
            elif family.step == whole_picture.QUANTIZE:
                assert least < 1 / 10, family.name


def test_on_speech_commands_random_numbers_are_ahead_of_relevance_after_an_epoch():
    """Lesson 05: the figure of Speech Commands."""
    record = reference("05_quantize_by_relevance.speech-commands-one-epoch")
    rows, _ = quantization.recorded(record)

    def mean(column="accuracy", **how):
        return fmean(one[column] for one in select(rows, **how))

    fair = fmean(one["accuracy"] for one in select(rows, arm="float"))
    at_four = {arm: select(rows, arm=arm, bits=4, Lambda=0.1) for arm in quantization.ARMS}
    assert all(fmean(one["sparsity"] for one in some) == pytest.approx(0.6, abs=0.05) for some in at_four.values())
    assert all(abs(fmean(one["accuracy"] for one in some) - fair) < 0.003 for some in at_four.values())
    best = {
        arm: fmean(quantization.best_sparse(select(rows, arm=arm, bits=2, seed=seed))["accuracy"] for seed in range(3))
        for arm in quantization.ARMS
    }
    assert fair - max(best.values()) == pytest.approx(0.025, abs=0.001) and max(best, key=best.get) == "magnitude"
    assert fair - min(best.values()) == pytest.approx(0.047, abs=0.001) and min(best, key=best.get) == "lrp"
    each = quantization.mean_accuracies(rows, "file")["equal sparsity"]
    assert all(max(each, key=lambda arm: each[arm][seed]) == "random" for seed in range(3))
    means = {arm: fmean(values) for arm, values in each.items()}
    assert means["ecq"] - means["lrp"] == pytest.approx(0.010, abs=0.001)
    assert abs(means["magnitude"] - means["ecq"]) < 0.001 and max(means, key=means.get) == "random"
    hard = {arm: mean(arm=arm, bits=4, Lambda=0.7) for arm in ("ecq", "lrp", "random")}
    assert hard == pytest.approx({"ecq": 0.435, "lrp": 0.688, "random": 0.795}, abs=0.0006)
    assert all(mean("sparsity", arm=arm, bits=4, Lambda=0.7) > 0.89 for arm in hard)
    claims_of = {claim["id"]: claim for claim in record["claims"]}
    assert fmean(claims_of["X3-gsc"]["series"]["ratio"]) == pytest.approx(20, abs=0.5)
    sizes = [one["ratio"] * one["bytes"] / one["file"] for some in at_four.values() for one in some]
    assert min(sizes) > 18 and max(sizes) < 22
