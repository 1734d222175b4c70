"""What the lessons say of recorded runs, held against the records: a new record that says otherwise fails here.

Each test names the sentence that it is for. The numbers of live runs stand in the cells' outputs, not in the prose.
"""

import re
from statistics import fmean

import pytest

from relcomp_kit.course import notebooks
from relcomp_kit.evidence.record import reference
from relcomp_kit.files import checkout
from relcomp_kit.studies.coding import results as coding
from relcomp_kit.studies.experts import results as experts
from relcomp_kit.studies.quantization import results as quantization
from relcomp_kit.sweeps.table import select

RIVALS = ("ecq", "lrp", "magnitude")


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


def test_without_training_lrp_beats_ecq_and_chance_and_magnitude_on_two_nets_of_three():
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


def test_deeplab_at_four_bit_and_more_all_arms_lie_together_below_chance_is_behind():
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


def test_mnist_chance_is_last_and_the_other_arms_overlap():
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
    assert 6 < points("random") < 7.5  # "chance loses seven"
    assert points("magnitude") > points("magnitude per layer") > points("random")
    assert points("average") < points("relevance")
    ahead = experts.advantage(rows, 0.5, "trained")
    assert [name for name, values in ahead.items() if fmean(values) < 0] == ["anomaly on track"]
    assert min(ahead["anomaly on track"]) < 0 < max(ahead["anomaly on track"])
    joined, single = experts.joined_and_single(rows, 0.5)
    assert min(single["anomaly on track"]) < 0.01 and min(joined["anomaly on track"]) > 0.2


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


def test_deepcabac_is_smaller_than_every_rival():
    rows, _ = coding.recorded(reference("07_encode_with_nnc"))
    for rival in coding.worst(rows, (*coding.RIVALS, *coding.OTHERS)).values():
        assert all(max(values) < 1 for values in rival.values())
