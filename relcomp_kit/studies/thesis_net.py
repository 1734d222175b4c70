"""The thesis' net, trained once and shared by the lessons through the artifact cache."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.models.masked_net_training import Batches, Samples, one_hot_others_cold, prepare, train


@dataclass(frozen=True)
class Trained:
    """A net trained by the published program, and the images it was trained and is tested on."""

    net: MaskedNet
    train: Samples
    test: Samples


def trained_net(
    dataset,
    seed: int = 0,
    steps: int = 1551,
    activations: str | tuple[str, ...] = "tanh",
    noise: bool = True,
    signed: bool = True,
    like: Trained | None = None,
    report: Callable[[int, float], None] | None = None,
    cold: float = -1.0,
) -> Trained:
    """Train the thesis' net, or take it from the cache.

    Parameters
    ----------
    dataset : ImageSet
        The images; with 10 classes the net has 36, 25 and 10 neurons.
    seed : int
        Of weights, noise and order of images.
    steps : int
        SGD steps of 200 images each; 1551 are the published ones.
    activations : str or tuple of str
        One for all layers, or one per layer.
    noise : bool
        Whether images are corrupted by the thesis' noise.
    signed : bool
        Whether images are in [-1, 1]; otherwise they are in [0, 1].
    like : Trained, optional
        A net of the same seed, noise and range whose images are used again, so that the noise is not drawn twice.
    report : callable, optional
        Called every 100 steps with the step and the accuracy on its batch; not for a net from the cache.
    cold : float
        Target of the outputs of the other classes, as in `MaskedNet`.
    """
    if like:
        images, test = like.train, like.test
    else:
        images = prepare(dataset.train, seed * 10, noise, signed)
        test = prepare(dataset.test, seed * 10 + 2, noise, signed)
    net = MaskedNet((images.x.shape[1], 36, 25, len(dataset.classes)), activations, seed, cold=cold)
    config = {"noise": noise, "signed": signed, "cold": cold}
    net.load_state_dict(trained_state(dataset, images, seed, steps, activations, report, **config))
    return Trained(net, images, test)


def trained_state(
    dataset,
    images: Samples,
    seed: int,
    steps: int,
    activations: str | tuple[str, ...] = "tanh",
    report: Callable[[int, float], None] | None = None,
    *,
    noise: bool = True,
    signed: bool = True,
    cold: float = -1.0,
) -> dict[str, Tensor]:
    """Return the state of a net trained by the published program, from the cache or made now.

    Parameters
    ----------
    dataset : ImageSet
        It gives the classes; its hash tells nets of different data apart in the cache.
    images : Samples
        The training images as `prepare` made them, with ``seed * 10`` for the noise; ``noise`` and ``signed`` say how.
    seed : int
        Of weights and order of images.
    steps : int
        SGD steps of 200 images each.
    activations : str or tuple of str
        One for all layers, or one per layer.
    report : callable, optional
        As in `trained_net`.
    noise, signed : bool
        As in `trained_net`.
    cold : float
        As in `trained_net`.
    """

    def make(_) -> tuple[dict[str, Tensor], dict]:
        net = MaskedNet((images.x.shape[1], 36, 25, len(dataset.classes)), activations, seed, cold=cold)
        targets = one_hot_others_cold(images.labels, len(dataset.classes), cold)
        train(net, images, targets, Batches(len(images), seed), 0, steps, report)
        return net.state_dict(), {}

    config = {"seed": seed, "steps": steps, "activations": activations, "noise": noise, "signed": signed}
    if cold != -1:  # nets of before there was a choice are found again
        config["cold"] = cold
    return load_or_make("net", 1, config, dataset.sha256, make)[0]
