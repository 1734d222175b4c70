"""What the demonstrator is asked, and what it answers: plain values, no widget and no picture."""

from dataclasses import dataclass, replace

from torch import Tensor

from relcomp_kit.errors import UserError

KINDS = ("class", "critical", "average", "magnitude", "random", "stored", "trained")
NAMED = ("class", "critical", "stored", "trained")  # kinds of paths that are for something: classes, or experts by name
FIXED = ("stored", "trained")  # kinds whose filters are as the expert came
MOST_PATHS = 3
MOST_TEST_SCENES = 1000
LayerKeep = tuple[tuple[str, float], ...]


def check_keep(keep: float, where: str = "keep") -> None:
    """Raise a `UserError` unless a share can be kept.

    Parameters
    ----------
    keep : float
        The share of filters; it has to be in (0, 1].
    where : str
        What the sentence calls it.

    Raises
    ------
    UserError
        If it is not in (0, 1].
    """
    if not 0 < keep <= 1:
        raise UserError(f"{where} is the share of filters that stays, above 0 and up to 1, not {keep:g}")


@dataclass(frozen=True)
class PathChoice:
    """Which filters an expert keeps, and how many.

    Parameters
    ----------
    kind : {"class", "critical", "average", "magnitude", "random", "stored", "trained"}
        "class": the most relevant filters of a class, joined where there are several classes. "critical": those of a
        set of classes, by their mean relevance. "average": those of all classes. "magnitude", "random": without
        relevance. "stored": an expert that travels in an NNC file. "trained": one that was trained after its cut, and
        has weights of its own; it comes with the kit.
    classes : tuple of str
        For "class" and "critical"; for "stored" the names of experts in the file, joined; for "trained" one name.
        Empty for the others.
    keep : float
        Share of the net's filters in (0, 1]; of no effect on "stored" and "trained".
    layers : tuple of (str, float)
        Layers whose own share is set, with the share; in alphabetical order. Layers that are summed follow.
    """

    kind: str = "class"
    classes: tuple[str, ...] = ("rail",)
    keep: float = 0.5
    layers: LayerKeep = ()

    def __post_init__(self):
        if self.kind not in KINDS:
            raise UserError(f"there is no path {self.kind!r}; choose one of {', '.join(KINDS)}")
        if bool(self.classes) != (self.kind in NAMED):
            needs = "a class" if self.kind in ("class", "critical") else "the name of an expert"
            raise UserError(f"a path {self.kind!r} needs {needs if self.kind in NAMED else 'no class'}")
        if len(set(self.classes)) < len(self.classes):
            raise UserError("a path names a class twice: name each once")
        if self.kind == "trained" and len(self.classes) > 1:
            raise UserError("trained experts have weights of their own, and cannot be joined: name one")
        check_keep(self.keep)
        names = [name for name, _ in self.layers]
        if sorted(set(names)) != names:
            raise UserError("the layers of a path are named once each, in alphabetical order")
        if names and self.kind in FIXED:
            raise UserError(f"the filters of a {self.kind} expert are fixed: set layers of another path")
        for name, keep in self.layers:
            check_keep(keep, f"keep of {name}")

    def with_layer(self, name: str, keep: float | None) -> "PathChoice":
        """Return the choice with a layer's own share, or without it for None."""
        others = {one: share for one, share in self.layers if one != name}
        return replace(self, layers=tuple(sorted((others if keep is None else others | {name: keep}).items())))


@dataclass(frozen=True)
class State:
    """All that the demonstrator shows depends on; two equal states show the same.

    Parameters
    ----------
    net : str
        A name of `relcomp_kit.demonstrator.nets.names`, such as "compact-rail-scenes-0", or a file that ends in
        ``.nnc`` or ``.safetensors``.
    scene : str
        "synthetic 7 snow" (number of a test scene, and a weather; without one the number decides), "camvid 3",
        "railsem19 2" (number of a frame), or "upload NAME".
    classes : tuple of str
        Whose IoU is shown, and whose relevance the score of a layer is about.
    paths : tuple of PathChoice
        One to three.
    heat : str, optional
        The class whose LRP heatmap is shown.
    channel : (str, int), optional
        Layer and number of a channel to look into.
    latency, coded : bool
        Measure the time of a pass; code the experts' files, instead of estimating them.
    test : int
        Test scenes that the IoU is measured on as well.
    """

    net: str = "compact-rail-scenes-0"
    scene: str = "synthetic 7"
    classes: tuple[str, ...] = ("rail",)
    paths: tuple[PathChoice, ...] = (PathChoice(), PathChoice("magnitude", ()))
    heat: str | None = "rail"
    channel: tuple[str, int] | None = None
    latency: bool = False
    coded: bool = False
    test: int = 0

    def __post_init__(self):
        if not 1 <= len(self.paths) <= MOST_PATHS:
            raise UserError(f"there are {len(self.paths)} paths: compare 1 to {MOST_PATHS}")
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise UserError("the classes to evaluate are one at least, each named once")
        if not 0 <= self.test <= MOST_TEST_SCENES:
            raise UserError(f"the IoU can be measured on up to {MOST_TEST_SCENES:,} test scenes, not {self.test:,}")

    def at_once(self) -> "State":
        """Return the state without the measurements that take seconds: what to show while a slider moves."""
        return replace(self, latency=False, coded=False, test=0)

    def with_path(self, number: int, path: PathChoice) -> "State":
        """Return the state with another path at a place, counted from 0."""
        return replace(self, paths=(*self.paths[:number], path, *self.paths[number + 1 :]))


@dataclass(frozen=True)
class LayerRow:
    """What a path does to a layer, shares in [0, 1].

    Parameters
    ----------
    layer : str
        Its name, or "all layers".
    filters : int
        Of the super-net.
    similarity : float, optional
        Overlap with the average path of the same size: filters in both over filters in any.
    pruned : float
        Share of filters that the path leaves out.
    score : float, optional
        Share of the layer's relevance for the evaluated classes that the path keeps.
    parameter : float, optional
        The share to keep that the layer was given, its own or the path's; None where they are fixed.
    """

    layer: str
    filters: int
    similarity: float | None
    pruned: float
    score: float | None
    parameter: float | None


@dataclass(frozen=True, eq=False)
class Shown:
    """A net that is shown: the super-net, or an expert.

    Parameters
    ----------
    name : str
        Such as "super-net" or "rail, 40 %".
    prediction : Tensor
        Class of every pixel (height, width), uint8.
    parameters, macs : float
        Share of the super-net's.
    bytes : int
        Of the file at 4 bit (ECQ), or of the NNC file that the super-net was read from.
    coded : bool
        Whether ``bytes`` were counted on a coded file; otherwise they are the order-0 entropy.
    iou : dict of str to float or None
        Of the evaluated classes on the scene, None for one that is neither there nor predicted; empty without truth.
    agreement : float
        Share of pixels that are predicted as by the super-net.
    test_iou : dict of str to float or None
        As ``iou``, on test scenes; empty unless asked for.
    latency : float, optional
        Median seconds of one image, if asked for.
    path : dict of str to Tensor
        Filters that are kept; empty for the super-net.
    layers : tuple of LayerRow
        Empty for the super-net.
    """

    name: str
    prediction: Tensor
    parameters: float
    macs: float
    bytes: int
    coded: bool
    iou: dict[str, float | None]
    agreement: float
    test_iou: dict[str, float | None]
    latency: float | None
    path: dict[str, Tensor]
    layers: tuple[LayerRow, ...]


@dataclass(frozen=True, eq=False)
class Answer:
    """All that is shown of a state.

    Parameters
    ----------
    state : State
        What was asked.
    title : str
        What the picture is.
    image : Tensor
        (3, height, width), uint8, in the size that the net sees.
    truth : Tensor, optional
        Class of every pixel (height, width), uint8, 255 void; None without ground truth for this net's classes.
    classes, palette : tuple
        Of the net: names, and RGB triplets.
    net : Shown
        The super-net.
    experts : tuple of Shown
        One a path.
    heat : Tensor, optional
        Relevance of every pixel for the heat class, (height, width); None if none is asked for, or none is there.
    notes : tuple of str
        Sentences on what could not be shown.
    """

    state: State
    title: str
    image: Tensor
    truth: Tensor | None
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    net: Shown
    experts: tuple[Shown, ...]
    heat: Tensor | None
    notes: tuple[str, ...]
