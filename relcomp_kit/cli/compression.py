"""The commands for nets of one's own: `relcomp compress` and `predict`."""

from pathlib import Path
from typing import Annotated

import typer

from relcomp_kit.cli.options import interruptible
from relcomp_kit.errors import UserError

DEFAULT_OUT = Path("compressed")
MOST = 2000


def compress(
    net: Annotated[
        str,
        typer.Argument(
            metavar="NET",
            help="torchvision:resnet18; MODULE:FUNCTION that returns your net; a committed net; or a file of the kit.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="FOLDER/CLASS/*.png to classify, or images/ and labels/ of the same names, and classes.txt, to "
            "segment; each also in train/, validation/, test/. Or the name of a set, such as cifar10 or rail-scenes.",
        ),
    ],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of the net: safetensors, or what torch.save wrote of a state.")
    ] = None,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Where files and page go.")] = DEFAULT_OUT,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Classes that the expert is for; all by default.")
    ] = None,
    bits: Annotated[int, typer.Option(help="Of a weight at least, 2 to 8.")] = 4,
    keep: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Multiply-adds of the expert, such as 0.5; else it is chosen.")
    ] = None,
    lose: Annotated[float, typer.Option(metavar="POINTS", help="Of 100, that may be lost on validation.")] = 2.0,
    train: Annotated[int, typer.Option(metavar="N", help="Steps of quantization-aware training.")] = 0,
    size: Annotated[str | None, typer.Option(metavar="HxW", help="Of the images, if not their own.")] = None,
    mean: Annotated[
        str | None, typer.Option(metavar="R,G,B", help="That the net wants taken out of images in [0, 1]; with --std.")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="R,G,B", help="Standard deviation, likewise.")] = None,
    grey: Annotated[bool, typer.Option("--grey", help="Images to classify have one channel.")] = False,
    images: Annotated[int, typer.Option(metavar="N", help="Of each part at most so many; 0 for all.")] = MOST,
    validation_from: Annotated[
        str,
        typer.Option(
            metavar="PART",
            help="train or test: what images for choices are held out of; test if the net was trained on all of train.",
        ),
    ] = "train",
    seed: Annotated[int, typer.Option(help="Of random choices, and of the training.")] = 0,
) -> None:
    """Compress a net of your own: what relevance is worth for it, as files and one page.

    It looks at what of the net can be treated, measures relevance, quantizes by ECQ^x, cuts out an expert, and writes
    both as NNC and ONNX files. Magnitude and random choice stand beside relevance. What was measured is cached.
    """
    from relcomp_kit.datasets.own_folders import load_folder
    from relcomp_kit.files import cache_dir, make_folder
    from relcomp_kit.studies.own_net.compressing import compress as run
    from relcomp_kit.studies.own_net.ladder import Settings
    from relcomp_kit.studies.segmentation.training import read_size

    settings = Settings(bits, keep, lose / 100, train, seed)
    make_folder(out)  # or it would be said after the work
    found = load_folder(
        data,
        read_size(size) if size else None,
        most=images or None,
        grey=grey,
        scale=_scale(mean, std),
        validation_from=validation_from,
    )
    wanted = [name.strip() for name in classes.split(",")] if classes else []
    with interruptible(f"what was measured is in {cache_dir()}"):
        made = run(net, found, out, weights=weights, classes=wanted, settings=settings, say=_say)
    for line in made.lines:
        print(line)
    print(f"Files are in {out}: open {made.files['index.html']} in a browser.")


def _say(line: str) -> None:
    print(line, flush=True)


def _scale(mean: str | None, std: str | None):
    if (mean is None) != (std is None):
        raise UserError("--mean and --std go together: give both, or neither")
    if mean is None or std is None:
        return None
    try:
        return tuple(tuple(float(part) for part in text.split(",")) for text in (mean, std))
    except ValueError as error:
        raise UserError(f"--mean {mean} and --std {std} are numbers with commas, such as 0.49,0.48,0.45") from error


def predict(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Of `compress`, `encode`, `decode` or `train`, or a committed net.")
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="PNG or JPEG.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="DIR", help="Where pictures of a net that segments go.")
    ] = Path("predicted"),
    labels: Annotated[
        bool, typer.Option("--labels", help="Write maps of class numbers instead of coloured pictures.")
    ] = False,
    expert: Annotated[
        str | None, typer.Option(metavar="NAME", help="An expert in the file, which answers instead of the net.")
    ] = None,
    net: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Makes the net, where the file says it is code of yours."),
    ] = None,
) -> None:
    """Ask a net about pictures: the class of each, or a picture with the class of each pixel."""
    from relcomp_kit.studies.own_net.nets import read
    from relcomp_kit.studies.own_net.predicting import predict as run

    for answer in run(read(file, net), images, out, expert=expert, labels=labels):
        where = f" -> {answer.file}" if answer.file else ""
        print(f"{answer.image}: {answer.words}{where}", flush=True)
