"""The generator: the same scenes everywhere, image and label from one geometry, and the rarity that it promises."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare
from torchvision import tv_tensors

from relcomp_kit.datasets import rail_scenes
from relcomp_kit.datasets.rail_scenes import ANOMALIES, CLASSES, SPLITS, USUAL, WEATHERS, RailScenes, render
from relcomp_kit.datasets.rail_scenes.canvas import ANOMALY, RAIL, TRACKBED, VOID
from relcomp_kit.datasets.rail_scenes.layout import WITH_ANOMALY, draw_scene
from relcomp_kit.errors import UserError

REFERENCE = Path(__file__).with_name("rail_scenes_reference.npz")  # name as below -> image (40, 64, 3), uint8
PICTURES = {"day": 11, "dusk": 1_000_012, "rain": 2_000_013, "fog": 14, "snow": 2**40}  # weather -> seed

# SHA-256 of the labels of a seed, a size and a weather, made by version 1. They are the same on every machine. If one
# differs and VERSION is the same, the generator is broken, and so is all that was trained on it. If VERSION was raised
# on purpose, run this file as a program: it prints the new table and total, and writes the pictures anew.
LABELS = {
    (0, (96, 160), None): "ec3b21ad7e88877e3f7990272a81cc4cfebec353d0e04092c800be51fa4f8ffc",
    (7, (96, 160), "snow"): "cc176b4741036dd56c9993968703f0ff2177d757904da53bd29b7453de54bdf3",
    (1_000_005, (65, 111), "fog"): "f68832b00ad27f2a1b6dd43edab8f56b06825b53b03b13132640605c05981518",
    (2_000_003, (200, 300), "rain"): "76afa4776d1dd4d9a603f6462ed5e5716bc67bc33e46989ab755586d67138f80",
    (3599, (160, 97), "dusk"): "9226aae2e6a7ed024717e6cdcc81c1131e0bc9d1ff76bc3d363fb7bbe46c5db0",
    (2**62 + 1, (33, 32), "day"): "01d36573c7b8335719b137c8c0b7098e0753e86bc4fccf7f03d3b35472ee358b",
}
# Of the labels of the first 100 scenes of every split at 96x160, one after the other.
ALL_LABELS = "b8c80391c53f909f6a19f5d61a5a9e7da926f09acf659bcb3773635570c2284a"


def fingerprint(seed: int, size: tuple[int, int], weather: str | None) -> str:
    return hashlib.sha256(render(seed, size, weather)[1].tobytes()).hexdigest()


def hundred_of_every_split() -> list[tuple[int, np.ndarray, np.ndarray]]:
    """(seed, image, label) of the first 100 scenes of every split."""
    found = []
    for split, (first, _) in SPLITS.items():
        scenes = RailScenes(split)
        for index in range(100):
            image, label = scenes[index]
            found.append((first + index, image.permute(1, 2, 0).numpy(), label.numpy()))
    return found


@pytest.fixture(scope="module")
def scenes():
    return hundred_of_every_split()


@pytest.mark.parametrize("case", LABELS, ids=str)
def test_labels_are_the_recorded_ones_byte_for_byte(case):
    assert rail_scenes.VERSION == 1
    assert fingerprint(*case) == LABELS[case]


@pytest.mark.slow
def test_labels_of_every_split_are_the_recorded_ones(scenes):
    assert hashlib.sha256(b"".join(label.tobytes() for _, _, label in scenes)).hexdigest() == ALL_LABELS


@pytest.mark.parametrize("weather", WEATHERS)
def test_pixels_are_the_recorded_ones_within_one(weather):
    with np.load(REFERENCE) as recorded:
        expected = recorded[weather].astype(int)
    image, _ = render(PICTURES[weather], expected.shape[:2], weather)
    assert np.abs(image - expected).max() <= 1
    assert expected.std() > 10  # a picture, not a plane


def test_order_and_threads_do_not_matter():
    cases = [*reversed(LABELS)] * 2
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda case: fingerprint(*case), cases)] == [LABELS[case] for case in cases]


ELSEWHERE = """
import hashlib, json, sys
from relcomp_kit.datasets.rail_scenes import render
for seed, size, weather in json.loads(sys.argv[1]):
    print(hashlib.sha256(render(seed, tuple(size), weather)[1].tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_another_process_without_vector_instructions_draws_the_same():
    """NumPy picks its loops by what the processor can do (AVX2, fused multiply-add, ...); here all of that is off."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(extensions)}
    command = [sys.executable, "-W", "ignore", "-c", ELSEWHERE, json.dumps(list(LABELS))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(LABELS.values())


# Rounded exactly by IEEE 754, or not arithmetic at all; all else NumPy and the C library may do in their own way.
ARITHMETIC = {"np.abs", "np.clip", "np.floor", "np.maximum", "np.minimum", "np.where", "math.sqrt"}
ARRAYS = {"np.arange", "np.array", "np.asarray", "np.full", "np.full_like", "np.ones", "np.zeros", "np.zeros_like"}
PLACES = {"np.searchsorted", "np.flatnonzero", "np.copyto", "np.ndarray"}
NUMBERS = {"np.float32", "np.int64", "np.uint8", "np.uint64", "np.random", "np.random.PCG64"}
EXACT = ARITHMETIC | ARRAYS | PLACES | NUMBERS
REDUCTIONS = {"sum", "mean", "dot", "prod", "cumsum", "std", "var", "trace"}  # methods whose order is the machine's
MODULES = ("numpy", "math", "dataclasses", "relcomp_kit.datasets.rail_scenes")


def inexact(source: str) -> list[str]:
    """What a source uses that may round differently elsewhere."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            library = re.fullmatch(r"(np|math)(\.\w+)+", name)
            if name not in EXACT if library else node.attr in REDUCTIONS:
                found.append(name)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("sum", "pow", "round"):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.MatMult)):
            literal = not any(isinstance(part, (ast.Name, ast.Attribute)) for part in ast.walk(node))
            found += [] if literal else [ast.unparse(node)]
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [name for name in names if not name.startswith(MODULES)]
    return found


@pytest.mark.parametrize("name", ["canvas", "random_numbers", "land", "layout", "things"])  # air only colours
def test_labels_rest_on_exactly_rounded_arithmetic_alone(name):
    source = Path(rail_scenes.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    assert inexact(source) == []


@pytest.mark.parametrize(
    "line", ["np.sin(x)", "np.random.default_rng(0)", "x ** 0.5", "x.sum()", "sum(x)", "a @ b", "import random"]
)
def test_arithmetic_that_is_not_exact_is_found(line):
    assert inexact(line)


def test_every_label_is_a_class_or_void_and_the_track_is_always_there(scenes):
    counts = np.array([np.bincount(label.ravel(), minlength=256) for _, _, label in scenes])
    assert counts[:, len(CLASSES) : VOID].sum() == 0
    assert (counts[:, : len(CLASSES)].sum(axis=0) > 0).all()
    assert (counts[:, [RAIL, TRACKBED]] > 0).all()


def test_few_pixels_are_void(scenes):
    shares = np.array([(label == VOID).mean() for _, _, label in scenes])
    assert 0 < shares.mean() < 0.02 and shares.max() < 0.06


def test_anomalies_are_in_a_third_of_the_frames_on_the_track_and_small(scenes):
    drawn = {seed: draw_scene(seed).anomaly for seed, _, _ in scenes}
    masks = {seed: label == ANOMALY for seed, _, label in scenes}
    assert {seed for seed, mask in masks.items() if mask.any()} == {seed for seed, thing in drawn.items() if thing}
    assert {thing.kind for thing in drawn.values() if thing} == set(ANOMALIES)
    assert max(mask.mean() for mask in masks.values()) < 0.01
    count = sum(mask.any() for mask in masks.values())
    assert binomtest(int(count), len(masks), WITH_ANOMALY).pvalue > 0.001
    below = []
    for seed, _, label in scenes:
        if masks[seed].any():
            rows, columns = np.nonzero(masks[seed])
            foot = int(np.median(columns[rows == rows.max()]))
            below += [label[rows.max() + 1, foot]] if rows.max() + 1 < len(label) else []
    assert len(below) > 50 and np.isin(below, (RAIL, TRACKBED)).mean() > 0.95


@pytest.mark.parametrize("seed", [5, 1_000_006, 2_000_007])
def test_weather_changes_the_picture_and_never_the_label(seed):
    pictures = {weather: render(seed, (64, 96), weather) for weather in WEATHERS}
    assert len({label.tobytes() for _, label in pictures.values()}) == 1
    images = [image.astype(int) for image, _ in pictures.values()]
    assert all(np.abs(a - b).mean() > 3 for i, a in enumerate(images) for b in images[:i])


def explained(image: np.ndarray, label: np.ndarray) -> float:
    """Share of the colours' variance that the mean colour of every class explains."""
    colours, classes = image.reshape(-1, 3).astype(float), label.ravel()
    colours = colours - colours.mean(axis=0)
    sums = np.stack([np.bincount(classes, weights=channel) for channel in colours.T])
    return (sums**2 / np.maximum(np.bincount(classes), 1)).sum() / (colours**2).sum()


@pytest.mark.slow
def test_a_label_fits_its_image_best_where_it_is(scenes):
    """Two pixels away in any direction it explains less of the colours."""
    moves = [(down, right) for down in (0, -2, 2) for right in (0, -2, 2)]
    fits = np.array(
        [
            [explained(image[2:-2, 2:-2], np.roll(label, move, (0, 1))[2:-2, 2:-2]) for move in moves]
            for _, image, label in scenes[::5]
        ]
    )
    assert fits.mean(axis=0).argmax() == 0
    assert (fits.argmax(axis=1) == 0).mean() > 0.9


def test_rails_are_where_the_label_says(scenes):
    """In the near half their brightness differs from the trackbed's, and beside them it does not."""
    contrast = {move: [] for move in (-3, 0, 3)}
    for _, image, label in scenes[::3]:
        light, near = image[60:].mean(axis=2), label[60:]
        for move, values in contrast.items():
            values.append(abs(light[np.roll(near == RAIL, move, axis=1)].mean() - light[near == TRACKBED].mean()))
    assert np.mean(contrast[0]) > 2 * np.mean(contrast[-3]) and np.mean(contrast[0]) > 2 * np.mean(contrast[3])


def test_splits_have_the_published_shares_and_no_scene_in_common(scenes):
    assert {split: len(RailScenes(split)) for split in SPLITS} == {"train": 3600, "validation": 400, "test": 1000}
    seeds = [first + index for first, count in SPLITS.values() for index in range(count)]
    assert len(set(seeds)) == 5000
    assert len({label.tobytes() for _, _, label in scenes}) == len(scenes)


def test_a_split_holds_the_scenes_of_its_seeds():
    split = RailScenes("test", (40, 64), "snow")
    image, label = split[999]
    expected = render(2_000_999, (40, 64), "snow")
    assert isinstance(image, tv_tensors.Image) and isinstance(label, tv_tensors.Mask)
    assert image.shape == (3, 40, 64) and image.dtype == torch.uint8 and label.dtype == torch.uint8
    assert np.array_equal(image.permute(1, 2, 0).numpy(), expected[0]) and np.array_equal(label.numpy(), expected[1])
    for index in (1000, -1):
        with pytest.raises(IndexError):
            split[index]


@pytest.mark.slow
def test_snow_never_falls_in_the_usual_mixture():
    found = [draw_scene(seed).weather for seed in range(500)]
    assert set(found) == set(USUAL) == set(WEATHERS) - {"snow"}
    assert (
        chisquare([found.count(weather) for weather in USUAL], [500 * share for share in USUAL.values()]).pvalue > 0.001
    )


@pytest.mark.parametrize("seed", [0, 1_000_001, 2_000_002])
def test_a_scene_is_the_same_at_every_size(seed):
    """Of nine pixels the middle one looks where the one of the smaller picture looks; of four, half a pixel beside."""
    label = render(seed, (96, 160))[1]
    assert (render(seed, (288, 480))[1][1::3, 1::3] == label).mean() > 0.99  # but for what is a pixel wide at any size
    assert (render(seed, (192, 320))[1][::2, ::2] == label).mean() > 0.9


@pytest.mark.slow
@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**63 - 1),
    size=st.tuples(st.integers(32, 200), st.integers(32, 200)),
    weather=st.sampled_from([None, *WEATHERS]),
)
def test_any_seed_at_any_size_gives_a_scene(seed, size, weather):
    image, label = render(seed, size, weather)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert label.shape == size and label.dtype == np.uint8
    assert set(np.unique(label)) <= {*range(len(CLASSES)), VOID}
    assert (label == TRACKBED).any()
    again = render(seed, size, weather)
    assert np.array_equal(image, again[0]) and np.array_equal(label, again[1])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: render(0, weather="hail"), "there is no weather 'hail'; choose one of day, dusk, rain, fog, snow"),
        (
            lambda: render(0, (31, 160)),
            "the size of a scene is height and width, 32 pixels each at least, not (31, 160)",
        ),
        (lambda: render(0, (96, 0)), "the size of a scene is height and width, 32 pixels each at least, not (96, 0)"),
        (lambda: RailScenes("tests"), "there is no split 'tests'; choose one of train, validation, test"),
        (lambda: render(0, (96.5, 160)), "the size of a scene is height and width"),
        (lambda: render(-1), "the seed of a scene is 0 or more, not -1"),
        (lambda: RailScenes("test", weather="hail"), "there is no weather 'hail'"),
        (lambda: RailScenes("test", (8, 8)), "the size of a scene is height and width"),
    ],
)
def test_bad_input_is_one_sentence(wrong, sentence):
    with pytest.raises(UserError) as caught:
        wrong()
    assert str(caught.value).startswith(sentence) and "\n" not in str(caught.value)


if __name__ == "__main__":
    for case in LABELS:
        print(f'    {case}: "{fingerprint(*case)}",')
    print(hashlib.sha256(b"".join(label.tobytes() for _, _, label in hundred_of_every_split())).hexdigest())
    np.savez_compressed(
        REFERENCE, **{weather: render(seed, (40, 64), weather)[0] for weather, seed in PICTURES.items()}
    )
