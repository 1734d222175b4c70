"""The speech net of lesson 05: clips of the test split alone, sizes of files, answers that are probabilities."""

import wave

import numpy as np
import pytest
import torch
from torch import nn

from relcomp_kit.datasets.audio import RATE
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.datasets.speech_commands import CLASSES, split_of
from relcomp_kit.errors import UserError
from relcomp_kit.models.classifiers import mlp_gsc
from relcomp_kit.studies.quantization import classifiers, speech


@pytest.fixture
def data() -> ImageSet:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (240, 1, 98, 40), generator=draw).to(torch.uint8)
    split = Split(images, torch.arange(240) % len(CLASSES))
    return ImageSet("speech-commands", split, split, split, CLASSES, "noise", "drawn", scale=((0.5,), (0.25,)))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The layout of log-mel pictures, with clips of one word beside them, some of each split."""
    place = tmp_path / "SpeechCommands"
    (place / "clips" / "stop").mkdir(parents=True)
    (place / "log-mel.npz").touch()
    for number in range(40):
        with wave.open(str(place / "clips" / "stop" / f"{number:08x}_nohash_0.wav"), "wb") as file:
            file.setparams((1, 2, RATE, RATE // 2, "NONE", ""))
            file.writeframes(np.full(RATE // 2, number, "<i2").tobytes())
    monkeypatch.setenv("RELCOMP_DATA", str(tmp_path))
    return place


def test_a_clip_is_the_first_of_the_test_split(folder):
    names = [f"{number:08x}_nohash_0.wav" for number in range(40)]
    first = next(number for number, name in enumerate(names) if split_of(name) == "test")
    found = speech.clip("stop")
    assert found.shape == (RATE,) and found.dtype == torch.int16
    assert found[: RATE // 2].tolist() == [first] * (RATE // 2) and not found[RATE // 2 :].any()
    with pytest.raises(UserError, match="there is no test clip of 'go'"):
        speech.clip("go")


def test_the_published_layout_has_its_clips_in_itself(folder):
    (folder / "clips").rename(folder / "speech_commands_v0.02")
    assert speech.clip("stop").shape == (RATE,)


def test_without_the_set_there_is_none(tmp_path, monkeypatch, own_cache):
    monkeypatch.setenv("RELCOMP_DATA", str(tmp_path))
    assert speech.speech() is None


@pytest.mark.slow
def test_fewer_bits_take_fewer_bytes_and_answers_are_probabilities(data, monkeypatch):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = mlp_gsc().eval()
    asked = []

    def trained(name, of, seed, **changes):
        asked.append((name, of, seed, changes))
        return net, []

    monkeypatch.setattr(classifiers, "trained_classifier", trained)
    found = speech.hearers(data, 3, bits=(4, 2))
    assert asked == [("mlp-gsc", data, 3, {"steps": speech.STEPS, "validate_every": speech.STEPS})]
    assert list(found) == ["float32", "4 bit", "2 bit"] and found["float32"].net is net
    sizes = [one.size for one in found.values()]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 7 * sizes[1]
    assert all(0 <= one.accuracy <= 1 for one in found.values())
    linear = next(module for module in found["2 bit"].net if isinstance(module, nn.Linear))
    assert len(linear.weight.unique()) <= 4
    told = speech.answers(net, data, torch.zeros(RATE, dtype=torch.int16))
    assert list(told) == list(CLASSES) and sum(told.values()) == pytest.approx(1)
