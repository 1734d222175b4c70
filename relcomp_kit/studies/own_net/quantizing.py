"""Quantizing a net of one's own, in one shot or by training, by relevance and by what relevance has to beat."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from relcomp_kit.compression import ecqx, nnc
from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.ecqx.qat import QatRecipe, Report, quantized_net
from relcomp_kit.models.states import loaded
from relcomp_kit.studies.own_net.measurement import MAGNITUDE, RANDOM, RELEVANCE, Measured

PLAIN = "without relevance"  # ECQ
QAT_ARMS = {RELEVANCE: "lrp", PLAIN: "ecq", MAGNITUDE: "magnitude", RANDOM: "random"}
MORE_BITS = (6, 8)  # that are tried beside those asked for, where less loses too much
LAMBDAS = (0.05, 0.2)  # what entropy weighs
IMAGE_STEP, SCENE_STEP = 64, 8  # images of a step of the training
LEARNING_RATE = 1e-4
VALIDATIONS = 4  # of a training, before each of which relevance is measured anew


@dataclass(frozen=True, eq=False)
class Chosen:
    """A quantized net and what decided for it.

    Parameters
    ----------
    quantized : Quantized
        The net.
    bits : int
        Of the grid.
    lam : float
        What entropy weighed.
    size : int
        Bytes of its file.
    score : float
        On the validation part.
    """

    quantized: Quantized
    bits: int
    lam: float
    size: int
    score: float


def one_shot(made: Measured, arms: Mapping[str, dict[str, Tensor] | None], bits: int, goal: float) -> dict[str, Chosen]:
    """Return for each arm the smallest file that reaches a score on validation, or the one that scores highest.

    All arms choose among the same bits and the same weights of entropy.

    Parameters
    ----------
    made : Measured
        The net.
    arms : mapping of str to dict of str to Tensor, or None
        Arm to the relevance, or what stands in its place, of each weight; None for ECQ without any.
    bits : int
        Of the weights, at least.
    goal : float
        The score.
    """
    grid = [(some, lam) for some in sorted({bits, *MORE_BITS}) if some >= bits for lam in LAMBDAS]
    found = {}
    for arm, values in arms.items():
        tried = []
        for some, lam in grid:
            quantized = ecqx.quantize(made.net, some, lam, relevance=values)
            with loaded(made.net, ecqx.state_dict(quantized)):
                score = made.score("validation")
            tried.append(Chosen(quantized, some, lam, len(nnc.encode(quantized, info=made.note)), score))
        found[arm] = best(tried, goal)
    return found


def best(tried: list[Chosen], goal: float) -> Chosen:
    """Return the smallest of what reaches a score, or what scores highest where nothing does.

    Parameters
    ----------
    tried : list of Chosen
        One at least.
    goal : float
        The score, in [0, 1].
    """
    good = [one for one in tried if one.score >= goal]
    return min(good, key=lambda one: one.size) if good else max(tried, key=lambda one: (one.score, -one.size))


def trained(made: Measured, arm: str, bits: int, lam: float, steps: int, report: Report | None = None) -> Chosen:
    """Return a net after quantization-aware training by Becking et al. 2022, from the cache or made now.

    Parameters
    ----------
    made : Measured
        The net.
    arm : str
        Which relevance, or what in its place: a key of `QAT_ARMS`.
    bits : int
        Of the weights.
    lam : float
        What entropy weighs.
    steps : int
        Of Adam.
    report : callable, optional
        ``report(step, steps, text)`` after every step.
    """
    often = max(1, steps // VALIDATIONS)
    recipe = QatRecipe(
        arm=QAT_ARMS[arm],
        bits=bits,
        Lambda=lam,
        steps=steps,
        batch=SCENE_STEP if made.task.segments else min(IMAGE_STEP, made.task.images("train")),
        learning_rate=LEARNING_RATE,
        schedule="poly",
        relevance_every=often,
        validate_every=often,
        precision="fp32",
        class_weights=None,
    )
    quantized, _ = quantized_net(recipe, made.net, made.task.to_train(), made.seed, report=report)
    with loaded(made.net, ecqx.state_dict(quantized)):
        score = made.score("validation")
    return Chosen(quantized, bits, lam, len(nnc.encode(quantized, info=made.note)), score)
