"""Measures from the thesis' literature part that look at the neurons' activity, or their weights, without a loss."""

import torch
from torch import Tensor

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet, weight_names

STATISTICS = ("mean", "std", "apoz", "information", "minimum weight")


def neuron_importance(net: MaskedNet, x: Tensor, labels: Tensor, statistic: str, bins: int = 16) -> list[Tensor]:
    """Return one number per neuron of every layer, inputs first and outputs last: each (neurons,), higher = keep.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs), one image at least.
    labels : Tensor
        Classes (images,); used by "information" only.
    statistic : {"mean", "std", "apoz", "information", "minimum weight"}
        Mean absolute activation; standard deviation of the activation over the images; 1 - APoZ, the share of images
        for which the neuron is active (above 0; the average percentage of zeros counts the others); mutual information
        of the activation, cut into ``bins`` equal intervals, with the class, in nats (also called information gain);
        mean square of the weights that lead to the neuron, 1 for the inputs, to which none lead (minimum weight).
    bins : int
        Intervals between a neuron's lowest and highest activation, for "information".

    Returns
    -------
    list of Tensor
        One tensor (neurons,) for the inputs, for every hidden layer, and for the outputs.

    Raises
    ------
    UserError
        If there is no such statistic, or no image.

    Notes
    -----
    Source of the minimum weight: Molchanov et al. 2017.
    """
    if statistic not in STATISTICS:
        raise UserError(f"there is no statistic {statistic!r}; choose one of {', '.join(STATISTICS)}")
    if len(x) == 0:
        raise UserError("there is no image to measure activity on")
    with torch.no_grad():
        if statistic == "minimum weight":
            weights = [layer.weight * layer.weight_mask for layer in net.layers]
            return [torch.ones_like(weights[0][0]), *(weight.square().mean(1) for weight in weights)]
        values = net.trace(x)
    if statistic == "mean":
        return [value.abs().mean(0) for value in values]
    if statistic == "std":
        return [value.std(0, correction=0) for value in values]
    if statistic == "apoz":
        return [(value > 0).float().mean(0) for value in values]
    return [_information(value, labels, bins) for value in values]


def _information(values: Tensor, labels: Tensor, bins: int) -> Tensor:
    from sklearn.metrics import mutual_info_score  # takes a second

    low, high = values.amin(0), values.amax(0)
    width = torch.where(high > low, high - low, torch.ones_like(low))
    cut = ((values - low) / width * bins).long().clamp_max(bins - 1)
    return torch.tensor([mutual_info_score(labels.numpy(), column.numpy()) for column in cut.T])


def outer(ends: list[Tensor], net: MaskedNet) -> dict[str, Tensor]:
    """Return every weight's importance: the product of the importance of the neurons at its two ends.

    Parameters
    ----------
    ends : list of Tensor
        Importance of the neurons, as `neuron_importance` returns it: (neurons,) for the inputs and every layer.
    net : MaskedNet
        The net, for the names of its weights.

    Returns
    -------
    dict of str to Tensor
        Importance (outputs, inputs) of the weights, by parameter name.
    """
    return {name: torch.outer(ends[i + 1], ends[i]) for i, name in enumerate(weight_names(net))}
