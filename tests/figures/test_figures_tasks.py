"""The figure of the published tasks: a panel a task that was run, arms chosen on validation, both baselines."""

import numpy as np
import pytest

from relcomp_kit import figures
from relcomp_kit.figures.published_tasks import front

SPEECH, CIFAR = ("speech-commands", "mlp-gsc"), ("cifar10", "resnet20-published")


def row(task, arm, bits, Lambda, seed, accuracy, size, validation=None):
    dataset, net = task
    scores = {"accuracy": accuracy, "validation": accuracy if validation is None else validation}
    return {
        "dataset": dataset,
        "net": net,
        "arm": arm,
        "bits": bits,
        "Lambda": Lambda,
        "seed": seed,
        "bytes": size,
    } | scores


def sweep(task):
    rows = [row(task, "float", None, None, seed, 0.9 + seed / 100, None) for seed in range(3)]
    for arm, more in (("ecq", 0.0), ("lrp", 0.01), ("random", -0.02)):
        for place, (bits, Lambda) in enumerate([(2, 0.1), (2, 0.02), (4, 0.1), (4, 0.02)]):
            rows += [
                row(task, arm, bits, Lambda, seed, 0.8 + more + place / 50 + seed / 1000, 20_000 * (1 + place) + seed)
                for seed in range(3)
            ]
    return rows


def lines(axis) -> dict:
    return {line.get_label(): line for line in axis.lines}


def test_front_is_chosen_on_validation_and_by_size():
    rows = [
        row(SPEECH, "lrp", 2, 0.1, 0, 0.5, 10, validation=0.7),
        row(SPEECH, "lrp", 2, 0.2, 0, 0.9, 20, validation=0.6),  # larger, and worse on validation
        row(SPEECH, "lrp", 4, 0.1, 0, 0.6, 30, validation=0.8),
        row(SPEECH, "lrp", 4, 0.2, 0, 0.7, 25, validation=0.8),
    ]
    assert [(some[0]["bits"], some[0]["Lambda"]) for some in front(rows)] == [(2, 0.1), (4, 0.2)]
    both = rows + [one | {"seed": 1} for one in rows[1:]]
    assert all([one["seed"] for one in some] == [0, 1] for some in front(both))
    assert front([]) == []


@pytest.mark.slow
def test_a_panel_for_each_task_that_was_run(draw):
    made = draw(figures.published_tasks, sweep(CIFAR) + sweep(SPEECH), {"resnet20-published": [0.926]})
    speech, cifar = made.axes
    assert [axis.get_title() for axis in made.axes] == ["Speech Commands, MLP_GSC", "CIFAR-10, ResNet-20"]
    found = lines(speech)
    np.testing.assert_allclose(found["LRP"].get_xdata(), [20_001, 40_001, 60_001, 80_001])
    np.testing.assert_allclose(found["LRP"].get_ydata(), [81.1, 83.1, 85.1, 87.1])
    assert found["float, trained as long"].get_ydata()[0] == pytest.approx(91)
    assert "float, before" not in found and lines(cifar)["float, before"].get_ydata()[0] == pytest.approx(92.6)
    shown = [text.get_text() for text in made.legends[0].get_texts()]
    assert shown == ["ECQ", "LRP", "random", "float, trained as long", "float, before"]
    assert speech.get_xscale() == "log" and not speech.patches[1:]  # no bars: the one patch is the baseline's range


@pytest.mark.slow
def test_tasks_of_one_seed_and_of_nothing(draw):
    (axis,) = draw(figures.published_tasks, [one for one in sweep(SPEECH) if one["seed"] == 0]).axes
    assert axis.get_title() == "Speech Commands, MLP_GSC"
    draw(figures.published_tasks, [])
    draw(figures.published_tasks, [one for one in sweep(CIFAR) if one["arm"] == "float"])


def test_a_spoken_word_has_a_number_for_each_net_and_word(draw):
    answers = {"float32": {"yes": 0.75, "no": 0.25}, "2 bit": {"yes": 0.004, "no": 0.996}}
    made = draw(figures.spoken_word, np.arange(98 * 40).reshape(98, 40), "yes", answers)
    left, right = made.axes
    assert left.get_title() == '"yes"' and left.images[0].get_array().shape == (40, 98)
    assert [text.get_text() for text in right.texts] == ["75", "25", "0", "100"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["float32", "2 bit"]
