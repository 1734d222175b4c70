"""The thesis' measures: which inputs, neurons and weights matter to a net (Böhnke, formulas I to VIII).

Symbols as there: X a layer's input, Y its output, W its weights, J a loss. All functions take a `MaskedNet`,
flat inputs ``x`` (images, pixels) and labels, and return one value per image and neuron, or per weight.
"""

import torch
from torch import Tensor

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import ACTIVATIONS, MaskedNet, weight_names
from relcomp_kit.models.masked_net_training import one_hot_others_cold

LOSSES = ("training", "pruning")


def loss_per_image(net: MaskedNet, output: Tensor, labels: Tensor, loss: str = "training") -> Tensor:
    """Return J for every image.

    Parameters
    ----------
    net : MaskedNet
        The net that gave the output; only its output mask and the targets that it is trained for are read.
    output : Tensor
        The net's output, (images, classes); more dimensions may come before these.
    labels : Tensor
        Classes (images,), int64.
    loss : {"training", "pruning"}
        Mean squared error over the outputs that are kept, or the raw output at the true class (the class score).

    Returns
    -------
    Tensor
        (images,), with the same dimensions before it as ``output``.

    Raises
    ------
    UserError
        If there is no such loss.
    """
    if loss not in LOSSES:
        raise UserError(f"there is no loss {loss!r}; choose one of {', '.join(LOSSES)}")
    if loss == "pruning":
        return output.gather(-1, labels.expand(*output.shape[:-1])[..., None])[..., 0]
    kept = net.layers[-1].output_mask
    error = (output - one_hot_others_cold(labels, output.shape[-1], net.cold)) ** 2 * kept
    return error.sum(-1) / kept.sum()


def gradients(net: MaskedNet, x: Tensor, labels: Tensor, loss: str = "training") -> tuple[list[Tensor], list[Tensor]]:
    """Return the values at every layer's input and, last, at the output, and the gradient of J by each of them.

    This takes one forward and one backward pass for all images. The J of an image depends on that image alone, so
    the gradient of the sum holds the gradient of each.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    loss : {"training", "pruning"}
        Which J; see `loss_per_image`.

    Returns
    -------
    values : list of Tensor
        Inputs of every layer, then the outputs: each (images, neurons).
    slopes : list of Tensor
        dJ/dvalues, in the same order and shapes.
    """
    values = net.trace(x.detach().requires_grad_())
    loss_sum = loss_per_image(net, values[-1], labels, loss).sum()
    slopes = torch.autograd.grad(loss_sum, values)
    return [value.detach() for value in values], list(slopes)


def importance_map(saliency: Tensor) -> Tensor:
    """Return the importance map, the absolute value of a saliency map (I)."""
    return saliency.abs()


def traced_share(net: MaskedNet, x: Tensor, start: Tensor | None = None) -> Tensor:
    """Return each input's share of the output, traced back layer by layer (II): (images, inputs).

    A neuron passes what it received on to its inputs, by their shares ``x_i w_ji / sum_i x_i w_ji`` of its sum (the
    bias is part of the sum and keeps its own share). This is where layer-wise relevance propagation comes from: LRP-0.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    start : Tensor, optional
        What the outputs receive, (images, classes); the outputs themselves if None.

    Returns
    -------
    Tensor
        (images, inputs), in the unit of the start.
    """
    with torch.no_grad():
        values = net.trace(x)
        received = values[-1] if start is None else start
        for layer, value in zip(reversed(net.layers), reversed(values[:-1])):
            weight = layer.weight * layer.weight_mask
            sums = value @ weight.T + layer.bias
            received = value * ((received / torch.where(sums == 0, torch.ones_like(sums), sums)) @ weight)
    return received


def saliency_map(net: MaskedNet, x: Tensor, labels: Tensor, loss: str = "training") -> Tensor:
    """Return the gradient at the input, dJ/dX (III, VII): (images, inputs).

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    loss : {"training", "pruning"}
        Which J; see `loss_per_image`.
    """
    return gradients(net, x, labels, loss)[1][0]


def impact_map(net: MaskedNet, x: Tensor, labels: Tensor, loss: str = "training") -> Tensor:
    """Return the impact, the first-order Taylor term dJ/dX o X (VI): (images, inputs).

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    loss : {"training", "pruning"}
        Which J; see `loss_per_image`.
    """
    return gradients(net, x, labels, loss)[1][0] * x


def class_difference(net: MaskedNet, x: Tensor, labels: Tensor) -> Tensor:
    """Return how much each input speaks for the true class against the others (V): (images, inputs).

    ``sum over the other classes k of max(S_c - S_k, 0)`` with S_k the gradient of output k and c the true class; only
    classes that the output mask keeps are in the sum.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    """
    leaf = x.detach().requires_grad_()
    output = net(leaf)
    per_class = torch.stack(
        [torch.autograd.grad(output[:, k].sum(), leaf, retain_graph=True)[0] for k in range(output.shape[1])]
    )  # (classes, images, inputs)
    own = per_class.gather(0, labels[None, :, None].expand(1, *x.shape))
    return ((own - per_class).clamp_min(0) * net.layers[-1].output_mask[:, None, None]).sum(0)


def rescale(values: Tensor, dim: int, out: Tensor | None = None) -> Tensor:
    """Min-max scale to [0, 1] along a dimension; where all values are equal the result is 0.

    Parameters
    ----------
    values : Tensor
        Any shape.
    dim : int
        The dimension along which lowest and highest value are taken.
    out : Tensor, optional
        Where the result is written, in the shape of ``values``; may be ``values`` itself. By default a new tensor.

    Returns
    -------
    Tensor
        In the shape of ``values``; NaN stays NaN.
    """
    low, high = values.amin(dim, keepdim=True), values.amax(dim, keepdim=True)
    span = high - low
    return torch.sub(values, low, out=out).div_(torch.where(span == 0, 1.0, span))  # NaN stays NaN


def input_importance(
    net: MaskedNet, x: Tensor, labels: Tensor, *, measure: str = "saliency", scaling: str = "sample", loss="training"
) -> list[Tensor]:
    """Return the importance of every layer's inputs and of the output, in [0, 1] (VIII): each (images, neurons).

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    measure : {"saliency", "impact"}
        ``abs(dJ/dX)`` or ``abs(dJ/dX o X)``.
    scaling : {"sample", "neuron"}
        Min-max scaling of each image over the layer's neurons (the published program), or of each neuron over the
        images (the thesis' text).
    loss : {"training", "pruning"}
        Which J; see `loss_per_image`.

    Raises
    ------
    UserError
        If there is no such measure, scaling or loss.
    """
    if measure not in ("saliency", "impact") or scaling not in ("sample", "neuron"):
        raise UserError(f"measure {measure!r} must be saliency or impact, scaling {scaling!r} sample or neuron")
    values, slopes = gradients(net, x, labels, loss)
    maps = slopes if measure == "saliency" else [value * slope for value, slope in zip(values, slopes)]
    dim = 1 if scaling == "sample" else 0
    return [rescale(one.abs_(), dim, out=one) for one in maps]  # in place: memory touched anew costs more than the sums


def weight_importance(
    net: MaskedNet,
    x: Tensor,
    labels: Tensor,
    *,
    measure: str = "saliency",
    scaling: str = "sample",
    loss: str = "training",
) -> dict[str, Tensor]:
    """Return the importance of the weights, summed over the images.

    One weight's importance for one image is the product of the importance at its two ends,
    ``I_W[y, x] = I_Y[y] * I_X[x]``. The sum of these outer products over the images is one matrix product, so
    no tensor of size images x weights is ever made.

    Source: Böhnke, weight importance and CI.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    measure : {"saliency", "impact"}
        ``abs(dJ/dX)`` or ``abs(dJ/dX o X)`` at both ends.
    scaling : {"sample", "neuron"}
        How the importance of inputs and neurons is scaled to [0, 1]; see `input_importance`.
    loss : {"training", "pruning"}
        Which J; see `loss_per_image`.

    Returns
    -------
    dict of str to Tensor
        Importance (outputs, inputs) of the weights, by parameter name.

    Raises
    ------
    UserError
        If there is no such measure, scaling or loss.
    """
    ends = input_importance(net, x, labels, measure=measure, scaling=scaling, loss=loss)
    return {name: ends[i + 1].T @ ends[i] for i, name in enumerate(weight_names(net))}


def direct_importance(
    net: MaskedNet, x: Tensor, labels: Tensor, *, times_weight: bool = False, loss: str = "training"
) -> dict[str, Tensor]:
    """Return the weights' ``abs(dJ/dW)``, or ``abs(W o dJ/dW)``, summed over the images.

    For one image dJ/dW is the outer product of the gradient at the neuron's sum and the layer's input, so the
    sum of absolute values is again one matrix product. Masked weights have no gradient and get 0.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    times_weight : bool
        Multiply the gradient by the weight.
    loss : {"training", "pruning"}
        Which J; see `loss_per_image`.

    Returns
    -------
    dict of str to Tensor
        Importance (outputs, inputs) of the weights, by parameter name.
    """
    values = [x.flatten(1)]
    sums = []
    for layer in net.layers:  # every sum gets an additive zero that asks for a gradient
        zero = torch.zeros(len(x), len(layer.bias), dtype=x.dtype, requires_grad=True)
        sums.append(zero)
        values.append(_with_shift(layer, values[-1], zero))
    slopes = torch.autograd.grad(loss_per_image(net, values[-1], labels, loss).sum(), sums)
    result = {}
    for name, layer, value, slope in zip(weight_names(net), net.layers, values, slopes):
        importance = (slope.abs().T @ value.detach().abs()) * layer.weight_mask
        result[name] = importance * layer.weight.detach().abs() if times_weight else importance
    return result


def _with_shift(layer, x: Tensor, shift: Tensor) -> Tensor:
    total = torch.nn.functional.linear(x, layer.weight * layer.weight_mask, layer.bias) + shift
    return ACTIVATIONS[layer.activation][0](total) * layer.output_mask


def magnitude(net: MaskedNet) -> dict[str, Tensor]:
    """Return the absolute weights (minimum-weight pruning), the control that every other measure has to beat."""
    return {name: layer.weight.detach().abs() for name, layer in zip(weight_names(net), net.layers)}


def clamped_outputs(
    net: MaskedNet, x: Tensor, labels: Tensor, *, steps: int = 30, rate: float = 0.5, hold: float = 1.0
) -> Tensor:
    """Return how much each input has to be lowered until another class wins.

    The input follows the negative gradient of its class score, with negative gradients clipped, while an L2 loss
    keeps the other outputs where they were; an image stops once another class wins.
    Source: Böhnke, clamped outputs, iterative (its source 7).

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    steps : int
        How many steps an image takes at most.
    rate : float
        Length of a step: how much of the gradient is taken from the input.
    hold : float
        Weight of the L2 loss.

    Returns
    -------
    Tensor
        Original minus changed input, (images, inputs).
    """
    with torch.no_grad():
        before = net(x)
    own = torch.zeros_like(before).scatter_(1, labels[:, None], 1.0).bool()
    changed = x.clone()
    for _ in range(steps):
        leaf = changed.detach().requires_grad_()
        output = net(leaf)
        running = output.masked_fill(net.layers[-1].output_mask == 0, -torch.inf).argmax(1) == labels
        if not running.any():
            break
        others = ((output - before) ** 2).masked_fill(own, 0).sum(1)
        slope = torch.autograd.grad((output[own] + hold * others).sum(), leaf)[0]
        changed = changed - rate * slope.clamp_min(0) * running[:, None]
    return x - changed
