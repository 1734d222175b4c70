"""A lesson as a page of the site: pictures inside, formulas as MathML, links to what goes with it, no scripts."""

import re
from functools import cache
from html import escape
from pathlib import Path

from relcomp_kit.course import navigation
from relcomp_kit.course.notebooks import lesson_title
from relcomp_kit.evidence.html_frame import frame
from relcomp_kit.evidence.mathml import use_mathml

NOTEBOOK = re.compile(r"^(\d\d_\w+)\.ipynb")
STYLE = """
main, header > nav { max-width: 68rem; } h1 { margin: 1rem 0; }
main p, main li { max-width: 54rem; } main p { margin: .7rem 0; }
.beside { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; padding: .8rem 0; border-bottom: 1px solid var(--line); }
.beside:last-child { border: 0; border-top: 1px solid var(--line); margin-top: 2rem; }
.beside .next { margin-left: auto; }
img { display: block; max-width: 100%; height: auto; margin: .6rem 0; }
pre { margin: .5rem 0; font: .84rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.highlight pre { background: #f3f5f7; border-left: 4px solid #9fb3c8; padding: .6rem .8rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
.jp-OutputArea-output { overflow-x: auto; }
table { display: block; overflow-x: auto; border-collapse: collapse; font-size: .92rem; margin: .8rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem; border-bottom: 1px solid var(--line); }
.formula { overflow-x: auto; overflow-y: hidden; padding: .3rem 0; }
summary { cursor: pointer; color: var(--link); padding: .6rem 0; }
nav ol { columns: 20rem; padding: 0; list-style: none; }
@media print { .highlight pre, img { break-inside: avoid; } }
"""


def lesson_page(notebook: Path, before: tuple[str, str] | None = None, after: tuple[str, str] | None = None) -> str:
    """Return a notebook with its outputs as a page of the folder ``lessons`` of the site.

    Parameters
    ----------
    notebook : Path
        An ``.ipynb`` file with its outputs.
    before, after : (str, str), optional
        Name and title of the lessons before and after this one.

    Returns
    -------
    str
        The page as HTML.
    """
    import nbformat
    from bs4 import BeautifulSoup

    content = nbformat.read(notebook, as_version=4)
    content.metadata.pop("widgets", None)  # a live widget needs a kernel; its text remains
    soup = BeautifulSoup(_exporter().from_notebook_node(content)[0], "html.parser")
    for part in soup.select(f"script, .jp-Collapser, .jp-InputPrompt, .jp-OutputPrompt, .celltag_{navigation.TAG}"):
        part.decompose()
    for part in soup.find_all(tabindex=True):
        del part["tabindex"]  # else the tab key stops at every cell
    for anchor in soup("a", href=NOTEBOOK):
        anchor["href"] = NOTEBOOK.sub(r"\1.html", anchor["href"])  # the pages of lessons lie side by side
    for formula in soup("math", display="block"):
        formula.wrap(soup.new_tag("div", attrs={"class": "formula"}))
    for cell in soup.select(".celltag_exercise"):
        folded = cell.wrap(soup.new_tag("details"))
        folded.insert(0, BeautifulSoup("<summary>A solution</summary>", "html.parser"))
    beside = _beside(notebook.stem, before, after)
    body = f"{beside}{_contents(soup)}{soup}{beside}"
    return frame(lesson_title(content), body, root="../", style=STYLE + _code_style(), headed=False)


@cache
def _exporter():
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_file="base.html.j2")  # the cells alone, without JupyterLab's own style
    use_mathml(exporter)
    return exporter


@cache
def _code_style() -> str:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="default", nobackground=True).get_style_defs(".highlight")


def _contents(soup) -> str:
    """Return the headings of a lesson as a list of links, and give each its anchor."""
    items = ""
    for number, heading in enumerate(soup("h2"), 1):
        heading["id"] = f"part-{number}"
        items += f'<li><a href="#part-{number}">{escape(heading.text)}</a></li>'
    return f"<details><summary>In this lesson</summary><nav><ol>{items}</ol></nav></details>" if items else ""


def _beside(name: str, before: tuple[str, str] | None, after: tuple[str, str] | None) -> str:
    """Return the links to the lessons before and after, and to what goes with this one."""
    links = []
    if before:
        links.append(f'<a rel="prev" href="{before[0]}.html">← {before[0][:2]} {escape(before[1])}</a>')
    links.append(f'<a href="../slides/{name}.html">Slides</a>')
    links.append(f'<a href="../exercises/{name}.ipynb" download>Exercises</a>')
    links.append(f'<a href="../notebooks/{name}.ipynb" download>Notebook</a>')
    links.append('<a href="../glossary.html">Glossary</a>')
    if after:
        links.append(f'<a rel="next" class="next" href="{after[0]}.html">{after[0][:2]} {escape(after[1])} →</a>')
    return f'<nav class="beside" aria-label="Around this lesson">{"".join(links)}</nav>'
