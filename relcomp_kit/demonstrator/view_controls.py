"""What stands above a view of the page: a layer's own share, a channel to look into, what takes seconds to measure."""

from dataclasses import replace

import ipywidgets as widgets

from relcomp_kit.demonstrator import nets
from relcomp_kit.demonstrator.controls import Change, choose, keep_slider, on_share, on_value, set_share
from relcomp_kit.demonstrator.state import FIXED, State
from relcomp_kit.demonstrator.views import Make, default_channel

TEST_SCENES = 40


class LayerTools:
    """A layer's own share to keep, in one of the paths."""

    def __init__(self, change: Change):
        self.path = widgets.Dropdown(description="Path", tooltip="Whose layer is set")
        self.layer = widgets.Dropdown(description="Layer", tooltip="The layer whose share is set")
        self.keep = keep_slider("Share of the layer's filters")
        self.reset = widgets.Button(description="as the path", tooltip="Take the layer's own share back")
        self.box = widgets.HBox([self.path, self.layer, self.keep, self.reset]).add_class("tools")
        self.state, self.net, self.quiet = State(), None, False
        for widget in (self.path, self.layer):
            widget.observe(lambda event: self.quiet or self.show(self.state, self.net), "value")
        on_share(self.keep, lambda share: self.quiet or change(self._with(share)))
        self.reset.on_click(lambda button: change(self._with(None)))

    def _with(self, keep: float | None) -> Make:
        """Return the change of the layer that is chosen now, whatever is chosen when the change is made."""
        place, layers = self.path.value, self._together()

        def make(state: State) -> State:
            path = state.paths[place]
            for layer in layers:
                path = path.with_layer(layer, keep)
            return state.with_path(place, path)

        return make

    def _together(self) -> tuple[str, ...]:
        """Return the layers that keep the same filters as the chosen one, because they are summed."""
        groups = [tuple(group) for group in self.net.groups.layers if self.layer.value in group]
        return groups[0] if groups else (self.layer.value,)

    def show(self, state: State, net: nets.SuperNet) -> None:
        """Show a state."""
        self.quiet, self.state, self.net = True, state, net
        places = list(range(len(state.paths)))
        choose(self.path, [(f"{n + 1}", n) for n in places], self.path.value if self.path.value in places else 0)
        layers = list(net.widths)
        choose(self.layer, layers, self.layer.value if self.layer.value in layers else layers[-1])
        path = state.paths[self.path.value]
        set_share(self.keep, dict(path.layers).get(self.layer.value, path.keep))
        self.keep.disabled = self.reset.disabled = path.kind in FIXED
        self.quiet = False


class ChannelTools:
    """Which channel to look into."""

    def __init__(self, change: Change):
        self.layer = widgets.Dropdown(description="Layer", tooltip="The channel's layer")
        self.number = widgets.BoundedIntText(description="Channel", tooltip="Its number, from 0")
        self.box = widgets.HBox([self.layer, self.number]).add_class("tools")
        on_value(self.layer, change, lambda state, layer: replace(state, channel=(layer, 0)))
        self.number.observe(lambda event: self._chosen(change, (self.layer.value, event["new"])), "value")

    def _chosen(self, change: Change, channel: tuple[str, int]) -> None:
        change(lambda state: replace(state, channel=channel))

    def show(self, state: State, net: nets.SuperNet) -> None:
        """Show a state."""
        layer, number = state.channel or default_channel(net)
        choose(self.layer, list(net.widths), layer)
        with self.number.hold_sync():
            self.number.max = net.widths[layer] - 1
            self.number.value = number


class MeasureTools:
    """What to measure, and the button that starts it; any other change of the state takes it back."""

    def __init__(self, change: Change):
        self.latency = widgets.Checkbox(value=True, description="latency", indent=False, tooltip="Of one image")
        self.size = widgets.Checkbox(value=False, description="coded files", indent=False, tooltip="By NNC, 4 bit")
        self.test = widgets.BoundedIntText(
            value=TEST_SCENES, min=0, max=1000, description="Test scenes", tooltip="On which the IoU is measured"
        )
        self.start = widgets.Button(description="Measure", button_style="primary", tooltip="Takes seconds")
        self.box = widgets.HBox([self.latency, self.size, self.test, self.start]).add_class("tools")
        self.start.on_click(lambda button: self._start(change))

    def _start(self, change: Change) -> None:
        asked = {"latency": self.latency.value, "coded": self.size.value, "test": self.test.value}
        change(lambda state: replace(state, **asked))

    def show(self, state: State, net: nets.SuperNet) -> None:
        """Show a state in which something is measured; otherwise leave what will be asked."""
        if state != state.at_once():
            self.latency.value, self.size.value = state.latency, state.coded
            self.test.value = state.test
