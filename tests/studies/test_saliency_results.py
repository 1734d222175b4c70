"""What lesson 01 decides from its figures."""

from relcomp_kit.evidence.record import reference
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.saliency import results

SEEDS = [0, 1, 2]
KINDS = ("[0, 1], no noise", "[-1, 1], noise")


def series(record: dict, key: str) -> dict[str, list[float]]:
    """What a record holds under the name of a series."""
    name, _ = results.MEASURED[key]
    return {one["measure"]: one["value"] for one in record["measurements"] if one["name"] == name}


def test_figures_of_the_record_give_its_claims_again(tmp_path, monkeypatch):
    monkeypatch.setenv("RELCOMP_RECORDS", str(tmp_path))
    recorded = reference(results.LESSON)
    found = {key: series(recorded, key) for key in results.MEASURED}
    regions = [{"digit": 1.5, "others": 1.6, "edges": 1.5}] * 3
    blob = [{name: value + 1 for name, value in one.items()} for one in regions]
    found |= {"agreement": [0.94] * 3, "times": [1.1] * 3, "regions": regions, "mean digit": blob}
    found["silent"] = {kind: [{"ever": ever, "per image": ever}] * 3 for kind, ever in zip(KINDS, (0.2, 0.0))}
    record = results.decided("full", "mnist", get_profile("full").saliency, SEEDS, found).content
    verdicts, measured = ({c["id"]: c[key] for c in record["claims"]} for key in ("verdict", "measured"))
    assert verdicts == {claim["id"]: claim["verdict"] for claim in recorded["claims"]}
    for claim in recorded["claims"]:
        if claim["id"] in ("T2", "T7"):  # from these series alone
            assert measured[claim["id"]] == claim["measured"]
    assert {key: series(record, key) for key in results.MEASURED} == {
        key: series(recorded, key) for key in results.MEASURED
    }
