"""The one kind of error that a user is meant to read."""


class UserError(ValueError):
    """Bad input, said in one sentence: what is wrong, where, and what to do.

    The command line prints the sentence alone; a notebook shows it as the last line of the traceback.
    """
