"""The page about claims, one file without scripts: the report, and the ledger of the site."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from html import escape

from relcomp_kit.evidence import claims
from relcomp_kit.evidence.html_frame import frame, picture
from relcomp_kit.evidence.report import VERDICTS, setting, text

STYLE = """
main > p { color: var(--soft); max-width: 54rem; }
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
.box { border: 1px solid var(--line); border-radius: .6rem; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .6rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e9edf1; }
th { background: #f4f6f8; font-weight: 600; color: var(--soft); white-space: nowrap; }
tr:last-child td { border-bottom: 0; } tr:target td { background: #fff8e6; }
td.claim { width: 34%; } td.value { min-width: 9rem; }
small { display: block; color: var(--soft); font-size: .8rem; }
.badge { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; font-size: .8rem; font-weight: 600;
  white-space: nowrap; }
.error { color: #a31621; overflow-wrap: anywhere; }
@media (max-width: 46rem) {
  figure { padding: .4rem; overflow-x: auto; } figure img { min-width: 40rem; }
  .box { border: 0; } thead { display: none; } table, tbody, tr, td { display: block; width: auto !important; }
  tr { border: 1px solid var(--line); border-radius: .6rem; margin: 0 0 .8rem; padding: .4rem 0; }
  td { border: 0; padding: .35rem .9rem; } td[data-label]::before { content: attr(data-label); display: block;
    font-size: .72rem; text-transform: uppercase; letter-spacing: .05em; color: var(--soft); }
  .bars { grid-template-columns: 1fr; gap: .2rem; } .bar { margin-bottom: .6rem; }
}
"""
Link = Callable[[str], str | None]


def report(rows: Sequence[dict], drawn: tuple[bytes, str] | None, link: Link, root: str | None = None) -> str:
    """Return the report as one page: every claim, published, measured and recorded, and what is missing to decide it.

    Parameters
    ----------
    rows : sequence of dict
        The claims, as in ``claims.json``.
    drawn : (bytes, str), optional
        The picture of the whole pipeline as PNG, and its points as text.
    link : callable
        Takes the name of a lesson, and returns the address of its page, or None.
    root : str, optional
        Way to the top of the site that the page is part of; without one it stands alone.
    """
    lead = (
        "Every claim of the ledger: what was published, what the recorded full run found, with the spread over "
        "its seeds, and the verdict that follows by rule. Where the published data or scale is missing here, it says "
        "so, and names the command that tests the claim."
    )
    tables = "".join(
        f"<h3>{escape(work)}</h3>{_table([row for row in rows if row['id'][0] == letter], link)}"
        for letter, work in claims.works().items()
    )
    body = f"""<h2>Verdicts</h2>{counts(rows)}
{_figure(*drawn) if drawn else ""}
<h2>Claims</h2>
<p>A rule is met or missed where the 95 % interval of its margins over the seeds says so; below each figure stands why.
Rows whose source is a control are questions of the kit's own.</p>
{tables}"""
    return frame("What reproduced", body, lead=lead, root=root, style=STYLE)


def counts(rows: Sequence[dict]) -> str:
    """Return as HTML bars how many published claims, and how many controls of the kit's own, have which verdict.

    Of this run, if it decided any, and recorded.
    """
    bars = {}
    for name, control in (("published claims", False), ("controls of ours", True)):
        some = [row for row in rows if row["control"] == control]
        if any(row["measured"] for row in some):
            bars[f"{name}, this run"] = Counter(row["verdict"] for row in some)
        if some:
            bars[f"{name}, recorded"] = Counter(claims.standing(row) for row in some)
    drawn = "".join(f"<b>{name}</b><div class='bar'>{_bar(verdicts)}</div>" for name, verdicts in bars.items())
    key = "".join(badge(verdict) for verdict in VERDICTS if any(some[verdict] for some in bars.values()))
    return f"<div class='bars'>{drawn}</div><div class='key'>{key}</div>"


def _bar(some: Counter) -> str:
    return "".join(
        f'<span style="background:{colour};color:{ink};flex:{number}" title="{verdict}">{number}</span>'
        for verdict, (colour, ink, _) in VERDICTS.items()
        if (number := some[verdict])
    )


def _figure(png: bytes, points: str) -> str:
    shown = picture(png, "Score in the test against size, for pruning, quantization, experts and files")
    return f"""<h2>The whole pipeline</h2>
<p>Bytes against score in the test, as recorded in full runs, mean and range of the seeds. Every curve but those
of files begins at 100 % with a net in float32 that nothing was done to but as much training.</p>
<figure>{shown}
<details><summary>All points, what their bytes count, and the commands that measure them again</summary>
<pre>{escape(points)}</pre></details></figure>"""


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
    recorded = row.get("recorded") or {"verdict": claims.standing(row), "why": claims.reason(row)}
    return (
        f'<tr id="{escape(row["id"])}"><td class="claim"><b>{escape(row["id"])}</b> {escape(row["statement"])}'
        f"<small>{' · '.join(about)}</small>{needs}"
        f"<details><summary>rule</summary><small>{escape(text(row.get('rule')))}</small></details></td>"
        f'<td class="value" data-label="Published">{escape(text(row["published"]))}'
        f"<small>{_joined(published)}</small></td>"
        f"{found}{_measured(recorded, 'Recorded full run', 'not recorded')}</tr>"
    )


def _measured(found: dict, label: str, nothing: str) -> str:
    """Return the cell of one measurement: verdict, figure, why, data, seeds and net; or what to say if it is none."""
    lines = [text(found.get("why")), setting(found)] if found.get("measured") else [nothing, text(found.get("why"))]
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
