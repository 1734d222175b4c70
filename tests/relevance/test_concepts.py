"""Concepts against plain autograd and brute force, and zennit-crp's bugs: each repair has a test of when it can go."""

import contextlib
import copy
import gc

import pytest
import torch
from crp.attribution import CondAttribution
from crp.concepts import ChannelConcept
from crp.helper import load_maximization
from crp.visualization import FeatureVisualization
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import Subset
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import LAYER_MAP_BASE, EpsilonPlusFlat, LayerMapComposite

from relcomp_kit.datasets import load_scenes
from relcomp_kit.datasets.transforms import normalize
from relcomp_kit.errors import UserError
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.scene_batches import stack
from relcomp_kit.relevance import concepts
from relcomp_kit.relevance.concepts import Reference, channel_relevance, concept_heatmaps, reference_images
from relcomp_kit.relevance.crp_repairs import Attribution, InterpolationByShare, own_copy
from relcomp_kit.relevance.lrp.composites import composite

SIZE = (48, 80)
TRACKBED = 1  # in view in every scene


class Segmenter(nn.Module):
    """A small ReLU net with torchvision's form of output, in which the image's size comes back by interpolation."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 5, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.head = nn.Conv2d(5, 3, 1)
        self.body[0].weight.data *= 100  # large sums, of which LRP-epsilon's stabiliser takes little
        for layer in (self.body[0], self.body[2], self.head):
            layer.bias.data *= 100

    def forward(self, x):
        return {"out": nn.functional.interpolate(self.head(self.body(x)), size=x.shape[2:], mode="bilinear")}


class Classifier(nn.Module):
    """Its ReLU runs twice, and one of its parts never."""

    def __init__(self):
        super().__init__()
        self.mean = nn.AdaptiveAvgPool2d(1)
        self.first, self.second, self.last = nn.Conv2d(3, 5, 3), nn.Conv2d(5, 4, 3), nn.Linear(4, 3)
        self.relu, self.unused, self.pair = nn.ReLU(), nn.Linear(1, 1), Pair()

    def forward(self, x):
        x = self.relu(self.second(self.relu(self.first(x))))
        return self.last(self.mean(self.pair(x)[0]).flatten(1))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def seeded(kind, seed=0, **options):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(**options).eval().double()


@pytest.fixture
def segmenter():
    return seeded(Segmenter)


@pytest.fixture
def images():
    return torch.randn(3, 3, 12, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pictures():
    """Eleven random scenes of few pixels: with batches of five the last one has a single image."""
    draw = torch.Generator().manual_seed(0)
    return [
        (torch.randint(256, (3, 4, 6), dtype=torch.uint8, generator=draw), torch.zeros(4, 6, dtype=torch.uint8))
        for _ in range(11)
    ]


@pytest.fixture(scope="module")
def trained():
    return load_net("compact-rail-scenes-0")


@pytest.fixture(scope="module")
def scenes():
    return Subset(load_scenes("rail-scenes", SIZE).validation, range(12))


@pytest.fixture(scope="module")
def rail(scenes):
    """Two scenes as a net sees them."""
    return normalize(stack([scenes[0], scenes[1]])[0])


def logits_of(net, x):
    output = net(x)
    return output["out"] if isinstance(output, dict) else output


def by_autograd(net, x, layer, class_):
    """A layer's output and its gradient from the class' positive logits where it is predicted, on the plain net."""
    kept = []

    def keep(module, args, output):
        kept.append(output)
        return output.clone()  # what follows may change it in place

    handle = net.get_submodule(layer).register_forward_hook(keep)
    highest, predicted = logits_of(net, x).max(1)
    handle.remove()
    wanted = highest > 0 if class_ is None else (highest > 0) & (predicted == class_)
    return kept[0], torch.autograd.grad(highest[wanted].sum(), kept[0], retain_graph=True)[0]


def class_of(net, x):
    """A class that is predicted with positive logits in x."""
    highest, predicted = logits_of(net, x).max(1)
    return int(torch.bincount(predicted[highest > 0]).argmax())


def classes_shown(net, x):
    """Whether a class is predicted somewhere in an image, with a positive logit: (classes, images)."""
    highest, predicted = logits_of(net, x).max(1)
    return torch.stack([((predicted == index) & (highest > 0)).flatten(1).any(1) for index in range(3)])


def some_not_all(shown):
    """The class that is shown in the most images, but not in all."""
    return int((shown.sum(1) * ~shown.all(1)).argmax())


def share_by_image(net, data, layer, class_):
    """Relevance and activation of every channel for every image, by plain autograd: both (images, channels)."""
    found = []
    for image, _ in data:
        output, gradient = by_autograd(net, normalize(image[None]).to(next(net.parameters())), layer, class_)
        found.append([part.detach().flatten(2).sum(2)[0] for part in (output * gradient, output)])
    return [torch.stack(part) for part in zip(*found)]


# conditional heatmaps


@pytest.mark.parametrize("layer", ["body.0", "body.1", "body.2", "body.3"])
def test_a_heatmap_is_what_autograd_sends_through_its_channel(segmenter, images, layer):
    class_ = class_of(segmenter, images)
    x = images.clone().requires_grad_()
    output, gradient = by_autograd(segmenter, x, layer, class_)
    heatmaps = concept_heatmaps(segmenter, images, layer, range(output.shape[1]), class_, batch=4)
    assert heatmaps.shape == (output.shape[1], *images[:, 0].shape)
    relevance = channel_relevance(segmenter, images, layer, class_)
    biases = [parameter for name, parameter in segmenter.named_parameters() if name.endswith("bias")]
    for channel, heatmap in enumerate(heatmaps):
        flows = (output * gradient)[:, channel]
        torch.testing.assert_close(relevance[:, channel], flows.sum((1, 2)), rtol=1e-4, atol=1e-6)
        through = (output * gradient.detach())[:, channel].sum()
        on_x, *on_biases = torch.autograd.grad(through, [x, *biases], retain_graph=True, allow_unused=True)
        torch.testing.assert_close(heatmap, (x * on_x).sum(1).detach(), rtol=1e-3, atol=1e-5)
        kept = sum((bias * part).sum() for bias, part in zip(biases, on_biases) if part is not None)
        assert (heatmap.sum() + kept).item() == pytest.approx(relevance[:, channel].sum().item(), rel=1e-4, abs=1e-5)
    assert relevance.abs().max() > 0.01


def whole_heatmap(net, x, class_, rule):
    """The unconditional heatmap by zennit alone."""
    net, x = own_copy(net, "backbone"), x.clone().requires_grad_()
    with composite(rule).context(net), InterpolationByShare():
        logits = net(x)
        highest, predicted = logits.detach().max(1)
        begin = torch.zeros_like(logits)
        begin[:, class_] = highest.clamp(min=0) * (predicted == class_)
        return torch.autograd.grad(logits, x, begin)[0].sum(1)


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "count", "rule"), [("classifier.3", 64, "epsilon"), ("backbone.relu", 16, "z+")])
def test_all_channels_of_a_layer_make_the_whole_heatmap(trained, rail, layer, count, rule):
    net, x = copy.deepcopy(trained).double(), rail[:1, :, 16:, 16:64].double()
    heatmaps = concept_heatmaps(net, x, layer, range(count), TRACKBED, rule=rule, batch=32)
    whole = whole_heatmap(net, x, TRACKBED, rule)
    assert ((heatmaps.sum(0) - whole).norm() / whole.norm()).item() < 1e-5
    assert whole.abs().sum() > 1 and len(heatmaps) == count


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["backbone.layer2", "backbone.layer4.1.conv3", "classifier.0"])
def test_without_biases_a_heatmap_has_the_sum_of_its_channels_relevance(rail, layer):
    net = deeplab("compact", 7, seed=1).eval()  # a fresh batch-norm adds nothing
    class_ = class_of(net, rail)
    relevance = channel_relevance(net, rail, layer, class_)
    channels = relevance.abs().sum(0).topk(4).indices.tolist()
    heatmaps = concept_heatmaps(net, rail, layer, channels, class_)
    torch.testing.assert_close(heatmaps.sum((2, 3)), relevance[:, channels].T, rtol=1e-4, atol=0)


def test_as_many_channels_as_images_are_not_taken_for_pairs(segmenter, images):
    class_ = class_of(segmenter, images)
    together = concept_heatmaps(segmenter, images, "body.1", [4, 0, 2], class_)
    for place, channel in enumerate([4, 0, 2]):
        for index in range(3):
            alone = concept_heatmaps(segmenter, images, "body.1", [channel], class_, batch=1)[0]
            torch.testing.assert_close(together[place, index], alone[index])


def test_images_without_the_class_get_zeros(segmenter, pictures):
    x = normalize(torch.stack([image for image, _ in pictures])).double()
    shown = classes_shown(segmenter, x)
    class_ = some_not_all(shown)
    assert torch.equal(channel_relevance(segmenter, x, "head", class_).any(1), shown[class_])
    heatmaps = concept_heatmaps(segmenter, x, "head", [class_], class_)[0].flatten(1)
    assert heatmaps[shown[class_]].any() and not heatmaps[~shown[class_]].any()


@pytest.mark.parametrize("class_", [None, "predicted"])
def test_a_classifier(class_):
    net, x = (
        seeded(Classifier),
        torch.randn(4, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),
    )
    net.last.bias.data += 1
    class_ = class_of(net, x) if class_ else None
    output, gradient = by_autograd(net, x, "second", class_)
    expected = (output * gradient).sum((2, 3))
    torch.testing.assert_close(channel_relevance(net, x, "second", class_), expected.detach(), rtol=1e-4, atol=1e-6)
    logits = channel_relevance(net, x, "last", class_)
    assert ((logits != 0).sum(1) <= 1).all()  # at the output, relevance is where it starts
    assert concept_heatmaps(net, x, "second", [1], class_).shape == (1, 4, 9, 9)


def test_gradients_may_be_off_outside(segmenter, images):
    class_ = class_of(segmenter, images)
    with torch.no_grad():
        assert concept_heatmaps(segmenter, images, "body.1", [0, 1], class_).any()


# reference images


def assert_best(found, scores, images, candidates):
    """References are the images with the highest scores, in order, and nothing but candidates."""
    for channel, references in found.items():
        best = sorted((scores[index, channel].item() for index in candidates), reverse=True)[:images]
        assert [reference.score for reference in references] == pytest.approx(best, rel=1e-4, abs=1e-5)
        for reference in references:
            assert reference.index in candidates
            assert scores[reference.index, channel].item() == pytest.approx(reference.score, rel=1e-4, abs=1e-5)
        assert len({reference.index for reference in references}) == len(references)


@pytest.mark.parametrize("by", ["relevance", "activation"])
@pytest.mark.parametrize("layer", ["body.1", "body.2"])
@pytest.mark.parametrize("any_class", [False, True])
def test_references_are_those_of_brute_force(segmenter, pictures, by, layer, any_class):
    x = normalize(torch.stack([image for image, _ in pictures])).double()
    shown = classes_shown(segmenter, x)
    class_ = None if any_class else some_not_all(shown)
    candidates = list(range(11)) if any_class else shown[class_].nonzero()[:, 0].tolist()
    assert any_class or 0 < len(candidates) < 11
    scores = share_by_image(segmenter, [pictures[index] for index in candidates], layer, class_)
    everything = torch.full((len(x), scores[0].shape[1]), torch.nan, dtype=torch.float64)
    everything[candidates] = scores[by == "activation"]
    found = reference_images(segmenter, pictures, layer, class_, by=by, images=4, batch=5)
    assert sorted(found) == list(range(everything.shape[1]))
    assert all(len(references) == min(4, len(candidates)) for references in found.values())
    assert_best(found, everything, 4, candidates)


@pytest.mark.slow
def test_references_on_the_trained_net(trained, scenes):
    """A convolution's output is that after its batch-norm, with which it is merged."""
    found = reference_images(trained, scenes, "classifier.1", TRACKBED, by="activation", images=3, channels=[5, 9])
    relevant = reference_images(trained, scenes, "classifier.1", TRACKBED, images=3, channels=[5, 9])
    scores = share_by_image(trained, scenes, "classifier.2", TRACKBED)
    assert list(found) == list(relevant) == [5, 9]
    assert_best(found, scores[1], 3, range(len(scenes)))
    assert_best(relevant, scores[0], 3, range(len(scenes)))


def test_more_references_than_zennit_crp_keeps(segmenter, pictures):
    found = reference_images(segmenter, pictures * 4, "body.1", images=50)
    assert all(len(references) == 44 for references in found.values())


def test_nothing_is_printed_and_statistics_stay_only_where_asked_for(segmenter, pictures, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    first = reference_images(segmenter, pictures, "body.1")
    assert list(tmp_path.iterdir()) == []
    assert reference_images(segmenter, pictures, "body.1", folder=tmp_path / "kept") == first
    assert list((tmp_path / "kept").iterdir())
    assert capfd.readouterr() == ("", "")
    assert isinstance(first[0][0], Reference)


# the model stays as it is


def anatomy(net):
    """All of a net that must not change: values, gradients' switches, modes, hooks, attributes."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return (
        {name: (value.data_ptr(), value.clone()) for name, value in net.state_dict(keep_vars=True).items()},
        [(parameter.requires_grad, parameter.grad) for parameter in net.parameters()],
        [(name, module.training, sorted(vars(module))) for name, module in net.named_modules()],
        [dict(getattr(module, hook)) for module in net.modules() for hook in hooks],
    )


def assert_same(before, after):
    assert before[0].keys() == after[0].keys()
    for name, (place, value) in before[0].items():
        assert after[0][name][0] == place and torch.equal(after[0][name][1], value), name
    assert before[1:] == after[1:]


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("rule", ["epsilon", "z+"])
def test_the_model_is_left_as_it_was(rail, scenes, monkeypatch, rule, fails):
    net = load_net("compact-rail-scenes-0")
    net.backbone.conv1.weight.requires_grad_(False)
    net.register_forward_hook(lambda module, args, output: None)
    before, seen = anatomy(net), rail.clone()
    if fails:

        def fail(*args, **options):
            raise RuntimeError("in the midst of it")

        monkeypatch.setattr(CondAttribution, "relevance_init", fail)
        monkeypatch.setattr(Attribution, "relevance_init", fail)
    for work in (
        lambda: concept_heatmaps(net, rail, "classifier.0", [0, 3], TRACKBED, rule=rule),
        lambda: channel_relevance(net, rail, "classifier.0", TRACKBED, rule=rule),
        lambda: reference_images(net, Subset(scenes, [0, 1]), "classifier.0", TRACKBED, rule=rule),
    ):
        if fails:
            with pytest.raises(RuntimeError, match="midst"):
                work()
        else:
            work()
        assert_same(before, anatomy(net))
        assert torch.equal(rail, seen) and not rail.requires_grad


# bad input


def test_bad_input_of_all_three(segmenter, images, pictures):
    seen = class_of(segmenter, images)
    calls = [
        lambda net=segmenter, layer="body.1", class_=seen, **more: concept_heatmaps(
            net, images, layer, [0], class_, **more
        ),
        lambda net=segmenter, layer="body.1", class_=seen, **more: channel_relevance(
            net, images, layer, class_, **more
        ),
        lambda net=segmenter, layer="body.1", class_=seen, **more: reference_images(
            net, pictures, layer, class_, **more
        ),
    ]
    training, broken, shy = (copy.deepcopy(segmenter) for _ in range(3))
    training.body[0].train()
    broken.head.weight.data[0] = torch.nan
    shy.head.bias.data -= 1e6
    for call in calls:
        with pytest.raises(UserError, match="train mode"):
            call(training)
        with pytest.raises(UserError, match=r"no layer 'body.9'; there are .*body\.1"):
            call(layer="body.9")
        with pytest.raises(UserError, match="no layer ''"):
            call(layer="")
        with pytest.raises(UserError, match="no class 3: the model knows 0 to 2"):
            call(class_=3)
        with pytest.raises(UserError, match="no class -1"):
            call(class_=-1)
        with pytest.raises(UserError, match="finite"):
            call(broken)
        with pytest.raises(UserError, match=f"class {seen} is predicted (nowhere|in none)"):
            call(shy)
        with pytest.raises(UserError, match="no rule 'loudest'"):
            call(rule="loudest")
    for bad in ([5], [0, -1], []):
        with pytest.raises(UserError, match="channels 0 to 4"):
            concept_heatmaps(segmenter, images, "body.2", bad, seen)
    with pytest.raises(UserError, match="1 pair"):
        concept_heatmaps(segmenter, images, "body.2", [0], seen, batch=0)
    with pytest.raises(UserError, match="channels 0 to 4"):
        reference_images(segmenter, pictures, "body.2", channels=[5])


def test_bad_layers_and_images(images):
    net = seeded(Classifier)
    for layer, message in (("relu", "2 times"), ("unused", "0 times"), ("pair", "no channels")):
        with pytest.raises(UserError, match=message):
            channel_relevance(net, images, layer, None)
    with pytest.raises(UserError, match="no logits"):
        channel_relevance(nn.Sequential(nn.Identity(), net.pair).eval(), images, "0", None)
    for x in (images[:0], (images * 100).byte()):
        with pytest.raises(UserError, match="give at least one image"):
            channel_relevance(net, x, "first", None)


def test_bad_data(segmenter, pictures):
    with pytest.raises(UserError, match="8 references of 0 images"):
        reference_images(segmenter, [], "body.1")
    with pytest.raises(UserError, match="no measure 'saliency'"):
        reference_images(segmenter, pictures, "body.1", by="saliency")
    for wrong in ({"images": 0}, {"batch": 0}):
        with pytest.raises(UserError, match="1 at least"):
            reference_images(segmenter, pictures, "body.1", **wrong)


# crops


@given(st.integers(0, 19), st.integers(0, 29), st.integers(1, 20), st.integers(1, 30), st.sampled_from([-1.0, 1.0]))
def test_a_crop_holds_the_mass_in_its_middle(row, column, height, width, sign):
    image = torch.arange(3 * 20 * 30).reshape(3, 20, 30)
    heatmap = torch.zeros(20, 30)
    heatmap[row, column] = sign * 1e-6
    crop = concepts.receptive_crop(image, heatmap, (height, width))
    assert crop.shape == (3, height, width)
    top, left = divmod(int(crop[0, 0, 0]), 30)
    assert torch.equal(crop, image[:, top : top + height, left : left + width])
    for spot, start, length, side in ((row, top, height, 20), (column, left, width, 30)):
        middle = min(max(spot - length // 2, 0), side - length)
        assert abs(start - middle) <= 1 and start <= spot < start + length


def test_a_crop_prefers_much_relevance_to_one_hot_pixel():
    image, heatmap = torch.arange(400).reshape(1, 20, 20), torch.zeros(20, 20)
    heatmap[2:6, 3:7] = -1
    heatmap[17, 17] = 3
    crop = concepts.receptive_crop(image, heatmap, 6)
    assert set(image[0, 2:6, 3:7].flatten().tolist()) <= set(crop.flatten().tolist())


def test_a_crop_without_mass_is_the_middle():
    image = torch.arange(100).reshape(1, 10, 10)
    assert torch.equal(concepts.receptive_crop(image, torch.zeros(10, 10), 4), image[:, 3:7, 3:7])


def test_bad_crops():
    image = torch.zeros(3, 10, 10)
    with pytest.raises(UserError, match="fits"):
        concepts.receptive_crop(image, torch.ones(10, 10), 11)
    with pytest.raises(UserError, match="fits"):
        concepts.receptive_crop(image, torch.ones(10, 10), 0)
    with pytest.raises(UserError, match="take its own"):
        concepts.receptive_crop(image, torch.ones(5, 5), 2)


# repairs of zennit-crp: a test that fails says which can go


@pytest.fixture
def targets():
    """A classifier's data, one target an image."""
    draw = torch.Generator().manual_seed(0)
    return [(torch.randn(3, 9, 9, dtype=torch.float64, generator=draw), index % 3) for index in range(45)]


@pytest.fixture
def upstream(targets, tmp_path, monkeypatch):
    """zennit-crp's own visualization, and how often it has collected garbage."""
    collected = []
    monkeypatch.setattr(gc, "collect", lambda: collected.append(1))
    attribution = CondAttribution(seeded(Classifier))
    return FeatureVisualization(attribution, targets, {"second": ChannelConcept()}, path=str(tmp_path)), collected


def test_repair_a_batch_of_one_image(upstream):
    try:
        upstream[0].run(None, 0, 3, batch_size=2)
    except TypeError as error:
        assert "0-d array" in str(error)
    else:
        pytest.fail("zennit-crp takes a batch of one image: Visualization.get_data_concurrently can be simplified")


def test_repair_forty_references_in_a_long_and_loud_run(upstream, targets, capsys):
    found, collected = upstream
    found.run(None, 0, len(targets), batch_size=9)
    kept = len(load_maximization(found.RelMax.PATH, "second")[0])
    assert kept == 40, f"zennit-crp keeps {kept} references: Visualization need not set SAMPLE_SIZE"
    assert len(collected) >= 8, "zennit-crp collects no garbage: Visualization need not replace delete_result_arrays"
    printed = capsys.readouterr()
    assert printed.out and printed.err, "zennit-crp is silent: Visualization.ranking need not redirect its output"


class Enlarger(nn.Module):
    def forward(self, x):
        return nn.functional.interpolate(x, scale_factor=2, mode="bilinear")


def test_repair_interpolation_as_a_gradient():
    x = torch.tensor([[[[1.0, 0.0]]]], requires_grad=True)  # the second value has no share in the output
    relevances = []
    for mode in (contextlib.nullcontext(), InterpolationByShare()):
        with LayerMapComposite(LAYER_MAP_BASE).context(Enlarger()) as net, mode:
            output = net(x)
            relevances.append(torch.autograd.grad(output, x, output.detach())[0].flatten())
    assert relevances[0][1] > 0.1, "zennit has a rule for interpolation: InterpolationByShare can go"
    torch.testing.assert_close(relevances[1], torch.tensor([4.0, 0.0]))


def test_repair_the_eps_of_a_merged_batch_norm():
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).eval()
    (merged,) = SequentialMergeBatchNorm().apply(net)
    assert merged.batch_norm.eps > 0, "zennit sets a merged batch-norm's eps to 0: own_copy need not do it"


def test_repair_relevance_recorded_where_a_condition_is():
    net = seeded(Classifier)
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    attribution, rules = CondAttribution(net), EpsilonPlusFlat()
    alone = attribution(x.clone().requires_grad_(), [{"y": [0]}], rules, record_layer=["second"])
    both = attribution(x.clone().requires_grad_(), [{"y": [0], "second": [1]}], rules, record_layer=["second"])
    whole, recorded = alone.relevances["second"], both.relevances["second"]
    assert whole[:, [0, 2, 3]].any()
    assert not recorded[:, [0, 2, 3]].any(), (
        "zennit-crp records a conditioned layer's whole relevance: Attribution.layer_relevance need not be its own pass"
    )
    torch.testing.assert_close(recorded[:, 1], 2 * whole[:, 1])
