"""DeepLabV3 in three sizes: torchvision's modules and names, its weights downloaded from a server on this machine."""

import hashlib
import socket
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from torch import nn
from torchvision.models import Weights, WeightsEnum
from zennit.composites import EpsilonPlus
from zennit.torchvision import ResNetCanonizer

from relcomp_kit.datasets import download
from relcomp_kit.datasets.download import Unreachable
from relcomp_kit.errors import UserError
from relcomp_kit.models import deeplab as module
from relcomp_kit.models import pretrained
from relcomp_kit.models.deeplab import SIZES, deeplab


def parameters(net) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.slow
def test_parameters_are_the_published_ones_without_auxiliary_classifier():
    assert parameters(deeplab("resnet101", 21)) * 4 / 1e6 == pytest.approx(235, abs=0.5)
    assert 1.85e6 < parameters(deeplab("compact", 7)) < 2e6


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_output_has_the_size_of_the_input_at_stride_eight(size):
    net = deeplab(size, 7).eval()
    x = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert net.backbone(x)["out"].shape[2:] == (8, 12)
        output = net(x)
    assert list(output) == ["out"] and output["out"].shape == (1, 7, 64, 96)


@pytest.mark.slow
def test_compact_has_torchvisions_names_and_dilations():
    small, large = dict(deeplab("compact", 7).named_modules()), dict(deeplab("resnet50", 7).named_modules())
    assert small.keys() <= large.keys()
    for name, layer in small.items():
        assert type(layer) is type(large[name]) or name == "classifier", name
        if isinstance(layer, nn.Conv2d):
            assert (layer.kernel_size, layer.stride) == (large[name].kernel_size, large[name].stride), name
            if name.startswith("backbone"):
                assert layer.dilation == large[name].dilation, name


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_lrp_finds_every_block_and_merges_every_batch_norm(size):
    net = deeplab(size, 3).eval()
    for layer in net.modules():  # a fresh batch-norm does nothing: merging it would not show
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.1, 0.1)
            layer.running_var.uniform_(0.5, 2)
    x = torch.rand(1, 3, 32, 32)
    blocks = [layer for layer in net.modules() if type(layer).__name__ == "Bottleneck"]
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        before = net(x)["out"]
        with EpsilonPlus(canonizers=[ResNetCanonizer()]).context(net):
            assert all(hasattr(block, "canonizer_sum") for block in blocks)
            for norm in norms:  # the identity, as merged
                assert not norm.running_mean.any() and (norm.weight == 1).all() and not norm.bias.any()
            torch.testing.assert_close(net(x)["out"], before, rtol=1e-3, atol=1e-4)
    assert len(blocks) == {"compact": 8, "resnet50": 16, "resnet101": 33}[size]


def test_seed_decides_the_initial_weights_and_nothing_else_does():
    torch.manual_seed(5)
    ahead = torch.random.get_rng_state()
    first, again, other = (deeplab("compact", 7, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), ahead)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["classifier.4.weight"], other["classifier.4.weight"])


@pytest.mark.parametrize(
    ("size", "classes", "pretrained", "words"),
    [
        ("resnet18", 7, False, "no DeepLabV3 of size 'resnet18'; choose one of compact, resnet50, resnet101"),
        ("compact", 0, False, "1 class at least, not 0"),
        ("compact", 7, True, "no pre-trained weights of the compact net"),
    ],
)
def test_what_does_not_exist_is_refused(size, classes, pretrained, words):
    with pytest.raises(UserError, match=words):
        deeplab(size, classes, pretrained=pretrained)


@contextmanager
def serve(folder):
    """Serve the files of a folder; gives the address and the paths asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, text, *arguments):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def published(tmp_path, own_cache, monkeypatch):
    """A folder that holds weights as torchvision publishes them; ``publish(url)`` lets the kit look there."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("RELCOMP_OFFLINE", raising=False)
    folder = tmp_path / "published"
    folder.mkdir()
    with torch.device("meta"):
        whole = module.deeplabv3_resnet50(weights_backbone=None, num_classes=21, aux_loss=True).state_dict()
    # one number a tensor, repeated without being stored: 42 million parameters in a file of some 100 kB
    state = {name: torch.tensor(0.5).to(value.dtype).expand(value.shape) for name, value in whole.items()}
    torch.save(state, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()[:8]
    file = (folder / "new.pth").rename(folder / f"tiny-{digest}.pth")
    assert file.stat().st_size < 500_000

    def publish(url: str):
        class Published(WeightsEnum):
            COCO = Weights(url=f"{url}/{file.name}", transforms=None, meta={})

        monkeypatch.setitem(module.COCO_WEIGHTS, "resnet50", Published.COCO)

    return folder, file, publish


@pytest.mark.slow
def test_pretrained_weights_are_downloaded_once_and_the_last_convolution_is_new(published, own_cache, capsys):
    folder, file, publish = published
    with serve(folder) as (url, asked):
        publish(url)
        net = deeplab("resnet50", 5, pretrained=True, seed=3)
        first = len(asked)
        deeplab("resnet50", 5, pretrained=True)
    assert first == len(asked) == 2, "one question whether the server is there, one download"
    assert (own_cache / "weights" / file.name).read_bytes() == file.read_bytes()
    fresh = deeplab("resnet50", 5, seed=3)
    assert torch.equal(net.classifier[4].weight, fresh.classifier[4].weight)
    assert torch.equal(net.classifier[4].bias, fresh.classifier[4].bias)
    assert all((value == 0.5).all() for name, value in net.named_parameters() if not name.startswith("classifier.4"))
    assert net.aux_classifier is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", [lambda data: data[:-1000], lambda data: b"", lambda data: data[:-1] + b"x"])
def test_damaged_weights_are_downloaded_again(published, own_cache, capsys, damage):
    """Torch compares the hash of a download alone, and its archives are read without their checksums."""
    folder, file, publish = published
    with serve(folder) as (url, _):
        publish(url)
        whole = module.coco_state("resnet50")
        kept = own_cache / "weights" / file.name
        kept.write_bytes(damage(kept.read_bytes()))
        capsys.readouterr()
        again = module.coco_state("resnet50")
    assert all(torch.equal(again[name], value) for name, value in whole.items())
    assert kept.read_bytes() == file.read_bytes()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert line.endswith("is damaged: it is put aside and downloaded again")


def test_other_bytes_are_refused_and_not_kept(published, own_cache):
    folder, file, publish = published
    file.write_bytes(b"<html>please log in</html>")
    with serve(folder) as (url, _):
        publish(url)
        with pytest.raises(UserError, match="wrong hash"):
            deeplab("resnet50", 5, pretrained=True)
    assert not list((own_cache / "weights").iterdir())


@pytest.mark.slow
def test_a_damaged_file_and_a_pickle_with_code_are_refused(published, own_cache, monkeypatch):
    monkeypatch.setattr(pretrained, "_whole", lambda file: True)  # as if its name held the hash of this content
    _, file, publish = published
    publish("http://127.0.0.1:9")
    kept = own_cache / "weights" / file.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match="is damaged: delete it, and try again"):
        deeplab("resnet50", 5, pretrained=True)
    torch.save({"weight": time.sleep}, kept)
    with pytest.raises(UserError, match="is damaged: delete it, and try again"):
        deeplab("resnet50", 5, pretrained=True)
    torch.save({"weight": torch.zeros(1)}, kept)
    with pytest.raises(UserError, match="of another net"):
        deeplab("resnet50", 5, pretrained=True)


def test_without_a_network_one_sentence_comes_at_once(published, monkeypatch):
    _, _, publish = published
    start = time.monotonic()
    publish("http://127.0.0.1:9")
    with pytest.raises(
        Unreachable, match=r"COCO cannot be downloaded from 127.0.0.1:9 \(no connection\).*yourself, as"
    ):
        deeplab("resnet50", 5, pretrained=True)
    monkeypatch.setenv("RELCOMP_OFFLINE", "1")
    with pytest.raises(Unreachable, match="RELCOMP_OFFLINE is set"):
        deeplab("resnet50", 5, pretrained=True)
    assert time.monotonic() - start < 5


def test_a_server_that_breaks_off_after_the_first_answer_is_given_up(published, monkeypatch):
    _, _, publish = published
    monkeypatch.setattr(download, "probe", lambda *_: None)
    monkeypatch.setattr(download, "READ_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection and never answers
        publish(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Unreachable, match=r"no answer in time|no connection"):
            deeplab("resnet50", 5, pretrained=True)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("content", [[1.0], {"a": 1}, {"a": [torch.ones(1)]}, 3, None, b"", b"text", "folder"], ids=str)
def test_weights_in_the_cache_that_are_no_state(own_cache, monkeypatch, content):
    name = module.COCO_WEIGHTS["resnet50"].url.rsplit("/", 1)[1]
    file = own_cache / "weights" / name
    file.parent.mkdir(parents=True)
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    else:
        torch.save(content, file)
    monkeypatch.setattr(pretrained, "_whole", lambda file: True)  # as if its name held the hash of this content
    with pytest.raises(UserError, match=f"cannot be used, {file} (is damaged: delete it|cannot be read)") as found:
        module.coco_state("resnet50")
    assert "\n" not in str(found.value)
