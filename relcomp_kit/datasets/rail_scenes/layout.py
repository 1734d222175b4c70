"""What a scene consists of, drawn from its seed before any pixel is painted: the same at every image size.

Lengths are in metres. ``x`` is to the right of the track that the train runs on, ``z`` ahead of the camera.
"""

from dataclasses import dataclass

from relcomp_kit.datasets.rail_scenes.random_numbers import Dice

WEATHERS = ("day", "dusk", "rain", "fog", "snow")
USUAL = {"day": 0.5, "dusk": 0.2, "rain": 0.15, "fog": 0.15}  # snow is kept for the shift to an unknown domain
ANOMALIES = ("boulder", "box", "animal", "person", "fallen tree")
WITH_ANOMALY = 0.35
GAUGE, BED = 1.435, 2.1  # track gauge, and half the width of the trackbed


@dataclass(frozen=True)
class Track:
    """A track beside the main one: ``offset`` metres to its right, reached between ``start`` and ``end`` ahead."""

    offset: float
    start: float | None = None  # of a switch; None: parallel all the way
    end: float | None = None


@dataclass(frozen=True)
class Side:
    """The land beside the tracks: bare ground up to ``verge``, grass up to ``far``, then ``beyond``."""

    verge: float
    far: float
    beyond: str  # "field", "asphalt" or "grass"


@dataclass(frozen=True)
class Thing:
    """Something that stands on the land, at ``x``, ``z``, of a width and a height; ``depth`` along the track."""

    kind: str
    x: float
    z: float
    width: float
    height: float
    colour: tuple[float, ...]
    depth: float = 0.0
    draw: int = 0  # decides its texture


@dataclass(frozen=True)
class Scene:
    """Camera, track, land, things, light."""

    weather: str
    horizon: float  # share of the image height
    focal: float  # in image widths
    camera: float  # height above the rails
    beside: float  # camera to the right of the track's middle
    yaw: float  # slope of the track to the line of sight
    curvature: float  # 1 / radius
    tracks: tuple[Track, ...]
    sides: tuple[Side, Side]  # left, right
    things: tuple[Thing, ...]
    anomaly: Thing | None
    share: float  # of the image that the anomaly would fill as a rectangle
    colours: dict[str, tuple[float, ...]]
    clouds: float
    sun: float  # -1 from the left, 1 from the right
    shadows: float
    strength: float  # of the weather, 0 to 1
    draw: int

    def centre(self, z):
        """Return where the main track runs at a distance, to the right of the line of sight."""
        return z * (self.yaw + 0.5 * self.curvature * z) - self.beside


def draw_scene(seed: int, weather: str | None = None) -> Scene:
    """Draw a scene from a seed.

    Parameters
    ----------
    seed : int
        Decides the whole scene, 0 or more.
    weather : str, optional
        One of `WEATHERS`; by default the seed decides, with the shares in `USUAL`. All else stays the same.

    Returns
    -------
    Scene
        The same on every machine.
    """
    dice = Dice(seed)
    drawn = dice.choice(USUAL)
    tracks = _tracks(dice)
    edges = [BED + max([0.0] + [sign * track.offset for track in tracks]) for sign in (-1, 1)]
    left, right = (
        Side(
            verge=edge + dice.uniform(0.2, 3.0),
            far=edge + dice.uniform(3.0, 14.0),
            beyond=dice.choice({"field": 0.4, "asphalt": 0.25, "grass": 0.35}),
        )
        for edge in edges
    )
    things = [thing for sign, edge in zip((-1, 1), edges) for thing in _along(dice, sign, edge)]
    colours = {
        "ballast": dice.colour((0.46, 0.43, 0.40), 0.2),
        "sleeper": dice.colour(dice.choice({(0.55, 0.54, 0.52): 1, (0.33, 0.26, 0.21): 1}), 0.15),
        "soil": dice.colour(dice.choice({(0.48, 0.41, 0.32): 1, (0.55, 0.52, 0.47): 1}), 0.2),
        "grass": dice.colour(dice.choice({(0.33, 0.45, 0.20): 2, (0.50, 0.49, 0.26): 1}), 0.2),
        "field": dice.colour(dice.choice({(0.58, 0.49, 0.30): 1, (0.42, 0.33, 0.24): 1}), 0.2),
        "asphalt": dice.colour((0.40, 0.40, 0.42), 0.15),
        "head": dice.colour((0.72, 0.73, 0.76), 0.15),
        "web": dice.colour((0.32, 0.22, 0.17), 0.2),
        "hills": dice.colour((0.33, 0.42, 0.36), 0.2),
    }
    with_anomaly = dice.chance(WITH_ANOMALY)
    anomaly = _anomaly(dice, [0.0] + [track.offset for track in tracks if track.start is None])
    return Scene(
        weather=weather or drawn,
        horizon=dice.uniform(0.32, 0.48),
        focal=dice.uniform(0.85, 1.15),
        camera=dice.uniform(2.2, 3.2),
        beside=dice.uniform(-0.3, 0.3),
        yaw=dice.uniform(-0.06, 0.06),
        curvature=dice.choice({0.0: 0.3, 1.0: 0.35, -1.0: 0.35}) * dice.uniform(1 / 900, 1 / 220),
        tracks=tracks,
        sides=(left, right),
        things=tuple(things),
        anomaly=anomaly if with_anomaly else None,
        share=dice.uniform(0.0008, 0.009),
        colours=colours,
        clouds=dice.uniform(0.0, 0.9),
        sun=dice.uniform(-1, 1),
        shadows=dice.uniform(0.0, 1.0),
        strength=dice.uniform(0.3, 1.0),
        draw=dice.integer(1 << 30),
    )


def _tracks(dice: Dice) -> tuple[Track, ...]:
    """Return up to two more tracks: parallel ones, or ones that leave the main track by a switch."""
    tracks = []
    for sign in (-1, 1):
        offset = sign * dice.uniform(3.9, 4.7)
        parallel, switch, start = dice.chance(0.4), dice.chance(0.25), dice.uniform(10, 40)
        if parallel:
            tracks.append(Track(offset))
        if switch:
            tracks.append(Track(offset, start, start + dice.uniform(28, 45)))
    return tuple(tracks)


def _along(dice: Dice, sign: int, edge: float) -> list[Thing]:
    """Return what stands on one side (-1 left, 1 right) beyond the tracks' edge."""
    things = []

    def place(kind, distance, z, width, height, colour, depth=0.0):
        x = sign * (edge + distance + width / 2)
        things.append(Thing(kind, x, z, width, height, colour, depth, dice.integer(1 << 30)))

    if dice.chance(0.75):  # masts of the overhead line
        spacing, first = dice.uniform(40, 60), dice.uniform(9, 45)
        for number in range(4):
            place("mast", 0.6, first + number * spacing, 0.24, 7.2, (0.42, 0.44, 0.45))
    leaves = [(0.24, 0.36, 0.15), (0.30, 0.40, 0.18), (0.20, 0.30, 0.18)]
    forest = dice.uniform(2.0, 9.0) if dice.chance(0.3) else None  # its edge runs along the track
    for number in range(dice.choice({1: 1, 5: 2, 10: 2, 16: 1})):
        distance, z = dice.uniform(1.5, 22), 8 + 110 * dice.uniform() * dice.uniform()
        if forest:
            distance, z = forest + dice.uniform(0, 2.5), 14 + 6.5 * number + dice.uniform(0, 4)
        kind = dice.choice({"tree": 3, "conifer": 2, "bush": 4})
        height = dice.uniform(1.0, 2.6) if kind == "bush" else dice.uniform(5, 13)
        width = height * (dice.uniform(1.0, 1.8) if kind == "bush" else dice.uniform(0.45, 0.75))
        place(kind, distance, z, width, height, dice.colour(leaves[dice.integer(3)], 0.25))
    walls = [(0.70, 0.62, 0.52), (0.62, 0.40, 0.32), (0.66, 0.66, 0.66), (0.78, 0.75, 0.68)]
    for _ in range(dice.choice({0: 4, 1: 3, 3: 2, 5: 1})):
        kind = dice.choice({"house": 3, "block": 2})
        height = dice.uniform(4, 7) if kind == "house" else dice.uniform(8, 20)
        width, depth = dice.uniform(7, 16), dice.uniform(8, 24)
        colour = dice.colour(walls[dice.integer(4)], 0.2)
        place(kind, dice.uniform(3, 16), dice.uniform(14, 130), width, height, colour, depth)
    for _ in range(dice.choice({0: 3, 3: 1, 6: 1})):  # a town far away
        size = dice.uniform(10, 26), dice.uniform(9, 34)
        place("block", dice.uniform(0, 150), dice.uniform(160, 420), *size, dice.colour(walls[2], 0.2), 15.0)
    if dice.chance(0.12):  # a wall against noise, along the track
        distance, height, colour = dice.uniform(1.2, 2.5), dice.uniform(1.8, 3.2), dice.colour((0.58, 0.58, 0.55))
        for number in range(7):
            place("wall", distance, 9 + 14.0 * number, 0.0, height, colour, 14.0)
    return things


def _anomaly(dice: Dice, offsets: list[float]) -> Thing:
    """Return something that lies or stands on a track; its distance follows from the share of the image it fills."""
    kind = ANOMALIES[dice.integer(len(ANOMALIES))]
    sizes = {
        "boulder": (dice.uniform(0.7, 1.5), dice.uniform(0.6, 1.0)),
        "box": (dice.uniform(0.6, 1.3), dice.uniform(0.5, 1.1)),
        "animal": (dice.uniform(1.1, 1.9), dice.uniform(0.9, 1.4)),
        "person": (dice.uniform(0.55, 0.75), dice.uniform(1.55, 1.9)),
        "fallen tree": (dice.uniform(2.4, 4.0), dice.uniform(0.6, 1.1)),
    }
    colours = {
        "boulder": {(0.45, 0.43, 0.41): 2, (0.38, 0.34, 0.30): 1},
        "box": {(0.62, 0.46, 0.28): 2, (0.24, 0.38, 0.62): 1, (0.82, 0.82, 0.80): 1},
        "animal": {(0.42, 0.29, 0.18): 2, (0.16, 0.14, 0.13): 1, (0.78, 0.74, 0.68): 1},
        "person": {(0.88, 0.42, 0.10): 1, (0.20, 0.24, 0.40): 1, (0.60, 0.18, 0.18): 1, (0.75, 0.75, 0.72): 1},
        "fallen tree": {(0.34, 0.26, 0.18): 1},
    }
    colour = dice.colour(dice.choice(colours[kind]), 0.2)
    x = offsets[dice.integer(len(offsets)) if dice.chance(0.3) else 0] + dice.uniform(-1.0, 1.0)
    width, height = sizes[kind]
    return Thing(kind, x, 0.0, width, height, colour, 0.0, dice.integer(1 << 30))
