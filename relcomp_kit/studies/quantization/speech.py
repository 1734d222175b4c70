"""A word, spoken: a net that hears words, at fewer and fewer bits, and what is left of its answers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.compression.ecqx.qat import QatRecipe
from relcomp_kit.compression.ecqx.recipe import resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.datasets.audio import as_picture, log_mel, read_clip
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.labelled import find
from relcomp_kit.datasets.speech_commands import split_of
from relcomp_kit.datasets.transforms import standardize
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp import weight_relevance
from relcomp_kit.studies.own_net.ladder import float_bytes
from relcomp_kit.studies.quantization import classifiers
from relcomp_kit.studies.quantization.measurement import with_weights

SET, NET = "speech-commands", "mlp-gsc"
STEPS = 576  # of training: two epochs of the recipe's twenty
LAMBDA, RELEVANCE_BATCHES = 0.05, 10


@dataclass(frozen=True, eq=False)
class Hearer:
    """A net that hears words.

    Parameters
    ----------
    net : nn.Module
        MLP_GSC, in eval mode.
    size : int
        Bytes of its float32 numbers, or of its NNC file.
    accuracy : float
        On the test split, in [0, 1].
    """

    net: nn.Module
    size: int
    accuracy: float


def speech() -> ImageSet | None:
    """Return Speech Commands, or None where it is not on this machine."""
    try:
        find(SET)
    except UserError:
        return None
    return classifiers.load(SET)


def hearers(data: ImageSet, seed: int, bits: tuple[int, ...]) -> dict[str, Hearer]:
    """Train MLP_GSC for two epochs, and quantize it by LRP relevance, without any training after that.

    Parameters
    ----------
    data : ImageSet
        Speech Commands.
    seed : int
        Of the net, and of the clips that relevance is measured on.
    bits : tuple of int
        Bits a weight of the quantized nets.

    Returns
    -------
    dict of str to Hearer
        "float32", and one for each number of bits, such as "4 bit".
    """
    net, _ = classifiers.trained_classifier(NET, data, seed, steps=STEPS, validate_every=STEPS)
    task = task_of(net, resolve(QatRecipe(batch=100)), data, seed)
    relevance = weight_relevance(net, (task.batch(number) for number in range(RELEVANCE_BATCHES)))
    found = {"float32": _hearer(net, data, float_bytes(net))}
    for each in bits:
        quantized = ecqx.quantize(net, each, LAMBDA, relevance=relevance, step="p99.9-interpolated")
        found[f"{each} bit"] = _hearer(with_weights(net, quantized), data, len(nnc.encode(quantized)))
    return found


def _hearer(net: nn.Module, data: ImageSet, size: int) -> Hearer:
    return Hearer(net, size, classifiers.scores_in_test(net, data)["accuracy"])


def clip(word: str) -> Tensor:
    """Return the first clip of a word in the official test split, (16000,) int16, 16,000 samples a second.

    Parameters
    ----------
    word : str
        A keyword, such as "stop".

    Raises
    ------
    UserError
        If the set is nowhere, or lies here without clips.
    """
    _, path, _ = find(SET)
    folders = path / word, path.parent / "clips" / word
    files = sorted(file for folder in folders for file in folder.glob("*.wav"))
    chosen = next((file for file in files if split_of(file.name) == "test"), None)
    if chosen is None:
        raise UserError(f"there is no test clip of {word!r} in {folders[0]} or {folders[1]}")
    return read_clip(chosen, pad=True)


def answers(net: nn.Module, data: ImageSet, samples: Tensor) -> dict[str, float]:
    """Return how sure a net is of each class: its name to a probability, by softmax of the logits.

    Parameters
    ----------
    net : nn.Module
        Of `hearers`.
    data : ImageSet
        Speech Commands, by whose scale pictures are normalized.
    samples : Tensor
        A clip, (16000,) int16.
    """
    picture = as_picture(log_mel(samples))[None, None]
    with torch.no_grad():
        sure = net(standardize(picture, data.scale)).softmax(1)[0]
    return dict(zip(data.classes, sure.tolist(), strict=True))
