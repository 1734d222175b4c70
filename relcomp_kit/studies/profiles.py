"""Budgets of the lessons: what `quick` and `full` mean.

Budgets of the single points of a sweep (such as steps, bits and seeds) are in ``data/sweeps/*.toml``.
"""

from dataclasses import dataclass, field

from relcomp_kit.datasets.scene_names import DRAWN_SIZE
from relcomp_kit.errors import UserError


@dataclass(frozen=True)
class SaliencyBudget:
    """Lesson 01: nets trained as published, and how many images each measure sees."""

    training_steps: int = 1551
    seeds: tuple[int, ...] = (0, 1, 2)
    images: int = 2000  # importance is cumulated over
    oracle_images: int = 500
    conv_steps: int = 200
    at_scale: bool = True  # the published net, training and number of images


@dataclass(frozen=True)
class PruningBudget:
    """Lesson 02: pruning steps, SGD steps between them, and which sparsification factors are run."""

    steps: int
    fine_tuning: int
    sf: tuple[float, ...]  # the published ones, and low ones for T6
    text_sf: tuple[float, ...]
    control_sf: tuple[float, ...]  # random, magnitude, importance from training images
    converge_steps: int
    converge_fine_tuning: int
    oracle_images: int
    at_scale: bool
    first_training: int = 1551
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class SegmentationBudget:
    """Lesson 03: the training that one watches, and how many nets are trained to the end.

    ``seeds`` says which seeds of which net are trained on a set of scenes; sets that are not named train "compact".
    """

    live_steps: int
    head_steps: int  # of a new classifier on a trained backbone
    weather_scenes: int  # that a net is tested on in each weather
    test_scenes: int | None  # None: the whole test split
    seeds: dict[str, dict[str, tuple[int, ...]]]


@dataclass(frozen=True)
class RelevanceBudget:
    """Lesson 04: how many scenes relevance is asked on, and how it is held against ablation and removal."""

    scenes: int  # training scenes
    oracle_channels: int
    oracle_weights: int
    oracle_scenes: int  # of the validation split
    test_scenes: int
    shares: dict[str, list[float]]  # removed without training: of filters of each "layer" or of the "net", of "weights"
    reference_scenes: int  # in which RelMax and ActMax look
    seeds: tuple[int, ...] = (0, 1, 2)


@dataclass(frozen=True)
class OneShot:
    """Nets that are quantized without training, and on how many scenes."""

    seeds: tuple[int, ...]
    relevance_scenes: int  # of the training split
    test_scenes: int


@dataclass(frozen=True)
class QuantizeBudget:
    """Lesson 05: which plans of ``data/sweeps`` are run, and how long one watches a quantization-aware training."""

    plans: dict[str, tuple[str, ...]]  # by data set
    live_steps: int  # of the small net
    one_shot: tuple[tuple[int, float], ...]  # bits and Lambda, without training
    one_shot_nets: dict[str, OneShot]  # by size of DeepLabV3


@dataclass(frozen=True)
class ExpertBudget:
    """Lesson 06: whom experts are for, which plans of ``data/sweeps`` are run, and on how many scenes it looks."""

    plans: dict[str, tuple[str, ...]]  # by data set
    relevance_scenes: int  # of the training split
    weather_scenes: int  # of the test split
    weather_seeds: tuple[int, ...]
    wanted: dict[str, str] = field(
        default_factory=lambda: {
            **dict.fromkeys(DRAWN_SIZE, "rail"),
            "berdiba": "rail",
            "camvid": "tree",
            "cityscapes": "vegetation",
            **dict.fromkeys(("railsem19", "railsem19-rail8"), "rail-track"),
        }
    )
    joined: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            **dict.fromkeys(DRAWN_SIZE, ("rail", "anomaly on track")),
            "berdiba": ("rail", "anomaly on track"),
            "camvid": ("tree", "car"),
            "cityscapes": ("vegetation", "car"),
            **dict.fromkeys(("railsem19", "railsem19-rail8"), ("rail-track", "traffic-sign")),
        }
    )
    shown: tuple[float, ...] = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3)  # shares of the filters


@dataclass(frozen=True)
class CodingBudget:
    """Lesson 07: which plans of ``data/sweeps`` are run, and on how many scenes it looks."""

    plans: dict[str, tuple[str, ...]]  # by data set
    relevance_scenes: int  # of the training split
    scored_scenes: int  # of the test split, for the float nets of the ladder
    seeds: tuple[int, ...]  # of these


@dataclass(frozen=True)
class OwnNetBudget:
    """Lesson 10: how many images decide, and how long nets are trained."""

    images: int  # of each part
    first_training: int  # steps of the net that the lesson trains where there is no CIFAR-10
    train: int  # steps of quantization-aware training


@dataclass(frozen=True)
class Profile:
    """A named set of budgets."""

    name: str
    saliency: SaliencyBudget
    pruning: PruningBudget
    segmentation: SegmentationBudget
    relevance: RelevanceBudget
    quantize: QuantizeBudget
    experts: ExpertBudget
    coding: CodingBudget
    own_net: OwnNetBudget


RANDOM_ORDERS = 10  # in which filters are removed beside the measures of lesson 04
WEATHER_KEEP = 0.65  # of the filters of an expert that meets all weathers in lesson 06

PROFILES = {
    "quick": Profile(
        "quick",
        SaliencyBudget(conv_steps=60),
        PruningBudget(
            steps=30,
            fine_tuning=15,
            sf=(0.3, 0.6, 0.75, 0.9, 0.95),
            text_sf=(),
            control_sf=(0.95,),
            converge_steps=60,
            converge_fine_tuning=5,
            oracle_images=200,
            at_scale=False,
        ),
        SegmentationBudget(
            live_steps=70,
            head_steps=60,
            weather_scenes=20,
            test_scenes=120,
            seeds={"rail-scenes": {"compact": (0, 1, 2)}},
        ),
        RelevanceBudget(
            scenes=12,
            oracle_channels=57,
            oracle_weights=57,
            oracle_scenes=4,
            test_scenes=12,
            shares={"layer": [0.0, 0.1, 0.3, 0.5]},
            reference_scenes=40,
        ),
        QuantizeBudget(
            plans={"mnist": ("ecqx-mnist-quick",), "rail-scenes": ("ecqx-rail-scenes-quick",)},
            live_steps=200,
            one_shot=((4, 0.2),),
            one_shot_nets={"compact": OneShot((0,), relevance_scenes=32, test_scenes=40)},
        ),
        ExpertBudget(
            plans={
                "rail-scenes": ("experts-rail-scenes-quick",),
                "rail-scenes-192x320": ("experts-rail-scenes-192x320-quick",),
                "berdiba": ("experts-berdiba-quick",),
                "camvid": ("experts-camvid-quick",),
                "cityscapes": ("experts-cityscapes-quick",),
                "railsem19": ("experts-railsem19-quick",),
                "railsem19-rail8": ("experts-railsem19-rail8-quick",),
            },
            relevance_scenes=32,
            weather_scenes=40,
            weather_seeds=(0,),
        ),
        CodingBudget(
            plans={"mnist": ("code-mnist-quick",), "rail-scenes": ("code-rail-scenes-quick",)},
            relevance_scenes=8,
            scored_scenes=40,
            seeds=(0,),
        ),
        OwnNetBudget(images=400, first_training=200, train=0),
    ),
    "full": Profile(
        "full",
        SaliencyBudget(conv_steps=1000),
        PruningBudget(
            steps=150,
            fine_tuning=775,
            sf=(0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.75, 0.9, 0.95),
            text_sf=(0.55, 0.6, 0.75, 0.9, 0.95),
            control_sf=(0.95,),
            converge_steps=1000,
            converge_fine_tuning=100,
            oracle_images=500,
            at_scale=True,
        ),
        SegmentationBudget(
            live_steps=200,
            head_steps=200,
            weather_scenes=400,
            test_scenes=None,
            seeds={
                "rail-scenes": {"compact": (0, 1, 2), "resnet50": (0,), "resnet101": (0,)},
                "camvid": {"compact": (0, 1, 2), "resnet50": (0,)},
                "railsem19": {"resnet101": (0, 1, 2)},
                "berdiba": {"resnet101": (0, 1, 2)},
            },
        ),
        RelevanceBudget(
            scenes=128,
            oracle_channels=456,
            oracle_weights=456,
            oracle_scenes=48,
            test_scenes=200,
            shares={
                "layer": [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
                "net": [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
                "weights": [0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95],
            },
            reference_scenes=200,
        ),
        QuantizeBudget(
            plans={
                "mnist": ("ecqx-mnist-2bit", "ecqx-mnist"),
                "rail-scenes": ("ecqx-rail-scenes-2bit", "ecqx-rail-scenes"),
            },
            live_steps=300,
            one_shot=((4, 0.05), (4, 0.1), (4, 0.2), (3, 0.1)),
            one_shot_nets={
                "compact": OneShot((0, 1, 2), relevance_scenes=64, test_scenes=200),
                "resnet101": OneShot((0,), relevance_scenes=16, test_scenes=40),
            },
        ),
        ExpertBudget(
            plans={
                "rail-scenes": ("experts-rail-scenes", "experts-rail-scenes-classes"),
                "rail-scenes-192x320": ("experts-rail-scenes-192x320",),
                "berdiba": ("experts-berdiba",),
                "camvid": ("experts-camvid",),
                "cityscapes": ("experts-cityscapes",),
                "railsem19": ("experts-railsem19",),
                "railsem19-rail8": ("experts-railsem19-rail8",),
            },
            relevance_scenes=64,
            weather_scenes=200,
            weather_seeds=(0, 1, 2),
        ),
        CodingBudget(
            plans={
                "mnist": ("code-mnist-2bit", "code-mnist"),
                "rail-scenes": ("code-rail-scenes-2bit", "code-rail-scenes", "code-rail-scenes-experts"),
                "berdiba": ("code-berdiba",),
                "railsem19": ("code-railsem19",),
            },
            relevance_scenes=64,
            scored_scenes=500,
            seeds=(0, 1, 2),
        ),
        OwnNetBudget(images=4000, first_training=1000, train=400),
    ),
}


def get_profile(name: str) -> Profile:
    """Return a profile by its name.

    Raises
    ------
    UserError
        If there is no such profile.
    """
    if name not in PROFILES:
        raise UserError(f"there is no profile {name!r}; choose one of {', '.join(PROFILES)}")
    return PROFILES[name]


# Of DeepLabV3, from scratch: 10 epochs of the rail scenes for "compact"; what longer nets would need on a GPU.
SCENE_SIZE = DRAWN_SIZE | {"camvid": (180, 240), "railsem19-rail8": (180, 320), "voc": (256, 256)}
HALF_SIZE_FIRST = ("rail-scenes-192x320", "railsem19-rail8")  # two thirds of the steps, which cost a quarter
START = {("compact", "railsem19-rail8"): "compact-rail-scenes-192x320-0"}  # the net whose features a small set gets
LARGE_SCENES = {"quick": (99, 176), "full": (540, 960)}  # RailSem19, Cityscapes, BerDiBa
STEPS = {"compact": 4500, "resnet50": 9000, "resnet101": 9000}
CPU_STEPS = {  # about a quarter of an hour each on a core: far too short for the large nets, which their records say
    ("compact", "camvid"): 800,
    ("compact", "railsem19-rail8"): 1000,
    ("resnet50", "rail-scenes"): 500,
    ("resnet101", "rail-scenes"): 150,
    ("resnet50", "camvid"): 80,
}


def training_recipe(net: str, dataset: str, profile: str = "full", *, pretrained: bool = False):
    """Return the `relcomp_kit.models.recipe.Recipe` by which a net is trained on a set of scenes.

    Parameters
    ----------
    net : str
        A size of DeepLabV3: "compact", "resnet50" or "resnet101".
    dataset : str
        A set of scenes, such as "rail-scenes".
    profile : str
        "quick" takes the steps of the training that one watches in lesson 03.
    pretrained : bool
        From COCO weights, as published: Adam, learning rate 1e-4, plain cross entropy. Otherwise from scratch or, as
        `START` says, from a net for other scenes, and rare classes weigh more; sets of `HALF_SIZE_FIRST` are seen at
        half size at first.
    """
    import torch

    from relcomp_kit.models.recipe import Recipe

    budget = get_profile(profile).segmentation
    steps = STEPS.get(net, 0)
    if profile == "quick":
        steps = budget.live_steps
    elif not torch.cuda.is_available():
        steps = CPU_STEPS.get((net, dataset), steps)
    if pretrained:
        start = {"learning_rate": 1e-4, "schedule": "constant"}
    else:
        rate = 2e-3 if net == "compact" else 5e-4
        start = {"learning_rate": rate, "weight_decay": 1e-4, "class_weights": "inverse_sqrt"}
        if (net, dataset) in START:
            start["start"] = START[net, dataset]
    return Recipe(
        net=net,
        dataset=dataset,
        size=SCENE_SIZE.get(dataset, LARGE_SCENES[profile]),
        steps=steps,
        batch=8,
        pretrained=pretrained,
        validate_every=max(50, steps // 7),
        half_size_steps=2 * steps // 3 if dataset in HALF_SIZE_FIRST and not pretrained else 0,
        augment=dataset not in DRAWN_SIZE,  # scenes that the kit draws differ enough
        **start,
    )
