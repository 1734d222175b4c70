"""Completion of a command line: what may stand where it ends."""

from relcomp_kit.demonstrator import nets, scenes, uploads
from relcomp_kit.demonstrator.checks import known_names
from relcomp_kit.demonstrator.language import ALL_CLASSES, COMMANDS, KEYWORDS, OFF, VS
from relcomp_kit.demonstrator.state import FIXED, KINDS, MOST_PATHS, NAMED, State
from relcomp_kit.demonstrator.tokens import Word, commands, quote
from relcomp_kit.errors import UserError

KEEP, SHARES = "keep=0.5", ["0.25", "0.5", "0.75"]


def complete(text: str, state: State) -> list[str]:
    """Return whole lines that a line may become: its last word completed or, after a space, one more word.

    Parameters
    ----------
    text : str
        What was typed so far.
    state : State
        The state that the line will be applied to.

    Returns
    -------
    list of str
        The whole lines; empty where nothing fits, or the line cannot be read.
    """
    before, partial = _split(text)
    try:
        typed = commands(before)
        words = [] if before.rstrip().endswith(";") or not typed else typed[-1]
        candidates = _candidates(words, state)
    except UserError:
        return []
    return [before + one for one in candidates if one.lstrip('"').startswith(partial.lstrip('"'))]


def _split(text: str) -> tuple[str, str]:
    """Return a line up to its last word, and that word, which may be cut off within quotation marks."""
    cut_off = text.count('"') % 2
    at = text.rindex('"') if cut_off else 1 + max(text.rfind(letter) for letter in (" ", "\t", ";"))
    return text[:at], text[at:]


def _candidates(words: list[Word], state: State) -> list[str]:
    """Return what may stand after the words of a command."""
    if not words:
        return list(COMMANDS)
    command, *rest = words
    net, given = nets.load(state.net), [word.text for word in rest]
    classes, place = [name for name in net.classes if name not in given], len(rest)
    if command.text == "rel":
        return _path(rest, net, given.count(VS) < MOST_PATHS - 1)
    if command.text == "classes":
        return _names(classes) + ([] if rest else [ALL_CLASSES])
    if command.text == "scene":
        return _scene(given)
    if command.text == "measure":
        return [one for one in ("latency", "size", "test=40", OFF) if one not in given]
    paths = [str(number) for number in range(1, len(state.paths) + 1)]
    by_place = {
        "net": [_names(nets.names())],
        "heat": [[*_names(net.classes), OFF]],
        "channel": [[*net.widths, OFF], [] if given[:1] == [OFF] else ["0"]],
        "layer": [paths, list(net.widths), [KEEP, OFF]],
        "keep": [paths + SHARES, SHARES],
    }.get(command.text, [])
    return by_place[place] if place < len(by_place) else []


def _path(words: list[Word], net: nets.SuperNet, another: bool) -> list[str]:
    """Return what may stand in ``rel`` after its words."""
    last = max((place for place, word in enumerate(words) if word.is_(VS)), default=-1)
    part = words[last + 1 :]
    kind = part[0].text if part and part[0].is_(*KINDS) else "class"
    texts = [word.text for word in part]
    _, known = known_names(net, kind)
    found = _names([name for name in known if name not in texts]) if kind in NAMED else []
    if not part:
        return found + [one for one in KINDS if one != "class" and (one not in FIXED or known_names(net, one)[1])]
    keep_given = any(word.option("keep") is not None for word in part)
    return found + ([] if keep_given else [KEEP]) + ([VS] if another else [])


def _scene(given: list[str]) -> list[str]:
    """Return what may stand in ``scene`` after its words."""
    if not given:
        return list(scenes.KINDS)
    if given == [scenes.UPLOAD]:
        return _names(uploads.names())
    if given[0] == scenes.SYNTHETIC and len(given) == 2:
        return list(scenes.WEATHERS)
    return []


def _names(known) -> list[str]:
    return [quote(name, KEYWORDS) for name in known]
