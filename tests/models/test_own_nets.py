"""Nets that nobody here built: made by a line of text, with weights from whatever a training has left."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.own_nets import build, load_weights


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(64, 2)).eval()


@pytest.fixture
def nets() -> tuple[nn.Module, nn.Module]:
    """Two nets of one kind: one whose weights are saved, and one to load them into."""
    return small(), small()


def same(net: nn.Module, state: dict) -> bool:
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


PREFIXES = ("", "module.", "model.", "module.module.", "_orig_mod.", "_orig_mod.module.net.", "a.b.c.")


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", ["pt", "safetensors"])
def test_prefixes_of_all_kinds(nets, tmp_path, prefix, kind):
    net, other = nets
    state = {f"{prefix}{name}": value for name, value in net.state_dict().items()}
    file = tmp_path / f"w.{kind}"
    save_file(state, file) if kind == "safetensors" else torch.save(state, file)
    assert same(load_weights(other, file), net.state_dict()) and not other.training


def test_wrappers_in_the_middle_of_names(nets, tmp_path):
    net, other = nets
    state = {name.replace(".", ".module.", 1): value for name, value in net.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    assert same(load_weights(other, tmp_path / "w.pt"), net.state_dict())


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "net"])
def test_states_of_trainings(nets, tmp_path, key):
    net, other = nets
    torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, key: net.state_dict()}, tmp_path / "w.ckpt")
    assert same(load_weights(other, tmp_path / "w.ckpt"), net.state_dict())


def test_a_part_of_a_larger_state(nets, tmp_path):
    """Lightning keeps losses and metrics beside the net."""
    net, other = nets
    state = {f"model.{name}": value for name, value in net.state_dict().items()} | {"loss.weight": torch.ones(2)}
    torch.save({"state_dict": state}, tmp_path / "w.ckpt")
    assert same(load_weights(other, tmp_path / "w.ckpt"), net.state_dict())


def test_half_precision_old_states_and_auxiliary_heads(nets, tmp_path):
    net, other = nets
    state = {name: value.half() if value.is_floating_point() else value for name, value in net.state_dict().items()}
    del state["1.num_batches_tracked"]  # as torch saved them before 0.4.1
    torch.save(state | {"aux_classifier.0.weight": torch.ones(2)}, tmp_path / "w.pt")
    load_weights(other, tmp_path / "w.pt")
    assert other[0].weight.dtype == torch.float32
    torch.testing.assert_close(other[0].weight, net[0].weight, atol=1e-3, rtol=1e-3)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def changed(state: dict, **new) -> dict:
    return {name: value for name, value in (dict(state) | new).items() if value is not None}


BAD = {  # content of the file from the state, and what the sentence says
    "missing": (None, "cannot be read"),
    "empty": (lambda state: b"", "no weights that can be read safely"),
    "text": (lambda state: b"hello", "no weights that can be read safely"),
    "a program": (lambda state: pickle.dumps(Evil()), "no weights that can be read safely"),
    "a list": (lambda state: [1.0, 2.0], "holds a list"),
    "numbers": (lambda state: {"epoch": 3}, "no tensor"),
    "a weight less": (lambda state: changed(state, **{"0.weight": None}), "lacks 0.weight"),
    "a weight more": (lambda state: changed(state, extra=torch.ones(1)), "also holds extra"),
    "another size": (lambda state: changed(state, **{"3.bias": torch.ones(5)}), "3.bias is 5 and 2"),
    "another net": (lambda state: nn.Linear(2, 2).state_dict(), "of another net"),
    "not a number": (
        lambda state: changed(state, **{"3.bias": torch.full((2,), torch.nan)}),
        "NaN or infinity in 3.bias",
    ),
    "whole numbers": (
        lambda state: changed(state, **{"3.bias": torch.ones(2, dtype=torch.int8)}),
        "holds int8 in 3.bias, where the net has floats",
    ),
    "complex numbers": (
        lambda state: changed(state, **{"3.bias": torch.ones(2, dtype=torch.complex64)}),
        "holds complex64 in 3.bias",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_a_sentence(nets, tmp_path, capsys, case):
    make, words = BAD[case]
    content = make(nets[0].state_dict()) if make else None
    for suffix in (".pt", ".safetensors") if make is None or isinstance(content, bytes) else (".pt",):
        file = tmp_path / f"bad{suffix}"
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif content is not None:
            torch.save(content, file)
        refused(nets[1], file, words)
    assert "run" not in capsys.readouterr().out


def refused(net: nn.Module, file: Path, words: str) -> None:
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(UserError, match=words) as found:
        load_weights(net, file)
    assert file.name in str(found.value) and "\n" not in str(found.value)
    assert same(net, before), "a refused file changes nothing"


SPECS = {
    "resnet18": "is no net",
    "torchvision:resnet1": "torchvision has no net 'resnet1'",
    "torchvision:fasterrcnn_resnet50_fpn": "to classify or to segment",
    "no_such_module_of_mine:make": "ModuleNotFoundError",
    "math:no_such_function": "AttributeError",
    "math:pi": "TypeError",
    "math:sqrt": "TypeError",
    "os:getcwd": "returns a str",
    ":make": "is no net",
    "make:": "is no net",
}


@pytest.mark.parametrize("spec", SPECS)
def test_bad_nets_are_a_sentence(spec):
    with pytest.raises(UserError, match=SPECS[spec]) as found:
        build(spec, 10)
    assert "\n" not in str(found.value)


def test_a_function_of_the_working_folder_gets_the_number_of_classes(tmp_path, monkeypatch):
    code = (
        "from torch import nn\ndef make(num_classes):\n    return nn.Linear(2, num_classes)\ndef broken():\n    1 / 0\n"
    )
    (tmp_path / "nets_of_a_test.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    made = build("nets_of_a_test:make", 7)
    assert made.out_features == 7 and not made.training
    with pytest.raises(UserError, match="ZeroDivisionError: division by zero"):
        build("nets_of_a_test:broken", 7)


def test_torchvision_comes_without_auxiliary_heads_and_leaves_random_numbers_alone():
    before = torch.random.get_rng_state()
    net = build("torchvision:squeezenet1_1", 5)
    assert torch.equal(before, torch.random.get_rng_state())
    assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "lraspp_mobilenet_v3_large", "deeplabv3_mobilenet_v3_large"])
def test_all_kinds_of_torchvision(name):
    net = build(f"torchvision:{name}", 5)
    assert not [key for key in net.state_dict() if key.startswith("aux")]
