"""The list of features agrees with the ledger, the lessons and the code."""

from importlib import import_module

import pytest

from relcomp_kit.course import notebooks
from relcomp_kit.evidence import claims
from relcomp_kit.evidence.features import STATES, features, features_count, features_table

ROWS = features()


def exists(name: str) -> bool:
    """Say whether "package.module.name" can be imported."""
    module, _, last = name.rpartition(".")
    return hasattr(import_module(module), last)


def test_every_feature_says_what_the_kit_has_of_it():
    assert len({(row["work"], row["what"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["state"] in STATES, row["what"]
        assert ("lesson" in row) == (row["state"] in ("shown", "stand-in")), row["what"]
        assert ("by" in row) == (row["state"] != "missing"), row["what"]
        assert all(name[0] == row["work"] for name in row["claims"]), row["what"]


def test_every_published_claim_is_about_a_feature():
    published = {row["id"] for row in claims.ledger() if not claims.is_control(row)}
    named = {name for row in ROWS for name in row["claims"]}
    assert named == published


@pytest.mark.slow
def test_states_agree_with_the_ledger():
    table = {row["id"]: row for row in claims.table([])}
    for row in ROWS:
        decided = [table[name] for name in row["claims"] if table[name]["recorded"]]
        if row["state"] in ("implemented", "missing"):
            assert not decided, row["what"]
        for claim in decided:
            elsewhere = claim["published_dataset"] not in (None, claim["recorded"]["dataset"])
            if elsewhere:
                assert row["state"] == "stand-in", (row["what"], claim["id"])
            elif row["state"] == "stand-in":  # the published set, with other pictures, or a part of the training
                unsettled = ("undecided", "not testable here", "holds on a stand-in")
                assert claims.standing(claim) in unsettled, (row["what"], claim["id"])


@pytest.mark.slow
def test_what_is_named_exists_and_its_lesson_draws_it():
    sources = {source.stem[:2]: source.read_text(encoding="utf-8") for source in notebooks.find_lessons()}
    for row in ROWS:
        if "by" in row:
            assert exists(row["by"]), row["by"]
            if row["by"].startswith("relcomp_kit.figures.") and "lesson" in row:
                assert f"figures.{row['by'].rpartition('.')[2]}(" in sources[row["lesson"]], row["what"]


def test_the_table_has_a_line_for_each():
    for letter in claims.works():
        lines = features_table(letter, {"01": "01.ipynb"}).splitlines()
        assert len(lines) == 2 + sum(row["work"] == letter for row in ROWS)
    assert "[01](01.ipynb)" in features_table("T", {"01": "01.ipynb"})
    assert [line.split(":")[0] for line in features_count()] == list(claims.works().values())
