"""The picture of a state: images, predictions, differences, and what each expert costs and can do."""

from collections.abc import Callable

import torch
from matplotlib.figure import Figure

from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.demonstrator.details import render_channel, render_filters, render_layers
from relcomp_kit.demonstrator.engine import answer
from relcomp_kit.demonstrator.pixel_layout import (
    LETTER,
    MARGIN,
    SIZE,
    Sheet,
    coloured,
    marked,
    overlaid,
    percent,
    photograph,
    png,
    rgb,
    size_of,
)
from relcomp_kit.demonstrator.state import Answer, Shown, State
from relcomp_kit.figures.style import AGAINST, FOR, INK

__all__ = ["draw", "png", "render", "render_channel", "render_filters", "render_layers"]

GAP, FIRST = 10, 186  # FIRST: least width of the column that names the rows
TITLE, ROW, LEGEND = 30, 29, 26  # heights of lines
HIGHEST_ROW = 42
LOWEST_PICTURE = 60
COST, QUALITY = "#dddddd", "#f6cfc6"  # bars behind numbers
MOST_CLASSES = 3  # whose IoU has a row of its own
Row = tuple[str, Callable[[Shown], str], Callable[[Shown], float], str]


def render(state: State, size: tuple[int, int] = SIZE) -> Figure:
    """Return the picture of a state: a column for the scene, one for the super-net and one for each path.

    Parameters
    ----------
    state : State
        What is shown.
    size : (int, int)
        Width and height in pixels; text stays as large, and pictures take what is left. `png` keeps the size.

    Raises
    ------
    UserError
        As `relcomp_kit.demonstrator.engine.answer`.
    """
    return draw(answer(state), size)


def draw(found: Answer, size: tuple[int, int] = SIZE) -> Figure:
    """Return the picture of an answer, as `render` does.

    Parameters
    ----------
    found : Answer
        What is drawn.
    size : (int, int)
        Width and height in pixels.
    """
    sheet, nets = Sheet(size), (found.net, *found.experts)
    rows, legend = _rows(found), _legend(found, sheet.width - 2 * MARGIN)
    below = ROW * len(rows) + LEGEND * (len(legend) + len(found.notes)) + 16
    inner = sheet.width - 2 * MARGIN - GAP * len(nets)
    first = max(FIRST, inner / (1 + len(nets)))
    across = (inner - first) / len(nets)
    image_height, image_width = found.image.shape[-2:]
    room = (sheet.height - 2 * TITLE - below) / 2
    height = max(LOWEST_PICTURE, min(room, across * image_height / image_width))
    width = height * image_width / image_height
    columns = [MARGIN, *(MARGIN + first + GAP + number * (across + GAP) for number in range(len(nets)))]
    titles = [found.title, *(net.name for net in nets)]
    for x, title, picture in zip(columns, titles, _upper(found)):
        sheet.text(x, TITLE / 2, title, 18, across, weight="bold")
        sheet.picture(x, TITLE, width, height, picture)
    second = TITLE + height
    for x, (title, picture) in zip(columns, _lower(found)):
        sheet.text(x, second + TITLE / 2, title, 17, across)
        if picture is not None:
            sheet.picture(x, second + TITLE, width, height, picture)
    y = second + TITLE + height + 8
    row = min(HIGHEST_ROW, ROW + 2 * (room - height) / len(rows))  # what pictures leave
    for title, words, share, colour in rows:
        sheet.text(columns[0], y + row / 2, title, 18, first)
        for x, net in zip(columns[1:], nets):
            sheet.bar(x, y + 2, across * min(1.0, share(net)), row - 4, rgb(colour))
            sheet.text(x + 6, y + row / 2, words(net), 0.3 * row + 11, across, weight="bold")
        y += row
    _draw_legend(sheet, legend, y + 6, found.notes)
    return sheet.finish()


def _upper(found: Answer) -> list:
    return [photograph(found.image), *(coloured(net.prediction, found.palette) for net in (found.net, *found.experts))]


def _lower(found: Answer) -> list[tuple]:
    """Return title and picture of the second row: relevance, truth, and what each expert changes."""
    heat = None if found.heat is None else overlaid(found.image, found.heat)
    title = f"relevance: {found.state.heat}" if heat is not None else ""
    truth = None if found.truth is None else coloured(found.truth, found.palette)
    parts = [(title, heat), ("truth" if truth is not None else "no ground truth", truth)]
    for expert in found.experts:
        parts.append((f"changed: {percent(1 - expert.agreement)}", marked(found.image, changes(found, expert))))
    return parts


def changes(found: Answer, expert: Shown) -> list[tuple[torch.Tensor, str]]:
    """Return masks (height, width) with their colours: pixels that became wrong, right, and other ones that changed.

    Parameters
    ----------
    found : Answer
        It has the super-net's prediction and, where it is known, the truth; without truth there is one mask.
    expert : Shown
        The expert whose prediction is held against the super-net's.
    """
    changed = expert.prediction != found.net.prediction
    if found.truth is None:
        return [(changed, INK)]
    lost, gained = changed & (found.net.prediction == found.truth), changed & (expert.prediction == found.truth)
    return [(changed, INK), (lost, FOR), (gained, AGAINST)]


def _rows(found: Answer) -> list[Row]:
    """Return the rows of the table: title, words and share of a net, and the colour of its bar."""
    whole, state = found.net, found.state
    rows: list[Row] = [
        ("parameters", lambda net: percent(net.parameters), lambda net: net.parameters, COST),
        ("multiply-adds", lambda net: percent(net.macs), lambda net: net.macs, COST),
        (
            "file, coded" if whole.coded else "file (≈ estimate)",
            lambda net: ("" if net.coded else "≈ ") + size_of(net.bytes),
            lambda net: net.bytes / whole.bytes,
            COST,
        ),
    ]
    if whole.latency:
        milliseconds = lambda net: f"{1000 * net.latency:.0f} ms"  # noqa: E731
        rows.append(("time of an image", milliseconds, lambda net: net.latency / whole.latency, COST))
    if not whole.iou:
        rows.append(("same as super-net", lambda net: percent(net.agreement), lambda net: net.agreement, QUALITY))
    for kind, name in (("iou", ""), ("test_iou", f", {state.test} scenes")):
        rows += _iou_rows(kind, name, whole, state.classes)
    return rows


def _iou_rows(kind: str, name: str, whole: Shown, classes: tuple[str, ...]) -> list[Row]:
    if not getattr(whole, kind):
        return []
    rows: list[Row] = []
    for class_ in classes if len(classes) <= MOST_CLASSES else ():
        read = lambda net, class_=class_: getattr(net, kind).get(class_)  # noqa: E731
        rows.append((f"IoU {class_}{name}", *_of(read), QUALITY))
    if not rows:
        read = lambda net: mean(getattr(net, kind))  # noqa: E731
        rows.append((f"mean IoU of {len(classes)}{name}", *_of(read), QUALITY))
    return rows


def _of(read: Callable[[Shown], float | None]) -> tuple[Callable[[Shown], str], Callable[[Shown], float]]:
    """Return what is written of a score that may be missing, and how long its bar is."""
    return lambda net: percent(read(net)), lambda net: read(net) or 0.0


def _legend(found: Answer, room: float) -> list[list[tuple[tuple[int, int, int], str, float]]]:
    """Return lines of (colour, name, width): classes that are seen in the picture, then kinds of changed pixels."""
    maps = [net.prediction for net in (found.net, *found.experts)] + ([] if found.truth is None else [found.truth])
    seen = sorted({int(one) for one in torch.cat([part.flatten() for part in maps]).unique()})
    colours = {**dict(enumerate(found.palette)), VOID: (0, 0, 0)}
    entries: list = [(colours[one], "void" if one == VOID else found.classes[one]) for one in seen]
    lines: list = [[]]
    for colour, name in entries:
        width = 30 + LETTER * 16 * len(name)
        if lines[-1] and sum(entry[2] for entry in lines[-1]) + width > room:
            lines.append([])
        lines[-1].append((colour, name, width))
    names = {INK: "changed"} if found.truth is None else {FOR: "was right", AGAINST: "is right now", INK: "neither"}
    kinds = [(rgb(colour), f"changed: {name}" if colour == FOR else name) for colour, name in names.items()]
    lines.append([(colour, name, 40 + LETTER * 16 * len(name)) for colour, name in kinds])
    return lines


def _draw_legend(sheet: Sheet, lines: list, y: float, notes: tuple[str, ...]) -> None:
    for line in lines:
        x = MARGIN
        for colour, name, width in line:
            sheet.bar(x, y + 5, 16, 16, colour)
            sheet.text(x + 21, y + LEGEND / 2, name, 16)
            x += width
        y += LEGEND
    for note in notes:
        sheet.text(MARGIN, y + LEGEND / 2, note, 16, sheet.width - 2 * MARGIN, style="italic")
        y += LEGEND


def mean(iou: dict[str, float | None]) -> float | None:
    """Return the mean of the IoUs of classes that occur."""
    known = [value for value in iou.values() if value is not None]
    return sum(known) / len(known) if known else None
