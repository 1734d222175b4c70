"""Two tests of input maps by Quantus, pixel flipping and the randomisation of parameters, for small classifiers.

Neither proves a map right; what each cannot tell stands with it. Hedström et al.: "Quantus: An Explainable AI Toolkit
for Responsible Evaluation of Neural Network Explanations and Beyond", 2023. Quantus is imported on first use, because
that takes seconds.
"""

import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedLayer
from relcomp_kit.relevance.channels import check_eval
from relcomp_kit.relevance.faithfulness import ORDERS, area, rank_correlation

RANDOMISED = {"cascading": "top_down", "independent": "independent"}  # our names, and those of Quantus


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
    """Replace inputs by a baseline in the order of a map, and return what becomes of the output at the true class.

    Bach et al.: "On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation",
    2015. With the most relevant first a good map makes the curve fall soon; its area is small. Always plot the curve of
    a random map with it.

    What it cannot tell: an image with some pixels replaced is none that the net was trained on, so the output may fall
    because the image is strange and not because what was taken mattered (Hooker et al.: "A Benchmark for
    Interpretability Methods in Deep Neural Networks", 2019, train the net anew instead). And the result depends on the
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
    import quantus

    def outputs(flat: Tensor) -> Tensor:
        logits = model(flat.to(x.device).reshape(-1, *x.shape[1:]))
        return logits.softmax(1) if probability else logits

    sign = 1 if order == "most" else -1
    flipping = quantus.PixelFlipping(
        features_in_step=inputs // steps, perturb_baseline=float(baseline), normalise=False, disable_warnings=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for every image and step whose inputs were the baseline already
        curves = flipping(
            model=_Function(outputs).eval(),
            x_batch=_array(x[:, None].flatten(2)),  # (images, 1, inputs), whatever shape an image has
            y_batch=_array(y),
            a_batch=_array(sign * maps[:, None].flatten(2)),
            softmax=False,
            channel_first=True,
        )
    with torch.no_grad():
        first = outputs(x).gather(1, y[:, None]).mean().item()
    curve = [first, *np.mean(curves, axis=0).tolist()]
    return curve, area(torch.linspace(0, 1, steps + 1).tolist(), curve)


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

    Quantus draws every layer from the same seed, so layers of one shape get the same weights.

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
    drawn = copy.deepcopy(model)
    for name, module in drawn.named_modules():
        if type(module) is MaskedLayer:
            module.__class__ = _RedrawnLayer
        elif any(True for _ in module.parameters(recurse=False)) and not hasattr(module, "reset_parameters"):
            raise UserError(f"the parameters of {name or 'the net'!r} cannot be drawn anew: it has no reset_parameters")
    import quantus

    def maps(model: nn.Module, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        found = explain(model, torch.from_numpy(inputs).to(x), torch.from_numpy(targets).to(y))
        if found.shape != inputs.shape:
            raise UserError(f"maps of shape {tuple(found.shape)} do not fit inputs of shape {inputs.shape}")
        return _array(found)

    test = quantus.MPRT(
        similarity_func=_similarity,
        layer_order=RANDOMISED[order],
        seed=seed,
        abs=absolute,
        normalise=False,
        disable_warnings=True,
    )
    with torch.random.fork_rng(devices=[]):
        found = test(model=drawn, x_batch=_array(x), y_batch=_array(y), explain_func=maps, channel_first=True)
    del found["original"]
    return {name: float(np.nanmean(values)) for name, values in found.items()}


class _Function(nn.Module):
    """A function as a module: Quantus cannot see the net in it, and take away the softmax it may end with."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class _RedrawnLayer(MaskedLayer):
    """A masked layer with the method by which Quantus finds layers and draws them; the same numbers as at first."""

    def reset_parameters(self) -> None:
        bound = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)


def _check(model: nn.Module, x: Tensor, y: Tensor) -> None:
    check_eval(model)
    if not len(x) or y.shape != x.shape[:1]:
        raise UserError(
            f"{len(x)} images with classes of shape {tuple(y.shape)}: give one image or more, a class for each"
        )


def _similarity(one: np.ndarray, other: np.ndarray, batched: bool) -> np.ndarray:
    """Compare maps row by row: Quantus' own function fails on a batch in which a single map has no variation."""
    return rank_correlation(torch.from_numpy(one), torch.from_numpy(other)).numpy()


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
