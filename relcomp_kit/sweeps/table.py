"""Rows of a sweep, as the results of several lessons take them: plain dicts with the same keys."""

from collections.abc import Sequence

Rows = Sequence[dict]


def select(rows: Rows, **values) -> list[dict]:
    """Return the rows that have the given values.

    Parameters
    ----------
    rows : sequence of dict
        Rows with the same keys.
    **values
        Wanted value by key, such as ``seed=0, arm="lrp"``.

    Returns
    -------
    list of dict
        The rows in which every one of these keys has that value, in the same order.
    """
    return [row for row in rows if all(row[name] == value for name, value in values.items())]
