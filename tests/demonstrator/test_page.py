"""The page without a browser: whatever fails, it says so in one sentence, stays as it was and lives on."""

import re
import socket
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from relcomp_kit.demonstrator import nets, parse, scenes, serve, views
from relcomp_kit.demonstrator import page as page_module
from relcomp_kit.demonstrator.page import Page
from relcomp_kit.demonstrator.paths import path_of
from relcomp_kit.demonstrator.state import PathChoice
from relcomp_kit.demonstrator.work import step
from relcomp_kit.errors import UserError

START = parse("net compact-rail-scenes-0; rel rail keep=0.6 vs magnitude", page_module.FIRST)  # four times as fast


class Patient(Page):
    """A page that has drawn what it was asked for when a call returns, unless it is told not to wait."""

    def __init__(self, net: str | None = None):
        self.calls, self.patient = SimpleQueue(), True
        super().__init__(net, self.calls.put)

    def change(self, make):
        super().change(make)
        if self.patient and not self.showing:
            self.settle()

    def settle(self):
        """Do what the event loop would do, until nothing is left to draw."""
        while self.working:
            self.calls.get(timeout=120)()


@pytest.fixture(scope="module")
def made():
    return Patient()


@pytest.fixture
def page(made):
    made.change(lambda state: START)
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
    monkeypatch.setattr(views, "render", broken)
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
    page = Patient(str(file))
    assert "no net.nnc" in page.message.value
    assert bytes(page.picture.value).startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_file_of_unknown_scenes_opens_with_its_expert(make_file, net):
    half = path_of(net, PathChoice("magnitude", (), 0.5))
    page = Patient(make_file("with an expert.nnc", {"an expert": half}))
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
    if "camvid" in scenes.sets():
        assert (page.state.scene, page.net.kind.value) == ("camvid 0", "camvid")
        assert "The scene is now camvid 0: compact-camvid-0 knows the classes of such scenes." in page.message.value
        page.net.net.value = "compact-camvid-1"
        assert (page.state.scene, page.message.value) == ("camvid 0", "")
        page.net.net.value = "compact-rail-scenes-1"
        assert page.state.scene == "synthetic 0"
        page.net.net.value = "compact-camvid-0"
    else:
        assert (page.state.scene, page.message.value) == (START.scene, "")
        assert "no scenes of camvid are on this machine" in page.totals.value
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
        serve.serve(str(tmp_path / "none.nnc"), browser=False)
    with pytest.raises(UserError, match=r"nonsense is missing: name a file .* or a net of the list"):
        serve.serve("nonsense", browser=False)
    assert serve.LISTED.fullmatch("compact-rail-scenes-192x320-0") and serve.LISTED.fullmatch("resnet50-camvid-2")


def test_missing_voila_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "voila.app", None)
    with pytest.raises(UserError, match="pip install voila"):
        serve.serve(browser=False)


@pytest.mark.slow
def test_the_help_gives_way_to_the_view_that_is_chosen(page):
    page.help.value = True
    assert (page.help_text.layout.display, page.table.layout.display) == (None, "none")
    page.views.value = views.LAYERS
    assert not page.help.value
    assert (page.help_text.layout.display, page.table.layout.display) == ("none", None)
    page.views.value = views.SCENE


@pytest.fixture
def slow(monkeypatch):
    """A gate that holds every picture until it is opened, and the shares of the first path that were drawn."""
    gate, shares, real = threading.Event(), [], views.render

    def held(state, size):
        shares.append(state.paths[0].keep)
        while not gate.wait(0.01):
            step("waiting at the gate")
        return real(state, size)

    monkeypatch.setattr(views, "render", held)
    yield gate, shares
    gate.set()


@pytest.fixture
def hurried(page):
    """The page, which returns at once."""
    page.patient = False
    yield page
    page.patient = True


def tell(page, words: str) -> None:
    """Run the page until its message holds some words."""
    while words not in page.message.value:
        page.calls.get(timeout=60)()


@pytest.mark.slow
def test_work_says_that_it_runs_and_can_be_stopped(hurried, slow):
    page, picture, state = hurried, hurried.picture.value, hurried.state
    page.paths[0].keep.value = 0.41
    assert re.search(r"Working since \d\d:\d\d:\d\d: ", page.message.value)
    assert "working" in page.box._dom_classes, "the old picture is covered"
    tell(page, "waiting at the gate")
    page.stop.click()
    assert "it stops after this step" in page.message.value
    page.settle()
    assert "Stopped: this is the state before it." in page.message.value
    assert (page.state, page.picture.value, page.paths[0].keep.value) == (state, picture, 0.6)
    assert "working" not in page.box._dom_classes
    slow[0].set()
    page.paths[0].keep.value = 0.42
    page.settle()
    assert (page.message.value, page.state.paths[0].keep) == ("", 0.42)


@pytest.mark.slow
def test_of_what_is_changed_meanwhile_only_the_last_state_is_drawn(hurried, slow):
    gate, shares = slow
    hurried.paths[0].keep.value = 0.3
    for share in (0.31, 0.32, 0.33, 0.34):
        hurried.paths[0].keep.value = share
    hurried.net.number.value = 21
    hurried.paths[1].keep.value = 0.5
    gate.set()
    hurried.settle()
    assert shares == [0.3, 0.34]
    assert hurried.state.scene == "synthetic 21 day"
    assert [path.keep for path in hurried.state.paths[:2]] == [0.34, 0.5]
    assert hurried.paths[0].keep.value == 0.34


@pytest.mark.slow
def test_what_waits_is_forgotten_by_stop_and_a_bad_command_spoils_nothing_else(hurried, slow):
    gate, shares = slow
    hurried.paths[0].keep.value = 0.3
    hurried.paths[0].keep.value = 0.31
    hurried.stop.click()
    hurried.settle()
    assert shares in ([0.3], []) and hurried.state.paths[0].keep == 0.6
    hurried.paths[0].keep.value = 0.35
    hurried.change(lambda state: parse("rel rial", state))
    hurried.change(lambda state: parse("scene synthetic 22", state))
    gate.set()
    hurried.settle()
    assert (hurried.state.paths[0].keep, hurried.state.scene) == (0.35, "synthetic 22")
    assert "did you mean rail" in hurried.message.value


@pytest.mark.slow
def test_a_view_that_cannot_be_shown_goes_back(page, monkeypatch):
    monkeypatch.setattr(views, "render_layers", lambda state: 1 / 0)
    page.views.value = views.LAYERS
    assert "ZeroDivisionError" in page.message.value
    assert page.views.value == views.SCENE
    assert (page.picture.layout.display, page.table.layout.display) == (None, "none")


@pytest.mark.slow
def test_a_measurement_of_a_thousand_scenes_is_stopped_within_a_step(hurried):
    hurried.change(lambda state: parse("measure test=1000", state))
    tell(hurried, "test scene")
    assert re.search(r"test scene \d+ of 1000", hurried.message.value)
    hurried.stop.click()
    hurried.settle()
    assert "Stopped" in hurried.message.value and hurried.state.test == 0


def test_the_page_opens_with_a_name_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.nnc").touch()
    for given, opened in ((None, None), ("compact-camvid-0",) * 2, ("own.nnc", str(tmp_path / "own.nnc"))):
        (cell,) = serve.page_notebook(given)["cells"]
        assert cell["source"].endswith(f"show({opened!r})")
