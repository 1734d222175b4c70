"""Image and label move together, randomness comes from one seed, and nets see what they expect."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision import tv_tensors

from relcomp_kit.datasets import transforms
from relcomp_kit.datasets.scene_set import VOID

GREY = torch.tensor([round(255 * channel) for channel in transforms.MEAN], dtype=torch.uint8)


def patchwork(height=40, width=60, seed=0):
    """A scene of blocks whose class c is told by their colour (25 c, 3 c^2, 200).

    No mixture of two classes has the colour of a third: the colours lie on a curve that bends one way.
    """
    generator = np.random.default_rng(seed)
    label = np.zeros((height, width), np.uint8)
    for _ in range(12):
        top, left = generator.integers(0, height), generator.integers(0, width)
        label[top : top + generator.integers(5, 20), left : left + generator.integers(5, 30)] = generator.integers(10)
    image = np.stack([label * 25, label**2 * 3, label * 0 + 200])
    return tv_tensors.Image(torch.from_numpy(image)), tv_tensors.Mask(torch.from_numpy(label))


def contradictions(image, label):
    """Count the pixels with the pure colour of a class whose label is another class."""
    red, green, blue = image.long()
    pure = (red % 25 == 0) & (green == 3 * (red // 25) ** 2) & (blue == 200)
    assert pure.sum() > 0.2 * (label != VOID).sum() > 0
    return int((label.long()[pure] != red[pure] // 25).sum())


@pytest.mark.slow
@given(st.integers(20, 90), st.integers(30, 130), st.integers(0, 5))
def test_resizing_keeps_image_and_label_together(height, width, seed):
    image, label = transforms.resize(*patchwork(seed=seed), (height, width))
    assert isinstance(image, tv_tensors.Image) and isinstance(label, tv_tensors.Mask)
    assert image.shape == (3, height, width) and label.shape == (height, width)
    assert image.dtype == label.dtype == torch.uint8
    assert contradictions(image, label) == 0


def test_a_halved_label_is_not_shifted():
    label = tv_tensors.Mask(torch.arange(64, dtype=torch.uint8).repeat(3, 1))
    image = tv_tensors.Image(label.as_subclass(torch.Tensor)[None].repeat(3, 1, 1))
    image, label = transforms.resize(image, label, (1, 16))
    inner = (label[0].float() - image[0, 0].float())[1:-1]
    assert inner.abs().max() <= 1  # of four pixels mixed, the nearest is one of the middle two


@pytest.mark.slow
@given(st.integers(0, 2**63 - 1))
def test_augmentation_keeps_image_and_label_together(seed):
    augment = transforms.training_transform((32, 48), scale=(0.5, 2.0), jitter=0)
    image, label = augment(*patchwork(), seed)
    assert image.shape == (3, 32, 48) and label.shape == (32, 48) and image.dtype == label.dtype == torch.uint8
    padded = (image == GREY[:, None, None]).all(0)
    assert torch.equal(label == VOID, padded)
    assert contradictions(image, label) == 0


def test_seed_alone_decides_and_torchs_own_random_numbers_go_on():
    scene, augment = patchwork(), transforms.training_transform((32, 48))
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = augment(*scene, 7)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again = pickle.loads(pickle.dumps(augment))(*scene, 7)
    assert all(torch.equal(one, other) for one, other in zip(first, again))
    labels = [augment(*scene, seed)[1] for seed in range(20)]
    assert len({label.numpy().tobytes() for label in labels}) == 20


def test_mirrors_as_often_as_asked_for():
    scene = patchwork(32, 48)
    augment = transforms.training_transform((32, 48), scale=(1.0, 1.0), flip=0.25, jitter=0)
    results = [augment(*scene, seed) for seed in range(400)]
    mirrored = [
        torch.equal(label, scene[1].flip(1)) and torch.equal(image, scene[0].flip(2)) for image, label in results
    ]
    unchanged = [torch.equal(label, scene[1]) and torch.equal(image, scene[0]) for image, label in results]
    assert sum(mirrored) + sum(unchanged) == 400
    assert sum(mirrored) == pytest.approx(100, abs=4 * (400 * 0.25 * 0.75) ** 0.5)


def test_light_changes_the_image_and_not_the_label():
    scene = patchwork()
    plain, lit = (transforms.training_transform((32, 48), jitter=jitter)(*scene, 3) for jitter in (0, 0.3))
    assert torch.equal(plain[1], lit[1])
    assert not torch.equal(plain[0], lit[0])


def test_normalised_images_are_what_torchvisions_weights_expect():
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = transforms.normalize(images)
    expected = (images.numpy() / 255 - np.array(transforms.MEAN)[:, None, None]) / np.array(transforms.STD)[
        :, None, None
    ]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    from torchvision.models.segmentation import DeepLabV3_ResNet101_Weights

    preset = DeepLabV3_ResNet101_Weights.DEFAULT.transforms()
    assert (tuple(preset.mean), tuple(preset.std)) == (transforms.MEAN, transforms.STD)
