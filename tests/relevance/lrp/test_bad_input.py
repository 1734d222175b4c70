"""One clear sentence for each way to go wrong."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from relcomp_kit.errors import UserError
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.relevance.lrp import conservation, heatmap, weight_relevance, weight_relevance_per_class


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, slope):
        return 2 * slope


with warnings.catch_warnings():
    warnings.simplefilter("ignore")

    @torch.jit.script
    def scripted(x):
        return x * 2 + 1


class Net(nn.Module):
    """A classifier for images of 3x4x4 in which one thing can be done wrongly."""

    def __init__(self, wrong=""):
        super().__init__()
        self.first, self.second, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.ReLU()
        self.pool, self.last, self.wrong = nn.AvgPool2d(2), nn.Linear(12, 3), wrong

    def forward(self, x):
        if self.wrong == "no gradient":
            with torch.no_grad():
                x = x.clone()
        y = self.first(x)
        y = self.second(F.relu(y) if self.wrong == "functional" else self.relu(y))
        if self.wrong == "in-place add":
            y += x
        if self.wrong == "layer twice":
            y = self.second(y)
        if self.wrong == "product":
            y = y * x.sigmoid()
        if self.wrong == "divisor":
            y = y * (x.abs() + 1).reciprocal()
        if self.wrong == "data":
            y = y + x.data
        if self.wrong == "item":
            y = y + x.mean().item()
        if self.wrong == "dynamic":
            y = F.linear(y, x[0, 0])
        if self.wrong == "hidden":
            y = Doubled.apply(y)
        if self.wrong == "script":
            y = scripted(y)
        if self.wrong == "detached":
            y = y.detach()
        return self.last(self.pool(y).flatten(1))


class PoolTwice(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.pool = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.AvgPool2d(2)

    def forward(self, x):
        return self.pool(self.second(self.pool(self.first(x)))).flatten(1)


class Late(nn.Module):
    """The input of a layer is written to after the layer has read it."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.flat = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Flatten()

    def forward(self, x):
        x = self.first(x)
        y = self.second(x)
        x += 1
        return self.flat(x + y)


class Misordered(nn.Module):
    """The batch-norm stands behind a layer that it is not used after."""

    def __init__(self, channels):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, channels, 1)
        self.norm, self.relu, self.flat = nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten()
        self.norm.running_var.fill_(9)

    def forward(self, x):
        return self.flat(self.second(self.relu(self.norm(self.first(x)))))


X = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
T = torch.tensor([0, 1])


def net(wrong="", change=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Net(wrong).eval()
    if change:
        change(made)
    return made


def nan(made):
    made.second.weight.data[0, 0] = torch.nan


def idle(made):
    made.idle = nn.ReLU().eval()


def shared(made):
    made.third = nn.Conv2d(3, 3, 1).eval()
    made.third.weight = made.second.weight


def weights(model=None, batches=None, **options):
    return lambda: weight_relevance(model or net(), [(X, T)] if batches is None else batches, **options)


def masked_sigmoid():
    made = MaskedNet((48, 4, 3), "sigmoid").eval()
    made.layers[0].output_mask[2] = 0
    return made


ARGUMENTS = {
    "rule": (weights(rule="lrp"), "'lrp'", "epsilon"),
    "aggregate": (weights(aggregate="mean"), "'mean'", "mean_of_abs"),
    "start": (weights(start="false"), "'false'", "predicted"),
    "way": (weights(way="autograd"), "'autograd'", "zennit"),
    "way and canonizers": (weights(way="gradient", canonizers=[]), "canonizers", "zennit"),
    "momentum": (weights(momentum=1.0), "1.0"),
    "class": (weights(class_=3), "class 3", "0 to 2"),
    "negative class": (weights(class_=-1), "class -1"),
    "class of an own start": (weights(start=torch.ones(1), class_=0), "start of your own"),
    "no class": (lambda: weight_relevance_per_class(net(), [(X, T)], []), "at least one"),
    "one wrong class": (lambda: weight_relevance_per_class(net(), [(X, T)], [0, 7]), "class 7"),
    "own start": (weights(start=torch.ones(2, 5)), "(2, 5)", "(2, 3)"),
    "NaN start": (weights(start=torch.full((3,), torch.nan)), "NaN"),
    "concept's layer": (weights(concept=("third", 0)), "'third'"),
    "concept's channel": (weights(concept=("second", [0, 3])), "second", "0 to 2", "3"),
    "concept's channels": (weights(concept=("second", [])), "second", "none"),
    "unused layer": (weights(net(change=idle), concept=("idle", 0)), "idle"),
    "layer used twice as a concept": (
        weights(nn.Sequential(nn.Flatten(), nn.Linear(48, 3), relu := nn.ReLU(), nn.Linear(3, 3), relu).eval(),
                concept=("2", 0)), "2 is used twice",
    ),
}  # fmt: skip
DATA = {
    "no batch": (weights(batches=[]), "no batch"),
    "empty batch": (weights(batches=[(X[:0], T[:0])]), "empty"),
    "class that never occurs": (lambda: weight_relevance_per_class(net(), [(X, T)], [0, 2]), "class 2", "never occurs"),
    "no class at all": (weights(batches=[(X, T * 0 + 255)]), "0 everywhere"),
    "no targets": (weights(batches=[X]), "(x, target)"),
    "batch for batches": (weights(batches=(X, T)), "(x, target)"),
    "shape of targets": (weights(batches=[(X, T[:, None])]), "(2, 1)", "(2,)"),
    "high label": (weights(batches=[(X, T + 7)]), "class 7", "0 to 2"),
    "negative label": (weights(batches=[(X, T - 3)]), "class -3"),
    "bytes": (weights(batches=[(X.to(torch.uint8), T)]), "uint8"),
    "arrays": (weights(batches=[(X.numpy(), T.numpy())]), "tensors"),
    "a dict": (weights(batches=[{"x": X, "target": T}]), "tensors"),
    "three things": (weights(batches=[(X, T, T)]), "tensors"),
    "NaN image": (weights(batches=[(X * torch.nan, T)]), "NaN"),
    "heatmap of nothing": (lambda: heatmap(net(), X, start=torch.zeros(1)), "0 everywhere"),
    "conservation of nothing": (lambda: conservation(net(), X, rule="z+", start=torch.zeros(1)), "relevance 0"),
}
NETS = {
    "train mode": (weights(net(change=nn.Module.train)), "the net is in train mode", "eval"),
    "a part in train mode": (weights(net(change=lambda made: made.second.train())), "second is in train mode"),
    "NaN weight": (weights(net(change=nan)), "second.weight", "NaN"),
    "shared weight": (weights(net(change=shared)), "second.weight", "third.weight"),
    "layer twice by zennit": (weights(net("layer twice"), way="zennit"), "second is used twice"),
    "pooling twice by zennit": (weights(PoolTwice().eval(), way="zennit", start="predicted"), "pool is used twice"),
    "product by zennit": (weights(net("product"), way="zennit"), "the net (sigmoid)", "the net (mul)"),
    "divisor": (weights(net("divisor")), "the net (reciprocal)"),
    "values beside autograd": (weights(net("data")), "the net (data)"),
    "numbers of its own": (weights(net("item")), "the net (item)"),
    "a weight from the image": (weights(net("dynamic")), "the net (linear", "depend on the image"),
    "an autograd.Function": (weights(net("hidden")), "autograd.Function"),
    "TorchScript": (weights(net("script")), "TorchScript"),
    "detached": (weights(net("detached")), "the net (detach)"),
    "gradients off": (weights(net("no gradient")), "the net (clone without gradients)"),
    "written to too late": (weights(Late().eval(), start="predicted"), "second", "in place"),
    "functional ReLU by zennit": (weights(net("functional"), rule="z+", way="zennit"), "the net (relu)"),
    "in-place add by zennit": (weights(net("in-place add"), rule="z+", way="zennit"), "the net (add_)"),
    "layer norm by zennit": (
        weights(nn.Sequential(nn.Flatten(), nn.LayerNorm(48), nn.Linear(48, 3)).eval(), way="zennit"), "1 (layer_norm)",
    ),
    "batch-norm without statistics": (
        weights(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False), nn.Flatten()).eval()), "0 is a batch-norm",
    ),
    "batch-norm without weights by zennit": (
        weights(nn.Sequential(nn.Conv2d(3, 3, 4), nn.BatchNorm2d(3, affine=False), nn.Flatten()).eval(), way="zennit"),
        "1 is a batch-norm",
    ),
    "batch-norm alone by zennit": (
        weights(nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 4), nn.Flatten()).eval(), way="zennit"),
        "0 (batch-norm",
    ),
    "merged into the wrong layer": (
        weights(Misordered(3).eval(), start="predicted", way="zennit"), "canonizer", "order",
    ),
    "merged where it does not fit": (weights(Misordered(4).eval(), start="predicted", way="zennit"), "does not fit"),
    "masked sigmoid": (weights(masked_sigmoid()), "sigmoid"),
    "no tensor": (weights(nn.LSTM(4, 3).eval(), batches=[(X[:, 0], T)]), "(N, classes, ...)"),
}  # fmt: skip


@pytest.mark.parametrize("call", [*ARGUMENTS.values(), *DATA.values(), *NETS.values()],
                         ids=[*ARGUMENTS, *DATA, *NETS])  # fmt: skip
def test_one_sentence_says_what_is_wrong(call):
    function, *words = call
    with pytest.raises(UserError) as caught:
        function()
    said = str(caught.value)
    assert "\n" not in said and len(said) < 300
    assert not [word for word in words if word not in said], said


def test_what_epsilon_copes_with(seeded):
    """Functional ReLU, sums in place, pooling used twice: plain gradients carry relevance through them."""
    for model in (net("functional"), net("in-place add"), seeded(PoolTwice)):
        found = conservation(model, X, rule="epsilon")["input"]
        assert found.error <= 1e-3
