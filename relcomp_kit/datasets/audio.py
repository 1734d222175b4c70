"""Spoken words as pictures: clips of one second, their log-mel energies, and the cepstral coefficients (MFCC).

A frame of 30 ms every 10 ms, a Hann window, the power spectrum, 40 triangles on the mel scale from 20 Hz to 4 kHz, the
logarithm: the front end that TensorFlow's example for Speech Commands made common (Warden 2018, arXiv 1804.03209). The
mel scale is that of HTK, 1127 ln(1 + f / 700). MFCC are the first coefficients of a cosine transform of each frame's
logarithms (Davis and Mermelstein 1980).
"""

import functools
import wave
from pathlib import Path

import numpy as np
import torch
from scipy.fft import dct
from torch import Tensor

from relcomp_kit.errors import UserError

RATE = 16_000  # samples a second
FRAME, HOP = 480, 160  # samples
BANDS = 40
LOWEST, HIGHEST = 20.0, 4000.0  # Hz
POINTS = 512  # of the Fourier transform
FLOOR = 1e-6  # energy added before the logarithm, so that silence has one


def read_clip(path: Path, *, pad: bool = False) -> Tensor:
    """Read a clip of one second: a wav file of 16,000 samples a second, 16 bit, one channel.

    Parameters
    ----------
    path : Path
        The file.
    pad : bool
        Whether a shorter clip is filled up with silence and a longer one cut off; about one clip in ten of Speech
        Commands is shorter.

    Returns
    -------
    Tensor
        (16000,), int16.

    Raises
    ------
    UserError
        In one sentence, if the file cannot be read, is no such wav file, or has another length and ``pad`` is False.
    """
    clip = read_samples(path)
    if len(clip) != RATE and not pad:
        raise UserError(f"{path} lasts {len(clip) / RATE:.2f} s and a clip 1 s: cut it, or fill it up with silence")
    return torch.nn.functional.pad(clip[:RATE], (0, max(RATE - len(clip), 0)))


def read_samples(path: Path) -> Tensor:
    """Read a wav file of 16,000 samples a second, 16 bit, one channel, of any length.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Tensor
        (samples,), int16.

    Raises
    ------
    UserError
        In one sentence, if the file cannot be read, or is no such wav file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            found = (file.getframerate(), file.getsampwidth(), file.getnchannels())
            samples = file.readframes(file.getnframes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (wave.Error, EOFError) as error:
        raise UserError(
            f"{path} is no wav file that can be read ({error or 'it is empty'}): save it as 16-bit PCM"
        ) from error
    if found != (RATE, 2, 1):
        rate, width, channels = found
        what = "1 channel" if channels == 1 else f"{channels} channels"
        raise UserError(
            f"{path} has {rate:,} samples a second of {8 * width} bit and {what}: "
            f"convert it to {RATE:,} samples a second of 16 bit and 1 channel"
        )
    return torch.from_numpy(np.frombuffer(samples[: len(samples) // 2 * 2], "<i2").astype(np.int16))


def log_mel(clips: Tensor) -> Tensor:
    """Return the logarithm of the energy in 40 bands of frequency, frame by frame.

    Parameters
    ----------
    clips : Tensor
        (..., 16000), int16, or floats in [-1, 1].

    Returns
    -------
    Tensor
        (..., 98, 40), float32: natural logarithms, frames before bands.

    Raises
    ------
    UserError
        If the clips are not one second long.
    """
    if clips.shape[-1] != RATE:
        raise UserError(f"a clip has {RATE:,} samples, not {clips.shape[-1]:,}")
    samples = clips.float() / 32768 if clips.dtype == torch.int16 else clips.float()
    frames = samples.unfold(-1, FRAME, HOP) * torch.hann_window(FRAME)
    power = torch.fft.rfft(frames, POINTS).abs().square()
    return (power @ _triangles() + FLOOR).log()


@functools.cache
def _triangles() -> Tensor:
    """Return the weight of every frequency in every band, (257, 40): triangles that meet at half their height."""
    edges = torch.linspace(_mel(torch.tensor(LOWEST)).item(), _mel(torch.tensor(HIGHEST)).item(), BANDS + 2)
    frequencies = torch.arange(POINTS // 2 + 1) * RATE / POINTS
    at = _mel(frequencies)[:, None]
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)


def _mel(frequency: Tensor) -> Tensor:
    return 1127 * torch.log1p(frequency / 700)


def mfcc(energies: Tensor, coefficients: int = 10) -> Tensor:
    """Return the cepstral coefficients of log-mel energies: the first terms of each frame's cosine transform.

    Parameters
    ----------
    energies : Tensor
        (..., frames, bands), as `log_mel` gives them.
    coefficients : int
        How many, 1 to the number of bands.

    Returns
    -------
    Tensor
        (..., frames, coefficients), float32.

    Raises
    ------
    UserError
        If there are fewer bands than coefficients.
    """
    if not 1 <= coefficients <= energies.shape[-1]:
        raise UserError(f"{energies.shape[-1]} bands give 1 to {energies.shape[-1]} coefficients, not {coefficients}")
    return torch.from_numpy(dct(energies.float().numpy(), norm="ortho")[..., :coefficients].copy())


def as_picture(energies: Tensor) -> Tensor:
    """Return log-mel energies as 8-bit pictures: 10 levels for each factor of e, as the packed set has them.

    Parameters
    ----------
    energies : Tensor
        Any shape, natural logarithms.

    Returns
    -------
    Tensor
        The same shape, uint8: 10 times the logarithm plus 146, rounded and clipped to [0, 255].
    """
    return (10 * energies + 146).round().clamp(0, 255).to(torch.uint8)
