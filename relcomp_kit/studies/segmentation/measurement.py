"""What lesson 03 measures: nets trained or loaded, their scores on the test split and in all weathers, a new task."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from torchvision import tv_tensors

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.compression.ecqx.qat import fingerprint
from relcomp_kit.datasets.download import Unreachable
from relcomp_kit.datasets.rail_scenes import VERSION as DRAWN
from relcomp_kit.datasets.rail_scenes import WEATHERS, RailScenes
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.evidence.claims import find
from relcomp_kit.evidence.record import Record
from relcomp_kit.models import checkpoints
from relcomp_kit.models.deeplab import COCO_WEIGHTS, coco_state, deeplab
from relcomp_kit.models.device import choose_device, choose_precision
from relcomp_kit.models.masked_net_training import Batches
from relcomp_kit.models.metrics import evaluate, plain, scores
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.models.segmentation_training import trained
from relcomp_kit.studies.profiles import STEPS, get_profile, training_recipe
from relcomp_kit.studies.segmentation.training import StepsLine, provenance

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
    """Return the recipe of the training that one watches: quick, at the image size of the profile.

    Parameters
    ----------
    dataset : str
        A set of scenes.
    profile : {"quick", "full"}
        Whose image size is taken.
    """
    return replace(training_recipe("compact", dataset, "quick"), size=training_recipe("compact", dataset, profile).size)


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


def from_checkpoint(name: str, classes: Sequence[str]) -> Segmenter:
    """Return a committed checkpoint that was trained for these classes.

    Parameters
    ----------
    name : str
        Of the checkpoint.
    classes : sequence of str
        Names of the classes, in order.
    """
    net, info = checkpoints.load(name, classes)
    recipe = Recipe(**info["recipe"])
    return _segmenter(net, info["seed"], recipe, info["history"], f"checkpoint {name},", info["commit"])


def _segmenter(net: nn.Module, seed: int, recipe: Recipe, history: list[dict], what: str, made_by: str) -> Segmenter:
    start = "COCO weights" if recipe.pretrained else "scratch"
    source = f"{what} from {start}, {recipe.steps:,} steps of {recipe.batch} scenes"
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
    x = normalize(image.as_subclass(Tensor)[None].to(next(net.parameters()).device))
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


def weather_scores(nets: Sequence[nn.Module], classes: Sequence[str], scenes: int) -> dict[str, list[float]]:
    """Return the pixel accuracy of each net on the same test scenes in every weather; snow was never in training.

    Parameters
    ----------
    nets : sequence of nn.Module
        Nets for rail scenes.
    classes : sequence of str
        Names of the classes.
    scenes : int
        How many test scenes.
    """
    found = {}
    for weather in WEATHERS:
        split = remember(firsts(RailScenes("test", weather=weather), scenes))
        found[weather] = [
            _tested(net, split, classes, f"rail-scenes {DRAWN}", weather=weather)["pixel_accuracy"] for net in nets
        ]
    return found


def _tested(net: nn.Module, split: Dataset, classes: Sequence[str], data: str, **what) -> dict:
    """Return the scores of a net on a split, from the cache if they are there: data and what else name the split."""
    precision = choose_precision("auto", next(net.parameters()).device)

    def make(_) -> tuple[dict, dict]:
        return {"confusion": evaluate(net, split, classes, precision=precision)["confusion"]}, {}

    config = {"net": fingerprint(net), "scenes": len(split), "precision": precision} | what
    return scores(load_or_make("test-scores", VERSION, config, data, make)[0]["confusion"], classes)


class Relabelled(Dataset):
    """A split whose classes are merged.

    Parameters
    ----------
    split : Dataset
        Of images and classes of every pixel.
    groups : sequence of int
        ``groups[old class]`` is the new class; what has none is void.
    """

    def __init__(self, split: Dataset, groups: Sequence[int]):
        self.split = split
        self.table = torch.full((VOID + 1,), VOID, dtype=torch.uint8)
        self.table[: len(groups)] = torch.tensor(groups, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        image, label = self.split[index]
        return image, tv_tensors.Mask(self.table[label.as_subclass(Tensor).long()])


def new_classifier(net: nn.Module, classes: int, seed: int) -> nn.Module:
    """Return a copy whose last convolution is new and has so many outputs; all else is frozen.

    Parameters
    ----------
    net : nn.Module
        A DeepLabV3; it stays as it is.
    classes : int
        The outputs of the new convolution.
    seed : int
        Of its initial weights.
    """
    made = copy.deepcopy(net).requires_grad_(False)
    last = made.classifier[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made.classifier[-1] = nn.Conv2d(last.in_channels, classes, last.kernel_size).to(last.weight.device)
    return made


@torch.no_grad()
def settle(net: nn.Module, split: Dataset, scenes: int = 40) -> nn.Module:
    """Let the batch-norm of an untrained net measure the means and variances of its features; it ends in eval mode.

    Parameters
    ----------
    net : nn.Module
        Changed in place.
    split : Dataset
        The scenes, taken in batches of 8.
    scenes : int
        How many of the first ones.
    """
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain average of all batches
    net.train()
    for first in range(0, min(scenes, len(split)), 8):
        images, _ = stack([split[index] for index in range(first, min(first + 8, len(split)))])
        net(normalize(images))
    return net.eval()


def train_classifier(net: nn.Module, split: Dataset, steps: int, seed: int, learning_rate: float = 1e-2) -> nn.Module:
    """Train what is not frozen, by Adam on batches of 8; the net stays in eval mode, so batch-norm does too.

    Parameters
    ----------
    net : nn.Module
        Changed in place, and returned.
    split : Dataset
        What it is trained on.
    steps : int
        How many batches.
    seed : int
        Of the order of the scenes.
    learning_rate : float
        Of Adam.
    """
    batches, device = Batches(len(split), seed, 8), next(net.parameters()).device
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], learning_rate)
    for step in range(steps):
        images, labels = (part.to(device) for part in stack([split[index] for index in batches[step].tolist()]))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(normalize(images))["out"], labels.long(), ignore_index=VOID).backward()
        optimizer.step()
    return net


# The classes that the new task of lesson 03 calls one: what a train, or a car, drives on.
WAY = {
    "rail-scenes": ("rail", "trackbed", "anomaly on track"),
    "berdiba": ("rail", "trackbed", "anomaly on track"),
    "railsem19": ("tram-track", "rail-track", "trackbed", "rail-raised", "rail-embedded"),
    "cityscapes": ("road",),
    "camvid": ("road",),
}
PUBLISHED = {"B1": (("rail-scenes", "berdiba"), 5000), "B2": (("railsem19",), 8500)}  # sets, and scenes of the set


def note(record: Record, nets: Sequence[Segmenter], results: dict[tuple[str, int], dict]) -> None:
    """Put the test scores of every net into a record, with what it was trained by.

    Parameters
    ----------
    record : Record
        They go into it.
    nets : sequence of Segmenter
        The nets.
    results : dict
        (name, seed) to what `test_scores` returned.
    """
    for made in nets:
        found = results[made.name, made.seed]
        recipe = made.recipe
        labels = {"net": made.name, "seed": made.seed, "steps": recipe.steps, "batch": recipe.batch}
        labels |= {"full_length": STEPS[made.name], "pretrained": recipe.pretrained, "made_by": made.commit}
        record.measure("pixel accuracy", found["pixel_accuracy"], "share", **labels)
        record.measure("mIoU", found["miou"], "share", **labels)
        iou = plain(found["iou"])
        record.measure("IoU per class", list(iou.values()), "share", classes=list(iou), **labels)
        record.measure("training time", made.history[-1]["seconds"], "s", **labels)


def decide(record: Record, data: SceneSet, nets: Sequence[Segmenter], results: dict[tuple[str, int], dict]) -> None:
    """Decide B1 or B2, whichever the set belongs to, by the net with the most seeds; other sets decide none.

    Parameters
    ----------
    record : Record
        The verdict goes into it.
    data : SceneSet
        The set that the nets were trained and tested on.
    nets, results
        As in `note`.
    """
    by_net = {made.name: [one for one in nets if one.name == made.name] for made in nets}
    most = max(by_net.values(), key=len)
    scenes = sum(map(len, (data.train, data.validation, data.test)))
    for claim, (sets, published_scenes) in PUBLISHED.items():
        if data.name in sets:
            complete = data.name == find(claim)["needs"] and scenes >= published_scenes
            record.claim(
                claim,
                at_scale=complete and all(_as_published(made.recipe) for made in most),
                seeds=[made.seed for made in most],
                accuracy=[results[made.name, made.seed]["pixel_accuracy"] for made in most],
            )


def _as_published(recipe: Recipe) -> bool:
    """Say whether a net was trained as published: ResNet-101 from COCO weights, plain cross entropy, to the end."""
    plain = recipe.pretrained and recipe.class_weights is None
    return recipe.net == "resnet101" and plain and recipe.steps >= STEPS["resnet101"]


def summary(record: dict) -> list[str]:
    """Return one line a net of a record of lesson 03."""
    values = {}
    for entry in record["measurements"]:
        if "net" in entry:
            values.setdefault((entry["net"], entry["seed"]), dict(entry))[entry["name"]] = entry["value"]
    return [
        f"{record['dataset']}, {net}, seed {seed}: pixel accuracy {one['pixel accuracy']:.1%}, mIoU {one['mIoU']:.3f}; "
        f"{one['steps']:,} steps of {one['batch']} in {one['training time'] / 60:.0f} min"
        + ("" if one["steps"] >= one["full_length"] else f", CUT SHORT from {one['full_length']:,}")
        for (net, seed), one in values.items()
    ]
