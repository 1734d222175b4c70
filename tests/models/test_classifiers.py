"""The nets of the sets on which ECQ^x was published: sizes as published, shortcuts by hand, real weights."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from relcomp_kit.errors import UserError
from relcomp_kit.models.classifiers import DATASETS, NETS, CifarResNet, Shortcut, classifier

INPUTS = {"speech-commands": (1, 98, 40), "cifar10": (3, 32, 32), "voc": (3, 64, 64)}


@pytest.mark.parametrize(("depth", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85)])
def test_resnets_have_the_published_number_of_weights(depth, millions):
    """Table 6 of He et al. 2016."""
    count = sum(value.numel() for value in CifarResNet(depth).parameters())
    assert round(count / 1e6, 2) == millions


def test_vgg16_and_mlp_have_their_layers():
    convolutions = [layer.out_channels for layer in classifier("vgg16").modules() if isinstance(layer, nn.Conv2d)]
    assert convolutions == [64] * 2 + [128] * 2 + [256] * 3 + [512] * 6
    linear = [layer.out_features for layer in classifier("mlp-gsc").modules() if isinstance(layer, nn.Linear)]
    assert linear == [512, 512, 256, 256, 128, 128, 12]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_every_net_takes_its_set_and_is_a_function_of_its_seed(name):
    net = classifier(name, 3)
    output = net.eval()(torch.zeros(2, *INPUTS[DATASETS[name]]))
    assert output.shape[0] == 2 and output.isfinite().all()
    same, other = classifier(name, 3).state_dict(), classifier(name, 4).state_dict()
    state = net.state_dict()
    assert all(torch.equal(state[key], same[key]) for key in state)
    assert any(not torch.equal(state[key], other[key]) for key in state)


def test_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros():
    x = torch.arange(2 * 16 * 4 * 4.0).view(2, 16, 4, 4)
    found = Shortcut(32)(x)
    assert found.shape == (2, 32, 2, 2)
    assert torch.equal(found[:, 8:24], x[:, :, ::2, ::2]) and not found[:, :8].any() and not found[:, 24:].any()


def test_what_there_is_not_is_said():
    with pytest.raises(UserError, match="no net 'resnet19'; choose one of mlp-gsc"):
        classifier("resnet19")
    with pytest.raises(UserError, match="6 n \\+ 2 layers"):
        CifarResNet(21)
    with pytest.raises(UserError, match="no pre-trained weights of vgg16"):
        classifier("vgg16", pretrained=True)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [20, 56])
def test_published_weights_are_as_good_as_published(depth, own_cache):
    """91.7 and 93.4 % on the whole test set; here on a tenth of it, whose standard error is 0.9 points."""
    root = Path(os.environ.get("RELCOMP_DATA", "nowhere")) / "cifar10"
    if not (root / "pretrained" / f"resnet{depth}.safetensors").is_file():
        pytest.skip("no cifar10/pretrained under RELCOMP_DATA")
    from PIL import Image
    from torchvision.transforms.functional import pil_to_tensor

    from relcomp_kit.datasets.cifar10 import CLASSES
    from relcomp_kit.datasets.transforms import standardize
    from relcomp_kit.studies.quantization.classifiers import published_state

    net = classifier(f"resnet{depth}").eval()
    net.load_state_dict(published_state(f"resnet{depth}"))
    right = 0
    for label, name in enumerate(CLASSES):
        files = sorted((root / "test" / name).glob("*.png"))[::10]
        images = torch.stack([pil_to_tensor(Image.open(file)) for file in files])
        with torch.no_grad():
            right += (net(standardize(images)).argmax(1) == label).sum().item()
    assert 0.89 < right / 1000 < 0.96
