"""The site: whole, offline, every link leads somewhere, nothing of anybody's is lost, and it is read on a phone too."""

import functools
import http.server
import re
import threading
import time
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup

from relcomp_kit.course import lesson_page, lesson_states, notebooks, site
from relcomp_kit.course.api_pages import documented
from relcomp_kit.errors import UserError

WIDTHS = [(1280, 720), (390, 844)]
LESSON = """# %% [markdown]
# # Try a site
# Of $x^2$, and lesson [02](02_other.ipynb#part-1).
#
# | you do | you learn |
# |---|---|
# | try it | much |
#
# ## A part with `code`
# $$\\frac{1}{2}$$

# %% tags=["exercise"]
def double(x):
    # solution
    return 2 * x
"""
LINK = re.compile(r'<(\w+)\b[^>]*?\b(?:href|src)="([^"]*)"')


def markup(file: Path) -> str:
    """A page without what its scripts say."""
    return re.sub(r"(<script[^>]*>).*?</script>", r"\1</script>", file.read_text(encoding="utf-8"), flags=re.DOTALL)


def faults(root: Path) -> list[str]:
    """Links of a site that lead nowhere, or out of it where a page loads something."""
    pages = {file: markup(file) for file in root.rglob("*.html")}
    anchors = {file: {unescape(one) for one in re.findall(r'\bid="([^"]*)"', text)} for file, text in pages.items()}
    found = []
    for file, text in pages.items():
        styles = "".join(re.findall(r"<style[^>]*>(.*?)</style>", text, re.DOTALL))
        found += [f"{file}: {one}" for one in re.findall(r"@import[^;]*|url\((?![\"']?(?:data:|#))[^)]*", styles)]
        for tag, address in LINK.findall(text):
            parts = urlsplit(unescape(address))
            if (parts.scheme in ("http", "https") and tag == "a") or parts.scheme in ("data", "mailto"):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            inside = not (parts.scheme or parts.netloc) and target.is_relative_to(root)
            if not inside or not target.is_file():
                found.append(f"{file.relative_to(root)}: <{tag}> {address[:80]}")
            elif parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in anchors[target]:
                found.append(f"{file.relative_to(root)}: nothing is called {address[:80]}")
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site of this checkout, in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("site") / "a site"
    assert site.write_site(folder) == folder / "index.html"
    return folder


@pytest.fixture
def house(make_house, monkeypatch):
    """A checkout with one lesson, rendered, and an API of one page."""
    sources = make_house(LESSON)
    notebooks.write_notebook(notebooks.read_source(sources / "07_try.py"), sources.parent / "07_try.ipynb")

    def write_api(folder, home):
        folder.mkdir(exist_ok=True)
        (folder / "index.html").write_text(f'<a href="{home}">The course</a>', encoding="utf-8")

    monkeypatch.setattr(site, "write_api", write_api)
    return sources


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere_in_it(built):
    assert faults(built) == []


@pytest.mark.slow
def test_a_broken_link_would_be_found(built, tmp_path):
    for wrong in ('<a href="none.html">', '<a href="/index.html">', '<a href="#none">', '<img src="https://a.org/b">'):
        (tmp_path / "page.html").write_text(wrong, encoding="utf-8")
        assert len(faults(tmp_path)) == 1, wrong


@pytest.mark.slow
def test_each_lesson_leads_on_and_to_what_belongs_to_it(built):
    names = [source.stem for source in notebooks.find_lessons()]
    for before, name, after in zip(["", *names], names, [*names[1:], ""]):
        page = markup(built / "lessons" / f"{name}.html")
        wanted = [f"../{place}/{name}" for place in ("slides", "exercises", "notebooks")]
        wanted += ["../glossary.html", "../ledger.html", "../api/index.html", "../index.html"]
        wanted += [f"{one}.html" for one in (before, after) if one]
        assert all(f'href="{one}' in page for one in wanted), name
        assert ('rel="prev"' in page, 'rel="next"' in page) == (bool(before), bool(after))
        assert f'href="lessons/{name}.html"' in markup(built / "index.html")
    assert 'href="../index.html"' in markup(built / "api" / "relcomp_kit.html")
    assert 'href="../../index.html"' in markup(built / "api" / "relcomp_kit" / "files.html")


@pytest.mark.slow
def test_every_module_has_a_page_that_loads_nothing(built):
    api = built / "api"
    for name in documented():
        assert (api / f"{name.replace('.', '/')}.html").is_file(), name
    assert "weight_relevance" in (api / "relcomp_kit.html").read_text(encoding="utf-8")
    for page in (api / "index.html", api / "relcomp_kit" / "compression" / "ecqx.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//", text)
        assert not re.findall(r"<link[^>]+href=\"(?:https?:)?//", text)


@pytest.mark.slow
def test_slides_hold_no_solution_and_nothing_from_the_network(built):
    for source in notebooks.find_lessons():
        page = BeautifulSoup((built / "slides" / f"{source.stem}.html").read_text(encoding="utf-8"), "html.parser")
        sources = [
            one.get("src", "") + one.get("href", "") for one in page.find_all(["script", "link", "img", "iframe"])
        ]
        assert all(source.startswith("data:image/png") for source in sources if source)
        styles = "".join(style.text for style in page("style"))
        assert not re.search(r"@import|url\((?![\"']?data:)", styles)
        text = page.select_one(".slides").text
        assert "# solution" not in text
        for cell in notebooks.read_source(source).cells:
            if "exercise" in cell.metadata.get("tags", []):
                assert cell.source.split("# solution\n", 1)[1].strip() not in text


@pytest.mark.slow
def test_slides_of_every_lesson_are_readable_at_1280x720(built, read_slides):
    for source in notebooks.find_lessons():
        read_slides(built / "slides" / f"{source.stem}.html")


@pytest.mark.slow
def test_no_formula_is_left_as_it_is_typed(built):
    for file in (built / "lessons").glob("*.html"):
        prose = re.sub(r"<(pre|code|style|math|annotation)\b.*?</\1>", "", markup(file), flags=re.DOTALL)
        assert not re.findall(r"\$[^$\s][^$\n]{0,60}\$|\\[a-zA-Z]{2,}", re.sub(r"<[^>]+>", "", prose)), file.name


@pytest.mark.slow
def test_results_of_a_run_are_shown(house, tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    with pytest.raises(UserError, match="run holds no run: name the --out"):
        site.write_site(out, run)
    executed = notebooks.read_source(house / "07_try.py")
    executed.cells[0].source += "\n\nOnly in the run."
    notebooks.write_notebook(executed, run / "notebooks" / "07_try.ipynb")
    lesson_states.remember(run, lesson_states.states(run, [lesson_states.LessonResult("07_try", "Try a site", 61.0)]))
    site.write_site(out, run)
    assert "Only in the run." in (out / "lessons" / "07_try.html").read_text(encoding="utf-8")
    assert "61 s" in (out / "index.html").read_text(encoding="utf-8")
    site.write_site(out)
    assert "Only in the run." not in (out / "lessons" / "07_try.html").read_text(encoding="utf-8")
    assert "61 s" not in (out / "index.html").read_text(encoding="utf-8")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["house", "out", "run"], "nothing else is left"


@pytest.mark.slow
def test_only_a_site_as_it_was_written_is_replaced(house, tmp_path, monkeypatch):
    place = tmp_path / "site"
    place.mkdir()
    (place / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="it is no site that `relcomp site` wrote: name a new folder"):
        site.write_site(place)
    assert [file.name for file in place.iterdir()] == ["thesis.tex"]
    (place / "thesis.tex").unlink()
    place.chmod(0o750)
    site.write_site(place)
    site.write_site(place)
    assert place.stat().st_mode & 0o777 == 0o750
    page = (place / "index.html").read_text(encoding="utf-8")
    for name in ("CNAME", "exercises/07_try.ipynb"):
        kept = (place / name).read_bytes() if (place / name).is_file() else None
        (place / name).write_text("mine", encoding="utf-8")
        with pytest.raises(UserError, match=rf"{name} is not as `relcomp site` wrote it: move it away"):
            site.write_site(place)
        (place / name).unlink() if kept is None else (place / name).write_bytes(kept)
    monkeypatch.setattr(site, "write_results", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        site.write_site(place)
    assert (place / "index.html").read_text(encoding="utf-8") == page, "the old site stays if the new one fails"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["house", "site"], "nothing half made is left"


def test_a_file_in_the_place_of_the_site_is_a_sentence(tmp_path):
    (tmp_path / "site").write_text("taken", encoding="utf-8")
    with pytest.raises(UserError, match="is a file: name a folder for the site"):
        site.write_site(tmp_path / "site")


@pytest.mark.slow
def test_the_course_in_the_folder_of_a_run_is_written_once_and_keeps_what_students_did(house, tmp_path):
    said = []
    assert site.keep_course(tmp_path / "out", said.append)
    assert not site.keep_course(tmp_path / "out", said.append)
    assert len(said) == 1
    (tmp_path / "out" / "exercises" / "07_try.ipynb").write_text("work", encoding="utf-8")
    rendered = house.parent / "07_try.ipynb"
    rendered.write_text(rendered.read_text(encoding="utf-8").replace("try it", "do it"), encoding="utf-8")
    assert site.keep_course(tmp_path / "out", said.append)
    assert (tmp_path / "out" / "exercises" / "07_try.ipynb").read_text(encoding="utf-8") == "work"
    assert "do it" in (tmp_path / "out" / "lessons" / "07_try.html").read_text(encoding="utf-8")


def test_two_runs_into_one_folder_write_the_course_once(house, tmp_path, monkeypatch):
    written, answers = [], []

    def write(folder, run):
        written.append(folder)
        time.sleep(0.2)
        (folder / "api").mkdir()
        (folder / "api" / "index.html").touch()

    monkeypatch.setattr(site, "write_course", write)
    runs = [threading.Thread(target=lambda: answers.append(site.keep_course(tmp_path / "out"))) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert len(written) == 1 and sorted(answers) == [False, True]


def test_a_lesson_page_folds_solutions_and_links_to_other_pages(house):
    page = lesson_page.lesson_page(house.parent / "07_try.ipynb", ("06_a", "A & B"), None)
    assert 'href="02_other.html#part-1"' in page and 'rel="prev" href="06_a.html">← 06 A &amp; B' in page
    assert "<title>Try a site · relcomp</title>" in page and page.count("<h1") == 1
    assert '<a href="#part-1">A part with code</a>' in page and '<h2 id="part-1">' in page
    assert page.count("<math") == 2 and "<script" not in page and "In [" not in page
    assert re.search(r"<details><summary>A solution</summary>.*?return.*?</details>", page, re.DOTALL)


def test_a_lesson_that_was_not_rendered_is_left_out(house):
    (house / "08_later.py").write_text(LESSON.replace("Try", "Later"), encoding="utf-8")
    assert [lesson.name for lesson in site.lessons()] == ["07_try"]
    nbformat.write(nbformat.v4.new_notebook(), house.parent / "08_later.ipynb")
    assert [lesson.title for lesson in site.lessons()] == ["Try a site", "Later a site"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def served(built):
    """The address of the site in a subfolder of a web server."""
    handler = functools.partial(Quiet, directory=built.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a%20site/"
        server.shutdown()


SEEN = """() => ({
  page: [document.documentElement.scrollWidth, innerWidth],
  images: [...document.images].filter((one) => one.offsetParent && !(one.complete && one.naturalWidth)).length,
  cut: [...document.querySelectorAll("main img, main .highlight pre")].filter((one) => one.offsetParent
    && !one.closest("figure") && one.getBoundingClientRect().right > innerWidth + 1).length,
  wide: [...document.querySelectorAll(".highlight pre")].filter((one) => one.scrollWidth > one.clientWidth + 1).length,
  small: [...document.querySelectorAll("main p, main li, main pre, main dd")].filter((one) => one.offsetParent
    && parseFloat(getComputedStyle(one).fontSize) < 12).length,
})"""


@pytest.mark.slow
@pytest.mark.parametrize("size", WIDTHS, ids=lambda size: f"{size[0]}x{size[1]}")
def test_pages_fit_a_screen_and_ask_nothing_of_others(browser, built, served, size):
    asked, problems = [], []
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    names = ["index.html", "ledger.html", "glossary.html", "api/relcomp_kit.html", "api/relcomp_kit/files.html"]
    names += [f"lessons/{file.name}" for file in sorted((built / "lessons").glob("*.html"))]
    for root in (built.as_uri() + "/", served):
        for name in names if root == served else names[:6]:
            page.goto(root + name)
            seen = page.evaluate(SEEN)
            assert seen["page"][0] <= seen["page"][1], (name, seen)
            assert {seen[key] for key in ("images", "cut", "wide", "small")} == {0}, (name, seen)
    page.close()
    assert problems == []
    assert [url for url in asked if not url.startswith(("file:", "data:", served))] == []


@pytest.mark.slow
def test_the_keyboard_reaches_the_next_lesson(browser, built):
    page = browser.new_page()
    names = [source.stem for source in notebooks.find_lessons()]
    page.goto((built / "lessons" / f"{names[0]}.html").as_uri())
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.rel") == "next":
            break
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/{names[1]}.html")
    page.close()
