"""What lesson 05 measures: sweeps of quantization-aware training, and quantization without any training."""

import copy
from collections.abc import Sequence
from dataclasses import asdict

from torch import Tensor, nn
from zennit.canonizers import SequentialMergeBatchNorm

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx.qat import QatRecipe, fingerprint, resolve
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.models import checkpoints
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.states import loaded
from relcomp_kit.provenance import commit
from relcomp_kit.relevance.lrp import weight_relevance
from relcomp_kit.studies import plans
from relcomp_kit.studies.profiles import OneShot, QuantizeBudget, get_profile
from relcomp_kit.studies.quantization.experiment import arm_relevance, trained
from relcomp_kit.studies.relevance.measurement import batches
from relcomp_kit.studies.segmentation.measurement import Segmenter, firsts, from_checkpoint, recipe_for, train_now
from relcomp_kit.sweeps.point import Point

VERSION = 2  # of `one_shot`; a new one makes everything anew
SCORES = ("accuracy", "pixel accuracy", "mean average precision")
ECQ, LRP, BROKEN, MAGNITUDE, RANDOM = "ecq", "lrp", "lrp, sums left out", "magnitude", "random"


def swept(plan: str, data: ImageSet | SceneSet) -> list[dict]:
    """Run what is missing of a plan, and return a row a point; see `row`.

    Parameters
    ----------
    plan : str
        Name of a plan in ``data/sweeps``, of the experiment "quantize".
    data : ImageSet or SceneSet
        The set, or its stand-in, which has its own folder of records.
    """
    return [row(record) for record in plans.swept(plan, data)]


def row(record: dict) -> dict:
    """Return what counts of a sweep's record: how the net was quantized, its scores (shares), its size in bytes."""
    point = record["point"]
    found = {entry["name"]: entry["value"] for entry in record["measurements"]}
    score = next(name for name in SCORES if name in found)
    how = ("net", "arm", "bits", "Lambda", "seed", "step_rule", "gradient_scale", "steps")
    return {name: point[name] for name in how} | {
        "accuracy": found[score],
        "validation": found[f"validation {score}"],
        "miou": found.get("miou"),
        "sparsity": found["sparsity"],
        "entropy": found["entropy"],
        "bytes": found["coded size"],
        "file": found.get("file size"),
        "ratio": found["compression ratio"],
        "made_by": found["made by"],
    }


def start_scores(wanted: Sequence[Point]) -> dict[int, dict[str, float]]:
    """Return what the nets of some points score before they are quantized: seed to "test" and "validation"."""
    seeds = sorted({point.values["seed"] for point in wanted})
    return {seed: _start(wanted[0].values | {"seed": seed}) for seed in seeds}


def _start(values: dict) -> dict[str, float]:
    net, data = trained(values["net"], values["dataset"], values["seed"], scored_scenes=values["scored_scenes"])
    recipe = resolve(QatRecipe(**{name: values[name] for name in ("batch", "noise", "signed", "precision")}))

    def make(_) -> tuple[dict, dict]:
        task = task_of(net, recipe, data, values["seed"])
        return {}, {split: task.scores(net.eval(), split)[task.chosen_by] for split in ("test", "validation")}

    config = {"net": fingerprint(net), "recipe": asdict(recipe), "seed": values["seed"]}
    return load_or_make("start-scores", VERSION, config, data.sha256, make)[1]


def relevances(net: nn.Module, images: Sequence[tuple[Tensor, Tensor]], seed: int) -> dict[str, dict | None]:
    """Return the relevance that each arm of the one-shot comparison takes: arm to weights' relevance, None for ECQ.

    With sums left out, relevance doubles at each sum. In a net as deep as ResNet-101 it exceeds float32, and that arm
    is missing.

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    images : sequence of (Tensor, Tensor)
        Batches of input (N, 3, H, W) and classes (N, H, W).
    seed : int
        Of the random relevance.
    """
    found = {arm: arm_relevance(arm, net, images, seed) for arm in (ECQ, LRP)}
    broken = weight_relevance(net, images, way="zennit", canonizers=[SequentialMergeBatchNorm()])
    if all(value.isfinite().all() for value in broken.values()):
        found[BROKEN] = broken
    return found | {arm: arm_relevance(arm, net, images, seed) for arm in (MAGNITUDE, RANDOM)}


def one_shot(made: Segmenter, data: SceneSet, budget: QuantizeBudget) -> list[dict]:
    """Quantize a net at once, without any training, by ECQ and by ECQ^x with each kind of relevance.

    Relevance is measured on training scenes, accuracy on test scenes; from the cache if it was measured before.

    Parameters
    ----------
    made : Segmenter
        The net; it is changed while this runs, and put back.
    data : SceneSet
        Its scenes.
    budget : QuantizeBudget
        Settings, and numbers of scenes for a net of this size.

    Returns
    -------
    list of dict
        ``arm``, ``bits``, ``Lambda``, ``accuracy`` (pixel accuracy), ``miou``, ``sparsity``, ``bytes``; first of all
        the net as it is, as the arm "float".
    """
    scenes = budget.one_shot_nets[made.name]
    config = {
        "net": fingerprint(made.net),
        "seed": made.seed,
        "settings": budget.one_shot,
        "scenes": [scenes.relevance_scenes, scenes.test_scenes],
        "size": list(made.recipe.size),
    }

    def make(_) -> tuple[dict, dict]:
        return {}, {"rows": _one_shot(made, data, budget.one_shot, scenes), "commit": commit()}

    return load_or_make("one-shot", VERSION, config, data.sha256, make)[1]["rows"]


def _one_shot(made: Segmenter, data: SceneSet, settings: Sequence[tuple[int, float]], scenes: OneShot) -> list[dict]:
    test = remember(firsts(data.test, scenes.test_scenes))

    def score() -> dict:
        found = evaluate(made.net, test, data.classes, precision="auto")
        return {"accuracy": found["pixel_accuracy"], "miou": found["miou"]}

    rows = [{"arm": "float", "bits": None, "Lambda": None, "sparsity": None, "bytes": None} | score()]
    found = relevances(made.net, batches(data.train, scenes.relevance_scenes), made.seed)
    for bits, Lambda in settings:
        step = "least-squares" if bits == 2 else "p99.9-interpolated"
        for arm, relevance in found.items():
            quantized = ecqx.quantize(made.net, bits, Lambda, relevance=relevance, step=step)
            size = {"sparsity": quantized.sparsity, "bytes": quantized.coded_bytes}
            with loaded(made.net, ecqx.state_dict(quantized)):
                rows.append({"arm": arm, "bits": bits, "Lambda": Lambda} | size | score())
    return rows


def segmenters(data: SceneSet, profile: str) -> list[Segmenter]:
    """Return the nets that are quantized without training: committed checkpoints, or nets of the full recipe.

    Parameters
    ----------
    data : SceneSet
        The scenes that they are for.
    profile : {"quick", "full"}
        It says which sizes and seeds.
    """
    made = []
    for size, wanted in get_profile(profile).quantize.one_shot_nets.items():
        for seed in wanted.seeds:
            stored = checkpoints.name_of(size, data.name, seed)
            if stored in checkpoints.committed():
                made.append(from_checkpoint(stored, data.classes))
            else:
                made.append(train_now(data, recipe_for(size, data.name, "full"), seed))
    return made


def small_batches(net: nn.Module, data: ImageSet, seed: int, images: int = 1000) -> list[tuple[Tensor, Tensor]]:
    """Return training images as batches of 100: (input of the thesis' net, classes).

    Parameters
    ----------
    net : nn.Module
        The thesis' net.
    data : ImageSet
        The images.
    seed : int
        Of the noise and of the order.
    images : int
        How many, a multiple of 100.
    """
    task = task_of(net, QatRecipe(batch=100), data, seed)
    return [task.batch(step) for step in range(images // 100)]


def validation_accuracy(net: nn.Module, data: ImageSet, seed: int) -> float:
    """Return the accuracy of the thesis' net on the validation split, in [0, 1].

    Parameters
    ----------
    net : nn.Module
        The thesis' net.
    data : ImageSet
        The images.
    seed : int
        Of the noise.
    """
    return task_of(net, QatRecipe(), data, seed).scores(net, "validation")["accuracy"]


def with_weights(net: nn.Module, quantized: ecqx.Quantized) -> nn.Module:
    """Return a copy of a net with the weights of a quantized one, in eval mode.

    Parameters
    ----------
    net : nn.Module
        It stays as it is.
    quantized : Quantized
        A quantized net of the same layers and sizes.
    """
    made = copy.deepcopy(net)
    made.load_state_dict(ecqx.state_dict(quantized))
    return made.eval()
