"""The whole pipeline in one picture: what is read from records, which points stay, what is drawn and printed."""

from itertools import pairwise

import pytest

from relcomp_kit import figures
from relcomp_kit.evidence import claims
from relcomp_kit.evidence.record import Record
from relcomp_kit.figures.style import looks
from relcomp_kit.studies import whole_picture
from relcomp_kit.studies.coding import results as coding_results
from relcomp_kit.studies.experts import results as expert_results
from relcomp_kit.studies.whole_picture import Point

MNIST, RAIL = "05_quantize_by_relevance", "05_quantize_by_relevance.rail-scenes"


@pytest.fixture(scope="module")
def records():
    """The committed records, and one of experts: two nets, two sizes, two arms."""
    made = Record("06_cut_out_relevant_experts", "full", "rail-scenes")
    rows = []
    for seed in (0, 1):
        for arm, keep in [
            ("relevance", 1.0),
            *((arm, keep) for arm in ("relevance", "magnitude per layer") for keep in (0.5, 0.8)),
        ]:
            iou = {"rail": 0.6 + keep / 10 + seed / 100, "sky": 0.5 if arm == "relevance" else 0.3}
            how = {"arm": arm, "keep": keep, "seed": seed, "wanted": ("rail",), "macs": keep**2, "parameters": keep**2}
            rows.append(how | {"test trained": iou, "test as cut": iou})
    expert_results.note(made, rows)
    coded = Record("07_encode_with_nnc", "full", "rail-scenes")
    for kind, wanted, keep in (("thesis' net", (), 1.0), ("DeepLabV3", (), 1.0), ("rail expert", ("rail",), 0.5)):
        for seed, bits in ((0, 4), (1, 4), (0, 5), (1, 5)):
            scores = {f"{split} accuracy": 0.8 + bits / 100 for split in ("validation", "test")}
            if kind != "thesis' net":
                scores |= {f"{split} IoU": {"rail": 0.6 + bits / 100, "sky": 0.7} for split in ("validation", "test")}
            size = {"float32": 1000, "files": {coding_results.SHIPPED: 10 * bits * keep}}
            how = {"kind": kind, "wanted": wanted, "keep": keep, "bits": bits, "Lambda": 0.1, "arm": "lrp"}
            labels = how | size | {"seed": seed, "scores": {coding_results.SHIPPED: scores}}
            coded.measure("coded net", 0, "bytes", **labels)
    return claims.recorded() | {record.content["lesson"]: record.content for record in (made, coded)}


def by_name(panel):
    return {family.name: family for family in panel.families}


def test_points_are_those_of_the_records(records):
    thesis, rail = map(by_name, whole_picture.panels(records))
    start, *rest = thesis["ECQ"].points
    assert (start.setting, start.size, len(start.scores)) == ("float, trained as long", 1.0, 3)
    rows = [row for row in records[MNIST]["measurements"] if row.get("arm") == "ecq" and row.get("step_rule")]
    for point in rest:
        bits, Lambda = point.setting.split(" bit, Λ ")
        same = [row for row in rows if (row["bits"], row["Lambda"]) == (int(bits), float(Lambda))]
        rule = "least-squares" if bits == "2" else "p99.9"
        same = [row for row in same if row["step_rule"] == rule]
        assert point.scores == tuple(row["accuracy"] for row in same)
        assert point.size == pytest.approx(sum(row["bytes"] for row in same) / 3 / 118064, rel=1e-3)
    pruned = thesis["pruning, saliency"].points
    assert (pruned[0].setting, pruned[-1].setting) == ("unpruned", "SF 0.95")
    assert all(one.size >= other.size for one, other in pairwise(pruned))
    removal = rail["pruning, LRP, no training"].points
    assert removal[0].size == 1 and removal[-1].setting == "95% removed"


def test_experts_are_read_with_their_super_net(records):
    rail = by_name(whole_picture.panels(records)[1])
    assert {"rail expert, relevance", "rail expert, magnitude per layer"} <= rail.keys()
    whole, large, small = rail["rail expert, relevance"].points
    assert (whole.size, large.size, small.size) == (1.0, pytest.approx(0.64), 0.25)
    assert small.scores == pytest.approx([(0.65 + 0.5) / 2, (0.66 + 0.5) / 2])
    assert rail["rail expert, magnitude per layer"].points[0] == whole


def test_files_are_read_with_their_own_scores(records):
    thesis, rail = map(by_name, whole_picture.panels(records))
    large, small = thesis["NNC file, ECQˣ"].points
    assert (large.setting, large.size) == ("5 bit, Λ 0.1", 0.05)
    assert small.size == 0.04 and small.scores == pytest.approx((0.84, 0.84))
    assert rail["NNC file, ECQˣ"].points[0].scores == pytest.approx((0.675, 0.675))
    expert = rail["NNC file, ECQˣ, rail expert"].points[0]
    assert (expert.setting, expert.size) == ("5 bit, Λ 0.1, 50%", 0.025)


def test_families_of_a_panel_differ_in_colour(records):
    for panel in whole_picture.panels(records):
        for step in (whole_picture.PRUNE, whole_picture.QUANTIZE, whole_picture.EXPERT):
            drawn = looks(family.name for family in panel.families if family.step == step)
            assert len({look.colour for look in drawn.values()}) == len(drawn)
    assert looks(["NNC file, ECQˣ, rail expert"]).popitem()[1].colour == looks(["NNC file, ECQˣ"]).popitem()[1].colour


def test_what_is_not_recorded_is_named_with_its_command(records):
    panels = whole_picture.panels({name: one for name, one in records.items() if name == MNIST})
    assert [family.name for panel in panels for family in panel.families] == ["ECQ", "ECQˣ, LRP"]
    text = "\n".join(line for panel in panels for line in whole_picture.lines(panel))
    assert "not recorded yet: relcomp run 02 --profile full" in text
    assert "not recorded yet: relcomp run 06 --profile full" in text
    assert whole_picture.panels({})[0].families == ()


def test_front_keeps_what_nothing_of_that_size_beats():
    def point(size, validation):
        return Point(f"{size}", size, (0.0,), validation)

    best, rival, small, poor = point(0.10, 0.9), point(0.099, 0.89), point(0.05, 0.8), point(0.06, 0.7)
    assert whole_picture.front([poor, small, rival, best]) == (best, small)
    assert whole_picture.front([]) == ()


def test_size_of_a_sparse_net():
    assert whole_picture.sparse_size(1.0) == 1
    assert whole_picture.sparse_size(0.5) == 0.5 + 1 / 32
    assert whole_picture.sparse_size(0.0) == 0


@pytest.mark.slow
def test_every_point_is_printed_under_a_command_and_drawn(records):
    pictures = []
    panels = whole_picture.panels(records)
    for panel in panels:
        text = whole_picture.lines(panel)
        for family in panel.families:
            assert any(family.name in line and family.command in line and family.counted in line for line in text)
            assert all(any(point.setting in line for line in text) for point in family.points)
    figures.whole_picture(panels, pictures)
    figures.whole_picture(whole_picture.panels({}), pictures)
    figures.verdict_counts({"claims": {"a": {"partly": 3, "open": 1}, "b": {}}, "none": {}}, pictures)
    assert [picture[:4] for picture in pictures] == [b"\x89PNG"] * 3
