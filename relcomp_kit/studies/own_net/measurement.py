"""What is measured of a net of one's own, each part kept in the cache: who is interrupted goes on from there.

Everything is chosen on the validation part. Beside relevance stand the controls that it has to beat: the size of the
weights, and chance.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from relcomp_kit.artifacts import load_or_make
from relcomp_kit.compression import ecqx, experts
from relcomp_kit.compression.ecqx.qat import fingerprint
from relcomp_kit.compression.experts.coupling import Path as Filters
from relcomp_kit.models.states import loaded
from relcomp_kit.relevance.channels import layer_weights
from relcomp_kit.relevance.lrp import weight_relevance, weight_relevance_per_class
from relcomp_kit.studies.own_net.task import Task

VERSION = 2  # of what is kept in the cache
RELEVANCE, MAGNITUDE, RANDOM = "relevance", "magnitude", "random"
GONE = (0.25, 0.5, 0.75, 0.9)  # shares of the weights that are set to 0
LEFT = (0.9, 0.75, 0.5, 0.25)  # shares of the multiply-adds, of which an expert gets the smallest that is good enough
Measures = dict[str, dict[str, Tensor]]


@dataclass(eq=False)
class Measured:
    """A net, and what is measured of it; results are kept by the net, the data and the settings that decide them.

    Parameters
    ----------
    net : nn.Module
        In eval mode, on the CPU.
    task : Task
        The images and the classes asked for.
    seed : int
        Of chance.
    note : dict
        What a file says about the net, as `relcomp_kit.studies.own_net.nets.Known.note` gives it; it takes bytes, too.
    advance : callable
        Called after each thing that was measured.
    """

    net: nn.Module
    task: Task
    seed: int = 0
    note: dict = field(default_factory=dict)
    advance: Callable[[], None] = lambda: None

    def __post_init__(self):
        self.example = self.task.example
        size = list(self.example.shape[2:])  # the hash of scenes that the kit draws is the same at every size
        self.identity = {"net": fingerprint(self.net), "asked": list(self.task.asked), "size": size}

    def kept(self, what: str, make: Callable[[], tuple[dict, dict]], **config) -> tuple[dict[str, Tensor], dict]:
        """Return tensors and numbers from the cache, or make them.

        Parameters
        ----------
        what : str
            What they are.
        make : callable
            Returns both.
        **config
            What else decides them, JSON-able.
        """
        identity = {"what": what, **self.identity, **config}
        found = load_or_make("own-net", VERSION, identity, self.task.data.sha256, lambda _: make())
        self.advance()
        return found

    def score(self, part: str, **config) -> float:
        """Return the score of the net as it is now on a part, from the cache where this was measured before.

        Parameters
        ----------
        part : str
            "validation" or "test".
        **config
            What its state does not show, such as a hash of what is switched off, JSON-able.
        """
        config |= {"weights": fingerprint(self.net)}
        return self.kept(f"score, {part}", lambda: ({}, {"score": self.task.measure(self.net, part)}), **config)[1][
            "score"
        ]

    def relevance(self) -> dict[str, Tensor]:
        """Return the relevance of every parameter for the classes asked for: their mean, where these are not all."""
        asked = self.task.asked

        def make() -> tuple[dict, dict]:
            batches = list(self.task.relevance_batches())
            if len(asked) == len(self.task.data.classes):
                return weight_relevance(self.net, batches), {}
            there = torch.cat([labels.flatten() for _, labels in batches]).unique().tolist()
            classes = [one for one in asked if one in there]
            found = weight_relevance_per_class(self.net, batches, classes, normalize=True)
            return {name: sum(found[one][name] for one in classes) / len(classes) for name in found[classes[0]]}, {}

        return self.kept("relevance", make)[0]

    def measures(self, relevance: dict[str, Tensor] | None) -> Measures:
        """Return what weights are chosen by: relevance, where there is any, size and chance.

        Parameters
        ----------
        relevance : dict of str to Tensor or None
            Of every parameter.
        """
        weights = ecqx.quantizable(self.net)
        generator = torch.Generator().manual_seed(self.seed)
        chance = {name: torch.rand(value.shape, generator=generator) for name, value in weights.items()}
        found = {} if relevance is None else {RELEVANCE: {name: relevance[name] for name in weights}}
        return found | {MAGNITUDE: {name: value.abs() for name, value in weights.items()}, RANDOM: chance}

    def without_weights(self, measures: Measures) -> dict[str, list[float]]:
        """Return the validation scores without the least of the weights of all layers but the last.

        Parameters
        ----------
        measures : dict of str to dict of str to Tensor
            As `measures` returns them.

        Returns
        -------
        dict of str to list of float
            Measure to one score for each of `GONE`.
        """
        inner = [name for name in list(layer_weights(self.net))[:-1] if name in measures[MAGNITUDE]]
        found: dict[str, list[float]] = {}
        for arm, values in measures.items():
            order = torch.cat([values[name].flatten() for name in inner]).argsort(stable=True)
            rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)))
            pieces = rank.split([values[name].numel() for name in inner])
            found[arm] = []
            for share in GONE:
                state = dict(self.net.state_dict())
                for name, piece in zip(inner, pieces):
                    state[name] = state[name] * (piece >= round(share * len(rank))).view_as(state[name])
                with loaded(self.net, state):
                    found[arm].append(self.score("validation"))
        return found

    def path(self, arm: str, left: float, relevance: dict[str, Tensor] | None) -> Filters:
        """Return the filters that an expert keeps.

        Parameters
        ----------
        arm : str
            "relevance", "magnitude" or "random".
        left : float
            Share of the multiply-adds, in (0, 1].
        relevance : dict of str to Tensor or None
            As `relevance` gives it, for the first arm.
        """
        if arm == MAGNITUDE:
            return experts.magnitude_path(self.net, left, self.example, by="macs")
        if arm == RANDOM:
            generator = torch.Generator().manual_seed(self.seed)
            return experts.random_path(self.net, left, self.example, generator, by="macs")
        return experts.relevant_path(self.net, relevance or {}, left, self.example, by="macs")

    def without_filters(self, arms: list[str], relevance: dict[str, Tensor] | None) -> dict[str, list[float]]:
        """Return the validation scores with the filters switched off that experts of less and less work lack.

        Parameters
        ----------
        arms : list of str
            Of "relevance", "magnitude", "random".
        relevance : dict of str to Tensor or None
            For the first one.

        Returns
        -------
        dict of str to list of float
            Arm to one score for each of `LEFT`.
        """
        found: dict[str, list[float]] = {}
        for arm in arms:
            found[arm] = []
            for left in LEFT:
                path = self.path(arm, left, relevance)
                off = {name: (~mask).nonzero().flatten().tolist() for name, mask in path.items()}
                with experts.gate(self.net, path):
                    found[arm].append(self.score("validation", off=hashlib.sha256(repr(off).encode()).hexdigest()))
        return found


def good_share(curve: list[float], goal: float) -> float:
    """Return the smallest of `LEFT` that reaches a score, as all larger ones do; or the largest.

    Parameters
    ----------
    curve : list of float
        A score for each of `LEFT`.
    goal : float
        The score.
    """
    chosen = LEFT[0]
    for left, score in zip(LEFT, curve):
        if score < goal:
            break
        chosen = left
    return chosen
