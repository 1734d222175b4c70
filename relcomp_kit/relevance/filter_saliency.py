"""Scores of filters beside relevance and the size of weights: by batch-norm, by weights and inputs, by the loss.

A batch-norm behind a layer rescales every filter, so the size of its weights says little about what leaves it; its
scale and shift do, without any data. What the loss says of a filter needs labels, and can be asked of some classes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.models.outputs import logits
from relcomp_kit.relevance.channels import batch_norms, check_eval, hooked, inner_layers
from relcomp_kit.relevance.weight_saliency import activation_aware, image_losses

Scores = dict[str, Tensor]
TINY = 1e-30  # in the place of a deviation of 0


def batch_norm_scale(model: nn.Module) -> Scores:
    """Return the absolute scale of the batch-norm behind every filter.

    Source: Liu, Li, Shen, Huang, Yan, Zhang: "Learning Efficient Convolutional Networks through Network Slimming",
    2017; there the scales are pushed towards 0 in training, here they are as the net has them.

    Parameters
    ----------
    model : nn.Module
        With a batch-norm behind every layer but the last.

    Returns
    -------
    dict of str to Tensor
        Layer name to (output channels,), 0 or more.

    Raises
    ------
    UserError
        If a layer has no batch-norm, or one without scale, shift and statistics.
    """
    return {name: scale for name, (scale, _, _) in _of_norms(model).items()}


def expected_output(model: nn.Module) -> Scores:
    """Return what ReLU lets through of every filter on average, computed from its batch-norm alone.

    If what the batch-norm normalizes is normally distributed, with the mean and the variance that it has kept, its
    output has its shift as mean b and nearly its scale as deviation s, and ``E[ReLU] = b Phi(b / s) + s phi(b / s)``
    with distribution Phi and density phi of the standard normal distribution. Where a residual sum lies between
    batch-norm and ReLU, its other summands are left out.

    Parameters
    ----------
    model : nn.Module
        With a batch-norm behind every layer but the last.

    Returns
    -------
    dict of str to Tensor
        Layer name to (output channels,), 0 or more.

    Raises
    ------
    UserError
        If a layer has no batch-norm, or one without scale, shift and statistics.
    """
    normal, found = torch.distributions.Normal(0.0, 1.0), {}
    for name, (scale, shift, normalized) in _of_norms(model).items():
        deviation = scale * normalized
        ratio = shift / deviation.clamp_min(TINY)
        found[name] = (shift * normal.cdf(ratio) + deviation * normal.log_prob(ratio).exp()).clamp_min(0)
    return found


def _of_norms(model: nn.Module) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Return of the batch-norm behind every layer but the last |scale|, shift, and the deviation before both."""
    norms, found = batch_norms(model), {}
    for name in inner_layers(model):
        norm = model.get_submodule(norms[name]) if name in norms else None
        if not isinstance(norm, _BatchNorm) or norm.weight is None or norm.running_var is None:
            raise UserError(f"{name} has no batch-norm with scale and statistics: score its filters by something else")
        variance = norm.running_var.double()
        normalized = (variance / (variance + norm.eps)).sqrt()  # 1 but for eps
        found[name] = norm.weight.detach().double().abs(), norm.bias.detach().double(), normalized
    return found


def activation_aware_magnitude(model: nn.Module, batches: Iterable[tuple[Tensor, object]]) -> Scores:
    """Return the sum over every filter's weights of their absolute value times the norm of the input that they meet.

    The norm of an input channel is that over all images and places.
    Source: the score of single weights in Sun, Liu, Bair, Kolter: "A Simple and Effective Pruning Approach for Large
    Language Models" (Wanda), 2024; the sum over a filter is ours.

    Parameters
    ----------
    model : nn.Module
        In eval mode.
    batches : iterable of (Tensor, object)
        Inputs as the net wants them; what stands beside them is not read.

    Returns
    -------
    dict of str to Tensor
        Layer name to (output channels,), 0 or more, of every layer but the last.

    Raises
    ------
    UserError
        If the net is in train mode, or there is no batch.
    """
    found, inner = activation_aware(model, batches), inner_layers(model)
    return {name: found[f"{name}.weight".lstrip(".")].flatten(1).sum(1) for name in inner}


def taylor(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], *, squared: bool = False) -> Scores:
    """Return by how much the loss of an image changes, to first order, if a filter is switched off.

    Switched off is what leaves the batch-norm behind the filter, or the filter itself where there is none. The change
    is the sum over all places of output times gradient of the loss. Absolute changes are averaged over the images, or
    half of their squares, which is the empirical Fisher information of a switch.
    Sources: Molchanov, Tyree, Karras, Aila, Kautz: "Pruning Convolutional Neural Networks for Resource Efficient
    Inference", 2017; squared: Theis, Korshunova, Tejani, Huszar: "Faster Gaze Prediction with Dense Networks and Fisher
    Pruning", 2018.

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
        Layer name to (output channels,), 0 or more, of every layer but the last.

    Raises
    ------
    UserError
        If the net is in train mode, or no label counts.
    """
    check_eval(model)
    norms, changes, images = batch_norms(model), {name: torch.zeros(()) for name in inner_layers(model)}, 0

    def hook(name: str):
        def watch(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            before = output.detach().clone()  # what follows may write into it

            def add(gradient: Tensor) -> None:
                axis = 1 if output.dim() == 4 else -1
                product = (before * gradient).movedim(axis, 1)
                change = product.reshape(*product.shape[:2], -1).sum(2).double()
                changes[name] = changes[name] + (change.square() / 2 if squared else change.abs()).sum(0)

            output.register_hook(add)

        return watch

    hooks = (model.get_submodule(norms.get(name, name)).register_forward_hook(hook(name)) for name in changes)
    device = device_of(model)
    with hooked(hooks), torch.enable_grad():
        for x, labels in batches:
            x, labels = x.to(device).requires_grad_(), labels.long().to(device)
            losses, counted = image_losses(logits(model(x)), labels)
            torch.autograd.grad(losses.sum(), x)
            images += int((counted > 0).sum())
    if not images:
        raise UserError("no label counts: give a batch with labels of the classes that the scores are for")
    return {name: change / images for name, change in changes.items()}
