"""LRP on a GPU: relevance of weights by both rules, per class, and what TF32 would make of it."""

import copy

import pytest
import torch

from relcomp_kit.relevance.lrp import conservation, weight_relevance, weight_relevance_per_class


@pytest.mark.parametrize("rule", ["epsilon", "z+"])
def test_relevance_of_weights_is_the_processors(card, net, images, in_double, check_sums, rule):
    exact = weight_relevance(in_double(net), [(x.double(), target) for x, target in images], rule=rule)
    processor = weight_relevance(net, images, rule=rule)
    found = weight_relevance(copy.deepcopy(net).to(card), images, rule=rule)
    assert all(value.device == card for value in found.values())
    check_sums(found, processor, exact)


def test_relevance_of_each_class_is_the_processors(card, net, images, in_double, check_sums):
    classes = sorted(set(torch.cat([target.flatten() for _, target in images]).tolist()) - {255})
    double = [(x.double(), target) for x, target in images]
    exact = weight_relevance_per_class(in_double(net), double, classes, normalize=True)
    processor = weight_relevance_per_class(net, images, classes, normalize=True)
    found = weight_relevance_per_class(copy.deepcopy(net).to(card), images, classes, normalize=True)
    for one in classes:
        check_sums(found[one], processor[one], exact[one])


def test_the_yardstick_tells_tf32(net, images, in_double, check_sums):
    """Images in 10 bits, as TF32 reads them, are enough to fail it."""
    exact = weight_relevance(in_double(net), [(x.double(), target) for x, target in images])
    coarse = [(((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32), target) for x, target in images]
    with pytest.raises(AssertionError, match="median"):
        check_sums(weight_relevance(net, coarse), weight_relevance(net, images), exact)


def test_relevance_is_computed_without_tf32_whatever_torch_is_set_to(card, net, images):
    there = copy.deepcopy(net).to(card)
    expected = weight_relevance(there, images)
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "tf32"
    found = weight_relevance(there, images)
    assert torch.backends.cudnn.conv.fp32_precision == "tf32"
    for name, value in expected.items():  # atomic additions may come in another order
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-5 * value.max().item()), name


def test_relevance_is_conserved(card, net, images):
    for rule in ("epsilon", "z+"):
        found = conservation(copy.deepcopy(net).to(card), images[0][0], rule=rule)
        assert max(float(one.error) for one in found.values()) < 1e-3
