"""Two tests of input maps, pixel flipping and the randomisation of parameters, for small classifiers.

Neither proves a map right; each docstring says what its test cannot tell. Both are as in Hedström et al.: "Quantus: An
Explainable AI Toolkit for Responsible Evaluation of Neural Network Explanations and Beyond", 2023.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedLayer
from relcomp_kit.models.states import plain_copy
from relcomp_kit.relevance.channels import check_eval
from relcomp_kit.relevance.faithfulness import ORDERS, area, rank_correlation

RANDOMISED = ("cascading", "independent")
AT_ONCE = 64  # images that a net is asked about at a time


def pixel_flipping(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    maps: Tensor,
    *,
    steps: int = 28,
    baseline: float = 0.0,
    order: str = "most",
    probability: bool = False,
) -> tuple[list[float], float]:
    """Replace inputs by a baseline in the order of a map, and return how the output at the true class changes.

    Bach et al.: "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation",
    2015. With the most relevant first, a good map makes the curve fall early, so that its area is small. Always
    plot the curve of a random map with it.

    What it cannot tell: the net was not trained on images with replaced pixels, so the output may fall because the
    image is strange, and not because the replaced pixels mattered (Hooker et al.: "A Benchmark for Interpretability
    Methods in Deep Neural Networks", 2019, train the net anew instead). And the result depends on the
    baseline: inputs that equal it already cannot be flipped, however relevant they are (Sturmfels et al.:
    "Visualizing the Impact of Feature Attribution Baselines", 2020). Compare maps for one baseline, and try a second.

    Parameters
    ----------
    model : nn.Module
        In eval mode; gives one output per class, (images, classes), in float32.
    x, y, maps : Tensor
        Inputs (images, ...), classes (images,), and a number for every input, in the shape of ``x``.
    steps : int
        In how many equal steps all inputs are replaced; it has to divide their number.
    baseline : float
        What the inputs are replaced by, in their own unit.
    order : {"most", "least"}
        Start with the highest numbers of the map, or with the lowest.
    probability : bool
        Follow the softmax of the outputs instead of the output itself.

    Returns
    -------
    list of float
        Mean over the images before the first and after each step: ``steps + 1`` numbers.
    float
        The area under that curve, divided by its width.

    Raises
    ------
    UserError
        If the net is in train mode, there is no image, or maps, classes or steps do not fit the inputs.
    """
    _check(model, x, y)
    inputs = x[0].numel()
    if maps.shape != x.shape:
        raise UserError(f"maps of shape {tuple(maps.shape)} do not fit inputs of shape {tuple(x.shape)}")
    if not maps.isfinite().all():
        raise UserError("the maps hold NaN or infinity, so they have no order")
    if steps < 1 or inputs % steps:
        raise UserError(f"{inputs} inputs cannot be replaced in {steps} equal steps: choose a divisor of {inputs}")
    if order not in ORDERS:
        raise UserError(f"there is no order {order!r}; choose one of {', '.join(ORDERS)}")
    sign = 1 if order == "most" else -1
    parts = zip(x.split(AT_ONCE), y.split(AT_ONCE), (sign * maps).split(AT_ONCE))
    curves = torch.cat([_flipped(model, *part, steps, baseline, probability) for part in parts])
    curve = curves.double().mean(0).tolist()
    return curve, area(torch.linspace(0, 1, steps + 1).tolist(), curve)


@torch.no_grad()
def _flipped(
    model: nn.Module, x: Tensor, y: Tensor, maps: Tensor, steps: int, baseline: float, probability: bool
) -> Tensor:
    """Return the output at the true class before the first and after each step, (images, steps + 1)."""
    ranking = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    changed, curve = x.flatten(1).clone(), []
    for places in (ranking[:, :0], *ranking.chunk(steps, dim=1)):
        changed.scatter_(1, places, baseline)
        outputs = model(changed.reshape(x.shape))
        outputs = outputs.softmax(1) if probability else outputs
        curve.append(outputs.gather(1, y[:, None]))
    return torch.cat(curve, dim=1).cpu()


def parameter_randomisation(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    explain: Callable[[nn.Module, Tensor, Tensor], Tensor],
    *,
    order: str = "cascading",
    absolute: bool = True,
    seed: int = 0,
) -> dict[str, float]:
    """Draw layers anew and return how much of a map's ranking of the inputs is still there.

    Adebayo et al.: "Sanity Checks for Saliency Maps", 2018. A map that stays the same (1) does not depend on what the
    net has learned.

    What it cannot tell: a low number is no merit. Noise gets the lowest of all, so the test favours noisy maps, such
    as the gradient's, over smooth ones; and new last layers leave much of what the first ones compute, which a
    faithful map has to show (Binder et al.: "Shortcomings of Top-Down Randomization-Based Sanity Checks for
    Evaluations of Deep Neural Network Explanations", 2023). The number also depends on the data and the task (Yona,
    Greenfeld: "Revisiting Sanity Checks for Saliency Maps", 2021) and on such choices as ``absolute`` (Kokhlikyan et
    al.: "Investigating Sanity Checks for Saliency Maps with Image and Text Classification", 2021). A high number can
    be a true finding: backward passes that keep only what is positive, such as z+, converge to a map that hardly
    depends on the last layers (Sixt, Granz, Landgraf: "When Explanations Lie", 2020).

    Every layer is drawn from the same seed, so layers of one shape get the same weights.

    Parameters
    ----------
    model : nn.Module
        In eval mode; a copy of it is changed. Each module with parameters must have PyTorch's ``reset_parameters``,
        or be a `relcomp_kit.models.masked_net.MaskedLayer`.
    x, y : Tensor
        Inputs (images, ...) and classes (images,).
    explain : callable
        ``explain(model, x, y)`` gives the maps, in the shape of ``x``.
    order : {"cascading", "independent"}
        Draw the last layer, then the last two, and so on; or one layer alone at a time.
    absolute : bool
        Compare the absolute values of the maps.
    seed : int
        Decides the new weights. PyTorch's own random numbers go on as if nothing had been drawn.

    Returns
    -------
    dict of str to float
        Name of the layer that was drawn, last layer first (the first one first if independent), to Spearman's rank
        correlation of the maps before and after, mean over the images; a map without any variation does not count.

    Raises
    ------
    UserError
        If the net is in train mode or has a layer that cannot be drawn anew, there is no image, or the maps do not fit.
    """
    _check(model, x, y)
    if order not in RANDOMISED:
        raise UserError(f"there is no order {order!r}; choose one of {', '.join(RANDOMISED)}")
    drawn = plain_copy(model)
    layers = {name: module for name, module in drawn.named_modules() if any(True for _ in module.parameters(False))}
    for name, module in layers.items():
        if not (isinstance(module, MaskedLayer) or hasattr(module, "reset_parameters")):
            raise UserError(f"the parameters of {name or 'the net'!r} cannot be drawn anew: it has no reset_parameters")
    before, learned, found = _maps(explain, model, x, y, absolute), copy.deepcopy(drawn.state_dict()), {}
    with torch.random.fork_rng(devices=[]):
        for name in list(layers) if order == "independent" else reversed(layers):
            if order == "independent":
                drawn.load_state_dict(learned)
            torch.manual_seed(seed + 1)
            _draw(layers[name])
            found[name] = rank_correlation(before, _maps(explain, drawn, x, y, absolute)).nanmean().item()
    return found


def _maps(explain: Callable, model: nn.Module, x: Tensor, y: Tensor, absolute: bool) -> Tensor:
    parts = []
    for images, classes in zip(x.split(AT_ONCE), y.split(AT_ONCE)):
        part = explain(model, images, classes)
        if part.shape != images.shape:
            raise UserError(f"maps of shape {tuple(part.shape)} do not fit inputs of shape {tuple(images.shape)}")
        parts.append(part.detach().flatten(1))
    return torch.cat(parts).abs() if absolute else torch.cat(parts)


def _draw(layer: nn.Module) -> None:
    if not isinstance(layer, MaskedLayer):
        layer.reset_parameters()  # type: ignore[operator]  # torch's stub
        return
    bound = layer.weight.shape[1] ** -0.5  # as when the layer was made
    nn.init.uniform_(layer.weight, -bound, bound)
    nn.init.uniform_(layer.bias, -bound, bound)


def _check(model: nn.Module, x: Tensor, y: Tensor) -> None:
    check_eval(model)
    if not len(x) or y.shape != x.shape[:1]:
        raise UserError(
            f"{len(x)} images with classes of shape {tuple(y.shape)}: give one image or more, a class for each"
        )
