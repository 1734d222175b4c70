"""What lesson 07 makes of its rows: sizes against entropy and rivals, the ladder, experts as files, a record."""

import math
from collections.abc import Sequence
from statistics import fmean

from relcomp_kit.evidence.claims import in_set
from relcomp_kit.evidence.record import Record, claims_text
from relcomp_kit.evidence.rules.series import percent, spread
from relcomp_kit.studies.setting import segmenter
from relcomp_kit.sweeps.table import Rows, select

SHIPPED = "folded, 8 bit"  # the file that sizes of whole files are those of
RIVALS = ("Huffman", "bzip2")  # that are published
OTHERS = ("gzip", "zstd", "xz")
KINDS = {"tanh": "thesis' net", "compact": "DeepLabV3", "resnet101": "DeepLabV3"}
FEW, LITTLE = 0.01, 0.005  # accuracy that a net may lose on validation: for X3, and for the goal
LOST = 0.02  # IoU that an expert may lose on its class on validation


def row(record: dict) -> dict:
    """Return what counts of a sweep's record of the experiment "code"; scores by file, then by split and name."""
    point = record["point"]
    found = {entry["name"]: entry["value"] for entry in record["measurements"]}
    how = {name: point[name] for name in ("net", "dataset", "seed", "arm", "bits", "Lambda", "keep")}
    scores = {file: {name: found[f"{file} {name}"] for name in _names(found)} for file in ("float", "exact", SHIPPED)}
    return how | {
        "wanted": tuple(point["wanted"]),
        "kind": kind(point),
        "float32": found["float32 size"],
        "files": found["files"],
        "parts": {file: found["parts"][file] for file in ("exact", SHIPPED)},
        "indices": found["indices"],
        "estimate": found["estimate"],
        "weights": found["weights"],
        "macs": found.get("MACs", 1.0),
        "sparsity": found["sparsity"],
        "exactly": found["decoded exactly"],
        "apart": found["outputs apart"],
        "scores": scores,
        "made_by": found["made by"],
    }


def _names(found: dict) -> list[str]:
    names = [f"{split} {what}" for split in ("validation", "test") for what in ("accuracy", "IoU")]
    return [name for name in names if f"float {name}" in found]


def kind(point: dict) -> str:
    """Return which kind of net a point codes."""
    return f"{point['wanted'][0]} expert" if point["wanted"] else KINDS[point["net"]]


def seeds(rows: Rows) -> list[int]:
    """Return the seeds of some rows."""
    return sorted({one["seed"] for one in rows})


def supers(rows: Rows) -> list[dict]:
    """Return the rows of DeepLabV3 as a whole."""
    return select(rows, kind="DeepLabV3")


def cut(rows: Rows) -> list[dict]:
    """Return the rows of experts."""
    return [one for one in rows if one["wanted"]]


def ratio(one: dict, file: str = SHIPPED) -> float:
    """Return the bytes of the float32 net over those of a file.

    Parameters
    ----------
    one : dict
        A row; see `row`.
    file : str
        Which file, such as "exact"; by default the folded one with 8-bit numbers.
    """
    return one["float32"] / one["files"][file]


def lost(one: dict, split: str, file: str = SHIPPED) -> float:
    """Return the accuracy that a file loses against the float net; of an expert, the IoU on its class.

    Of several classes it is the one that loses most.

    Parameters
    ----------
    one : dict
        A row; see `row`.
    split : {"validation", "test"}
        Where scores were taken.
    file : {"exact", "folded, 8 bit"}
        Which file.
    """
    before, after = one["scores"]["float"], one["scores"][file]
    if one["wanted"]:
        return max(before[f"{split} IoU"][name] - after[f"{split} IoU"][name] for name in one["wanted"])
    return before[f"{split} accuracy"] - after[f"{split} accuracy"]


def smallest(rows: Rows, bound: float) -> dict | None:
    """Return the row of the smallest file that loses no more than a bound on validation, if there is one.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    bound : float
        Share of accuracy, or of an expert's IoU, such as 0.01.
    """
    good = [one for one in rows if lost(one, "validation") <= bound]
    return min(good, key=lambda one: one["files"][SHIPPED], default=None)


def chosen(rows: Rows, bound: float) -> dict[int, dict | None]:
    """Return seed to `smallest` of its rows.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    bound : float
        As in `smallest`.
    """
    return {seed: smallest(select(rows, seed=seed), bound) for seed in seeds(rows)}


def against_entropy(one: dict) -> float:
    """Return the bytes of the coded indices over those of their entropy with the cost of its table."""
    return one["indices"]["DeepCABAC"] / (one["indices"]["order-0 entropy"] + one["indices"]["table"])


def worst(rows: Rows, rivals: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Return rival and kind of net to the bytes of DeepCABAC over the rival's: of each seed, the largest of its rows.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    rivals : sequence of str
        Names of codecs, such as "Huffman" or "bzip2".
    """
    return {
        rival: {
            name: [
                max(one["indices"]["DeepCABAC"] / one["indices"][rival] for one in select(rows, kind=name, seed=seed))
                for seed in seeds(select(rows, kind=name))
            ]
            for name in dict.fromkeys(one["kind"] for one in rows)
        }
        for rival in rivals
    }


def asked_of(rows: Rows) -> dict:
    """Return what claims say of some nets for scenes: seeds, sizes, whether they are the published one.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    """
    sizes = {one["net"]: len(one["scores"]["float"]["test IoU"]) for one in rows}
    return {
        "at_scale": all(one["net"] == "resnet101" for one in rows),
        "seeds": seeds(rows),
        "on": " and ".join(segmenter(name, classes) for name, classes in sizes.items()),
    }


def decide_expert(record: Record, rows: Rows, asked: dict, stays: float = 0.0) -> None:
    """Decide what the file of a rail expert saves: B7 on frames of RailSem19, B6 on other scenes.

    Parameters
    ----------
    record : Record
        The verdict goes into it.
    rows : sequence of dict
        See `row`: of experts.
    asked : dict
        See `asked_of`.
    stays : float
        The share that is saved where no expert is good enough, and the float net stays.
    """
    best = list(chosen(rows, LOST).values())
    saved = [1 - 1 / ratio(one) if one else stays for one in best]
    less = [lost(one, "test") if one else 0.0 for one in best]
    told = {"before": [one["scores"]["float"]["test IoU"][one["wanted"][0]] for one in best]} if all(best) else {}
    macs = [1 - one["macs"] if one else stays for one in best]
    if record.content["dataset"].startswith("railsem19"):
        record.claim("B7", **asked, saved=macs, smaller=saved, lost=less, **told)
        return
    if all(best):
        told["macs"] = macs
    record.claim("B6", **asked, saved=saved, lost=less, **told)


def decide(record: Record, rows: Rows) -> None:
    """Decide B6 or B7, whichever the scenes stand for, and B12, B13 and X3 with their controls.

    Parameters
    ----------
    record : Record
        The verdicts go into it; its data set says whether B6 or B7 is decided.
    rows : sequence of dict
        See `row`.
    """
    scenes = [one for one in rows if one["kind"] != "thesis' net"]
    asked = asked_of(scenes)
    # without a good one the float net stays; a few dozen steps of training decide nothing
    stays, keeps = (math.nan, math.nan) if record.content["profile"] == "quick" else (0.0, 1.0)
    decide_expert(record, cut(rows), asked, stays)
    apart = [max(one["apart"] for one in select(scenes, seed=seed)) for seed in seeds(scenes)]
    record.claim("B12", **asked, apart=apart)
    record.claim("B13", **asked, ratio=worst(rows, RIVALS))
    record.claim("B13c", **asked, ratio=worst(rows, OTHERS))
    whole = [one for one in rows if not one["wanted"] and one["arm"] == "lrp"]
    small = {
        name: list(chosen(select(whole, kind=name), FEW).values()) for name in dict.fromkeys(r["kind"] for r in whole)
    }
    for name, each in small.items():
        own = "mnist" if name == KINDS["tanh"] else "rail-scenes"
        record.claim(
            in_set("X3c", own),
            **asked | ({"dataset": own, "on": name} if own == "mnist" else {}),
            ratio={name: [ratio(one) if one else keeps for one in each]},
            estimated={name: [one["float32"] / one["estimate"] if one else keeps for one in each]},
            lost={name: [lost(one, "test") if one else 0.0 for one in each]},
        )


def note(record: Record, rows: Rows, rungs: dict[str, Rows]) -> None:
    """Put every row into a record, and the rungs of the ladders that stand on float nets.

    Parameters
    ----------
    record : Record
        They go into it.
    rows : sequence of dict
        See `row`.
    rungs : dict of str to sequence of dict
        Kind of net to what `relcomp_kit.studies.coding.measurement.float_rungs` returned.
    """
    for one in rows:
        record.measure("coded net", one["files"][SHIPPED], "bytes", **one)
    for name, each in rungs.items():
        for one in each:
            record.measure("float net", one["bytes"], "bytes", **one, kind=name)


def verdicts(record: Record, rows: Rows, rungs: dict[str, Rows]) -> str:
    """Put all that the lesson measured into its record, decide the claims, save it; return the claims as text.

    Parameters
    ----------
    record : Record
        Of the lesson.
    rows : sequence of dict
        As in `decide`.
    rungs : dict of str to sequence of dict
        As in `note`.
    """
    note(record, rows, rungs)
    decide(record, rows)
    record.save()
    return claims_text(record.content)


def recorded(record: dict) -> tuple[list[dict], dict[str, list[dict]]]:
    """Return the rows and the rungs of a record, as `note` took them."""
    rows = [one | {"wanted": tuple(one["wanted"])} for one in record["measurements"] if one["name"] == "coded net"]
    rungs: dict[str, list[dict]] = {}
    for one in record["measurements"]:
        if one["name"] == "float net":
            rungs.setdefault(one["kind"], []).append(one)
    return rows, rungs


def ladder(rows: Rows, rungs: Rows) -> dict[str, tuple[list[float], list[float]]]:
    """Return rung to bytes and test accuracies, a value a seed, from the float32 net to the coded one.

    Parameters
    ----------
    rows : sequence of dict
        Of one kind of net, bit width and Lambda; both arms.
    rungs : sequence of dict
        As `relcomp_kit.studies.coding.measurement.float_rungs` gives them, of the same nets.
    """
    found: dict[str, tuple[list[float], list[float]]] = {}

    def add(name: str, size: float, score: float) -> None:
        sizes, scores = found.setdefault(name, ([], []))
        sizes.append(size)
        scores.append(score)

    for one in rungs:
        add(one["rung"], one["bytes"], one["accuracy"])
    for arm, name in (("ecq", "ECQ"), ("lrp", "ECQˣ")):
        for one in select(rows, arm=arm):
            floats = one["estimate"] - one["indices"]["order-0 entropy"]
            score = one["scores"]["exact"]["test accuracy"]
            add(f"{name}, {one['bits']} bit", one["indices"]["raw"] + floats, score)
            if arm == "lrp":
                add("with Huffman", one["indices"]["Huffman"] + floats, score)
                add("with NNC", one["files"]["exact"], score)
                add("folded, 8 bit numbers", one["files"][SHIPPED], one["scores"][SHIPPED]["test accuracy"])
    return found


def codec_table(rows: Rows) -> list[str]:
    """Return as text what codecs make of the indices, in bytes over DeepCABAC's, for each kind of net and bit width."""
    names = ("Huffman", "bzip2", "gzip", "zstd", "xz")
    lines = [f"{'':14}{'bits':>5}{'against entropy':>26}" + "".join(f"{name:>9}" for name in names)]
    for name in dict.fromkeys(one["kind"] for one in rows):
        for bits in sorted({one["bits"] for one in select(rows, kind=name)}):
            some = select(rows, kind=name, bits=bits)
            against = spread([against_entropy(one) for one in some], 3)
            times = [fmean(one["indices"][rival] / one["indices"]["DeepCABAC"] for one in some) for rival in names]
            lines.append(f"{name:14}{bits:>5}{against:>26}" + "".join(f"{value:>9.2f}" for value in times))
    return lines


def file_table(rows: Rows) -> list[str]:
    """Return as text the size of files for each kind of net and setting, as shares of float32, and what they lose."""
    lines = [f"{'':14}{'':>26}{'exact':>8}{'folded':>8}{SHIPPED:>15}{'points lost in the test':>26}"]
    settings = sorted({(one["kind"], -one["keep"], one["bits"], one["Lambda"]) for one in select(rows, arm="lrp")})
    for name, keep, bits, Lambda in settings:
        some = select(rows, arm="lrp", kind=name, keep=-keep, bits=bits, Lambda=Lambda)
        how = f"{bits} bit, Λ {Lambda}" + (f", keep {-keep:.0%}" if keep > -1 else "")
        sizes = [f"{100 * fmean(1 / ratio(one, file) for one in some):.2f} %" for file in ("exact", "folded", SHIPPED)]
        points = spread([100 * lost(one, "test") for one in some], 2)
        lines.append(f"{name:14}{how:>26}{sizes[0]:>8}{sizes[1]:>8}{sizes[2]:>15}{points:>26}")
    return lines


def goal_lines(rows: Rows) -> list[str]:
    """Return as text the smallest 4-bit super-nets that lose at most half a point on validation, a line a seed."""
    lines = []
    for seed, one in chosen(select(supers(rows), arm="lrp", bits=4), LITTLE).items():
        told = "none"
        if one:
            told = f"Λ {one['Lambda']}: {1 - 1 / ratio(one):.1%} smaller, {100 * lost(one, 'test'):.2f} points lost"
        lines.append(f"net {seed}: {told}")
    return lines


def slide(rows: Rows) -> list[str]:
    """Return the published table of experts with ours below: computation and bytes saved, and the IoU of the class."""
    published = [
        ("BerDiBa synthetic, rail", "> 75 %", "> 97 %", "not given"),
        ("RailSem19, rail_track", "> 60 %", "> 95 %", "not given"),
        ("Cityscapes, vegetation", "> 70 %", "not given", "not given"),
    ]
    some = [one for one in chosen(cut(rows), LOST).values() if one]
    what = f"kit, {cut(rows)[0]['wanted'][0]}, {len(some)} nets"
    if some:
        names = [one["wanted"][0] for one in some]
        iou = [
            100 * fmean(one["scores"][file]["test IoU"][name] for one, name in zip(some, names))
            for file in ("float", SHIPPED)
        ]
        saved = percent([1 - one["macs"] for one in some]), percent([1 - 1 / ratio(one) for one in some])
        published.append((what, *saved, f"{iou[0]:.1f} -> {iou[1]:.1f} %"))
    else:
        published.append((what, "none loses 2 points of IoU or less", "", ""))
    lines = [f"{'expert':25}{'less computation':>22}{'smaller file':>23}   IoU of the class"]
    return lines + [f"{name:25}{macs:>22}{size:>23}   {iou}" for name, macs, size, iou in published]
