"""Google Speech Commands v0.02 (Warden 2018, arXiv 1804.03209) as log-mel pictures of twelve classes.

The task is the published one: ten keywords, "unknown" for other words, and "silence". The last two each have a tenth as
many clips as the keywords together. A hash of the speaker's name decides the split of all clips of that speaker.
"""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from relcomp_kit.datasets.audio import RATE, as_picture, log_mel, read_clip, read_samples
from relcomp_kit.errors import UserError

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
CLASSES = (*KEYWORDS, "unknown", "silence")
NOISE = "_background_noise_"
SPLITS = ("train", "validation", "test")
SHARES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}  # of each recording of noise
SEED = 20240  # of the choice among other words and of pieces of noise


def split_of(name: str) -> str:
    """Return the split of a clip by the published rule: a hash of its speaker, with a tenth for each held-out split.

    Parameters
    ----------
    name : str
        Name of the file, with the speaker before ``_nohash_``.

    Returns
    -------
    str
        "train", "validation" or "test".
    """
    speaker = re.sub(r"_nohash_.*$", "", Path(name).name)
    most = 2**27 - 1
    share = 100 * (int(hashlib.sha1(speaker.encode(), usedforsecurity=False).hexdigest(), 16) % (most + 1)) / most
    return "validation" if share < 10 else "test" if share < 20 else "train"


def read_clips(folder: Path) -> dict[str, Tensor]:
    """Read the published folder of wav files: clips as ``<word>/<speaker>_nohash_<n>.wav``, and background noise.

    Clips that are shorter than a second are filled up with silence.

    Parameters
    ----------
    folder : Path
        ``speech_commands_v0.02``.

    Returns
    -------
    dict of str to Tensor
        "<split> images", (N, 1, 98, 40), uint8, and "<split> labels", (N,), int64.

    Raises
    ------
    UserError
        In one sentence, if a keyword or the noise is missing, or a clip cannot be read.
    """
    words = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    lacking = [word for word in (*KEYWORDS, NOISE) if word not in words]
    if lacking:
        raise UserError(f"{folder} lacks the folders {', '.join(lacking)}: run `relcomp fetch speech-commands`")
    clips = [path for word in words if word != NOISE for path in sorted((folder / word).glob("*.wav"))]
    named = [(path.parent.name, f"{path.stem}.{path.parent.name}") for path in clips]
    chosen = choose([word for word, _ in named], [name for _, name in named])
    recordings = [_recording(path) for path in sorted((folder / NOISE).glob("*.wav"))]
    if not recordings:
        raise UserError(f"{folder / NOISE} holds no recording: run `relcomp fetch speech-commands`")
    found: dict[str, Tensor] = {}
    for split in SPLITS:
        spoken = (read_clip(clips[index], pad=True) for index in chosen[split])
        silent = _pieces(recordings, split, tenth(len(chosen[split])))
        pictures = torch.stack([as_picture(log_mel(clip)) for clip in (*spoken, *silent)])
        words_of = [named[index][0] for index in chosen[split]]
        found |= _labelled(split, pictures, [*words_of, *["silence"] * (len(pictures) - len(words_of))])
    return found


def _recording(path: Path) -> Tensor:
    """Return a recording of background noise, floats in [-1, 1]; at least ten seconds, so that a tenth lasts one."""
    samples = read_samples(path)
    if len(samples) * (SHARES["test"][1] - SHARES["test"][0]) < RATE:
        raise UserError(f"{path} must hold ten seconds of noise or more")
    return samples.float() / 32768


def _pieces(recordings: Sequence[Tensor], split: str, count: int) -> list[Tensor]:
    """Return seconds of noise from a split's share of the recordings, at a volume drawn between silence and full."""
    generator = np.random.Generator(np.random.PCG64([SEED, SPLITS.index(split)]))
    pieces = []
    for _ in range(count):
        recording = recordings[int(generator.integers(len(recordings)))]
        first, last = (int(share * len(recording)) for share in SHARES[split])
        start = generator.integers(first, last - RATE + 1)
        pieces.append(recording[start : start + RATE] * float(generator.random()))
    return pieces


def read_packed(path: Path) -> dict[str, Tensor]:
    """Read a file of log-mel pictures: arrays ``x`` (N, 98, 40), uint8, ``word`` and ``name``.

    Parameters
    ----------
    path : Path
        An npz file. Pieces of background noise have the word ``_background_noise_``; there may be fewer than asked for.

    Returns
    -------
    dict of str to Tensor
        As `read_clips`.

    Raises
    ------
    UserError
        In one sentence, if the file is something else or lacks a word.
    """
    try:
        with np.load(path, allow_pickle=False) as packed:
            pictures, words, names = packed["x"], packed["word"], packed["name"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{path} holds no log-mel pictures ({error}): make it again") from error
    if pictures.dtype != np.uint8 or pictures.shape[1:] != (98, 40) or not len(pictures) == len(words) == len(names):
        raise UserError(f"{path} holds {pictures.dtype} of {pictures.shape}, not pictures of 98x40 in 8 bit")
    lacking = sorted({*KEYWORDS, NOISE} - {*words.tolist()})
    if lacking:
        raise UserError(f"{path} lacks the words {', '.join(lacking)}: make it again")
    spoken, noise = np.flatnonzero(words != NOISE), np.flatnonzero(words == NOISE)
    chosen = choose(words[spoken].tolist(), names[spoken].tolist())
    found: dict[str, Tensor] = {}
    for split in SPLITS:
        rows = spoken[chosen[split]]
        first, last = (round(share * len(noise)) for share in SHARES[split])
        own = np.concatenate([rows, noise[first:last][: tenth(len(rows))]])
        labels = [*words[rows].tolist(), *["silence"] * (len(own) - len(rows))]
        found |= _labelled(split, torch.from_numpy(pictures[own]), labels)
    return found


def choose(words: Sequence[str], names: Sequence[str]) -> dict[str, list[int]]:
    """Return which clips belong to each split: all keywords, and of other words a tenth as many, chosen at random.

    Parameters
    ----------
    words : sequence of str
        The word of each clip.
    names : sequence of str
        Its name, with the speaker.

    Returns
    -------
    dict of str to list of int
        Split to indices of the clips, keywords first.

    Raises
    ------
    UserError
        If a split would be empty.
    """
    splits = [split_of(name) for name in names]
    generator = np.random.Generator(np.random.PCG64(SEED))
    chosen = {}
    for split in SPLITS:
        inside = [index for index, found in enumerate(splits) if found == split]
        keywords = [index for index in inside if words[index] in KEYWORDS]
        others = sorted((index for index in inside if words[index] not in KEYWORDS), key=lambda index: names[index])
        if not keywords:
            raise UserError(f"no clip of a keyword belongs to the {split} split: put the whole set in its folder")
        picked = generator.permutation(len(others))[: len(keywords) // 10]
        chosen[split] = keywords + [others[index] for index in sorted(picked)]
    return chosen


def tenth(clips: int) -> int:
    """Return how many pieces of silence belong to so many clips: as many as there are unknown words, one in eleven."""
    return clips // 11


def _labelled(split: str, pictures: Tensor, words: Sequence[str]) -> dict[str, Tensor]:
    index = {name: number for number, name in enumerate(CLASSES)}
    labels = torch.tensor([index.get(word, index["unknown"]) for word in words])
    return {f"{split} images": pictures[:, None].contiguous(), f"{split} labels": labels}
