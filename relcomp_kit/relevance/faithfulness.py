"""How well a measure ranks what it measures: against the oracle, against random and magnitude, and by removal."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from relcomp_kit.errors import UserError
from relcomp_kit.models.states import plain_copy
from relcomp_kit.relevance.channels import batch_norms, channel_layers, check_eval, inner_layers, layer_weights

ORDERS = ("least", "most")
SCOPES = ("layer", "net")
Scores = dict[str, Tensor]


def rank_correlation(one: Tensor, other: Tensor) -> Tensor:
    """Return Spearman's rank correlation of each row: (rows,); ties share their mean rank.

    Parameters
    ----------
    one, other : Tensor
        (rows, values); a vector counts as one row. A row without any variation has no ranking: NaN.

    Returns
    -------
    Tensor
        (rows,), in [-1, 1], float64.

    Raises
    ------
    UserError
        If the shapes differ.
    """
    if one.shape != other.shape:
        raise UserError(f"ranks can be compared for equal shapes only, not {tuple(one.shape)} and {tuple(other.shape)}")
    from scipy.stats import rankdata  # takes half a second

    rows = [part.double().cpu().reshape(-1, part.shape[-1]) for part in (one, other)]
    ranks = [torch.from_numpy(rankdata(part, axis=1)) for part in rows]
    left, right = (rank - rank.mean(1, keepdim=True) for rank in ranks)
    return (left * right).sum(1) / (left.norm(dim=1) * right.norm(dim=1))


def pick(scores: Scores, chosen: dict[str, Tensor]) -> Tensor:
    """Return the scores of chosen channels or weights in one vector: (chosen,).

    Parameters
    ----------
    scores : dict of str to Tensor
        One number per channel, or per weight.
    chosen : dict of str to Tensor
        Channel ids by layer, or flat indices by parameter, as `relcomp_kit.relevance.ablation` chooses them. What its
        oracle returns for them, ``torch.cat(list(oracle.values()))``, is in the same order.

    Raises
    ------
    UserError
        If something was chosen that has no scores.
    """
    missing = [name for name in chosen if name not in scores]
    if missing:
        raise UserError(f"there are no scores of {missing[0]!r}: score everything that was chosen")
    return torch.cat([scores[name].flatten()[indices] for name, indices in chosen.items()])


def random_scores(like: Scores, generator: torch.Generator) -> Scores:
    """Return random scores, the control that every measure has to beat.

    Parameters
    ----------
    like : dict of str to Tensor
        Scores whose names and shapes are wanted.
    generator : torch.Generator
        Decides the scores; its state moves on.

    Returns
    -------
    dict of str to Tensor
        Keys and shapes of ``like``, uniform in [0, 1).
    """
    return {name: torch.rand(value.shape, generator=generator) for name, value in like.items()}


def magnitude_scores(model: nn.Module, filters: bool) -> Scores:
    """Return the size of the filters or weights, the control that costs nothing.

    Parameters
    ----------
    model : nn.Module
        The net; it is not touched.
    filters : bool
        The L2 norm of every filter of every convolution and linear layer, layer name to (outputs,); otherwise the
        absolute value of every one of their weights, parameter name to the parameter's shape.
    """
    if filters:
        return {name: layer.weight.detach().flatten(1).norm(dim=1) for name, layer in channel_layers(model).items()}
    return {name: value.detach().abs() for name, value in layer_weights(model).items()}


def removal_curve(
    model: nn.Module,
    scores: Scores,
    shares: Sequence[float],
    score: Callable[[nn.Module], float],
    *,
    order: str = "least",
    scope: str = "layer",
) -> list[float]:
    """Return a net's score after its filters or weights of lowest or highest score are removed, without new training.

    A good measure keeps the curve high when the least relevant go first, and makes it fall when the most relevant do.
    Both are needed: if a net tolerates the loss of any filter, the first alone proves nothing about the measure.

    Removing sets to 0: for a filter its row of weights, its bias, and its channel of the batch-norm that follows, so
    that its output is exactly 0. At least one filter, or weight, of every layer stays. The filters of the last
    layer are the classes and always stay, whatever their scores; so do biases and batch-norm when weights are removed.

    Cost: one call of ``score`` and one copy of the net per share.

    Parameters
    ----------
    model : nn.Module
        In eval mode; it is left as it is.
    scores : dict of str to Tensor
        Of filters by layer name, (outputs,), or of weights by parameter name, in the parameter's shape. What has no
        score stays and does not count in the shares. Of equal scores the first in order goes first.
    shares : sequence of float
        What fraction of the filters or weights is removed, each in [0, 1), rounded to whole ones.
    score : callable
        Takes a net and returns the number to plot, such as its pixel accuracy.
    order : {"least", "most"}
        Which scores go first: the lowest, or the highest.
    scope : {"layer", "net"}
        The share is taken of every layer by itself, or of all scores together, which need one scale for that.

    Returns
    -------
    list of float
        What ``score`` returned at each share, in its own unit.

    Raises
    ------
    UserError
        If the net is in train mode, scores are not finite or do not fit the net, or a share is outside [0, 1).
    """
    check_eval(model)
    if order not in ORDERS or scope not in SCOPES:
        raise UserError(
            f"the order must be one of {', '.join(ORDERS)}, not {order!r}, and the scope layer or net, not {scope!r}"
        )
    for share in shares:
        if not 0 <= share < 1:
            raise UserError(f"a share of {share} cannot be removed: it must be 0 or more, and below 1")
    of_filters = _check_scores(model, scores)
    ranked = {
        name: value for name, value in scores.items() if name in (inner_layers if of_filters else layer_weights)(model)
    }
    if not ranked:
        raise UserError("there is nothing to remove: the scores name the last layer, biases or batch-norm only")
    remove = _remove_filters if of_filters else _remove_weights
    turns = _turns(ranked, order, scope)
    curve = []
    for share in shares:
        pruned = plain_copy(model)
        with torch.no_grad():
            remove(pruned, _gone(ranked, turns, share))
        curve.append(float(score(pruned)))
    return curve


def _check_scores(model: nn.Module, scores: Scores) -> bool:
    """Return whether the scores are of filters; raise a `UserError` if they are neither of filters nor of weights."""
    filters = {name: (len(layer.weight),) for name, layer in channel_layers(model).items()}
    weights = {name: tuple(value.shape) for name, value in model.named_parameters()}
    of_filters = not scores.keys() <= weights.keys()
    for name, value in scores.items():
        wanted = (filters if of_filters else weights).get(name)
        if wanted is None:
            raise UserError(
                f"the net has no layer {name!r}: score filters by layer names, or weights by parameter names"
            )
        if tuple(value.shape) != wanted:
            raise UserError(f"the scores of {name!r} have the shape {tuple(value.shape)} and must have {wanted}")
        if not value.isfinite().all():
            raise UserError(f"the scores of {name!r} hold NaN or infinity, so they have no order")
    return of_filters


def _turns(scores: Scores, order: str, scope: str) -> list[tuple[list[str], Tensor]]:
    """Return what is removed together, and in which order: names, and positions in their concatenated scores."""
    values = {}
    for name, value in scores.items():
        value = value.detach().flatten().to("cpu", torch.promote_types(value.dtype, torch.float32))
        values[name] = value.clone() if order == "least" else -value
        values[name][values[name].argmax()] = torch.inf  # what every layer keeps comes last
    groups = [list(scores)] if scope == "net" else [[name] for name in scores]
    return [(names, torch.cat([values[name] for name in names]).argsort(stable=True)) for names in groups]


def _gone(scores: Scores, turns: list[tuple[list[str], Tensor]], share: float) -> dict[str, Tensor]:
    """Return what is removed at a share, True where it is: keys and shapes of the scores."""
    masks: dict[str, Tensor] = {}
    for names, turn in turns:
        gone = torch.zeros(len(turn), dtype=torch.bool)
        gone[turn[: min(round(share * len(turn)), len(turn) - len(names))]] = True
        masks |= dict(zip(names, gone.split([scores[name].numel() for name in names])))
    return {name: mask.view(scores[name].shape) for name, mask in masks.items()}


def _remove_filters(net: nn.Module, gone: dict[str, Tensor]) -> None:
    """Set filters to 0 in place, with their bias and batch-norm, so that their output is exactly 0."""
    layers, norms = channel_layers(net), batch_norms(net)
    for name, mask in gone.items():
        layer = layers[name]
        parts = [layer.weight, layer.bias, getattr(layer, "output_mask", None)]
        if name in norms:
            norm = net.get_submodule(norms[name])
            assert isinstance(norm, _BatchNorm)
            parts += [norm.weight, norm.bias, norm.running_mean]
        for part in parts:
            if part is not None:
                part[mask] = 0


def _remove_weights(net: nn.Module, gone: dict[str, Tensor]) -> None:
    parameters = dict(net.named_parameters())
    for name, mask in gone.items():
        parameters[name][mask] = 0


def area(shares: Sequence[float], values: Sequence[float]) -> float:
    """Return the area under a removal curve by trapezoids, divided by the width of its shares.

    So it is the mean height of the curve, in the unit of ``values``, and curves over equal shares can be compared.

    Parameters
    ----------
    shares : sequence of float
        What fraction was removed at each point; two points or more, rising.
    values : sequence of float
        The score at each of the shares.

    Raises
    ------
    UserError
        If there are fewer than two shares, they do not rise, or there is not one value for each.
    """
    if len(shares) != len(values) or len(shares) < 2:
        raise UserError(f"an area needs a value for each of 2 shares or more, not {len(values)} for {len(shares)}")
    x, y = torch.tensor([shares, values], dtype=torch.float64)
    if not (x.diff() > 0).all():
        raise UserError("an area needs shares that rise: sort them and take each once")
    return (torch.trapezoid(y, x) / (x[-1] - x[0])).item()
