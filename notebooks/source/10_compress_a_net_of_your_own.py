# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Compress a net of your own
# So far the nets came from this kit. Yours is another one: a class in a file of yours, or a net of torchvision, with weights that a
# training has saved. Which parts of it can be compressed? What is gained by relevance, and what by the size of the weights or by random
# choice?
#
# In this lesson a net from elsewhere goes all the way. You look at it, measure relevance, quantize, cut and code, and then ask the file about
# a picture. One command does it all. After that you do it in ten lines of Python that you can take home.
#
# | you do | you learn | you need |
# |---|---|---|
# | look at a net before you compute, let one command write files and a page, then do it by hand | what makes a net fit for relevance, quantization and experts; how to choose honestly | lessons 04 to 07, twenty minutes |
#
# `quick` takes about a minute on two cores, `full` a quarter of an hour. It decides no claim of the ledger.

# %% slideshow={"slide_type": "skip"}
import math
import tempfile
from pathlib import Path

import torch
from torch import nn

import relcomp_kit as rk
from relcomp_kit import figures
from relcomp_kit.course import check
from relcomp_kit.course.cases import own_net as fresh
from relcomp_kit.models.own_nets import load_weights
from relcomp_kit.studies.own_net import example, nets, page, predicting
from relcomp_kit.studies.own_net.ladder import Settings
from relcomp_kit.studies.profiles import get_profile

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0

# %% [markdown] slideshow={"slide_type": "slide"}
# ## A net from elsewhere
# If CIFAR-10 and the published ResNet-20 lie in `$RELCOMP_DATA`, the lesson takes that net. Otherwise it trains torchvision's ShuffleNet on
# small digits first. That takes half a minute, and only the first time. The printed line says which net you have.

# %%
budget = get_profile(profile).own_net
folder = Path(tempfile.mkdtemp())
given = example.example(folder, budget, seed)
print(f"{given.words}: the net {given.spec}, its weights in {given.weights.name}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Weights, whatever they are wrapped in
# A training on several GPUs puts `module.` before every name, and `torch.compile` puts `_orig_mod.` there. Lightning puts `model.` there and
# keeps the weights inside a larger file, a *checkpoint*. Torch refuses all of them, although the numbers are right. The kit compares names
# from their end, so that a common beginning does not matter. It opens files with `weights_only=True`: a pickle can contain a program, and
# with this option none is run.

# %%
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
wrapped = {f"module.net.{name}": value for name, value in net.state_dict().items()}
torch.save({"epoch": 90, "state_dict": wrapped}, folder / "checkpoint.pt")
again = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
load_weights(again, folder / "checkpoint.pt")

# %% tags=["nbval-check-output"]
alike = all(
    torch.equal(value, again.state_dict()[name]) for name, value in net.state_dict().items()
)
check.true("weights with two prefixes, inside of a training's state, are read to the bit", alike)
try:
    load_weights(nn.Sequential(nn.Conv2d(3, 5, 3)), folder / "checkpoint.pt")
except rk.UserError as error:
    check.true("weights of another net are refused in a sentence", "of another net" in str(error))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Look first
# Three questions, answered in seconds. Does every operation have a rule, so that relevance is conserved? Which parameters become whole
# numbers? Which filters can go, which must stay, and why? What cannot be treated is named, with the reason.

# %%
data = given.data
mine = rk.open_net(given.spec, data.classes, given.weights)
task = rk.task_for(data)
look = rk.look_at(mine, next(task.relevance_batches(4)))
print(look)


# %% [markdown]
# **What you see.** Every line is one answer. The last lines name the layers that keep all of their filters, and why.
#
# What does a refusal look like? Here is a net with two tricks in it: it sorts its channels, and its forward decides by a number that it reads
# with `.item()`.


# %%
class Tricky(nn.Module):
    """A classifier with things in it that no rule and no cut can follow."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, len(data.classes))

    def forward(self, x):
        y = torch.sort(self.first(x).mean((2, 3)), dim=1).values
        return self.last(y * (2.0 if y.sum().item() > 0 else 1.0))


print(rk.look_at(Tricky().eval(), next(task.relevance_batches(4))))

# %% tags=["nbval-check-output"]
tricky = rk.look_at(Tricky().eval(), next(task.relevance_batches(4)))
check.true("relevance of our net is conserved", look.can_measure and look.conserved < 0.01)
check.true(
    "a layer whose channels are sorted keeps all of its filters", "first" in tricky.cut.fixed
)
check.true("it can still be quantized", tricky.can_quantize)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The command
# In a terminal, the next lines are all that you type. `--train 400` would train the quantized nets further. `--size 224x224` resizes pictures.
# `--mean` and `--std` are for nets that were trained with other values than the usual ones. `--validation-from test` is for nets that others
# have trained on all training images: choices made on images that a net has learned would be flattered. What has been measured stays in the cache, so a
# command that was stopped goes on where it was.

# %%
print(f"relcomp compress {given.spec} \\")
print(f"    --weights {given.weights.name} --data {given.folder.name} --images {budget.images} \\")
print(
    f"    --classes {','.join(given.asked)} --validation-from {given.validation_from} -o compressed"
)

# %% [markdown]
# Here the same is called from Python. It writes two nets, the whole one and an *expert* for a few classes, each as `.nnc` and for ONNX
# Runtime. Beside them it writes all numbers (`results.json`) and one page (`index.html`), which needs no network: you can send it to a
# colleague.

# %%
settings = Settings(train=budget.train, seed=seed)
found = rk.compress(
    given.spec,
    data,
    folder / "compressed",
    weights=given.weights,
    classes=given.asked,
    settings=settings,
)
print("\n".join(found.lines))

# %% tags=["nbval-check-output"]
names = {file.name for file in (folder / "compressed").iterdir()}
wanted = {"net.nnc", "expert.nnc", "net.onnx", "expert.onnx", "results.json", "index.html"}
check.same(
    "the command has written nets, numbers and a page", sorted(wanted & names), sorted(wanted)
)
text = (folder / "compressed" / "index.html").read_text(encoding="utf-8")
check.true("the page loads nothing", "<script" not in text and 'src="http' not in text)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where relevance lies
# The page begins with this figure: each layer's share of all relevance and of all weights.

# %%
figures.relevance_by_layer(page.layer_shares(mine, found.ladder.relevance))

# %% [markdown]
# **What you see.** Near the input the layers have a larger share of the relevance than of the weights. In the wide layers near the output it
# is the other way round: many weights, and little relevance for each. Bytes can be saved there. It also shows why removing the same share
# from every layer is a bad choice.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What happens when weights or filters go
# Nothing is trained here. On the left the weights with the lowest scores are set to 0. On the right filters are switched off until a share of
# the multiply-adds is gone, and only the classes of the expert are asked for. At each point all three lines have lost the same amount. They
# differ in who chose. The black line is the whole net.

# %%
figures.what_goes(page.curves(found.ladder), f"{task.score} on validation")

# %% [markdown]
# **What you see.** A quarter of the weights can go almost without loss, whether relevance or size chose them. Filters are missed earlier:
# after every filter that goes, the next layer has another input than it was trained with, and only training brings the accuracy back
# (lesson 06). *Random* is the control that every measure has to beat, and magnitude is the control that costs nothing. Where the red line
# does not lie above the blue one, use magnitude. With the ResNet-20 in `quick` that is so for single weights once half of them are gone.
# For filters it is so where a quarter or half of the multiply-adds is gone, and there relevance is behind random filters, too. Where hardly
# any accuracy is left, the order of the lines is luck.
#
# The images that choices are made on here are half of the test part. The published net was trained on all training images, and images held
# out of those would show it better than it is.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The ladder
# From the net as it came to the quantized expert: each step with each of the measures, and the bytes and the test accuracy that it leaves.
# Arms that end at the same place lie on top of each other in the figure, so read them in the table.

# %%
figures.sizes_and_scores(
    page.sizes(found.ladder), (found.ladder.rungs[0].size, found.ladder.rungs[0].score), task.score
)

# %%
print(f"{'':32}{'chosen by':20}{task.score:>9}{'bytes':>11}{'work':>7}")
for rung in found.ladder.rungs:
    work = rung.macs / found.ladder.rungs[0].macs
    print(
        f"{rung.what + ', ' + rung.how:32}{rung.arm:20}{rung.score:9.1%}{rung.size:11,}{work:7.0%}"
    )

# %% [markdown]
# **What you see.** Each arm could choose among the same numbers of bits and the same weights of the entropy, Lambda, on the validation
# images. The table shows the test images. Before you call one arm better, look at how many images there are. With 200 of them, a difference
# of two points is within the standard error (exercise 2): it may be luck. The arm *without relevance* belongs to the comparison too. If it
# does as well as the others, the measure has bought nothing. So it is with the ResNet-20, and only *random* is behind by more than the
# standard error.
#
# The expert is scored on its own classes alone, and the whole net beside it on the same classes. In `quick` nothing has been trained after the
# cut and after the rounding. So these numbers are what the measures leave, and not what can be reached.

# %% tags=["nbval-check-output"]
first, *others = found.ladder.rungs
files = {rung.what: rung for rung in found.ladder.rungs if rung.written}
check.true(
    "the file of the quantized net is a quarter of the float net, or less",
    files["net"].size < first.size / 4,
)
check.true("the expert has less work", files["expert"].macs < first.macs)
check.true(
    "every arm stands beside relevance",
    {"relevance", "magnitude", "random"} <= {one.arm for one in others},
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Ask the file
# A file of the kit says which net it is, for which classes and for which size of images. `relcomp predict net.nnc IMAGE` prints the class. A
# net that segments writes a picture in the colours of its classes. If the net is code of yours, name it with `--net`: the kit never runs code
# just because a file names it.

# %%
image = next(file for file in sorted(given.folder.rglob("*.png")) if given.asked[0] in file.parts)
own = None if given.spec.startswith("torchvision:") else given.spec
opened = nets.read(folder / "compressed" / "net.nnc", own)
answer = next(predicting.predict(opened, [image]))
print(f"{image.parent.name}/{image.name}: {answer.words}")

# %% tags=["nbval-check-output"]
x, _ = next(task.relevance_batches(4))
with torch.no_grad():
    decoded, written = opened.net(x), rk.state_dict(files["net"].chosen.quantized)
    expected = torch.func.functional_call(mine, written, x)
check.same(
    "the file gives, to the bit, the net that was quantized", torch.equal(decoded, expected), True
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The same in ten lines
# All names are at the top of the package. `rk.load_folder("photos")` reads pictures of yours, one folder for each class. The settings are
# chosen by hand here: 6 bits, and a path that keeps three quarters of the multiply-adds. The path is for all classes and nothing is trained,
# so the cut net loses much accuracy.

# %%
relevance = rk.weight_relevance(mine, task.relevance_batches())
quantized = rk.quantize(mine, bits=6, Lambda=0.05, relevance=relevance)
path = rk.relevant_path(mine, relevance, 0.75, task.example, by="macs")
expert = rk.compact(mine, path, task.example)
small = rk.encode(quantized)
print(
    f"{len(small):,} bytes; as it came {task.measure(mine, 'test'):.1%}, "
    f"as cut {task.measure(expert, 'test'):.1%}"
)

# %% tags=["nbval-check-output"]
with torch.no_grad(), rk.gate(mine, path):
    gated, cut = mine(x), expert(x)
check.close(
    "the expert computes what the gated net does", cut, gated, atol=1e-4 * float(gated.abs().max())
)
lossless = rk.decode(small).quantized.indices
check.true(
    "the bytes hold every index",
    all(torch.equal(lossless[name], one) for name, one in quantized.indices.items()),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Is my net fit for this?
# A checklist. If the answer is no, do what stands on the right.
#
# | ask | if not |
# |---|---|
# | Does it return logits, (N, classes) or (N, classes, H, W), alone or under `"out"`? | wrap it in a module that does |
# | Is it in eval mode, with batch-norms that keep statistics? | `net.eval()`; train with `track_running_stats` |
# | Does its forward use only torch's operations, without `.item()`, `.data` or NumPy? | rewrite it: no gradient passes through these, so relevance would end there |
# | Has every layer its own weights? | give each a copy, or leave both out of quantization |
# | Are `weight_norm` and masks of pruning made permanent? | `remove_parametrizations`, `prune.remove` |
# | Are its filters free of layer-norms and of `view` with a fixed number of channels? | these filters stay; quantize, and cut the other layers |
# | Do you have images that were used neither for training nor for choosing? | hold some out first: any others would flatter you |
# | Do you know the mean and the standard deviation that it was trained with? | look for `Normalize` in its code; wrong values cost points silently |
# | Before anything is done, is the score the one that you know? | stop: the classes may be in another order, or the images of another size |

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: names without their wrapping ★
# `names` are the names in a file of weights, parts joined by dots, such as `module.net.conv.weight`. Take away the beginning that *all* have
# in common: as many whole parts as possible, but leave each name at least one part. Hint: `name.split(".")` gives the parts.


# %% tags=["exercise"]
def unwrapped(names):
    # solution
    parts = [name.split(".") for name in names]
    while all(len(one) > 1 and one[0] == parts[0][0] for one in parts):
        parts = [one[1:] for one in parts]
    return [".".join(one) for one in parts]


# %% tags=["nbval-check-output"]
shown = {
    (("module.a.weight", "module.b.weight"),): ["a.weight", "b.weight"],
    (("net.a", "netto.b"),): ["net.a", "netto.b"],
    (("m.m.bias",),): ["bias"],
}
check.exercise(unwrapped, shown, fresh.unwrapped)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: is it luck? ★★
# Of `images` test images, one net gets `right` of them right, and another net gets `other` of them right. Each share has the variance p (1 -
# p) / images, and the variance of the difference is the sum of both, as if they had been tested on different images. Return by how many
# standard deviations the first net is ahead; 0.0 where both variances are 0.


# %% tags=["exercise"]
def deviations(right, other, images):
    # solution
    shares = [right / images, other / images]
    variance = sum(share * (1 - share) / images for share in shares)
    return (shares[0] - shares[1]) / math.sqrt(variance) if variance > 0 else 0.0


# %% tags=["nbval-check-output"]
check.exercise(
    deviations,
    {(50, 50, 100): 0.0, (10, 10, 10): 0.0, (180, 170, 200): 1.516196087158},
    fresh.deviations,
)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: what becomes the file ★★
# `tried` are nets as pairs of bytes and score on validation, `goal` a score. Return the place in the list of the one that becomes the file: the smallest of those that reach the goal. If none does, the one with the highest score, and of several such ones the smallest. No two have the same bytes.


# %% tags=["exercise"]
def chosen(tried, goal):
    # solution
    good = [place for place, (_, score) in enumerate(tried) if score >= goal]
    if good:
        return min(good, key=lambda place: tried[place][0])
    return max(range(len(tried)), key=lambda place: (tried[place][1], -tried[place][0]))


# %% tags=["nbval-check-output"]
shown = {
    (((300, 0.9), (200, 0.88), (100, 0.5)), 0.85): 1,
    (((300, 0.5), (200, 0.5), (100, 0.4)), 0.85): 1,
}
check.exercise(chosen, shown | {(((100, 0.9), (200, 0.95)), 0.9): 0}, fresh.chosen)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: open, your net
# Take a net of your own, or another one of torchvision, through the checklist, then through the command. Which line of the checklist did it
# fail, and what did you change? Is relevance worth its price for it, or would magnitude have been enough? How many test images would you need
# to tell? The cell looks at five nets of torchvision, with random weights. Which of them cannot be measured?

# %%
for name in ("resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5"):
    other = nets.own_nets.build(f"torchvision:{name}", 10)
    print(f"{name}: {rk.look_at(other, (torch.rand(1, 3, 64, 64), None))}\n")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. Bits and Lambda are chosen on the validation part. Why not on the test part, which has as many images?
# 2. The quantized net has about a tenth of the bytes. Why is it not faster?
# 3. For your net, magnitude gives a better curve than relevance. What do you do?
#
# <details><summary>Answers</summary>
#
# 1. The best of many tries is good partly by luck. On the images that it was chosen by, luck looks like merit. On other images it does not come
#    again.
# 2. The file is decoded into floats before the net runs, and zeros are multiplied like any other number. Only what is cut out is not computed.
# 3. Use magnitude, and say so. A measure is a tool, and the control tells you when you do not need it.
#
# </details>
#
# ## References
# Becking et al., *ECQ^x: Explainability-Driven Quantization for Low-Bit and Sparse DNNs*, 2022 · Achtibat et al., *AttnLRP: Attention-Aware
# Layer-Wise Relevance Propagation for Transformers*, 2024 · Li et al., *Pruning Filters for Efficient ConvNets*, 2017 (magnitude) · Fang et
# al., *DepGraph: Towards Any Structural Pruning*, 2023

# %% [markdown] tags=["navigation"] slideshow={"slide_type": "skip"}
# ← [09 Take stock of what reproduced](09_what_reproduced.ipynb) · [Glossary](glossary.md)
