"""What lesson 05 makes of its rows: curves at equal sparsity and at equal size, claims, a record and its summary."""

import math
import operator
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from relcomp_kit.datasets.labelled import NAMES as PUBLISHED_SETS
from relcomp_kit.evidence.claims import in_set
from relcomp_kit.evidence.record import Record, claims_text
from relcomp_kit.evidence.rules.series import percent, spread
from relcomp_kit.relevance.faithfulness import area
from relcomp_kit.studies.quantization.several_nets import together
from relcomp_kit.sweeps.table import Rows, select

LABELS = {"ecq": "ECQ", "lrp": "LRP", "magnitude": "magnitude", "random": "random"}  # of arms, as in figures and prose
ARMS = tuple(LABELS)
SCORES = {"taylor": "Taylor", "fisher": "Fisher", "activation-aware": "activation-aware"}  # rivals at once alone
CODERS = {"gptq": "GPTQ", "rdoq": "RDOQ"}  # that know no relevance, at once alone
LEARNED = {"lsq": "LSQ"}  # that learns its steps, in training alone
RIVALS = {arm: label for arm, label in LABELS.items() if arm != "lrp"}
PUBLISHED_STEP = "p99.9-interpolated"
SPARSE = 0.5  # zeros of a net that is called sparse
FEW = 0.01  # accuracy that a small net may lose on validation
GRID = 21  # places at which curves are read off


def judged(rows: Rows) -> list[dict]:
    """Return the rows that claims are decided by: of the published step; of its old form at 2 bit, the other one."""
    return [
        row for row in rows if row["step_rule"] in (PUBLISHED_STEP, "least-squares" if row["bits"] == 2 else "p99.9")
    ]


def distinct(rows: Rows, name: str) -> list:
    """Return the different values that a column has, sorted; rows of the arm "float" are left out, which has no bits.

    Parameters
    ----------
    rows : sequence of dict
        See `relcomp_kit.studies.quantization.measurement.row`; so everywhere here.
    name : str
        Of the column.
    """
    return sorted({row[name] for row in rows if row["arm"] != "float"})


def curve(rows: Rows, axis: str, score: str = "accuracy") -> list[tuple[float, float]]:
    """Return (value on the axis, score on the test split) of every Lambda of one net, by rising Lambda.

    Parameters
    ----------
    rows : sequence of dict
        Of one net, arm and bit width.
    axis : {"sparsity", "bytes"}
        The column along the axis.
    score : {"accuracy", "miou"}
        The column of the score.
    """
    return [(row[axis], row[score]) for row in sorted(rows, key=lambda row: row["Lambda"])]


def curves(rows: Rows, axis: str, score: str = "accuracy") -> dict[str, dict[str, list[list[tuple[float, float]]]]]:
    """Return what the figure draws: bit width and arm to a curve a seed.

    Parameters
    ----------
    rows : sequence of dict
        Of all nets, arms and bit widths.
    axis : {"sparsity", "bytes"}
        The column along the axis.
    score : {"accuracy", "miou"}
        The column of the score.
    """
    return {
        f"{bits} bit": {
            arm: [curve(select(rows, bits=bits, arm=arm, seed=seed), axis, score) for seed in distinct(rows, "seed")]
            for arm in ARMS
        }
        for bits in distinct(rows, "bits")
    }


def published_grid(rows: Rows, axis: str, arm: str = "lrp") -> list[list[tuple[float, float]]]:
    """Return the curves of an arm at 2 bit on the published grid, one a seed.

    Parameters
    ----------
    rows : sequence of dict
        Of all nets, arms and bit widths.
    axis : {"sparsity", "bytes"}
        The column along the axis.
    arm : str
        One of `ARMS`.
    """
    some = [row for row in select(rows, arm=arm, bits=2) if row["step_rule"] != "least-squares"]
    return [curve(select(some, seed=seed), axis) for seed in distinct(some, "seed")]


def mean_accuracy(rows: Rows, axis: str) -> dict[str, float]:
    """Return the mean accuracy of every arm over the range that all arms reach, for one seed and bit width.

    Between two Lambdas, accuracy is interpolated linearly. Bytes count by their logarithm, so that to halve them is the
    same step anywhere. NaN where the arms have no range in common.

    Parameters
    ----------
    rows : sequence of dict
        Of one seed and bit width, all arms.
    axis : {"sparsity", "bytes", "file"}
        The column of the range.
    """
    found = {arm: np.array(curve(select(rows, arm=arm), axis)) for arm in ARMS}
    if axis != "sparsity":
        found = {arm: np.column_stack([np.log(each[:, 0]), each[:, 1]]) for arm, each in found.items()}
    first = max(each[:, 0].min() for each in found.values())
    last = min(each[:, 0].max() for each in found.values())
    if first >= last:
        return dict.fromkeys(ARMS, math.nan)
    places = np.linspace(first, last, GRID)
    means = {}
    for arm, each in found.items():
        each = each[each[:, 0].argsort()]
        means[arm] = area(places.tolist(), np.interp(places, each[:, 0], each[:, 1]).tolist())
    return means


def mean_accuracies(rows: Rows, size: str = "bytes") -> dict[str, dict[str, list[float]]]:
    """Return `mean_accuracy` as a mean over bit widths: axis and arm to one value a seed.

    Parameters
    ----------
    rows : sequence of dict
        Of all nets, arms and bit widths.
    size : {"bytes", "file"}
        The column of sizes: estimated by entropy, or of whole files.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for name, axis in {"equal sparsity": "sparsity", "equal bytes": size}.items():
        per_seed = [
            [mean_accuracy(select(rows, bits=bits, seed=seed), axis) for bits in distinct(rows, "bits")]
            for seed in distinct(rows, "seed")
        ]
        found[name] = {arm: [fmean(one[arm] for one in seed) for seed in per_seed] for arm in ARMS}
    return found


def best_sparse(rows: Rows) -> dict | None:
    """Return the row with the best validation of those with half of the weights 0, if there is one."""
    sparse = [row for row in rows if row["sparsity"] >= SPARSE]
    return max(sparse, key=lambda row: row["validation"], default=None)


def smallest(rows: Rows, start: float, size: str = "bytes") -> dict | None:
    """Return the smallest net that loses at most a point on validation, if there is one.

    Parameters
    ----------
    rows : sequence of dict
        To choose from.
    start : float
        Accuracy of the float net on validation.
    size : {"bytes", "file"}
        The column of sizes, as in `mean_accuracies`.
    """
    good = [row for row in rows if row["validation"] >= start - FEW]
    return min(good, key=lambda row: row[size], default=None)


def at_sparsity(rows: Rows, sparsity: float) -> float:
    """Return the accuracy of one net at a sparsity, on the line between two Lambdas; NaN outside of their range.

    Parameters
    ----------
    rows : sequence of dict
        Of one net, arm and bit width.
    sparsity : float
        Share of weights that are 0.
    """
    x, y = np.array(sorted(curve(rows, "sparsity"))).T
    return float(np.interp(sparsity, x, y, left=math.nan, right=math.nan))


def at_bytes(rows: Rows, size: float) -> float:
    """Return the accuracy of one net in files of so many bytes, on the line between two sizes, by their logarithm.

    The largest file counts for all larger sizes too. NaN below the smallest.

    Parameters
    ----------
    rows : sequence of dict
        Of one net and arm.
    size : float
        Bytes.
    """
    x, y = np.array(sorted((row["file"], row["accuracy"]) for row in rows)).T
    return float(np.interp(math.log(size), np.log(x), y, left=math.nan))


def decide(record: Record, rows: Rows, start: dict) -> None:
    """Decide X1 to X3 and their controls, in the rows of the ledger that are about the record's data set.

    Parameters
    ----------
    record : Record
        The verdicts go into it.
    rows : sequence of dict
        As `relcomp_kit.studies.quantization.measurement.swept` returns them; of one net or several.
    start : dict
        Seed to "test" and "validation", of the net before it was quantized; by net where there are several.
    """
    dataset = record.content["dataset"]
    nets = list(dict.fromkeys(row.get("net", "") for row in rows))
    starts = start if len(nets) > 1 else {nets[0]: start}
    each = [series_of([row for row in rows if row.get("net", "") == net], starts[net], dataset) for net in nets]
    asked = {"at_scale": False, "seeds": distinct(rows, "seed"), "on": _on(rows, nets)}
    for claim in ("X1", "X1c", "X2", "X2c", "X3"):
        series = [one[claim] for one in each]
        joined = series[0] if len(nets) == 1 else together(dict(zip(nets, series)))
        record.claim(in_set(claim, dataset), **asked, **joined)


def _on(rows: Rows, nets: Sequence[str]) -> str:
    steps = sorted({row["steps"] for row in rows})
    told = ", ".join(filter(None, nets))
    return f"{told}: ".lstrip(": ") + f"trained while quantized for {' or '.join(f'{one:,}' for one in steps)} steps"


def series_of(rows: Rows, start: dict[int, dict[str, float]], dataset: str) -> dict[str, dict]:
    """Return what the rules of X1 to X3 and their controls take: claim to series, of one net.

    Parameters
    ----------
    rows : sequence of dict
        Of one net, as in `decide`.
    start : dict
        Seed to "test" and "validation", of the net before it was quantized.
    dataset : str
        On the published sets, sizes are those of files.
    """
    size = "file" if dataset in PUBLISHED_SETS else "bytes"
    rows, longer = judged(rows), select(rows, arm="float")
    lrp, seeds = select(rows, arm="lrp"), distinct(rows, "seed")
    tests = [start[seed]["test"] for seed in seeds]
    found = {
        bits: [best_sparse(select(lrp, bits=bits, seed=seed)) for seed in seeds] for bits in distinct(rows, "bits")
    }
    chosen = {bits: [row["accuracy"] if row else math.nan for row in each] for bits, each in found.items()}
    trained = [select(longer, seed=seed)[0]["accuracy"] for seed in seeds]
    means = mean_accuracies(rows, size)
    ahead = {
        "relevance": {name: arms["lrp"] for name, arms in means.items()},
        "rivals": {label: {name: arms[arm] for name, arms in means.items()} for arm, label in RIVALS.items()},
    }
    small = [smallest(select(lrp, seed=seed), start[seed]["validation"], size) for seed in seeds]
    lost = [test - row["accuracy"] if row else 0.0 for test, row in zip(tests, small)]  # none: the float net stays
    ratio = [row["ratio"] * row["bytes"] / row[size] if row else 1.0 for row in small]
    return {
        "X1": {"accuracy": chosen, "start": tests},
        "X1c": {"accuracy": chosen, "trained": trained},
        "X2": ahead,
        "X2c": ahead,
        "X3": {"ratio": ratio, "lost": lost},
    }


def note(record: Record, rows: Rows, start: dict[int, dict[str, float]]) -> None:
    """Put every row of a sweep into a record, and what the nets scored before.

    Parameters
    ----------
    record : Record
        They go into it.
    rows : sequence of dict
        Of the sweep.
    start : dict
        Seed to split to accuracy, of the net before it was quantized.
    """
    for seed, scores in start.items():
        for split, value in scores.items():
            record.measure("accuracy before quantization", value, "share", seed=seed, split=split)
    for row in rows:
        record.measure("accuracy after quantization", row["accuracy"], "share", **row)


def note_one_shot(record: Record, name: str, seed: int, rows: Rows, dataset: str) -> None:
    """Put what quantization without training measured into a record.

    Parameters
    ----------
    record : Record
        It goes into it.
    name : str
        Size of the net.
    seed : int
        Of the net.
    rows : sequence of dict
        As `relcomp_kit.studies.quantization.measurement.one_shot` returns them.
    dataset : str
        The set that the net was tested on.
    """
    for row in rows:
        labels = {"net": name, "seed": seed, "dataset": dataset} | row
        record.measure("accuracy without training", row["accuracy"], "share", **labels)


def verdicts(record: Record, rows: Rows, start: dict[int, dict[str, float]], once: dict, dataset: str) -> str:
    """Put all that the lesson measured into its record, decide the claims, save it; return the claims as text.

    Parameters
    ----------
    record : Record
        Of the lesson.
    rows : sequence of dict
        Of the sweep.
    start : dict
        As in `decide`.
    once : dict of Segmenter to sequence of dict
        Nets, and what they do when quantized without training, as in `note_one_shot`.
    dataset : str
        The set that these nets were tested on.
    """
    note(record, rows, start)
    for net, found in once.items():
        note_one_shot(record, net.name, net.seed, found, dataset)
    decide(record, rows, start)
    record.save()
    return claims_text(record.content)


def recorded(record: dict) -> tuple[list[dict], dict[int, dict[str, float]]]:
    """Return the rows of a record and what its nets scored before, as `note` took them."""
    rows, start = [], {}
    for entry in record["measurements"]:
        if entry["name"] == "accuracy after quantization":
            rows.append(entry)
        elif entry["name"] == "accuracy before quantization":
            start.setdefault(entry["seed"], {})[entry["split"]] = entry["value"]
    return rows, start


def by_arm(each: Sequence[Rows], bits: int, Lambda: float) -> dict[str, list[float]]:
    """Return the accuracies of several nets without training: arm to one value a net, the float nets first.

    Parameters
    ----------
    each : sequence of sequence of dict
        The rows of every net; see `relcomp_kit.studies.quantization.measurement.one_shot`.
    bits : int
        Bit width.
    Lambda : float
        How much the entropy counts in ECQ.
    """
    some = [[row for row in rows if (row["bits"], row["Lambda"]) in ((None, None), (bits, Lambda))] for rows in each]
    return {rows[0]["arm"]: [row["accuracy"] for row in rows] for rows in zip(*some)}


def arm_label(arm: str) -> str:
    """Return how an arm is called in tables, as in figures: "lrp, sums left out" is "LRP, sums left out"."""
    name, comma, variant = arm.partition(",")
    return (LABELS | SCORES | CODERS | LEARNED).get(name, name) + comma + variant


def one_shot_table(once: Sequence[tuple[str, Rows]]) -> list[str]:
    """Return what quantization without training does, as text, from (size, rows) of every net.

    There is a line for each size of net, bit width, Lambda and arm.
    """
    lines = []
    for name in dict.fromkeys(name for name, _ in once):
        for some in zip(*(rows for size, rows in once if size == name)):
            arm, bits, Lambda = (some[0][key] for key in ("arm", "bits", "Lambda"))
            how = f"{bits} bit, Λ {Lambda:<6}" if bits else ""
            zeros = f", {percent_of([row['sparsity'] for row in some])} zeros" if bits else ""
            scores = f"{percent([row['accuracy'] for row in some])}, mIoU {percent([row['miou'] for row in some])}"
            lines.append(f"{name:10}{how:16}{arm_label(arm):20}{scores}{zeros}")
    return lines


def recorded_one_shot(record: dict) -> list[tuple[str, list[dict]]]:
    """Return what a record holds of quantization without training: (size, rows) of every net."""
    found: dict[tuple, list[dict]] = {}
    for entry in record["measurements"]:
        if entry["name"] == "accuracy without training":
            found.setdefault((entry["net"], entry["seed"]), []).append(entry)
    return [(net, rows) for (net, _), rows in found.items()]


def ahead_table(each: Sequence[Rows]) -> list[str]:
    """Return on how many nets LRP is ahead of each other arm without training, as text: a line for each setting.

    Parameters
    ----------
    each : sequence of sequence of dict
        The rows of every net; see `relcomp_kit.studies.quantization.measurement.one_shot`.
    """
    lines = []
    for bits, Lambda in dict.fromkeys((row["bits"], row["Lambda"]) for rows in each for row in rows if row["bits"]):
        arms = by_arm(each, bits, Lambda)
        wins = {arm: sum(map(operator.gt, arms["lrp"], arms[arm])) for arm in arms if arm not in ("float", "lrp")}
        listed = "; ".join(f"{arm_label(arm)}: {count}" for arm, count in wins.items())
        lines.append(f"{bits} bit, Λ {Lambda:<5} nets of {len(each)} on which LRP is ahead of {listed}")
    return lines


def trained_as_long(rows: Rows) -> dict[int, dict[str, float]]:
    """Return what the float nets score that were trained as long as the quantized ones: seed to "test"."""
    return {row["seed"]: {"test": row["accuracy"]} for row in select(rows, arm="float")}


def summary(rows: Rows, start: dict[int, dict[str, float]]) -> list[str]:
    """Return a table as text: what each arm loses at each bit width, at 70 % zeros and at its best.

    Parameters
    ----------
    rows : sequence of dict
        Of the sweep.
    start : dict
        Seed to "test", the accuracy of the float net that losses are held against: before quantization, or trained as
        long (`trained_as_long`).
    """
    rows, seeds = judged(rows), distinct(rows, "seed")
    before = fmean(start[seed]["test"] for seed in seeds)
    lines = [f"The float net has {100 * before:.1f} %. Points lost against it, mean and range of {len(seeds)} nets:"]
    lines += [f"{'':8}{'arm':12}{'at 70 % zeros':>26}{'best, half zeros':>26}{'zeros':>10}{'smaller':>10}"]
    for bits in distinct(rows, "bits"):
        for arm in ARMS:
            each = [select(rows, bits=bits, arm=arm, seed=seed) for seed in seeds]
            lost = [start[seed]["test"] - at_sparsity(some, 0.7) for seed, some in zip(seeds, each)]
            best = [best_sparse(some) for some in each]
            line = f"{bits} bit   {arm_label(arm):12}{_points(lost):>26}"
            if all(best):
                best_lost = [start[seed]["test"] - row["accuracy"] for seed, row in zip(seeds, best)]
                zeros, ratio = percent_of([row["sparsity"] for row in best]), fmean(row["ratio"] for row in best)
                line += f"{_points(best_lost):>26}{zeros:>10}{ratio:>9.1f}x"
            lines.append(line)
    return lines


def percent_of(values: Sequence[float]) -> str:
    """Return the mean of shares in whole percent."""
    return f"{100 * fmean(values):.0f} %"


def _points(lost: Sequence[float]) -> str:
    return spread([100 * value for value in lost], 2)
