"""What lesson 04 puts into its record: the measured values of every net, the claims they decide, a summary."""

from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.evidence.record import Record
from relcomp_kit.relevance.faithfulness import area
from relcomp_kit.studies.profiles import RelevanceBudget
from relcomp_kit.studies.relevance.measurement import CORNERS, LRP, MAGNITUDE, MEASURES, OTHER_AGGREGATE
from relcomp_kit.studies.segmentation.measurement import Segmenter
from relcomp_kit.studies.setting import named, training

LESSON = "04_ask_which_weights_matter"


def by_measure(results: Sequence[dict], what: str, scope: str, order: str) -> dict[str, list[list[float]]]:
    """Return the removal curves of several nets: measure to a curve a net.

    Parameters
    ----------
    results : sequence of dict
        What `relcomp_kit.studies.relevance.measurement.measured` found, one a net.
    what : {"pixel_accuracy", "miou"}
        The score.
    scope : {"layer", "net", "weights"}
        What was removed; see `REMOVED`.
    order : {"least", "most"}
        What went first.
    """
    return {name: [one["curves"][what][scope][order][name] for one in results] for name in MEASURES}


def areas(curves: dict[str, list[list[float]]], shares: Sequence[float]) -> dict[str, list[float]]:
    """Return the area under every curve of `by_measure`.

    Parameters
    ----------
    curves : dict of str to list of list of float
        As `by_measure` returns them.
    shares : sequence of float
        Where the curves were measured.
    """
    return {name: [area(shares, curve) for curve in each] for name, each in curves.items()}


def note(
    record: Record, nets: Sequence[Segmenter], results: Sequence[dict], random: Sequence, budget: RelevanceBudget
) -> None:
    """Put what `measured` and `random_orders` found for every net into a record.

    Parameters
    ----------
    record : Record
        It goes into it.
    nets : sequence of Segmenter
        The nets.
    results : sequence of dict
        What `measured` found, one a net.
    random : sequence of list of list of float
        What `random_orders` found, one a net.
    budget : RelevanceBudget
        The one that they were measured by.
    """
    for made, found, orders in zip(nets, results, random):
        labels = {"net": made.name, "seed": made.seed, "measured_by": found["commit"]}
        for curve in orders:
            record.measure("random order", curve, "share", shares=budget.shares["layer"], **labels)
        for of, values in found["corners"].items():
            for name, value in values.items():
                record.measure(f"abs weight and relevance: {name}", value, "", of=of, **labels)
        for kind, values in found["correlation"].items():
            for name, value in values.items():
                record.measure("rank correlation with ablation", value, "", kind=kind, measure=name, **labels)
        for what, scopes in found["curves"].items():
            for scope, orders in scopes.items():
                for order, curves in orders.items():
                    for name, curve in curves.items():
                        placed = {"scope": scope, "first": order, "measure": name}
                        record.measure(
                            f"{what} after removal", curve, "share", shares=budget.shares[scope], **placed, **labels
                        )


def decide(
    record: Record, nets: Sequence[Segmenter], results: Sequence[dict], random: Sequence, budget: RelevanceBudget
) -> None:
    """Decide B3, B4 and its controls; the same share of every layer's filters is removed, the least first.

    Parameters
    ----------
    record : Record
        The verdicts go into it.
    nets, results, random, budget
        As in `note`.
    """
    by_chance = [fmean(area(budget.shares["layer"], curve) for curve in orders) for orders in random]
    seeds = [made.seed for made in nets]
    correlation = {name: [one["correlation"]["filters"][name] for one in results] for name in MEASURES}
    corner = {name: [one["corners"]["all classes"][name] for one in results] for name in CORNERS}
    found = areas(by_measure(results, "pixel_accuracy", "layer", "least"), budget.shares["layer"])
    asked = {"at_scale": all(made.name == "resnet101" for made in nets), "seeds": seeds}
    asked["on"] = f"{named(nets[0].name, nets[0].net)}, {training(nets[0].recipe)}"
    record.claim("B3", **asked, **dict(zip(("correlation", "irrelevant", "relevant"), corner.values())))
    record.claim("B4", **asked, relevance=found[LRP], magnitude=found[MAGNITUDE])
    record.claim("B4c", **asked, relevance=found[LRP], random=by_chance)
    record.claim(
        "B4d",
        **asked,
        mean_of_abs=correlation[LRP],
        abs_of_mean=correlation[OTHER_AGGREGATE],
        mean_area=found[LRP],
        other_area=found[OTHER_AGGREGATE],
    )


def decided(
    profile: str,
    dataset: str,
    nets: Sequence[Segmenter],
    results: Sequence[dict],
    random: Sequence,
    budget: RelevanceBudget,
) -> Record:
    """Return the record of a run of lesson 04, with every claim decided; it is saved.

    Parameters
    ----------
    profile : {"quick", "full"}
        Of the run.
    dataset : str
        Name of the scenes.
    nets, results, random, budget
        As in `note`.
    """
    record = Record(LESSON, profile, dataset)
    note(record, nets, results, random, budget)
    decide(record, nets, results, random, budget)
    record.save()
    return record


def recorded_agreement(record: dict | None, kind: str) -> dict[str, float]:
    """Return every measure's rank correlation with ablation from a record, mean over the nets.

    Parameters
    ----------
    record : dict, optional
        Of lesson 04; without one nothing is returned.
    kind : str
        What was ablated: "filters" or "weights", of all layers pooled, or "filters of a layer" or "weights of a layer",
        the mean of the layers.
    """
    found: dict[str, list[float]] = {}
    for entry in record["measurements"] if record else ():
        if entry["name"] == "rank correlation with ablation" and entry["kind"] == kind:
            found.setdefault(entry["measure"], []).append(entry["value"])
    return {name: fmean(values) for name, values in found.items()}


REMOVED = {"layer": "filters of every layer", "net": "filters of the whole net", "weights": "single weights"}


def summary(record: dict) -> list[str]:
    """Return what a record of lesson 04 says, a line a measure: mean accuracies while things are removed.

    The columns have shares of their own, so only numbers of one column can be compared.
    """
    rows: dict[str, dict[str, list[float]]] = {}
    for entry in record["measurements"]:
        if entry["name"] == "pixel_accuracy after removal" and entry["first"] == "least":
            value = area(entry["shares"], entry["value"])
            rows.setdefault(entry["measure"], {}).setdefault(entry["scope"], []).append(value)
    scopes = [scope for scope in REMOVED if all(scope in row for row in rows.values())]
    lines = [
        f"{name:20}" + "".join(f"{100 * fmean(row[scope]):{len(REMOVED[scope]) + 3}.1f}" for scope in scopes)
        for name, row in rows.items()
    ]
    return [
        f"{'mean accuracy, %':20}" + "".join(f"{REMOVED[scope]:>{len(REMOVED[scope]) + 3}}" for scope in scopes),
        *lines,
    ]


def recorded_curves(record: dict, scope: str) -> tuple[list[float], dict[str, dict[str, list[list[float]]]]]:
    """Return the shares and accuracies of a record, as the figure takes them: order and measure to a curve a net.

    Parameters
    ----------
    record : dict
        Of lesson 04.
    scope : {"layer", "net", "weights"}
        What was removed; see `REMOVED`.
    """
    curves: dict[str, dict[str, list[list[float]]]] = {"least": {}, "most": {}}
    shares: list[float] = []
    for entry in record["measurements"]:
        if entry["name"] == "pixel_accuracy after removal" and entry["scope"] == scope:
            curves[entry["first"]].setdefault(entry["measure"], []).append(entry["value"])
            shares = entry["shares"]
    return shares, curves
