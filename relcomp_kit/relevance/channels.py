"""Where a net's output channels are: its convolutions and linear layers, and the batch-norm behind each of them.

Modules are taken in the order in which they were assigned to their parents, which in torchvision's nets and in ours
is the order in which they run.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedLayer

LAYERS = (nn.Conv2d, nn.Linear, MaskedLayer)
Layer = nn.Conv2d | nn.Linear | MaskedLayer
AUXILIARY = "aux_classifier."  # torchvision's second head, for training: no part of the output that counts


def channel_layers(model: nn.Module) -> dict[str, Layer]:
    """Return every convolution and linear layer by its module name.

    Row ``c`` of a layer's weight makes its output channel (filter, neuron) ``c``.
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, LAYERS)}


def inner_layers(model: nn.Module) -> dict[str, Layer]:
    """Return `channel_layers` without the last one, whose channels are the classes, and without auxiliary heads."""
    layers = {name: layer for name, layer in channel_layers(model).items() if not name.startswith(AUXILIARY)}
    return dict(list(layers.items())[:-1])


def batch_norms(model: nn.Module) -> dict[str, str]:
    """Return the name of the batch-norm behind each layer that has one: layer name to batch-norm name.

    It is the child that follows the layer in the same parent, with as many channels.
    """
    found = {}
    for parent_name, parent in model.named_modules():
        prefix = f"{parent_name}." if parent_name else ""
        for (name, layer), (next_name, norm) in pairwise(parent.named_children()):
            follows = isinstance(layer, LAYERS) and isinstance(norm, _BatchNorm)
            if follows and norm.num_features == len(layer.weight):
                found[prefix + name] = prefix + next_name
    return found


def layer_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of all convolutions and linear layers by parameter name, auxiliary heads left out."""
    weights = {id(layer.weight) for name, layer in channel_layers(model).items() if not name.startswith(AUXILIARY)}
    return {name: value for name, value in model.named_parameters() if id(value) in weights}


def check_eval(model: nn.Module) -> None:
    """Raise a `UserError` if any module is in train mode: dropout and batch-norm would blur what is measured."""
    if any(module.training for module in model.modules()):
        raise UserError("the net is in train mode: call net.eval() first")


@contextmanager
def hooked(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Leave hooks in their places while a ``with`` block runs, and remove them however it ends."""
    handles = list(handles)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
