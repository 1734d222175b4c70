"""Quantization-aware training: one step by hand, no aliasing, arms, warm-up, momentum, choice, resumption."""

import copy
import dataclasses
import math

import pytest
import torch
from torch import nn

from relcomp_kit import datasets
from relcomp_kit.artifacts import read_artifact
from relcomp_kit.compression import ecqx
from relcomp_kit.compression.ecqx import qat, qat_loop
from relcomp_kit.compression.ecqx.qat import QatRecipe, fingerprint, measure, quantized_net
from relcomp_kit.compression.ecqx.qat_loop import Run, best_row
from relcomp_kit.compression.ecqx.recipe import resolve
from relcomp_kit.compression.ecqx.straight_through import learned_step_gradients
from relcomp_kit.compression.ecqx.tasks import task_of
from relcomp_kit.datasets.images import ImageSet, Split
from relcomp_kit.datasets.scene_set import VOID
from relcomp_kit.datasets.scenes import load_scenes
from relcomp_kit.errors import UserError
from relcomp_kit.models.checkpoints import load_net
from relcomp_kit.models.deeplab import deeplab
from relcomp_kit.models.masked_net import MaskedNet
from relcomp_kit.models.masked_net_training import Batches, one_hot_others_cold, prepare, sgd_step, train
from relcomp_kit.models.scene_batches import draw
from relcomp_kit.relevance.lrp import weight_relevance

RECIPE = QatRecipe("lrp", bits=4, Lambda=0.1, steps=8, batch=20, validate_every=3, fit_every=2)
RECIPE = dataclasses.replace(RECIPE, relevance_every=4, relevance_batches=1)


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return datasets.load("digits")


@pytest.fixture(scope="module")
def scenes():
    """A few of the kit's scenes, drawn small."""
    whole = load_scenes("rail-scenes", (48, 80))
    splits = {name: torch.utils.data.Subset(getattr(whole, name), range(count)) for name, count in COUNTS.items()}
    return dataclasses.replace(whole, **splits, sha256="some of the rail scenes")


COUNTS = {"train": 8, "validation": 4, "test": 4}


def mlp(inputs: int = 64, hidden: int = 20, classes: int = 10) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, classes))


@pytest.fixture(scope="module")
def trained(digits) -> nn.Sequential:
    """A net that knows most digits."""
    net, samples = mlp(), prepare(digits.train, 0)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(150):
        chosen = Batches(len(samples), 0, 100)[step]
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(samples.x[chosen]), samples.labels[chosen]).backward()
        optimizer.step()
    return net


def start(net, data, recipe=RECIPE, seed=0, **changes) -> Run:
    recipe = resolve(dataclasses.replace(recipe, **changes))
    run = Run(net, recipe, task_of(net, recipe, data, seed), seed)
    run.fit()
    return run


def advance(run: Run) -> float:
    loss = run.step()
    run.assign()
    return loss


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("scale", ["none", "abs", "signed"])
def test_one_step_by_hand(scale):
    """Two pixels, two classes: the gradient at the quantized weights moves the shadow, from which indices are made."""
    images = torch.tensor([[0.0, 1.0], [1.0, 0.5], [0.25, 0.0], [0.5, 1.0]]).view(4, 1, 1, 2)
    split = Split(images, torch.tensor([0, 1, 1, 0]))
    data = ImageSet("four", split, split, split, ("a", "b"), "four", "this test")
    net = nn.Sequential(nn.Linear(2, 2))
    weight, bias = torch.tensor([[0.37, -0.7], [-0.1, 0.52]]), torch.tensor([0.1, -0.2])
    net.load_state_dict({"0.weight": weight, "0.bias": bias})
    changes = {"arm": "ecq", "bits": 3, "Lambda": 0, "batch": 4, "learning_rate": 0.05, "gradient_scale": scale}
    run = start(net, data, **changes, noise=False, signed=False)

    percentile = 0.52 + 0.997 * (0.7 - 0.52)  # of four sizes, at the rank 0.999 * 3
    step, (low, high) = torch.tensor(percentile / 3), (-3, 4)  # the sum is above 0
    q = (weight / step).round().clamp(low, high) * step
    torch.testing.assert_close(run.net[0].weight.detach(), q, rtol=0, atol=1e-7)
    x = images.flatten(1)
    error = (x @ q.T + bias).softmax(1) - nn.functional.one_hot(split.labels)
    gradient = error.T @ x / 4
    factor = {"none": torch.ones_like(q), "abs": q.abs(), "signed": q}[scale]
    gradient *= torch.where(q == 0, 1.0, factor)
    moved = weight - 0.05 * gradient / (gradient.abs() + 1e-8)  # Adam's first step
    bias_moved = bias - 0.05 * error.mean(0) / (error.mean(0).abs() + 1e-8)

    loss = advance(run)
    assert loss == pytest.approx(nn.functional.cross_entropy(x @ q.T + bias, split.labels).item(), rel=1e-5)
    torch.testing.assert_close(run.shadow["0.weight"], moved, rtol=0, atol=1e-6)
    torch.testing.assert_close(run.net[0].bias.detach(), bias_moved, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        run.net[0].weight.detach(), (moved / step).round().clamp(low, high) * step, rtol=0, atol=1e-6
    )


@pytest.mark.slow
@pytest.mark.parametrize("arm", ["ecq", "lrp"])
def test_the_shadow_lies_in_memory_of_its_own(trained, digits, arm):
    before = copy.deepcopy(trained.state_dict())
    run = start(trained, digits, arm=arm, relevance_every=1)
    for _ in range(4):
        run.fit()
        advance(run)
        for name, shadow in run.shadow.items():
            assert shadow.data_ptr() != run.weights[name].data_ptr()
            levels = run.weights[name].detach() / run.grids[name].step
            torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-5)
            assert len(shadow.unique()) > 100, "the shadow keeps full precision"
    assert same(trained.state_dict(), before), "the net that was given is left as it was"
    assert {id(tensor) for tensor in run.trained}.isdisjoint(id(weight) for weight in run.weights.values())


def test_a_masked_net_gets_the_gradient_of_its_own_training(digits):
    net = MaskedNet((64, 12, 10), seed=1)
    with torch.no_grad():
        net.layers[0].weight_mask[3] = 0
        net.layers[1].output_mask[7] = 0
        net.layers[0].weight_mask[:, 5] = 0
    quantized = start(net, digits)
    assert not quantized.indices["layers.0.weight"][3].any() and not quantized.indices["layers.0.weight"][:, 5].any()
    run = start(net, digits, arm="float")
    x, labels = run.task.batch(0)
    loss = run.task.loss(run.net, (x, labels))
    loss.backward()
    by_hand = copy.deepcopy(net)
    sgd_step(by_hand, x, one_hot_others_cold(labels, 10), 1.0)
    for (name, parameter), other in zip(run.net.named_parameters(), by_hand.parameters(), strict=True):
        mask = run.net.state_dict().get(f"{name}_mask", 1)
        torch.testing.assert_close((parameter - parameter.grad) * mask, other * mask, rtol=0, atol=1e-6)


def test_lambda_rises_and_states_of_that_time_are_not_chosen(trained, digits, own_cache):
    recipe = dataclasses.replace(RECIPE, arm="ecq", Lambda=0.3, steps=12, warm_up=7, fit_every=3, learning_rate=1e-6)
    _, history = quantized_net(recipe, trained, digits, 0)
    assert [row["step"] for row in history] == [3, 6, 9, 12]
    assert [row["Lambda"] for row in history] == pytest.approx([0, 0.3 * 3 / 7, 0.3, 0.3])
    assert history[0]["sparsity"] < history[1]["sparsity"] < history[2]["sparsity"]
    assert max(row["score"] for row in history[:2]) > max(row["score"] for row in history[2:]), "less lambda, less loss"
    assert [row["chosen"] for row in history].index(True) >= 2
    run = start(trained, digits, recipe)
    while run.done < 7:
        advance(run)
        run.fit()
    assert run.share == 1, "at the end of warm-up all of lambda is in force, between two fits too"


def test_the_best_state_is_chosen_by_validation_alone(trained, digits, own_cache, monkeypatch):
    states, told = [], iter([0.5, 0.9, 0.9])
    recipe = dataclasses.replace(RECIPE, arm="ecq", learning_rate=0.01)

    class Faked(qat.task_of(trained, recipe, digits, 0).__class__):
        def scores(self, net, split):
            assert split == "validation"
            states.append({name: value.clone() for name, value in net.state_dict().items()})
            return {"accuracy": next(told)}

    monkeypatch.setattr(qat, "task_of", lambda *args: Faked(*args))
    quantized, history = quantized_net(recipe, trained, digits, 0)
    assert [row["chosen"] for row in history] == [False, True, False], "the first of equal ones"
    assert same(ecqx.state_dict(quantized), states[1])
    assert not same(states[1], states[2])
    assert history[1]["sparsity"] == quantized.sparsity


def test_best_row_waits_for_the_end_of_warm_up():
    rows = [
        {"lambda_share": share, "score": score} for share, score in ((0.5, 1.0), (1.0, 0.2), (1.0, 0.6), (1.0, 0.6))
    ]
    assert [best_row(rows[:count]) for count in (1, 2, 3, 4)] == [0, 1, 2, 2]


@pytest.mark.slow
def test_relevance_keeps_a_tenth_of_the_old(trained, digits):
    """Across the 62 steps of an epoch too; measured on the shadow, in eval mode, on training images."""
    run = start(trained, digits, relevance_every=10, relevance_batches=2)
    run.relevance = {}
    expected, keep = None, 0.1
    for step in range(71):
        run.fit()
        if step % 10 == 0:
            net = copy.deepcopy(trained).eval()
            net.load_state_dict(run.net.state_dict() | run.shadow)
            new = weight_relevance(net, [run.task.batch(step), run.task.batch(step + 1)])
            old, expected = expected, {name: new[name] for name in run.shadow}
            if old:
                expected = {name: (1 - keep) * value + keep * old[name] for name, value in expected.items()}
            for name, value in expected.items():
                torch.testing.assert_close(run.relevance[name], value, rtol=1e-4, atol=1e-9)
        advance(run)
        assert run.net.training


@pytest.mark.slow
def test_relevance_of_an_unconserved_net_grows_with_every_sum(scenes):
    """Each block hands on more than it received; up to the last sum nothing differs."""
    net, layers = load_net("compact-rail-scenes-0"), ("backbone.conv1", "backbone.layer4.0.conv1", "classifier.4")
    right, wrong = (start(net, scenes, batch=2, class_weights=None, conserved=one) for one in (True, False))
    first, middle, last = (
        wrong.relevance[f"{layer}.weight"].sum() / right.relevance[f"{layer}.weight"].sum() for layer in layers
    )
    assert last == pytest.approx(1, rel=1e-3)
    assert first > 1e3 * middle > 1e6
    assert not torch.equal(right.indices["backbone.conv1.weight"], wrong.indices["backbone.conv1.weight"])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_net_without_sums_conserves_either_way(digits, activation):
    net = MaskedNet((64, 12, 10), activation, seed=1)
    right, wrong = (start(net, digits, conserved=one).relevance for one in (True, False))
    for name, value in right.items():
        assert value.any() and value.isfinite().all()
        torch.testing.assert_close(wrong[name], value, rtol=1e-3, atol=1e-3 * value.max().item())


def test_a_weight_at_0_has_relevance_on_the_shadow_only(trained, digits):
    shares = {}
    for source in ("shadow", "quantized"):
        run = start(trained, digits, relevance_of=source, momentum=0)
        run.refresh()
        found = [run.relevance[name][index == 0] for name, index in run.indices.items()]
        shares[source] = torch.cat(found).count_nonzero().item() / sum(map(len, found))
    assert shares["quantized"] == 0
    assert shares["shadow"] > 0.5, "the others lead to neurons that no image of the batch switches on"


def test_arms_differ_and_each_is_what_it_says(trained, digits):
    runs = {arm: start(trained, digits, arm=arm, Lambda=0.3) for arm in ("ecq", "lrp", "magnitude", "random")}
    name = "0.weight"
    assert torch.equal(runs["magnitude"].relevance[name], trained[0].weight.abs())
    assert not runs["ecq"].relevance
    drawn = runs["random"].relevance[name]
    assert 0 <= drawn.min() < 0.01 < 0.99 < drawn.max() <= 1
    runs["random"].done = 4
    runs["random"].refresh()
    torch.testing.assert_close(runs["random"].relevance[name], drawn)  # drawn once
    assert not torch.equal(start(trained, digits, arm="random", seed=1).relevance[name], drawn)
    indices = [run.indices[name] for run in runs.values()]
    assert all(not torch.equal(a, b) for i, a in enumerate(indices) for b in indices[:i])
    expected = ecqx.quantize(trained, 4, 0.3)
    assert same(runs["ecq"].indices, expected.indices), "before the first step: what quantize says"
    expected = ecqx.quantize(trained, 4, 0.3, relevance=runs["lrp"].relevance)
    assert same(runs["lrp"].indices, expected.indices)
    for arm in ("lrp", "magnitude", "random"):
        ecq = runs["ecq"].quantized().sparsities
        for layer, sparsity in runs[arm].quantized().sparsities.items():
            none = (runs[arm].relevance[layer] == 0).float().mean()  # goes to 0 whatever ECQ says
            assert ecq[layer] - 0.1 - 1e-9 <= sparsity <= ecq[layer] + none + 1e-9


def test_float_arm_trains_without_quantization(trained, digits, own_cache):
    quantized, history = quantized_net(dataclasses.replace(RECIPE, arm="float"), trained, digits, 0)
    assert not quantized.indices and quantized.compression_ratio == 1
    assert history[0]["sparsity"] is history[0]["entropy"] is None
    plain, samples = copy.deepcopy(trained), prepare(digits.train, 0)
    optimizer = torch.optim.Adam(plain.parameters(), 1e-3)
    chosen = next(row["step"] for row in history if row["chosen"])
    for step in range(chosen):
        batch = Batches(len(samples), 0, 20)[step]
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(samples.x[batch]), samples.labels[batch]).backward()
        optimizer.step()
    assert same(ecqx.state_dict(quantized), plain.state_dict())


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.slow
def test_training_goes_on_in_fp32_where_bf16_has_no_gradient(scenes):
    recipe = dataclasses.replace(RECIPE, arm="float", batch=2, precision="bf16")
    run = start(deeplab("compact", 7, seed=0), scenes, recipe)
    weight = run.net.classifier[-1].weight
    weight.register_hook(lambda gradient: gradient * torch.nan if run.task.precision == "bf16" else gradient)
    advance(run)
    assert run.task.precision == "fp32"
    assert all(value.isfinite().all() for value in run.net.parameters())


def kill_at(step):
    def report(done, steps, text):
        if done == step:
            raise Killed

    return report


@pytest.mark.parametrize("levels", [(-1, 2), (-8, 7), (-127, 128)])
def test_learned_steps_have_the_gradients_of_their_definition(levels):
    """Against autograd through clamp and a rounding whose gradient is 1."""
    draw_ = torch.Generator().manual_seed(0)
    weight = torch.randn(50, generator=draw_, dtype=torch.float64).mul_(3).requires_grad_()
    upstream = torch.randn(50, generator=draw_, dtype=torch.float64)
    log_step = torch.tensor(math.log(0.3), dtype=torch.float64, requires_grad=True)
    step = log_step.exp()
    scaled = (weight / step).clamp(*levels)
    ((scaled + (scaled.round() - scaled).detach()) * step).backward(upstream)
    found = learned_step_gradients(upstream, weight.detach(), step.item(), levels)
    torch.testing.assert_close(found[0], weight.grad)
    torch.testing.assert_close(found[1], log_step.grad)


def test_lsq_learns_its_steps_and_needs_neither_relevance_nor_lambda(trained, digits):
    recipe = resolve(dataclasses.replace(RECIPE, arm="lsq", bits=2, steps=60, validate_every=60, batch=50))
    task = task_of(trained, recipe, digits, 0)
    run = Run(trained, recipe, task, 0)
    first = {name: value.exp().item() for name, value in run.log_steps.items()}
    assert first == pytest.approx({name: grid.step for name, grid in ecqx.plan(trained, 2, 0.0).items()})
    run.fit()
    before = task.scores(run.net.eval(), "validation")["accuracy"]
    run.net.train()
    while run.done < recipe.steps:
        run.fit()
        run.step()
        run.assign()
    for name, grid in run.grids.items():
        index, shadow = run.indices[name], run.shadow[name]
        assert grid.step == run.log_steps[name].exp().item() != first[name]
        assert torch.equal(index.float(), (shadow / grid.step).round().clamp(*grid.levels))
        assert torch.equal(run.weights[name], index * grid.step)
    assert not run.relevance and not run.fitted
    run.validate()
    assert run.history[-1]["accuracy"] > before
    decoded = ecqx.from_tensors(run.best)
    assert decoded.steps.keys() == first.keys() and all(
        decoded.steps[name].item() == pytest.approx(grid.step) for name, grid in run.grids.items()
    )


CASES = {
    "lrp": ("digits", {"arm": "lrp", "relevance_of": "quantized", "gradient_scale": "abs"}),
    "random": ("digits", {"arm": "random", "warm_up": 5, "relevance_every": 3}),
    "float": ("digits", {"arm": "float", "schedule": "poly"}),
    "lsq": ("digits", {"arm": "lsq", "bits": 2}),
    "scenes": ("scenes", {"arm": "lrp", "batch": 2, "precision": "bf16", "augment": True, "relevance_every": 8}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("case", "killed_at"), [*((case, 5) for case in CASES), ("lrp", 3)])
def test_a_killed_run_goes_on_to_the_same_result(case, killed_at, trained, request, tmp_path, monkeypatch):
    name, changes = CASES[case]
    data = request.getfixturevalue(name)
    net = trained if name == "digits" else deeplab("compact", len(data.classes), seed=0)
    recipe = dataclasses.replace(RECIPE, **changes)
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path / "whole"))
    states = []
    monkeypatch.setattr(qat_loop, "write_artifact", keep_last(states))
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    whole, history = quantized_net(recipe, net, data, 1)
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's random numbers go on"
    monkeypatch.setenv("RELCOMP_CACHE", str(tmp_path / "parts"))
    with pytest.raises(Killed):
        quantized_net(recipe, net, data, 1, report=kill_at(killed_at))
    seen = []
    parts, again = quantized_net(recipe, net, data, 1, report=lambda *what: seen.append(what[0]))
    assert seen == [4, 5, 6, 7, 8]
    assert same(ecqx.to_tensors(whole), ecqx.to_tensors(parts))
    assert [row | {"seconds": 0} for row in history] == [row | {"seconds": 0} for row in again]
    ends = [state for state in states if state[1]["step"] == 8]
    assert len(ends) == 2 and same(ends[0][0], ends[1][0]), "net, shadow, optimizer, relevance: bit for bit"
    assert not list(tmp_path.rglob("*.partial"))


def keep_last(states: list):
    original = qat_loop.write_artifact

    def write(path, tensors, info):
        original(path, tensors, info)
        states.append(read_artifact(path))

    return write


def test_results_come_from_the_cache_by_all_that_decides_them(trained, digits, own_cache, monkeypatch):
    recipe = dataclasses.replace(RECIPE, steps=1)
    first = measure(recipe, trained, digits, 0)
    monkeypatch.setattr(qat, "train", None)
    assert measure(recipe, trained, digits, 0) == first
    other = copy.deepcopy(trained)
    with torch.no_grad():
        other[0].weight[0, 0] += 1e-6
    data = dataclasses.replace(digits, sha256="other")
    for changed in ((recipe, other, digits, 0), (recipe, trained, data, 0), (recipe, trained, digits, 1)):
        with pytest.raises(TypeError):
            quantized_net(*changed)
    for field, value in (("bits", 3), ("Lambda", 0.2), ("arm", "ecq"), ("exclude", ("2",)), ("noise", False)):
        with pytest.raises(TypeError):
            quantized_net(dataclasses.replace(recipe, **{field: value}), trained, digits, 0)
    tanh, relu = (MaskedNet((64, 5, 10), activation) for activation in ("tanh", "relu"))
    assert same(tanh.state_dict(), relu.state_dict()) and fingerprint(tanh) != fingerprint(relu)


def test_the_state_of_another_training_is_refused(trained, digits, tmp_path):
    run = start(trained, digits)
    run.step()
    run.validate()
    run.write(tmp_path / "state", {"seed": 0})
    with pytest.raises(UserError, match="is the state of another training: delete it"):
        run.resume(tmp_path / "state", {"seed": 1})


@pytest.mark.slow
@pytest.mark.parametrize("net", ["linear", "tanh", "relu"])
def test_digits_sparse_and_hardly_worse(net, trained, digits, own_cache):
    recipe = QatRecipe("lrp", 4, 0.3, steps=120, batch=50, warm_up=20, validate_every=40)
    if net != "linear":
        trained, samples = MaskedNet((64, 36, 25, 10), [net, net, "tanh"]), prepare(digits.train, 0)
        train(trained, samples, one_hot_others_cold(samples.labels, 10), Batches(len(samples), 0, 50), 0, 3000)
    before = task_of(trained, resolve(recipe), digits, 0).scores(trained, "test")["accuracy"]
    found = measure(recipe, trained, digits, 0)
    assert before > 0.6
    assert found["accuracy"][0] > before - 0.05
    assert found["sparsity"][0] > 0.5
    assert found["entropy"][0] < 2
    assert found["compression ratio"][0] > 6
    assert all(math.isfinite(value) for value, unit in found.values() if unit)


@pytest.mark.slow
def test_scenes_sparse_and_better_than_the_most_frequent_class(scenes, own_cache):
    recipe = QatRecipe("lrp", 4, 0.1, steps=4, batch=4, validate_every=2, relevance_batches=1, exclude="classifier.4")
    net = load_net("compact-rail-scenes-0")
    quantized, history = quantized_net(recipe, net, scenes, 0)
    assert not any(name.startswith("classifier.4") for name in quantized.indices)
    assert quantized.sparsity > 0.2
    labels = torch.cat([label.flatten() for _, label in scenes.validation])
    most = torch.bincount(labels[labels != VOID]).max() / (labels != VOID).sum()
    assert max(row["pixel_accuracy"] for row in history) > most


@pytest.mark.slow
def test_a_large_net_takes_a_step(scenes, own_cache):
    recipe = QatRecipe("lrp", 4, 0.1, steps=1, batch=2, validate_every=1, relevance_batches=1)
    quantized, history = quantized_net(recipe, deeplab("resnet50", 7, seed=0), scenes, 0)
    assert len(quantized.indices) == 61 and quantized.sparsity > 0.2
    assert math.isfinite(history[0]["loss"]) and history[0]["chosen"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"arm": "taylor"}, "no arm 'taylor'; choose one of ecq, lrp, magnitude, random, lsq, float"),
        ({"bits": 1}, "the bit width must be a whole number from 2 to 8, not 1"),
        ({"Lambda": -0.1}, "Lambda must be 0 or a positive number, not -0.1"),
        ({"Lambda": float("nan")}, "Lambda must be 0 or a positive number, not nan"),
        ({"gradient_scale": "sign"}, "no gradient_scale 'sign'; choose one of none, abs, signed"),
        ({"relevance_of": "net"}, "no relevance_of 'net'; choose one of shadow, quantized"),
        ({"momentum": 1}, "the momentum is the share of the old relevance"),
        ({"give_back": 2}, r"to give back must lie in \[0, 1\], not 2"),
        ({"warm_up": 8}, "warm_up is 8: it must end before the 8 steps"),
        ({"fit_every": 0}, "fit_every is 0: it must be 1 or more"),
        ({"learning_rate": 0}, "learning_rate is 0: it must be above 0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        dataclasses.replace(RECIPE, **changes)


@pytest.mark.slow
def test_what_does_not_fit_together_is_said_in_one_sentence(trained, digits, scenes, own_cache):
    with pytest.raises(UserError, match="the images of digits have 64 pixels and the net takes 9"):
        quantized_net(RECIPE, mlp(9), digits, 0)
    with pytest.raises(UserError, match="the net has 7 outputs and the set 10 classes"):
        quantized_net(dataclasses.replace(RECIPE, arm="ecq"), mlp(classes=7), digits, 0)
    with pytest.raises(UserError, match="the net has 2 outputs and the set 7 classes"):
        quantized_net(dataclasses.replace(RECIPE, arm="ecq", batch=2), deeplab("compact", 2), scenes, 0)
    with pytest.raises(UserError, match="1 of 8 training scenes make no batch: take 2 at least"):
        quantized_net(dataclasses.replace(RECIPE, batch=1), deeplab("compact", 7), scenes, 0)
    with pytest.raises(UserError, match="no parameter or layer 'head' to leave out"):
        quantized_net(dataclasses.replace(RECIPE, exclude="head"), trained, digits, 0)
    with pytest.raises(UserError, match="seed -1 is below 0"):
        quantized_net(RECIPE, trained, digits, -1)
    with pytest.raises(UserError, match="no rule 'lrp-0'"):
        quantized_net(dataclasses.replace(RECIPE, rule="lrp-0"), trained, digits, 0)
    broken = copy.deepcopy(trained)
    with torch.no_grad():
        broken[2].bias[0] = torch.inf
    with pytest.raises(UserError, match=r"the loss is .* at step 1: take a lower learning rate"):
        quantized_net(dataclasses.replace(RECIPE, arm="ecq"), broken, digits, 0)


def test_draws_of_dropout_and_random_relevance_have_nothing_in_common():
    assert draw(0, 2) not in [draw(0, step, 1) for step in range(1000)]
