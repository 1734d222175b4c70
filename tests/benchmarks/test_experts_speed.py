"""Experts: what switching costs beside a forward pass, what choosing costs beside measuring, and how fast a cut net is.

A gate multiplies what each layer reads by a mask, some millions of numbers of DeepLabV3-ResNet101; a pass multiplies
billions. A cut net is bound by its multiply-adds in wide layers and by the number of its layers, which stays, in narrow
ones.
"""

from functools import partial

import torch
from torch import nn

from relcomp_kit.compression import experts
from relcomp_kit.compression.experts import ALL
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.relevance.lrp import weight_relevance_per_class

KEEP = 0.48  # of the filters, by chance: about a quarter of the multiply-adds

SHARE = 0.19  # of the multiply-adds: rounded up to multiples of 8 filters, about a quarter again


def chosen(net: nn.Module, example: torch.Tensor) -> dict[str, torch.Tensor]:
    return experts.random_path(net, KEEP, example, torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_a_gate_beside_a_forward_pass(interleaved, say):
    """Switching an expert on and off takes at most 1 % of a pass of one image, and the pass in it what it took."""
    net, x = deeplab("resnet101", 7).eval(), torch.randn(1, 3, 96, 160)
    path = chosen(net, x)

    def switch():
        with experts.gate(net, path):
            pass

    def gated():
        with experts.gate(net, path):
            net(x)

    seconds = interleaved({"pass": lambda: net(x), "gate": switch, "gated": gated}, rounds=9)
    share, slower = seconds["gate"] / seconds["pass"], seconds["gated"] / seconds["pass"]
    say(f"resnet101, 96x160: a gate takes {share:.2%} of a pass, a gated pass {slower:.3f}x")
    assert share < 0.01 and slower < 1.1


def test_paths_of_all_classes_beside_one_pass_of_relevance(interleaved, say):
    """Choosing the paths of all classes takes at most a tenth of measuring their relevance on eight scenes."""
    net, x = load_net("compact-rail-scenes-0").eval(), torch.randn(8, 3, 96, 160)
    target, example = torch.randint(7, (8, 96, 160)), x[:1]
    relevance = weight_relevance_per_class(net, [(x, target)], range(7))
    work = {
        "measure": partial(weight_relevance_per_class, net, [(x, target)], range(7)),
        "choose": lambda: [experts.relevant_path(net, one, 0.5, example) for one in relevance.values()],
    }
    seconds = interleaved(work, rounds=3)
    share = seconds["choose"] / seconds["measure"]
    say(f"seven classes, 8 scenes: relevance {seconds['measure']:.2f} s, their paths {share:.1%} of it")
    assert share < 0.1


@torch.inference_mode()
def test_an_expert_with_a_quarter_of_the_work_is_faster(interleaved, say, tmp_path):
    """One image at a time on two threads: at least 1.5 times at 96x160; larger, and in ONNX Runtime, it is reported.

    Beside an expert with a budget of filters stands one with a budget of multiply-adds, whose layers have a multiple of
    8 filters and whose batch-norms are folded.
    """
    torch.set_num_threads(2)  # `one_thread` puts back what was set before
    net, ratios = load_net("compact-rail-scenes-0").eval(), {}
    for size in ((96, 160), (384, 640)):
        x = torch.randn(1, 3, *size)
        draw = torch.Generator().manual_seed(0)
        ready = experts.random_path(net, SHARE, x, draw, by="macs", multiple=8)
        small, fast = experts.compact(net, chosen(net, x), x), experts.compact(net, ready, x)
        nets = {"whole": net, "cut": small, "cut, multiples of 8, folded": experts.folded(fast, x)}
        runs = {"PyTorch": {name: partial(one, x) for name, one in nets.items()}, "ONNX Runtime": {}}
        for name, one in nets.items():
            file = experts.export_onnx(one, x, tmp_path / f"{len(name)}.onnx")
            runs["ONNX Runtime"][name] = partial(experts.open_onnx(file), x)
        for how, variants in runs.items():
            seconds = interleaved(variants, rounds=15)
            for name in list(nets)[1:]:
                left = experts.macs(nets[name], x)[ALL] / experts.macs(net, x)[ALL]
                ratios[how, name, size] = seconds["whole"] / seconds[name]
                say(
                    f"{how}, {size[0]}x{size[1]}: {1000 * seconds['whole']:.1f} ms, {name}, with {left:.0%} of the "
                    f"multiply-adds {ratios[how, name, size]:.2f}x faster"
                )
    assert ratios["PyTorch", "cut", (96, 160)] > 1.5
