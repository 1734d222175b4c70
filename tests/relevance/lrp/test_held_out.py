"""Nets that the kit was not written for, with random weights: they work, or a sentence says why not."""

import pytest
import torch
from torch import nn
from torchvision import models

from relcomp_kit.errors import UserError
from relcomp_kit.relevance.lrp import conservation, weight_relevance


def narrow_vgg11_bn(num_classes, **options):
    """vgg11_bn, but for most of the 120 million weights that are in its linear layers."""
    net = models.vgg11_bn(num_classes=num_classes, **options)
    net.classifier[0], net.classifier[3] = nn.Linear(25088, 32), nn.Linear(32, 32)
    net.classifier[6] = nn.Linear(32, num_classes)
    return net


NETS = {
    "resnet18": (models.resnet18, {}),
    "vgg11_bn": (narrow_vgg11_bn, {"init_weights": False}),
    "mobilenet_v2": (models.mobilenet_v2, {}),
    "fcn_resnet50": (models.segmentation.fcn_resnet50, {"weights_backbone": None, "aux_loss": True}),
}
ALL_RULES = ("resnet18", "vgg11_bn", "fcn_resnet50")
OTHER_RULES = ("z+", "gamma", "alpha2-beta1")


@pytest.fixture(scope="module")
def make(seeded, random):
    """A function that gives a net with five classes, made once; its batch-norms have the statistics of noise images."""
    made = {}

    def get(name):
        if name not in made:
            kind, options = NETS[name]
            net = made[name] = seeded(kind, weights=None, num_classes=5, **options)
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = None  # the mean over all batches, which is one
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                net.train()(random(8, 3, 48, 48, seed=1))
            net.eval()
        return made[name]

    return get


@pytest.fixture
def images(random):
    return random(2, 3, 48, 48)


def logits(net, x):
    output = net(x)
    return output["out"] if isinstance(output, dict) else output


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_epsilon(make, images, flat, name):
    net = make(name)
    found = weight_relevance(net, [images], start="predicted", aggregate="sum")
    assert {key: value.shape for key, value in found.items()} == {
        key: value.shape for key, value in net.named_parameters()
    }
    unused = {key for key, value in net.named_parameters() if key.startswith("aux_classifier") or not value.any()}
    assert {key for key, value in found.items() if not value.any()} == unused, "all others take part"
    cuts = conservation(net, images, rule="epsilon")
    assert max(cut.error for cut in cuts.values()) <= 1e-3
    assert abs(1 - cuts["input"].bias_share) > 0.01, "biases do not keep everything"
    if name != "mobilenet_v2":  # its ReLU6 is no ReLU: relevance passes where it cuts off, a gradient does not
        parameters = dict(net.named_parameters())
        gradients = torch.autograd.grad(logits(net, images).amax(1).sum(), parameters.values(), allow_unused=True)
        expected = {
            key: torch.zeros_like(value) if gradient is None else (value * gradient).detach()
            for (key, value), gradient in zip(parameters.items(), gradients)
        }
        assert torch.cosine_similarity(flat(found), flat(expected), 0) >= 0.9999


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL_RULES)
def test_zennit_agrees_on_epsilon(make, images, flat, name):
    fast, other = (
        flat(weight_relevance(make(name), [images], start="predicted", aggregate="sum", way=way))
        for way in ("gradient", "zennit")
    )
    assert torch.cosine_similarity(fast, other, 0) >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("rule", OTHER_RULES)
@pytest.mark.parametrize("name", ALL_RULES)
def test_other_rules(make, images, name, rule):
    found = conservation(make(name), images[:1], rule=rule)["input"]
    assert found.error <= (0.1 if rule == "alpha2-beta1" else 1e-3)
    if name == "resnet18":
        relevance = weight_relevance(make(name), [images], rule=rule, start="predicted", aggregate="sum")
        assert all(value.isfinite().all() for value in relevance.values())
        unreached = {key for key, value in relevance.items() if not value.any()}
        assert unreached == (set() if rule == "gamma" else {"bn1.bias"}), "the flat rule leaves nothing to constants"


@pytest.mark.parametrize("rule", OTHER_RULES)
def test_sums_outside_modules_are_named_by_zennit(make, images, rule):
    with pytest.raises(UserError, match=r"features\.3 \(add\)") as caught:
        weight_relevance(make("mobilenet_v2"), [images], rule=rule, start="predicted", way="zennit")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_batch_norms_before_their_convolution_are_not_for_zennit(seeded, images):
    net = seeded(models.densenet121, weights=None, num_classes=5)
    assert max(cut.error for cut in conservation(net, images, rule="epsilon").values()) <= 1e-3
    assert max(cut.error for cut in conservation(net, images, rule="z+").values()) <= 1e-3
    with pytest.raises(UserError, match="batch-norm"):
        conservation(net, images, rule="z+", way="zennit")
