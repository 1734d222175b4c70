"""What the page shows of a state, in one of its views: drawn and said, without widgets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from relcomp_kit.demonstrator import nets
from relcomp_kit.demonstrator.checks import check
from relcomp_kit.demonstrator.details import render_channel, render_filters, render_layers
from relcomp_kit.demonstrator.engine import answer
from relcomp_kit.demonstrator.pixel_layout import png
from relcomp_kit.demonstrator.render import render
from relcomp_kit.demonstrator.scenes import UPLOAD
from relcomp_kit.demonstrator.state import State
from relcomp_kit.demonstrator.style import spoken
from relcomp_kit.demonstrator.work import step
from relcomp_kit.errors import UserError

SCENE, LAYERS, FILTERS, CHANNEL, MEASURED = VIEWS = ("Scene", "Layers", "Filters", "Channel", "Measured")
SIZE, SMALLER = (966, 572), (966, 540)  # of the picture, beside the controls at 1280x720; below a view's own tools
Make = Callable[[State], State]


@dataclass(frozen=True)
class Drawn:
    """A state in a view.

    Parameters
    ----------
    state : State
        What is shown.
    view : str
        One of `VIEWS`.
    picture : bytes, optional
        A PNG file; None in the view of layers.
    table : str
        HTML, in the view of layers.
    spoken : str
        HTML for those who cannot see the picture.
    note : str
        What the page did besides what it was asked for, a sentence; mostly empty.
    """

    state: State
    view: str
    picture: bytes | None
    table: str
    spoken: str
    note: str


def default_channel(net: nets.SuperNet) -> tuple[str, int]:
    """Return the channel that its view opens with: of the backbone's last layer, where concepts are large.

    Parameters
    ----------
    net : SuperNet
        The net that has the channel.
    """
    inside = [name for name in net.widths if name.startswith("backbone")]
    return (inside or list(net.widths))[-1], 0


def changed(state: State, makes: Sequence[Make]) -> tuple[State, UserError | None]:
    """Return the state after some changes, and why the last one that cannot be made is left out.

    Parameters
    ----------
    state : State
        The state before them.
    makes : sequence of callable
        Each takes a state and returns the next one.
    """
    why = None
    for make in makes:
        try:
            state = make(state)
        except UserError as error:
            why = error
    return state, why


def drawn(state: State, view: str, before: State) -> Drawn:
    """Draw a state in a view.

    Parameters
    ----------
    state : State
        What is shown; the view of a channel, or of a layer's filters, chooses one if there is none.
    view : str
        One of `VIEWS`.
    before : State
        The state that was shown before it.

    Raises
    ------
    UserError
        If the state cannot be shown.
    """
    if view in (FILTERS, CHANNEL) and state.channel is None:
        state = replace(state, channel=default_channel(nets.load(state.net)))
    state = check(state)
    picture, table = None, ""
    if view == LAYERS:
        table = render_layers(state)
    else:
        draw = {FILTERS: render_filters, CHANNEL: render_channel}.get(view, render)
        figure = draw(state, SIZE if view == SCENE else SMALLER)
        step("the picture")
        picture = png(figure)
    return Drawn(state, view, picture, table, spoken(answer(state)), _note(state, before))


def _note(state: State, before: State) -> str:
    """Say that another net has brought a scene of its own kind."""
    kind = state.scene.partition(" ")[0]
    if state.net == before.net or kind in (UPLOAD, before.scene.partition(" ")[0]):
        return ""
    return f"The scene is now {state.scene}: {state.net} knows the classes of such scenes."
