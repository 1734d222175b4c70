"""The one kind of error that a user is meant to read."""


class UserError(ValueError):
    """Bad input, said in one sentence: what is wrong, where, and what to do.

    The command line prints the sentence alone; a notebook shows it as the last line of the traceback.
    """


def printable(text: str) -> str:
    """Return text on one line, in which what cannot be printed is spelled out, as a line break in a file's name.

    Parameters
    ----------
    text : str
        Such as the sentence of an error.
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "backslashreplace").decode()
        for letter in text
    )
