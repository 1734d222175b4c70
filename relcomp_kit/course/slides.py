"""Slides of the lessons: one HTML file each, with reveal.js, pictures and formulas inside, which loads nothing.

What a slide shows follows from the tags in a lesson's source: a cell tagged ``slide`` or ``subslide`` begins a new one,
``skip`` leaves a cell out. A check shows its ticks without its code, an exercise its task without its solution. What is
too long for one slide goes on the next: the page itself sees to that, as only a browser knows how tall a text is.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from relcomp_kit.course.exercises import without_solution
from relcomp_kit.course.kernel import notebooks_folder
from relcomp_kit.course.notebooks import find_lessons, lesson_title
from relcomp_kit.course.slides_page import FIT, STYLE
from relcomp_kit.errors import UserError
from relcomp_kit.evidence.mathml import use_mathml
from relcomp_kit.files import make_folder, write_atomic

CHECKED = {"nbval-check-output"}


def write_slides(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Write a deck for each of the lessons named, all if none is.

    Parameters
    ----------
    folder : Path
        It is made if needed; decks that are there already are replaced.
    names : sequence of str
        Of lessons, as for `find_lessons`.

    Raises
    ------
    UserError
        If a lesson has not been rendered, or the folder cannot be written to.
    """
    sources = find_lessons(names)
    make_folder(folder)
    written = []
    for source in sources:
        notebook = notebooks_folder() / f"{source.stem}.ipynb"
        if not notebook.is_file():
            raise UserError(f"{notebook.name} is missing: run `relcomp render {source.stem}` first")
        written.append(write_atomic(Path(folder) / f"{source.stem}.html", deck(notebook)))
    return written


def deck(file: Path) -> str:
    """Return a rendered lesson as a page of slides."""
    import nbformat
    from bs4 import BeautifulSoup
    from nbconvert import SlidesExporter
    from traitlets.config import Config

    notebook = nbformat.read(file, as_version=4)
    title = lesson_title(notebook)
    for cell in notebook.cells:
        if "exercise" in cell.metadata.get("tags", []):
            cell.source = without_solution(cell.source)
        if "check.exercise(" in cell.source:
            cell.metadata["slideshow"] = {"slide_type": "skip"}
    exporter = SlidesExporter(config=Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": CHECKED}}))
    use_mathml(exporter)
    exported = BeautifulSoup(exporter.from_notebook_node(notebook)[0], "html.parser")
    page = BeautifulSoup(_page(), "html.parser")
    page.title.string = title
    slides = page.select_one(".slides")
    for column in exported.select(".slides > section"):
        stack = page.new_tag("section")
        for slide in column.find_all("section", recursive=False):
            section = page.new_tag("section")
            section.extend(_blocks(slide))
            if section.contents:
                stack.append(section)
        if stack.contents:
            slides.append(stack)
    return str(page)


def _blocks(slide) -> list:
    """Return what a slide holds, block by block: paragraphs, tables, code, outputs, without the marks of a notebook."""
    blocks = []
    for part in slide.select(".jp-RenderedMarkdown, .jp-InputArea .highlight pre, .jp-OutputArea-output"):
        if "jp-RenderedMarkdown" in part.get("class", []):
            found = part.find_all(recursive=False)
        elif part.name == "pre":
            part["class"] = "code"
            found = [part]
        else:
            found = [*part.select("pre, img")]
        for block in found:
            for one in (block, *block.find_all(True)):
                for name in ("id", "style", "tabindex"):
                    one.attrs.pop(name, None)
            blocks.append(block.extract())
    return blocks


def _page() -> str:
    """Return the page without its slides."""
    from pygments.formatters import HtmlFormatter

    place = find_spec("sphinx_revealjs").submodule_search_locations[0]
    reveal = Path(place) / "_static" / "revealjs" / "dist"
    style, script = ((reveal / name).read_text(encoding="utf-8") for name in ("reveal.css", "reveal.js"))
    code = HtmlFormatter(style="default", nobackground=True).get_style_defs(".code")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title></title><style>{style}{code}{STYLE}</style></head>
<body><div class="reveal"><div class="slides"></div></div>
<script>{script.replace("</script", "<" + chr(92) + "/script")}</script><script>{FIT}</script></body></html>
"""
