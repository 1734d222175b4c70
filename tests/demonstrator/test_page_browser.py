"""The demonstrator as an audience has it: `relcomp demo`, and a real browser that clicks, types and looks.

``RELCOMP_SOAK=short`` runs the last tests, too; ``full`` makes them long: 500 changes for 40, ten pages for three.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import requests
from PIL import Image

from relcomp_kit.demonstrator import State, parse, scenes

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]
PATIENCE = 300_000  # milliseconds; only a busy machine needs them
START = "net compact-rail-scenes-0; scene synthetic 13 day; classes rail; rel rail keep=0.8 vs magnitude"
START += "; heat rail; channel off; measure off"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`relcomp demo` in a process of its own, with its address."""
    command = [sys.executable, "-c", "from relcomp_kit.cli.app import main; main()", "demo", "--no-browser"]
    environment = os.environ | {"RELCOMP_OFFLINE": "1", "RELCOMP_CACHE": str(tmp_path_factory.mktemp("cache"))}
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a script's background ignores it
    )
    announced = process.stdout.readline()
    address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", announced)
    assert address, announced + process.stdout.read()
    yield SimpleNamespace(process=process, address=address[0])
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def browser():
    """A browser to which no name leads anywhere, as in a hall without a network."""
    with playwright.sync_playwright() as run:
        offline = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", offline])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def tab(server, browser):
    """The page, opened once; ``asked`` are its requests, ``broken`` the errors that it or its console had."""
    tab = opened(browser, server)
    ready(tab)
    return tab


def opened(browser, server):
    """Open the page, and do not wait for it."""
    tab = browser.new_page(viewport={"width": 1280, "height": 720})
    tab.set_default_timeout(PATIENCE)
    tab.asked, tab.broken = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("pageerror", lambda error: tab.broken.append(str(error)))
    tab.on("console", lambda said: said.type == "error" and tab.broken.append(said.text))
    tab.goto(server.address, wait_until="commit")
    return tab


def ready(tab) -> None:
    """Wait for the first picture."""
    tab.wait_for_selector(".relcomp .picture")
    wait_until(tab, lambda: tab.locator(".relcomp .picture").evaluate("image => image.naturalWidth") > 0, "no picture")
    idle(tab)


def idle(tab) -> None:
    """Wait until nothing is being computed."""
    tab.locator(".relcomp.working").wait_for(state="detached")


@pytest.fixture
def page(tab):
    """The page in the same state for every test."""
    show_view(tab, "Scene")
    run(tab, START)
    return tab


def line(tab) -> str:
    """The line of the state that the page shows."""
    return tab.locator(".relcomp .line textarea").input_value()


def whole_line_is_seen(tab) -> bool:
    """Whether the line of the state fits into its field, and the field on the page."""
    field = tab.locator(".relcomp .line textarea")
    box = field.bounding_box()
    fits = field.evaluate("field => field.scrollHeight <= field.clientHeight")
    return fits and box["y"] + box["height"] <= tab.viewport_size["height"]


def wait_for_state(tab, wanted: State | str) -> None:
    """Wait until the page shows a state, or that of a line, drawn and said."""
    state = parse(wanted, State()) if isinstance(wanted, str) else wanted
    deadline = time.monotonic() + PATIENCE / 1000
    while parse(line(tab), State()) != state or tab.locator(".relcomp.working").count():
        assert time.monotonic() < deadline, line(tab)
        tab.wait_for_timeout(50)


def run(tab, command: str) -> None:
    """Type a command, and wait for its end: its field is emptied, also where it changes nothing."""
    wanted = parse(command, parse(line(tab), State()))
    typed(tab, command)
    field = tab.locator(".relcomp .command input")
    wait_until(tab, lambda: field.input_value() == "", "the command is still in its field")
    wait_for_state(tab, wanted)


def typed(tab, command: str) -> None:
    """Type a command and press Enter."""
    field = tab.locator(".relcomp .command input")
    field.fill(command)
    field.press("Enter")


def show_view(tab, name: str) -> None:
    """Click on one of the views."""
    button = tab.locator(".relcomp .views button", has_text=name)
    if "mod-active" not in button.get_attribute("class"):
        button.click()
        wait_until(tab, lambda: "mod-active" in button.get_attribute("class"), "the view is not chosen")
        tab.wait_for_timeout(100)  # until the kernel has heard of it
        idle(tab)


def said(tab) -> str:
    """What the page tells those who cannot see the picture."""
    return tab.locator(".relcomp .unseen").inner_text()


def picture_of(tab) -> str:
    """The pixels of the picture, whatever their size on the screen."""
    return tab.locator(".relcomp .picture").evaluate(
        """async image => {
             await image.decode()
             const canvas = document.createElement("canvas")
             canvas.width = image.naturalWidth; canvas.height = image.naturalHeight
             canvas.getContext("2d").drawImage(image, 0, 0)
             return canvas.toDataURL()
           }"""
    )


def wait_until(tab, condition, what: str) -> None:
    """Wait until something holds of the page."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < deadline, what
        tab.wait_for_timeout(50)


def wait_until_changed(tab, look, before) -> None:
    """Wait until something on the page is no longer what it was."""
    wait_until(tab, lambda: look() != before, f"nothing has changed: {before!r}")


def error(tab) -> str:
    """The sentence that says what went wrong."""
    found = tab.locator(".relcomp .message .error")
    found.wait_for()
    return found.inner_text()


def upload(tab, file: Path, data: bytes, zeros: int = 0) -> None:
    """Give the page a file that ends with so many zeros, which take no room on the disk."""
    file.write_bytes(data)
    os.truncate(file, len(data) + zeros)
    with tab.expect_file_chooser() as chooser:
        tab.locator(".relcomp .widget-upload").click()
    chooser.value.set_files(file)


def photograph(size=(120, 200)) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)).save(file, "png")
    return file.getvalue()


def test_nobody_gets_in_without_the_token(server):
    port = server.address.split("?")[0]
    for address in (port, f"{port}?token=wrong"):
        answer = requests.get(address, allow_redirects=False, timeout=30)
        assert answer.status_code == 302
        assert "/login" in answer.headers["Location"]
    assert requests.get(f"{port}api/kernels/00000000-0000-0000-0000-000000000000", timeout=30).status_code == 403
    assert requests.get(f"{port}voila/files/Relevant experts.ipynb", timeout=30).status_code in (302, 403)
    elsewhere = requests.get(server.address, headers={"Host": "example.com"}, allow_redirects=False, timeout=30)
    assert elsewhere.status_code == 403


def test_all_is_seen_at_1280x720_without_scrolling(page):
    assert page.title() == "Relevant experts"
    height = page.evaluate("document.querySelector('.relcomp').getBoundingClientRect().bottom")
    assert height <= 720
    assert page.locator(".relcomp .picture").evaluate("image => image.naturalWidth") == 966
    assert "super-net: 100 % of the parameters" in said(page)
    assert "rail, 80 %" in said(page)
    assert "magnitude, 80 %" in said(page)
    assert "IoU rail" in said(page)
    run(page, "rel rail keep=0.6 vs magnitude vs random; classes rail sky")
    assert whole_line_is_seen(page)
    assert not page.broken


def test_every_control_has_a_name_and_is_reached_by_keyboard(page):
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('.relcomp :is(input, select, button)')]
             .filter(one => one.offsetParent)
             .filter(one => !(one.labels?.length || one.ariaLabel || one.title || one.textContent.trim()
                              || one.placeholder || one.closest('[title]')) || one.tabIndex < 0)
             .map(one => one.outerHTML)"""
    )
    assert unnamed == []


def test_a_slider_moves_an_expert(page):
    before, picture = said(page), picture_of(page)
    handle = page.locator(".relcomp .path .noUi-handle").first
    handle.focus()
    for _ in range(8):
        handle.press("ArrowLeft")
    wait_for_state(page, START.replace("keep=0.8 vs magnitude", "keep=0.72 vs magnitude keep=0.8"))
    assert "rail, 72 %" in said(page)
    assert "magnitude, 80 %" in said(page)
    assert said(page) != before
    assert picture_of(page) != picture


def test_kind_and_class_of_a_path_are_chosen(page):
    page.get_by_label("Path 2").select_option("relevant for a class")
    wait_for_state(page, f"{START}; rel rail keep=0.8 vs rail")
    page.get_by_label("for", exact=True).nth(1).select_option("sky")
    wait_for_state(page, f"{START}; rel rail keep=0.8 vs sky")
    page.get_by_label("Path 3").select_option("random")
    wait_for_state(page, f"{START}; rel rail keep=0.8 vs sky vs random")
    assert "random, 80 %" in said(page)
    page.get_by_label("Path 2").select_option("none")
    wait_for_state(page, f"{START}; rel rail keep=0.8 vs random")


def test_classes_and_heatmap_are_chosen(page):
    picture = picture_of(page)
    page.get_by_label("Heatmap").select_option("sky")
    wait_for_state(page, f"{START}; heat sky")
    assert picture_of(page) != picture
    page.locator(".relcomp .chips button", has_text="sky").click()
    wait_for_state(page, f"{START}; heat sky; classes rail sky")
    assert "IoU sky" in said(page)
    page.locator(".relcomp .chips button", has_text="rail").click()
    wait_for_state(page, f"{START}; heat sky; classes sky")
    page.locator(".relcomp .chips button", has_text="sky").click()
    assert "one at least" in error(page)
    assert "classes sky;" in line(page)


def test_the_scene_is_chosen(page):
    page.get_by_label("Weather").select_option("snow")
    wait_for_state(page, f"{START}; scene synthetic 13 snow")
    page.get_by_label("Number").fill("14")
    page.get_by_label("Number").press("Enter")
    wait_for_state(page, f"{START}; scene synthetic 14 snow")
    assert "14" in said(page)


def test_commands_are_run_completed_and_refused(page):
    field = page.locator(".relcomp .command input")
    field.fill("rel sk")
    page.wait_for_function("document.querySelector('.relcomp datalist')?.innerHTML.includes('rel sky')")
    run(page, "rel sky keep=0.5 vs average")
    assert "average, 50 %" in said(page)
    before, picture = line(page), picture_of(page)
    typed(page, "rel rial keep=0.4")
    assert "did you mean rail?" in error(page)
    assert field.input_value() == "rel rial keep=0.4"
    typed(page, 'scene upload "<img src=x onerror=alert(1)>"')
    page.wait_for_function("document.querySelector('.relcomp .error')?.textContent.includes('onerror')")
    assert page.locator(".relcomp .error img").count() == 0
    assert line(page) == before
    assert picture_of(page) == picture
    typed(page, "help")
    page.get_by_text("an expert of the filters most relevant for rail").wait_for()
    page.get_by_role("button", name="Help").click()
    page.locator(".relcomp .picture").wait_for()


def test_enter_runs_all_that_was_typed_however_fast(page):
    """The text is held back in the browser when Enter comes: the kernel has not answered to the first letters yet."""
    page.locator(".relcomp .command input").evaluate(
        """field => {
             for (const text of ["rel", "rel sky", "rel sky keep=0.5"]) {
               field.value = text
               field.dispatchEvent(new Event("input", {bubbles: true}))
             }
             field.dispatchEvent(new KeyboardEvent("keypress", {keyCode: 13, bubbles: true}))
           }"""
    )
    wait_for_state(page, f"{START}; rel sky keep=0.5")
    assert page.locator(".relcomp .error").count() == 0


def test_a_state_is_copied_and_pasted(page):
    run(page, "rel sky keep=0.5 vs random vs average; scene synthetic 21 fog; heat sky; layer 2 classifier.1 keep=0.25")
    copied, picture = line(page), picture_of(page)
    run(page, START)
    assert line(page) != copied
    run(page, copied)
    assert line(page) == copied
    assert picture_of(page) == picture


def test_an_image_is_uploaded_and_a_hostile_one_refused(page, tmp_path):
    upload(page, tmp_path / "hall.png", photograph())
    wait_for_state(page, f"{START}; scene upload hall.png")
    assert "no ground truth" in said(page)
    picture = picture_of(page)
    for name, data, sentence in (
        ("<b>no.png", b"<script>alert(1)</script>", "is neither PNG nor JPEG"),
        ("half.png", photograph()[:2000], "damaged or cut short"),
        ("large.png", photograph(), "large.png is too large: choose an image of up to 10 MB."),
    ):
        upload(page, tmp_path / name, data, zeros=300 * 10**6 if name == "large.png" else 0)
        page.wait_for_function(f"document.querySelector('.relcomp .error')?.textContent.includes('{sentence}')")
        assert page.locator(".relcomp .error b").count() == 0
    assert "scene upload hall.png" in line(page)
    assert picture_of(page) == picture
    upload(page, tmp_path / "hall again.png", photograph((60, 100)))
    wait_for_state(page, f'{START}; scene upload "hall again.png"')
    run(page, "keep 0.7")
    assert "rail, 70 %" in said(page)


def test_layers_filters_and_channels_are_shown(page):
    show_view(page, "Layers")
    page.locator(".relcomp table.layers tbody tr", has_text="classifier").first.wait_for()
    before = page.locator(".relcomp table.layers").inner_text()
    page.locator(".relcomp .tools .noUi-handle").focus()
    page.keyboard.press("ArrowLeft")
    wait_until_changed(page, lambda: page.locator(".relcomp table.layers").inner_text(), before)
    wait_until(page, lambda: "layer 1 " in line(page), "no share of a layer in the line")
    run(page, "rel rail trackbed sky vegetation buildings vs critical rail sky buildings vs average")
    sides = "one => [one.scrollWidth, one.clientWidth]"
    wide, seen = page.locator(".relcomp .table .widget-html-content").evaluate(sides)
    assert wide <= seen, "the table of three paths stands out of the page"
    show_view(page, "Filters")
    page.locator(".relcomp .picture").wait_for()
    for view in ("Channel", "Scene"):
        before = picture_of(page)
        show_view(page, view)
        wait_until_changed(page, lambda: picture_of(page), before)
    wait_until(page, lambda: "channel backbone.layer4" in line(page), "no channel in the line")


def test_seconds_of_measuring_are_asked_for_by_a_button_and_end_with_the_next_change(page):
    show_view(page, "Measured")
    page.get_by_label("Test scenes").fill("4")
    page.get_by_label("Test scenes").press("Tab")
    page.get_by_role("button", name="Measure", exact=True).click()
    wait_for_state(page, f"{START}; measure latency test=4")
    assert re.search(r"super-net: .* ms an image.* on 4 scenes", said(page))
    page.get_by_label("Heatmap").select_option("no heatmap")
    wait_for_state(page, f"{START}; heat off")
    assert "ms an image" not in said(page)


def test_nothing_is_asked_of_another_host(tab, server):
    assert len(tab.asked) > 20
    own = server.address.split("?")[0]
    assert [url for url in tab.asked if not url.startswith((own, "blob:", "data:"))] == []
    assert tab.broken == []


LABELS = ".widget-label, .widget-readout, button, h2, label, legend, th, option:checked"


@pytest.mark.parametrize("size", [(1280, 720), (1366, 768), (1920, 1080), (390, 844)])
def test_no_label_is_cut_off(page, size):
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    try:
        for view in ("Scene", "Layers", "Channel", "Measured"):
            show_view(page, view)
            cut = page.evaluate(
                """names => [...document.querySelectorAll(names)].filter(one => one.closest(".relcomp"))
                     .filter(one => one.offsetParent && !one.closest(".table"))
                     .filter(one => one.scrollWidth > one.clientWidth || one.getBoundingClientRect().right > innerWidth)
                     .map(one => [one.textContent, one.scrollWidth, one.clientWidth])""",
                LABELS,
            )
            assert cut == [], view
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view
            sides = "one => [one.scrollWidth, one.clientWidth]"
            wide, seen = page.locator(".relcomp .left").evaluate(sides)
            assert wide <= seen, "a control stands out of its column"
        show_view(page, "Scene")
        if height < 1000 and width > 800:
            assert page.evaluate("document.querySelector('.relcomp').getBoundingClientRect().bottom") <= height
    finally:
        page.set_viewport_size({"width": 1280, "height": 720})


def test_long_work_covers_the_picture_says_since_when_and_is_stopped(page):
    before, picture = line(page), picture_of(page)
    typed(page, "measure test=1000")
    page.locator(
        ".relcomp .busy", has_text=re.compile(r"Working since \d\d:\d\d:\d\d: test scene \d+ of 1000")
    ).wait_for()
    opacity = "image => getComputedStyle(image).opacity"
    wait_until(
        page, lambda: float(page.locator(".relcomp .picture").evaluate(opacity)) < 0.5, "the old picture is bright"
    )
    covered = "shown => getComputedStyle(shown, '::after').content"
    assert "not there yet" in page.locator(".relcomp .shown").evaluate(covered)
    page.get_by_role("button", name="Stop", exact=True).click()
    idle(page)
    page.get_by_text("Stopped: this is the state before it.").wait_for()
    assert (line(page), picture_of(page)) == (before, picture)
    assert float(page.locator(".relcomp .picture").evaluate(opacity)) == 1
    page.locator(".relcomp .command input").fill("")


def test_blue_pixels_are_explained(page):
    assert "blue ones, even on it, against it: negative relevance" in said(page)


def test_another_net_brings_a_scene_of_its_kind(page):
    if "camvid" not in scenes.sets():
        pytest.skip("no CamVid on this machine")
    page.get_by_label("Net", exact=True).select_option("compact-camvid-0")
    page.get_by_text("The scene is now camvid 0").wait_for()
    idle(page)
    assert "scene camvid 0;" in line(page)
    assert "IoU" in said(page)
    run(page, "net compact-rail-scenes-0")


def kernels(server) -> dict[int, psutil.Process]:
    """The kernels of the server, by their process id."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    return {one.pid: one for one in children if "ipykernel_launcher" in " ".join(one.cmdline())}


def test_a_dead_kernel_is_said_and_the_page_opens_anew(server, browser):
    before = kernels(server)
    tab = opened(browser, server)
    ready(tab)
    (own,) = kernels(server).keys() - before.keys()
    psutil.Process(own).kill()
    said_so = tab.get_by_role("alert")
    said_so.wait_for()
    assert "The program behind this page has ended" in said_so.inner_text()
    tab.get_by_role("button", name="Open the page anew").click()
    said_so.wait_for(state="detached")
    ready(tab)
    run(tab, "keep 0.7")
    assert own not in kernels(server)
    tab.close()


FULL = os.environ.get("RELCOMP_SOAK") == "full"
CHANGES, SETTLED, TABS = (500, 50, 10) if FULL else (40, 28, 3)  # settled: the caches of a kernel have filled
COMMANDS = (
    "keep 0.{}", "rel sky keep=0.{} vs random", "scene synthetic {}", "heat sky", "classes rail sky", "heat rail",
    "rel rail keep=0.{} vs magnitude vs average", "scene synthetic {} snow",
    "layer 1 classifier.1 keep=0.{}", "classes all",
)  # fmt: skip


@pytest.mark.skipif("RELCOMP_SOAK" not in os.environ, reason="takes minutes: RELCOMP_SOAK=full or short")
def test_memory_stays_level_through_many_changes(server, browser, record_property):
    before = kernels(server)
    tab = opened(browser, server)
    ready(tab)
    (own,) = kernels(server).keys() - before.keys()
    kernel, levels = psutil.Process(own), []
    slider, number = tab.locator(".relcomp .path .noUi-handle").first, tab.get_by_label("Number")
    for change in range(CHANGES):
        if change % 25 == 24:
            net = "compact-rail-scenes-1" if change % 50 == 24 else "compact-rail-scenes-0"
            run(tab, f"net {net}")
        elif change % 10 == 3:
            show_view(tab, ("Layers", "Filters", "Scene")[change // 10 % 3])
        elif change % 10 == 6:
            was = line(tab)
            slider.press("ArrowLeft" if change // 10 % 2 else "ArrowRight")
            wait_until_changed(tab, lambda was=was: line(tab), was)
        elif change % 10 == 9:
            number.fill(str(1000 + change))
            number.press("Enter")
            wait_until(tab, lambda change=change: f"synthetic {1000 + change}" in line(tab), "the scene is not chosen")
        else:
            run(tab, COMMANDS[change % len(COMMANDS)].format(10 + change % 80))
        idle(tab)
        levels.append(kernel.memory_info().rss / 2**20)
        if change % 50 == 49:
            print(f"{change + 1} changes: {levels[-1]:.0f} MiB", flush=True)
    record_property("MiB", levels)
    assert levels[-1] <= 1.1 * levels[SETTLED - 1], levels[::10]
    assert tab.broken == []
    tab.close()


@pytest.mark.skipif("RELCOMP_SOAK" not in os.environ, reason="takes minutes: RELCOMP_SOAK=full or short")
def test_several_pages_at_once(server, browser):
    tabs = [opened(browser, server) for _ in range(TABS)]
    for tab in tabs:
        ready(tab)
    for place, tab in enumerate(tabs):
        typed(tab, f"keep {(10 + place) / 100:g}")
    for place, tab in enumerate(tabs):
        wait_until(
            tab, lambda place=place, tab=tab: f"rail keep={(10 + place) / 100:g} " in line(tab), "the share is not set"
        )
        idle(tab)
        assert tab.broken == []
    for tab in tabs:
        tab.close()


def test_ctrl_c_ends_server_and_kernels(server, tab):
    kernels = psutil.Process(server.process.pid).children(recursive=True)
    assert kernels
    server.process.send_signal(signal.SIGINT)
    rest = server.process.communicate(timeout=60)[0]
    assert server.process.returncode == 0
    assert "the demonstrator has ended" in rest
    assert "Traceback" not in rest
    assert psutil.wait_procs(kernels, timeout=10)[1] == []
