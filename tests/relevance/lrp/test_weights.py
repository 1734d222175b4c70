"""Streaming, classes, concepts, and the user's net, which nothing may change."""

import gc
from itertools import pairwise

import pytest
import torch
from torch import nn
from torchvision.models import resnet18
from zennit.canonizers import SequentialMergeBatchNorm

from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.relevance.lrp import (
    conservation,
    filter_relevance,
    heatmap,
    weight_relevance,
    weight_relevance_per_class,
)

AGGREGATES = ("sum", "abs_of_mean", "mean_of_abs")
WAYS = [(rule, way) for rule in ("epsilon", "z+") for way in ("gradient", "zennit")]
STEM = "backbone.layer3"  # a sequential cut of the compact net, with 256 channels


class Small(nn.Module):
    """A classifier with batch-norm and a part that is not used."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.pool, self.flat, self.last = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        self.unused = nn.Linear(2, 2)

    def forward(self, x):
        return self.last(self.flat(self.pool(self.relu(self.norm(self.conv(x))))))


@pytest.fixture
def small(seeded):
    return seeded(Small).double()


@pytest.fixture
def batch(random):
    return random(6, 3, 6, 6, dtype=torch.float64), torch.tensor([0, 1, 255, 1, 0, 1])


def cut(batch, *sizes):
    """The batch in pieces of these sizes."""
    return list(zip(*(tensor.split(list(sizes)) for tensor in batch)))


def assert_close(found, expected):
    assert list(found) == list(expected)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_batches_do_not_matter(small, batch, rule, way, aggregate, normalize):
    options = {"rule": rule, "way": way, "aggregate": aggregate, "normalize": normalize}
    whole = weight_relevance(small, [batch], **options)
    assert list(whole) == [name for name, _ in small.named_parameters()]
    assert whole["conv.weight"].any() and not whole["unused.weight"].any()
    for sizes in ((1, 5), (4, 2), (1,) * 6):  # the third sample has no class: a batch of it alone adds nothing
        assert_close(weight_relevance(small, cut(batch, *sizes), **options), whole)
    known = [tensor[batch[1] != 255] for tensor in batch]
    assert_close(weight_relevance(small, [known], **options), whole)  # means are over samples that start with some


def test_a_normalised_sample_counts_as_much_as_any_other(small, batch):
    x, target = batch
    found = weight_relevance(small, [batch], normalize=True)
    single = [weight_relevance(small, [(x[i : i + 1], target[i : i + 1])]) for i in (0, 1, 3, 4, 5)]
    logits = [small(x)[i, target[i]].abs().item() for i in (0, 1, 3, 4, 5)]
    mean = sum(one["conv.weight"] / logit for one, logit in zip(single, logits)) / 5
    torch.testing.assert_close(found["conv.weight"], mean)


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_memory_does_not_grow_with_the_batches(seeded, random, rule, way):
    net, alive = seeded(Small), []

    def batches():
        for seed in range(5):
            found = [one for one in gc.get_objects() if type(one) in (torch.Tensor, nn.Parameter)]
            tensors = [one for one in found if one.layout == torch.strided]  # others have no pointer
            alive.append(sum({one.data_ptr(): one.numel() for one in tensors}.values()))
            del found, tensors
            yield random(8, 3, 20, 20, seed=seed), torch.arange(8) % 3

    gc.collect()
    gc.disable()  # nothing may wait for it
    try:
        weight_relevance_per_class(net, batches(), range(3), rule=rule, way=way)
    finally:
        gc.enable()
    assert all(later <= earlier for earlier, later in pairwise(alive[1:]))
    if way == "gradient":  # zennit's hooks hold what they saw until the next batch comes
        images, sums = 8 * 3 * 20 * 20, 3 * sum(parameter.numel() for parameter in net.parameters())
        assert alive[1] - alive[0] <= images + sums + 100


@pytest.mark.parametrize("rows", [1, 3], ids=["a row a sample", "three rows a sample"])
def test_absolute_relevance_of_linear_layers_is_that_of_single_images(rows, seeded, random):
    net = seeded(lambda: nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.Flatten())).double()
    x = random(6, 5, dtype=torch.float64) if rows == 1 else random(6, rows, 5, dtype=torch.float64)
    each = [weight_relevance(net, [(image[None], torch.zeros(1, dtype=int))], aggregate="sum") for image in x]
    expected = {name: sum(one[name].abs() for one in each) / len(x) for name in each[0]}
    assert_close(weight_relevance(net, [(x, torch.zeros(6, dtype=int))], aggregate="mean_of_abs"), expected)


def test_absolute_relevance_of_a_layer_used_twice_adds_signs_first(seeded, random):
    layer = seeded(lambda: nn.Linear(4, 4)).double()
    net = nn.Sequential(layer, nn.ReLU(), layer).eval()
    x, target = random(6, 4, dtype=torch.float64), torch.zeros(6, dtype=int)
    each = [weight_relevance(net, [(image[None], target[:1])], aggregate="sum") for image in x]
    expected = {name: sum(one[name].abs() for one in each) / len(x) for name in each[0]}
    assert_close(weight_relevance(net, [(x, target)], aggregate="mean_of_abs"), expected)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_momentum_is_a_moving_average_over_batches(small, batch, aggregate):
    x, target = batch
    batches = [(x[:2], target[:2]), (x[2:3], target[2:3]), (x[3:5], target[3:5]), (x[5:], target[5:])]
    single = [weight_relevance(small, [batches[i]], aggregate=aggregate) for i in (0, 2, 3)]  # one has no class
    found = weight_relevance(small, batches, aggregate=aggregate, momentum=0.7)
    expected = {
        name: 0.7 * (0.7 * single[0][name] + 0.3 * single[1][name]) + 0.3 * single[2][name] for name in single[0]
    }
    assert_close(found, expected)
    assert_close(weight_relevance(small, batches, aggregate=aggregate, momentum=0.0), single[2])


@pytest.mark.parametrize("start", ["true", "predicted", "positive"])
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_classes_in_one_pass_are_those_asked_for_one_by_one(small, random, rule, way, aggregate, start):
    batch = random(6, 3, 6, 6, dtype=torch.float64), torch.tensor([0, 0, 0, 2, 1, 2])
    small.last.bias.data -= small(batch[0]).detach().mean(0)
    assert small(batch[0]).argmax(1).unique().tolist() == [0, 1, 2]
    batches = cut(batch, 3, 3)
    options = {"rule": rule, "way": way, "aggregate": aggregate, "start": start}
    found = weight_relevance_per_class(small, iter(batches), [2, 0, 1], **options)  # an iterator has one pass
    assert list(found) == [2, 0, 1]
    for class_, relevance in found.items():
        assert_close(relevance, weight_relevance(small, batches, class_=class_, **options))
    if aggregate == "sum":
        every = weight_relevance(small, batches, **options)
        assert_close({name: sum(one[name] for one in found.values()) for name in every}, every)


@pytest.mark.slow
def test_segmentation_keeps_the_pixels_of_the_class(trained, scenes):
    x, labels = scenes
    rail = weight_relevance(trained, [scenes], class_=0)
    blinded = weight_relevance(trained, [(x, torch.where(labels == 0, labels, 255))])
    torch.testing.assert_close(rail, blinded)
    assert not torch.equal(rail["classifier.4.weight"], weight_relevance(trained, [scenes])["classifier.4.weight"])
    assert not rail["classifier.4.weight"][1:].any() and rail["classifier.4.weight"][0].any()


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_channels_of_a_cut_add_up(trained, scenes, flat, rule, way):
    """Below the layer the parts are the whole; in the layers behind it nothing is counted."""
    batch = [tensor[:1] for tensor in scenes]
    options = {"rule": rule, "way": way, "aggregate": "sum", "start": "predicted"}
    parts = [range(100), range(100, 101), range(101, 256)]
    found = [weight_relevance(trained, [batch], concept=(STEM, part), **options) for part in parts]
    whole = weight_relevance(trained, [batch], **options)
    behind = ("backbone.layer4", "classifier")
    below = {name: sum(one[name] for one in found) for name in whole if not name.startswith(behind)}
    expected = flat({name: whole[name] for name in below})
    assert (flat(below) - expected).norm() <= 1e-4 * expected.norm()
    assert all(not one[name].any() for one in found for name in whole if name.startswith(behind))
    assert all(one["backbone.conv1.weight"].any() for one in found)
    one = weight_relevance(trained, [batch], concept=(STEM, 100), **options)
    torch.testing.assert_close(one, found[1])
    maps = [heatmap(trained, batch[0], rule=rule, way=way, concept=(STEM, part)) for part in parts]
    expected = heatmap(trained, batch[0], rule=rule, way=way)
    assert (sum(maps) - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.slow
def test_a_channel_before_a_sum_is_not_the_sum(trained, scenes, flat):
    """torchvision adds the shortcut to this layer's output in place; zennit's canonizer makes a module of the sum."""
    layer = "backbone.layer2.0.bn3"
    options = {"start": "predicted", "concept": (layer, range(30))}
    fast, other = (weight_relevance(trained, [scenes], way=way, **options) for way in ("gradient", "zennit"))
    assert not fast["backbone.layer2.0.downsample.0.weight"].any()
    assert torch.cosine_similarity(flat(fast), flat(other), 0) >= 0.999


@pytest.mark.slow
def test_a_concept_with_classes_and_batches(trained, scenes):
    options = {"concept": (STEM, 7), "aggregate": "sum"}
    found = weight_relevance_per_class(trained, cut(scenes, 3, 1), [0, 2], **options)
    for class_, relevance in found.items():
        expected = weight_relevance(trained, [scenes], class_=class_, **options)
        for name, value in relevance.items():
            assert (value - expected[name]).norm() <= 1e-4 * expected[name].norm()


def test_a_normalised_heatmap_is_a_share_of_the_start(small, batch):
    x, target = batch[0][:2], batch[1][:2]
    raw, found = (heatmap(small, x, target, start="true", normalize=one) for one in (False, True))
    logits = small(x).gather(1, target[:, None]).detach()[..., None, None]
    torch.testing.assert_close(found * logits.abs(), raw)


def test_filters_are_sums_of_their_weights(small, batch):
    found = filter_relevance(weight_relevance(small, [batch]))
    assert list(found) == ["conv", "last", "unused"]
    relevance = weight_relevance(small, [batch])
    torch.testing.assert_close(found["conv"], torch.stack([one.sum() for one in relevance["conv.weight"]]))
    assert list(filter_relevance({"weight": torch.ones(2, 3), "bias": torch.ones(2)})) == [""]  # a layer alone


def anatomy(net):
    """All of a net that must not change: values, how often they were written, gradients, modes, attributes, hooks."""
    hooks = [attribute for attribute in vars(nn.Module()) if attribute.endswith("_hooks")]
    tensors = {**net.state_dict(keep_vars=True)}
    tensors |= {f"{name}.grad": value.grad for name, value in net.named_parameters() if value.grad is not None}
    return {
        "bits": {name: value.detach().numpy().tobytes() for name, value in tensors.items()},
        "writes": {name: (id(value), value.data_ptr(), value._version) for name, value in tensors.items()},
        "gradients": {name: (value.requires_grad, value.is_leaf) for name, value in net.named_parameters()},
        "attributes": [(name, type(module), sorted(vars(module))) for name, module in net.named_modules()],
        "modes": [(module.training, getattr(module, "inplace", None)) for module in net.modules()],
        "hooks": [dict(getattr(module, hook)) for module in net.modules() for hook in hooks],
    }


class Interrupted(Exception):
    pass


def interrupted_batches(batch):
    yield batch
    raise Interrupted


def interrupted_start(output, target):
    raise Interrupted


CALLS = {
    "weights": lambda net, batch, **o: weight_relevance(net, [batch], **o),
    "a concept": lambda net, batch, **o: weight_relevance(net, [batch], concept=(STEM, [0, 3]), **o),
    "classes": lambda net, batch, **o: weight_relevance_per_class(net, [batch], [0, 1], **o),
    "conservation": lambda net, batch, **o: conservation(net, batch[0], **o),
    "heatmap": lambda net, batch, **o: heatmap(net, batch[0], **o),
    "no more batches": lambda net, batch, **o: weight_relevance(net, interrupted_batches(batch), **o),
    "no start": lambda net, batch, **o: weight_relevance(net, [batch], start=interrupted_start, **o),
    "no start in conservation": lambda net, batch, **o: conservation(net, batch[0], start=interrupted_start, **o),
}


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_the_net_is_left_as_it_was(scenes, rule, way):
    net = load_net("compact-rail-scenes-0")
    calls = []
    net.backbone.conv1.weight.requires_grad_(False)
    net.classifier[4].bias.grad = torch.ones(7)
    net.backbone.conv1.register_forward_hook(lambda *_: calls.append("hook"))
    batch = scenes[0][:2].clone(), scenes[1][:2]
    seen, before = batch[0].clone(), anatomy(net)
    for name, call in CALLS.items():
        if name.startswith("no "):
            with pytest.raises(Interrupted):
                call(net, batch, rule=rule, way=way)
        else:
            call(net, batch, rule=rule, way=way)
        after = anatomy(net)
        assert [part for part in after if after[part] != before[part]] == [], name
        assert torch.equal(batch[0], seen) and not batch[0].requires_grad and batch[0].grad is None
    assert calls, "the user's own hooks see the images too"


@pytest.mark.parametrize(("rule", "way"), WAYS)
def test_gradients_may_be_off_everywhere(small, batch, rule, way):
    expected = weight_relevance(small, [batch], rule=rule, way=way)
    small.requires_grad_(False)
    with torch.no_grad():
        found = weight_relevance(small, [batch], rule=rule, way=way)
    assert_close(found, expected)
    assert not any(value.requires_grad for value in (found | expected).values())


def test_images_are_not_written_to_by_a_net_that_begins_in_place(seeded, random):
    net, x = seeded(lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 2))), random(2, 3, 2, 2)
    seen = x.clone()
    for rule, way in WAYS:
        weight_relevance(net, [x], start="predicted", rule=rule, way=way)
        assert torch.equal(x, seen)


class Residual(nn.Module):
    """Two sums outside of modules, one after the other, and no constants that could keep relevance."""

    def __init__(self):
        super().__init__()
        self.first, self.one, self.two = (nn.Conv2d(inputs, 4, 1, bias=False) for inputs in (3, 4, 4))
        self.last = nn.Linear(16, 3, bias=False)

    def forward(self, x):
        x = self.first(x)
        x = x + self.one(x)
        x = x + self.two(x)
        return self.last(x.flatten(1))


MERGED_ONLY = [SequentialMergeBatchNorm()]  # the sums of residual blocks are left to plain gradients


def test_a_sum_without_a_rule_gives_all_to_both_branches(seeded, random):
    net, x = seeded(Residual).double(), random(5, 3, 2, 2, dtype=torch.float64)
    logits, target = net(x).detach().max(1)
    options = {"start": "true", "aggregate": "sum"}
    whole = weight_relevance(net, [(x, target)], **options)
    assert whole["first.weight"].sum().item() == pytest.approx(logits.sum().item(), rel=1e-3)
    found = weight_relevance(net, [(x, target)], canonizers=MERGED_ONLY, **options)
    for layer, share in {"last": 1, "two": 1, "one": 2, "first": 4}.items():
        assert found[f"{layer}.weight"].sum().item() == pytest.approx(share * logits.sum().item(), rel=1e-3)
    classes = target.unique().tolist()
    per_class = weight_relevance_per_class(net, [(x, target)], classes, canonizers=MERGED_ONLY, **options)
    assert len(classes) > 1 and list(per_class) == classes
    assert_close({name: sum(one[name] for one in per_class.values()) for name in found}, found)


@pytest.mark.slow
def test_without_a_rule_for_sums_the_relevance_of_a_resnet_explodes(seeded, random):
    net, x = seeded(resnet18, num_classes=5), random(2, 3, 32, 32)
    before = anatomy(net)
    whole = weight_relevance(net, [x], start="predicted")
    found = weight_relevance(net, [x], start="predicted", canonizers=MERGED_ONLY)
    after = anatomy(net)
    assert [part for part in after if after[part] != before[part]] == []
    torch.testing.assert_close(found["fc.weight"], whole["fc.weight"], rtol=1e-3, atol=1e-6)  # no sum up to there
    assert found["conv1.weight"].sum() > 1e6 * whole["conv1.weight"].sum()
