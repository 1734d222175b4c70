"""What the records of a sweep of experts decide: how much of the lead of relevance is layer width (B5d to B5h).

Relevance, magnitude and chance differ in how wide they leave each layer. At the widths of relevance, a rival only says
which filters stay.
"""

from collections.abc import Sequence

from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record, reference_on
from relcomp_kit.evidence.rules.series import spread
from relcomp_kit.studies.experts import results
from relcomp_kit.studies.experts.experiment import ARMS, BY_LOSS, CONCEPT, OWN, RELEVANCE
from relcomp_kit.studies.setting import segmenter
from relcomp_kit.sweeps.point import Point
from relcomp_kit.sweeps.table import Rows, select

LESSON = "06_cut_out_relevant_experts"
RIVALS = {"chance": "random", "magnitude": "magnitude", "the average of all classes": "average"}  # to their arms
WITH_OWN_WIDTHS = {"magnitude": ("magnitude", "magnitude per layer"), "chance": ("random",)}
DATASETS = ("rail-scenes", "berdiba")
SAME = ("net", "dataset", "wanted", "keep", "steps")


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
    values = [point.values for point in points]
    fits = points[0].experiment == "expert" and len({tuple(one[name] for name in SAME) for one in values}) == 1
    if fits and values[0]["dataset"] in DATASETS and len(values[0]["wanted"]) == 1:
        at_equal = select(values, widths=RELEVANCE)
        arms = [{one["arm"] for one in select(at_equal, seed=seed)} for seed in _seeds(values)]
        if all({"relevance", *RIVALS.values()} <= some for some in arms):
            return values[0]["dataset"]
    raise UserError(
        "--decide is for plans of experts of one class and size, with relevance and its rivals at the widths of "
        f"relevance, of one of {', '.join(DATASETS)}: what other plans of experts measure is decided by lesson 06"
    )


def decided(points: Sequence[Point], records: Sequence[dict]) -> Record:
    """Return a record of lesson 06 that follows from the records of a sweep: its experts, and what they decide.

    Trained experts decide B5d and B5e, and B5g if the plan has the rivals that know the class; experts as cut B5f, and
    B5h if it has those of a concept.

    Parameters
    ----------
    points : sequence of Point
        Of the plan.
    records : sequence of dict
        Of these points, one each.
    """
    made, rows = Record(LESSON, "full", check(points)), [results.row(record) for record in records]
    results.note(made, rows)
    (wanted,), steps = rows[0]["wanted"], rows[0]["steps"]
    when = "trained" if steps else "as cut"
    net = segmenter(rows[0]["net"], len(rows[0]["test as cut"]))
    asked = {"at_scale": rows[0]["net"] == "resnet101", "seeds": _seeds(rows)}
    asked["on"] = f"{net}, experts of {rows[0]['keep']:.0%} of the filters, " + (
        f"trained for {steps:,} steps" if steps else "as cut"
    )
    equal = {name: scores(rows, wanted, when, arm, RELEVANCE) for name, arm in RIVALS.items()}
    relevance = scores(rows, wanted, when, "relevance", RELEVANCE)
    made.claim("B5d" if steps else "B5f", **asked, relevance=relevance, rivals=equal)
    if steps:
        others = with_own_widths(rows, when)
        ahead_of = {name: better(others, wanted, when, arms) for name, arms in WITH_OWN_WIDTHS.items()}
        own = scores(others, wanted, when, "relevance", OWN) or relevance
        made.claim(
            "B5e", **asked, own=_leads(own, ahead_of), equal=_leads(relevance, {name: equal[name] for name in ahead_of})
        )
        by_loss = {arm: scores(rows, wanted, when, arm, RELEVANCE) for arm in BY_LOSS}
        if all(by_loss.values()):
            made.claim("B5g", **asked, relevance=relevance, rivals=by_loss)
    elif concept := scores(rows, wanted, when, CONCEPT, RELEVANCE):
        made.claim("B5h", **asked, concept=concept, relevance=relevance, chance=equal["chance"])
    return made


def with_own_widths(rows: Rows, when: str) -> list[dict]:
    """Return rows of arms with widths of their own: those of a sweep, or, if it has no magnitude, lesson 06's recorded.

    Parameters
    ----------
    rows : sequence of dict
        As `relcomp_kit.studies.experts.results.row` returns them, of experts of one size.
    when : {"as cut", "trained"}
        Before or after the short training, whose length only counts after it.

    Raises
    ------
    UserError
        If there is neither.
    """
    same = {name: rows[0][name] for name in SAME if name != "steps" or when == "trained"}
    found = list(rows)
    if not select(rows, arm="magnitude", widths=OWN):
        record = reference_on(LESSON, same["dataset"])
        found = [one for one in results.recorded(record or {"measurements": []}) if one["seed"] in _seeds(rows)]
    found = select(found, widths=OWN, **same)
    if any(not select(found, arm=arm) for arms in WITH_OWN_WIDTHS.values() for arm in arms):
        raise UserError(
            f"there are no experts on {same['dataset']} with widths of their own to compare with: put the arms "
            "magnitude, magnitude per layer and random with widths own into the plan"
        )
    return found


def _seeds(rows: Rows) -> list[int]:
    return sorted({one["seed"] for one in rows})


def _leads(relevance: list[float], rivals: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return by how much relevance is ahead of each rival: a value a seed."""
    return {name: [one - other for one, other in zip(relevance, values)] for name, values in rivals.items()}


def scores(rows: Rows, wanted: str, when: str, arm: str, widths: str) -> list[float]:
    """Return the IoU of a class in the test of an arm: a value a seed.

    Parameters
    ----------
    rows : sequence of dict
        As `relcomp_kit.studies.experts.results.row` returns them, of experts of one size.
    wanted : str
        The class.
    when : {"as cut", "trained"}
        Before or after the short training.
    arm, widths : str
        As the experiment "expert" takes them.
    """
    some = sorted(select(rows, arm=arm, widths=widths), key=lambda one: one["seed"])
    return [one[f"test {when}"][wanted] for one in some]


def better(rows: Rows, wanted: str, when: str, arms: Sequence[str]) -> list[float]:
    """Return the IoU of a class in the test of whichever arm is better on validation: a value a seed.

    Parameters
    ----------
    rows, wanted, when
        As in `scores`.
    arms : sequence of str
        To choose from, with widths of their own.
    """
    found = []
    for seed in _seeds(rows):
        some = [one for one in select(rows, seed=seed, widths=OWN) if one["arm"] in arms]
        best = max(some, key=lambda one: one[f"validation {when}"][wanted])
        found.append(best[f"test {when}"][wanted])
    return found


def by_widths(rows: Rows, wanted: str, when: str) -> dict[str, dict[str, list[float]]]:
    """Return the IoU of a class in the test, for a figure: whose widths to arm to a value a seed.

    Relevance stands on both sides: its own widths are those of relevance.

    Parameters
    ----------
    rows, wanted, when
        As in `scores`; arms that ``rows`` lack with widths of their own come from the record of lesson 06.
    """
    recorded = [one for one in with_own_widths(rows, when) if not select(rows, arm=one["arm"], widths=one["widths"])]
    found: dict[str, dict[str, list[float]]] = {}
    for title, widths in (("widths of their own", OWN), ("the widths of relevance", RELEVANCE)):
        some = select([*recorded, *rows], widths=widths)
        arms = sorted({one["arm"] for one in some}, key=ARMS.index)
        found[title] = {arm: scores(some, wanted, when, arm, widths) for arm in arms}
    first, second = found.values()
    first.setdefault("relevance", second["relevance"])
    return found


def table(scores_by_widths: dict[str, dict[str, list[float]]]) -> list[str]:
    """Return a table as text: an arm a line, the mean and the range of its IoU under the widths of each column.

    Parameters
    ----------
    scores_by_widths : dict of str to dict of str to list of float
        As `by_widths` returns them.
    """
    arms = sorted({arm for scores in scores_by_widths.values() for arm in scores}, key=ARMS.index)
    lines = [f"{'mean IoU, %':22}" + "".join(f"{title:>28}" for title in scores_by_widths)]
    for arm in arms:
        found = ([100 * value for value in scores.get(arm, [])] for scores in scores_by_widths.values())
        cells = (spread(values, 1) if values else "-" for values in found)
        lines.append(f"{arm:22}" + "".join(f"{cell:>28}" for cell in cells))
    return lines
