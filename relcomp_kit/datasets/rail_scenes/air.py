"""Weather and light, applied to a finished picture; labels do not change."""

import numpy as np

from relcomp_kit.datasets.rail_scenes.canvas import GROUND, RAIL, SKY, TRACKBED, VEGETATION, Canvas
from relcomp_kit.datasets.rail_scenes.land import SKIES
from relcomp_kit.datasets.rail_scenes.layout import Scene
from relcomp_kit.datasets.rail_scenes.random_numbers import FINE, SOFT, Dice, sample

NOISE = {"day": 0.02, "dusk": 0.04, "rain": 0.03, "fog": 0.025, "snow": 0.02}  # half of its range


def photograph(canvas: Canvas, scene: Scene) -> np.ndarray:
    """Return the photograph of a painted scene: with weather, light, blur and noise.

    Parameters
    ----------
    canvas : Canvas
        The finished picture; its image is changed in place, its label is not.
    scene : Scene
        Gives the weather, its strength, and the seed of what is random here.

    Returns
    -------
    ndarray
        (H, W, 3), uint8.
    """
    dice = Dice(scene.draw)
    image = canvas.image
    if scene.weather == "snow":
        _lie(canvas, scene)
    sight = {"day": 900.0, "dusk": 700.0, "rain": 260.0, "fog": 95.0 - 65.0 * scene.strength, "snow": 300.0}
    _haze(canvas, scene, sight[scene.weather])
    if scene.weather == "dusk":
        _dusk(canvas, scene)
    if scene.weather == "rain":
        image = _rain(canvas, scene, dice)
    if scene.weather == "snow":
        _flakes(canvas, scene, dice)
    image = _blur(image)
    balance = np.array([dice.uniform(0.96, 1.04) for _ in range(3)], np.float32)
    height, width = canvas.label.shape
    noise = sample(FINE, np.arange(width) * 3 + dice.integer(256), (np.arange(height) * 7 + dice.integer(256))[:, None])
    image = (
        image * (balance * np.float32(dice.uniform(0.85, 1.12)))
        + ((noise - 0.5) * 2 * NOISE[scene.weather]).astype(np.float32)[..., None]
    )
    return np.floor(np.clip(image, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def _haze(canvas: Canvas, scene: Scene, sight: float) -> None:
    """Blend towards the colour of the air; at the distance ``sight`` it makes up half of the colour."""
    air = np.array(SKIES[scene.weather][1], np.float32)
    share = canvas.distance / (canvas.distance + np.float32(sight))
    share = np.where(canvas.label == SKY, np.float32(0), share * share * (3 - 2 * share))[..., None]
    np.copyto(canvas.image, canvas.image + (air - canvas.image) * share)


def _dusk(canvas: Canvas, scene: Scene) -> None:
    """Darken everything except the sky, and light the track ahead by the train's lamps."""
    dim = np.array((0.46, 0.40, 0.44), np.float32) * np.float32(1.1 - 0.35 * scene.strength)
    across = (canvas.u - canvas.middle - canvas.focal * scene.yaw) / (0.33 * canvas.label.shape[1])
    lamp = np.clip(1 - across * across, 0, 1) * np.clip(28 / np.maximum(canvas.distance, 1) - 0.1, 0, 0.7)
    light = dim + np.array((1.0, 0.95, 0.8), np.float32) * lamp[..., None].astype(np.float32)
    np.copyto(canvas.image, canvas.image * light, where=(canvas.label != SKY)[..., None])


def _rain(canvas: Canvas, scene: Scene, dice: Dice) -> np.ndarray:
    """Return a greyer, darker picture with streaks of rain and wet ground that reflects the sky."""
    image = canvas.image
    grey = image.mean(axis=2, keepdims=True)
    image = (grey + (image - grey) * np.float32(0.6)) * np.float32(0.9 - 0.25 * scene.strength)
    height, width = canvas.label.shape
    wet = sample(SOFT, canvas.u / width * 50 + scene.draw % 67, canvas.v[:, None] / height * 14)
    wet = np.clip(3 * wet - 1.2, 0, 1) * np.isin(canvas.label, (GROUND, TRACKBED, RAIL))
    image += (0.16 * scene.strength * wet).astype(np.float32)[..., None]
    length, thick = max(2, height // 14), max(1, width // 320)
    for row, column in (dice.floats(2 * 70).reshape(-1, 2) * (height, width)).astype(int):
        streak = image[row : row + length, column : column + thick]
        streak += (np.float32(0.75) - streak) * np.float32(0.25)
    return image


def _lie(canvas: Canvas, scene: Scene) -> None:
    """Cover flat ground and plants with snow; rails stay bare."""
    height, width = canvas.label.shape
    patches = sample(SOFT, canvas.u / width * 90 + scene.draw % 71, canvas.v[:, None] / height * 40)
    covered = np.zeros(7, np.float32)
    covered[[GROUND, TRACKBED, VEGETATION]] = 0.95, 0.75, 0.6
    share = covered[np.minimum(canvas.label, 6)] * np.clip(patches + scene.strength - 0.15, 0, 1).astype(np.float32)
    share[canvas.label > 6] = 0
    np.copyto(canvas.image, canvas.image + (np.float32(0.88) - canvas.image) * share[..., None])


def _flakes(canvas: Canvas, scene: Scene, dice: Dice) -> None:
    """Draw falling snow: bright dots of about a pixel, larger in larger pictures."""
    height, width = canvas.label.shape
    thick = max(1, width // 200)
    for row, column in (dice.floats(2 * int(40 + 110 * scene.strength)).reshape(-1, 2) * (height, width)).astype(int):
        flake = canvas.image[row : row + thick, column : column + thick]
        flake += (np.float32(0.95) - flake) * np.float32(0.7)


def _blur(image: np.ndarray) -> np.ndarray:
    """Return the picture as a lens gives it: a little soft (1-4-1 in both directions)."""
    wide = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (wide[:-2] + wide[2:] + 4 * wide[1:-1]) * np.float32(1 / 6)
    return (rows[:, :-2] + rows[:, 2:] + 4 * rows[:, 1:-1]) * np.float32(1 / 6)
