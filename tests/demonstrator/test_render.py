"""Pictures of every kind of state: their size, what is written in them, and that pictures are where they belong."""

import html.parser
import io

import numpy as np
import pytest
import torch
from PIL import Image

from relcomp_kit.demonstrator import State, answer, details, relevance, uploads
from relcomp_kit.demonstrator.pixel_layout import Sheet, overlaid, percent, shorten, size_of
from relcomp_kit.demonstrator.render import changes, draw, png, render, render_channel, render_filters, render_layers
from relcomp_kit.errors import UserError
from relcomp_kit.figures.style import AGAINST, FOR, INK

ONE, THREE = "rel rail keep=0.6", "rel rail keep=0.6 vs magnitude vs average keep=0.7"


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def pixels(figure) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "written"),
    [
        (ONE, ["scene 7", "super-net", "rail, 60 %", "relevance: rail", "truth", "file (≈ estimate)", "IoU rail"]),
        (THREE, ["magnitude, 60 %", "average, 70 %", "multiply-adds"]),
        (f"{ONE}; classes rail sky ground; scene synthetic 7 snow", ["scene 7, snow", "IoU ground"]),
        (f"{ONE}; classes all; heat off", ["mean IoU of 7"]),
        (f"{ONE}; measure test=2 latency", ["IoU rail, 2 scenes", "time of an image"]),
    ],
)
def test_what_a_picture_says(state, line, written):
    figure = render(state(line))
    assert set(written) <= set(words(figure))
    assert pixels(figure).shape == (620, 960, 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(960, 620), (1280, 720), (700, 480)])
def test_nothing_leaves_the_picture_or_meets_its_neighbour(state, size):
    paths = "rel anomaly on track sky trackbed keep=0.8 vs critical rail sky buildings vs random"
    figure = render(state(f"{paths}; classes rail anomaly on track sky"), size)
    assert pixels(figure).shape == (size[1], size[0], 3)
    boxes = [text.get_window_extent() for text in figure.texts]
    for box, text in zip(boxes, words(figure)):
        assert box.x0 >= 0 and box.x1 <= size[0] and box.y0 >= 0 and box.y1 <= size[1], text
    for number, box in enumerate(boxes):
        met = [words(figure)[other] for other in range(number) if box.overlaps(boxes[other])]
        assert not met, (words(figure)[number], met)


@pytest.mark.slow
def test_pictures_are_those_of_the_answer(state):
    found = answer(state(THREE))
    shown = pixels(draw(found))
    for colour in found.palette[:1]:  # rail is in the truth, and nothing else has its colour
        assert (shown == colour).all(-1).sum() > 50
    blank = pixels(Sheet((960, 620)).finish())
    assert (blank == 255).all()


def test_changed_pixels(state):
    found = answer(state(ONE))
    expert, (changed, lost, gained) = found.experts[0], (mask for mask, _ in changes(found, found.experts[0]))
    assert [colour for _, colour in changes(found, expert)] == [INK, FOR, AGAINST]
    assert changed.float().mean() == pytest.approx(1 - expert.agreement)
    assert lost.any() and not (lost & gained).any() and not ((lost | gained) & ~changed).any()
    assert (expert.prediction[gained] == found.truth[gained]).all()
    assert (found.net.prediction[lost] == found.truth[lost]).all()


@pytest.mark.slow
def test_an_upload_shows_agreement_in_place_of_iou(state, monkeypatch):
    monkeypatch.setitem(uploads._kept, "a $x$ photo.png", torch.randint(0, 255, (3, 100, 160)).byte())
    figure = render(state(f'{ONE}; scene upload "a $x$ photo.png"; heat off'))
    written = words(figure)
    assert {"no ground truth", "same as super-net"} <= set(written) and written[0].startswith("a $x$ photo")
    assert not any(one.startswith("IoU") for one in written)
    assert pixels(figure).shape == (620, 960, 3)


def test_relevance_for_is_red_and_against_is_blue():
    image, heat = torch.full((3, 20, 20), 128, dtype=torch.uint8), torch.zeros(20, 20)
    heat[:, :8], heat[:, 12:] = 1, -1
    drawn = overlaid(image, heat).astype(int)
    assert (drawn[:, :6, 0] > drawn[:, :6, 2] + 50).all() and (drawn[:, 14:, 2] > drawn[:, 14:, 0] + 50).all()
    assert np.ptp(drawn[:, 10], axis=-1).max() < 10


class Table(html.parser.HTMLParser):
    """The texts of a table's cells, row by row."""

    def __init__(self, text):
        super().__init__()
        self.rows = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.rows[-1][-1] += data


def test_the_table_of_layers(state, net):
    found = answer(state(THREE))
    heads, names, total, *rows = Table(render_layers(found.state)).rows
    assert heads[2:] == [expert.name for expert in found.experts]
    assert names == ["layer", "filters", *["similar to average", "pruned", "score", "parameter"] * 3]
    assert total[:2] == ["all layers", "4,304"] and [row[0] for row in rows] == list(net.widths)
    row = found.experts[1].layers[5]
    cells = rows[4]
    assert cells[6:10] == [percent(one) for one in (row.similarity, row.pruned, row.score, row.parameter)]


def test_names_in_the_table_are_no_markup(state, monkeypatch):
    name = "<img src=x onerror=alert(1)>"
    monkeypatch.setattr(details, "answer", lambda state: answer(State(paths=(state.paths[0],))))
    monkeypatch.setattr("relcomp_kit.demonstrator.paths.label", lambda choice: name)
    assert "<img" not in render_layers(state("rel random keep=0.123"))


@pytest.mark.slow
def test_filters_of_a_layer(state):
    figure = render_filters(state(f"{THREE}; channel backbone.layer2.0.conv1 3"))
    assert "backbone.layer2.0.conv1: relevance of its filters for rail, %" in words(figure)
    assert sum("filters" in one for one in words(figure)) == 5
    assert [text.get_text() for axes in figure.axes for text in axes.texts] == ["channel 3"] * 3
    assert pixels(figure).shape == (620, 960, 3)
    assert "classifier.1: relevance of its filters for rail + sky, %" in words(
        render_filters(state(f"{ONE}; heat off; classes rail sky"))
    )


@pytest.mark.slow
def test_a_channel(state, monkeypatch):
    monkeypatch.setattr(relevance, "REFERENCE_SCENES", 6)
    relevance._reference_scenes.cache_clear()
    figure = render_channel(state(f"{ONE}; channel classifier.1 3; heat sky", heat=None))
    assert "classifier.1, channel 3: most relevant for sky" in words(figure)
    assert pixels(figure).shape == (620, 960, 3)
    with pytest.raises(UserError, match="no channel is chosen"):
        render_channel(state(ONE))
    relevance._reference_scenes.cache_clear()


def test_numbers_as_they_are_written():
    assert [percent(one) for one in (None, 0, 0.004, 0.0994)] == ["–", "0 %", "0.4 %", "9.9 %"]
    assert [percent(one) for one in (0.0996, 1)] == ["10 %", "100 %"]
    assert [size_of(one) for one in (900, 657_211, 2_500_000)] == ["1 kB", "657 kB", "2.5 MB"]
    assert shorten("anomaly on track + sky, 80 %", 20) == "anomaly on tr…, 80 %"
    assert shorten("rail", 4) == "rail" and shorten("buildings", 4) == "bui…"
