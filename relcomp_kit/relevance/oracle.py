"""The reference measure: how much the loss really changes when one input or one weight is set to 0.

For inputs that are pixels it is the "pixel oracle". Every value is measured; nothing is approximated. It is affordable,
because a change of one input or weight reaches the next layer as a rank-one update: no matrix product is repeated.
"""

import torch
from torch import Tensor

from relcomp_kit.models.masked_net import ACTIVATIONS, MaskedNet, weight_names
from relcomp_kit.relevance.saliency import loss_per_image


def _finish(net: MaskedNet, index: int, sums: Tensor) -> Tensor:
    """Run the rest of the net from the sums (W x + b) of layer ``index``; any leading dimensions."""
    layer = net.layers[index]
    y = ACTIVATIONS[layer.activation][0](sums) * layer.output_mask
    for layer in net.layers[index + 1 :]:
        y = layer(y)
    return y


def _all_sums(net: MaskedNet, values: list[Tensor]) -> list[Tensor]:
    return [
        torch.nn.functional.linear(value, layer.weight * layer.weight_mask, layer.bias)
        for layer, value in zip(net.layers, values)
    ]


@torch.no_grad()
def input_oracle(net: MaskedNet, x: Tensor, labels: Tensor, loss: str = "training") -> Tensor:
    """Return the change of J when one input is set to 0: J with this input at 0, minus J.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x : Tensor
        Inputs (images, inputs).
    labels : Tensor
        Classes (images,), int64.
    loss : {"training", "pruning"}
        Which J; see `relcomp_kit.relevance.saliency.loss_per_image`.

    Returns
    -------
    Tensor
        Change of J for every image and input (images, inputs), with its sign.
    """
    weight = net.layers[0].weight * net.layers[0].weight_mask
    sums = _all_sums(net, net.trace(x)[:1])[0]
    before = loss_per_image(net, _finish(net, 0, sums), labels, loss)
    change = torch.empty_like(x)
    for column in range(x.shape[1]):
        after = _finish(net, 0, sums - x[:, column, None] * weight[:, column])
        change[:, column] = loss_per_image(net, after, labels, loss) - before
    return change


@torch.no_grad()
def weight_oracle(
    net: MaskedNet, x: Tensor, labels: Tensor, loss: str = "training", chunk: int = 64
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the change of J when one weight is set to 0: (mean change, mean absolute change) over the images.

    Parameters
    ----------
    net : MaskedNet
        The net, left as it is.
    x, labels : (images, inputs), (images,)
        A few hundred images are enough for a stable ranking; the cost is images x weights.
    loss : {"training", "pruning"}
        Which J; see `relcomp_kit.relevance.saliency.loss_per_image`.
    chunk : int
        Weights of one neuron handled at once; bounds the memory.

    Returns
    -------
    tuple of two dicts
        Keys and shapes of the weight matrices. The first is the change of the mean loss, with its sign; the second
        the mean of every image's absolute change. Weights that are masked already change nothing: 0.
    """
    values = net.trace(x)
    signed, absolute = {}, {}
    sums = _all_sums(net, values)
    for index, (name, layer) in enumerate(zip(weight_names(net), net.layers)):
        before = loss_per_image(net, values[-1], labels, loss)
        activation = ACTIVATIONS[layer.activation][0]
        mean = torch.zeros_like(layer.weight)
        mean_of_abs = torch.zeros_like(layer.weight)
        following = net.layers[index + 1] if index + 1 < len(net.layers) else None
        for neuron in range(len(layer.weight)):
            for columns in layer.weight_mask[neuron].nonzero()[:, 0].split(chunk):
                # (columns, images): the neuron's sum without each of its weights
                neuron_sum = sums[index][:, neuron] - (values[index][:, columns] * layer.weight[neuron, columns]).T
                y = activation(neuron_sum) * layer.output_mask[neuron]
                if following is None:
                    output = values[-1].expand(len(columns), *values[-1].shape).clone()
                    output[..., neuron] = y
                else:
                    step = (following.weight * following.weight_mask)[:, neuron]
                    shift = (y - values[index + 1][:, neuron])[..., None] * step
                    output = _finish(net, index + 1, sums[index + 1] + shift)
                change = loss_per_image(net, output, labels, loss) - before
                mean[neuron, columns] = change.mean(1)
                mean_of_abs[neuron, columns] = change.abs().mean(1)
        signed[name], absolute[name] = mean, mean_of_abs
    return signed, absolute
