"""The command line: every state as a line and back, sentences for what cannot be read, completion."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relcomp_kit.demonstrator import State, as_line, asks_help, complete, nets, parse
from relcomp_kit.demonstrator.state import PathChoice
from relcomp_kit.demonstrator.tokens import commands, names, quote
from relcomp_kit.errors import UserError

NETS = ["compact-rail-scenes-0", "compact-camvid-0"]
KEEP = st.floats(0, 1, exclude_min=True)
LAYER = "backbone.layer3.0.conv1"


def some(values, least=1, most=4):
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True).map(tuple)


@st.composite
def paths(draw, net):
    kinds = ["class", "critical", "average", "magnitude", "random", *(["trained"] if net.trained else [])]
    kind = draw(st.sampled_from(kinds))
    if kind == "trained":
        return PathChoice(kind, (draw(st.sampled_from(sorted(net.trained))),), draw(KEEP))
    classes = draw(some(net.classes)) if kind in ("class", "critical") else ()
    alone = [members[0] for members in net.groups.layers]  # two layers that are summed have one share
    layers = tuple(sorted(draw(st.dictionaries(st.sampled_from(alone), KEEP, max_size=2)).items()))
    return PathChoice(kind, classes, draw(KEEP), layers)


@st.composite
def states(draw):
    net = nets.load(draw(st.sampled_from(NETS)))
    layer = draw(st.sampled_from(list(net.widths)))
    seed, frame = st.integers(0, 999_999), st.integers(0, 999)
    uploaded = st.text('aé$"\\;=/vs.', min_size=1).map(lambda name: f"upload {name} 2")
    drawn = st.builds(lambda n, w: f"synthetic {n}{w}", seed, st.sampled_from(["", " day", " snow"]))
    frames = st.builds(lambda kind, n: f"{kind} {n}", st.sampled_from(["camvid", "railsem19"]), frame)
    return State(
        net=net.name,
        scene=draw(drawn | frames | uploaded),
        classes=draw(some(net.classes, most=7)),
        paths=tuple(draw(st.lists(paths(net), min_size=1, max_size=3))),
        heat=draw(st.none() | st.sampled_from(net.classes)),
        channel=draw(st.none() | st.tuples(st.just(layer), st.integers(0, net.widths[layer] - 1))),
        latency=draw(st.booleans()),
        coded=draw(st.booleans()),
        test=draw(st.integers(0, 1000)),
    )


@pytest.mark.slow
@settings(max_examples=60)
@given(states(), states())
def test_every_state_is_a_line_that_reads_back(state, before):
    line = as_line(state)
    assert parse(line, before) == state
    assert as_line(parse(line, before)) == line


@pytest.mark.slow
@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_any_names_can_be_quoted(known):
    (words,) = commands(" ".join(quote(name, {"vs"}) for name in known))
    assert names(words, known, "class") == tuple(known)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.text(st.sampled_from('rel vs;"=\\. keep0.4snow'), max_size=40))
def test_any_text_is_read_or_refused_in_a_sentence(text):
    for line in (text, f"rel {text}", f"scene {text}", f"keep {text}"):
        try:
            parse(line, State())
        except UserError as error:
            assert str(error)
        assert all(isinstance(one, str) for one in complete(line, State()))


def test_commands_change_what_they_name():
    state = parse("rel rail keep=0.4 vs magnitude vs average keep=0.6", State())
    assert [path.kind for path in state.paths] == ["class", "magnitude", "average"]
    assert [path.keep for path in state.paths] == [0.4, 0.4, 0.6]
    assert parse("keep 0.3", state).paths[2].keep == 0.3
    assert [path.keep for path in parse("keep 2 0.3", state).paths] == [0.4, 0.3, 0.6]
    changed = parse(f"layer 2 {LAYER} keep=0.3; heat sky; channel {LAYER} 5; measure latency test=40", state)
    assert changed.paths[1].layers == ((LAYER, 0.3),)
    assert (changed.heat, changed.channel, changed.latency, changed.test) == ("sky", (LAYER, 5), True, 40)
    assert parse(f"layer 2 {LAYER} off; heat off; channel off; measure off", changed) == replace(state, heat=None)
    assert parse("scene synthetic 7 snow", state).scene == "synthetic 7 snow"
    assert parse("classes all", state).classes == nets.load(state.net).classes
    assert parse("rel anomaly on track sky", state).paths[0].classes == ("anomaly on track", "sky")
    assert parse("", state) == parse("help", state) == parse(" ; ;", state) == state
    assert asks_help("heat off; help") and not asks_help('heat "help"')


def test_another_net_keeps_what_fits_it():
    state = parse("classes sky rail; rel rail vs critical rail sky; heat rail; channel classifier.1 3", State())
    other = parse("net compact-camvid-0", state)
    assert other.classes == ("sky",) and other.heat is None and other.channel == ("classifier.1", 3)
    assert [path.classes for path in other.paths] == [("sky",), ("sky",)]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("rial rail", "did you mean rel"),
        ("rel rial", "did you mean rail"),
        ("rel", "rel needs a path"),
        ("rel rail vs", "rel needs a path"),
        ("rel rail rail", "twice"),
        ("rel rail keep=1.2", "up to 1, not 1.2"),
        ("rel rail keep=nan", "not nan"),
        ("rel rail keep=much", "such as keep=0.4"),
        ("rel magnitude rail", "has no classes"),
        ("rel critical", "which one"),
        ("rel stored x", "no expert in the file"),
        ("rel trained rial-50", "did you mean rail-50"),
        ("rel trained", "which one"),
        ("rel trained rail-50 magnitude-50", "cannot be joined"),
        ("rel rail vs sky vs random vs average", "1 to 3"),
        ("keep 4 0.3", "counted from 1 to 2"),
        ("keep", "such as keep=0.4"),
        ("keep 1 2 3", "for all paths"),
        ("scene", "kind of scene"),
        ("scene synthetic", "and a number"),
        ("scene synthetic 7 sno", "did you mean snow"),
        ("scene synthetic 1000000", "counted from 0"),
        ("scene synthetic -1", "whole number"),
        ("scene camvid 3 snow", "a word too many"),
        ("scene upload", "NAME"),
        ("net compact-rail-scenes-9", "not trained on this machine"),
        ("net house", "there is no net"),
        ("net missing.nnc", "missing.nnc is not there"),
        ("classes", "one at least"),
        ("heat rail sky", "one class"),
        ("heat", "one class"),
        ("channel classifier.9 3", "did you mean classifier"),
        ("channel classifier.1 64", "0 to 63"),
        ("channel classifier.1 x", "whole number"),
        ("layer 1 backbone.layer3.0.conv9 keep=0.3", "did you mean"),
        ("layer 1 classifier.1", "write layer"),
        ("layer 1 classifier.1 keep", "or off"),
        (
            "layer 1 backbone.layer1.0.conv3 keep=0.2; layer 1 backbone.layer1.1.conv3 keep=0.3",
            "keep the same filters",
        ),
        ("measure speed", "no measurement"),
        ("measure test=1001", "up to 1,000"),
        ('rel "rail', "never closed"),
        ('rel "\\x"', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(line, part):
    with pytest.raises(UserError, match=part) as error:
        parse(line, State())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("re", ["rel"]),
        ("rel rail vs ma", ["rel rail vs magnitude"]),
        ("rel a", ['rel "anomaly on track"', "rel average"]),
        ('classes rail "ano', ['classes rail "anomaly on track"']),
        ("heat rail; sce", ["heat rail; scene"]),
        ("scene synthetic 7 s", ["scene synthetic 7 snow"]),
        ("layer 3", []),
        ("channel classifier.1", ["channel classifier.1"]),
        ("measure latency l", []),
        ("help ", []),
        ("nonsense ", []),
    ],
)
def test_completion(text, expected):
    assert complete(text, State()) == expected


def test_completions_lead_on():
    assert {"rel rail sky", "rel rail keep=0.5", "rel rail vs"} <= set(complete("rel rail ", State()))
    assert "rel rail vs random" in complete("rel rail vs ", State())
    assert "rel trained" in complete("rel ", State()) and "rel stored" not in complete("rel ", State())
    assert "rel trained" not in complete("rel ", State(net="compact-camvid-0", classes=("sky",), heat=None))
    assert complete("rel trained rail", State()) == ["rel trained rail-50"]
    assert "rel rail vs sky vs ground vs" not in complete("rel rail vs sky vs ground ", State())
    assert complete("net ", State())[0] == "net compact-camvid-0"
    assert "scene upload" in complete("scene ", State())
