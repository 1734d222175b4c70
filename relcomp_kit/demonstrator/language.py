"""States as lines of commands, and back: ``rel rail keep=0.4 vs magnitude; heat rail``."""

from collections.abc import Callable
from dataclasses import replace

from relcomp_kit.demonstrator import nets, scenes
from relcomp_kit.demonstrator.checks import check, fitted, known_names
from relcomp_kit.demonstrator.state import KINDS, NAMED, PathChoice, State
from relcomp_kit.demonstrator.tokens import Word, commands, names, no_such, quote, rate, whole
from relcomp_kit.errors import UserError

HELP = """\
rel rail keep=0.4                    an expert of the filters most relevant for rail
rel rail sky keep=0.4 vs magnitude   two experts, one for two classes; the next inherits keep=
rel critical rail sky vs average     also: critical CLASS, average, magnitude, random, stored NAME
rel trained rail-50 vs rail          an expert that was trained after its cut, beside one as it is cut
keep 0.3    keep 2 0.3               share of filters of all paths, or of path 2
layer 2 LAYER keep=0.3               share of a layer in path 2; "off" for keep= takes it back
net NAME                             the super-net: compact-rail-scenes-0, a .nnc or .safetensors
scene synthetic 7 snow               also: scene camvid 3, scene railsem19 2, scene upload NAME
classes rail sky    classes all      whose IoU is shown
heat rail           heat off         whose relevance is shown in the image
channel LAYER 12    channel off      a channel to look into
measure latency size test=40         what takes seconds; measure off
help                                 this text
Several commands are separated by ; and names may stand in "quotation marks"."""
OFF, VS, ALL_CLASSES = "off", "vs", "all"
KEYWORDS = {OFF, VS, ALL_CLASSES, *KINDS}


def parse(line: str, state: State) -> State:
    """Return the state after the commands of a line; an empty line and ``help`` leave it as it is.

    Parameters
    ----------
    line : str
        See `HELP`.
    state : State
        The one that the commands change; it is left as it is.

    Returns
    -------
    State
        The new one; all that it names is there.

    Raises
    ------
    UserError
        In one sentence, if a command or what it names is not there; near misses are suggested. The state given is
        then still the one to show.
    """
    for first, *words in commands(line):
        if first.text not in COMMANDS:
            raise no_such("command", first.text, list(COMMANDS))
        state = COMMANDS[first.text](words, state)
    return check(state)


def asks_help(line: str) -> bool:
    """Say whether one of a line's commands is ``help``.

    Parameters
    ----------
    line : str
        Commands, as for `parse`.

    Returns
    -------
    bool
        True if one of them is.

    Raises
    ------
    UserError
        If a quotation mark is never closed, or a name within quotation marks cannot be read.
    """
    return any(words[0].is_("help") for words in commands(line))


def as_line(state: State) -> str:
    """Return a line that `parse` reads back to the equal state, whatever state it starts from.

    Parameters
    ----------
    state : State
        What the line shall say.

    Returns
    -------
    str
        Commands, separated by ``;``.
    """
    parts = [f"net {_name(state.net)}", f"scene {_scene(state.scene)}", f"classes {_names(state.classes)}"]
    parts.append("rel " + f" {VS} ".join(map(_path, state.paths)))
    for number, path in enumerate(state.paths, 1):
        parts += [f"layer {number} {_name(layer)} keep={share!r}" for layer, share in path.layers]
    parts.append(f"heat {_name(state.heat) if state.heat is not None else OFF}")
    parts.append(f"channel {f'{_name(state.channel[0])} {state.channel[1]}' if state.channel else OFF}")
    asked = [word for word, on in (("latency", state.latency), ("size", state.coded)) if on]
    asked += [f"test={state.test}"] if state.test else []
    parts.append(f"measure {' '.join(asked) or OFF}")
    return "; ".join(parts)


def _name(name: str) -> str:
    return quote(name, KEYWORDS)


def _names(several: tuple[str, ...]) -> str:
    return " ".join(map(_name, several))


def _scene(scene: str) -> str:
    kind, _, rest = scene.partition(" ")
    return f"{kind} {_name(rest)}" if kind == scenes.UPLOAD else scene


def _path(path: PathChoice) -> str:
    words = [_names(path.classes)] if path.kind == "class" else [path.kind, *map(_name, path.classes)]
    return " ".join([*words, f"keep={path.keep!r}"])


def _net(words: list[Word], state: State) -> State:
    """Change the net, and what does not fit the new one."""
    name = _one(words, "net NAME").text
    return state if name == state.net else fitted(replace(state, net=name))


def _choose_scene(words: list[Word], state: State) -> State:
    return replace(state, scene=scenes.canonical([word.text for word in words]))


def _classes(words: list[Word], state: State) -> State:
    known = nets.load(state.net).classes
    if len(words) == 1 and words[0].is_(ALL_CLASSES):
        return replace(state, classes=known)
    return replace(state, classes=names(words, known, "class"))


def _rel(words: list[Word], state: State) -> State:
    net, paths, part, keep = nets.load(state.net), [], [], 0.5
    for word in [*words, Word(VS)]:
        if not word.is_(VS):
            part.append(word)
            continue
        if not part:
            raise UserError("rel needs a path, such as: rel rail keep=0.4 vs magnitude")
        options = [word.option("keep") for word in part]
        given = [option for option in options if option is not None]
        keep = rate(given[-1]) if given else keep
        paths.append(_read_path([one for one, option in zip(part, options) if option is None], net, keep))
        part = []
    return replace(state, paths=tuple(paths))


def _read_path(words: list[Word], net: "nets.SuperNet", keep: float) -> PathChoice:
    kind = "class"
    if words and words[0].is_(*KINDS):
        kind, words = words[0].text, words[1:]
    if kind not in NAMED and words:
        raise UserError(f"the path {kind} has no classes: write {kind} keep={keep:g}, and {VS} before another path")
    if kind in NAMED and not words:
        raise UserError(f"which one? Write {'' if kind == 'class' else kind + ' '}NAME keep={keep:g}")
    what, known = known_names(net, kind)
    return PathChoice(kind, names(words, known, what), keep)


def _keep(words: list[Word], state: State) -> State:
    *which, share = words or [Word("")]
    if len(which) > 1:
        raise UserError("write keep 0.3 for all paths, or keep 2 0.3 for the second")
    chosen = [_number(which[0], state)] if which else range(len(state.paths))
    for number in chosen:
        state = state.with_path(number, replace(state.paths[number], keep=rate(share.text)))
    return state


def _number(word: Word, state: State) -> int:
    """Return which path a word counts, from 0."""
    number = whole(word.text, "the number of a path")
    if not 1 <= number <= len(state.paths):
        raise UserError(f"there is no path {number}: they are counted from 1 to {len(state.paths)}")
    return number - 1


def _layer(words: list[Word], state: State) -> State:
    if len(words) != 3:
        raise UserError("write layer 2 LAYER keep=0.3 to set a layer of path 2, or layer 2 LAYER off")
    number, layer, share = _number(words[0], state), words[1].text, words[2].option("keep")
    if share is None and not words[2].is_(OFF):
        raise UserError(f"a layer gets keep=0.3, or off, not {words[2].text!r}")
    changed = state.paths[number].with_layer(layer, None if share is None else rate(share))
    return state.with_path(number, changed)


def _heat(words: list[Word], state: State) -> State:
    if len(words) == 1 and words[0].is_(OFF):
        return replace(state, heat=None)
    found = names(words, nets.load(state.net).classes, "class")
    if len(found) != 1:
        raise UserError("heat shows one class, such as: heat rail, or none: heat off")
    return replace(state, heat=found[0])


def _channel(words: list[Word], state: State) -> State:
    if len(words) == 1 and words[0].is_(OFF):
        return replace(state, channel=None)
    if len(words) != 2:
        raise UserError("write channel LAYER 12, or channel off")
    return replace(state, channel=(words[0].text, whole(words[1].text, "the number of a channel")))


def _measure(words: list[Word], state: State) -> State:
    state = state.at_once()
    if len(words) == 1 and words[0].is_(OFF):
        return state
    for word in words:
        test = word.option("test")
        if word.is_("latency"):
            state = replace(state, latency=True)
        elif word.is_("size"):
            state = replace(state, coded=True)
        elif test is not None:
            state = replace(state, test=whole(test, "the number of test scenes"))
        else:
            raise no_such("measurement", word.text, ["latency", "size", "test=40", OFF])
    return state


def _help(words: list[Word], state: State) -> State:
    return state


def _one(words: list[Word], usage: str) -> Word:
    if len(words) != 1:
        raise UserError(f"write {usage}")
    return words[0]


COMMANDS: dict[str, Callable[[list[Word], State], State]] = {
    "rel": _rel,
    "keep": _keep,
    "layer": _layer,
    "net": _net,
    "scene": _choose_scene,
    "classes": _classes,
    "heat": _heat,
    "channel": _channel,
    "measure": _measure,
    "help": _help,
}
