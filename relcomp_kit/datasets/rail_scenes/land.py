"""The flat parts of a scene: sky, the line of hills, and the ground with its tracks."""

import numpy as np

from relcomp_kit.datasets.rail_scenes.canvas import GROUND, RAIL, TRACKBED, VEGETATION, Canvas
from relcomp_kit.datasets.rail_scenes.layout import BED, GAUGE, Scene, Track
from relcomp_kit.datasets.rail_scenes.random_numbers import FINE, SOFT, profile, sample

MATERIALS = ("ballast", "soil", "grass", "field", "asphalt", "sleeper", "web", "head")
LABELS = np.array([TRACKBED, GROUND, VEGETATION, GROUND, GROUND, TRACKBED, RAIL, RAIL], np.uint8)
ROUGH = np.array([0.42, 0.28, 0.45, 0.25, 0.12, 0.20, 0.15, 0.10], np.float32)  # how much the colour varies
NUMBER = {name: np.uint8(index) for index, name in enumerate(MATERIALS)}
SLEEPERS = 0.65  # metres from one to the next
SKIES = {  # overhead, at the horizon, clouds
    "day": ((0.36, 0.56, 0.85), (0.78, 0.86, 0.93), (0.93, 0.94, 0.95)),
    "dusk": ((0.22, 0.24, 0.40), (0.87, 0.56, 0.36), (0.45, 0.36, 0.42)),
    "rain": ((0.46, 0.49, 0.53), (0.62, 0.64, 0.66), (0.40, 0.42, 0.45)),
    "fog": ((0.70, 0.72, 0.74), (0.76, 0.77, 0.78), (0.74, 0.75, 0.77)),
    "snow": ((0.68, 0.70, 0.74), (0.82, 0.83, 0.85), (0.74, 0.75, 0.78)),
}


def paint_sky(canvas: Canvas, scene: Scene) -> None:
    """Paint the sky with its clouds, and the distant hills in front of its lowest part.

    Parameters
    ----------
    canvas : Canvas
        The picture; its rows down to the horizon are painted in place.
    scene : Scene
        Gives the weather, the clouds and the colour of the hills.
    """
    height, width = canvas.label.shape
    rows = min(height, int(canvas.horizon) + 1)
    high, low, cloud = (np.array(colour, np.float32) for colour in SKIES[scene.weather])
    up = np.clip((canvas.horizon - canvas.v[:rows]) / canvas.horizon, 0, 1).astype(np.float32)[:, None, None]
    x = canvas.u / width * 40 + scene.draw % 251
    y = canvas.v[:rows] / height * 110 + scene.draw % 241
    cover = sample(SOFT, x, y[:, None]).astype(np.float32) + np.float32(0.8 * scene.clouds - 0.9)
    cover = np.clip(cover * 3, 0, 0.9)[..., None]
    canvas.image[:rows] = (low + (high - low) * up) * (1 - cover) + cloud * cover
    ridge = canvas.horizon - height * (
        0.015 + 0.13 * profile(canvas.u / width * 9 + scene.draw % 239, scene.draw % 256)
    )
    hills = canvas.v[:rows, None] > ridge
    texture = 0.75 + 0.5 * sample(FINE, canvas.u / width * 160, canvas.v[:rows, None] / width * 160)
    colour = np.array(scene.colours["hills"], np.float32) * texture[..., None].astype(np.float32)
    canvas.paint((slice(0, rows), slice(0, width)), hills, colour, VEGETATION, 500.0)


def paint_ground(canvas: Canvas, scene: Scene) -> None:
    """Paint everything below the horizon that is flat: land, trackbeds, sleepers, rails.

    Parameters
    ----------
    canvas : Canvas
        The picture; image, label and distance of its rows below the horizon are painted in place.
    scene : Scene
        Gives the camera, the tracks, the land on both sides and the colours.
    """
    first = int(np.searchsorted(canvas.v, canvas.horizon))
    below = np.maximum(canvas.v[first:] - canvas.horizon, 0.25)[:, None]
    z = canvas.focal * scene.camera / below  # (rows, 1)
    x = (canvas.u - canvas.middle) * z / canvas.focal
    beside = x - scene.centre(z)  # metres from the main track
    wobble = (profile(0.4 * z + scene.draw % 233, 7) - 0.5) * 2.0
    material = _land(scene, beside, wobble)
    shift = [np.zeros_like(z)] + [offset(track, z) for track in scene.tracks]
    from_track = [np.abs(beside - at) for at in shift]
    nearest = from_track[0]
    for other in from_track[1:]:
        nearest = np.minimum(nearest, other)
    material[nearest < BED + 0.2 * wobble] = NUMBER["ballast"]
    between = z / SLEEPERS - np.floor(z / SLEEPERS)
    seen = z * z / (canvas.focal * scene.camera) < 0.8 * SLEEPERS  # farther sleepers melt into one another
    material[(nearest < 1.25) & (between < 0.4) & seen] = NUMBER["sleeper"]
    pixel = z / canvas.focal  # in metres; a rail is as wide as it is, and never thinner than that
    clear = z < canvas.focal * GAUGE / 3  # farther on the two rails of a track melt into one
    for distance in from_track:
        across = np.abs(distance - GAUGE / 2)
        material[(across < np.maximum(0.085, 0.55 * pixel)) & clear] = NUMBER["web"]
        material[(across < np.maximum(0.045, 0.50 * pixel)) & clear] = NUMBER["head"]
    canvas.image[first:] = _colour(canvas, scene, material, beside, z)
    canvas.label[first:] = LABELS[material]
    canvas.distance[first:] = z


def offset(track: Track, z: np.ndarray) -> np.ndarray:
    """Return how far a track is to the right of the main one.

    Parameters
    ----------
    track : Track
        A track beside the main one.
    z : ndarray
        Distances ahead of the camera in metres, of any shape.

    Returns
    -------
    ndarray
        Metres to the right (negative: to the left), in the shape of ``z``.
    """
    if track.start is None or track.end is None:
        return np.full_like(z, track.offset)
    way = np.clip((z - track.start) / (track.end - track.start), 0, 1)
    return track.offset * way * way * (3 - 2 * way)


def _land(scene: Scene, beside: np.ndarray, wobble: np.ndarray) -> np.ndarray:
    """Return the material of the land on both sides, an index into `MATERIALS` a pixel."""
    material = np.full(beside.shape, NUMBER["soil"])
    for sign, side in zip((-1, 1), scene.sides):
        away = sign * beside
        material[away > side.verge + wobble] = NUMBER["grass"]
        material[away > side.far + 2 * wobble] = NUMBER[side.beyond]
    return material


def _colour(canvas: Canvas, scene: Scene, material: np.ndarray, beside: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return the colour of the ground: every material's own, roughened, with stains and shadows."""
    colours = np.array([scene.colours[name] for name in MATERIALS], np.float32)
    grain = sample(FINE, 12 * beside, 6 * z).astype(np.float32) - np.float32(0.5)
    stains = sample(SOFT, 2.5 * beside + scene.draw % 229, 1.2 * z).astype(np.float32) - np.float32(0.5)
    near = np.clip(0.08 * canvas.focal / z, 0.3, 1).astype(np.float32)  # grains smaller than a pixel even out
    light = 1 + ROUGH[material] * (1.3 * grain * near + 0.9 * stains)
    if scene.weather == "day":
        dark = sample(SOFT, 1.1 * beside + scene.draw % 227, 0.5 * z) > 0.45 + 0.5 * scene.shadows
        light = light * np.where(dark, np.float32(0.62), np.float32(1))
    return colours[material] * light[..., None]
