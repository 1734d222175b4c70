"""Training of the masked net: "one hot, others cold" targets, MSE, plain SGD, by either protocol.

The gradient is written out by hand. On a net this small autograd's bookkeeping costs as much as the arithmetic:
two matrix products with the first layer bound a step, and this loop stays within twice their time.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relcomp_kit.datasets.images import Split
from relcomp_kit.datasets.noise import corrupt, scale
from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import ACTIVATIONS, MaskedNet
from relcomp_kit.threads import using

LEARNING_RATE = 0.1
BATCH_SIZE = 200


@dataclass(frozen=True)
class Samples:
    """Inputs as the net sees them: ``x`` (images, pixels) float32, ``labels`` (images,) int64."""

    x: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: Tensor) -> "Samples":
        """Return some of the samples, by index or by a bool per image."""
        return Samples(self.x[index], self.labels[index])


def prepare(split: Split, seed: int, noise: bool = True, signed: bool = True) -> Samples:
    """Turn a split of a data set into samples: flattened images with the thesis' noise.

    Parameters
    ----------
    split : relcomp_kit.datasets.images.Split
        Images (images, 1, H, W), in [0, 1], and their labels.
    seed : int
        Decides the noise.
    noise : bool
        Whether to add noise; see `relcomp_kit.datasets.noise.corrupt`.
    signed : bool
        Whether to scale the images to [-1, 1] first, as in the thesis, rather than leave them in [0, 1].

    Returns
    -------
    Samples
        Inputs (images, H * W) and labels (images,).
    """
    images = split.images.flatten(1)
    images = scale(images) if signed else images.clone()
    return Samples(corrupt(images, seed) if noise else images, split.labels)


def one_hot_others_cold(labels: Tensor, classes: int, cold: float = -1.0) -> Tensor:
    """Return the targets of training: 1 for the class of an image, -1 for all others.

    Parameters
    ----------
    labels : Tensor
        Class of each image, (images,), int64.
    classes : int
        Number of classes.
    cold : float
        What the other classes get instead, such as 0.

    Returns
    -------
    Tensor
        Targets, (images, classes), float32.
    """
    targets = torch.full((len(labels), classes), cold)
    return targets.scatter_(1, labels[:, None], 1.0)


class Batches:
    """Shuffled batches as a function of seed and step number alone, so that a resumed run goes on exactly.

    ``batches[step]`` holds the indices of the images of a step, (size,), int64. Every epoch has an order of its own;
    images that do not fill a batch at its end are left out of it.

    Parameters
    ----------
    samples : int
        Number of training images.
    seed : int
        Decides the order of the images.
    size : int
        Images in a batch; all of them if there are fewer.

    Raises
    ------
    UserError
        If there is no image.
    """

    def __init__(self, samples: int, seed: int, size: int = BATCH_SIZE):
        if samples < 1:
            raise UserError("there is no image to train on: the class subset or the split is empty")
        self.samples, self.seed, self.size = samples, seed, min(size, samples)
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def __getitem__(self, step: int) -> Tensor:
        per_epoch = self.samples // self.size
        epoch, position = divmod(step, per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.samples, generator=generator)
        return self._order[position * self.size : (position + 1) * self.size]


@torch.no_grad()
def sgd_step(net: MaskedNet, x: Tensor, target: Tensor, learning_rate: float = LEARNING_RATE) -> Tensor:
    """Do one step of SGD on the mean squared error of the outputs that are kept; gradients by the chain rule.

    Parameters
    ----------
    net : MaskedNet
        Changed in place. Masked weights get no gradient.
    x : Tensor
        Inputs, (images, inputs), float32.
    target : Tensor
        Targets of the outputs, (images, outputs), float32.
    learning_rate : float
        Factor of the gradient; the product is subtracted from weights and biases.

    Returns
    -------
    Tensor
        The output before the step, (images, outputs).
    """
    values = [x]
    weights = [layer.weight * layer.weight_mask for layer in net.layers]
    for layer, weight in zip(net.layers, weights):
        function, _ = ACTIVATIONS[layer.activation]
        values.append(function(torch.addmm(layer.bias, values[-1], weight.T)).mul_(layer.output_mask))
    kept = net.layers[-1].output_mask.sum()
    slope = (values[-1] - target).mul_(2 / (len(x) * kept))  # dJ/dY
    for index in reversed(range(len(net.layers))):
        layer, y = net.layers[index], values[index + 1]
        delta = slope.mul_(layer.output_mask).mul_(ACTIVATIONS[layer.activation][1](y))  # dJ/d(W x + b)
        if index:
            slope = delta @ weights[index]
        layer.weight.addcmul_(delta.T @ values[index], layer.weight_mask, value=-learning_rate)
        layer.bias.sub_(delta.sum(0), alpha=learning_rate)
    return values[-1]


def train(
    net: MaskedNet,
    samples: Samples,
    targets: Tensor,
    batches: Batches,
    first_step: int,
    steps: int,
    report: Callable[[int, float], None] | None = None,
    before_step: Callable[[int], None] | None = None,
) -> int:
    """Train for a number of steps and return the number of the next step.

    Parameters
    ----------
    net : MaskedNet
        Changed in place.
    samples : Samples
        The training images.
    targets : Tensor
        What the net shall give for each of them, (images, outputs).
    batches : Batches
        Which images each step takes.
    first_step : int
        Number of the first step, 0 for a new training.
    steps : int
        How many steps to do.
    report : callable, optional
        Called as ``report(step, accuracy)`` every 100 steps, as in the published program, with the share of the current
        batch that was right, in [0, 1].
    before_step : callable, optional
        Called as ``before_step(step)`` before every step; a rule that draws its masks anew uses it.

    Returns
    -------
    int
        Number of the step to go on with.
    """
    with using(1):  # on steps this small, threads wait for each other longer than they work
        for step in range(first_step, first_step + steps):
            if before_step:
                before_step(step)
            chosen = batches[step]
            output = sgd_step(net, samples.x.index_select(0, chosen), targets.index_select(0, chosen))
            if report and (step + 1) % 100 == 0:
                report(step + 1, (output.argmax(1) == samples.labels[chosen]).float().mean().item())
    return first_step + steps


def train_until_stable(
    net: MaskedNet,
    samples: Samples,
    targets: Tensor,
    batches: Batches,
    first_step: int,
    validation: Samples,
    block: int = 100,
    tolerance: float = 0.001,
    patience: int = 3,
    most: int = 10_000,
    report: Callable[[int, float], None] | None = None,
) -> int:
    """Train until the validation accuracy stops rising, as the thesis' text describes it.

    Training stops when the best accuracy has not risen by more than ``tolerance`` in ``patience`` blocks of steps.

    Parameters
    ----------
    net : MaskedNet
        Changed in place.
    samples : Samples
        The training images.
    targets : Tensor
        What the net shall give for each of them, (images, outputs).
    batches : Batches
        Which images each step takes.
    first_step : int
        Number of the first step, 0 for a new training.
    validation : Samples
        Images on which the accuracy is measured, before the first block and after every one.
    block : int
        Steps between two measurements.
    tolerance : float
        By how much the accuracy, a share in [0, 1], must exceed the best one to count as a rise.
    patience : int
        Blocks without a rise after which training stops.
    most : int
        No new block begins once so many steps are done.
    report : callable, optional
        Called as in `train`.

    Returns
    -------
    int
        Number of the step to go on with.
    """
    best, since, step = accuracy(net, validation), 0, first_step
    while since < patience and step - first_step < most:
        step = train(net, samples, targets, batches, step, block, report)
        now = accuracy(net, validation)
        best, since = (now, 0) if now > best + tolerance else (best, since + 1)
    return step


@torch.no_grad()
def accuracy(net: torch.nn.Module, samples: Samples) -> float:
    """Return the share of samples whose largest output is their class, in [0, 1].

    Outputs that are masked away do not compete: they count as minus infinity.

    Parameters
    ----------
    net : torch.nn.Module
        Takes ``samples.x`` and gives (images, outputs), such as a `MaskedNet`.
    samples : Samples
        The images to classify.

    Returns
    -------
    float
        The accuracy, a share in [0, 1].
    """
    outputs = net(samples.x)
    if isinstance(net, MaskedNet):
        outputs = outputs.masked_fill(net.layers[-1].output_mask == 0, -torch.inf)
    return (outputs.argmax(1) == samples.labels).float().mean().item()
