"""More on a state: every layer in numbers, every filter of a layer, and what one channel stands for."""

import html

import numpy as np
from matplotlib.figure import Figure

from relcomp_kit.demonstrator import nets, paths, relevance
from relcomp_kit.demonstrator.engine import answer, one_at_a_time
from relcomp_kit.demonstrator.pixel_layout import MARGIN, SIZE, Sheet, overlaid, percent, photograph
from relcomp_kit.demonstrator.state import LayerRow, Shown, State
from relcomp_kit.errors import UserError
from relcomp_kit.figures.style import FOR, INK, REMOVED

LINE = 28  # height of a title
AXIS = 48  # room for the numbers beside an axis
COLUMNS = ("similar to average", "pruned", "score", "parameter")
CELL = "padding:1px 4px;text-align:right;white-space:nowrap;min-width:46px"
EDGE = "border-left:3px solid white"


def render_layers(state: State) -> str:
    """Return a table as HTML: per layer and path, how much of the average path it shares, prunes and keeps.

    Similarity is the overlap with the average path of the same share (filters in both over filters in either), the
    score the share of the layer's relevance for the evaluated classes, the parameter the share that the layer was
    given.
    """
    experts = answer(state).experts
    heads = "".join(_head(one.name) for one in experts)
    letters = 14 if len(experts) > 2 else 16  # three paths fill the width of the page
    small = f"font-size:{letters - 2}px;font-weight:normal;white-space:normal;vertical-align:bottom"
    names = "".join(
        f'<th style="{CELL};{"" if number else EDGE};{small}">{name}</th>'
        for _ in experts
        for number, name in enumerate(COLUMNS)
    )
    rows = "".join(_row(number, experts) for number in range(len(experts[0].layers)))
    return (
        f'<table class="layers" style="border-collapse:collapse;font-size:{letters}px">'
        f'<thead style="position:sticky;top:0;background:white"><tr><th></th><th></th>{heads}</tr>'
        f'<tr><th style="text-align:left;{small}">layer</th><th style="{CELL};{small}">filters</th>{names}</tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def _head(name: str) -> str:
    """Return a head over an expert's columns, which a long name makes no wider."""
    shown = f'<div title="{html.escape(name)}" style="width:0;min-width:100%;overflow:hidden;text-overflow:ellipsis">'
    return f'<th colspan="{len(COLUMNS)}" style="{CELL};{EDGE};text-align:center">{shown}{html.escape(name)}</div></th>'


def _row(number: int, experts: tuple[Shown, ...]) -> str:
    rows = [one.layers[number] for one in experts]
    cells = "".join(_cell(value, place == 0) for row in rows for place, value in enumerate(_numbers(row)))
    style = ' style="font-weight:bold"' if not number else ""
    name = html.escape(rows[0].layer)
    return f'<tr{style}><td>{name}</td><td style="{CELL}">{rows[0].filters:,}</td>{cells}</tr>'


def _numbers(row: LayerRow) -> tuple[float | None, ...]:
    return row.similarity, row.pruned, row.score, row.parameter


def _cell(value: float | None, first: bool) -> str:
    """Return a cell with a bar as long as its share; the first of an expert is set off from the one before."""
    long = 100 * (value or 0)
    bar = f"background:linear-gradient(to right,#dddddd {long:.1f}%,transparent {long:.1f}%)"
    return f'<td style="{CELL};{EDGE if first else ""};{bar}">{percent(value)}</td>'


def render_filters(state: State, size: tuple[int, int] = SIZE) -> Figure:
    """Return how relevant each filter of a layer is, and which of them each path keeps, in red.

    The layer is that of ``state.channel``, whose filter is marked, or else the last one whose filters can be removed.
    Relevance is that for the heat class, or for the evaluated classes.

    Parameters
    ----------
    state : State
        What is shown.
    size : (int, int)
        Width and height of the figure in pixels.
    """
    found, net = answer(state), nets.load(state.net)
    layer, channel = state.channel or (list(net.widths)[-1], None)
    classes = (state.heat,) if state.heat is not None else state.classes
    scores = paths.mean_relevance(net, classes)[layer].double()
    order = scores.argsort(descending=True, stable=True)
    shares = (100 * scores / scores.sum().clamp_min(1e-30))[order].numpy()
    sheet, places = Sheet(size), np.arange(len(shares))
    sheet.text(MARGIN, LINE / 2, f"{layer}: relevance of its filters for {' + '.join(classes)}, %", 20, sheet.width)
    height = (sheet.height - LINE * (1 + len(found.experts)) - AXIS) / len(found.experts)
    inner = sheet.width - AXIS - 2 * MARGIN
    for number, expert in enumerate(found.experts):
        kept = expert.path[layer][order].numpy()
        y = LINE + number * (height + LINE)
        part = percent(_part(shares, kept))
        words = f"{expert.name}: keeps {kept.sum():,} of {len(kept):,} filters, {part} of the relevance"
        sheet.text(MARGIN, y + LINE / 2, words, 18, sheet.width - 2 * MARGIN, weight="bold")
        axes = sheet.axes(AXIS + MARGIN, y + LINE, inner, height - 8)
        colours = np.where(kept, FOR, REMOVED)
        axes.vlines(places, 0, np.maximum(shares, 0.004 * shares.max()), colours, linewidth=0.8 * inner / len(places))
        if channel is not None:
            place = int((order == channel).nonzero())
            axes.plot(place, shares[place], "v", color=INK, markersize=13, clip_on=False)
            axes.annotate(
                f"channel {channel}", (place, shares[place]), (8, 10), textcoords="offset points", fontsize=16
            )
        axes.set(xlim=(-0.5, len(places) - 0.5), ylim=(0, 1.15 * shares.max() or 1), xticks=[])
        axes.tick_params(labelsize=15)
        axes.spines[["top", "right"]].set_visible(False)
    sheet.text(sheet.width / 2, sheet.height - AXIS / 2, "filters, the most relevant first", 18, ha="center")
    return sheet.finish()


def _part(shares: np.ndarray, kept: np.ndarray) -> float:
    return float(shares[kept].sum() / (shares.sum() or 1))


def render_channel(state: State, size: tuple[int, int] = SIZE) -> Figure:
    """Return what ``state.channel`` stands for: scenes in which it is most relevant (RelMax), and crops of them.

    Relevance is that for the heat class; without one, that for whatever is predicted. It takes some seconds.

    Parameters
    ----------
    state : State
        With a channel.
    size : (int, int)
        Width and height of the figure in pixels.

    Raises
    ------
    UserError
        If no channel is chosen, or the class is predicted nowhere.
    """
    if state.channel is None:
        raise UserError("no channel is chosen: write channel LAYER NUMBER, or click on one")
    (layer, channel), net = state.channel, answer(state) and nets.load(state.net)
    class_ = None if state.heat is None else net.classes.index(state.heat)
    try:
        with one_at_a_time:
            examples = relevance.references(net, layer, channel, class_)
    except UserError as error:
        raise UserError(f"{layer}, channel {channel}, for {state.heat or 'all classes'}: {error}") from error
    sheet = Sheet(size)
    about = f"for {state.heat}" if state.heat is not None else "for what is predicted"
    sheet.text(MARGIN, LINE / 2, f"{layer}, channel {channel}: most relevant {about}", 20, sheet.width, weight="bold")
    across = (sheet.width - 2 * MARGIN - 10 * (relevance.REFERENCES - 1)) / relevance.REFERENCES
    titles = ("what it looks at", "the scene", "relevance through this channel")
    aspect = net.size[0] / net.size[1]
    heights = [across, across * aspect, across * aspect]
    shrink = min(1.0, (sheet.height - LINE * (1 + len(titles))) / sum(heights))
    for number, one in enumerate(examples):
        y = LINE
        for title, height, width, picture in zip(
            titles,
            heights,
            (across, across, across),
            (photograph(one.crop), photograph(one.image), overlaid(one.image, one.heat)),
        ):
            if not number:
                sheet.text(MARGIN, y + LINE / 2, title, 18)
            sheet.picture(MARGIN + number * (across + 10), y + LINE, width * shrink, height * shrink, picture)
            y += LINE + height * shrink
    return sheet.finish()
