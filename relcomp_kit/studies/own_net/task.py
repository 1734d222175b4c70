"""What is asked of a net of one's own: images to measure relevance on, and scores on the parts that decide."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from relcomp_kit.compression.ecqx.tasks import PIECE
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.datasets.scene_set import SceneSet
from relcomp_kit.datasets.subsets import evenly
from relcomp_kit.datasets.transforms import normalize, standardize
from relcomp_kit.errors import UserError
from relcomp_kit.models.device import device_of
from relcomp_kit.models.metrics import evaluate
from relcomp_kit.models.outputs import logits
from relcomp_kit.models.scene_batches import stack

IMAGES, SCENES = 256, 32  # of the training part, on which relevance is measured
BATCH, SCENE_BATCH = 32, 4
Data = ImageSet | SceneSet
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Task:
    """A set of images, and the classes that count.

    Parameters
    ----------
    data : ImageSet or SceneSet
        Of 8-bit images, as `relcomp_kit.datasets.own_folders.load_folder` gives it.
    asked : tuple of int
        Numbers of the classes that an expert is asked for; all, if it is for all.

    Attributes
    ----------
    score : str
        What is measured: "accuracy" to classify, "mIoU" to segment.
    """

    data: Data
    asked: tuple[int, ...]

    @property
    def segments(self) -> bool:
        """Whether every pixel has a class."""
        return isinstance(self.data, SceneSet)

    @property
    def score(self) -> str:
        """What is measured."""
        return "mIoU" if self.segments else "accuracy"

    @property
    def example(self) -> Tensor:
        """One image of the training part, as the net wants it: (1, C, H, W)."""
        return next(self.relevance_batches(1))[0]

    def relevance_batches(self, most: int | None = None) -> Iterator[Batch]:
        """Yield training images of the classes asked for, with their classes, as the net wants them."""
        if isinstance(self.data, ImageSet):
            part = _of_classes(self.data.train, self.asked)
            for piece in torch.tensor(evenly(len(part), most or IMAGES)).split(BATCH):
                yield self.scaled(part.images[piece]), part.labels[piece]
            return
        wanted, found = torch.tensor(self.asked), []
        for index in range(len(self.data.train)):
            scene = self.data.train[index]
            if torch.isin(scene[1].as_subclass(Tensor), wanted).any():
                found.append(scene)
            if len(found) == (most or SCENES):
                break
        for start in range(0, len(found), SCENE_BATCH):
            images, labels = stack(found[start : start + SCENE_BATCH])
            yield self.scaled(images), labels.long()

    @torch.inference_mode()
    def measure(self, net: nn.Module, part: str) -> float:
        """Return the score of a net on the images of the classes asked for, in [0, 1].

        To classify, the accuracy on images of the classes asked for, where the net's answer is the highest output among
        them. To segment, the mean IoU of these classes.

        Parameters
        ----------
        net : nn.Module
            In eval mode.
        part : str
            "validation" or "test".
        """
        if isinstance(self.data, SceneSet):
            found = evaluate(net, getattr(self.data, part), self.data.classes, batch=1, scale=self.data.scale)
            values = torch.tensor([found["iou"][self.data.classes[one]] for one in self.asked])
            if values.isnan().all():
                raise UserError(
                    f"no scene of the {part} part shows {self.named()}, nor does the net see it there: take more scenes"
                )
            return values.nanmean().item()
        split, wanted, right = _of_classes(getattr(self.data, part), self.asked), torch.tensor(self.asked), 0
        device = device_of(net)
        size = max(1, PIECE // split.images[0, 0].numel())
        for images, labels in zip(split.images.split(size), split.labels.split(size)):
            output = logits(net(self.scaled(images.to(device)))).cpu()
            right += int((wanted[output[:, wanted].argmax(1)] == labels).sum())
        return right / len(split.labels)

    def named(self) -> str:
        """Return the names of the classes asked for."""
        return ", ".join(self.data.classes[one] for one in self.asked)

    def scaled(self, images: Tensor) -> Tensor:
        """Return uint8 images, (N, C, H, W), as the net wants them."""
        return (normalize if self.segments else standardize)(images, self.data.scale)

    def images(self, part: str) -> int:
        """Return how many images a score is of."""
        chosen = getattr(self.data, part)
        return len(_of_classes(chosen, self.asked) if isinstance(chosen, Split) else chosen)

    def to_train(self) -> Data:
        """Return the set with images of the classes asked for alone, to train an expert on."""
        if isinstance(self.data, SceneSet) or len(self.asked) == len(self.data.classes):
            return self.data
        parts = {name: _of_classes(getattr(self.data, name), self.asked) for name in ("train", "validation", "test")}
        return replace(self.data, **parts, sha256=f"{self.data.sha256} {self.asked}")


def task_for(data: Data, asked: Sequence[str] = ()) -> Task:
    """Return the task of some classes of a set, or of all.

    Parameters
    ----------
    data : ImageSet or SceneSet
        The set.
    asked : sequence of str
        Names of classes; none for all.

    Returns
    -------
    Task
        Gives images to measure relevance on, and scores.

    Raises
    ------
    UserError
        If there is no such class, or it is asked for one class of images to classify, among which nothing is left to
        tell apart.
    """
    unknown = [name for name in asked if name not in data.classes]
    if unknown:
        raise UserError(f"there is no class {unknown[0]!r}: the set has {', '.join(data.classes)}")
    chosen = tuple(sorted({data.classes.index(name) for name in asked})) or tuple(range(len(data.classes)))
    if len(chosen) < 2 and isinstance(data, ImageSet):
        raise UserError(f"an expert for {asked[0]} alone has nothing to tell apart: ask for two classes at least")
    task = Task(data, chosen)
    for part in ("train", "validation", "test"):
        if not task.images(part):
            raise UserError(f"the {part} part holds no image of the classes asked for: take others, or more images")
    if next(task.relevance_batches(1), None) is None:
        raise UserError(f"no training scene shows {task.named()}: take more scenes, or other classes")
    return task


def check_fit(net: nn.Module, task: Task, spec: str) -> None:
    """Raise a `UserError` unless a net takes the images and has an output for each class.

    Parameters
    ----------
    net : nn.Module
        In eval mode.
    task : Task
        What it shall do.
    spec : str
        What the net is called.
    """
    x, label = next(task.relevance_batches(1))
    try:
        with torch.inference_mode():
            output = net(x.to(device_of(net)))
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError) as error:
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{spec} does not take images of {'x'.join(map(str, x.shape[1:]))} ({what}): say another --size"
        ) from error
    answer = logits(output)
    if answer.shape[1:2] != (len(task.data.classes),):
        raise UserError(
            f"{spec} gives {'x'.join(map(str, answer.shape[1:]))} numbers for an image and the set has "
            f"{len(task.data.classes)} classes: take the set, or as many classes, that the net was trained on"
        )
    if answer.shape[2:] != label.shape[1:]:
        raise UserError(
            f"{spec} gives {'x'.join(map(str, answer.shape[2:])) or 'one answer'} for {'x'.join(map(str, x.shape[2:]))}"
            " pixels: a net that segments answers for each pixel, and one that classifies for each image"
        )
    if not answer.isfinite().all():
        raise UserError(f"{spec} gives NaN or infinity for the first image: look at its weights, --mean and --std")


def _of_classes(split: Split, asked: tuple[int, ...]) -> Split:
    chosen = torch.isin(split.labels, torch.tensor(asked))
    return split if chosen.all() else Split(split.images[chosen], split.labels[chosen])
