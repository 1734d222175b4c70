"""The oracle of channels and weights: what a net really loses when one of them is set to 0.

Every value is measured by a forward pass of its own; nothing is approximated. The layers before the changed one give
the same outputs and are not computed again, which saves nearly half of the work for channels spread evenly over a net.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.models.scene_batches import check_labels
from relcomp_kit.relevance.channels import batch_norms, channel_layers, check_eval, inner_layers, layer_weights
from relcomp_kit.relevance.partial_forward import recorded, skipped

MEASURES = ("logit", "loss")
Batches = Iterable[tuple[Tensor, Tensor]]
Chosen = dict[str, Tensor]


def choose_channels(model: nn.Module, count: int, generator: torch.Generator) -> Chosen:
    """Draw channels, spread evenly over all layers but the last.

    The layers take turns until ``count`` channels are drawn; a layer that has no more is passed over.

    Parameters
    ----------
    model : nn.Module
        The net; only its layers' names and sizes are read.
    count : int
        How many channels to draw from the whole net, 1 or more.
    generator : torch.Generator
        Decides the draw; its state moves on.

    Returns
    -------
    dict of str to Tensor
        Sorted channel ids (drawn,), int64, by layer name; layers without a drawn channel are left out.

    Raises
    ------
    UserError
        If ``count`` is below 1, or above the number of channels.
    """
    return _spread({name: len(layer.weight) for name, layer in inner_layers(model).items()}, count, generator)


def choose_weights(model: nn.Module, count: int, generator: torch.Generator) -> Chosen:
    """Draw weights of convolutions and linear layers, spread evenly over them.

    A flat index counts row by row, as in ``parameter.flatten()``. Biases and batch-norm are left out.

    Parameters
    ----------
    model : nn.Module
        The net; only its parameters' names and sizes are read.
    count : int
        How many weights to draw from the whole net, 1 or more.
    generator : torch.Generator
        Decides the draw; its state moves on.

    Returns
    -------
    dict of str to Tensor
        Sorted flat indices (drawn,), int64, by parameter name; parameters without a drawn weight are left out.

    Raises
    ------
    UserError
        If ``count`` is below 1, or above the number of weights.
    """
    return _spread({name: value.numel() for name, value in layer_weights(model).items()}, count, generator)


def _spread(sizes: dict[str, int], count: int, generator: torch.Generator) -> Chosen:
    if not 0 < count <= sum(sizes.values()):
        raise UserError(f"{count} cannot be chosen from {sum(sizes.values())}: ask for 1 at least, and for no more")
    names = [list(sizes)[index] for index in torch.randperm(len(sizes), generator=generator)]
    turns = [(turn, name) for turn in range(min(count, max(sizes.values()))) for name in names if turn < sizes[name]]
    taken = Counter(name for _, name in turns[:count])
    drawn = {name: torch.randperm(sizes[name], generator=generator)[: taken[name]] for name in sizes if taken[name]}
    return {name: indices.sort().values for name, indices in drawn.items()}


def channel_ablation(
    model: nn.Module,
    batches: Batches,
    channels: Chosen | None = None,
    *,
    measure: str = "logit",
    absolute: bool = False,
) -> dict[str, Tensor]:
    """Return what the net loses when one output channel is set to 0: layer name to (channels asked for,), float64.

    The channel is set to 0 as the rest of the net sees it: behind the layer's batch-norm, if one follows (a 0 before
    it would come out as the batch-norm's shift), and before an activation that is a module of its own.

    Cost: for every channel and batch the part of a forward pass that comes after its layer. Memory: the outputs of all
    modules for one batch, as in training.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...), or such as ``{"out": logits}``. It is left as it was.
    batches : iterable of (Tensor, Tensor)
        Inputs as the net wants them and classes, (N,) or (N, H, W) with 255 = void. Read once. The time hardly
        depends on the size of the batches, but single images take longer.
    channels : dict of str to Tensor, optional
        Channel ids by layer name; all channels of all layers but the last by default.
    measure : {"logit", "loss"}
        How much the logit of the true class falls, or how much the cross entropy rises. Both are a mean over the
        labelled pixels of an image first, and then over the images that have any.
    absolute : bool
        Take the absolute value of every image's change before the mean: a channel that helps on some images and
        harms on others counts too.

    Returns
    -------
    dict of str to Tensor
        Mean loss of logit, or rise of the cross entropy in nats, of each channel asked for: (channels,), float64, by
        layer name, in the order asked for.

    Raises
    ------
    UserError
        If there is no such measure, the net is in train mode, a layer or channel does not exist, there is no batch or
        no labelled pixel, a label is no class, or the net gives numbers that are not finite.
    """
    layers = channel_layers(model)
    if channels is None:
        channels = {name: torch.arange(len(layer.weight)) for name, layer in inner_layers(model).items()}
    _check_chosen(channels, {name: len(layer.weight) for name, layer in layers.items()}, "layer", "channels")
    norms, modules = batch_norms(model), dict(model.named_modules())
    seen = {name: norms.get(name, name) for name in channels}  # the module whose output the rest of the net sees
    axis = {name: -3 if isinstance(layers[name], nn.Conv2d) else -1 for name in channels}

    def without(name: str, channel: int) -> AbstractContextManager:
        return _channel_at_zero(modules[seen[name]], axis[name], channel)

    return _ablate(model, batches, channels, without, {name: {seen[name]} for name in channels}, measure, absolute)


def weight_ablation(
    model: nn.Module, batches: Batches, weights: Chosen, *, measure: str = "logit", absolute: bool = False
) -> dict[str, Tensor]:
    """Return what the net loses when one weight is set to 0: parameter name to (weights asked for,), float64.

    Every weight is put back as it was, also after an error. The cost is that of `channel_ablation`.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives logits (N, classes, ...), or such as ``{"out": logits}``. It is left as it was.
    batches : iterable of (Tensor, Tensor)
        Inputs as the net wants them and classes, (N,) or (N, H, W) with 255 = void. Read once.
    weights : dict of str to Tensor
        Flat indices into ``parameter.flatten()`` by parameter name.
    measure : {"logit", "loss"}
        How much the logit of the true class falls, or how much the cross entropy rises, as in `channel_ablation`.
    absolute : bool
        Take the absolute value of every image's change before the mean.

    Returns
    -------
    dict of str to Tensor
        Mean change for each weight asked for: (weights,), float64, by parameter name, in the order asked for.

    Raises
    ------
    UserError
        If there is no such measure, the net is in train mode, a parameter or weight does not exist, there is no batch
        or no labelled pixel, a label is no class, or the net gives numbers that are not finite.
    """
    parameters = dict(model.named_parameters())
    _check_chosen(weights, {name: value.numel() for name, value in parameters.items()}, "parameter", "weights")

    def without(name: str, index: int) -> AbstractContextManager:
        return _weight_at_zero(parameters[name], index)

    owners = {
        name: {
            owner
            for owner, module in model.named_modules()
            if any(value is parameters[name] for value in module.parameters(recurse=False))
        }
        for name in weights
    }
    return _ablate(model, batches, weights, without, owners, measure, absolute)


def _check_chosen(chosen: Chosen, sizes: dict[str, int], kind: str, things: str) -> None:
    for name, indices in chosen.items():
        if name not in sizes:
            raise UserError(f"the net has no {kind} {name!r}: its {kind}s are {', '.join(list(sizes)[:3])} and so on")
        if indices.is_floating_point() or indices.dtype == torch.bool or indices.dim() != 1:
            raise UserError(f"the {things} of {kind} {name!r} are chosen by a vector of whole numbers")
        bad = indices[(indices < 0) | (indices >= sizes[name])]
        if len(bad):
            raise UserError(f"{kind} {name!r} has the {things} 0 to {sizes[name] - 1}, so there is no {int(bad[0])}")


def _ablate(
    model: nn.Module,
    batches: Batches,
    chosen: Chosen,
    without: Callable[[str, int], AbstractContextManager],
    places: dict[str, set[str]],
    measure: str,
    absolute: bool,
) -> dict[str, Tensor]:
    """Measure every batch with each chosen channel or weight at 0; ``places`` names the modules that this changes."""
    check_eval(model)
    if measure not in MEASURES:
        raise UserError(f"there is no measure {measure!r}; choose one of {', '.join(MEASURES)}")
    device = device_of(model)
    lost = {name: torch.zeros(len(indices), dtype=torch.float64) for name, indices in chosen.items()}
    images = 0
    with torch.inference_mode():
        for x, target in batches:
            x, target = x.to(device), target.to(device)
            with recorded(model) as record:
                before = _success(model(x), target, measure)
            for name, indices in chosen.items():
                with skipped(model, record, places[name]):
                    for position, index in enumerate(indices.tolist()):
                        with without(name, index):
                            change = before - _success(model(x), target, measure)
                        lost[name][position] += (change.abs() if absolute else change).sum().item()
            images += len(before)
    if not images:
        raise UserError("there is nothing to measure on: no batch holds an image with a labelled pixel")
    return {name: total / images for name, total in lost.items()}


def _success(output: Tensor | dict[str, Tensor], target: Tensor, measure: str) -> Tensor:
    """Return the true class' logit or log-likelihood, mean over each image's labelled pixels: (labelled images,)."""
    logits = output if isinstance(output, Tensor) else output["out"]
    if (len(logits), *logits.shape[2:]) != target.shape:
        raise UserError(f"labels of shape {tuple(target.shape)} do not fit outputs of shape {tuple(logits.shape)}")
    check_labels(target, logits.shape[1])
    labelled = target != VOID
    values = logits if measure == "logit" else logits.log_softmax(1)
    own = values.gather(1, target.long().where(labelled, 0)[:, None])[:, 0].where(labelled, 0)
    pixels = labelled.reshape(len(target), -1).sum(1)
    result = (own.reshape(len(target), -1).sum(1, dtype=torch.float64) / pixels)[pixels > 0]
    if not result.isfinite().all():
        raise UserError("the net gives numbers that are not finite: check its weights and the inputs")
    return result


@contextmanager
def _channel_at_zero(module: nn.Module, axis: int, channel: int) -> Iterator[None]:
    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        output.select(axis, channel).zero_()

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _weight_at_zero(parameter: nn.Parameter, index: int) -> Iterator[None]:
    place = np.unravel_index(index, parameter.shape)  # a view of one dimension would need rows that lie in order
    before = parameter.data[place].clone()
    try:
        parameter.data[place] = 0
        yield
    finally:
        parameter.data[place] = before
