"""The page's controls: groups of widgets that show a state and say how it shall change.

Each group has a ``box`` and ``show(state, net)``. ``change`` takes a function from the old state to the new one.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets

from relcomp_kit.datasets.rail_scenes import WEATHERS
from relcomp_kit.demonstrator import nets, scenes, uploads
from relcomp_kit.demonstrator.checks import fitted
from relcomp_kit.demonstrator.state import FIXED, NAMED, PathChoice, State

Change = Callable[[Callable[[State], State]], None]
ANY_WEATHER = "any weather"
NONE = "none"
KIND_LABELS = {
    "class": "relevant for a class",
    "critical": "most critical classes",
    "average": "average of all classes",
    "magnitude": "large weights",
    "random": "random",
    "stored": "stored in the file",
    "trained": "trained after the cut",
}
CRITICAL = {"anomaly on track", "rail", "traffic-light", "traffic-sign", "human", "car", "pedestrian", "bicyclist"}


def on_value(widget: widgets.Widget, change: Change, make: Callable[[State, object], State]) -> None:
    """Ask for a change whenever a widget gets another value.

    Parameters
    ----------
    widget : Widget
        One that has a value.
    change : callable
        Takes a function from the old state to the new one.
    make : callable
        ``make(state, value)`` returns the new state.
    """
    widget.observe(lambda event: change(lambda state: make(state, event["new"])), "value")


def choose(widget: widgets.Dropdown, options: Sequence, value: object) -> None:
    """Set the options and the value of a list at once.

    Parameters
    ----------
    widget : Dropdown
        The list.
    options : sequence
        Values, or pairs of text and value.
    value : object
        One of the values.
    """
    with widget.hold_sync():
        if list(widget.options) != list(options):
            widget.options = list(options)
        widget.value = value


def keep_slider(tooltip: str) -> widgets.FloatSlider:
    """Return a slider for a share of filters to keep."""
    return widgets.FloatSlider(
        description="keep", min=0.05, max=1.0, step=0.01, value=0.5, readout_format=".0%", tooltip=tooltip
    )


def on_share(slider: widgets.FloatSlider, moved: Callable[[float], object]) -> None:
    """Say when a slider is moved: the browser also sends a share back that it rounds in its last digit.

    Parameters
    ----------
    slider : FloatSlider
        See `keep_slider`.
    moved : callable
        Called with the share, rounded to two digits.
    """
    slider.observe(
        lambda event: abs(event["new"] - event["old"]) >= slider.step / 2 and moved(round(event["new"], 2)), "value"
    )


def set_share(slider: widgets.FloatSlider, share: float) -> None:
    """Set a slider, unless it shows that share to half a step: then it may have been moved on in the meantime.

    Parameters
    ----------
    slider : FloatSlider
        See `keep_slider`.
    share : float
        Of filters to keep, in (0, 1].
    """
    if abs(slider.value - share) >= slider.step / 2:
        slider.value = share


def labelled(text: str, *shown: widgets.Widget) -> widgets.Box:
    """Return widgets under a short heading.

    Parameters
    ----------
    text : str
        The heading, as HTML.
    *shown : Widget
        What stands below it, from top to bottom.
    """
    return widgets.VBox([widgets.HTML(f"<h2>{text}</h2>"), *shown]).add_class("group")


class NetControls:
    """Which net, and which scene it sees."""

    def __init__(self, change: Change):
        self.nets = nets.names()
        self.net = widgets.Dropdown(description="Net", tooltip="The super-net, out of which experts are cut")
        self.net.add_class("net")
        self.kind = widgets.Dropdown(description="Scene", tooltip="Where the image comes from")
        self.number = widgets.BoundedIntText(description="Number", min=0, max=999_999, tooltip="Of the scene or frame")
        self.weather = widgets.Dropdown(
            description="Weather", options=[ANY_WEATHER, *WEATHERS], tooltip="Of synthetic scenes"
        )
        self.upload = widgets.FileUpload(
            description="Upload an image", accept=".png,.jpg,.jpeg", tooltip="PNG or JPEG, up to 10 MB"
        )
        pair = widgets.HBox([self.number, self.weather]).add_class("pair")
        self.box = labelled("Net and scene", self.net, self.kind, pair, self.upload)
        on_value(self.net, change, lambda state, name: fitted(replace(state, net=name)))
        for widget in (self.kind, self.number, self.weather):
            widget.observe(lambda event: self._chosen(change, self._scene()), "value")
        self.upload.observe(lambda event: event["new"] and self._uploaded(change), "value")

    def _scene(self) -> str:
        if self.kind.value.startswith(scenes.UPLOAD):
            return self.kind.value
        weather = "" if self.kind.value != scenes.SYNTHETIC or self.weather.value == ANY_WEATHER else self.weather.value
        return f"{self.kind.value} {self.number.value} {weather}".strip()

    def _chosen(self, change: Change, scene: str) -> None:
        change(lambda state: replace(state, scene=scene))

    def _uploaded(self, change: Change) -> None:
        name, data = self.upload.value[0].name, bytes(self.upload.value[0].content)
        self.upload.value = ()  # frees the memory, and lets the same file be given again
        change(lambda state: replace(state, scene=f"{scenes.UPLOAD} {uploads.keep(data, name)}"))

    def show(self, state: State, net: nets.SuperNet) -> None:
        """Show a state."""
        known = self.nets if state.net in self.nets else [*self.nets, state.net]
        choose(self.net, [(Path(name).name, name) for name in known], state.net)
        kind, _, rest = state.scene.partition(" ")
        given = [f"{scenes.UPLOAD} {name}" for name in uploads.names()]
        choose(self.kind, [*scenes.sets(), *given], state.scene if kind == scenes.UPLOAD else kind)
        if kind != scenes.UPLOAD:
            number, _, weather = rest.partition(" ")
            self.number.value = int(number)
            self.weather.value = weather or ANY_WEATHER
        self.number.disabled = kind == scenes.UPLOAD
        self.weather.disabled = kind != scenes.SYNTHETIC


class ClassControls:
    """Which classes are evaluated, and whose relevance the heatmap shows."""

    def __init__(self, change: Change):
        self.change, self.classes, self.quiet = change, (), False
        self.heat = widgets.Dropdown(description="Heatmap", tooltip="The class whose relevance is shown in the image")
        self.colours, self.buttons = widgets.HTML(), widgets.Box().add_class("chips")
        self.box = labelled("Classes to evaluate", self.buttons, self.heat, self.colours)
        on_value(self.heat, change, lambda state, name: replace(state, heat=name))

    def _toggled(self, event: dict) -> None:
        if not self.quiet:
            chosen = tuple(name for name, button in zip(self.classes, self.buttons.children) if button.value)
            self.change(lambda state: replace(state, classes=chosen))

    def show(self, state: State, net: nets.SuperNet) -> None:
        """Show a state; another net has other classes."""
        self.quiet = True
        if self.classes != net.classes:
            self.classes = net.classes
            buttons = [widgets.ToggleButton(description=name, tooltip=f"Evaluate {name}") for name in net.classes]
            for index, button in enumerate(buttons):
                button.add_class(f"class-{index}")
                button.observe(self._toggled, "value")
            self.buttons.children = buttons
            rules = [
                f".chips .class-{index} {{ border-left: 14px solid rgb{tuple(colour)} !important }}"
                for index, colour in enumerate(net.palette)
            ]
            self.colours.value = f"<style>{' '.join(rules)}</style>"
        for name, button in zip(net.classes, self.buttons.children):
            button.value = name in state.classes
        choose(self.heat, [("no heatmap", None), *((name, name) for name in net.classes)], state.heat)
        self.quiet = False


class PathControls:
    """One of the paths: its kind, its classes, and the share of filters that it keeps.

    Parameters
    ----------
    place : int
        Which path, counted from 0.
    change : callable
        Takes a function from the old state to the new one.
    """

    def __init__(self, place: int, change: Change):
        self.place, self.known = place, {}
        self.kind = widgets.Dropdown(description=f"Path {place + 1}", tooltip="How its filters are chosen")
        self.classes = widgets.Dropdown(description="for", tooltip="The classes that it is for")
        self.keep = keep_slider("Share of the net's filters that stays")
        self.box = widgets.VBox([self.kind, self.classes, self.keep]).add_class("path")
        on_value(self.kind, change, self._with_kind)
        on_value(self.classes, change, lambda state, names: self._with(state, classes=names))
        on_share(self.keep, lambda share: change(lambda state: self._with(state, keep=share)))

    def _with(self, state: State, **changes) -> State:
        if self.place >= len(state.paths):
            return state
        return state.with_path(self.place, replace(state.paths[self.place], **changes))

    def _with_kind(self, state: State, kind: str) -> State:
        others = [path for place, path in enumerate(state.paths) if place != self.place]
        if kind == NONE:
            return replace(state, paths=tuple(others))
        old = state.paths[self.place] if self.place < len(state.paths) else PathChoice(keep=state.paths[-1].keep)
        layers = () if kind in FIXED else old.layers
        made = PathChoice(kind, self.known[kind][0] if kind in NAMED else (), old.keep, layers)
        return state.with_path(min(self.place, len(state.paths)), made)

    def show(self, state: State, net: nets.SuperNet) -> None:
        """Show a state, which may have fewer paths."""
        critical = tuple(name for name in net.classes if name in CRITICAL) or net.classes[:1]
        singles = [(name,) for name in net.classes]
        self.known = {
            "class": [state.classes[:1], *(one for one in singles if one != state.classes[:1])],
            "critical": [critical, *(one for one in singles if one != critical)],
            "stored": [(name,) for name in net.stored],
            "trained": [(name,) for name in net.trained],
        }
        path = state.paths[self.place] if self.place < len(state.paths) else None
        kinds = [(text, kind) for kind, text in KIND_LABELS.items() if kind not in FIXED or self.known[kind]]
        choose(self.kind, kinds + ([(NONE, NONE)] if self.place else []), path.kind if path else NONE)
        named = path is not None and path.kind in NAMED
        if named:
            options = self.known[path.kind]
            options = options if path.classes in options else [path.classes, *options]
            choose(self.classes, [(" + ".join(names), names) for names in options], path.classes)
        sized = path is not None and path.kind not in FIXED
        if sized:
            set_share(self.keep, path.keep)
        self.classes.layout.display = None if named else "none"
        self.keep.layout.display = None if sized else "none"
