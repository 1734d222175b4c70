"""The words of the course, from ``data/glossary.toml``, and the page that explains them."""

import re
from dataclasses import dataclass
from html import escape

from relcomp_kit.course.notebooks import find_lessons
from relcomp_kit.evidence.claims import read_toml
from relcomp_kit.evidence.html_frame import frame

FILE = "glossary.md"  # beside the notebooks, for those who read them without the site
LEAD = "The words of the field as this course uses them, each with the lesson that introduces it."
STYLE = """
dl { max-width: 54rem; margin: 1.5rem 0; } dt { font-weight: 600; margin-top: 1.1rem; } dd { margin: .1rem 0 0; }
dt:target { background: #fff8e6; } dd a { white-space: nowrap; }
"""


@dataclass(frozen=True)
class Term:
    """A word, what it means, the number of the lesson that introduces it, and how the lesson may write it."""

    name: str
    definition: str
    lesson: str
    forms: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """The id of the word on the page."""
        return re.sub(r"\W+", "-", self.name.lower()).strip("-")


def terms() -> list[Term]:
    """Return all words in alphabetical order."""
    listed = read_toml("glossary.toml")["term"]
    found = [Term(**one | {"forms": tuple(one.get("forms", [one["name"]]))}) for one in listed]
    return sorted(found, key=lambda term: term.name.lower())


def text() -> str:
    """Return the glossary as Markdown, for `FILE`."""
    entries = "".join(f"\n**{term.name}** (lesson {term.lesson}): {term.definition}\n" for term in terms())
    return f"# Glossary\n\n{LEAD}\n{entries}"


def page(linked: set[str]) -> str:
    """Return the glossary as a page of the site.

    Parameters
    ----------
    linked : set of str
        Names of the lessons that have a page.
    """
    names = {source.stem[:2]: source.stem for source in find_lessons()}

    def lesson(number: str) -> str:
        name = names.get(number)
        return f'<a href="lessons/{name}.html">lesson {number}</a>' if name in linked else f"lesson {number}"

    entries = "".join(
        f'<dt id="{term.anchor}">{escape(term.name)}</dt><dd>{escape(term.definition)} {lesson(term.lesson)}</dd>'
        for term in terms()
    )
    return frame("Glossary", f"<dl>{entries}</dl>", lead=LEAD, root="", style=STYLE)
