"""What lesson 07 measures beside its sweeps: nets of a plan again, float nets as files, masks, broken files."""

import copy
from collections.abc import Sequence

from torch import Tensor, nn

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.compression import ecqx, experts, nnc
from relcomp_kit.compression.ecqx.qat import fingerprint
from relcomp_kit.compression.ecqx.quantized import Quantized
from relcomp_kit.compression.nnc import rival_codecs
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import choose_device
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.models.states import load_state
from relcomp_kit.studies import plans
from relcomp_kit.studies.coding import results as coding_results
from relcomp_kit.studies.coding.experiment import plain_state, scores
from relcomp_kit.studies.experts.experiment import class_relevance, example_of
from relcomp_kit.studies.profiles import CodingBudget

VERSION = 2  # of `float_rungs`


def swept(plan: str, data: ImageSet | SceneSet) -> list[dict]:
    """Run what is missing of a plan, and return a row a point; see `relcomp_kit.studies.coding.results.row`.

    Parameters
    ----------
    plan : str
        Name of a plan in ``data/sweeps``, of the experiment "code".
    data : ImageSet or SceneSet
        The set, or its stand-in, which has its own folder of records.
    """
    return [coding_results.row(record) for record in plans.swept(plan, data)]


def plans_of(budget: CodingBudget, dataset: str) -> dict[str, tuple[str, ...]]:
    """Return the plans of a budget by data set.

    Parameters
    ----------
    budget : CodingBudget
        Of a profile.
    dataset : str
        The data set that lesson 07 shall run on.

    Raises
    ------
    UserError
        If the budget has no plan for that data set.
    """
    if dataset not in budget.plans:
        raise UserError(f"this profile of lesson 07 has no plan for {dataset!r}: choose profile 'full'")
    return budget.plans


def point_with(wanted_plans: Sequence[str], **values) -> dict:
    """Return the values of the first point of some plans that has these.

    Parameters
    ----------
    wanted_plans : sequence of str
        Names of plans in ``data/sweeps``, in the order in which they are looked through.
    **values
        Names of a point's values, and what they have to be.

    Raises
    ------
    UserError
        If no point has them.
    """
    for plan in wanted_plans:
        for point in plans.points(plan):
            if all(point.values[name] == value for name, value in values.items()):
                return point.values
    raise UserError(f"no point of {', '.join(wanted_plans)} has {values}: choose other values")


def float_rungs(net: nn.Module, data: ImageSet | SceneSet, seed: int) -> list[dict]:
    """Return what a trained net takes before any training with quantization: rung, bytes, test accuracy, seed.

    Float32, float16, 8 bit (rounded at once, indices of fixed width), and nncodec's own quantization of floats at its
    default step sizes, uniform and dependent, where it is installed. From the cache if it was measured before.

    Parameters
    ----------
    net : nn.Module
        The trained net.
    data : ImageSet or SceneSet
        The data set that it is tested on.
    seed : int
        Of the net.
    """

    def make(_) -> tuple[dict, dict]:
        return {}, {"rows": [row | {"seed": seed} for row in _float_rungs(net, data, seed)]}

    config = {"net": fingerprint(net), "seed": seed, "nncodec": rival_codecs.has_nncodec()}
    return load_or_make("float-rungs", VERSION, config, data.sha256, make)[1]["rows"]


def _float_rungs(net: nn.Module, data: ImageSet | SceneSet, seed: int) -> list[dict]:
    state = plain_state(net)
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    eight = ecqx.quantize(net, 8, 0.0)
    floats = sum(value.nbytes for name, value in eight.rest.items() if not name.endswith("_mask"))
    tried = [
        ("float32", _bytes(state), state),
        ("float16", _bytes(half), half),
        ("8 bit", rival_codecs.index_bytes(eight)["raw"] + floats + 4 * len(eight.steps), ecqx.state_dict(eight)),
    ]
    reference = (("nncodec, uniform", False), ("nncodec, dependent", True)) if rival_codecs.has_nncodec() else ()
    for name, dependent in reference:
        tried.append((name, *rival_codecs.nncodec_floats(state, dependent=dependent)))
    return [
        {
            "rung": name,
            "bytes": size,
            "accuracy": scores(_with(net, found), data, seed, ("test",))["test accuracy"][0],
        }
        for name, size, found in tried
    ]


def _bytes(state: dict[str, Tensor]) -> int:
    return sum(value.nbytes for value in state.values())


def _with(net: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    made = copy.deepcopy(net)
    load_state(made, net.state_dict() | state)
    return made.eval()


def experts_of(net: nn.Module, data: SceneSet, scenes: int, keep: float) -> dict[str, dict[str, Tensor]]:
    """Return the path of an expert for every class that occurs in the first training scenes: class to path.

    Parameters
    ----------
    net : nn.Module
        The net that experts are cut out of.
    data : SceneSet
        Its scenes.
    scenes : int
        Training scenes that relevance is measured on.
    keep : float
        The share of all filters that a path keeps, in (0, 1].
    """
    relevance, example = class_relevance(net, data, scenes), example_of(data)
    return {name: experts.relevant_path(net, one, keep, example, normalize="none") for name, one in relevance.items()}


def mask_bytes(quantized: Quantized, paths: dict[str, dict[str, Tensor]]) -> list[int]:
    """Return how many bytes more a file takes with the masks of the first expert, of the first two, and so on.

    Parameters
    ----------
    quantized : Quantized
        The net in the file.
    paths : dict of str to path
        Name of an expert to its path, layer to (filters,) bool.
    """
    alone, names = len(nnc.encode(quantized)), list(paths)
    return [
        len(nnc.encode(quantized, paths={name: paths[name] for name in names[:count]})) - alone
        for count in range(1, len(names) + 1)
    ]


def images(data: SceneSet, count: int) -> Tensor:
    """Return the first test scenes as a net takes them, (count, 3, height, width), where nets are.

    Parameters
    ----------
    data : SceneSet
        The set.
    count : int
        How many scenes.
    """
    return normalize(stack([data.test[place] for place in range(count)])[0].to(choose_device()))


def told(data: bytes) -> str:
    """Return the message of decoding a file: "whole", or the error."""
    try:
        nnc.decode(data)
    except UserError as error:
        return str(error)
    return "whole"
