"""The task of 8-bit images: what is changed at random, loss and scores by hand, one net through the whole training."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from relcomp_kit.compression.ecqx import centroid_step
from relcomp_kit.compression.ecqx.qat import QatRecipe, measure
from relcomp_kit.compression.ecqx.tasks import Pictures, task_of
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.datasets.transforms import crop_and_mirror, standardize
from relcomp_kit.errors import UserError


def image_set(count: int = 60, channels: int = 3, several: bool = False, width: int = 4) -> ImageSet:
    """Images of which the left or the right half is bright, or where ``width`` is 8, the second class as a whole."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 60, (count, channels, 8, 8), generator=generator).to(torch.uint8)
    for image, label in zip(images, labels):
        if width == 4 or label:
            image[:, :, width * label % 8 :][:, :, :width] += 150
    if several:
        labels = torch.stack([labels == 0, labels == 1], 1).to(torch.uint8)
    split = Split(images, labels)
    return ImageSet("cifar10", split, split, split, ("left", "right"), f"hash {channels} {several}", "made")


def net(channels: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 2)
    ).eval()


def test_every_image_is_shifted_and_mirrored_by_itself():
    images = torch.arange(40 * 3 * 6 * 7, dtype=torch.int64).remainder(255).add(1).to(torch.uint8).view(40, 3, 6, 7)
    found = crop_and_mirror(images, 5, most=2)
    padded = nn.functional.pad(images, (2, 2, 2, 2))
    kinds = set()
    for image, own in zip(found, padded):
        matches = [
            (top, left, mirrored)
            for top in range(5)
            for left in range(5)
            for mirrored in (False, True)
            if torch.equal(
                image, (lambda cut: cut.flip(2) if mirrored else cut)(own[:, top : top + 6, left : left + 7])
            )
        ]
        assert matches
        kinds.update(matches)
    assert len({kind[:2] for kind in kinds}) > 10 and {kind[2] for kind in kinds} == {False, True}
    assert torch.equal(found, crop_and_mirror(images, 5, most=2))
    assert not torch.equal(found, crop_and_mirror(images, 6, most=2))


def test_colour_and_grey_images_become_what_nets_want():
    grey = standardize(torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1))
    assert grey.flatten().tolist() == [-1, 1]
    colour = standardize(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten()
    assert torch.allclose(colour, torch.tensor([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]))


def test_several_labels_have_their_own_loss_and_score():
    data = image_set(several=True)
    task = task_of(net(), QatRecipe(batch=10), data, 0)
    assert isinstance(task, Pictures) and task.chosen_by == "mean_average_precision"
    x, labels = task.batch(0)
    logits = net()(x)
    p = logits.sigmoid()
    by_hand = -(labels * p.log() + (1 - labels.float()) * (1 - p).log()).mean()
    assert torch.allclose(task.loss(net(), (x, labels)), by_hand, atol=1e-5)
    perfect = nn.Sequential(nn.Flatten(), nn.Linear(192, 2, bias=False))
    with torch.no_grad():
        half = torch.zeros(2, 3, 8, 8)
        half[0, :, :, :4], half[1, :, :, 4:] = 1, 1
        perfect[1].weight.copy_(half.flatten(1))
    assert task.scores(perfect, "test") == {"mean_average_precision": 1.0}


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("arm", ["float", "lrp"])
def test_a_net_of_pictures_is_trained_and_quantized(own_cache, channels, arm):
    recipe = QatRecipe(
        arm=arm, steps=30, batch=20, validate_every=10, relevance_every=10, augment=channels == 3, precision="fp32"
    )
    found = measure(recipe, net(channels), image_set(channels=channels, width=8), 0)
    assert found["accuracy"][0] > 0.9
    assert found["compression ratio"][0] > (4 if arm == "lrp" else 0.9)


def test_a_net_of_other_classes_is_refused():
    with pytest.raises(UserError, match="3 outputs and the set 2 classes"):
        task = task_of(net(), QatRecipe(), image_set(), 0)
        task.loss(nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), task.batch(0))


@given(count=st.integers(1, 3000), seed=st.integers(0, 50))
def test_the_published_step_is_numpys_percentile(count, seed):
    w = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    expected = np.percentile(w.abs().numpy().astype(np.float64), 99.9) / 7
    assert centroid_step(w, 4, rule="p99.9-interpolated") == pytest.approx(expected, rel=1e-5)
