"""The net of lesson 10, which nobody here built: with published weights where they are at hand, else trained here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from relcomp_kit.compression.ecqx import state_dict
from relcomp_kit.compression.ecqx.qat import QatRecipe, quantized_net
from relcomp_kit.datasets import labelled
from relcomp_kit.datasets.download import data_dir
from relcomp_kit.datasets.own_folders import load_folder
from relcomp_kit.errors import UserError
from relcomp_kit.models.own_nets import build
from relcomp_kit.studies.own_net.task import Data
from relcomp_kit.studies.profiles import OwnNetBudget
from relcomp_kit.studies.quantization.classifiers import FOLDER

PUBLISHED = "relcomp_kit.models.classifiers:CifarResNet"  # called without arguments: ResNet-20
TRAINED = "torchvision:shufflenet_v2_x0_5"
ENLARGED = 4  # times, of digits of 8x8


@dataclass(frozen=True, eq=False)
class Example:
    """A net, its weights and its images, as their owner has them.

    Parameters
    ----------
    spec : str
        As `relcomp_kit.models.own_nets.build` takes it.
    weights : Path
        Their file.
    folder : Path
        Of the images.
    data : ImageSet
        The images.
    asked : tuple of str
        Classes for an expert.
    words : str
        What it is, for people.
    validation_from : str
        As in `relcomp_kit.datasets.own_folders.load_folder`.
    """

    spec: str
    weights: Path
    folder: Path
    data: Data
    asked: tuple[str, ...]
    words: str
    validation_from: str = "train"


def example(folder: Path, budget: OwnNetBudget, seed: int = 0, report: Callable | None = None) -> Example:
    """Return a net of other people's, or one that is trained here on scikit-learn's digits and written into a folder.

    Parameters
    ----------
    folder : Path
        Of what is written.
    budget : OwnNetBudget
        How many images, and steps of the training.
    seed : int
        Of the training.
    report : callable, optional
        ``report(step, steps, text)`` after every step.
    """
    weights = (data_dir() or folder) / FOLDER / "resnet20.safetensors"
    try:
        place = labelled.find("cifar10")[1]
    except UserError:
        place = None
    if place is not None and (place / "train").is_dir() and weights.is_file():  # as pictures, a folder a class
        data = load_folder(place, most=budget.images, validation_from="test")  # others trained on all of train
        asked = ("airplane", "automobile", "ship", "truck")
        return Example(
            PUBLISHED, weights, place, data, asked, "a ResNet-20 on CIFAR-10, with weights that others trained", "test"
        )
    pictures = _digits(folder / "digits")
    data, weights = load_folder(pictures, most=budget.images), folder / "weights.pt"
    steps = budget.first_training
    recipe = QatRecipe(arm="float", steps=steps, schedule="poly", precision="fp32", validate_every=steps)
    net = build(TRAINED, len(data.classes)).train()
    trained, _ = quantized_net(recipe, net, load_folder(pictures), seed, report=report)
    torch.save({"state_dict": {f"module.{name}": value for name, value in state_dict(trained).items()}}, weights)
    return Example(
        TRAINED, weights, pictures, data, ("0", "1", "7"), "torchvision's ShuffleNet, trained here on digits"
    )


def _digits(folder: Path) -> Path:
    """Write scikit-learn's digits as pictures, a folder a class."""
    found = load_digits()
    for number, (image, label) in enumerate(zip(found.images, found.target)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        grey = np.kron(np.minimum(image * 16, 255), np.ones((ENLARGED, ENLARGED))).astype(np.uint8)
        Image.fromarray(grey).convert("RGB").save(place / f"{number:04d}.png")
    return folder
