"""The API's pages: one for every module, with nothing from the network."""

import re

import pytest

from relcomp_kit.course.api_pages import _without_dead_links, documented, write_api
from relcomp_kit.errors import UserError


@pytest.mark.slow
def test_every_module_has_a_page_that_loads_nothing(tmp_path):
    first = write_api(tmp_path)
    for name in documented():
        assert (tmp_path / f"{name.replace('.', '/')}.html").is_file(), name
    assert "weight_relevance" in (tmp_path / "relcomp_kit.html").read_text(encoding="utf-8")
    for page in (first, tmp_path / "relcomp_kit" / "compression" / "ecqx.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]+src=\"(?:https?:)?//", text)
        assert not re.findall(r"<link[^>]+href=\"(?:https?:)?//", text)


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path):
    (tmp_path / "pages").write_text("taken")
    with pytest.raises(UserError, match="is a file: name a folder"):
        write_api(tmp_path / "pages")


def test_a_link_to_what_a_page_does_not_show_is_plain_text():
    page = '<div id="A.run"><a href="#A.run">run</a> <a href="#A.stop">stop</a> <a href="b.html#B">B</a></div>'
    assert _without_dead_links(page) == page.replace('<a href="#A.stop">stop</a>', "stop")
