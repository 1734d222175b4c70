"""A working copy of the user's net: it shares the weights and nothing else, so nothing has to be restored."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import LEAKY_SLOPE, MaskedLayer
from relcomp_kit.models.states import computed_weights
from relcomp_kit.relevance.lrp.functional_operations import BATCH_NORMS


class TracedSigmoid(nn.Sigmoid):
    """A sigmoid that hands on all of its relevance, as formula II of Böhnke has it, also the share of its 1/2 at 0.

    Parameters
    ----------
    *args, **kwargs
        As for a module of torch.
    """


PLAIN: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "sigmoid": TracedSigmoid,
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(LEAKY_SLOPE),
}


def working_copy(model: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    """Return a copy that shares the tensors of a net, and for each of its parameters the name in the net.

    The copy has no parameter that asks for a gradient, no activation that works in place, and a linear layer and an
    activation as modules of their own for each of `relcomp_kit.models.masked_net`'s layers. Shared tensors are never
    written to: whoever changes a parameter of the copy puts another tensor in its place.

    Raises
    ------
    UserError
        If batches decide the outputs (train mode), a weight is not a number, or two layers share one.
    """
    training = [name or "the net" for name, module in model.named_modules() if module.training]
    if training:
        raise UserError(
            f"{training[0]} is in train mode, where batches decide the outputs: call .eval() on the net first"
        )
    owners: dict[int, str] = {}
    for layer, module in model.named_modules():
        if isinstance(module, BATCH_NORMS) and module.running_var is None:
            raise UserError(f"{layer} is a batch-norm without running statistics, where batches decide the outputs")
        for name, value in module.named_parameters(prefix=layer, recurse=False):
            if not value.sum().isfinite() and not value.isfinite().all():  # the sum is read faster, but can overflow
                raise UserError(f"{name} holds NaN or infinity: train the net again, or load another checkpoint")
            if owners.setdefault(id(value), name) != name:
                raise UserError(f"{owners[id(value)]} and {name} are one parameter: give each layer one of its own")
    shared: dict[int, Tensor] = {
        id(value): nn.Parameter(value.detach(), requires_grad=False) for value in model.parameters()
    }
    shared |= {id(value): value.detach() for value in [*model.buffers(), *computed_weights(model)]}
    made = copy.deepcopy(model, shared)
    names = {name: name for name, _ in made.named_parameters()}
    for name, module in list(made.named_modules()):
        if getattr(module, "inplace", False):
            module.inplace = False
        if isinstance(module, MaskedLayer):
            made.set_submodule(name, _plain(module))
            for part in ("weight", "bias"):
                del names[f"{name}.{part}"]
                names[f"{name}.0.{part}"] = f"{name}.{part}"
    return made, names


def _plain(layer: MaskedLayer) -> nn.Sequential:
    """Return a masked layer as Linear and activation; a masked neuron has no weight and no bias left."""
    outputs, inputs = layer.weight.shape
    linear = nn.Linear(inputs, outputs, device="meta")
    kept = layer.output_mask
    if layer.activation == "sigmoid" and not kept.all():
        raise UserError("a masked sigmoid neuron has no rule: it would give 1/2, take another activation")
    weight, bias = layer.weight * layer.weight_mask * kept[:, None], layer.bias * kept
    linear.weight, linear.bias = (nn.Parameter(value.detach(), requires_grad=False) for value in (weight, bias))
    return nn.Sequential(linear, PLAIN[layer.activation]()).eval()


def output_of(result: Tensor | dict[str, Tensor]) -> Tensor:
    """Return the logits of a net that gives them alone, or under "out" as torchvision's segmentation nets do."""
    output = result.get("out") if isinstance(result, dict) else result
    if not isinstance(output, Tensor) or output.ndim < 2:
        raise UserError(
            "the net gives no tensor (N, classes, ...): wrap it in a module whose forward returns its logits"
        )
    return output


def read_batch(batch: tuple | list | Tensor, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return images and targets of a batch, after checks.

    Parameters
    ----------
    batch : Tensor, or tuple or list of two
        Images (N, ...), floating-point; alone, or with targets, a tensor or None.
    device : torch.device
        Where both go.

    Returns
    -------
    x : Tensor
        Images without a gradient's history.
    target : Tensor or None
        The targets, if the batch holds any.

    Raises
    ------
    UserError
        If the batch has another form, is empty, or its images are whole numbers.
    """
    x, target = batch if isinstance(batch, (tuple, list)) and len(batch) == 2 else (batch, None)
    if not isinstance(x, Tensor) or not isinstance(target, Tensor | None):
        raise UserError("a batch must be a tensor of images, or a pair of tensors: images and targets")
    if not len(x):
        raise UserError("a batch is empty: drop it, or look at what made it")
    if not x.is_floating_point():
        raise UserError(f"images must be floating-point numbers, not {x.dtype}: normalise them first")
    return x.detach().to(device), target if target is None else target.to(device)
