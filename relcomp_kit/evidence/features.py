"""What the three works show or do, and what the kit has of it: the list in ``data/features.toml``, as a table."""

from collections import Counter

from relcomp_kit.evidence.claims import read_toml, works

STATES = ("shown", "stand-in", "implemented", "missing")


def features() -> list[dict]:
    """Return every feature: ``work`` (a letter), ``what``, ``state``, ``claims``, and ``lesson`` and ``by`` if any."""
    return [{"work": letter} | row for letter, rows in read_toml("features.toml").items() for row in rows]


def features_table(letter: str, links: dict[str, str]) -> str:
    """Return the features of a work as a Markdown table.

    Parameters
    ----------
    letter : str
        Of the work, as its claims' ids begin.
    links : dict of str to str
        Number of a lesson to the address of its page.
    """
    lines = ["| figure, table, formula, method, option | state | lesson | by | claims |", "|---|---|---|---|---|"]
    for row in features():
        if row["work"] == letter:
            number = row.get("lesson", "")
            lesson = f"[{number}]({links[number]})" if number in links else number
            by = f"`{row['by'].removeprefix('relcomp_kit.')}`" if "by" in row else ""
            lines.append(f"| {row['what']} | {row['state']} | {lesson} | {by} | {', '.join(row['claims'])} |")
    return "\n".join(lines)


def features_count() -> list[str]:
    """Return a line for every work: how many of its features are in which state."""
    found = []
    for letter, work in works().items():
        count = Counter(row["state"] for row in features() if row["work"] == letter)
        told = ", ".join(f"{count[state]} {state}" for state in STATES if count[state])
        found.append(f"{work}: {told}")
    return found
