"""The pages of a run, which load nothing from the network, and the table of claims in the terminal."""

from collections import Counter
from html import escape
from pathlib import Path

from relcomp_kit.lessons.mathml import use_mathml

VERDICTS = {  # verdict -> (colour on a page, colour in the terminal)
    "reproduced": ("#1a7f37", "green"),
    "holds on a stand-in": ("#0b7285", "cyan"),
    "partly": ("#9a6700", "yellow"),
    "not reproduced": ("#b42318", "red"),
    "not testable here": ("#6b4fa0", "magenta"),
    "open": ("#5b6470", "bright_black"),
}
STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #f5f6f8; color: #1f2328; font: 16px/1.5 system-ui, Helvetica, Arial, sans-serif; }
main { max-width: 75rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; letter-spacing: -.01em; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.2rem; }
p { margin: .4rem 0; color: #4b535d; max-width: 48rem; }
a { color: #0550ae; text-decoration: none; } a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; background: #fff; border: 1px solid #d8dde3; border-radius: .6rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { padding: .55rem .8rem; text-align: left; vertical-align: top; border-bottom: 1px solid #e8ebef; }
th { background: #fafbfc; font-weight: 600; white-space: nowrap; color: #4b535d; }
tr:last-child td { border-bottom: 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.claim { min-width: 18rem; } td.value { min-width: 8rem; } th.number { text-align: right; }
small { display: block; color: #656d76; font-size: .8rem; }
code { overflow-wrap: anywhere; }
.badge { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; color: #fff; font-size: .8rem;
  font-weight: 600; white-space: nowrap; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }
.error { color: #b42318; overflow-wrap: anywhere; }
"""
PAGE_STYLE = """
main { max-width: 60rem; margin: 0 auto; }
h1 { line-height: 1.2 !important; }
.jp-RenderedHTMLCommon table { margin-left: 0; }
"""


def index(results: list, rows: list[dict], profile: str) -> str:
    """Return ``index.html``: the lessons of a run, and every claim with its verdict.

    Parameters
    ----------
    results : list of LessonResult
        The lessons that ran.
    rows : list of dict
        The claims, as in ``claims.json``.
    profile : str
        "quick" or "full".
    """
    counts = Counter(row["verdict"] for row in rows)
    badges = "".join(_badge(verdict, f"{counts[verdict]} {verdict}") for verdict in VERDICTS if counts[verdict])
    lessons = "".join(_lesson_row(result) for result in results)
    claims = "".join(_claim_row(row) for row in rows)
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>relcomp: {len(results)} lessons, {len(rows)} claims</title><style>{STYLE}</style></head>
<body><main>
<h1>Which published claims hold</h1>
<p>This run used the <b>{escape(profile)}</b> profile. A verdict follows from this run's measurements, by code; beside
it stands what the committed full run found, on the published data and budget. A lesson that runs on a reduced budget
(lesson 02 in quick), or on other data, can confirm a claim on a smaller scale, but not refute it. Data set and seeds
stand below each result.</p>
<div class="counts">{badges}</div>
<h2>Lessons</h2>
<div class="scroll"><table><thead><tr><th>Lesson</th><th>Status</th><th class="number">Seconds</th>
<th>Files</th></tr></thead>
<tbody>{lessons}</tbody></table></div>
<h2>Claims</h2>
<div class="scroll"><table><thead><tr><th>Id</th><th>Claim</th><th>Published</th><th>This run</th><th>Verdict</th>
<th>Recorded full run</th></tr></thead><tbody>{claims}</tbody></table></div>
</main></body></html>
"""


def page(notebook: Path, title: str) -> str:
    """Return an executed notebook as one HTML file: images inside, formulas as MathML, no scripts."""
    import nbformat
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter

    content = nbformat.read(notebook, as_version=4)
    content.metadata["title"] = title
    content.metadata.pop("widgets", None)  # a live widget needs a kernel; its text remains
    exporter = HTMLExporter()
    use_mathml(exporter)
    soup = BeautifulSoup(exporter.from_notebook_node(content)[0], "html.parser")
    for script in soup("script"):
        script.decompose()
    soup.head.append(BeautifulSoup(f"<style>{PAGE_STYLE}</style>", "html.parser"))
    return str(soup)


def terminal_table(rows: list[dict]):
    """Return the table of claims for a rich console; without any live result only what is recorded is shown."""
    from rich.table import Table
    from rich.text import Text

    live = any(row["measured"] for row in rows)
    table = Table(title="Claims", title_justify="left", header_style="bold", expand=True, show_lines=True)
    columns = {"id": {"no_wrap": True}, "claim": {"ratio": 3}, "published": {"ratio": 2}}
    if live:
        columns |= {"this run": {"ratio": 2}, "verdict": {"width": 12}}
    for name, options in (columns | {"recorded full run": {"ratio": 3}}).items():
        table.add_column(name, **options)
    for row in rows:
        recorded = row.get("recorded") or {}
        cells = [Text(row["id"]), Text(row["statement"]), Text(_text(row["published"]))]
        if live:
            cells += [Text(_text(row["measured"])), _coloured(row["verdict"])]
        past = Text("\n").join([_coloured(recorded["verdict"]), Text(recorded["measured"])]) if recorded else Text("")
        table.add_row(*cells, past)
    return table


def _coloured(verdict: str):
    from rich.text import Text

    return Text(verdict, style=VERDICTS.get(verdict, ("", ""))[1])


def _lesson_row(result) -> str:
    name = escape(result.lesson)
    status = _badge("reproduced", "ok") if result.error is None else _badge("not reproduced", "failed")
    error = f'<small class="error">{escape(result.error)}</small>' if result.error else ""
    return (
        f'<tr><td><a href="html/{name}.html">{escape(result.title)}</a><small>{name}</small></td>'
        f'<td>{status}{error}</td><td class="number">{result.seconds:.1f}</td>'
        f'<td><a href="html/{name}.html">page</a> · <a href="notebooks/{name}.ipynb">notebook</a></td></tr>'
    )


def _claim_row(row: dict) -> str:
    recorded = row.get("recorded") or {}
    command = row.get("command") if row["verdict"] == "not testable here" else None
    lesson = f"lesson {row['lesson']}" if row.get("lesson") else ""
    about = " · ".join(filter(None, [_text(row.get("source")), lesson]))
    where = " · ".join(filter(None, [_text(row.get("published_dataset")), _text(row.get("unit"))]))
    hint = f"<small>test it with <code>{escape(command)}</code></small>" if command else ""
    return (
        f'<tr id="{escape(row["id"])}"><td><b>{escape(row["id"])}</b></td>'
        f'<td class="claim">{escape(row["statement"])}<small>{escape(about)}</small>{hint}</td>'
        f'<td class="value">{escape(_text(row["published"]))}'
        f"<small>{escape(where)}</small></td>"
        f'<td class="value">{escape(_text(row["measured"]))}<small>{escape(_setting(row))}</small></td>'
        f"<td>{_badge(row['verdict'])}</td>"
        f'<td class="value">{escape(_text(recorded.get("measured")))}'
        f"<small>{escape(_setting(recorded))}</small>{_badge(recorded['verdict']) if recorded else ''}</td></tr>"
    )


def _badge(verdict: str, words: str | None = None) -> str:
    colour = VERDICTS.get(verdict, VERDICTS["open"])[0]
    return f'<span class="badge" style="background:{colour}">{escape(words or verdict)}</span>'


def _setting(row: dict) -> str:
    """Return data set and seeds of a measurement; nothing where nothing was measured."""
    if row.get("measured") is None:
        return ""
    seeds = row.get("seeds") or []
    return ", ".join(filter(None, [_text(row.get("dataset")), f"{len(seeds)} seeds" if seeds else ""]))


def _text(value) -> str:
    return "" if value is None else str(value)
