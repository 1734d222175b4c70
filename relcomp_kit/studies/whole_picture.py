"""The whole pipeline in one picture: bytes against test score, of the thesis' net and of DeepLabV3, as recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from relcomp_kit.evidence import claims
from relcomp_kit.evidence.rules.series import percent
from relcomp_kit.studies.coding import results as coding_results
from relcomp_kit.studies.experts import results as expert_results
from relcomp_kit.studies.pruning.measurement import density, factors, select
from relcomp_kit.studies.quantization import results as quantize_results

QUANTIZED = {"ecq": "ECQ", "lrp": "ECQˣ, LRP"}
ESTIMATE = "entropy of the indices, all else as float32"
SPARSE = "4 bytes a weight left, and the entropy of the mask"
CUT = "float32, without the filters cut off"
CODED = "the whole file, coded by NNC, batch-norm folded, all else in 8 bit"
RIVAL = "magnitude per layer"  # of relevance, in experts: across layers, magnitude leaves some nearly empty
PRUNE, QUANTIZE, EXPERT = "pruned", "quantized", "cut to an expert"  # what is done to a net
ROOM = 1.05  # nets that differ by less in size are rivals
PRUNED = {"LRP-ε, mean of abs": "pruning, LRP", "magnitude": "pruning, magnitude"}


@dataclass(frozen=True)
class Point:
    """What some nets that were made alike take, over the bytes as float32 (mean), and a test score a seed."""

    setting: str
    size: float
    scores: tuple[float, ...]
    validation: float | None = None  # mean over the seeds: what a point is chosen by


@dataclass(frozen=True)
class Family:
    """One way to make a net small: its points, what their bytes count, and the command that measures them again.

    The step is what is done to the net: `PRUNE`, `QUANTIZE` or `EXPERT`.
    """

    name: str
    counted: str
    step: str
    command: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Panel:
    """One net and its data: what the score is, all families that are recorded, and the commands of those that are not.

    Except for files, the first point of a family is a net in float32 that was trained as long and not changed
    otherwise.
    """

    title: str
    score: str
    families: tuple[Family, ...]
    missing: tuple[str, ...]


Read = tuple[tuple[str, str, str], tuple[Point, ...]]  # (name, what bytes count, step) and points
Reader = Callable[[dict], list[Read]]


def panels(records: dict[str, dict] | None = None) -> list[Panel]:
    """Return what is recorded of both nets.

    Parameters
    ----------
    records : dict of str to dict, optional
        As `relcomp_kit.evidence.claims.recorded` returns them, which is the default.
    """
    records = claims.recorded() if records is None else records
    return [
        _panel(
            "the thesis' net on MNIST",
            "accuracy",
            records,
            [
                ("02_prune_until_it_converges", "relcomp run 02 --profile full", _pruned_by_saliency),
                ("05_quantize_by_relevance", "relcomp run 05 --profile full", _quantized("accuracy")),
                ("07_encode_with_nnc", "relcomp run 07 --profile full", _coded("thesis' net")),
            ],
        ),
        _panel(
            "compact DeepLabV3 on rail scenes",
            "mIoU",
            records,
            [
                ("04_ask_which_weights_matter", "relcomp run 04 --profile full", _pruned_at_once),
                (
                    "05_quantize_by_relevance.rail-scenes",
                    "relcomp run 05 --profile full --dataset rail-scenes",
                    _quantized("miou"),
                ),
                ("06_cut_out_relevant_experts", "relcomp run 06 --profile full", _experts),
                ("07_encode_with_nnc", "relcomp run 07 --profile full", _coded("DeepLabV3", "rail expert")),
            ],
        ),
    ]


def _panel(title: str, score: str, records: dict, wanted: Sequence[tuple[str, str, Callable]]) -> Panel:
    families, missing = [], []
    for name, command, read in wanted:
        if name in records:
            families += [Family(*family, command, points) for family, points in read(records[name])]
        else:
            missing.append(command)
    return Panel(title, score, tuple(families), tuple(missing))


def _pruned_by_saliency(record: dict) -> list[Read]:
    """Return pruning by the thesis' rule, and by magnitude to equally many weights: the nets after the last step."""
    curves = record["curves"]
    found = []
    for group, name in (("pruned", "pruning, saliency"), ("magnitude", "pruning, magnitude")):
        start = _point("unpruned", [(1.0, curve["test"][-1], None) for curve in curves["unpruned"]])
        points = [start]
        for sf in factors(curves[group]):
            nets = [(density(curve)[-1], curve["test"][-1], None) for curve in select(curves[group], sf)]
            if any(left < 1 for left, *_ in nets):  # low factors remove nothing
                points.append(_point(f"SF {sf}", [(sparse_size(left), *scores) for left, *scores in nets]))
        found.append(((name, SPARSE, PRUNE), tuple(points)))
    return found


def _pruned_at_once(record: dict) -> list[Read]:
    """Return pruning of single weights, least first and without training, by relevance and by magnitude."""
    curves = [
        entry
        for entry in record["measurements"]
        if entry["name"] == "miou after removal" and (entry["scope"], entry["first"]) == ("weights", "least")
    ]
    found = []
    for measure, name in PRUNED.items():
        some = [entry for entry in curves if entry["measure"] == measure and entry["net"] == "compact"]
        points = tuple(
            _point(f"{share:.0%} removed", [(sparse_size(1 - share), entry["value"][i], None) for entry in some])
            for i, share in enumerate(some[0]["shares"])
        )
        found.append(((f"{name}, no training", SPARSE, PRUNE), points))
    return found


def _quantized(score: str) -> Reader:
    def read(record: dict) -> list[Read]:
        rows = quantize_results.judged(quantize_results.recorded(record)[0])
        longer = [(1 / row["ratio"], row[score], None) for row in quantize_results.select(rows, arm="float")]
        start = _point("float, trained as long", longer)
        return [
            ((name, ESTIMATE, QUANTIZE), (start, *front(_grouped(quantize_results.select(rows, arm=arm), score))))
            for arm, name in QUANTIZED.items()
        ]

    return read


def _grouped(rows: Sequence[dict], score: str) -> list[Point]:
    """Return a point for every bit width and Lambda."""
    settings = sorted({(row["bits"], row["Lambda"]) for row in rows})
    return [
        _point(
            f"{bits} bit, Λ {Lambda}",
            [
                (1 / row["ratio"], row[score], row["validation"])
                for row in quantize_results.select(rows, bits=bits, Lambda=Lambda)
            ],
        )
        for bits, Lambda in settings
    ]


def _experts(record: dict) -> list[Read]:
    """Return experts for one class, trained a little, by relevance and by its rival; their mIoU is over all classes."""
    rows = expert_results.recorded(record)
    wanted = next(row["wanted"] for row in rows if len(row["wanted"]) == 1)
    whole = list(expert_results.supers(rows).values())
    found = []
    for arm in ("relevance", RIVAL):
        some = [row for row in expert_results.select(rows, arm=arm, wanted=wanted) if row["keep"] < 1]
        points = [_point("super-net", [_expert(row) for row in whole])]
        for keep in sorted({row["keep"] for row in some}, reverse=True):
            nets = [_expert(row) for row in expert_results.select(some, keep=keep)]
            points.append(_point(f"{keep:.0%} of the filters", nets))
        found.append(((f"{wanted[0]} expert, {arm}", CUT, EXPERT), tuple(points)))
    return found


def _coded(*kinds: str) -> Reader:
    """Return the reader of files of nets by ECQ^x, a family a kind of net."""

    def read(record: dict) -> list[Read]:
        rows, found = coding_results.select(coding_results.recorded(record)[0], arm="lrp"), []
        for kind in kinds:
            some = coding_results.select(rows, kind=kind)
            settings = sorted({(row["keep"], row["bits"], row["Lambda"]) for row in some})
            points = [
                _point(
                    f"{bits} bit, Λ {Lambda}" + (f", {keep:.0%}" if keep < 1 else ""),
                    [_file(row) for row in coding_results.select(some, keep=keep, bits=bits, Lambda=Lambda)],
                )
                for keep, bits, Lambda in settings
            ]
            expert = "expert" in kind
            name = "NNC file, ECQˣ" + (f", {kind}" if expert else "")
            found.append(((name, CODED, EXPERT if expert else QUANTIZE), front(points)))
        return found

    return read


def _file(row: dict) -> tuple[float, float, float]:
    scores = row["scores"][coding_results.SHIPPED]
    values = [
        _mean(scores[f"{split} IoU"]) if f"{split} IoU" in scores else scores[f"{split} accuracy"]
        for split in ("test", "validation")
    ]
    return 1 / coding_results.ratio(row), *values


def _expert(row: dict) -> tuple[float, float, None]:
    scores = row.get("test trained") or row["test as cut"]
    return row["parameters"], _mean(scores), None


def _mean(iou: dict[str, float | None]) -> float:
    """Return the mIoU over the classes that occur."""
    return fmean(value for value in iou.values() if value is not None)


def _point(setting: str, nets: Sequence[tuple[float, float, float | None]]) -> Point:
    """Return the point of some nets: (size, test score, validation score) of every seed."""
    sizes, scores, validation = zip(*nets)
    mean = None if None in validation else fmean(validation)
    return Point(setting, fmean(sizes), tuple(scores), mean)


def front(points: Sequence[Point]) -> tuple[Point, ...]:
    """Return the points that none up to `ROOM` times as large beats on the validation split, the largest first."""
    good = [
        point
        for point in points
        if not any(other.validation > point.validation and other.size <= ROOM * point.size for other in points)
    ]
    return tuple(sorted(good, key=lambda point: -point.size))


def sparse_size(left: float) -> float:
    """Return what a share of the weights takes over all as float32: their values, and the entropy of the mask."""
    shares = np.array([left, 1 - left])
    bits = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum()
    return float(left + bits / 32)


def lines(panel: Panel) -> list[str]:
    """Return a panel as text: for every family its bytes, its command and all of its points."""
    found = [f"{panel.title}, {panel.score} in the test, mean and range of the seeds"]
    for family in panel.families:
        found += [f"{family.name} (bytes: {family.counted}): {family.command}"]
        for point in family.points:
            size = f"{point.size:>8.1%} of float32, {1 / point.size:>5.1f} x smaller"
            found.append(f"  {point.setting:24}{size}   {percent(point.scores)}")
    return found + [f"not recorded yet: {command}" for command in panel.missing]


def picture() -> tuple[bytes, str]:
    """Return the picture of what is recorded as PNG, and its points as text."""
    from relcomp_kit import figures

    found, drawn = panels(), []
    figures.whole_picture(found, drawn)
    return drawn[0], "\n\n".join("\n".join(lines(panel)) for panel in found)
