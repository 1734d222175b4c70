"""The glossary: its words are those of the lessons that introduce them, in a sentence or two."""

import re

import pytest

from relcomp_kit.course import glossary, notebooks
from relcomp_kit.course.glossary import terms

FIELD = {  # the words that the kit's names are made of
    *("relevance", "saliency", "attribution", "sparsity", "inverse density", "sparsification factor", "bit width"),
    *("centroid", "step", "filter", "path", "gate", "bitstream", "compression ratio", "mIoU", "pixel accuracy", "MACs"),
}


@pytest.fixture(scope="module")
def prose():
    """What each lesson says, by its number."""
    lessons = {source.stem[:2]: notebooks.read_source(source).cells for source in notebooks.find_lessons()}
    return {
        number: " ".join(" ".join(cell.source for cell in cells if cell.cell_type == "markdown").split())
        for number, cells in lessons.items()
    }


@pytest.mark.parametrize("term", terms(), ids=lambda term: term.anchor)
def test_a_lesson_uses_the_word_that_it_introduces(term, prose):
    words = "|".join(re.escape(form) for form in term.forms)
    assert re.search(rf"\b({words})", prose[term.lesson], re.IGNORECASE), f"lesson {term.lesson} says none of {words}"


def test_words_are_explained_once_and_briefly():
    listed = terms()
    assert {term.name for term in listed} >= FIELD
    assert len({term.anchor for term in listed}) == len(listed)
    for term in listed:
        assert 1 <= len(re.findall(r"[.!?](?= |$)", term.definition)) <= 2, term.name
        assert term.definition[0].isupper() and len(term.definition) < 260, term.name


def test_the_page_links_to_the_lessons_that_have_one():
    names = {source.stem for source in notebooks.find_lessons()}
    page = glossary.page(names - {"09_what_reproduced"})
    assert page.count("<dt id=") == len(terms())
    assert '<dt id="bit-width">bit width</dt>' in page and 'href="lessons/00_start_here.html">lesson 00</a>' in page
    assert "lesson 09" in page and "09_what_reproduced" not in page
