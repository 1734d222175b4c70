"""What an expert keeps of its net, per layer and over all: filters, relevance, parameters, operations, bytes, time.

Every function that gives a dict has an entry for each layer and one, `ALL`, for the whole.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from relcomp_kit.compression.ecqx import Quantized
from relcomp_kit.compression.experts.coupling import Path
from relcomp_kit.compression.experts.joining import check_alike
from relcomp_kit.compression.experts.multiply_adds import ALL
from relcomp_kit.compression.experts.scores import filter_scores
from relcomp_kit.errors import UserError
from relcomp_kit.relevance.channels import channel_layers


def similarity(path: Path, other: Path) -> dict[str, float]:
    """Return the overlap of two paths: filters that both keep over filters that any keeps.

    Parameters
    ----------
    path, other : dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Returns
    -------
    dict of str to float
        Of each layer and over all, in [0, 1]; 1 where neither keeps any.

    Raises
    ------
    UserError
        If the paths are of different nets.
    """
    check_alike(path, other)
    both = {name: int((mask & other[name]).sum()) for name, mask in path.items()}
    either = {name: int((mask | other[name]).sum()) for name, mask in path.items()}
    return _ratios(both, either)


def pruning_ratio(path: Path) -> dict[str, float]:
    """Return the share of filters that a path leaves out.

    Parameters
    ----------
    path : dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.

    Returns
    -------
    dict of str to float
        Of each layer and over all, in [0, 1].
    """
    return _ratios({n: int((~mask).sum()) for n, mask in path.items()}, {n: len(mask) for n, mask in path.items()})


def score_kept(path: Path, relevance: dict[str, Tensor]) -> dict[str, float]:
    """Return the share of each layer's relevance that a path keeps; over all, the mean of the layers.

    Layers without relevance are left out.

    Parameters
    ----------
    path : dict of str to Tensor
        Layer to the filters kept, (output channels,) bool.
    relevance : dict of str to Tensor
        As in `relevant_path`.

    Returns
    -------
    dict of str to float
        Of each layer and over all, in [0, 1].

    Raises
    ------
    UserError
        If there is no relevance of a layer.
    """
    scores = filter_scores(relevance)
    missing = [name for name in path if name not in scores]
    if missing:
        raise UserError(f"there is no relevance of {missing[0]}: measure it on the net of the path")
    found = {name: scores[name].double() for name in path if scores[name].any()}
    shares = {name: (score * path[name].to(score)).sum().item() / score.sum().item() for name, score in found.items()}
    return shares | {ALL: statistics.fmean(shares.values()) if shares else 1.0}


def parameters(net: nn.Module) -> dict[str, int]:
    """Return the number of parameters of every convolution and linear layer, and over all, batch-norms included.

    Parameters
    ----------
    net : nn.Module
        Any net.

    Returns
    -------
    dict of str to int
        Of each layer, and over all parameters of the net.
    """
    layers = {name: sum(v.numel() for v in layer.parameters()) for name, layer in channel_layers(net).items()}
    return layers | {ALL: sum(value.numel() for value in net.parameters())}


def rates(small: dict[str, int], large: dict[str, int]) -> dict[str, float]:
    """Return what an expert has of its net, such as of `parameters` or `macs`, per layer and over all.

    Parameters
    ----------
    small, large : dict of str to int
        Of the expert and of the net.

    Returns
    -------
    dict of str to float
        Small over large; entries that are 0 in ``large`` are left out.
    """
    return {name: small[name] / value for name, value in large.items() if value}


def coded_bytes(quantized: Quantized) -> dict[str, float]:
    """Return the order-0 entropy of each layer's indices, and the estimated size of the whole.

    Parameters
    ----------
    quantized : Quantized
        As `relcomp_kit.compression.ecqx.quantize` or `cut` returns it.

    Returns
    -------
    dict of str to float
        In bytes. The whole includes steps, biases and batch-norms, as `Quantized.coded_bytes` does.
    """
    bits = {name: entropy * quantized.indices[name].numel() for name, entropy in quantized.entropies.items()}
    return {name.removesuffix(".weight"): value / 8 for name, value in bits.items()} | {ALL: quantized.coded_bytes}


def latencies(runs: dict[str, Callable[[], object]], repeats: int = 20, warm_up: int = 3) -> dict[str, float]:
    """Return the median time of calls in seconds. They take turns, so that a busy machine slows all of them alike.

    Parameters
    ----------
    runs : dict of str to callable
        Such as ``{"super-net": lambda: net(x), "expert": lambda: small(x)}``, without gradients.
    repeats, warm_up : int
        Rounds that count, and rounds before them that do not.

    Returns
    -------
    dict of str to float
        Seconds of one call, by the names of ``runs``.

    Raises
    ------
    UserError
        If ``repeats`` is below 1.
    """
    if repeats < 1:
        raise UserError(f"a latency needs 1 run at least, not {repeats}")
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for turn in range(-warm_up, repeats):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                if turn >= 0:
                    times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _ratios(part: dict[str, int], whole: dict[str, int]) -> dict[str, float]:
    """Return part over whole per entry, 1 where both are 0, and over all."""
    part, whole = part | {ALL: sum(part.values())}, whole | {ALL: sum(whole.values())}
    return {name: part[name] / whole[name] if whole[name] else 1.0 for name in whole}
