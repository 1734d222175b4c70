"""The demonstrator: what a moved slider costs beside passes through the net, and what is shown again beside nothing.

A page answers at once while that takes half a second on a usual laptop, where a pass of the compact net for an image
of 96x160 takes some 15 ms.
"""

import itertools

import torch

from relcomp_kit.demonstrator import State, answer, nets, parse
from relcomp_kit.demonstrator.render import png, render

PASSES = 30  # of the super-net: what a slider may cost


def test_a_moved_slider(interleaved, say):
    """New picture for three paths whose shares all change: answer, drawing and PNG; and for one of them."""
    state = parse("rel rail keep=0.5 vs average vs magnitude; classes rail sky; heat rail", State())
    net, shares = nets.load(state.net), itertools.count(300)

    def move(command: str) -> bytes:
        return png(render(parse(f"{command} {next(shares) / 1000}", state)))

    def run():
        with torch.inference_mode():
            net.net(net.example)

    work = {
        "pass": run,
        "three": lambda: move("keep"),
        "one": lambda: move("keep 1"),
        "answer": lambda: answer(parse(f"keep {next(shares) / 1000}", state)),
        "again": lambda: answer(state),
        "picture": lambda: png(render(state)),
    }
    seconds = interleaved(work, rounds=7)
    ratio = seconds["three"] / seconds["pass"]
    say(f"a pass {1000 * seconds['pass']:.0f} ms, one thread; three paths {seconds['three']:.3f} s, {ratio:.1f} passes")
    say(f"one path {seconds['one']:.3f} s; three answered {seconds['answer']:.3f} s, drawn {seconds['picture']:.3f} s")
    assert ratio < PASSES
    assert seconds["again"] < 0.1 * seconds["pass"]
