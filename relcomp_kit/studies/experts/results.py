"""What lesson 06 makes of its rows: experts of every size, an expert for every class, claims, a record."""

from statistics import fmean

from relcomp_kit.datasets.scene_names import DRAWN_SIZE
from relcomp_kit.evidence.record import Record, claims_text
from relcomp_kit.studies.experts.experiment import ARMS, OWN
from relcomp_kit.studies.setting import segmenter
from relcomp_kit.sweeps.table import Rows, select

WHEN = {"as cut": "as cut", "trained": "trained a little"}
LOST = 0.02  # IoU that an expert may lose on its class
CLAIMS = dict.fromkeys((*DRAWN_SIZE, "berdiba"), "B5") | {"camvid": "B8", "cityscapes": "B8"}


def row(record: dict) -> dict:
    """Return what counts of a sweep's record of the experiment "expert"; IoU as class to share."""
    point = record["point"]
    found = {entry["name"]: entry["value"] for entry in record["measurements"]}
    classes = found["classes"]
    scores = {
        f"{split} {when}": dict(zip(classes, found[f"{split} IoU {when}"]))
        for split in ("validation", "test")
        for when in WHEN
        if f"{split} IoU {when}" in found
    }
    how = {name: point[name] for name in ("arm", "widths", "keep", "seed", "steps", "net", "dataset")}
    costs = {name.lower(): found[name] for name in ("MACs", "parameters", "filters")}
    return how | {"wanted": tuple(point["wanted"])} | costs | scores | {"made_by": found["made by"]}


def supers(rows: Rows) -> dict[int, dict]:
    """Return the rows of the nets that nothing was cut from, by seed."""
    return {one["seed"]: one for one in rows if one["keep"] == 1}


def curves(rows: Rows, wanted: str, when: str) -> dict[str, list[list[tuple[float, float]]]]:
    """Return arm to a curve a seed: (multiply-adds left, IoU of the class in the test), the whole net first.

    Where the experts are trained, the whole net has been trained for as long.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    wanted : str
        The class that the experts are for.
    when : {"as cut", "trained"}
        Before or after the short training.
    """
    found: dict[str, list] = {arm: [] for arm in ARMS if select(rows, arm=arm)}
    for arm in found:
        for seed, start in supers(rows).items():
            some = [one for one in select(rows, arm=arm, seed=seed, wanted=(wanted,)) if one["keep"] < 1]
            points = [(one["macs"], one[f"test {when}"][wanted]) for one in sorted(some, key=lambda one: -one["keep"])]
            found[arm].append([(1.0, start[f"test {when}"][wanted]), *points])
    return found


def smallest(rows: Rows, start: dict, wanted: str) -> dict:
    """Return the row with the fewest multiply-adds that loses at most two points of IoU on validation.

    If all lose more, it is the net that nothing was cut from.

    Parameters
    ----------
    rows : sequence of dict
        Of experts that are trained, of one seed; see `row`.
    start : dict
        Row of the net that nothing was cut from.
    wanted : str
        The class.
    """
    bound = start["validation as cut"][wanted] - LOST
    good = [one for one in rows if one["keep"] < 1 and one["validation trained"][wanted] >= bound]
    return min(good, key=lambda one: one["macs"], default=start)


def saved_and_lost(rows: Rows, wanted: str, arm: str = "relevance") -> tuple[list[float], list[float]]:
    """Return the share of multiply-adds that the smallest good expert saves, and the IoU that it loses: a value a seed.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    wanted : str
        The class that the experts are for.
    arm : str
        What their paths are made by; one of `ARMS`.
    """
    saved, lost = [], []
    for seed, start in supers(rows).items():
        best = smallest(select(rows, arm=arm, seed=seed, wanted=(wanted,)), start, wanted)
        score = best["test trained" if best is not start else "test as cut"][wanted]
        saved.append(1 - best["macs"])
        lost.append(start["test as cut"][wanted] - score)
    return saved, lost


def advantage(rows: Rows, keep: float, when: str) -> dict[str, list[float]]:
    """Return how far relevance is ahead of magnitude in the test: class to a difference in IoU a seed.

    Of the paths by magnitude it is the one that is better for the class on validation.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    keep : float
        The share of filters at which they are compared.
    when : {"as cut", "trained"}
        Before or after the short training.
    """
    found: dict[str, list[float]] = {}
    for seed in supers(rows):
        rivals = [row for row in select(rows, keep=keep, seed=seed) if row["arm"].startswith("magnitude")]
        for one in select(rows, arm="relevance", keep=keep, seed=seed):
            if len(one["wanted"]) == 1:
                (name,) = one["wanted"]
                rival = max(rivals, key=lambda row: row[f"validation {when}"][name])
                found.setdefault(name, []).append(one[f"test {when}"][name] - rival[f"test {when}"][name])
    return found


def joined_and_single(rows: Rows, keep: float) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return class to IoU a seed, of the expert that joins several classes and of the one for each class alone.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    keep : float
        The share of filters of these experts.
    """
    joined: dict[str, list[float]] = {}
    single: dict[str, list[float]] = {}
    for one in select(rows, arm="relevance", keep=keep):
        for name in one["wanted"] if len(one["wanted"]) > 1 else ():
            (alone,) = select(rows, arm="relevance", keep=keep, seed=one["seed"], wanted=(name,))
            joined.setdefault(name, []).append(one["test trained"][name])
            single.setdefault(name, []).append(alone["test trained"][name])
    return joined, single


def joined_and_single_macs(rows: Rows, keep: float, names: list[str]) -> dict[str, list[float]]:
    """Return the multiply-adds of a joined expert, and of all single ones together, over the whole net's: one a seed.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    keep : float
        The share of filters of these experts.
    names : list of str
        The classes that the joined one is for.
    """
    found: dict[str, list[float]] = {"joined_macs": [], "single_macs": []}
    for seed in supers(rows):
        some = select(rows, arm="relevance", keep=keep, seed=seed)
        (joined,) = select(some, wanted=tuple(names))
        found["joined_macs"].append(joined["macs"])
        found["single_macs"].append(sum(one["macs"] for name in names for one in select(some, wanted=(name,))))
    return found


def decide(record: Record, rows: Rows, wanted: str, keep: float, frequency: dict[str, float]) -> None:
    """Decide B5 and B5c or B8, whichever the set stands for, and, where every class has an expert, B9 and B10.

    Parameters
    ----------
    record : Record
        The verdicts go into it; its data set says whether B5 or B8 is decided.
    rows : sequence of dict
        See `row`.
    wanted : str
        The class of B5 or B8.
    keep : float
        The share of filters for B9 and B10.
    frequency : dict of str to float
        Class to its share of pixels.
    """
    whole = supers(rows)
    first = next(iter(whole.values()))
    asked = {"at_scale": all(one["net"] == "resnet101" for one in rows), "seeds": list(whole)}
    asked["on"] = f"{segmenter(first['net'], len(first['test as cut']))}, experts trained for {first['steps']:,} steps"
    dataset = record.content["dataset"]
    if dataset in CLAIMS:
        before = [start["test as cut"][wanted] for start in whole.values()]
        saved, lost = saved_and_lost(rows, wanted)
        record.claim(CLAIMS[dataset], **asked, saved=saved, lost=lost, before=before)
        if CLAIMS[dataset] == "B5" and select(rows, arm="average"):
            average, lost = saved_and_lost(rows, wanted, "average")
            record.claim("B5c", **asked, own=saved, average=average, lost=lost, before=before)
    found = advantage(rows, keep, "trained")
    if len(found) > 2:
        record.claim("B9", **asked, advantage=found, frequency={name: frequency[name] for name in found})
    joined, single = joined_and_single(rows, keep)
    if joined:
        scores = {name: [start["test trained"][name] for start in whole.values()] for name in joined}
        costs = joined_and_single_macs(rows, keep, list(joined))
        record.claim("B10", **asked, joined=joined, single=single, whole=scores, **costs)


def note(record: Record, rows: Rows) -> None:
    """Put every row into a record.

    Parameters
    ----------
    record : Record
        They go into it.
    rows : sequence of dict
        See `row`.
    """
    for one in rows:
        record.measure("expert", one["macs"], "share of multiply-adds", **one)


def note_weather(record: Record, weather: dict[str, dict[str, list[float]]]) -> None:
    """Put the IoU in every weather into a record, a list with a value a net.

    Parameters
    ----------
    record : Record
        It goes into it.
    weather : dict
        As `relcomp_kit.studies.experts.measurement.all_weathers` returns it.
    """
    for tested, scores in weather.items():
        for name, values in scores.items():
            record.measure("IoU in weather", values, "share", tested=tested, net=name)


def verdicts(
    record: Record,
    rows: Rows,
    wanted: str,
    keep: float,
    frequency: dict[str, float],
    weather: dict[str, dict[str, list[float]]],
) -> str:
    """Put all that the lesson measured into its record, decide the claims, save it; return the claims as text.

    Parameters
    ----------
    record : Record
        Of the lesson.
    rows, wanted, keep, frequency
        As in `decide`.
    weather : dict
        As in `note_weather`.
    """
    note(record, rows)
    note_weather(record, weather)
    decide(record, rows, wanted, keep, frequency)
    record.save()
    return claims_text(record.content)


def weather_lines(record: dict) -> list[str]:
    """Return a line for every weather and net of a record: the mean of the nets, and their range."""
    found = [entry for entry in record["measurements"] if entry["name"] == "IoU in weather"]
    return [
        f"{entry['tested']}, {entry['net']}: {100 * fmean(entry['value']):.1f} % "
        f"({100 * min(entry['value']):.1f} to {100 * max(entry['value']):.1f})"
        for entry in found
    ]


def recorded(record: dict) -> list[dict]:
    """Return the rows of a record, as `note` took them; before widths were noted, all arms had their own."""
    found = select(record["measurements"], name="expert")
    return [{"widths": OWN} | one | {"wanted": tuple(one["wanted"])} for one in found]


def summary(rows: Rows, wanted: str) -> list[str]:
    """Return a table as text: multiply-adds left, and the IoU of the class as cut and trained, for every arm.

    Parameters
    ----------
    rows : sequence of dict
        See `row`.
    wanted : str
        The class that the experts are for.
    """
    lines = [f"{'':20}{'keep':>6}{'multiply-adds':>16}{'as cut':>10}{'trained':>10}   mean IoU of {wanted}"]
    whole = list(supers(rows).values())
    scores = "".join(f"{_iou(whole, when, wanted):>10}" for when in WHEN)
    lines.append(f"{'super-net':20}{1:>6.0%}{1:>16.0%}{scores}")
    for arm in ARMS:
        some = [one for one in select(rows, arm=arm, wanted=(wanted,)) if one["keep"] < 1]
        for keep in sorted({one["keep"] for one in some}, reverse=True):
            each = select(some, keep=keep)
            macs = fmean(one["macs"] for one in each)
            scores = "".join(f"{_iou(each, when, wanted):>10}" for when in WHEN)
            lines.append(f"{arm:20}{keep:>6.0%}{macs:>16.0%}{scores}")
    return lines


def _iou(rows: Rows, when: str, wanted: str) -> str:
    return f"{100 * fmean(one[f'test {when}'][wanted] for one in rows):.1f} %"
