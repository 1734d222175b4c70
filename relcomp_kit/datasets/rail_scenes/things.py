"""What stands upright in a scene: trees, buildings, masts with their wire, and anomalies on the track."""

import math

import numpy as np

from relcomp_kit.datasets.rail_scenes.canvas import ANOMALY, BUILDINGS, VEGETATION, VOID, Canvas
from relcomp_kit.datasets.rail_scenes.layout import Scene, Thing
from relcomp_kit.datasets.rail_scenes.random_numbers import FINE, SOFT, sample

WIRE = 5.5  # height of the overhead wire above the rails, metres
PLANTS = ("tree", "conifer", "bush")


def paint_things(canvas: Canvas, scene: Scene) -> None:
    """Paint all things, the farthest first, the anomaly among them, and then the overhead wire.

    Parameters
    ----------
    canvas : Canvas
        The picture with sky and ground; image, label and distance are painted in place.
    scene : Scene
        Gives the things, the anomaly if there is one, and the camera.
    """
    things = list(scene.things)
    if scene.anomaly:
        things.append(_at_distance(canvas, scene, scene.anomaly))
    for thing in sorted(things, key=lambda thing: -thing.z):
        if thing.kind in PLANTS:
            _plant(canvas, scene, thing)
        elif thing.kind == "mast":
            _mast(canvas, scene, thing)
        elif thing.kind in ("house", "block", "wall"):
            _building(canvas, scene, thing)
        else:
            _object(canvas, scene, thing)
    if any(thing.kind == "mast" for thing in things):
        _wire(canvas, scene)


def _at_distance(canvas: Canvas, scene: Scene, thing: Thing) -> Thing:
    """Place the anomaly at the distance at which it fills its share of the image, inside the picture, over a pixel."""
    height = canvas.label.shape[0]
    spread = thing.width * thing.height / (scene.share * canvas.label.size)
    z = canvas.focal * math.sqrt(spread)  # rounded exactly by IEEE 754, which a power is not
    nearest = canvas.focal * scene.camera / (height - canvas.horizon) * 1.08
    z = min(max(z, nearest), 0.35 * canvas.focal * min(thing.width, thing.height))
    return Thing(thing.kind, thing.x, z, thing.width, thing.height, thing.colour, 0.0, thing.draw)


def _frame(canvas: Canvas, scene: Scene, thing: Thing):
    """Return the box of an upright rectangle, and each pixel's place in it: s from -1 to 1, t from 0 (foot) to 1."""
    scale = canvas.focal / thing.z
    middle = canvas.middle + scale * (scene.centre(thing.z) + thing.x)
    foot, half, tall = canvas.horizon + scale * scene.camera, scale * thing.width / 2, scale * thing.height
    where = canvas.box(middle - half, middle + half, foot - tall, foot)
    if where is None:
        return None
    return where, (canvas.u[where[1]] - middle) / half, (foot - canvas.v[where[0], None]) / tall


def _shade(thing: Thing, light: np.ndarray) -> np.ndarray:
    return np.array(thing.colour, np.float32) * light[..., None].astype(np.float32)


def _plant(canvas: Canvas, scene: Scene, thing: Thing) -> None:
    """Paint a tree, a conifer or a bush; its outline is as ragged as its leaves."""
    if (frame := _frame(canvas, scene, thing)) is None:
        return
    where, s, t = frame
    x, y = s * 11 + thing.draw % 199, t * 11 * thing.height / thing.width + thing.draw % 211
    leaves = sample(SOFT, x * 2, y * 2)
    if thing.kind == "tree":
        inside = s * s + (t - 0.62) * (t - 0.62) * 7.5 + 0.9 * leaves < 1.15
        trunk = (np.abs(s) < 0.08) & (t < 0.5)
    elif thing.kind == "conifer":
        inside = (np.abs(s) < (1.02 - t) * (0.55 + 0.6 * leaves)) & (t > 0.07)
        trunk = (np.abs(s) < 0.07) & (t < 0.2)
    else:
        inside = s * s + t * t + 0.7 * leaves < 1.1
        trunk = np.zeros_like(inside)
    light = (0.45 + 0.65 * leaves + 0.35 * sample(FINE, x * 3, y * 3)) * (0.85 + 0.2 * t + 0.18 * scene.sun * s)
    canvas.paint(where, trunk & ~inside, np.array((0.25, 0.20, 0.16), np.float32), VEGETATION, thing.z)
    canvas.paint(where, inside, _shade(thing, light), VEGETATION, thing.z)


def _mast(canvas: Canvas, scene: Scene, thing: Thing) -> None:
    """Paint a mast and its arm over the main track; it belongs to no class."""
    scale = canvas.focal / thing.z
    middle = canvas.middle + scale * (scene.centre(thing.z) + thing.x)
    foot, half = canvas.horizon + scale * scene.camera, max(scale * thing.width / 2, 0.5)
    top, arm = foot - scale * thing.height, foot - scale * (WIRE + 0.6)
    if scale * thing.width < 0.35:
        return  # thinner than a third of a pixel: unseen
    track = canvas.middle + scale * scene.centre(thing.z)
    for left, right, upper, lower in (
        (middle - half, middle + half, top, foot),
        (min(middle, track), max(middle, track), arm - half / 2, arm + half / 2),
    ):
        if where := canvas.box(left, right, upper, lower):
            shape = canvas.label[where].shape
            canvas.paint(where, np.ones(shape, bool), np.array(thing.colour, np.float32), VOID, thing.z)


def _wire(canvas: Canvas, scene: Scene) -> None:
    """Draw the overhead wire of the main track, one pixel a row; it belongs to no class."""
    lowest = canvas.horizon - canvas.focal * (WIRE - scene.camera) / 110  # farther away it is too thin to be seen
    rows = np.flatnonzero(canvas.v < lowest)
    z = canvas.focal * (WIRE - scene.camera) / (canvas.horizon - canvas.v[rows])
    columns = np.floor(canvas.middle + canvas.focal * scene.centre(z) / z)
    seen = (columns >= 0) & (columns < canvas.label.shape[1])
    rows, columns, z = rows[seen], columns[seen].astype(np.int64), z[seen]
    free = z < canvas.distance[rows, columns]
    rows, columns = rows[free], columns[free]
    canvas.image[rows, columns] *= np.float32(0.45)
    canvas.label[rows, columns] = VOID
    canvas.distance[rows, columns] = z[free]


def _building(canvas: Canvas, scene: Scene, thing: Thing) -> None:
    """Paint the face along the track, then the one across it that looks at the camera."""
    side = -1 if thing.x > 0 else 1  # of the building, the one that looks to the track
    near, far = scene.centre(thing.z) + thing.x, scene.centre(thing.z + thing.depth) + thing.x
    edge = side * thing.width / 2
    _face(
        canvas, scene, thing, (near + edge, thing.z), (far + edge, thing.z + thing.depth), 0.78 + 0.2 * scene.sun * side
    )
    if thing.kind != "wall":
        ends = sorted((near - edge, near + edge))
        _face(canvas, scene, thing, (ends[0], thing.z), (ends[1], thing.z), 1.0, gable=thing.kind == "house")


def _face(canvas: Canvas, scene: Scene, thing: Thing, start, end, light: float, gable: bool = False) -> None:
    """Paint an upright wall from ``start`` to ``end``, both (x, z), with windows; a gable on top if it has one."""
    (left, z_left), (right, z_right) = (start, end) if start[0] / start[1] <= end[0] / end[1] else (end, start)
    u_left, u_right = (canvas.middle + canvas.focal * x / z for x, z in ((left, z_left), (right, z_right)))
    if u_right - u_left < 0.5:
        return
    roof = 0.45 * thing.height if gable else 0.0
    closest = canvas.focal / min(z_left, z_right)
    highest = canvas.horizon - closest * (thing.height + roof - scene.camera)
    where = canvas.box(u_left, u_right, highest, canvas.horizon + closest * scene.camera)
    if where is None:
        return
    part = (canvas.u[where[1]] - u_left) / (u_right - u_left)
    nearness = part / z_right + (1 - part) / z_left  # 1 / z is linear in the picture
    up = scene.camera + (canvas.horizon - canvas.v[where[0], None]) / (canvas.focal * nearness)  # metres above ground
    along = part / z_right / nearness  # share of the wall, in perspective
    length = max(abs(right - left), abs(z_right - z_left))
    top = thing.height + roof * (1 - np.abs(2 * along - 1))
    wall = (up >= 0) & (up < top)
    colour = np.array(thing.colour, np.float32) * np.float32(light)
    grain = 0.88 + 0.24 * sample(FINE, along * length * 2 + thing.draw % 97, up * 2)
    picture = colour * grain[..., None].astype(np.float32)
    canvas.paint(where, wall, picture, BUILDINGS, 1 / nearness + 0 * up)
    roofed = wall & (up > thing.height)
    canvas.paint(where, roofed, picture * np.float32(0.55), BUILDINGS, 1 / nearness + 0 * up)
    if thing.kind == "wall":
        return
    across, storey = along * length / 2.8, up / 3.0
    window = (np.abs(across - np.floor(across) - 0.5) < 0.22) & (np.abs(storey - np.floor(storey) - 0.55) < 0.24)
    lit = scene.weather == "dusk" and thing.draw % 3 > 0
    glass = np.array((1.9, 1.5, 0.8) if lit else (0.20, 0.24, 0.30), np.float32)
    canvas.paint(where, wall & window & (up < thing.height - 0.4), glass, BUILDINGS, 1 / nearness + 0 * up)


def _object(canvas: Canvas, scene: Scene, thing: Thing) -> None:
    """Paint an anomaly: its shape is a union of ellipses and bars in its frame."""
    if (frame := _frame(canvas, scene, thing)) is None:
        return
    where, s, t = frame
    rough = sample(FINE, s * 6 + thing.draw % 61, t * 6 + thing.draw % 53)
    mask, light = SHAPES[thing.kind](s, t, rough, 1 if thing.draw % 2 else -1)
    canvas.paint(where, mask, _shade(thing, light * (0.9 + 0.2 * rough) * (1 + 0.15 * scene.sun * s)), ANOMALY, thing.z)


def _ellipse(s, t, at, radius):
    return ((s - at[0]) / radius[0]) * ((s - at[0]) / radius[0]) + ((t - at[1]) / radius[1]) * (
        (t - at[1]) / radius[1]
    ) < 1


def _bar(s, t, left, right, low, high):
    return (s > left) & (s < right) & (t > low) & (t < high)


def _boulder(s, t, rough, _):
    return s * s + (t - 0.3) * (t - 0.3) * 2.1 + 0.2 * rough < 1.05, 0.6 + 0.6 * t


def _box(s, t, _, side):
    return _bar(s, t, -1, 1, -1, 2), np.where(t > 0.72, 1.25, np.where(side * s > 0.35, 0.65, 0.95))


def _animal(s, t, _, side):
    s = side * s
    body = _ellipse(s, t, (-0.1, 0.6), (0.68, 0.24)) | _ellipse(s, t, (0.72, 0.8), (0.26, 0.2))
    neck = _bar(s, t, 0.42, 0.72, 0.55, 0.85)
    legs = _bar(s, t, -0.68, -0.48, -1, 0.6) | _bar(s, t, 0.3, 0.5, -1, 0.6)
    return body | neck | legs | _bar(s, t, -0.42, -0.26, -1, 0.6), 0.75 + 0.4 * t


def _person(s, t, _, side):
    head = _ellipse(s, t, (0, 0.92), (0.34, 0.085))
    trunk = _bar(s, t, -0.62, 0.62, 0.47, 0.83)
    legs = _bar(s, t, -0.5, -0.06, -1, 0.5) | _bar(s, t, 0.06, 0.5, -1, 0.5)
    return head | trunk | legs, np.where(t < 0.47, 0.45, np.where(t > 0.84, 0.9, 1.05)) + 0 * s


def _fallen_tree(s, t, rough, side):
    trunk = np.abs(t - 0.35 - 0.1 * side * s) < 0.26
    twigs = (side * s > 0.15) & (rough > 0.55)
    return trunk | twigs, 0.7 + 0.5 * rough + 0 * t


SHAPES = {"boulder": _boulder, "box": _box, "animal": _animal, "person": _person, "fallen tree": _fallen_tree}
