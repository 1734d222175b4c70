"""The page of the demonstrator: controls, a command line, and the picture of the state that they make together.

Every callback is guarded: what goes wrong is said in one sentence, the controls go back, and the page lives on.
"""

import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import ipywidgets as widgets
from IPython.display import display

from relcomp_kit.demonstrator import nets
from relcomp_kit.demonstrator.checks import check
from relcomp_kit.demonstrator.completion import complete
from relcomp_kit.demonstrator.controls import ClassControls, NetControls, PathControls, labelled
from relcomp_kit.demonstrator.details import render_channel, render_filters, render_layers
from relcomp_kit.demonstrator.engine import answer
from relcomp_kit.demonstrator.language import HELP, as_line, asks_help, parse
from relcomp_kit.demonstrator.pixel_layout import png
from relcomp_kit.demonstrator.render import render
from relcomp_kit.demonstrator.state import MOST_PATHS, PathChoice, State
from relcomp_kit.demonstrator.style import STYLE, spoken
from relcomp_kit.demonstrator.tokens import quote
from relcomp_kit.demonstrator.view_controls import ChannelTools, LayerTools, MeasureTools
from relcomp_kit.errors import UserError

SCENE, LAYERS, FILTERS, CHANNEL, MEASURED = VIEWS = ("Scene", "Layers", "Filters", "Channel", "Measured")
FIRST = State(scene="synthetic 13 day", paths=(PathChoice(keep=0.6), PathChoice("magnitude", (), 0.6)))
BUSY = '<span class="busy">working</span>'
SIZE, SMALLER = (966, 572), (966, 540)  # of the picture, beside the controls at 1280x720; below a view's own tools


def show(net: str | None = None) -> None:
    """Display the page, with a net of a name or of a file; see `relcomp_kit.demonstrator.state.State`."""
    display(Page(net).box)


class Page:
    """The page: ``box`` is the widget to display, ``state`` what it shows.

    Parameters
    ----------
    net : str, optional
        A net that the page opens with. One that cannot be read is named in the page, which opens with another.
    """

    def __init__(self, net: str | None = None):
        self.state, self.showing = FIRST, False
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
        self.command = widgets.Combobox(
            placeholder="rel rail keep=0.4 vs magnitude", tooltip="A command; Enter runs it"
        )
        self.help = widgets.ToggleButton(description="Help", tooltip="What can be typed").add_class("help")
        self.help_text = widgets.HTML(f"<pre>{html.escape(HELP)}</pre>")
        self.above = widgets.VBox()
        self.box = self._layout()
        self.command.observe(self._typed, "value")
        # Enter's message overtakes the last text, which the browser holds back while the kernel reads an earlier one.
        # So Enter is sent back to the browser, whose answer comes after both.
        self.enter, self.entered = widgets.IntText(), widgets.IntText()
        widgets.jsdlink((self.enter, "value"), (self.entered, "value"))
        self.command.on_msg(lambda widget, content, buffers: content.get("event") == "submit" and self._enter())
        self.entered.observe(lambda event: self._submitted(), "value")
        self.views.observe(lambda event: self._viewed(), "value")
        self.help.observe(lambda event: self._arrange(), "value")
        self.change(lambda state: state)
        if net is not None:
            self.change(lambda state: parse(f"net {quote(net)}", state))

    def _layout(self) -> widgets.Box:
        left = widgets.VBox([self.net.box, labelled("Paths", *(path.box for path in self.paths)), self.scene.box])
        shown = widgets.VBox([self.above, self.picture, self.table, self.help_text, self.totals], layout={"flex": "1"})
        top = widgets.HBox([self.command.add_class("command"), self.help])
        main = widgets.HBox([left.add_class("left"), shown.add_class("right")])
        self.views.add_class("views")
        return widgets.VBox([widgets.HTML(STYLE), top, self.message, main, self.line]).add_class("relcomp")

    def change(self, make: Callable[[State], State]) -> None:
        """Show the state that ``make`` gives for the present one, or say why not."""
        if self.showing:  # a control that is set, not moved
            return
        with self._guarded():
            self._show(make(self.state))

    def change_at_once(self, make: Callable[[State], State]) -> None:
        """The same without what takes seconds to measure, so that the controls answer at once."""
        self.change(lambda state: make(state.at_once()))

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Say what goes wrong in one sentence, and let the controls show the state that there is."""
        self.showing, self.message.value = True, BUSY
        said = ""
        try:
            yield
        except UserError as error:
            said = f'<div class="error">{html.escape(sentence(str(error)))}</div>'
        except Exception as error:  # a fault of the kit must not end the show
            found = html.escape(f"{type(error).__name__}: {error}"[:200])
            said = f'<div class="error">That failed ({found}); what you see is the state before it.</div>'
        finally:
            self._sync()
            self.message.value, self.showing = said, False

    def _show(self, state: State) -> None:
        """Draw a state, and keep it once that has worked."""
        view = self.views.value
        if view in (FILTERS, CHANNEL) and state.channel is None:
            state = replace(state, channel=self.tools[CHANNEL].default(nets.load(state.net)))
        state = check(state)
        if view == LAYERS:
            self.table.value = render_layers(state)
        else:
            drawn = {FILTERS: render_filters, CHANNEL: render_channel}.get(view, render)
            self.picture.value = png(drawn(state, SMALLER if view in self.tools else SIZE))
        self.totals.value = spoken(answer(state))
        self.state = state

    def _sync(self) -> None:
        """Let all controls show the state."""
        net = nets.load(self.state.net)
        for group in (self.net, self.scene, *self.paths, *self.tools.values()):
            group.show(self.state, net)
        line = html.escape(as_line(self.state), quote=True)
        self.line.value = (
            f'<input readonly onfocus="this.select()" aria-label="This state as a command" value="{line}">'
        )
        self._arrange()

    def _arrange(self) -> None:
        """Show what belongs to the view, or the help in its place."""
        helped, view = self.help.value, self.views.value
        tools = None if helped else self.tools.get(view)
        self.above.children = [self.views, tools.box] if tools else [self.views]
        for part, seen in (
            (self.help_text, helped),
            (self.table, not helped and view == LAYERS),
            (self.picture, not helped and view != LAYERS),
        ):
            part.layout.display = None if seen else "none"

    def _viewed(self) -> None:
        self.help.value = False
        self.change(lambda state: state)

    def _typed(self, event: dict) -> None:
        with self.command.hold_sync():
            self.command.options = complete(event["new"], self.state)

    def _enter(self) -> None:
        self.enter.value += 1

    def _submitted(self) -> None:
        line = self.command.value
        self.change(lambda state: parse(line, state))
        if not self.message.value:
            self.command.value = ""
        self.help.value = _helps(line)


def _helps(line: str) -> bool:
    try:
        return asks_help(line)
    except UserError:  # said already
        return False


def sentence(text: str) -> str:
    """Return an error's text as a sentence; a file's name in front stays as it is."""
    start = text[:1].upper() if text.partition(" ")[0].isalpha() else text[:1]
    return f"{start}{text[1:]}{'' if text.endswith(('.', '?', '!')) else '.'}"
