"""What a reader of the lessons would stumble over, and a machine can find: markup that breaks, code over the page."""

import re
from pathlib import Path

import nbformat
import pytest

from relcomp_kit.course import notebooks

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
WIDTH = 100  # characters of code that fit on the page where a lesson is shown as HTML

lessons = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)

ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+\S")
ONE_OF_MANY = re.compile(r"(?<![\d.,/:=^-])\b1 ([a-z]{3,}s)\b(?!')")
NO_PLURAL = frozenset({"across", "always", "as", "bias", "class", "does", "has", "is", "less", "loss", "minus", "pass"})
NO_PLURAL |= {"axis", "plus", "process", "this", "thus", "times", "was"}


def doubled_backslashes(markdown: str) -> list[str]:
    r"""Return what formulas show as text: ``\\Lambda`` is a line break and a word, ``\Lambda`` is the letter."""
    return re.findall(r"\\\\[A-Za-z]+", markdown)


def swallowed_paragraphs(markdown: str) -> list[str]:
    """Return lines that were meant to follow a list and become part of its last item: no blank line is before them."""
    found, in_list, in_code = [], False, False
    for line in markdown.splitlines():
        if line.lstrip().startswith("```"):
            in_code = not in_code
        if in_code:
            continue
        if not line.strip() or line.startswith(("#", "|", "<", "```")):
            in_list = False
        elif ITEM.match(line):
            in_list = True
        elif in_list and not line.startswith(" "):
            found.append(line)
    return found


def wrong_plurals(printed: str) -> list[str]:
    """Return what was printed of one thing in the plural, such as "1 weights"."""
    return [match[0] for match in ONE_OF_MANY.finditer(printed) if match[1] not in NO_PLURAL]


def long_lines(code: str) -> list[str]:
    """Return the lines of code that run over the page."""
    return [line for line in code.splitlines() if len(line) > WIDTH]


def texts(source: Path, kind: str) -> list[tuple[str, str]]:
    """Return id and text of a lesson's cells of a kind."""
    return [(cell.id, cell.source) for cell in notebooks.read_source(source).cells if cell.cell_type == kind]


def printed(source: Path) -> list[tuple[str, str]]:
    """Return id and printed text of a rendered lesson's cells."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{source.stem}.ipynb", as_version=4)
    return [(c.id, o.text) for c in notebook.cells for o in c.get("outputs", []) if o.output_type == "stream"]


def faults(rule, cells: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Return what a rule finds, by the id of the cell."""
    return {name: found for name, text in cells if (found := rule(text))}


@lessons
def test_formulas_have_single_backslashes(source):
    assert faults(doubled_backslashes, texts(source, "markdown")) == {}


@lessons
def test_no_list_swallows_a_paragraph(source):
    assert faults(swallowed_paragraphs, texts(source, "markdown")) == {}


@lessons
def test_one_thing_is_printed_in_the_singular(source):
    assert faults(wrong_plurals, printed(source)) == {}


@lessons
def test_code_fits_on_the_page(source):
    assert faults(long_lines, texts(source, "code")) == {}


@pytest.mark.parametrize(
    ("rule", "faulty", "fine"),
    [
        (doubled_backslashes, r"a price $\\Lambda$", "a price $\\Lambda$, and \\\\ between two rows"),
        (swallowed_paragraphs, "- one\n- two,\n  longer\nThen it goes on.", "- one,\n  longer\n- two\n\nIt goes on."),
        (swallowed_paragraphs, "1. one\nmore", "Sizes, in\n- pixels\n- bytes\n\n## Next\nwords"),
        (wrong_plurals, "seed 0: 1 weights left", "1 weight left; 21 weights; 0.1 weights; 1 is one, and 1 bias"),
        (long_lines, "x = 1\ny = " + "1 + " * 30 + "1", "x = 1  # short"),
    ],
)
def test_rules_find_faults_and_leave_the_rest(rule, faulty, fine):
    assert rule(faulty)
    assert rule(fine) == []
