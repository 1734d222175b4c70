"""What lesson 04 puts into its record: the measured values of every net, the claims they decide, a summary."""

from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.lessons.profiles import RelevanceBudget
from relcomp_kit.lessons.record import Record
from relcomp_kit.lessons.relevance_study import CORNERS, LRP, MAGNITUDE, MEASURES, OTHER_AGGREGATE, RANDOM
from relcomp_kit.lessons.segmentation_study import Segmenter
from relcomp_kit.relevance.faithfulness import area


def by_measure(results: Sequence[dict], what: str, scope: str, order: str) -> dict[str, list[list[float]]]:
    """Return the removal curves of several nets: measure to a curve a net."""
    return {name: [one["curves"][what][scope][order][name] for one in results] for name in MEASURES}


def areas(curves: dict[str, list[list[float]]], shares: Sequence[float]) -> dict[str, list[float]]:
    """Return the area under every curve of `by_measure`."""
    return {name: [area(shares, curve) for curve in each] for name, each in curves.items()}


def note(record: Record, nets: Sequence[Segmenter], results: Sequence[dict], budget: RelevanceBudget) -> None:
    """Put what `measured` found for every net into a record."""
    for made, found in zip(nets, results):
        labels = {"net": made.name, "seed": made.seed, "measured_by": found["commit"]}
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


def decide(record: Record, nets: Sequence[Segmenter], results: Sequence[dict], budget: RelevanceBudget) -> None:
    """Decide B3, B4 and its controls; the same share of every layer's filters is removed, the least first."""
    seeds = [made.seed for made in nets]
    correlation = {name: [one["correlation"]["filters"][name] for one in results] for name in MEASURES}
    corner = {name: [one["corners"]["all classes"][name] for one in results] for name in CORNERS}
    found = areas(by_measure(results, "pixel_accuracy", "layer", "least"), budget.shares["layer"])
    asked = {"at_scale": False, "seeds": seeds}
    record.claim("B3", **asked, **dict(zip(("correlation", "irrelevant", "relevant"), corner.values())))
    record.claim("B4", **asked, relevance=found[LRP], magnitude=found[MAGNITUDE])
    record.claim("B4c", **asked, relevance=found[LRP], random=found[RANDOM])
    record.claim(
        "B4d",
        **asked,
        mean_of_abs=correlation[LRP],
        abs_of_mean=correlation[OTHER_AGGREGATE],
        mean_area=found[LRP],
        other_area=found[OTHER_AGGREGATE],
    )


def summary(record: dict) -> list[str]:
    """Return what a record of lesson 04 says of filters, a line a measure: means over the seeds."""
    rows: dict[str, dict[str, list[float]]] = {}
    for entry in record["measurements"]:
        if entry["name"] == "rank correlation with ablation" and entry["kind"] == "filters":
            rows.setdefault(entry["measure"], {}).setdefault("correlation", []).append(entry["value"])
        if entry["name"] == "pixel_accuracy after removal" and entry["scope"] == "layer":
            value = area(entry["shares"], entry["value"])
            rows.setdefault(entry["measure"], {}).setdefault(entry["first"], []).append(value)
    return [
        f"{name:20} with ablation {fmean(row['correlation']):5.2f}; mean accuracy, least first "
        f"{fmean(row['least']):.1%}, most first {fmean(row['most']):.1%}"
        for name, row in rows.items()
    ]
