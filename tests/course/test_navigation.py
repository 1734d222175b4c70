"""Each lesson ends with links to the lessons around it and to the glossary, which lead somewhere wherever it lies."""

import re

import nbformat
import pytest

from relcomp_kit.course import exercises, glossary, lesson_page, navigation, notebooks
from relcomp_kit.course.kernel import notebooks_folder

LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+)\)")
SOURCES = notebooks.find_lessons()
TITLES = {"01_one": "One", "03_three": "Three & more", "07_seven": "Seven"}


@pytest.fixture(scope="module")
def titles():
    """Name to title of all lessons."""
    return {source.stem: notebooks.lesson_title(notebooks.read_source(source)) for source in SOURCES}


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_lesson_ends_with_its_links_and_has_them_once(source, titles):
    tagged = [navigation.TAG in cell.metadata.get("tags", []) for cell in notebooks.read_source(source).cells]
    assert tagged == [False] * (len(tagged) - 1) + [True]
    assert notebooks.read_source(source).cells[-1].source == navigation.line(source.stem, titles)
    for _, address in LINK.findall(navigation.line(source.stem, titles)):
        assert (notebooks_folder() / address).is_file(), address


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("01_one", "[Glossary](glossary.md) · [03 Three & more](03_three.ipynb) →"),
        ("03_three", "← [01 One](01_one.ipynb) · [Glossary](glossary.md) · [07 Seven](07_seven.ipynb) →"),
        ("07_seven", "← [03 Three & more](03_three.ipynb) · [Glossary](glossary.md)"),
    ],
)
def test_the_line_names_what_is_before_and_after(name, text):
    assert navigation.line(name, TITLES) == text


@pytest.mark.parametrize("names", [(), ("00", "05"), ("03",)], ids=str)
def test_students_files_link_to_each_other_and_to_nothing_else(names):
    files = exercises.student_files(names)
    lessons = [name for name in files if name.endswith(".ipynb")]
    linked = set()
    for name in lessons:
        last = nbformat.reads(files[name], as_version=4).cells[-1]
        found = {address for _, address in LINK.findall(last.source)}
        assert glossary.FILE in found and found <= files.keys() and name not in found
        linked |= found
    assert linked == {glossary.FILE, *(lessons if len(lessons) > 1 else ())}


def test_the_page_of_a_lesson_has_its_own_links_alone(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("# Three"), nbformat.v4.new_markdown_cell("")]
    cells[-1].metadata["tags"] = [navigation.TAG]
    notebook = nbformat.v4.new_notebook(cells=cells)
    navigation.link(notebook, "03_three", TITLES)
    assert "07_seven.ipynb" in notebook.cells[-1].source
    page = lesson_page.lesson_page(
        notebooks.write_notebook(notebook, tmp_path / "03_three.ipynb"), ("01_one", "One"), ("07_seven", "Seven")
    )
    assert page.count('href="07_seven.html"') == page.count('rel="next"') == 2  # above the lesson and below it
    assert "glossary.md" not in page and 'href="../glossary.html"' in page


def test_the_glossary_beside_the_lessons_is_that_of_the_table():
    file = notebooks_folder() / glossary.FILE
    assert file.read_text(encoding="utf-8") == glossary.text(), "run `relcomp render`, or write glossary.text() into it"
    assert all(
        f"**{term.name}** (lesson {term.lesson}): {term.definition}" in glossary.text() for term in glossary.terms()
    )
