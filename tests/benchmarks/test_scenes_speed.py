"""Speed of the generator of rail scenes on one core, beside what its pixels cost at the least."""

import time

import numpy as np

from relcomp_kit.datasets.rail_scenes import render
from relcomp_kit.datasets.rail_scenes.canvas import SKY, Canvas
from relcomp_kit.datasets.rail_scenes.random_numbers import FINE, sample

SCENES = 20
SIZE, HALF = (96, 160), (48, 80)
GATHERS, PASSES = 4, 60  # per scene, in whole frames: look-ups in a noise tile, and float32 arithmetic on all colours


def test_a_hundred_scenes_a_second(interleaved, say):
    """At least 100 scenes/s at 96x160, and at most 16 times a frame's own work in its cheapest form (8 to 10 measured).

    Memory does not bound it: a frame's colours are 184 kB and stay in the second-level cache. A scene costs

    - what every pixel takes. The reference does as much of it in whole frames, in place: four look-ups in a noise tile,
      one painting of colour, label and distance through a mask (1.3 on average), 60 passes over the colours, which is
      about the sum of the passes over all of a frame or a part of it;
    - what every scene takes at any size, about half of it at this one: the draw of the layout, NumPy's calls for about
      50 paintings of small boxes. Half the height and width have a quarter of the pixels, which tells the two apart.
    """
    height, width = SIZE
    canvas = Canvas.blank(SIZE, 0.4, 1.0)
    u, v = 3 * canvas.u, 7 * canvas.v[:, None]
    mask, colour = np.broadcast_to(v > 300, SIZE), np.full((height, width, 3), 0.5, np.float32)

    def draw(size):
        for seed in range(SCENES):
            render(seed, size)

    def whole_frames():
        for _ in range(SCENES):
            for _ in range(GATHERS):
                sample(FINE, u, v)
            canvas.paint((slice(0, height), slice(0, width)), mask, colour, SKY, 1.0)
            for _ in range(PASSES):
                np.multiply(colour, np.float32(1), out=colour)

    def core_seconds(run) -> float:
        start = time.process_time()  # of this process alone: other work on the machine does not count
        run()
        return time.process_time() - start

    variants = {"scenes": lambda: draw(SIZE), "quarter": lambda: draw(HALF), "reference": whole_frames}
    seconds = {name: value / SCENES for name, value in interleaved(variants, rounds=7).items()}
    rate = SCENES / min(core_seconds(variants["scenes"]) for _ in range(7))
    fixed = (4 * seconds["quarter"] - seconds["scenes"]) / 3
    ratio = seconds["scenes"] / seconds["reference"]
    say(
        f"rail scenes at {height}x{width}: {rate:.0f} a second on one core; "
        f"{100 * fixed / seconds['scenes']:.0f} % of the time does not depend on the size; "
        f"{ratio:.1f}x {GATHERS} gathers, one painting and {PASSES} passes"
    )
    assert rate >= 100
    assert ratio <= 16
