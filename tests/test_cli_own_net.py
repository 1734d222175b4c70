"""`relcomp compress` and `predict` on the command line: what is wrong is one sentence, and nothing is written."""

import sys

import pytest
import torch
from PIL import Image
from torch import nn

from relcomp_kit.cli import app


@pytest.fixture
def relcomp(monkeypatch, tmp_path, own_cache, capsys):
    """``relcomp(*arguments)`` runs the command line in a folder with pictures and weights; status, stdout, stderr."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (50 * number, 0, 0)).save(tmp_path / "photos" / name / f"{number}.png")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    (tmp_path / "nets_of_the_command.py").write_text(
        "from torch import nn\n\ndef make(num_classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, num_classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELCOMP_DATA", raising=False)

    def run(*arguments) -> tuple[int, list[str], list[str]]:
        monkeypatch.setattr(sys, "argv", ["relcomp", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app.main()
        said = capsys.readouterr()
        return stop.value.code or 0, said.out.splitlines(), said.err.splitlines()

    return run


MINE = ("compress", "nets_of_the_command:make", "--data", "photos")
BAD = {
    "no such folder": (("compress", "nets_of_the_command:make", "--data", "nowhere"), "nowhere is no folder"),
    "no such net": (("compress", "resnet18", "--data", "photos"), "'resnet18' is no net"),
    "no weights": (("compress", "torchvision:squeezenet1_1", "--data", "photos"), "name their file with --weights"),
    "other weights": ((*MINE, "--weights", "w.pt"), "w.pt is of another net"),
    "no weights there": ((*MINE, "--weights", "gone.pt"), "gone.pt cannot be read"),
    "no such class": ((*MINE, "--classes", "cat,cow"), "there is no class 'cow'"),
    "one class": ((*MINE, "--classes", "cat"), "ask for two classes"),
    "bits": ((*MINE, "--bits", "1"), "2 to 8 bits, not 1"),
    "keep": ((*MINE, "--keep", "0"), "lies in (0, 1]"),
    "lose": ((*MINE, "--lose", "-1"), "may be lost"),
    "train": ((*MINE, "--train", "-5"), "0 or more"),
    "size": ((*MINE, "--size", "big"), "such as 96x160"),
    "a size that does not fit": ((*MINE, "--size", "9x9"), "does not take images of 3x9x9"),
    "a mean alone": ((*MINE, "--mean", "0.5,0.5,0.5"), "go together"),
    "a mean that is none": ((*MINE, "--mean", "a", "--std", "b"), "numbers with commas"),
    "a mean for other images": ((*MINE, "--mean", "0.5", "--std", "0.5"), "each of 3 channels"),
    "images": ((*MINE, "--images", "-3"), "take 1 or more"),
    "a file in the way": ((*MINE, "-o", "w.pt"), "it is a file, not a folder"),
    "a file of the kit with weights": (
        ("compress", "compact-rail-scenes-0", "--data", "photos"),
        "knows the classes rail, trackbed",
    ),
    "predict nothing": (("predict", "gone.nnc", "photos/cat/0.png"), "gone.nnc cannot be read"),
    "predict by a picture": (("predict", "photos/cat/0.png", "photos/cat/0.png"), "is neither a .nnc nor"),
    "predict a folder": (("predict", "compact-rail-scenes-0", "photos"), "photos is a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence(relcomp, tmp_path, case):
    arguments, words = BAD[case]
    before = {file for file in tmp_path.rglob("*") if "cache" not in file.parts and "__pycache__" not in file.parts}
    status, _, lines = relcomp(*arguments)
    assert status == 1 and len(lines) == 1 and lines[0].startswith("relcomp: "), lines
    assert words in lines[0]
    after = {file for file in tmp_path.rglob("*") if "cache" not in file.parts and "__pycache__" not in file.parts}
    assert after - before <= {tmp_path / "compressed"} and not list(tmp_path.glob("compressed/*"))


def test_a_committed_net_draws_the_classes_of_a_picture(relcomp, tmp_path):
    status, out, lines = relcomp("predict", "compact-rail-scenes-0", "photos/cat/0.png", "-o", "drawn")
    assert status == 0 and not lines and out[0].startswith("photos/cat/0.png: ") and out[0].endswith("0.png")
    assert Image.open(tmp_path / "drawn" / "0.png").size == (8, 8)
    status, _, lines = relcomp("predict", "compact-rail-scenes-0", "photos/cat/0.png", "photos/dog/0.png")
    assert status == 1 and "two pictures are called 0" in lines[0]


@pytest.mark.slow
def test_from_a_folder_to_a_page_and_an_answer(relcomp, tmp_path):
    status, out, lines = relcomp(*MINE, "-o", "made", "--images", "8")
    assert status == 0 and out[-1] == "Files are in made: open made/index.html in a browser."
    assert all(line.startswith("measuring: ") for line in lines), "a log gets lines of progress"
    status, _, lines = relcomp("predict", "made/net.nnc", "photos/cat/0.png")
    assert status == 1 and "say so with --net nets_of_the_command:make" in lines[0]
    status, out, _ = relcomp("predict", "made/net.nnc", "photos/cat/0.png", "--net", "nets_of_the_command:make")
    assert status == 0 and out[0].startswith(("photos/cat/0.png: cat (", "photos/cat/0.png: dog ("))
