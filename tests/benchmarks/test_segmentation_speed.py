"""DeepLabV3 on two threads: training and inference, fp32 against bf16, and what the loop adds to a bare step."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from relcomp_kit.datasets.rail_scenes import CLASSES, RailScenes
from relcomp_kit.datasets.scene_set import VOID, SceneSet
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.device import autocast, choose_precision
from relcomp_kit.models.distributed import Group
from relcomp_kit.models.recipe import Recipe
from relcomp_kit.models.scene_batches import TrainingBatches, stack
from relcomp_kit.models.training_loop import Run

CPU = torch.device("cpu")
SIDE = 2048  # of the matrices whose product shows what the processor can do
LAYOUT = {"fp32": torch.contiguous_format, "bf16": torch.channels_last}


@pytest.fixture(autouse=True)
def two_threads(one_thread):
    torch.set_num_threads(2)  # `one_thread` puts back what was set before


def train_step(net, optimizer, x, labels, precision) -> None:
    """Forward, backward, optimizer, and nothing else."""
    optimizer.zero_grad()
    with autocast(precision, CPU):
        output = net.train()(x)["out"].float()
    nn.functional.cross_entropy(output, labels, ignore_index=VOID).backward()
    optimizer.step()


@torch.no_grad()
def infer(net, x, precision) -> torch.Tensor:
    with autocast(precision, CPU):
        return net.eval()(x)["out"]


def gflop(work) -> float:
    """Return the arithmetic of convolutions and matrix products, in 10^9 multiplications and additions."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 1e9


@pytest.mark.parametrize(("size", "batch", "rounds"), [("compact", 8, 9), ("resnet50", 4, 5), ("resnet101", 4, 5)])
def test_bf16_against_fp32(size, batch, rounds, interleaved, say):
    """bf16 autocast with channels_last against plain fp32, at 96x160.

    Beside each speed stands its share of what a product of two large matrices reaches in the same precision, which
    bounds it. A processor that multiplies bf16 by itself makes the two large nets at least 1.2 times faster; compact's
    convolutions are so narrow that memory and single calls count as much, so its ratio is shown alone.
    """
    split = RailScenes("train")
    images, labels = stack([split[index] for index in range(batch)])
    left, right = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    work, outputs = {}, {}
    for precision, layout in LAYOUT.items():
        net = deeplab(size, len(CLASSES)).to(memory_format=layout)
        x = normalize(images).contiguous(memory_format=layout)
        outputs[precision] = infer(net, x, precision).float()
        optimizer = torch.optim.AdamW(net.parameters(), 1e-4)
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        work["training", precision] = partial(train_step, net, optimizer, x, labels.long(), precision)
        work["inference", precision] = partial(infer, net, x, precision)
        work["product", precision] = partial(torch.mm, left.to(kind), right.to(kind))
    error = (outputs["bf16"] - outputs["fp32"]).norm() / outputs["fp32"].norm()
    arithmetic = {"product": 2e-9 * SIDE**3}
    arithmetic |= {name: gflop(work[name, "fp32"]) for name in ("training", "inference")}
    seconds = interleaved(work, rounds)
    rate = {(name, precision): arithmetic[name] / taken for (name, precision), taken in seconds.items()}
    ratios = {name: seconds[name, "fp32"] / seconds[name, "bf16"] for name in ("training", "inference")}
    for name, ratio in ratios.items():
        speeds = ", ".join(
            f"{precision} {batch / seconds[name, precision]:.1f} images/s, {rate[name, precision]:.0f} of "
            f"{rate['product', precision]:.0f} GFLOP/s ({rate[name, precision] / rate['product', precision]:.0%})"
            for precision in LAYOUT
        )
        say(f"{size}, {name}, {arithmetic[name] / 2 / batch:.2f} GMACs an image: {speeds}; bf16 {ratio:.2f}x as fast")
    assert error < 0.05, "both precisions compute the same net"
    if size != "compact" and choose_precision("auto", CPU) == "bf16":
        assert min(ratios.values()) >= 1.2


def test_the_loop_against_a_bare_step(interleaved, say):
    """A step of the kit's loop with its batch takes at most 1.25 times forward, backward and optimizer alone.

    What it adds: stacking and checking a batch of remembered scenes, normalisation, class weights, clipping of the
    gradient, and reading the loss. ``compact`` shows it best, because its own work is least. Augmentation, and drawing
    scenes in the first epoch, are timed apart: the one is not used on rail scenes, the other done once.
    """
    batch, split, precision = 8, RailScenes("train"), choose_precision("auto", CPU)
    drawn = [split[index] for index in range(2 * batch)]
    data = SceneSet("rail-scenes", CLASSES, (), drawn, drawn, drawn, "", "the kit's generator")
    recipe = Recipe(
        "compact", data.name, split.size, 1000, batch, weight_decay=1e-4, augment=False, precision=precision
    )
    classes = len(CLASSES)
    run = Run(Group(0, 0, 1, CPU), deeplab("compact", classes), recipe, data, 0, torch.ones(classes))
    augmented = TrainingBatches(drawn, replace(recipe, augment=True), classes, 0)
    images, labels = stack(drawn[:batch])
    net = deeplab("compact", classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-4)
    x = normalize(images).contiguous(memory_format=torch.channels_last)
    work = {
        "bare": partial(train_step, net, optimizer, x, labels.long(), precision),
        "loop": lambda: run.step(*run.batches[run.done]),
        "augment": lambda: augmented[0],
        "draw": lambda: stack([split[index] for index in range(batch)]),
    }
    seconds = interleaved(work, rounds=15)
    loop, augment, draw = (seconds[name] / seconds["bare"] for name in ("loop", "augment", "draw"))
    say(
        f"compact in {precision}: a step of the loop takes {1000 * seconds['loop']:.0f} ms, {loop:.2f}x "
        f"the bare step; augmentation would add {augment:.2f}x, drawing its scenes adds {draw:.2f}x in the first epoch"
    )
    assert run.losses[-1] < run.losses[0], "the loop trains"
    assert loop <= 1.25
