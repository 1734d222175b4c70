"""Scores of single weights beside relevance and size: by the inputs that they meet, and by the loss."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.models.outputs import logits
from relcomp_kit.relevance.channels import AUXILIARY, Layer, channel_layers, check_eval, hooked, layer_weights

NO_LABEL = -100  # torch's own
CHUNK = 8  # images whose gradients are held at a time, each as large as the net


def activation_aware(model: nn.Module, batches: Iterable[tuple[Tensor, object]]) -> dict[str, Tensor]:
    """Return every weight's absolute value times the norm of the input that it meets.

    The norm of an input channel is that over all images and places. Weights of a layer that is not reached get 0.
    Source: Sun, Liu, Bair, Kolter: "A Simple and Effective Pruning Approach for Large Language Models" (Wanda), 2024.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    batches : iterable of (Tensor, object)
        Inputs as the net wants them; what stands beside them is not read.

    Returns
    -------
    dict of str to Tensor
        Parameter name to a tensor of its shape, 0 or more, of every layer of `relcomp_kit.relevance.channels` but those
        of auxiliary heads.

    Raises
    ------
    UserError
        If the net is in train mode, has no such layer, or there is no batch.
    """
    layers = _layers(model)
    squares: dict[str, Tensor] = {}

    def hook(name: str, axis: int):
        def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found = inputs[0].double().square().movedim(axis, 0).flatten(1).sum(1)
            squares[name] = squares[name] + found if name in squares else found

        return add

    hooks = (
        layer.register_forward_pre_hook(hook(name, -3 if isinstance(layer, nn.Conv2d) else -1))
        for name, layer in layers.items()
    )
    device = device_of(model)
    with hooked(hooks), torch.inference_mode():
        for x, _ in batches:
            model(x.to(device))
    if not squares:
        raise UserError("there is nothing to measure on: give one batch at least")
    return {
        f"{name}.weight".lstrip("."): _met(layer, squares[name].sqrt())
        if name in squares
        else torch.zeros_like(layer.weight, dtype=torch.float64, requires_grad=False)
        for name, layer in layers.items()
    }


def image_losses(output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean cross-entropy of each image's labels, (N,), and how many labels of each count, (N,).

    Parameters
    ----------
    output : Tensor
        Logits, (N, classes, ...).
    labels : Tensor
        Classes (N, ...), int64; 255 of pixels does not count, nor does -100 of images (N,), where 255 may be a class.
    """
    void = VOID if labels.ndim > 1 else NO_LABEL
    losses = cross_entropy(output, labels, ignore_index=void, reduction="none").view(len(labels), -1)
    counted = (labels != void).view(len(labels), -1).sum(1)
    return losses.sum(1) / counted.clamp_min(1), counted


def _layers(model: nn.Module) -> dict[str, Layer]:
    """Return the layers whose weights are scored, in a net that is fit for it."""
    check_eval(model)
    layers = {name: one for name, one in channel_layers(model).items() if not name.startswith(AUXILIARY)}
    if not layers:
        raise UserError("the net has neither 2-d convolutions nor linear layers: there is no weight to score")
    return layers


def _met(layer: Layer, norm: Tensor) -> Tensor:
    """Return |weight| of a layer times the norm (input channels,) that each weight meets, in its group."""
    weight = (layer.weight.detach() * getattr(layer, "weight_mask", 1)).double().abs()
    groups = getattr(layer, "groups", 1)
    read = norm.view(groups, -1).repeat_interleave(len(weight) // groups, 0)  # of what each filter reads
    return weight * read.reshape(*read.shape, *[1] * (weight.ndim - 2))


def loss_change(
    model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, squared: bool = False
) -> dict[str, Tensor]:
    """Return by how much the loss of an image changes, to first order, if a weight becomes 0.

    The change is weight times gradient of the loss. Absolute changes are averaged over the images, or half of their
    squares, which is the empirical Fisher information of a switch.
    Sources: Molchanov, Mallya, Tyree, Frosio, Kautz: "Importance Estimation for Neural Network Pruning", 2019; squared:
    Theis, Korshunova, Tejani, Huszar: "Faster Gaze Prediction with Dense Networks and Fisher Pruning", 2018.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    batches : iterable of (Tensor, Tensor)
        Inputs as the net wants them, and labels: (N,), where -100 does not count, or (N, height, width), where 255 does
        not count, nor do images that have nothing else. The loss is the mean cross-entropy of an image's labels.
    squared : bool
        Whether changes are squared.

    Returns
    -------
    dict of str to Tensor
        As `activation_aware` returns it, but a weight that several layers share has one name.

    Raises
    ------
    UserError
        If the net is in train mode, has no such layer, or no label counts.
    """
    _layers(model)
    weights = {name: value.detach() for name, value in layer_weights(model).items()}
    sums, images = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in weights.items()}, 0

    def loss(changed: dict[str, Tensor], image: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        losses, counted = image_losses(logits(functional_call(model, changed, (image[None],))), label[None])
        return losses[0], counted[0]

    slopes, device = vmap(grad(loss, has_aux=True), in_dims=(None, 0, 0)), device_of(model)
    for x, labels in (batch for batch in batches if len(batch[0])):
        for image, label in zip(x.to(device).split(CHUNK), labels.long().to(device).split(CHUNK)):
            with torch.no_grad():  # or what is summed up remembers how other parameters led to it
                found, counted = slopes(weights, image, label)
                for name, slope in found.items():
                    change = (slope * weights[name]).double()
                    sums[name] += (change.square() / 2 if squared else change.abs()).sum(0)
            images += int((counted > 0).sum())
    if not images:
        raise UserError("no label counts: give a batch with labels of the classes that the scores are for")
    return {name: total / images for name, total in sums.items()}
