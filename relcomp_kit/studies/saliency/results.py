"""What lesson 01 puts into its record: every measure's figures, and the claims that they decide."""

from collections.abc import Sequence

from relcomp_kit.evidence.record import Record
from relcomp_kit.studies.profiles import SaliencyBudget
from relcomp_kit.studies.saliency.measurement import MIXTURES

LESSON = "01_find_important_weights"
MEASURED = {  # what a record calls each series, and its unit
    "maps": ("map correlation", "rank correlation"),
    "weights": ("weight correlation", "rank correlation"),
    "half": ("accuracy at half", "share"),
    "activations": ("accuracy by activation", "share"),
    "activation maps": ("map quality by activation", "rank correlation"),
}


def decided(profile: str, dataset: str, budget: SaliencyBudget, seeds: Sequence[int], found: dict) -> Record:
    """Return the record of a run of lesson 01, with every claim decided; it is saved.

    Parameters
    ----------
    profile : {"quick", "full"}
        Of the run.
    dataset : str
        Name of the images.
    budget : SaliencyBudget
        Of the profile.
    seeds : sequence of int
        Of the nets; each series holds one value for each of them.
    found : dict
        ``maps``, ``weights`` and ``half``: measure to a series, of the rank correlation with the oracle of inputs and
        of weights, and of the accuracy with half of the weights. ``activations`` and ``activation maps``: name to a
        series, of accuracy and of the saliency map's correlation. ``agreement``: of impact with saliency. ``times``:
        run time of impact over that of saliency. ``regions`` and ``mean digit``: for each seed what
        `relcomp_kit.studies.saliency.measurement.region_ratios` returned. ``silent``: kind of input to a list of what
        `relcomp_kit.studies.saliency.measurement.silent_share` returned.
    """
    record = Record(LESSON, profile, dataset)
    scale = {"at_scale": budget.at_scale, "seeds": list(seeds)}
    against_oracle = {name: found["maps"][name] for name in ("impact", "saliency", "random")}
    record.claim("T1a", correlation=found["agreement"], **against_oracle, **scale)
    record.claim("T1b", ratio=found["times"], **scale)
    net, blob = _by_region(found["regions"]), _by_region(found["mean digit"])
    record.claim("T1c", **net, **scale)
    record.claim("T1d", net=net, blob=blob, **scale)
    record.claim(
        "T2",
        outer=found["weights"]["two maps: saliency"],
        direct=found["weights"]["gradient"],
        outer_accuracy=found["half"]["two maps: saliency"],
        direct_accuracy=found["half"]["gradient"],
        **scale,
    )
    record.claim("T7", accuracy=found["activations"], maps=found["activation maps"], mixtures=MIXTURES, **scale)
    ever = {name: [one["ever"] for one in shares] for name, shares in found["silent"].items()}
    record.claim("T12", unit_range=ever["[0, 1], no noise"], signed_noisy=ever["[-1, 1], noise"], **scale)
    for key, (name, unit) in MEASURED.items():
        for measure, series in found[key].items():
            record.measure(name, series, unit, measure=measure, seeds=list(seeds))
    record.save()
    return record


def _by_region(ratios: Sequence[dict[str, float]]) -> dict[str, list[float]]:
    return {region: [one[region] for one in ratios] for region in ratios[0]}
