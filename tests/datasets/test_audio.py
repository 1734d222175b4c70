"""The front end for spoken words: against its definition in NumPy, against real clips, and on files that are none."""

import os
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from relcomp_kit.datasets.audio import as_picture, log_mel, mfcc, read_clip
from relcomp_kit.errors import UserError


def write_wav(path, samples, rate=16_000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples).astype(f"<i{width}").tobytes())
    return path


def tone(frequency: float) -> np.ndarray:
    return 10_000 * np.sin(2 * np.pi * frequency * np.arange(16_000) / 16_000)


def test_log_mel_is_what_its_definition_says():
    """Written again with loops over frames and bands, from the formulas alone."""
    clip = np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16)
    found = log_mel(torch.from_numpy(clip)).numpy()
    assert found.shape == (98, 40)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(480) / 480)
    to_hertz = lambda mel: 700 * (np.exp(mel / 1127) - 1)  # noqa: E731
    to_mel = lambda hertz: 1127 * np.log(1 + hertz / 700)  # noqa: E731
    edges = np.linspace(to_mel(20), to_mel(4000), 42)
    for frame in (0, 50, 97):
        power = np.abs(np.fft.rfft(clip[160 * frame :][:480] / 32768 * window, 512)) ** 2
        for band in (0, 7, 39):
            energy = 0.0
            for index, value in enumerate(power):
                mel = to_mel(index * 16_000 / 512)
                low, middle, high = edges[band : band + 3]
                if low < mel < high:
                    energy += value * (
                        (mel - low) / (middle - low) if mel <= middle else (high - mel) / (high - middle)
                    )
            assert found[frame, band] == pytest.approx(np.log(energy + 1e-6), abs=1e-3)
    assert to_hertz(edges[-1]) == pytest.approx(4000)


@pytest.mark.parametrize("frequency", [200, 1000, 3500])
def test_a_tone_is_loudest_in_its_own_band(frequency):
    band = log_mel(torch.from_numpy(tone(frequency).astype(np.int16))).mean(0).argmax().item()
    edges = 700 * (np.exp(np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 4000 / 700), 42) / 1127) - 1)
    assert edges[band] < frequency < edges[band + 2]


def test_silence_has_the_energy_of_the_floor():
    assert torch.allclose(log_mel(torch.zeros(2, 16_000)), torch.tensor(1e-6).log())


def test_mfcc_are_the_cosine_transform():
    energies = torch.randn(3, 98, 40, generator=torch.Generator().manual_seed(0))
    bands, order = np.arange(40), np.arange(10)[:, None]
    basis = np.sqrt(2 / 40) * np.cos(np.pi * order * (2 * bands + 1) / 80)
    basis[0] /= np.sqrt(2)
    assert np.allclose(mfcc(energies).numpy(), energies.numpy() @ basis.T, atol=1e-5)
    with pytest.raises(UserError, match="1 to 40 coefficients, not 41"):
        mfcc(energies, 41)


@pytest.mark.slow
def test_pictures_of_real_clips_are_those_of_the_packed_set():
    """All 250 clips of words; some lie a few frames later in the packed set, whose 8 bits went through JPEG."""
    root = Path(os.environ.get("RELCOMP_DATA", "nowhere")) / "SpeechCommands"
    if not (root / "log-mel.npz").is_file() or not (root / "clips").is_dir():
        pytest.skip("no SpeechCommands with log-mel.npz and clips under RELCOMP_DATA")
    with np.load(root / "log-mel.npz", allow_pickle=False) as packed:
        place = {name: index for index, name in enumerate(packed["name"])}
        pictures = packed["x"]
    clips = [(path, f"{path.stem}.{path.parent.name}.jpg") for path in sorted((root / "clips").glob("*/*.wav"))]
    clips = [(path, place[name]) for path, name in clips if name in place]
    assert len(clips) == 250
    best = []
    for path, index in clips:
        ours, theirs = as_picture(log_mel(read_clip(path))).float().numpy(), pictures[index].astype(float)
        later = [np.corrcoef(ours[: 98 - n].ravel(), theirs[n:].ravel())[0, 1] for n in range(20)]
        best.append(max(later))
        if later[0] == best[-1]:
            assert np.abs(ours - theirs).mean() < 32
    assert np.median(best) > 0.985 and min(best) > 0.8


def test_a_clip_is_read_and_filled_up_or_refused(tmp_path):
    path = write_wav(tmp_path / "a word.wav", tone(300))
    assert read_clip(path).shape == (16_000,) and read_clip(path).dtype == torch.int16
    short = write_wav(tmp_path / "short.wav", tone(300)[:6400])
    with pytest.raises(UserError, match=r"short\.wav lasts 0\.40 s and a clip 1 s"):
        read_clip(short)
    padded = read_clip(short, pad=True)
    assert padded.shape == (16_000,) and not padded[6400:].any() and padded[:6400].any()
    with pytest.raises(UserError, match="16,000 samples, not 99"):
        log_mel(torch.zeros(99))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"rate": 8_000}, "8,000 samples a second of 16 bit and 1 channel: convert"),
        ({"channels": 2}, "16,000 samples a second of 16 bit and 2 channels: convert"),
        ({"width": 4}, "of 32 bit and 1 channel: convert"),
    ],
)
def test_another_kind_of_clip_is_refused(tmp_path, how, words):
    with pytest.raises(UserError, match=words):
        read_clip(write_wav(tmp_path / "clip.wav", tone(300), **how))


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no wav at all, but text", b"RIFF\x00\x00\x00\x00WAVEfmt "])
def test_what_is_no_wav_is_refused(tmp_path, content):
    (tmp_path / "clip.wav").write_bytes(content)
    with pytest.raises(UserError, match="is no wav file that can be read"):
        read_clip(tmp_path / "clip.wav")
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_clip(tmp_path / "missing.wav")
