"""The arms of the pruning experiment: which curves a profile runs, and running them on all cores.

An arm is one plan; controls at equal sparsity name the arm whose counts they match. Every finished arm lies in
the artifact cache, so a second call, or one after a kill, computes only what is missing.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from torch import Tensor

from relcomp_kit import datasets
from relcomp_kit.artifacts import artifact_path, load_or_make, peek
from relcomp_kit.compression.iterative_pruning import prune_iteratively
from relcomp_kit.compression.pruning_plan import Plan, split_images
from relcomp_kit.datasets.images import ImageSet
from relcomp_kit.errors import UserError
from relcomp_kit.progress import Progress
from relcomp_kit.provenance import commit
from relcomp_kit.studies.profiles import PruningBudget
from relcomp_kit.studies.thesis_net import trained_state
from relcomp_kit.sweeps.local import run_here
from relcomp_kit.sweeps.point import Failure, attempt
from relcomp_kit.threads import cores, using

RECIPE, VERSION = "pruning", 1


@dataclass(frozen=True)
class Arm:
    """A plan and, for a control at equal sparsity, the plan whose counts per neuron it matches.

    With ``at_once`` it takes the other's final counts at its first step, and trains on without pruning.
    """

    plan: Plan
    like: Plan | None = None
    at_once: bool = False

    def config(self) -> dict:
        """Return what decides the arm's content."""
        extra = {"at_once": True} if self.at_once else {}
        return {"plan": _config(self.plan), "like": self.like and _config(self.like)} | extra


def _config(plan: Plan) -> dict:
    """Return a plan as the cache knows it: arms of before there was a choice of initial weights are found again."""
    config = asdict(plan)
    if plan.initial == "torch":
        del config["initial"]
    return config


def pruning_arms(budget: PruningBudget) -> dict[str, list[Arm]]:
    """Return the arms of a profile by group: the published ones first, then the controls they lacked."""
    base = Plan(steps=budget.steps, first_training=budget.first_training, fine_tuning=budget.fine_tuning)

    def group(sf: Iterable[float] = (0.95,), match: bool = False, at_once: bool = False, **changes) -> list[Arm]:
        arms = []
        for seed in budget.seeds:
            for factor in sf:
                plan = replace(base, sf=factor, seed=seed, **changes)
                like = replace(base, sf=factor, seed=seed) if match else None
                arms.append(Arm(plan, like, at_once))
        return arms

    converge = {
        "steps": budget.converge_steps,
        "fine_tuning": budget.converge_fine_tuning,
        "until_unchanged": 20,
        "images": "train",
    }
    arms = {
        "pruned": group(budget.sf),
        "unpruned": group(rule="none"),
        "converged": group((0.6, 0.9, 0.95), **converge),
        "rate": group(rule="rate", **converge),
        "train images": group(budget.control_sf, images="train"),
        "at once": group((0.9,), True, at_once=True, rule="match"),
        "pruning loss": group(loss="pruning"),
        "impact": group(measure="outer_impact"),
        "two classes": group((0.9,), classes=(3, 8)),
        "two classes, unpruned": group((0.9,), classes=(3, 8), rule="none"),
        "measured anew": group(budget.control_sf, cumulate=False),
        "random": group(budget.control_sf, True, rule="match", measure="random", cumulate=False),
        "magnitude": group(budget.control_sf, True, rule="match", measure="magnitude", cumulate=False),
        "taylor": group((0.95,), True, rule="match", measure="taylor", images="train"),
    }
    if budget.text_sf:  # expensive: only where the budget is the published one
        arms["text"] = group(budget.text_sf, protocol="text", images="train")
        arms["text, unpruned"] = group(protocol="text", images="train", rule="none")
        arms["oracle"] = group((0.95,), True, rule="match", measure="oracle", images="train", cumulate=False)
        arms["two maps anew"] = group((0.95,), True, rule="match", cumulate=False)
        arms["probabilistic"] = group(rule="probabilistic", rate=0.8, images="train")
        arms["rank"] = group(rule="rank", rate=0.8, images="train")
        arms["rate, held"] = group(rule="rate", hold_at=0.2, images="train")
    return arms


@functools.lru_cache(maxsize=1)
def _dataset(name: str):
    return datasets.load(name)


def _path(arm: Arm, data_hash: str) -> Path:
    return artifact_path(RECIPE, VERSION, arm.config(), data_hash)


def _run(name: str, arm: Arm) -> None:
    """Compute one arm in a process of its own, if the cache lacks it."""
    _curve(_dataset(name), arm)


def _curve(dataset: ImageSet, arm: Arm) -> tuple[dict[str, Tensor], dict]:
    """Return one arm, computed if the cache lacks it with one thread: more do not speed up a net this small."""

    def make(partial):
        plan, start, counts = arm.plan, None, None
        if arm.like:
            counts = _curve(dataset, Arm(arm.like))[0]["counts"]
            counts = counts[-1:].expand_as(counts) if arm.at_once else counts
        shared = plan.protocol == "program" and plan.rule != "probabilistic" and plan.initial == "torch"
        if shared and not plan.classes:
            start = trained_state(
                dataset, split_images(dataset, plan).train, plan.seed, plan.first_training, plan.activations
            )
        tensors, info = prune_iteratively(dataset, plan, counts=counts, start=start, partial=partial)
        return tensors, info | {"commit": commit()}

    with using(1):
        return load_or_make(RECIPE, VERSION, arm.config(), dataset.sha256, make)


def run_arms(dataset, arms: list[Arm]) -> dict[Arm, tuple[dict[str, Tensor], dict]]:
    """Return every arm's tensors and info (see `prune_iteratively`), computing what the cache lacks.

    Controls come after the arms of their seed that they match.

    Parameters
    ----------
    dataset : ImageSet
        The images; processes load them by its name.
    arms : list of Arm
        The arms wanted.

    Raises
    ------
    RuntimeError
        If an arm fails, with its traceback.
    """

    matched = [Arm(arm.like) for arm in arms if arm.like]
    kept = {arm: peek(_path(arm, dataset.sha256)) for arm in (*matched, *arms)}
    todo = sorted((arm for arm in kept if kept[arm] is None), key=lambda arm: (arm.plan.seed, arm.like is not None))
    jobs = {str(i): functools.partial(_run, dataset.name, arm) for i, arm in enumerate(todo)}
    with Progress(f"pruning curves on {cores()} cores", len(jobs)) as progress:
        for _, outcome in _outcomes(jobs):
            if isinstance(outcome, Failure):
                raise RuntimeError(f"{outcome.sentence}\n{outcome.traceback}")
            progress.advance()
    return {arm: kept[arm] or _curve(dataset, arm) for arm in arms}


def _outcomes(jobs: dict[str, Callable[[], None]]) -> Iterator[tuple[str, object]]:
    if cores() > 1:
        return run_here(jobs.items(), cores())
    return ((name, attempt(job, 1)) for name, job in jobs.items())  # nothing to gain from a second process


def prune(*, seed: int, dataset: str = "mnist", at_once: bool = False, **plan: Plan) -> dict:
    """Run one arm, or take it from the cache: the experiment "prune" of sweeps.

    Parameters
    ----------
    seed : int
        Of the plan: weights, noise and order of images.
    dataset : str
        One of `relcomp_kit.datasets.NAMES`.
    at_once : bool
        As in `Arm`, for the rule "match".
    **plan
        Fields of a `Plan`. With the rule "match" the arm takes the counts of the published one (rule "median", by outer
        products) of the same seed, sparsification factor and steps, which is run first if the cache lacks it.

    Raises
    ------
    UserError
        If the data set is not on this machine, or ``at_once`` is set for another rule.
    """
    data = _dataset(dataset)
    if data.stand_in_for:
        raise UserError(f"{dataset} is not on this machine: run `relcomp fetch {dataset}`, or take dataset = 'digits'")
    arm = Arm(Plan(seed=seed, **plan), at_once=at_once)
    if arm.plan.rule == "match":
        same = ("seed", "sf", "steps", "first_training", "fine_tuning", "initial")
        arm = replace(arm, like=Plan(**{name: getattr(arm.plan, name) for name in same}))
    elif at_once:
        raise UserError("at_once is for the rule 'match': leave one of them out")
    _, info = _curve(data, arm)
    curve = info["curve"]
    return {
        "weights left": (curve["left"], "weights per layer"),
        "validation accuracy": (curve["validation"], "share"),
        "test accuracy": (curve["test"], "share"),
        "SGD steps": curve["sgd_steps"],
        "data": data.sha256,
        "made by": info.get("commit", "unknown"),
    }
