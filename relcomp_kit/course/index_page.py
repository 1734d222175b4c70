"""The first page of the site: the lessons with what belongs to each, what became of them in a run, and the verdicts."""

import re
from collections.abc import Sequence
from html import escape

from relcomp_kit.course.notebooks import find_lessons, read_source
from relcomp_kit.evidence import report_page
from relcomp_kit.evidence.html_frame import frame

TITLE = "Which weights of a network matter?"
LEAD = (
    "Relevance tells what to prune, how coarsely to quantize, which filters make a small expert, and how few bytes it "
    "takes to store. The lessons run as notebooks; their claims are those of three published works, measured again."
)
STYLE = (
    report_page.STYLE
    + """
.lessons { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); gap: .8rem;
  margin: 1rem 0; padding: 0; list-style: none; }
.lessons li { border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; display: flex;
  flex-direction: column; gap: .3rem; }
.lessons small { font-size: .9rem; } .lessons .with { margin-top: auto; }
"""
)
COLOURS = {"done": "reproduced", "failed": "not reproduced"}
TASK = re.compile(r"^\| you do \|.*\n\|[-| ]+\n\| (.+?) \|", re.MULTILINE)


def page(states: Sequence[dict], rows: Sequence[dict], pages: dict[str, str], waiting: int = 0) -> str:
    """Return ``index.html``.

    Parameters
    ----------
    states : sequence of dict
        All lessons of the kit, as `relcomp_kit.course.lesson_states.states` returns them.
    rows : sequence of dict
        The claims, as in ``claims.json``.
    pages : dict of str to str
        The address of the page of each lesson that has one.
    waiting : int
        How many of the lessons asked for are not finished.
    """
    tasks = {source.stem: _task(source) for source in find_lessons()}
    ran = any(one["state"] != "not run" for one in states)
    cards = "".join(_card(one, tasks.get(one["lesson"], ""), pages, ran) for one in states)
    note = (
        f'<p class="note"><b>Not at its end:</b> {waiting} of the lessons asked for are not finished, so claims of '
        "theirs may be open. If this run was interrupted, the same command goes on where it stopped.</p>"
        if waiting
        else ""
    )
    profiles = " and ".join(sorted({row["profile"] for row in rows if row["measured"]}))
    run = (
        f"This run used the <b>{escape(profiles)}</b> profile. Beside its verdicts stand those of the recorded full "
        "run, on the largest budget. A smaller budget, or other data than the published, can confirm a claim on a "
        "smaller scale, but not refute it. "
        if profiles
        else ""
    )
    pack = (
        '<p>To work through them: <a href="exercises.zip" download>all lessons without solutions</a>, as notebooks.</p>'
    )
    body = (
        f"{note}<h2>Lessons</h2>{pack if pages else ''}<ul class='lessons'>{cards}</ul>"
        f'<h2>Which published claims hold</h2><p>{run}<a href="ledger.html">All {len(rows)} claims and controls</a>, '
        f"each with its rule, its margin and the command that tests it.</p>{report_page.counts(rows)}"
    )
    return frame(TITLE, body, lead=LEAD, root="", style=STYLE)


def _task(source) -> str:
    """Return what a lesson lets you do, from the table below its title."""
    found = TASK.search("\n".join(cell.source for cell in read_source(source).cells[:1]))
    return found[1] if found else ""


def _card(state: dict, task: str, pages: dict[str, str], ran: bool) -> str:
    name, number = escape(state["lesson"]), state["lesson"][:2]
    title, more = f"{number} {escape(state['title'])}", f"<code>relcomp run {number}</code>"
    if state["lesson"] in pages:
        title = f'<a href="{pages[state["lesson"]]}">{title}</a>'
        more = (
            f'<a href="slides/{name}.html">Slides</a> · <a href="exercises/{name}.ipynb" download>Exercises</a> · '
            f'<a href="notebooks/{name}.ipynb" download>Notebook</a>'
        )
    seconds = f" {state['seconds']:.0f} s" if state["seconds"] else ""
    badge = report_page.badge(COLOURS.get(state["state"], "open"), state["state"])
    became = f"<span>{badge}{seconds}</span>" if ran else ""
    error = f'<small class="error">{escape(state["error"])}</small>' if state["error"] else ""
    says = f"<small>{escape(task)}</small>" if task else ""
    return f"<li><b>{title}</b>{says}{became}{error}<small class='with'>{more}</small></li>"
