"""What the records of a sweep decide: the claims about ECQ^x on the sets on which it was published.

No lesson runs these plans; ``relcomp sweep PLAN --decide`` does, and leaves a record like those of lessons, which the
ledger reads.
"""

from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.datasets.labelled import NAMES
from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.evidence.rules.series import percent
from relcomp_kit.studies.quantization import results
from relcomp_kit.studies.quantization.measurement import row, start_scores
from relcomp_kit.sweeps.point import Point
from relcomp_kit.sweeps.table import Rows, select

LESSON = "05_quantize_by_relevance"
ONE_SHOT = "one-shot"  # the experiment
AT_ONCE = "accuracy at once"  # its measurement
INFORMATION = "information of "  # begins those of clusters
SETTING = {"bits": 4, "Lambda": 0.05, "probabilities": "normalized", "rule": "epsilon", "floor": 0.0}  # of the claims


def check(points: Sequence[Point]) -> str:
    """Return the data set of a plan whose records decide claims.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.

    Raises
    ------
    UserError
        If no claim hangs on such records.
    """
    datasets = {point.values.get("dataset") for point in points}
    if points[0].experiment not in ("quantize", ONE_SHOT) or len(datasets) > 1 or not datasets < set(NAMES):
        raise UserError(
            f"--decide is for plans that quantize nets of one of {', '.join(NAMES)}: the claims about other sets are "
            "decided by their lessons"
        )
    return datasets.pop()


def decided(points: Sequence[Point], records: Sequence[dict]) -> Record:
    """Return the record of lesson 05 that follows from the records of a sweep: its measurements, its claims.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.
    records : sequence of dict
        Of these points, one each.
    """
    dataset = check(points)
    made = Record(LESSON, "full", dataset)
    if points[0].experiment == ONE_SHOT:
        rows = [one_shot_row(record) for record in records]
        for one in rows:
            made.measure(AT_ONCE, one["accuracy"], "share", **one)
        decide_one_shot(made, rows)
        return made
    rows = [row(record) for record in records]
    nets = list(dict.fromkeys(one["net"] for one in rows))
    starts = {net: start_scores([point for point in points if point.values["net"] == net]) for net in nets}
    for net, start in starts.items():
        for seed, scores in start.items():
            for split, value in scores.items():
                made.measure("accuracy before quantization", value, "share", net=net, seed=seed, split=split)
    for one in rows:
        made.measure("accuracy after quantization", one["accuracy"], "share", **one)
    results.decide(made, rows, starts if len(nets) > 1 else starts[nets[0]])
    return made


def one_shot_row(record: dict) -> dict:
    """Return what counts of a record of the experiment "one-shot"; sizes are None for the arm "float"."""
    point = record["point"]
    found = {entry["name"]: entry["value"] for entry in record["measurements"]}
    names = ("net", "arm", "seed", "bits", "Lambda", "step_rule", "probabilities", "rule", "floor")
    sizes = {"sparsity": found.get("sparsity"), "bytes": found.get("coded size"), "file": found.get("file size")}
    information = {name: value for name, value in found.items() if name.startswith(INFORMATION)}
    return {name: point[name] for name in names} | {"accuracy": found["accuracy"]} | sizes | information


def lost_at_once(record: dict) -> dict[str, dict[str, list[float]]]:
    """Return what nets lose that are quantized without training by the published step: net to arm to shares.

    The first arm is ECQ with the published shares, which do not sum to 1; all others have shares that do.

    Parameters
    ----------
    record : dict
        That `decided` made of the experiment "one-shot".
    """
    rows = select(record["measurements"], name=AT_ONCE, step_rule=results.PUBLISHED_STEP)
    arms = {"as published, ECQ": select(rows, arm="ecq", probabilities="published")}
    arms |= {label: select(rows, arm=arm, probabilities="normalized") for arm, label in results.LABELS.items()}
    whole = {one["net"]: one["accuracy"] for one in select(rows, arm="float")}
    return {
        _name(net): {label: [score - one["accuracy"] for one in select(some, net=net)] for label, some in arms.items()}
        for net, score in whole.items()
    }


def _name(net: str) -> str:
    return net.removesuffix("-published").replace("resnet", "ResNet-")


def at_once_table(record: dict) -> list[str]:
    """Return what nets keep that were quantized without training, as text: a line for each way and arm, a column a net.

    Parameters
    ----------
    record : dict
        That `decided` made of the experiment "one-shot".
    """
    rows = select(record["measurements"], name=AT_ONCE)
    nets = list(dict.fromkeys(one["net"] for one in rows))
    lines = [f"{'':40}" + "".join(f"{_name(net):>23}" for net in nets)]
    ways = dict.fromkeys((one["step_rule"], one["probabilities"], one["arm"]) for one in rows)
    for step_rule, probabilities, arm in sorted(ways, key=lambda way: way[2] != "float"):
        some = select(rows, step_rule=step_rule, probabilities=probabilities, arm=arm)
        each = ([one["accuracy"] for one in select(some, net=net)] for net in nets)
        how = "" if arm == "float" else f"{step_rule}, {probabilities}"
        lines.append(f"{how:30}{results.arm_label(arm):>10}" + "".join(f"{percent(values):>23}" for values in each))
    return lines


def scores_table(record: dict) -> list[str]:
    """Return what nets keep that were quantized without training by other scores and rules, as text: a line for each.

    Parameters
    ----------
    record : dict
        That `decided` made of the experiment "one-shot".
    """
    setting = {name: SETTING[name] for name in ("bits", "Lambda", "probabilities")}
    rows = select(record["measurements"], name=AT_ONCE, step_rule=results.PUBLISHED_STEP, **setting)
    rows = [one for one in rows if one["arm"] != "float"]
    nets = list(dict.fromkeys(one["net"] for one in rows))
    lines = [f"{'':28}" + "".join(f"{_name(net):>11}" for net in nets) + f"{'zeros':>9}"]
    for arm, rule, floor in dict.fromkeys((one["arm"], one["rule"], one["floor"]) for one in rows):
        some = select(rows, arm=arm, rule=rule, floor=floor)
        label = results.arm_label(arm) + (f", {rule}" if arm == "lrp" else "") + (f", floor {floor}" if floor else "")
        each = ([one["accuracy"] for one in select(some, net=net)] for net in nets)
        cells = (f"{fmean(values):>11.1%}" if values else f"{'-':>11}" for values in each)
        lines.append(f"{label:28}" + "".join(cells) + f"{fmean(one['sparsity'] for one in some):>9.0%}")
    return lines


def decide_one_shot(record: Record, rows: Rows) -> None:
    """Decide the claims about nets that were quantized without training: a net is what a seed is elsewhere.

    Plans with random numbers decide X2d, those with scores by the loss X2e, those with information X4, X4c and X4d.

    Parameters
    ----------
    record : Record
        The verdicts go into it.
    rows : sequence of dict
        As `one_shot_row` returns them; several seeds of an arm are draws of its images or numbers, and their mean
        counts.
    """
    some = [one for one in select(rows, step_rule=results.PUBLISHED_STEP, **SETTING) if one["arm"] != "float"]
    dataset = record.content["dataset"]

    def about(arms: Sequence[str], rows: Rows) -> dict:
        """Return what is said of a verdict on those nets that have all of some arms."""
        nets = dict.fromkeys(one["net"] for one in rows)
        having = [net for net in nets if all(select(rows, net=net, arm=arm) for arm in arms)]
        return {"at_scale": False, "seeds": list(range(len(having))), "on": ", ".join(having)}

    def of_nets(nets: str, arm: str, name: str = "accuracy", rows: Rows = some) -> list[float]:
        return [fmean(one[name] for one in select(rows, net=net, arm=arm)) for net in nets.split(", ")]

    for claim, labels in (("X2d", results.RIVALS), ("X2e", results.SCORES)):
        told = about(("lrp", *labels), some)
        if told["on"]:
            rivals = {label: {"4 bit": of_nets(told["on"], arm)} for arm, label in labels.items()}
            record.claim(f"{claim}-{dataset}", **told, relevance={"4 bit": of_nets(told["on"], "lrp")}, rivals=rivals)
    counted = [one for one in some if f"{INFORMATION}all weights" in one]
    told = about(("lrp",), counted)
    if told["on"]:
        relevant, large, each, moved, by_ecq = (
            of_nets(told["on"], "lrp", f"{INFORMATION}{what}", counted)
            for what in (
                "relevant weights",
                "large weights",
                "all weights",
                "relevant weights, by ECQ's clusters",
                "relevant weights under ECQ",
            )
        )
        record.claim(f"X4-{dataset}", **told, relevant=relevant, each=each)
        record.claim(f"X4c-{dataset}", **told, relevant=relevant, large=large)
        record.claim(f"X4d-{dataset}", **told, relevant=moved, by_ecq=by_ecq)
