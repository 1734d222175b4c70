"""What lesson 03 measures: nets trained or loaded, their scores on the test split and in all weathers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.compression.ecqx.qat import fingerprint
from relcomp_kit.datasets.download import Unreachable
from relcomp_kit.datasets.rail_scenes import VERSION as DRAWN
from relcomp_kit.datasets.rail_scenes import WEATHERS, RailScenes
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.models import checkpoints
from relcomp_kit.models.deeplab import COCO_WEIGHTS, coco_state, deeplab
from relcomp_kit.models.device import choose_device, choose_precision, device_of
from relcomp_kit.models.metrics import evaluate, scores
from relcomp_kit.models.recipe import Recipe, with_steps
from relcomp_kit.models.segmentation_training import trained
from relcomp_kit.studies.profiles import get_profile, training_recipe
from relcomp_kit.studies.segmentation.training import StepsLine, provenance
from relcomp_kit.studies.setting import at_half_size

VERSION = 1  # of `_tested`; a new one tests everything anew


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A trained net, in eval mode, and where it comes from; ``history`` has a row a validation."""

    name: str
    seed: int
    net: nn.Module
    recipe: Recipe
    history: list[dict]
    source: str
    commit: str


def segmenters(data: SceneSet, profile: str) -> list[Segmenter]:
    """Return the nets that a profile names for a set of scenes.

    "quick" takes the committed checkpoints where there are some, and otherwise trains for as long as one watches;
    "full" trains to the end. What was trained stays in the cache.

    Parameters
    ----------
    data : SceneSet
        The set.
    profile : {"quick", "full"}
        It says which sizes and seeds.
    """
    wanted = get_profile(profile).segmentation.seeds.get(data.name, {"compact": (0, 1, 2)})
    made = []
    for name, seeds in wanted.items():
        for seed in seeds:
            stored = checkpoints.name_of(name, data.name, seed)
            if profile == "quick" and stored in checkpoints.committed():
                made.append(from_checkpoint(stored, data.classes))
            else:
                made.append(train_now(data, recipe_for(name, data.name, profile), seed))
    return made


def live_recipe(dataset: str, profile: str) -> Recipe:
    """Return the recipe of the training that one watches.

    Parameters
    ----------
    dataset : str
        A set of scenes.
    profile : {"quick", "full"}
        Whose image size and number of steps are taken.
    """
    watched = training_recipe("compact", dataset, "quick")
    size = training_recipe("compact", dataset, profile).size
    return with_steps(replace(watched, size=size), get_profile(profile).segmentation.live_steps)


def recipe_for(name: str, dataset: str, profile: str) -> Recipe:
    """Return the recipe of a profile, from COCO weights if they are in the cache or can be downloaded.

    Parameters
    ----------
    name : str
        A size of DeepLabV3.
    dataset : str
        A set of scenes.
    profile : {"quick", "full"}
        Only "full" starts from COCO weights.
    """
    try:
        pretrained = profile == "full" and name in COCO_WEIGHTS and bool(coco_state(name))
    except Unreachable:
        pretrained = False
    return training_recipe(name, dataset, profile, pretrained=pretrained)


def train_now(data: SceneSet, recipe: Recipe, seed: int) -> Segmenter:
    """Train a net, or take it from the cache.

    Parameters
    ----------
    data : SceneSet
        The set, at the image size of the recipe.
    recipe : Recipe
        How it is trained.
    seed : int
        Of the training.
    """
    with StepsLine(f"training {recipe.net}, seed {seed}") as line:
        run, note = trained(recipe, data, seed, note=provenance(), report=line)
    net = deeplab(recipe.net, len(data.classes))
    net.load_state_dict(run.state_dict)
    return _segmenter(net, seed, recipe, run.history, "trained", note["commit"])


def from_checkpoint(name: str, classes: Sequence[str] | None = None) -> Segmenter:
    """Return a committed checkpoint, with its recipe and history.

    Parameters
    ----------
    name : str
        Of the checkpoint.
    classes : sequence of str, optional
        Names of the classes that it has to know, in order.
    """
    net, info = checkpoints.load(name, classes)
    recipe = Recipe(**info["recipe"])
    return _segmenter(net, info["seed"], recipe, info["history"], f"checkpoint {name},", info["commit"])


def _segmenter(net: nn.Module, seed: int, recipe: Recipe, history: list[dict], what: str, made_by: str) -> Segmenter:
    half = at_half_size(recipe.half_size_steps)
    source = f"{what} from {recipe.origin}, {recipe.steps:,} steps of {recipe.batch} scenes{half}"
    return Segmenter(recipe.net, seed, net.eval().to(choose_device()), recipe, history, source, made_by)


@torch.no_grad()
def predict(net: nn.Module, image: Tensor) -> Tensor:
    """Return the class of every pixel (H, W), uint8, of one uint8 image (3, H, W).

    Parameters
    ----------
    net : nn.Module
        In eval mode; it gives logits (1, classes, H, W) under "out".
    image : (3, H, W), uint8
        The image.
    """
    x = normalize(image.as_subclass(Tensor)[None].to(device_of(net)))
    return net(x)["out"][0].argmax(0).byte().cpu()


def firsts(split: Dataset, scenes: int) -> Subset:
    """Return the first scenes of a split.

    Parameters
    ----------
    split : Dataset
        Any.
    scenes : int
        How many; all if the split has fewer.
    """
    return Subset(split, range(min(scenes, len(split))))


def test_scores(made: Segmenter, data: SceneSet, scenes: int | None = None) -> dict:
    """Return the scores on the test split, or on its first ``scenes``; see `relcomp_kit.models.metrics.scores`.

    They are taken from the cache if this net was tested on them before.

    Parameters
    ----------
    made : Segmenter
        The net.
    data : SceneSet
        The set whose test split is taken.
    scenes : int, optional
        How many of the first ones; by default all.
    """
    split = data.test if scenes is None else firsts(data.test, scenes)
    return _tested(made.net, split, data.classes, data.sha256, size=getattr(data.test, "size", None))


def weather_scores(nets: Sequence[nn.Module], data: SceneSet, scenes: int) -> dict[str, list[float]]:
    """Return the pixel accuracy of each net on the same test scenes in every weather; snow was never in training.

    Parameters
    ----------
    nets : sequence of nn.Module
        Nets for rail scenes.
    data : SceneSet
        The rail scenes, whose size is taken.
    scenes : int
        How many test scenes.
    """
    found, size = {}, data.image_size
    for weather in WEATHERS:
        split = remember(firsts(RailScenes("test", size, weather), scenes))
        how = {"weather": weather, "size": list(size)}
        found[weather] = [
            _tested(net, split, data.classes, f"rail-scenes {DRAWN}", **how)["pixel_accuracy"] for net in nets
        ]
    return found


def _tested(net: nn.Module, split: Dataset, classes: Sequence[str], data: str, **what) -> dict:
    """Return the scores of a net on a split, from the cache if they are there: data and what else name the split."""
    precision = choose_precision("auto", device_of(net))

    def make(_) -> tuple[dict, dict]:
        return {"confusion": evaluate(net, split, classes, precision=precision)["confusion"]}, {}

    config = {"net": fingerprint(net), "scenes": len(split), "precision": precision} | what
    return scores(load_or_make("test-scores", VERSION, config, data, make)[0]["confusion"], classes)
