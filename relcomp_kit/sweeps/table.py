"""Rows of a sweep, as the results of several lessons take them: plain dicts with the same keys."""

from collections.abc import Sequence

Rows = Sequence[dict]


def select(rows: Rows, **values) -> list[dict]:
    """Return the rows that have these values."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]
