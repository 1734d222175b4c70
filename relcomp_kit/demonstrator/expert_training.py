"""Make the committed experts: cut by a path of the demonstrator, train, quantize by ECQ^x, write a file and scores."""

import copy
import json
from dataclasses import replace
from pathlib import Path

from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net
from relcomp_kit.compression.experts import ALL
from relcomp_kit.datasets.scenes import remember
from relcomp_kit.demonstrator import nets, paths, relevance
from relcomp_kit.demonstrator.state import PathChoice
from relcomp_kit.files import write_atomic
from relcomp_kit.models import checkpoints
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.studies.experts.experiment import train_on
from relcomp_kit.studies.segmentation.measurement import firsts
from relcomp_kit.studies.segmentation.training import provenance

STEPS, SEED = 300, 0
VALIDATED = 100  # scenes that the best state is chosen on


def record(name: str, choice: PathChoice, steps: int = STEPS) -> Path:
    """Train an expert of a committed net, and write it to the committed files, with its scores on the test split.

    Parameters
    ----------
    name : str
        Of the net, such as "compact-rail-scenes-0"; its scenes have to be on this machine.
    choice : PathChoice
        Which filters it has; the file is named by it.
    steps : int
        Of the training after the cut, on all classes; a third as many follow at 4 bit.

    Returns
    -------
    Path
        The NNC file; beside it lies a JSON file with the scores of the super-net, of the expert as it was cut, as it
        was trained, and as it is decoded.
    """
    net = nets.load(name)
    data, path = relevance.training_data(net), paths.path_of(net, choice)
    small = experts.compact(net.net, path, net.example)
    test, scores = remember(data.test), {}
    for what, one in (("super-net", net.net), ("as cut", small)):
        scores[what] = plain(evaluate(one, test, net.classes)["iou"])
    small.requires_grad_(True)
    few = replace(data, validation=firsts(data.validation, VALIDATED))
    train_on(small, few, SEED, steps)
    scores["trained"] = plain(evaluate(small.eval(), test, net.classes)["iou"])
    further = steps // 3
    how = {"batch": 8, "schedule": "poly", "warm_up": further // 5, "relevance_every": 50}
    quantized, _ = quantized_net(QatRecipe("lrp", nets.BITS, nets.LAMBDA, further, **how), small, few, SEED)
    decoded = copy.deepcopy(small)
    decoded.load_state_dict(ecqx.state_dict(quantized))
    scores["decoded"] = plain(evaluate(decoded, test, net.classes)["iou"])
    about = {
        "checkpoint": checkpoints.committed()[name]["sha256"],
        "kind": choice.kind,
        "classes": list(choice.classes),
        "keep": choice.keep,
        "steps": [steps, further],
        "path": {layer: kept.nonzero().flatten().tolist() for layer, kept in path.items() if not kept.all()},
    }
    recipe = {"dataset": data.name, "size": list(net.size)}
    info = {"net": checkpoints.committed()[name]["net"], "classes": list(net.classes), "recipe": recipe}
    coded = nnc.encode(quantized, info=info | provenance() | {"expert": about})
    file = nets.experts_folder(name) / f"{'-'.join(choice.classes) or choice.kind}-{100 * choice.keep:.0f}.nnc"
    costs = {
        "MACs": experts.macs(small, net.example)[ALL] / net.macs[ALL],
        "parameters": experts.parameters(small)[ALL] / net.parameters[ALL],
        "bytes": len(coded),
    }
    about.pop("path")
    text = json.dumps({"expert": about} | costs | {"test": scores} | provenance(), indent=1)
    write_atomic(file.with_suffix(".json"), text + "\n")
    return write_atomic(file, coded)
