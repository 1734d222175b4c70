"""The claims as a table: in the terminal, as Markdown."""

from collections.abc import Callable, Sequence

from relcomp_kit.evidence import claims

VERDICTS = {  # verdict -> (colour, ink on it, colour in the terminal); blue and red are told apart by all eyes
    "reproduced": ("#1b5e9c", "#ffffff", "green"),
    "holds on a stand-in": ("#8fc1e3", "#17232e", "cyan"),
    "partly": ("#f0a04b", "#2b1a05", "yellow"),
    "undecided": ("#fbdfa6", "#2b1a05", "yellow"),
    "too few seeds": ("#e3d5c0", "#2b1a05", "yellow"),
    "not reproduced": ("#b3261e", "#ffffff", "red"),
    "not testable here": ("#c4c9cf", "#23282d", "magenta"),
    "open": ("#eceff2", "#4b535d", "bright_black"),
}


def terminal_table(rows: list[dict]):
    """Return the table of claims for a rich console; without any live result only what is recorded is shown."""
    from rich.table import Table
    from rich.text import Text

    live = any(row["measured"] for row in rows)
    table = Table(title="Claims", title_justify="left", header_style="bold", expand=True, show_lines=True)
    columns = {"id": {"no_wrap": True}, "claim": {"ratio": 3}, "published": {"ratio": 2}}
    if live:
        columns |= {"this run": {"ratio": 2}, "verdict": {"width": 12}}
    for name, options in (columns | {"recorded full run": {"ratio": 3}}).items():
        table.add_column(name, **options)
    for row in rows:
        recorded = row.get("recorded") or {}
        cells = [Text(row["id"]), Text(row["statement"]), Text(text(row["published"]))]
        if live:
            cells += [Text(text(row["measured"])), _coloured(row["verdict"])]
        measured = [Text(recorded["measured"])] if recorded else []
        past = Text("\n").join([_coloured(claims.standing(row)), *measured, Text(claims.reason(row), style="dim")])
        table.add_row(*cells, past)
    return table


def _coloured(verdict: str):
    from rich.text import Text

    return Text(verdict, style=VERDICTS.get(verdict, ("", "", ""))[2])


def markdown(rows: Sequence[dict], link: Callable[[str], str | None] = lambda lesson: None) -> str:
    """Return all claims as Markdown: a table for every work, and what is missing below it.

    Parameters
    ----------
    rows : sequence of dict
        As in ``claims.json``.
    link : callable
        Takes the name of a lesson, and returns the address that its number is linked to, or None.
    """
    parts = []
    for letter, work in claims.works().items():
        some = [row for row in rows if row["id"][0] == letter]
        parts += [f"### {work}", claims_table(some, link), *untested(some)]
    return "\n\n".join(parts) + "\n"


def claims_table(rows: Sequence[dict], link: Callable[[str], str | None] = lambda lesson: None) -> str:
    """Return some claims as a Markdown table; without any live result there is no column for it.

    Parameters
    ----------
    rows : sequence of dict
        Some of the claims, as in ``claims.json``.
    link : callable
        Takes the name of a lesson, and returns the address that its number is linked to, or None.

    Returns
    -------
    str
        The table, a line a claim.
    """
    live = any(row["measured"] for row in rows)
    heads = [
        "id",
        "claim",
        "published",
        *(["this run"] if live else []),
        "recorded full run",
        "verdict",
        "why",
        "lesson",
    ]
    lines = [heads, ["---"] * len(heads)]
    for row in rows:
        recorded = row["recorded"] or {}
        found = [text(recorded.get("measured")), setting(recorded)]
        cells = [f"**{row['id']}**", row["statement"], row["published"]]
        if live:
            cells.append(f"{row['verdict']}: {row['measured']} ({setting(row)})" if row["measured"] else "")
        address, number = link(row["lesson"]), row["lesson"][:2]
        lesson = f"[{number}]({address})" if address else number
        cells += ["; ".join(filter(None, found)), f"**{claims.standing(row)}**", claims.reason(row), lesson]
        lines.append([str(cell).replace("|", "\\|") for cell in cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def untested(rows: Sequence[dict]) -> list[str]:
    """Return a Markdown list of what is missing to test claims where they were published; nothing if nothing is."""
    wanted: dict[tuple, list[str]] = {}
    for row in rows:
        if row["missing"] or claims.standing(row) in ("open", "not testable here"):
            missing = row["missing"] or "the full budget, on the data that the lesson takes"
            wanted.setdefault((missing, row["command"]), []).append(row["id"])
    lines = [
        f"- {', '.join(names)}: missing is {missing}. Test: `{command}`" for (missing, command), names in wanted.items()
    ]
    return ["\n".join(lines)] if lines else []


def setting(found: dict) -> str:
    """Return data set, number of seeds (or nets) and net of a measurement; nothing where nothing was measured."""
    if found.get("measured") is None:
        return ""
    seeds = found.get("seeds") or []
    count = f"{len(seeds)} {claims.cases(found)}{'s' if len(seeds) > 1 else ''}" if seeds else ""
    return ", ".join(filter(None, [text(found.get("dataset")), count, text(found.get("on"))]))


def text(value) -> str:
    """Return a value as text, None as none."""
    return "" if value is None else str(value)
