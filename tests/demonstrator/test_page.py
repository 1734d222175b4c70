"""The page without a browser: whatever fails, it says so in one sentence, stays as it was and lives on."""

import re
import socket
import sys

import pytest

from relcomp_kit.demonstrator import nets, parse, serve
from relcomp_kit.demonstrator import page as page_module
from relcomp_kit.demonstrator.page import Page
from relcomp_kit.demonstrator.paths import path_of
from relcomp_kit.demonstrator.state import PathChoice
from relcomp_kit.errors import UserError


@pytest.fixture(scope="module")
def made():
    return Page()


@pytest.fixture
def page(made):
    made.change(lambda state: page_module.FIRST)
    return made


@pytest.mark.slow
def test_controls_show_the_state_that_a_line_sets(page):
    page.change(lambda state: parse("scene synthetic 3 fog; rel sky trackbed keep=0.333 vs random; heat off", state))
    assert page.message.value == ""
    assert (page.net.kind.value, page.net.number.value, page.net.weather.value) == ("synthetic", 3, "fog")
    assert page.paths[0].classes.value == ("sky", "trackbed")
    assert page.paths[0].keep.value == pytest.approx(0.333, abs=0.005)
    assert (page.paths[1].kind.value, page.paths[2].kind.value) == ("random", "none")
    assert page.scene.heat.value is None
    assert page.state.paths[0].keep == 0.333, "a slider is coarser than a line, and must not round it"


@pytest.mark.slow
def test_a_control_that_cannot_be_obeyed_goes_back(page):
    page.change(lambda state: parse("scene synthetic 5", state))
    picture, state = page.picture.value, page.state
    page.change(lambda state: parse("scene camvid 100000", state))
    assert re.fullmatch(r'<div class="error">.+[.?]</div>', page.message.value)
    assert (page.state, page.picture.value, page.net.number.value) == (state, picture, 5)


@pytest.mark.slow
def test_a_fault_of_the_kit_is_one_sentence(page, monkeypatch):
    def broken(state, size):
        raise RuntimeError("<no> reason")

    picture, state = page.picture.value, page.state
    monkeypatch.setattr(page_module, "render", broken)
    page.paths[0].keep.value = 0.3
    assert "RuntimeError: &lt;no&gt; reason" in page.message.value
    assert (page.state, page.picture.value, page.paths[0].keep.value) == (state, picture, 0.6)
    monkeypatch.undo()
    page.paths[0].keep.value = 0.3
    assert (page.message.value, page.state.paths[0].keep) == ("", 0.3)


@pytest.mark.slow
def test_a_file_that_is_no_net_is_named_in_the_page(tmp_path):
    file = tmp_path / "no net.nnc"
    file.write_bytes(b"nothing")
    page = Page(str(file))
    assert "no net.nnc" in page.message.value
    assert bytes(page.picture.value).startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_file_of_unknown_scenes_opens_with_its_expert(make_file, net):
    half = path_of(net, PathChoice("magnitude", (), 0.5))
    page = Page(make_file("with an expert.nnc", {"an expert": half}))
    assert page.message.value == ""
    assert (page.net.net.label, page.paths[0].kind.value) == ("with an expert.nnc", "stored")
    assert page.state.paths[0].classes == ("an expert",)


@pytest.mark.slow
def test_what_the_browser_rounds_is_no_change(page):
    page.change(lambda state: parse("rel rial", state))
    said = page.message.value
    for slider in (page.paths[2].keep, page.tools["Layers"].keep):
        slider.value *= 1 - 1e-15
    assert "did you mean rail" in page.message.value == said


@pytest.mark.slow
def test_another_net_brings_its_classes(page):
    page.net.net.value = "compact-camvid-0"
    assert page.message.value == ""
    assert (page.state.net, page.scene.classes) == ("compact-camvid-0", nets.load("compact-camvid-0").classes)


@pytest.mark.slow
def test_layers_that_are_summed_get_one_share(page):
    tools = page.tools["Layers"]
    together = next(group for group in tools.net.groups.layers if len(group) > 1)
    tools.keep.value = 0.3
    tools.reset.click()
    tools.layer.value = together[0]
    assert page.state.paths[0].layers == (), "to choose a layer is not to change it"
    tools.keep.value = 0.25
    assert page.message.value == ""
    assert dict(page.state.paths[0].layers) == dict.fromkeys(together, 0.25)
    tools.reset.click()
    assert page.state.paths[0].layers == ()


def test_a_taken_port_and_a_missing_file_are_refused(tmp_path):
    with socket.socket() as taken:
        taken.bind((serve.HOST, 0))
        taken.listen()
        with pytest.raises(UserError, match="cannot be used"):
            serve.serve(port=taken.getsockname()[1], browser=False)
    with pytest.raises(UserError, match=r"none\.nnc is missing"):
        serve.serve(tmp_path / "none.nnc", browser=False)


def test_missing_voila_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "voila.app", None)
    with pytest.raises(UserError, match="pip install voila"):
        serve.serve(browser=False)


@pytest.mark.slow
def test_the_help_gives_way_to_the_view_that_is_chosen(page):
    page.help.value = True
    assert (page.help_text.layout.display, page.table.layout.display) == (None, "none")
    page.views.value = page_module.LAYERS
    assert not page.help.value
    assert (page.help_text.layout.display, page.table.layout.display) == ("none", None)
    page.views.value = page_module.SCENE
