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
LEARNED = "accuracy beside learned steps"  # of plans that have the arm "lsq"
INFORMATION = "information of "  # begins those of clusters
ANY_SIZE = {"probabilities": "normalized", "rule": "epsilon", "floor": 0.0}
SETTING = {"bits": 4, "Lambda": 0.05} | ANY_SIZE  # of the claims


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
    known = set(NAMES) | ({"mnist"} if _learns_steps(points) else set())
    if points[0].experiment not in ("quantize", ONE_SHOT) or len(datasets) > 1 or not datasets <= known:
        raise UserError(
            f"--decide is for plans that quantize nets of one of {', '.join(NAMES)}: the claims about other sets are "
            "decided by their lessons"
        )
    return datasets.pop()


def _learns_steps(points: Sequence[Point]) -> bool:
    return any(point.values["arm"] == "lsq" for point in points)


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
    if _learns_steps(points):
        for one in rows:
            made.measure(LEARNED, one["accuracy"], "share", **one)
        decide_learned_steps(made, rows)
        return made
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


def decide_learned_steps(record: Record, rows: Rows) -> None:
    """Decide X2g: ECQ^x against LSQ, at equal bits.

    Parameters
    ----------
    record : Record
        The verdict goes into it.
    rows : sequence of dict
        As `relcomp_kit.studies.quantization.measurement.row` returns them; of one net.
    """
    seeds = results.distinct(rows, "seed")
    of_arm = {
        arm: {
            str(bits): [one["accuracy"] for seed in seeds for one in select(rows, arm=arm, bits=bits, seed=seed)]
            for bits in results.distinct(rows, "bits")
        }
        for arm in ("lrp", "lsq")
    }
    told = {"at_scale": False, "seeds": seeds, "on": f"{rows[0]['net']}, {rows[0]['steps']:,} steps of training"}
    record.claim("X2g", **told, accuracy=of_arm["lrp"], learned=of_arm["lsq"])


def learned_steps_table(record: dict) -> list[str]:
    """Return what nets keep whose steps are learned, and others, as text: a line for each bit width and arm.

    Parameters
    ----------
    record : dict
        That `decided` made of a plan with the arm "lsq".
    """
    rows = select(record["measurements"], name=LEARNED)
    lines = []
    for bits in results.distinct(rows, "bits"):
        for arm in dict.fromkeys(one["arm"] for one in rows):
            some = select(rows, bits=bits, arm=arm)
            size = fmean(one["bytes"] for one in some) / 1000
            zeros = fmean(one["sparsity"] for one in some)
            told = percent([one["accuracy"] for one in some])
            lines.append(f"{bits} bit  {results.arm_label(arm):5}{told:>24}, {size:.1f} kB, {zeros:.0%} zeros")
    return lines


def one_shot_row(record: dict) -> dict:
    """Return what counts of a record of the experiment "one-shot"; sizes are None for the arm "float"."""
    point = record["point"]
    found = {entry["name"]: entry["value"] for entry in record["measurements"]}
    names = ("net", "arm", "seed", "bits", "Lambda", "step_rule", "probabilities", "rule", "floor", "qp", "rate")
    sizes = {"sparsity": found.get("sparsity"), "bytes": found.get("coded size"), "file": found.get("file size")}
    information = {name: value for name, value in found.items() if name.startswith(INFORMATION)}
    return {name: point[name] for name in names} | {"accuracy": found["accuracy"]} | sizes | information


def task(record: dict) -> tuple[list[dict], dict[str, list[float]]]:
    """Return what `relcomp_kit.figures.published_tasks` draws: trained nets with the bytes of their files, and before.

    Parameters
    ----------
    record : dict
        That `decided` made of the experiment "quantize" on a published set.
    """
    rows, before = select(record["measurements"], name="accuracy after quantization"), {}
    for one in select(record["measurements"], name="accuracy before quantization", split="test"):
        before.setdefault(one["net"], []).append(one["value"])
    return [row | {"dataset": record["dataset"], "bytes": row["file"]} for row in rows], before


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
    lines = [f"{'':28}" + _heads(nets)]
    for arm, rule, floor in dict.fromkeys((one["arm"], one["rule"], one["floor"]) for one in rows):
        some = select(rows, arm=arm, rule=rule, floor=floor)
        label = results.arm_label(arm) + (f", {rule}" if arm == "lrp" else "") + (f", floor {floor}" if floor else "")
        lines.append(f"{label:28}" + _cells(some, nets))
    return lines


def _heads(nets: Sequence[str]) -> str:
    return "".join(f"{_name(net):>11}" for net in nets) + f"{'zeros':>9}"


def _cells(rows: Rows, nets: Sequence[str]) -> str:
    """Return the mean accuracy of each net, "-" where there is none, and the mean share of zeros, below `_heads`."""
    each = ([one["accuracy"] for one in select(rows, net=net)] for net in nets)
    cells = (f"{fmean(values):>11.1%}" if values else f"{'-':>11}" for values in each)
    return "".join(cells) + f"{fmean(one['sparsity'] for one in rows):>9.0%}"


def bytes_table(record: dict) -> list[str]:
    """Return what nets of several sizes keep that were quantized without training, as text: a line for each way.

    Sizes are those of files, as a mean over the nets.

    Parameters
    ----------
    record : dict
        That `decided` made of the experiment "one-shot".
    """
    rows = [one for one in select(record["measurements"], name=AT_ONCE) if one["arm"] != "float"]
    nets = list(dict.fromkeys(one["net"] for one in rows))
    lines = [f"{'':22}{'kB':>8}" + _heads(nets)]
    ways: dict[tuple[str, str], list[dict]] = {}
    for one in rows:
        ways.setdefault((one["arm"], _size_of(one)), []).append(one)
    arms = list(dict.fromkeys(arm for arm, _ in ways))
    sized = [
        (arms.index(arm), fmean(one["file"] for one in some) / 1000, how, some) for (arm, how), some in ways.items()
    ]
    for place, size, how, some in sorted(sized, key=lambda one: one[:2]):
        lines.append(f"{results.arm_label(arms[place]) + ', ' + how:22}{size:>8.0f}" + _cells(some, nets))
    return lines


def _size_of(one: dict) -> str:
    """Return what decides how small a net becomes, in the words of its arm."""
    if one["arm"] == "rdoq":
        return f"qp {one['qp']}"
    return f"{one['bits']} bit" if one["arm"] == "gptq" else f"Λ {one['Lambda']}"


def decide_one_shot(record: Record, rows: Rows) -> None:
    """Decide the claims about nets that were quantized without training: a net is what a seed is elsewhere.

    Plans with random numbers decide X2d, those with scores by the loss X2e, those with information X4, X4c and X4d,
    those with GPTQ and RDOQ at several sizes X2f.

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
    sized = select(rows, step_rule=results.PUBLISHED_STEP, **ANY_SIZE)
    told = about(("lrp", *results.CODERS), sized)
    if told["on"]:
        # GPTQ has few sizes: they are the places at which the others are read off.
        asked = {arm: {} for arm in ("lrp", *results.CODERS)}
        for bits in results.distinct(select(sized, arm="gptq"), "bits"):
            of_gptq = select(sized, arm="gptq", bits=bits)
            given = {net: one for net in told["on"].split(", ") for one in select(of_gptq, net=net)}
            if len(given) < len(told["seeds"]):
                continue
            for arm, places in asked.items():
                places[f"the bytes of GPTQ at {bits} bit"] = [
                    one["accuracy"] if arm == "gptq" else results.at_bytes(select(sized, arm=arm, net=net), one["file"])
                    for net, one in given.items()
                ]
        rivals = {label: asked[arm] for arm, label in results.CODERS.items()}
        record.claim(f"X2f-{dataset}", **told, relevance=asked["lrp"], rivals=rivals)
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
