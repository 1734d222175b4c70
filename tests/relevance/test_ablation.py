"""The oracle of channels and weights against editing the weights of a copy, one at a time."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenet_v2, resnet18

from relcomp_kit.errors import UserError
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.ablation import channel_ablation, choose_channels, choose_weights, weight_ablation
from relcomp_kit.relevance.channels import batch_norms, channel_layers, inner_layers, layer_weights


class Block(nn.Module):
    """Everything that a remembered output could go wrong with: an in-place ReLU used twice, an in-place sum."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x
        return self.relu(out)


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True))
        self.first, self.second = Block(3), Block(3)
        self.classifier = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return {"out": self.classifier(self.second(self.first(self.stem(x))))}


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.hidden, self.norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
        self.scale = nn.Parameter(
            torch.tensor([[0.5, 2.0, -1.0]])
        )  # a weight of the net itself, used before its layers
        self.last = nn.Linear(4, 4)

    def forward(self, x):
        return self.last(torch.tanh(self.norm(self.hidden(self.scale * self.conv(x).mean((2, 3))))))


def trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give a net batch-norms that do something, in double precision and eval mode."""
    draw = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for value in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                value.copy_(torch.rand(value.shape, generator=draw) + 0.5)
    return net.double().eval()


def seeded(make, *args, **kwargs) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return trained(make(*args, **kwargs))


def images(*sizes: int, channels: int = 2, dense: bool = True, classes: int = 4, side: int = 5) -> list:
    """Batches of these sizes; a dense target has void pixels, and the first image of all has nothing else."""
    draw = torch.Generator().manual_seed(1)
    batches = []
    for size in sizes:
        x = torch.randn(size, channels, side, side, generator=draw, dtype=torch.float64)
        shape = (size, side, side) if dense else (size,)
        target = torch.randint(classes, shape, generator=draw)
        if dense:
            target[torch.rand(shape, generator=draw) < 0.3] = 255
        batches.append((x, target))
    batches[0][1][0] = 255
    return batches


@torch.no_grad()
def successes(net: nn.Module, batches: list, measure: str) -> list[float]:
    """The mean over the labelled pixels of every image, counted pixel by pixel."""
    found = []
    for x, target in batches:
        output = net(x)
        logits = output["out"] if isinstance(output, dict) else output
        values = (logits if measure == "logit" else logits.log_softmax(1)).movedim(1, -1)
        for image, classes in zip(values, target):
            places = (
                [place for place in torch.cartesian_prod(*map(torch.arange, classes.shape)).tolist()]
                if classes.dim()
                else [()]
            )
            own = [
                image[(*place, int(classes[tuple(place)]))].item() for place in places if classes[tuple(place)] != 255
            ]
            if own:
                found.append(sum(own) / len(own))
    return found


def by_hand(net: nn.Module, changed: nn.Module, batches: list, measure: str, absolute: bool) -> float:
    changes = [
        b - a for b, a in zip(successes(net, batches, measure), successes(changed, batches, measure), strict=True)
    ]
    return sum(abs(change) if absolute else change for change in changes) / len(changes)


def without_channel(net: nn.Module, name: str, channel: int) -> nn.Module:
    changed = copy.deepcopy(net)
    layer = changed.get_submodule(name)
    parts = [layer.weight, layer.bias]
    if name in batch_norms(net):
        norm = changed.get_submodule(batch_norms(net)[name])
        parts += [norm.weight, norm.bias]
    for part in parts:
        if part is not None:
            part.data[channel] = 0
    return changed


def without_weight(net: nn.Module, name: str, index: int) -> nn.Module:
    changed = copy.deepcopy(net)
    value = dict(changed.named_parameters())[name]
    flat = value.detach().flatten().clone()
    flat[index] = 0
    value.data.copy_(flat.view(value.shape))
    return changed


CASES = [
    (Segmenter, True, "logit", False),
    (Segmenter, True, "loss", True),
    (Classifier, False, "loss", False),
    (Classifier, False, "logit", True),
]
cases = pytest.mark.parametrize(("make", "dense", "measure", "absolute"), CASES)


@pytest.mark.slow
@cases
def test_every_channel_by_brute_force(make, dense, measure, absolute):
    net, batches = seeded(make), images(3, 2, dense=dense)
    everything = {name: torch.arange(len(layer.weight)) for name, layer in channel_layers(net).items()}
    found = channel_ablation(net, iter(batches), everything, measure=measure, absolute=absolute)
    assert list(found) == list(everything)
    for name, values in found.items():
        expected = [by_hand(net, without_channel(net, name, c), batches, measure, absolute) for c in range(len(values))]
        assert values.tolist() == pytest.approx(expected, abs=1e-12), name
    assert all(values.abs().max() > 1e-4 for values in found.values())
    inner = channel_ablation(net, batches, measure=measure, absolute=absolute)
    assert {name: values.tolist() for name, values in inner.items()} == {
        name: found[name].tolist() for name in list(found)[:-1]
    }


@pytest.mark.slow
@cases
def test_every_parameter_by_brute_force(make, dense, measure, absolute):
    net, batches = seeded(make), images(2, 1, dense=dense)
    net = net.to(memory_format=torch.channels_last)  # rows of the weights do not lie one after the other
    chosen = {name: torch.arange(value.numel())[::3] for name, value in net.named_parameters()}
    found = weight_ablation(net, batches, chosen, measure=measure, absolute=absolute)
    for name, values in found.items():
        expected = [
            by_hand(net, without_weight(net, name, i), batches, measure, absolute) for i in chosen[name].tolist()
        ]
        assert values.tolist() == pytest.approx(expected, abs=1e-12), name
    assert sum(values.abs().max() > 1e-4 for values in found.values()) >= 0.9 * len(found)


@pytest.mark.slow
@pytest.mark.parametrize("make", [resnet18, mobilenet_v2])
def test_nets_of_torchvision(make):
    net = seeded(make, num_classes=4)
    batches = images(2, channels=3, dense=False, side=64)
    chosen = choose_channels(net, 6, torch.Generator().manual_seed(3))
    found = channel_ablation(net, batches, chosen, measure="loss")
    for name, values in found.items():
        for channel, value in zip(chosen[name].tolist(), values.tolist()):
            expected = by_hand(net, without_channel(net, name, channel), batches, "loss", False)
            assert value == pytest.approx(expected, rel=1e-6, abs=1e-11), name


@pytest.mark.slow
def test_deeplab():
    net = seeded(deeplab, "compact", 4)
    batches = images(2, channels=3, side=24)
    chosen = {"backbone.conv1": torch.tensor([5]), "backbone.layer3.0.downsample.0": torch.tensor([0, 100])}
    chosen["classifier.0.convs.4.1"] = torch.tensor([7])
    for name, values in channel_ablation(net, batches, chosen).items():
        expected = [by_hand(net, without_channel(net, name, c), batches, "logit", False) for c in chosen[name].tolist()]
        assert values.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-11), name


@pytest.mark.parametrize(
    ("make", "layers"), [(resnet18, 21), (lambda: deeplab("compact", 4), 37)], ids=["resnet18", "compact"]
)
def test_a_batch_norm_is_the_one_that_gets_the_layers_output(make, layers):
    net = make().eval()
    given, taken, handles = {}, {}, []
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            book = given if isinstance(module, nn.Conv2d) else taken

            def note(module, inputs, output, book=book, name=name):
                book[name] = output if book is given else inputs[0]  # kept, so that no other tensor gets its place

            handles.append(module.register_forward_hook(note))
    net(torch.zeros(1, 3, 32, 32))
    found = batch_norms(net)
    assert len(channel_layers(net)) == layers and len(found) == layers - 1
    assert set(found.values()) == set(taken)
    assert all(given[layer] is taken[norm] for layer, norm in found.items())


def test_a_batch_norm_elsewhere_or_of_other_width_is_not_the_layers():
    apart = nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 1)), nn.Sequential(nn.BatchNorm2d(3)))
    activated = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3))
    wider = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(4))
    assert [batch_norms(net) for net in (apart, activated, wider)] == [{}, {}, {}]
    assert batch_norms(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))) == {"0": "1"}


def test_the_classes_and_auxiliary_heads_are_no_inner_layers():
    net = nn.ModuleDict({name: nn.Conv2d(1, 1, 1) for name in ("backbone", "classifier")})
    net["aux_classifier"] = nn.Sequential(nn.Conv2d(1, 1, 1))
    assert list(inner_layers(net)) == ["backbone"]
    assert list(layer_weights(net)) == ["backbone.weight", "classifier.weight"]
    assert list(inner_layers(MaskedNet((4, 3, 2)))) == ["layers.0"]


def test_masked_nets_have_neurons():
    net = MaskedNet((4, 3, 2), "sigmoid").eval()
    x, labels = torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0, 1])
    changed = copy.deepcopy(net)
    changed.layers[0].output_mask[1] = 0
    found = channel_ablation(net, [(x, labels)], {"layers.0": torch.tensor([1])})
    assert found["layers.0"].item() == pytest.approx(by_hand(net, changed, [(x, labels)], "logit", False), abs=1e-6)


@pytest.mark.slow
def test_what_comes_before_is_not_computed_again():
    net, batches = seeded(deeplab, "compact", 4), images(2, channels=3, side=32)

    def operations(run) -> int:
        with FlopCounterMode(display=False) as counter:
            run()
        return counter.get_total_flops()

    whole = operations(lambda: net(batches[0][0]))
    last = operations(lambda: channel_ablation(net, batches, {"classifier.1": torch.arange(8)}))
    first = operations(lambda: channel_ablation(net, batches, {"backbone.conv1": torch.arange(8)}))
    assert whole < last < 1.5 * whole  # one pass to remember, and 8 times the head
    assert 8 * whole < first <= 9 * whole


def test_a_channel_that_nobody_reads_takes_nothing():
    net = seeded(Classifier)
    net.last.weight.data[:, 2] = 0
    found = channel_ablation(net, images(3, dense=False), absolute=True)
    assert found["hidden"][2] == 0 and (found["hidden"][[0, 1, 3]] > 0).all()


def test_absolute_changes_do_not_cancel():
    net, batches = seeded(Segmenter), images(4)
    signed, absolute = (channel_ablation(net, batches, absolute=value) for value in (False, True))
    assert all((absolute[name] >= signed[name].abs() - 1e-12).all() for name in signed)
    assert any((absolute[name] > signed[name].abs() + 1e-6).any() for name in signed)


class Fails(Segmenter):
    """Fails in its third forward pass, while the second channel or weight is at 0."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        output = super().forward(x)
        if self.calls == 3:
            raise KeyboardInterrupt
        return output


@pytest.mark.parametrize("make", [Segmenter, Fails])
@pytest.mark.parametrize("what", ["channels", "weights"])
def test_the_net_is_left_as_it_was(make, what):
    net = seeded(make)
    net.classifier.weight.requires_grad_(False)
    net.stem[0].weight.data[0, 0, 0, 0] = -0.0
    before = copy.deepcopy(net)

    def run():
        if what == "channels":
            return channel_ablation(net, images(2))
        return weight_ablation(net, images(2), {"stem.0.weight": torch.arange(4), "second.bn2.bias": torch.arange(3)})

    if make is Fails:
        with pytest.raises(KeyboardInterrupt):
            run()
    else:
        run()
    for (name, old), new in zip(before.state_dict().items(), net.state_dict().values(), strict=True):
        assert torch.equal(old, new) and torch.equal(old.signbit(), new.signbit()), name
    for old, new in zip(before.modules(), net.modules(), strict=True):
        assert vars(old).keys() == vars(new).keys() and not new._forward_hooks and not new.training
    assert [value.requires_grad for value in before.parameters()] == [value.requires_grad for value in net.parameters()]


@given(count=st.integers(1, 9), seed=st.integers(0, 5))
def test_a_choice_is_spread_over_the_layers_and_seeded(count, seed):
    net = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 5), nn.Linear(5, 3), nn.Linear(3, 7))
    chosen, again = (choose_channels(net, count, torch.Generator().manual_seed(seed)) for _ in range(2))
    assert {name: ids.tolist() for name, ids in chosen.items()} == {name: ids.tolist() for name, ids in again.items()}
    sizes = {"0": 1, "1": 5, "2": 3}
    taken = {name: len(chosen.get(name, ())) for name in sizes}
    assert sum(taken.values()) == count
    assert all(taken[name] == sizes[name] or taken[name] >= max(taken.values()) - 1 for name in sizes)
    for name, ids in chosen.items():
        assert ids.tolist() == sorted(set(ids.tolist())) and ids.min() >= 0 and ids.max() < sizes[name]
    weights = choose_weights(net, count, torch.Generator().manual_seed(seed))
    assert sum(map(len, weights.values())) == count
    assert all(ids.max() < net.get_parameter(name).numel() for name, ids in weights.items())


def test_other_seeds_choose_others():
    net = deeplab("compact", 4)
    one, other = (choose_channels(net, 152, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert len(one) == 36 and sum(map(len, one.values())) == 152
    assert any(not torch.equal(one[name], other[name]) for name in one)


BAD = [
    (
        lambda net, data: channel_ablation(net, data, {"third": torch.arange(1)}),
        r"no layer 'third': its layers are stem",
    ),
    (lambda net, data: channel_ablation(net, data, {"stem.0": torch.tensor([3])}), r"'stem.0' has the channels 0 to 2"),
    (lambda net, data: channel_ablation(net, data, {"stem.0": torch.tensor([-1])}), r"so there is no -1"),
    (lambda net, data: channel_ablation(net, data, {"stem.0": torch.tensor([0.5])}), r"a vector of whole numbers"),
    (
        lambda net, data: channel_ablation(net, data, {"stem.0": torch.tensor([True, False, True])}),
        r"a vector of whole numbers",
    ),
    (lambda net, data: weight_ablation(net, data, {"stem.0": torch.arange(1)}), r"no parameter 'stem.0'"),
    (lambda net, data: weight_ablation(net, data, {"stem.0.bias": torch.arange(4)}), r"has the weights 0 to 2"),
    (lambda net, data: channel_ablation(net, []), r"nothing to measure on"),
    (lambda net, data: channel_ablation(net, [(data[0][0], torch.full((2, 5, 5), 255))]), r"nothing to measure on"),
    (lambda net, data: channel_ablation(net, [(data[0][0], torch.full((2, 5, 5), 9))]), r"label 9"),
    (lambda net, data: channel_ablation(net, [(data[0][0], torch.zeros(2, 5, 4))]), r"\(2, 5, 4\) do not fit"),
    (lambda net, data: channel_ablation(net, [(data[0][0] * torch.nan, data[0][1])]), r"not finite"),
    (
        lambda net, data: channel_ablation(net, data, measure="accuracy"),
        r"no measure 'accuracy'; choose one of logit, loss",
    ),
    (lambda net, data: channel_ablation(net.train(), data), r"train mode"),
    (lambda net, data: choose_channels(net, 16, torch.Generator()), r"16 cannot be chosen from 15"),
    (lambda net, data: choose_weights(net, 0, torch.Generator()), r"0 cannot be chosen"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_bad_input_is_said_in_one_sentence(call, message):
    with pytest.raises(UserError, match=message) as caught:
        call(seeded(Segmenter), images(2))
    assert "\n" not in str(caught.value)
