"""What lesson 03 puts into its record: scores of every net, the claims they decide, a summary."""

from collections.abc import Sequence

from relcomp_kit.datasets.scene_names import DRAWN_SIZE
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.evidence.claims import find
from relcomp_kit.evidence.record import Record
from relcomp_kit.models.metrics import plain
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.studies.profiles import STEPS, SegmentationBudget
from relcomp_kit.studies.segmentation.measurement import Segmenter
from relcomp_kit.studies.setting import at_half_size, segmenter, training

LESSON = "03_teach_a_net_the_railway"
PUBLISHED = {"B1": ((*DRAWN_SIZE, "berdiba"), 5000), "B2": (("railsem19",), 8500)}  # sets, and scenes of the set


def decided(
    profile: str,
    data: SceneSet,
    budget: SegmentationBudget,
    nets: Sequence[Segmenter],
    results: dict[tuple[str, int], dict],
    megabytes: float,
    weather: dict[str, list[float]],
    transfer: dict[str, float],
) -> Record:
    """Return the record of a run of lesson 03, with every claim decided; it is saved.

    Parameters
    ----------
    profile : {"quick", "full"}
        Of the run.
    data : SceneSet
        The set that the nets were trained and tested on.
    budget : SegmentationBudget
        Of the profile.
    nets, results
        As in `note`.
    megabytes : float
        Size of the published net as float32.
    weather : dict of str to list of float
        Weather to the pixel accuracy of every net; empty for sets without weathers.
    transfer : dict of str to float
        What the new task was learned on, to the IoU of the track.
    """
    record = Record(LESSON, profile, data.name)
    note(record, nets, results)
    scenes = {"labels": list(weather), "scenes": budget.weather_scenes}
    record.measure("pixel accuracy by weather", list(weather.values()), "share", **scenes)
    steps = {"labels": list(transfer), "steps": budget.head_steps}
    record.measure("IoU of track, new classifier", list(transfer.values()), "share", **steps)
    record.claim("B11", at_scale=True, megabytes=megabytes)
    decide(record, data, nets, results)
    names = dict.fromkeys(made.name for made in nets)
    record.content["curves"] = {name: [made.history for made in nets if made.name == name] for name in names}
    record.save()
    return record


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
        labels |= {"half_size_steps": recipe.half_size_steps} if recipe.half_size_steps else {}
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
                on=f"{segmenter(most[0].name, len(data.classes))}, {training(most[0].recipe)}",
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
        + at_half_size(one.get("half_size_steps", 0))
        + ("" if one["steps"] >= one["full_length"] else f", CUT SHORT from {one['full_length']:,}")
        for (net, seed), one in values.items()
    ]
