"""The experiment "train": a DeepLabV3 by recipe and seed."""

from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.models.segmentation_training import VERSION, trained
from relcomp_kit.studies.segmentation.training import choose_recipe, provenance

__all__ = ["VERSION", "train"]


def train(
    *,
    seed: int,
    net: str = "compact",
    dataset: str = "rail-scenes",
    profile: str = "full",
    pretrained: bool = False,
    size: tuple[int, int] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    class_weights: str | None = None,
    patience: int | None = None,
    precision: str | None = None,
) -> dict:
    """Train a net, go on where its training was cut off, or take it from the cache; return its scores in the test.

    Parameters
    ----------
    seed : int
        Of the training.
    net, dataset, profile, pretrained
        As in `relcomp_kit.studies.profiles.training_recipe`.
    size, steps, batch, learning_rate, class_weights, patience, precision
        As in `relcomp_kit.models.recipe.Recipe`; None leaves what the recipe says, "none" stands for None.
    """
    changes = {"steps": steps, "batch": batch, "learning_rate": learning_rate, "patience": patience, "size": size}
    changes |= {"class_weights": class_weights, "precision": precision}
    recipe = choose_recipe(net, dataset, profile, pretrained=pretrained, **changes)
    data = load_scenes(dataset, recipe.size)
    run, note = trained(recipe, data, seed, note=provenance())
    model = deeplab(recipe.net, len(data.classes))
    model.load_state_dict(run.state_dict)
    model.to(choose_device())
    scores = evaluate(model, data.test, data.classes, batch=recipe.batch, precision=recipe.precision)
    return {
        "pixel accuracy": (scores["pixel_accuracy"], "share"),
        "mIoU": (scores["miou"], "share"),
        "IoU per class": (plain(scores["iou"]), "share"),
        "validation mIoU": (run.metrics["miou"], "share"),
        "training time": (run.history[-1]["seconds"], "s"),
        "data": data.sha256,
        "made by": note["commit"],
    }
