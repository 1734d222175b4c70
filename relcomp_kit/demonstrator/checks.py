"""Whether a state can be shown: what its net knows, and what of a state fits another net."""

from dataclasses import replace

from relcomp_kit.demonstrator import nets, scenes
from relcomp_kit.demonstrator.state import NAMED, PathChoice, State
from relcomp_kit.demonstrator.tokens import no_such
from relcomp_kit.errors import UserError

MEASURED = ("class", "critical", "average")  # kinds of paths that need relevance


def check(state: State) -> State:
    """Return the state as it is, or raise a `UserError` that names what its net does not know."""
    net = nets.load(state.net)
    scenes.check(state.scene)
    for name in (*state.classes, *([state.heat] if state.heat is not None else [])):
        if name not in net.classes:
            raise no_such("class", name, net.classes)
    for path in state.paths:
        what, known = known_names(net, path.kind)
        for name in path.classes:
            if name not in known:
                raise no_such(what, name, known)
        _check_layers(net, path)
    if state.channel is not None:
        layer, number = state.channel
        if layer not in net.widths:
            raise no_such("layer", layer, list(net.widths))
        if not 0 <= number < net.widths[layer]:
            raise UserError(f"{layer} has the channels 0 to {net.widths[layer] - 1}, not {number}")
    return state


def known_names(net: "nets.SuperNet", kind: str) -> tuple[str, list[str]]:
    """Return what the names of a kind of path are called, and those that a net has.

    Parameters
    ----------
    net : SuperNet
        The net.
    kind : str
        One of `relcomp_kit.demonstrator.state.NAMED`.
    """
    if kind == "stored":
        return "expert in the file", list(net.stored)
    if kind == "trained":
        return "trained expert of this net", list(net.trained)
    return "class", list(net.classes)


def _check_layers(net: "nets.SuperNet", path: PathChoice) -> None:
    given = dict(path.layers)
    for layer in given:
        if layer not in net.widths:
            raise no_such("layer", layer, list(net.widths))
    for members in net.groups.layers:
        shares = {layer: given[layer] for layer in members if layer in given}
        if len(set(shares.values())) > 1:
            raise UserError(f"{' and '.join(shares)} are summed and keep the same filters: give them one share")


def fitted(state: State) -> State:
    """Return what of a state fits its net: classes, layers and experts that it does not know are left out.

    A scene that has other classes than the net gives way to one of the net's kind, if there is one on this machine.
    A net of unknown training scenes, whose relevance cannot be measured, gets its first stored expert or large weights.
    """
    net = nets.load(state.net)
    classes = tuple(name for name in state.classes if name in net.classes) or net.classes[:1]
    heat = state.heat if state.heat in net.classes else None
    channel = state.channel
    if channel is not None and not channel[1] < net.widths.get(channel[0], 0):
        channel = None
    paths = tuple(dict.fromkeys(_fitted_path(path, net) for path in state.paths))
    scene = _fitted_scene(state.scene, net)
    return replace(state, scene=scene, classes=classes, heat=heat, channel=channel, paths=paths)


def _fitted_scene(scene: str, net: "nets.SuperNet") -> str:
    known, kind = scenes.sets(), scene.partition(" ")[0]
    if kind == scenes.UPLOAD or known.get(kind) == net.classes:
        return scene
    return scenes.like(net.classes) or scene


def _fitted_path(path: PathChoice, net: "nets.SuperNet") -> PathChoice:
    layers = tuple((layer, keep) for layer, keep in path.layers if layer in net.widths)
    if net.dataset is None and path.kind in MEASURED:
        stored = tuple(net.stored)[:1]
        return PathChoice("stored", stored, path.keep) if stored else PathChoice("magnitude", (), path.keep, layers)
    if path.kind not in NAMED:
        return replace(path, layers=layers)
    _, known = known_names(net, path.kind)
    left = tuple(name for name in path.classes if name in known)
    if left:
        return replace(path, classes=left, layers=layers)
    return _fitted_path(PathChoice("class", net.classes[:1], path.keep, layers), net)
