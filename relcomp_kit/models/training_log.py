"""The log of a training, for other programs: a CSV file, and TensorBoard."""

import csv
import io
from pathlib import Path

from relcomp_kit.files import make_folder, write_atomic

COLUMNS = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "learning_rate": "learning rate",
    "images_per_second": "images/s",
    "seconds": "seconds",
    "pixel_accuracy": "validation pixel accuracy",
    "miou": "validation mIoU",
}


def write_csv(path: Path, history: list[dict]) -> Path:
    """Write the history of a training as CSV, a row a validation.

    Parameters
    ----------
    path : Path
        The file.
    history : list of dict
        At least one row, as in `relcomp_kit.models.segmentation_training.Trained`. Shares are in [0, 1]; an IoU is left
        empty where the class does not occur.

    Returns
    -------
    Path
        The file.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS.values(), *(f"IoU {name}" for name in history[0]["iou"])])
    for row in history:
        numbers = [*(row[name] for name in COLUMNS), *row["iou"].values()]
        writer.writerow("" if number is None else f"{number:.6g}" for number in numbers)
    return write_atomic(path, text.getvalue())


def write_tensorboard(folder: Path, history: list[dict]) -> None:
    """Add rows of a history to the event files of a folder.

    Parameters
    ----------
    folder : Path
        Folder that TensorBoard reads; it is made if needed.
    history : list of dict
        Rows as in `relcomp_kit.models.segmentation_training.Trained`.
    """
    from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

    with SummaryWriter(str(make_folder(folder))) as writer:
        for row in history:
            values = {title: row[name] for name, title in COLUMNS.items() if name != "step"}
            values |= {f"IoU/{name}": value for name, value in row["iou"].items() if value is not None}
            for name, value in values.items():
                writer.add_scalar(name, value, row["step"])
