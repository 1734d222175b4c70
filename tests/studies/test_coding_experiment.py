"""The experiment "code" on a few scenes: a net that was trained on many, and an expert out of it, as files."""

import pytest

from relcomp_kit.errors import UserError
from relcomp_kit.studies.coding import experiment as module
from relcomp_kit.studies.coding.experiment import FILES, code
from relcomp_kit.studies.experts import experiment as expert

POINT = {"seed": 0, "cut_steps": 0, "relevance_scenes": 4, "arm": "ecq", "steps": 1, "batch": 2, "Lambda": 0.2}


@pytest.fixture(autouse=True)
def few_scenes(net_and_few_scenes, monkeypatch):
    monkeypatch.setattr(module, "kept", lambda net, dataset, seed, scored_scenes: net_and_few_scenes)
    for cached in (module._float_scores, expert.class_relevance):
        cached.cache_clear()


@pytest.mark.slow
def test_a_point_says_what_files_take_and_how_decoded_nets_do():
    whole, small = code(**POINT), code(**POINT, wanted=("rail",), keep=0.5)
    for found in (whole, small):
        files, parts = found["files"][0], found["parts"][0]
        assert list(files) == list(FILES) and files["folded, 8 bit"] < files["folded"] < files["exact"]
        assert all(sum(parts[name].values()) == size for name, size in files.items())
        assert parts["exact"]["indices"] == found["indices"][0]["DeepCABAC"]
        assert found["decoded exactly"] is True and found["outputs apart"][0] < 1e-5
        assert len(found["exact test IoU"][0]) == 7
    assert whole["MACs"][0] == 1.0 > small["MACs"][0]
    assert whole["float32 size"] == small["float32 size"]
    assert whole["weights"][0] > 2 * small["weights"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arm": "float"}, "the arm float has no whole numbers to code"),
        ({"wanted": ("rail",)}, "an expert needs classes and a share of the filters below 1"),
        ({"keep": 0.5}, r"below 1, not \[\] and 0.5"),
        ({"wanted": ("tram",), "keep": 0.5}, "tram occurs in none of 4 training scenes"),
    ],
)
def test_bad_points_get_a_sentence(change, words):
    with pytest.raises(UserError, match=words):
        code(**POINT | change)
