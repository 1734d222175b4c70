"""The page of the demonstrator: controls, a command line, and the picture of the state that they make together.

Answers are computed in a thread of their own, so that the page can show how far they are, and stop them. Changes made
in the meantime wait; then one picture of the last state is drawn. If something goes wrong, the page says so in one
sentence, the controls go back, and the page goes on.
"""

import asyncio
import html
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets as widgets
from IPython.display import display

from relcomp_kit.demonstrator import nets
from relcomp_kit.demonstrator.completion import complete
from relcomp_kit.demonstrator.controls import ClassControls, NetControls, PathControls, labelled
from relcomp_kit.demonstrator.language import HELP, as_line, asks_help, parse
from relcomp_kit.demonstrator.state import MOST_PATHS, PathChoice, State
from relcomp_kit.demonstrator.style import STYLE
from relcomp_kit.demonstrator.tokens import quote
from relcomp_kit.demonstrator.view_controls import ChannelTools, LayerTools, MeasureTools
from relcomp_kit.demonstrator.views import CHANNEL, FILTERS, LAYERS, MEASURED, VIEWS, Drawn, Make, changed, drawn
from relcomp_kit.demonstrator.work import Stopped, Worker
from relcomp_kit.errors import UserError

FIRST = State(
    net="compact-rail-scenes-192x320-0",
    scene="synthetic 7 day",
    paths=(PathChoice(keep=0.5), PathChoice("trained", ("rail-50",)), PathChoice("trained", ("magnitude-50",))),
)


def show(net: str | None = None) -> None:
    """Display the page, with a net of a name or of a file; see `relcomp_kit.demonstrator.state.State`."""
    display(Page(net, asyncio.get_running_loop().call_soon_threadsafe).box)


class Page:
    """The page: ``box`` is the widget to display, ``state`` what it shows.

    Parameters
    ----------
    net : str or None
        A net that the page opens with. One that cannot be read is named in the page, which opens with another.
    later : callable
        Takes a function from any thread and calls it in this one, such as an event loop's ``call_soon_threadsafe``.
    """

    def __init__(self, net: str | None, later: Callable[[Callable[[], None]], Any]):
        self.state, self.view, self.showing = FIRST, VIEWS[0], False
        self.worker, self.working, self.since = Worker(later), False, ""
        self.waiting: list[Make] = []
        self.net, self.scene = NetControls(self.change_at_once), ClassControls(self.change_at_once)
        self.paths = [PathControls(place, self.change_at_once) for place in range(MOST_PATHS)]
        self.tools = {
            LAYERS: LayerTools(self.change_at_once),
            FILTERS: (channel := ChannelTools(self.change_at_once)),
            CHANNEL: channel,
            MEASURED: MeasureTools(self.change),
        }
        self.views = widgets.ToggleButtons(options=VIEWS, tooltips=[f"Show: {view}" for view in VIEWS])
        self.picture = widgets.Image(format="png").add_class("picture")
        self.table, self.line = widgets.HTML().add_class("table"), widgets.HTML().add_class("line")
        self.totals = widgets.HTML().add_class("unseen")  # what the picture says, for screen readers
        self.message = widgets.HTML().add_class("message")
        self.stop = widgets.Button(description="Stop", tooltip="End this work; the state before it stays").add_class(
            "stop"
        )
        self.command = widgets.Combobox(
            placeholder="rel rail keep=0.4 vs magnitude", tooltip="A command; Enter runs it"
        )
        self.asked: str | None = None  # the command that is run
        self.help = widgets.ToggleButton(description="Help", tooltip="What can be typed").add_class("help")
        self.help_text = widgets.HTML(f"<pre>{html.escape(HELP)}</pre>")
        self.above = widgets.VBox()
        self.box = self._layout()
        self.stop.on_click(lambda button: self._stop())
        self.command.observe(self._typed, "value")
        # Enter's message overtakes the last text, which the browser holds back while the kernel reads an earlier one.
        # So Enter is sent back to the browser, whose answer comes after both.
        self.enter, self.entered = widgets.IntText(), widgets.IntText()
        widgets.jsdlink((self.enter, "value"), (self.entered, "value"))
        self.command.on_msg(lambda widget, content, buffers: content.get("event") == "submit" and self._enter())
        self.entered.observe(lambda event: self._submitted(), "value")
        self.views.observe(lambda event: self._viewed(), "value")
        self.help.observe(lambda event: self._arrange(), "value")
        self._sync()
        self._begin(lambda state: state)
        if net is not None:
            self._begin(lambda state: parse(f"net {quote(net)}", state))

    def _layout(self) -> widgets.Box:
        left = widgets.VBox([self.net.box, labelled("Paths", *(path.box for path in self.paths)), self.scene.box])
        shown = widgets.VBox([self.picture, self.table, self.totals]).add_class("shown")
        right = widgets.VBox([self.above, shown, self.help_text])
        top = widgets.HBox([self.command.add_class("command"), self.help]).add_class("top")
        main = widgets.HBox([left.add_class("left"), right.add_class("right")]).add_class("main")
        said = widgets.HBox([self.message, self.stop]).add_class("said")
        self.views.add_class("views")
        return widgets.VBox([widgets.HTML(STYLE), top, said, main, self.line]).add_class("relcomp")

    def change(self, make: Make) -> None:
        """Show the state that ``make`` gives for the present one, or say why not; after what is being drawn now."""
        if self.showing:  # a control that is set, not moved
            return
        self.waiting.append(make)
        if not self.working:
            self._start()

    def change_at_once(self, make: Make) -> None:
        """The same without what takes seconds to measure, so that the controls answer at once."""
        self.change(lambda state: make(state.at_once()))

    def _begin(self, make: Make) -> None:
        """Draw at once, because changes made while a browser loads the page may never reach it."""
        try:
            self._ended(_job(self.state, [make], self.views.value), None)
        except Exception as error:
            self._ended(None, error)

    def _start(self) -> None:
        """Draw all that has been asked for since the last picture."""
        makes, self.waiting = self.waiting, []
        self.working, self.since, self.stop.disabled = True, time.strftime("%H:%M:%S"), False
        self.box.add_class("working")
        self._told("the answer")
        self.worker.start(partial(_job, self.state, makes, self.views.value), self._told, self._ended)

    def _told(self, what: str) -> None:
        """Say what is being done."""
        if not self.stop.disabled:
            self._say("busy", f"Working since {self.since}: {what}")

    def _stop(self) -> None:
        """End the work at its next step, and forget what waits."""
        self._say("busy", f"Working since {self.since}: it stops after this step")
        self.stop.disabled = True
        self.waiting.clear()
        self.worker.stop()

    def _ended(self, found: tuple[Drawn, UserError | None] | None, error: Exception | None) -> None:
        """Show what was drawn, or say why not; go on with what was asked for in the meantime."""
        if found is not None:
            self._show(found[0])
            error = found[1]
        if self.waiting:
            self._start()
            return
        self.working = False
        self._sync()
        if error is None:
            self._say("note", found[0].note)
            if self.command.value == self.asked:
                self.command.value = ""
        elif isinstance(error, Stopped):
            self._say("note", "Stopped: this is the state before it.")
        elif isinstance(error, UserError):
            self._say("error", sentence(str(error)))
        else:  # a fault of the kit must not end the show
            fault = f"{type(error).__name__}: {error}"[:200]
            self._say("error", f"That failed ({fault}); what you see is the state before it.")
        self.asked = None
        self.box.remove_class("working")

    def _say(self, kind: str, words: str) -> None:
        self.message.value = f'<div class="{kind}">{html.escape(words)}</div>' if words else ""

    def _show(self, found: Drawn) -> None:
        self.state, self.view = found.state, found.view
        if found.picture is not None:
            self.picture.value = found.picture
        self.table.value, self.totals.value = found.table, found.spoken

    def _sync(self) -> None:
        """Let all controls show the state."""
        net, self.showing = nets.load(self.state.net), True
        try:
            for group in (self.net, self.scene, *self.paths, *self.tools.values()):
                group.show(self.state, net)
            self.views.value = self.view
        finally:
            self.showing = False
        self.line.value = (
            '<textarea readonly rows="2" onfocus="this.select()" aria-label="This state as a command">'
            f"{html.escape(as_line(self.state))}</textarea>"
        )
        self._arrange()

    def _arrange(self) -> None:
        """Show what belongs to the view, or the help in its place."""
        helped, view = self.help.value, self.view
        tools = None if helped else self.tools.get(view)
        self.above.children = [self.views, tools.box] if tools else [self.views]
        for part, seen in (
            (self.help_text, helped),
            (self.table, not helped and view == LAYERS),
            (self.picture, not helped and view != LAYERS and bool(self.picture.value)),
        ):
            part.layout.display = None if seen else "none"

    def _viewed(self) -> None:
        if not self.showing:
            self.help.value = False
            self.change(lambda state: state)

    def _typed(self, event: dict) -> None:
        with self.command.hold_sync():
            self.command.options = complete(event["new"], self.state)

    def _enter(self) -> None:
        self.enter.value += 1

    def _submitted(self) -> None:
        line = self.command.value
        self.asked = line
        self.change(lambda state: parse(line, state))
        self.help.value = _helps(line)


def _job(before: State, makes: list[Make], view: str) -> tuple[Drawn, UserError | None]:
    """Return what a page shows after some changes, and why one of them was left out."""
    state, why = changed(before, makes)
    if why is not None and state == before:
        raise why
    return drawn(state, view, before), why


def _helps(line: str) -> bool:
    try:
        return asks_help(line)
    except UserError:  # said already
        return False


def sentence(text: str) -> str:
    """Return an error's text as a sentence; a file's name in front stays as it is."""
    start = text[:1].upper() if text.partition(" ")[0].isalpha() else text[:1]
    return f"{start}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"
