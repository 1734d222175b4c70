"""Words of a command line: names are written plainly or as JSON strings, `;` ends a command."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from relcomp_kit.errors import UserError

TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|(;)|([^\s;"]+))', re.DOTALL)
PLAIN = re.compile(r"[\w./~+-]+")


@dataclass(frozen=True)
class Word:
    """A word of a command; a quoted one is always a name."""

    text: str
    quoted: bool = False

    def option(self, name: str) -> str | None:
        """Return what follows ``name=``, or None where this is another word."""
        given = not self.quoted and self.text.startswith(f"{name}=")
        return self.text[len(name) + 1 :] if given else None

    def is_(self, *keywords: str) -> bool:
        """Say whether this is one of some keywords."""
        return not self.quoted and self.text in keywords


def commands(line: str) -> list[list[Word]]:
    """Return the words of each command of a line; empty commands are left out."""
    found: list[list[Word]] = [[]]
    place = 0
    while line[place:].strip():
        token = TOKEN.match(line, place)
        if token is None:
            raise UserError(f"a quotation mark is never closed: {line[place:].strip()[:40]}")
        place = token.end()
        quoted, end, plain = token.groups()
        if end:
            found.append([])
        elif quoted:
            found[-1].append(Word(_unquoted(quoted), True))
        else:
            found[-1].append(Word(plain))
    return [words for words in found if words]


def _unquoted(text: str) -> str:
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        raise UserError(rf'{text} cannot be read: within quotation marks write \" and \\ for " and \ ') from error


def quote(name: str, keywords: Iterable[str] = ()) -> str:
    """Return a name as `commands` reads it, in quotation marks where it needs them.

    Parameters
    ----------
    name : str
        Any text.
    keywords : iterable of str
        Words that would be read as something else without quotation marks.
    """
    plain = PLAIN.fullmatch(name) and name not in keywords
    return name if plain else json.dumps(name, ensure_ascii=False)


def names(words: Sequence[Word], known: Sequence[str], what: str) -> tuple[str, ...]:
    """Return the names that words spell: a name with spaces may also be written without quotation marks.

    Parameters
    ----------
    words : sequence of Word
        All of them are names.
    known : sequence of str
        The names that there are.
    what : str
        What an error calls them, such as "class".

    Raises
    ------
    UserError
        If words spell no known name.
    """
    found, place = [], 0
    while place < len(words):
        for end in range(place + 1, len(words) + 1):
            name = " ".join(word.text for word in words[place:end])
            if name in known and (end == place + 1 or not any(word.quoted for word in words[place:end])):
                break
        else:
            raise no_such(what, words[place].text, known)
        found.append(name)
        place = end
    return tuple(found)


def no_such(what: str, name: str, known: Sequence[str]) -> UserError:
    """Return an error that suggests names that are spelled alike, or else lists what there is.

    Parameters
    ----------
    what : str
        What is missing, such as "class".
    name : str
        What was asked for.
    known : sequence of str
        What there is; at most twelve are listed.
    """
    near = difflib.get_close_matches(name, known, 3, 0.5)
    if near:
        return UserError(f"there is no {what} {name!r}; did you mean {' or '.join(near)}?")
    if not known:
        return UserError(f"there is no {what} {name!r}, nor any other")
    some = ", ".join(list(known)[:12]) + (" ..." if len(known) > 12 else "")
    return UserError(f"there is no {what} {name!r}; choose one of {some}")


def whole(text: str, what: str) -> int:
    """Return a whole number of up to nine digits.

    Parameters
    ----------
    text : str
        The number in decimal digits.
    what : str
        What an error calls it.

    Raises
    ------
    UserError
        If it is no such number.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise UserError(f"{what} is a whole number, 0 or more, not {text!r}")
    return int(text)


def rate(text: str) -> float:
    """Return a number, such as a share to keep."""
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"keep is a number, such as keep=0.4, not {text!r}") from error
