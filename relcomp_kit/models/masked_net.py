"""The thesis' net: fully connected, tanh everywhere, a 0/1 mask on every weight and on every layer output."""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from relcomp_kit.errors import UserError

LEAKY_SLOPE = 0.01
INITIAL = ("torch", "glorot")

# name -> (the function, its derivative written with the function's own output y)
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "tanh": (torch.tanh, lambda y: 1 - y * y),
    "sigmoid": (torch.sigmoid, lambda y: y * (1 - y)),
    "relu": (torch.relu, lambda y: (y > 0).to(y.dtype)),
    "leaky_relu": (
        lambda z: nn.functional.leaky_relu(z, LEAKY_SLOPE),
        lambda y: torch.where(y > 0, torch.ones_like(y), torch.full_like(y, LEAKY_SLOPE)),
    ),
}


class MaskedLayer(nn.Module):
    """A linear layer with masks: ``y = output_mask * activation((weight * weight_mask) x + bias)``.

    Parameters
    ----------
    inputs : int
        Number of inputs.
    outputs : int
        Number of neurons.
    activation : str
        A key of `ACTIVATIONS`.

    Attributes
    ----------
    weight, weight_mask : Tensor
        Weights, 0 at first, and their mask of zeros and ones, 1 at first: (outputs, inputs).
    bias, output_mask : Tensor
        Biases, 0 at first, and the mask on the outputs, 1 at first: (outputs,).
    """

    weight_mask: Tensor
    output_mask: Tensor

    def __init__(self, inputs: int, outputs: int, activation: str):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise UserError(f"there is no activation {activation!r}; choose one of {', '.join(ACTIVATIONS)}")
        self.activation = activation
        self.weight = nn.Parameter(torch.zeros(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("weight_mask", torch.ones(outputs, inputs))
        self.register_buffer("output_mask", torch.ones(outputs))

    def forward(self, x: Tensor) -> Tensor:
        function, _ = ACTIVATIONS[self.activation]
        return function(nn.functional.linear(x, self.weight * self.weight_mask, self.bias)) * self.output_mask


class MaskedNet(nn.Module):
    """Fully connected net with masks.

    Parameters
    ----------
    sizes : sequence of int
        Inputs, neurons of each hidden layer, outputs: (784, 36, 25, 10) in the thesis.
    activations : str or sequence of str
        One for all layers, or one per layer (a mixture).
    seed : int
        Decides the initial weights.
    initial : {"torch", "glorot"}
        Weights uniform in +-1 / sqrt(inputs), PyTorch's default for linear layers, biases alike; or uniform in
        +-sqrt(6 / (inputs + outputs)), Keras' default, biases 0. Source of the latter: Glorot and Bengio 2010.
    cold : float
        What the outputs of all classes but the true one shall give: -1 as published ("others cold"), or 0 ("one hot").
    """

    layers: Sequence[MaskedLayer]  # an nn.ModuleList, which has no type for what it holds

    def __init__(
        self,
        sizes: Sequence[int] = (784, 36, 25, 10),
        activations: str | Sequence[str] = "tanh",
        seed: int = 0,
        initial: str = "torch",
        cold: float = -1.0,
    ):
        super().__init__()
        self.cold = cold
        count = len(sizes) - 1
        names = [activations] * count if isinstance(activations, str) else list(activations)
        if len(names) != count:
            raise UserError(f"{count} layers need {count} activations, not {len(names)}")
        if initial not in INITIAL:
            raise UserError(f"there are no initial weights {initial!r}; choose one of {', '.join(INITIAL)}")
        layers = nn.ModuleList(MaskedLayer(*layer) for layer in zip(sizes, sizes[1:], names))
        self.layers = cast("Sequence[MaskedLayer]", layers)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in self.layers:
                outputs, inputs = layer.weight.shape
                bound = (6 / (inputs + outputs)) ** 0.5 if initial == "glorot" else inputs**-0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                if initial == "torch":
                    layer.bias.uniform_(-bound, bound, generator=generator)

    def trace(self, x: Tensor) -> list[Tensor]:
        """Return the input of every layer and, last, the output: each (images, neurons)."""
        values = [x.flatten(1)]
        for layer in self.layers:
            values.append(layer(values[-1]))
        return values

    def forward(self, x: Tensor) -> Tensor:
        return self.trace(x)[-1]


def weight_names(net: MaskedNet) -> list[str]:
    """Return the names of the weight matrices in ``named_parameters()``, first layer first."""
    return [f"layers.{index}.weight" for index in range(len(net.layers))]


def get_masks(net: MaskedNet) -> dict[str, Tensor]:
    """Return a copy of the weight masks: keys of ``named_parameters()``, bool."""
    return {name: layer.weight_mask.bool().clone() for name, layer in zip(weight_names(net), net.layers)}


def set_masks(net: MaskedNet, masks: dict[str, Tensor]) -> None:
    """Put weight masks on the net; a neuron that lost its last weight is switched off by its output mask.

    The last layer keeps its output mask: it says which classes the net is for.

    Parameters
    ----------
    net : MaskedNet
        Changed in place.
    masks : dict of str to Tensor
        Per name of `weight_names` a mask, (outputs, inputs): True or 1 where a weight stays.
    """
    with torch.no_grad():
        for name, layer in zip(weight_names(net), net.layers):
            layer.weight_mask.copy_(masks[name])
        for layer in net.layers[:-1]:
            layer.output_mask.copy_(layer.weight_mask.any(dim=1))


def weights_left(net: MaskedNet) -> list[int]:
    """Return the number of weights left in each layer."""
    return [int(layer.weight_mask.sum()) for layer in net.layers]


def keep_classes(net: MaskedNet, classes: Sequence[int]) -> None:
    """Restrict a net to a subset of its classes by the mask on its output.

    Parameters
    ----------
    net : MaskedNet
        Changed in place.
    classes : sequence of int
        The classes to keep, each from 0 to the number of outputs minus 1.

    Raises
    ------
    UserError
        If no class is given, or one that the net does not have.
    """
    outputs = net.layers[-1].output_mask
    unknown = [c for c in classes if not 0 <= c < len(outputs)]
    if unknown or not classes:
        raise UserError(f"the net has the classes 0 to {len(outputs) - 1}; {list(classes)} is no choice of them")
    with torch.no_grad():
        outputs.zero_()
        outputs[list(classes)] = 1
