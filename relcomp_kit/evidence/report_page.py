"""The pages about claims, each one file without scripts: ``index.html`` of a run, and the report."""

import base64
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from html import escape

from relcomp_kit.evidence import claims
from relcomp_kit.evidence.report import VERDICTS, setting, text

STYLE = """
:root { color-scheme: light; --line: #dde2e8; --soft: #5b6470; --link: #0a58ad; }
* { box-sizing: border-box; }
body { margin: 0; background: #f4f6f8; color: #1d2329; font: 16px/1.5 system-ui, "Segoe UI", Helvetica, Arial,
  sans-serif; }
header { background: #17324d; color: #fff; } header p { color: #d5e0ea; max-width: 50rem; }
header div, main { max-width: 76rem; margin: 0 auto; padding: 2.2rem 1.5rem 1.8rem; } main { padding: 0 1.5rem 4rem; }
h1 { margin: 0 0 .4rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 2.6rem 0 .3rem; font-size: 1.35rem; } h3 { margin: 1.8rem 0 .6rem; font-size: 1.05rem; }
p { margin: .3rem 0; } main > p { color: var(--soft); max-width: 54rem; }
a { color: var(--link); text-decoration: none; } a:hover, a:focus { text-decoration: underline; }
.note { margin: 1.2rem 0 0; padding: .8rem 1rem; border-left: .35rem solid #e08214; background: #fff4e5; color:
  #1d2329; max-width: none; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .5rem .9rem; align-items: center; margin: 1.1rem 0
  .8rem; }
.bar { display: flex; height: 2rem; border-radius: .4rem; overflow: hidden; }
.bar span { display: flex; align-items: center; justify-content: center; font-weight: 600; font-size: .9rem;
  min-width: 1.4rem; }
.key { display: flex; flex-wrap: wrap; gap: .4rem; }
figure { margin: 1rem 0; padding: 1rem; background: #faf9f9; border: 1px solid var(--line); border-radius: .6rem; }
figure img { display: block; width: 100%; max-width: 60rem; height: auto; margin: 0 auto; }
details { margin-top: .3rem; } summary { cursor: pointer; color: var(--link); font-size: .85rem; }
pre { overflow-x: auto; font-size: .8rem; line-height: 1.45; margin: .6rem 0 0; }
.lessons { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .8rem; margin: 1rem 0;
  padding: 0; list-style: none; }
.lessons li { background: #fff; border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; display:
  flex; flex-direction: column; gap: .25rem; }
.lessons b a { font-size: 1.02rem; } .lessons small { margin-top: auto; }
.box { background: #fff; border: 1px solid var(--line); border-radius: .6rem; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .6rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e9edf1; }
th { background: #fafbfc; font-weight: 600; color: var(--soft); white-space: nowrap; }
tr:last-child td { border-bottom: 0; } tr:target td { background: #fff8e6; }
td.claim { width: 34%; } td.value { min-width: 9rem; }
small { display: block; color: var(--soft); font-size: .8rem; } code { overflow-wrap: anywhere; }
.badge { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-size: .8rem; font-weight: 600;
  white-space: nowrap; }
.error { color: #a31621; overflow-wrap: anywhere; }
@media (max-width: 46rem) {
  header div { padding: 1.4rem 1rem; } main { padding: 0 1rem 3rem; } h1 { font-size: 1.5rem; }
  figure { padding: .4rem; overflow-x: auto; } figure img { min-width: 40rem; }
  .box { background: none; border: 0; } thead { display: none; } table, tbody, tr, td { display: block; width: auto
    !important; }
  tr { background: #fff; border: 1px solid var(--line); border-radius: .6rem; margin: 0 0 .8rem; padding: .4rem 0; }
  td { border: 0; padding: .35rem .9rem; } td[data-label]::before { content: attr(data-label); display: block;
    font-size: .72rem; text-transform: uppercase; letter-spacing: .05em; color: var(--soft); }
  .bars { grid-template-columns: 1fr; gap: .2rem; } .bar { margin-bottom: .6rem; }
}
@media print { body { background: #fff; } header { background: none; color: inherit; } header p { color: inherit; } }
"""
Link = Callable[[str], str | None]


def index(
    lessons: Sequence[dict], rows: Sequence[dict], profile: str, waiting: int, picture: tuple[bytes, str] | None
) -> str:
    """Return ``index.html``: the lessons of a run, and every claim with its verdict.

    Parameters
    ----------
    lessons : sequence of dict
        All lessons of the kit: ``lesson``, ``title``, ``state`` ("done", "failed", "not finished" or "not run"),
        ``seconds``, ``error``, which may be None, and whether there is a ``page``.
    rows : sequence of dict
        The claims, as in ``claims.json``.
    profile : str
        "quick" or "full".
    waiting : int
        How many of the lessons asked for are not finished.
    picture : (bytes, str), optional
        The picture of the whole pipeline as PNG, and its points as text.
    """
    linked = {lesson["lesson"]: f"html/{lesson['lesson']}.html" for lesson in lessons if lesson["page"]}
    cards = "".join(_card(lesson) for lesson in lessons)
    note = (
        f'<p class="note"><b>Not at its end:</b> {waiting} of the lessons asked for are not finished, so claims of '
        "theirs may be open below. If this run was interrupted, the same command goes on where it stopped.</p>"
        if waiting
        else ""
    )
    lead = (
        f"This run used the <b>{escape(profile)}</b> profile. A verdict follows from measurements, by code: "
        "beside that of this run stands that of the recorded full run, on the largest budget. A smaller budget, or "
        "other data than the published, can confirm a claim on a smaller scale, but not refute it."
    )
    body = f"<h2>Lessons</h2><ul class='lessons'>{cards}</ul>"
    return _html("Which published claims hold", lead, note + _counts(rows), body, picture, rows, linked.get)


def report(rows: Sequence[dict], picture: tuple[bytes, str] | None, link: Link) -> str:
    """Return the report as one page: every claim, published, measured and recorded, and what is missing to decide it.

    Parameters
    ----------
    rows, picture
        As for `index`.
    link : callable
        Takes the name of a lesson, and returns the address of its page, or None.
    """
    lead = (
        "Every claim of the ledger: what was published, what the recorded full run found, with the spread over "
        "its seeds, and the verdict that follows by rule. Where the published data or scale is missing here, it says "
        "so, and names the command that tests the claim."
    )
    return _html("What reproduced", lead, _counts(rows), "", picture, rows, link)


def _html(
    title: str, lead: str, top: str, body: str, picture: tuple[bytes, str] | None, rows: Sequence[dict], link: Link
) -> str:
    tables = "".join(
        f"<h3>{escape(work)}</h3>{_table([row for row in rows if row['id'][0] == letter], link)}"
        for letter, work in claims.works().items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>relcomp: {escape(title.lower())}</title><style>{STYLE}</style></head>
<body><header><div><h1>{escape(title)}</h1><p>{lead}</p></div></header>
<main>{top}{body}
{_figure(*picture) if picture else ""}
<h2>Claims</h2>
<p>A rule must be met by every seed. <i>Margin</i>: by how much it was, in its tightest condition, over the seeds.</p>
{tables}
</main></body></html>
"""


def _counts(rows: Sequence[dict]) -> str:
    """Return how many claims have which verdict as bars: of this run, if it decided any, and recorded."""
    bars = {"recorded": Counter(claims.standing(row) for row in rows)}
    if any(row["measured"] for row in rows):
        bars = {"this run": Counter(row["verdict"] for row in rows)} | bars
    drawn = "".join(f"<b>{name}</b><div class='bar'>{_bar(counts)}</div>" for name, counts in bars.items())
    key = "".join(badge(verdict) for verdict in VERDICTS if any(counts[verdict] for counts in bars.values()))
    return f"<h2>Verdicts</h2><div class='bars'>{drawn}</div><div class='key'>{key}</div>"


def _bar(counts: Counter) -> str:
    return "".join(
        f'<span style="background:{colour};color:{ink};flex:{number}" title="{verdict}">{number}</span>'
        for verdict, (colour, ink, _) in VERDICTS.items()
        if (number := counts[verdict])
    )


def _figure(picture: bytes, points: str) -> str:
    return f"""<h2>The whole pipeline</h2>
<p>Bytes against score in the test, as recorded in full runs, mean and range of the seeds. Every curve but those
of files begins at 100 % with a net in float32 that nothing was done to but as much training.</p>
<figure><img alt="Score in the test against size, for pruning, quantization, experts and files"
src="data:image/png;base64,{base64.b64encode(picture).decode()}">
<details><summary>All points, what their bytes count, and the commands that measure them again</summary>
<pre>{escape(points)}</pre></details></figure>"""


def _card(lesson: dict) -> str:
    name, number = escape(lesson["lesson"]), lesson["lesson"][:2]
    colour = {"done": "reproduced", "failed": "not reproduced"}.get(lesson["state"], "open")
    title, more = f"{number} {escape(lesson['title'])}", f"<code>relcomp run {number}</code>"
    if lesson["page"]:
        title = f'<a href="html/{name}.html">{title}</a>'
        more = f'<a href="html/{name}.html">page</a> · <a href="notebooks/{name}.ipynb">notebook</a>'
    seconds = f" {lesson['seconds']:.0f} s" if lesson["seconds"] else ""
    error = f'<small class="error">{escape(lesson["error"])}</small>' if lesson["error"] else ""
    return f"<li><b>{title}</b><span>{badge(colour, lesson['state'])}{seconds}</span>{error}<small>{more}</small></li>"


def _table(rows: Sequence[dict], link: Link) -> str:
    live = any(row["measured"] for row in rows)
    heads = ["Claim", "Published", *(["This run"] if live else []), "Recorded full run"]
    cells = "".join(f"<th>{head}</th>" for head in heads)
    body = "".join(_row(row, live, link) for row in rows)
    return f'<div class="box"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(row: dict, live: bool, link: Link) -> str:
    lesson, href = escape(row["lesson"]), link(row["lesson"])
    about = [escape(row["source"]), f'<a href="{href}">{lesson}</a>' if href else f"lesson {lesson}"]
    published = [text(row.get("published_dataset")), text(row.get("unit"))]
    needs = f"<small>missing: {escape(row['missing'])}</small>" if row.get("missing") else ""
    if needs or claims.standing(row) in ("open", "not testable here"):
        needs += f"<small>test: <code>{escape(text(row.get('command')))}</code></small>"
    found = _measured(row, "This run", "not in this run") if live else ""
    recorded = row.get("recorded") or {"verdict": claims.standing(row)}
    return (
        f'<tr id="{escape(row["id"])}"><td class="claim"><b>{escape(row["id"])}</b> {escape(row["statement"])}'
        f"<small>{' · '.join(about)}</small>{needs}"
        f"<details><summary>rule</summary><small>{escape(text(row.get('rule')))}</small></details></td>"
        f'<td class="value" data-label="Published">{escape(text(row["published"]))}'
        f"<small>{_joined(published)}</small></td>"
        f"{found}{_measured(recorded, 'Recorded full run', 'not recorded')}</tr>"
    )


def _measured(found: dict, label: str, nothing: str) -> str:
    """Return the cell of one measurement: its verdict, figure, margin, data and seeds; or what to say if it is none."""
    margin = f"margin, {found['tightest']}" if found.get("tightest") else ""
    lines = [margin, setting(found)] if found.get("measured") else [nothing]
    small = "".join(f"<small>{escape(line)}</small>" for line in lines if line)
    figure = f"<div>{escape(text(found.get('measured')))}</div>" if found.get("measured") else ""
    return f'<td class="value" data-label="{label}">{badge(found["verdict"])}{figure}{small}</td>'


def badge(verdict: str, words: str | None = None) -> str:
    """Return a verdict as a coloured label.

    Parameters
    ----------
    verdict : str
        One of `relcomp_kit.evidence.claims.VERDICTS`; it decides the colour.
    words : str, optional
        What is written on the label instead of the verdict.

    Returns
    -------
    str
        The label as HTML.
    """
    colour, ink, _ = VERDICTS.get(verdict, VERDICTS["open"])
    return f'<span class="badge" style="background:{colour};color:{ink}">{escape(words or verdict)}</span>'


def _joined(parts: Iterable[str]) -> str:
    return escape(" · ".join(part for part in parts if part))
