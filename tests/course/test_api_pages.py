"""The API's pages, but for what the site's tests ask of them."""

import pytest

from relcomp_kit.course.api_pages import _without_dead_links, write_api
from relcomp_kit.errors import UserError


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path):
    (tmp_path / "pages").write_text("taken")
    with pytest.raises(UserError, match="is a file: name a folder"):
        write_api(tmp_path / "pages")


def test_a_link_to_what_a_page_does_not_show_is_plain_text():
    page = '<div id="A.run"><a href="#A.run">run</a> <a href="#A.stop">stop</a> <a href="b.html#B">B</a></div>'
    assert _without_dead_links(page) == page.replace('<a href="#A.stop">stop</a>', "stop")
