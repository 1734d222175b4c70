"""What lesson 06 measures: whom filters serve, experts of every size, in other weather, and how fast they are."""

import copy
import functools
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from relcomp_kit.compression import experts
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.rail_scenes import RailScenes
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.relevance.channels import batch_norms
from relcomp_kit.relevance.lrp import filter_relevance, weight_relevance_per_class
from relcomp_kit.studies import plans
from relcomp_kit.studies.experts import results as expert_results
from relcomp_kit.studies.profiles import WEATHER_KEEP, ExpertBudget
from relcomp_kit.studies.quantization.experiment import trained
from relcomp_kit.studies.relevance.measurement import batches
from relcomp_kit.studies.segmentation.measurement import firsts, predict

Filters = dict[str, Tensor]
DAY, SNOW = "day", "snow"


def swept(plan: str, data: SceneSet) -> list[dict]:
    """Run what is missing of a plan, and return a row a point; see `relcomp_kit.studies.experts.results.row`.

    Parameters
    ----------
    plan : str
        Name of a plan in ``data/sweeps``, of the experiment "expert".
    data : SceneSet
        The set of the plan.
    """
    return [expert_results.row(record) for record in plans.swept(plan, data)]


def first_net(plan: str, seed: int) -> tuple[nn.Module, SceneSet]:
    """Return the net, of one seed, that a plan cuts experts out of, and its scenes.

    Parameters
    ----------
    plan : str
        Name of a plan in ``data/sweeps``; its first point says which net.
    seed : int
        Of the net.
    """
    values = plans.points(plan)[0].values
    return trained(values["net"], values["dataset"], seed, values["profile"])


def as_example(data: SceneSet) -> Tensor:
    """Return one image as a net takes it, (1, 3, height, width), where nets are."""
    return normalize(data.test[0][0].as_subclass(Tensor)[None].to(choose_device()))


@torch.no_grad()
def channel_means(net: nn.Module, x: Tensor, layer: str, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean output of each channel behind a layer's batch-norm, (channels,): masked before it, and behind it.

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    x : (N, 3, H, W)
        Normalised images.
    layer : str
        A convolution with a batch-norm.
    mask : (channels,) bool
        True for a channel that stays.
    """
    found = {}
    kept = mask.to(x)[:, None, None]
    convolution, norm = net.get_submodule(layer), net.get_submodule(batch_norms(net)[layer])
    hooks = [
        convolution.register_forward_hook(lambda module, inputs, output: output * kept),
        norm.register_forward_hook(lambda module, inputs, output: found.update(leaky=output.mean((0, 2, 3)))),
    ]
    net(x)
    for hook in hooks:
        hook.remove()
    hook = norm.register_forward_hook(
        lambda module, inputs, output: found.update(clean=(output * kept).mean((0, 2, 3)))
    )
    net(x)
    hook.remove()
    return found["leaky"], found["clean"]


def grown(net: nn.Module, image: Tensor, paths: dict[str, Filters], example: Tensor) -> dict[str, Tensor]:
    """Return what experts predict: their name and share of multiply-adds, to the class of every pixel (H, W), uint8.

    Parameters
    ----------
    net : nn.Module
        The super-net.
    image : (3, H, W), uint8
        What they see.
    paths : dict of str to path
        Name of an expert to its path.
    example : (1, 3, H, W)
        An input of the net.
    """
    whole, found = experts.macs(net, example)[ALL], {}
    for name, path in paths.items():
        small = experts.compact(net, path, example)
        share = f"{experts.macs(small, example)[ALL] / whole:.0%}"
        found[f"{name}: {share}\N{NO-BREAK SPACE}MACs"] = predict(small, image)
    return found


def class_iou(net: nn.Module, split: Dataset, data: SceneSet, wanted: str) -> float:
    """Return the IoU of a class on a split, in [0, 1]; None where it neither occurs nor is predicted.

    Parameters
    ----------
    net : nn.Module
        The net that is tested.
    split : Dataset
        Scenes with labels.
    data : SceneSet
        The set that names the classes.
    wanted : str
        The class.
    """
    return plain(evaluate(net, split, data.classes, precision="auto")["iou"])[wanted]


def weather_relevance(net: nn.Module, data: SceneSet, wanted: int, weather: str, scenes: int) -> Filters:
    """Return the relevance of filters for a class, (filters,) of each layer, on training scenes drawn in a weather.

    Parameters
    ----------
    net : nn.Module
        A net for rail scenes.
    data : SceneSet
        The rail scenes, whose size is taken.
    wanted : int
        Index of the class.
    weather : str
        One of `relcomp_kit.datasets.rail_scenes.WEATHERS`.
    scenes : int
        How many scenes.
    """
    images = batches(RailScenes("train", data.image_size, weather), scenes)
    return filter_relevance(weight_relevance_per_class(net, images, [wanted], normalize=True)[wanted])


def in_weather(
    net: nn.Module, data: SceneSet, wanted: str, scenes: int, test_scenes: int, keep: float
) -> dict[str, dict[str, float]]:
    """Return the IoU of a class by day and in snow, of the net and of experts cut for the one and for the other.

    Experts are as cut, without training; relevance is measured on training scenes in each weather, snow being one that
    the net was never trained in.

    Parameters
    ----------
    net : nn.Module
        A net for rail scenes.
    data : SceneSet
        The rail scenes.
    wanted : str
        The class.
    scenes : int
        Training scenes that relevance is measured on, in each weather.
    test_scenes : int
        Of the test split, in each weather.
    keep : float
        The share of all filters that an expert keeps, in (0, 1].
    """
    example, class_ = as_example(data), data.classes.index(wanted)
    paths = {
        f"cut {'by' if weather == DAY else 'in'} {weather}": experts.relevant_path(
            net, weather_relevance(net, data, class_, weather, scenes), keep, example, normalize="none"
        )
        for weather in (DAY, SNOW)
    }
    paths["magnitude"] = experts.magnitude_path(net, keep, example)
    found: dict[str, dict[str, float]] = {}
    for weather in (DAY, SNOW):
        split = remember(firsts(RailScenes("test", data.image_size, weather), test_scenes))
        row = found.setdefault(f"tested {'by' if weather == DAY else 'in'} {weather}", {})
        row["super-net"] = class_iou(net, split, data, wanted)
        for name, path in paths.items():
            with experts.gate(net, path):
                row[name] = class_iou(net, split, data, wanted)
    return found


def scene_with(data: SceneSet, wanted: str, scenes: int = 40) -> int:
    """Return which of the first test scenes has most pixels of a class, as an index.

    Parameters
    ----------
    data : SceneSet
        The set.
    wanted : str
        The class.
    scenes : int
        How many of the first test scenes are looked at.
    """
    class_ = data.classes.index(wanted)
    return max(range(min(scenes, len(data.test))), key=lambda index: int((data.test[index][1] == class_).sum()))


def all_weathers(budget: ExpertBudget, plan: str, wanted: str) -> dict[str, dict[str, list[float]]]:
    """Return what `in_weather` does for every net of the budget: a list with a value a net.

    Parameters
    ----------
    budget : ExpertBudget
        Seeds of the nets, and numbers of scenes.
    plan : str
        Name of the plan that says which nets; see `first_net`.
    wanted : str
        The class.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for seed in budget.weather_seeds:
        net, data = first_net(plan, seed)
        one = in_weather(net, data, wanted, budget.relevance_scenes, budget.weather_scenes, WEATHER_KEEP)
        for tested, scores in one.items():
            for name, value in scores.items():
                found.setdefault(tested, {}).setdefault(name, []).append(value)
    return found


def times(net: nn.Module, cut: dict[str, nn.Module], example: Tensor) -> list[str]:
    """Return a line for every way to run super-net and experts on one image: milliseconds, and how many times faster.

    All of them run on the processor, as ONNX Runtime does here.

    Parameters
    ----------
    net : nn.Module
        The super-net.
    cut : dict of str to nn.Module
        Experts cut out of it, by a name of a word or a few.
    example : (1, 3, H, W)
        The image; it is also tried at twice the height and width.
    """
    nets = {name: copy.deepcopy(one).cpu() for name, one in {"super-net": net, **cut}.items()}
    lines = []
    for scale in (1, 2):
        x = nn.functional.interpolate(example.cpu(), scale_factor=scale) if scale > 1 else example.cpu()
        runs = {("PyTorch", name): functools.partial(one, x) for name, one in nets.items()}
        with tempfile.TemporaryDirectory() as folder:
            for place, (name, one) in enumerate(nets.items()):
                run = experts.open_onnx(experts.export_onnx(one, x, Path(folder) / f"{place}.onnx"))
                runs["ONNX Runtime", name] = functools.partial(run, x)
            found = experts.latencies(runs)
        size = " x ".join(map(str, x.shape[2:]))
        for how in ("PyTorch", "ONNX Runtime"):
            whole = found[how, "super-net"]
            lines.append(f"{how}, {size}: super-net {1000 * whole:.1f} ms")
            for name in cut:
                seconds = found[how, name]
                lines.append(f"    {name:40}{1000 * seconds:6.1f} ms, {whole / seconds:.1f} times faster")
    return lines
