"""Checkpoints in half precision: nothing that counts is lost, and only what was committed is read."""

import pytest
import torch

from relcomp_kit.artifacts import read_artifact, write_artifact
from relcomp_kit.errors import UserError
from relcomp_kit.files import checkout
from relcomp_kit.models import checkpoints
from relcomp_kit.models.checkpoints import commit_checkpoint, committed, load, load_net, name_of, save_half
from relcomp_kit.models.deeplab import deeplab

CLASSES = ["red", "green", "blue"]
INFO = {"net": "compact", "classes": CLASSES, "seed": 0, "metrics": {"miou": 0.5}}


@pytest.fixture
def net():
    """A compact net whose batch-norms have seen something."""
    net = deeplab("compact", 3)
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(2, 3, 32, 32))
    return net.eval()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An own folder of committed checkpoints."""
    folder = tmp_path / "checkpoints"
    monkeypatch.setattr(checkpoints, "_folder", lambda: folder)
    return folder


@pytest.mark.slow
def test_a_net_comes_back_in_half_the_bytes(net, tmp_path):
    file = save_half(tmp_path / "net.safetensors", net.state_dict(), INFO)
    assert file.stat().st_size == pytest.approx(2 * sum(p.numel() for p in net.parameters()), rel=0.03)
    again, info = load(str(file), CLASSES)
    assert info == INFO and not again.training
    for name, value in net.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=2**-11, atol=2**-24)
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(again(x)["out"], net(x)["out"], rtol=0.02, atol=0.02)


def test_what_half_precision_cannot_hold_stays_float32(tmp_path):
    state = {
        "bn1.running_var": torch.tensor([1.0, 1e-9]),  # would become 0
        "bn2.running_var": torch.tensor([1.0, 3.3e-7]),  # would lose digits
        "bn3.running_var": torch.tensor([1.0, 1e5]),  # would become infinite
        "bn4.running_var": torch.tensor([1.0, 0.1]),
        "bn4.running_mean": torch.tensor([1.0, 1e-9]),  # 0 is as good
        "conv.weight": torch.tensor([7e4]),
        "bn4.num_batches_tracked": torch.tensor(70_000),
    }
    kept, _ = read_artifact(save_half(tmp_path / "net.safetensors", state, INFO))
    for name in ("bn1.running_var", "bn2.running_var", "bn3.running_var", "conv.weight", "bn4.num_batches_tracked"):
        assert torch.equal(kept[name], state[name]) and kept[name].dtype == state[name].dtype, name
    assert kept["bn4.running_var"].dtype == kept["bn4.running_mean"].dtype == torch.float16


@pytest.mark.slow
def test_a_committed_net_is_found_by_its_name_with_its_log(net, folder, tmp_path):
    file = save_half(tmp_path / "compact-stripes-0.safetensors", net.state_dict(), INFO)
    file.with_suffix(".csv").write_text("step\n1\n")
    commit_checkpoint(file)
    commit_checkpoint(save_half(tmp_path / "compact-stripes-1.safetensors", net.state_dict(), INFO))
    assert sorted(committed()) == ["compact-stripes-0", "compact-stripes-1"]
    entry = committed()["compact-stripes-0"]
    assert (entry["net"], entry["classes"], entry["size"]) == ("compact", CLASSES, file.stat().st_size)
    assert (folder / "compact-stripes-0.csv").read_text() == "step\n1\n"
    one, other = load_net("compact-stripes-0").state_dict(), load_net(file).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_bytes_than_the_committed_ones_are_not_read(net, folder, tmp_path):
    commit_checkpoint(save_half(tmp_path / "mine.safetensors", net.state_dict(), INFO))
    save_half(folder / "mine.safetensors", net.state_dict(), INFO | {"seed": 1})
    with pytest.raises(UserError, match=r"mine.safetensors is not the file that was committed \(wrong sha256\)"):
        load_net("mine")
    (folder / "mine.safetensors").unlink()
    with pytest.raises(UserError, match=r"mine.safetensors is missing: restore it"):
        load_net("mine")
    with pytest.raises(UserError, match="no committed net 'yours': choose one of mine"):
        load_net("yours")
    (folder / "checkpoints.toml").write_text("[mine")
    with pytest.raises(UserError, match=r"checkpoints.toml cannot be read"):
        load_net("mine")


def test_a_file_that_is_no_such_net_is_refused(net, tmp_path):
    file = tmp_path / "net.safetensors"
    with pytest.raises(UserError, match=r"net.safetensors is missing"):
        load_net(file)
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"net.safetensors is damaged"):
        load_net(file)
    write_artifact(file, net.state_dict(), {})
    with pytest.raises(UserError, match="does not say which net and classes"):
        load_net(file)
    save_half(file, net.state_dict(), INFO | {"classes": ["red", "green"]})
    with pytest.raises(UserError, match="does not hold the weights of a compact net"):
        load_net(file)
    save_half(file, net.state_dict(), INFO)
    with pytest.raises(UserError, match="knows the classes red, green, blue, not green, red, blue"):
        load_net(file, ("green", "red", "blue"))


def test_committed_checkpoints_stay_small(net, folder, tmp_path, monkeypatch):
    file = save_half(tmp_path / "net.safetensors", net.state_dict(), INFO)
    monkeypatch.setattr(checkpoints, "MOST_BYTES", int(1.5 * file.stat().st_size))
    commit_checkpoint(file)
    commit_checkpoint(file)  # replaces itself
    with pytest.raises(UserError, match="the committed checkpoints would take"):
        commit_checkpoint(file.rename(tmp_path / "other.safetensors"))
    assert list(committed()) == ["net"] and not (folder / "other.safetensors").exists()


@pytest.mark.slow
def test_every_committed_checkpoint_loads():
    for name, entry in committed().items():
        assert (checkout() / "data" / "checkpoints" / entry["file"]).stat().st_size == entry["size"]
        _, info = load(name)
        assert (info["net"], info["classes"]) == (entry["net"], entry["classes"])
        assert name == name_of(info["net"], info["recipe"]["dataset"], info["seed"])
