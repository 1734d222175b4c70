"""What holds a run of `relcomp large` together: settings, clock, the plan of its steps, and the record."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.errors import UserError
from relcomp_kit.evidence.record import Record
from relcomp_kit.files import make_folder, read_json, write_json
from relcomp_kit.models.device import choose_device, describe_device
from relcomp_kit.models.metrics import evaluate, plain
from relcomp_kit.studies.large_net.clock import Clock

WANTED = "rail"  # the class that experts are for
Say = Callable[[str], None]


@dataclass(frozen=True)
class Settings:
    """What decides a run.

    Parameters
    ----------
    net : str
        A size of DeepLabV3.
    size : (int, int)
        Height and width of the scenes.
    seed, batch : int
        Of the training.
    steps : int, optional
        A rehearsal: so many steps in each training, on a few scenes of each split, without a clock.
    """

    net: str = "resnet101"
    size: tuple[int, int] = (192, 320)
    seed: int = 0
    batch: int = 16
    steps: int | None = None


class Plan:
    """How many steps each stage takes: timed once, and kept for the same command when it goes on.

    Parameters
    ----------
    file : Path
        Where it is kept.
    settings : Settings
        Of the run; a file of other settings is refused.
    """

    def __init__(self, file: Path, settings: Settings):
        self.file, self.settings, about = file, settings, asdict(settings) | {"size": list(settings.size)}
        new = {"settings": about, "steps": {}, "seconds": [0.0, 0.0]}
        self.content = read_json(file) if file.is_file() else new
        if self.content["settings"] != about:
            raise UserError(f"{file} is of a run with other settings: choose another folder with --out")

    def steps(self, stage: str, measure: Callable[[], int]) -> int:
        """Return the steps of a stage: those of the rehearsal, those kept, or those that are measured.

        Parameters
        ----------
        stage : str
            What they are for.
        measure : callable
            Returns how many there is time for.
        """
        if self.settings.steps:
            return self.settings.steps
        if stage not in self.content["steps"]:
            self.content["steps"][stage] = measure()
            write_json(self.file, self.content)
        return self.content["steps"][stage]


class Run:
    """One run: its settings, clock, plan and record.

    Parameters
    ----------
    settings : Settings
        What decides it.
    minutes : float
        That it may take.
    out : Path
        Folder of the files.
    say : callable
        Takes lines for people.
    """

    def __init__(self, settings: Settings, minutes: float, out: Path, say: Say):
        self.settings, self.out, self.say = settings, make_folder(out), say
        self.clock = Clock(float("inf") if settings.steps else 60 * minutes)
        self.plan = Plan(out / "plan.json", settings)
        self.record = Record("large_net", "rehearsal" if settings.steps else "full", "rail-scenes")
        self.record.content |= {"device": describe_device(), "settings": asdict(settings), "minutes": minutes}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Note the time and the peak memory of a stage, and write the record as it is then.

        Parameters
        ----------
        name : str
            Of the stage.
        """
        start, cuda = self.clock.taken(), choose_device().type == "cuda"
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        yield
        took = self.clock.taken() - start
        self.record.measure("time", took, "s", stage=name)
        told = f"{name}: {took:.0f} s"
        if cuda:
            peak = torch.cuda.max_memory_allocated()
            self.record.measure("peak memory", peak, "bytes", stage=name)
            told += f", {peak / 1e9:.1f} GB at most"
        write_json(self.out / "record.json", self.record.content)
        self.say(told)

    @property
    def seconds(self) -> tuple[float, float]:
        """What a step and a validation of the training take, once they were measured."""
        step, validation = self.plan.content["seconds"]
        return step, validation

    def cut(self, stage: str, what: str) -> None:
        """Say, and note, that a stage was cut short.

        Parameters
        ----------
        stage : str
            Its name.
        what : str
            What it lacks.
        """
        self.record.measure("cut short", what, stage=stage)
        self.say(f"CUT SHORT: {what}")

    def watch(self, stage: str) -> Callable[[int, int, str], None]:
        """Return what a training calls after every step: it ends a stage that has no time left.

        Parameters
        ----------
        stage : str
            As in `Clock.left`.
        """
        return lambda *_: self.clock.check(stage)

    def score(self, what: str, net: nn.Module, data: SceneSet) -> None:
        """Note how a net does on the test split.

        Parameters
        ----------
        what : str
            What the net is called.
        net : nn.Module
            In eval mode.
        data : SceneSet
            Whose test split is taken.
        """
        found = evaluate(net, data.test, data.classes, batch=self.settings.batch, precision="auto")
        self.record.measure("pixel accuracy", found["pixel_accuracy"], "share", net=what)
        self.record.measure("mIoU", found["miou"], "share", net=what)
        self.record.measure("IoU", plain(found["iou"]), "share", net=what)
        self.say(
            f"{what}: mIoU {found['miou']:.3f}, {WANTED} {found['iou'][WANTED]:.3f} on {len(data.test)} test scenes"
        )
