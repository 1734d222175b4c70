"""One net of lesson 01, trained and asked: the experiment "saliency" of sweeps."""

import functools

import torch

from relcomp_kit import datasets
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.models.masked_net_training import accuracy
from relcomp_kit.relevance import saliency as measures
from relcomp_kit.relevance.faithfulness import rank_correlation
from relcomp_kit.relevance.oracle import input_oracle
from relcomp_kit.studies.saliency import measurement as study
from relcomp_kit.studies.thesis_net import Trained, trained_net

VERSION = 1
IMAGES, ASKED = 2000, 500  # that gradients are looked for in, and that maps are drawn for, as in lesson 01
REPEATS, TIMED = 21, 200  # of a timing, and its images
INPUTS = {  # what images are scaled to, and whether they are noisy
    "[-1, 1], noise": {"signed": True, "noise": True},
    "[0, 1], no noise": {"signed": False, "noise": False},
}


@functools.lru_cache(maxsize=1)
def _dataset(name: str) -> ImageSet:
    return datasets.load(name)


@functools.lru_cache(maxsize=1)
def _published(dataset: str, seed: int, inputs: str) -> Trained:
    """Return the published net and its images; kept, since neighbouring points share them."""
    return trained_net(_dataset(dataset), seed, **INPUTS[inputs])


def saliency(
    *,
    seed: int,
    dataset: str = "mnist",
    activation: str = "tanh",
    everywhere: bool = False,
    inputs: str = "[-1, 1], noise",
) -> dict:
    """Train a net as published but for its activations or inputs, and measure what its maps of the inputs are worth.

    Parameters
    ----------
    seed : int
        Of weights, noise and order of images.
    dataset : str
        One of `relcomp_kit.datasets.NAMES`.
    activation : str
        A key of `relcomp_kit.studies.saliency.measurement.HIDDEN`.
    everywhere : bool
        Whether the output takes the activation too, and targets are one hot: 1 for the class of an image, 0 for others.
        Otherwise the output is tanh, and the others' target is -1.
    inputs : {"[-1, 1], noise", "[0, 1], no noise"}
        What the images are scaled to, and whether they are noisy.

    Raises
    ------
    UserError
        If there are no such activations or inputs, or the data set is not on this machine.
    """
    for value, choices in ((activation, study.HIDDEN), (inputs, INPUTS)):
        if value not in choices:
            raise UserError(f"there is no {value!r} for such a net; choose one of {'; '.join(choices)}")
    data = _dataset(dataset)
    if data.stand_in_for:
        raise UserError(f"{dataset} is not on this machine: run `relcomp fetch {dataset}`, or take dataset = 'digits'")
    layers, cold = (study.EVERYWHERE[activation], 0.0) if everywhere else (study.HIDDEN[activation], -1.0)
    like = _published(dataset, seed, inputs)
    one = trained_net(data, seed, activations=layers, like=like, cold=cold, **INPUTS[inputs])
    net, asked = one.net, one.train.subset(slice(0, ASKED))
    x, labels = asked.x, asked.labels
    own, oracle = (made(net, x, labels).abs() for made in (measures.saliency_map, input_oracle))
    classes = [data.train.images[data.train.labels == k] for k in range(len(data.classes))]
    means = torch.stack([some.mean(0).flatten() for some in classes])
    parts = study.regions(data.train.images[:ASKED], labels, means)
    signs = study.region_signs(measures.saliency_map(net, x, labels, "pruning"), parts)
    times = study.all_neurons_time_ratio(net, x[:TIMED], labels[:TIMED], REPEATS)
    return {
        "test accuracy": (accuracy(net, one.test), "share"),
        "map correlation": (rank_correlation(own, oracle).nanmean().item(), "rank correlation"),
        "weights without a gradient": (study.silent_share(net, one.train.subset(slice(0, IMAGES)))["ever"], "share"),
        "biases against weights": (_moved(net, seed), "ratio of how far they moved"),
        "signs": (signs, "share of the gradient"),
        "impact against saliency": (times, "time ratio"),
    }


def _moved(net: MaskedNet, seed: int) -> float:
    """Return how far training moved the first layer's biases on average, over how far it moved its weights."""
    sizes = [net.layers[0].weight.shape[1], *(len(layer.bias) for layer in net.layers)]
    before, after = MaskedNet(sizes, seed=seed).layers[0], net.layers[0]
    bias, weight = ((getattr(after, name) - getattr(before, name)).abs().mean() for name in ("bias", "weight"))
    return (bias / weight).item()
