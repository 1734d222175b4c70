# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Cut out relevant experts
# A net that knows seven classes is more than you need if all you ask is: where is the rail? Relevance says which filters serve a class. Keep those, and a small net falls out of the big one, the *super-net*: an *expert*. Fraunhofer HHI cuts a rail expert
# with less than a quarter of the computation. You grow one, cut it out, train it a little, and race it against experts cut by magnitude and by chance.
#
# | you do | you learn | you need |
# |---|---|---|
# | choose filters by class, switch them in the running net, cut them out, join experts | structured pruning, coupled filters, what a class needs of a net, where relevance loses | lessons 03 and 04, thirty minutes |
#
# `quick` takes about three minutes on two cores, `full` about an hour. It decides B5 and B8 to B10 of the ledger.

# %% slideshow={"slide_type": "skip"}
import torch

from relcomp_kit import datasets, figures
from relcomp_kit.compression import experts
from relcomp_kit.compression.experts import ALL
from relcomp_kit.course import check
from relcomp_kit.course.cases import experts as fresh
from relcomp_kit.datasets.scenes import class_frequencies
from relcomp_kit.evidence.record import Record, claims_text, reference
from relcomp_kit.studies.experts import measurement as study
from relcomp_kit.studies.experts import results as results_of
from relcomp_kit.studies.experts.experiment import class_relevance
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.segmentation.measurement import firsts

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0
dataset = "rail-scenes"  # or "berdiba", "camvid", "cityscapes", "railsem19"

# %% slideshow={"slide_type": "skip"}
budget = get_profile(profile).experts
plans = budget.plans[dataset]
net, data = study.first_net(plans[0], seed)
wanted = budget.wanted[data.name]
record = Record("06_cut_out_relevant_experts", profile, data.name)
print(f"profile: {profile}, the expert is for: {wanted}")
print(datasets.describe(data))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Who works for whom?
# One pass over a few scenes measures the relevance of every filter, for each class apart. Here is a layer of the backbone's last stage.

# %%
relevance = class_relevance(net, data, budget.relevance_scenes)
layer = "backbone.layer4.0.conv2"
scores = torch.stack([one[layer] / one[layer].sum() for one in relevance.values()])
figures.filters_by_class(scores, list(relevance), layer)

# %% [markdown]
# **What you see.** A column is a filter, a row a class; red where the class asks more of the filter than an even share. In the frames stand the filters that a class uses more than any other does. Every class has a dozen or more of its own, but few filters serve one class alone: what an expert leaves out is a matter of degree.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## A path by hand
# A *path* says for each layer which filters stay. The simplest one keeps the filters with the highest scores, whatever their layer.


# %%
def highest(scores, keep):
    """Which of all filters are among the best share of them: layer to mask."""
    every = torch.cat(list(scores.values()))
    bound = every.sort(descending=True).values[round(keep * len(every)) - 1]
    return {name: score >= bound for name, score in scores.items()}


mine = highest(relevance[wanted], 0.5)
looked_at = ("backbone.layer1.0.conv2", layer, "backbone.layer4.1.conv3")
for name in looked_at:
    print(f"kept of {name}: {int(mine[name].sum())} of {len(mine[name])} filters")

# %% [markdown]
# The narrow layers lose nothing: all of a class's relevance passes through every layer, so where there are few filters each carries much. What goes are filters of the wide layers, where most of the work is done.
#
# It is nearly right. But a residual block *adds* its result to its input: channel 5 of the sum is gone only if filter 5 of all convolutions that write into it is. Such filters are coupled, and have to go or stay together. The kit finds out which: it follows one pass of the net, operation by operation. Coupled filters have the sum of their relevances. That helps the wide layers, so now narrow layers give up filters, too. (`normalize="none"` compares relevances as they are: every layer hands on what it received, so they have one scale.)

# %%
example = study.as_example(data)
found = experts.groups(net, example)
coupled = [members for members in found.layers if len(members) > 1]
for members in coupled:
    print(f"{len(members)} layers share {len(found.units[members[0]])} filters, such as {', '.join(members[:2])}")
path = experts.relevant_path(net, relevance[wanted], 0.5, example, normalize="none")
for name in looked_at:
    print(f"kept of {name}: {int(path[name].sum())} of {len(path[name])} filters")

# %% tags=["nbval-check-output"]
free = [members[0] for members in found.layers if len(members) == 1]
check.true("coupled layers have one mask", all(torch.equal(path[a], path[b]) for a, *more in coupled for b in more))
scored = [(relevance[wanted][name], path[name]) for name in free if not path[name].all()]
check.true(
    "within a layer, no filter stays that is less relevant than one that goes",
    all(score[mask].min() >= score[~mask].max() for score, mask in scored),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Switch it on
# To try a path, set the other filters to 0 in the running net. Where? Behind a filter stands a batch-norm, and of a 0 it makes its shift: the filter is silent, its channel is not.

# %%
name = "backbone.layer3.0.conv1"
before, after = study.channel_means(net, example, name, path[name])
figures.leak(before, after, path[name])

# %% [markdown]
# **What you see.** On the left, blue channels whose filters were set to 0: many speak louder than those that stay. The kit's `gate` gives 0 to every layer that reads a removed channel. That is what the small net computes, whatever lies between. No weight is copied, the forward pass costs what it did, and afterwards the net is what it was.

# %% tags=["nbval-check-output"]
with torch.no_grad():
    whole = net(example)["out"]
    with experts.gate(net, path):
        gated = net(example)["out"]
    check.true("behind the gate the net is as before, to the bit", torch.equal(net(example)["out"], whole))
    small = experts.compact(net, path, example)
    check.close(
        "cut out, the expert says what it says gated",
        small(example)["out"],
        gated,
        atol=1e-4 * gated.abs().max().item(),
    )

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Grow an expert
# From all filters to three tenths of them, *as cut*: without any training. Above each picture stand the share of filters that is kept, and the *MACs*, or multiply-adds, that are left: the work of one image. All other classes are drawn pale: the expert is not asked for them.

# %%
scene = study.scene_with(data, wanted)
paths = {
    f"{keep:.0%}": experts.relevant_path(net, relevance[wanted], keep, example, normalize="none")
    for keep in budget.shown
}
image, truth = data.test[scene]
figures.growing(
    image, truth, study.grown(net, image, paths, example), data.classes, data.palette, data.classes.index(wanted)
)

# %% [markdown]
# **What you see.** Rails grow thick before they break up: the expert says *rail* too often, then too seldom. The multiply-adds fall faster than the filters: a layer with half of its inputs and half of its outputs has a quarter of the work.
#
# Now layer by layer, for half of the filters. The *average path* is the control: it keeps the filters that are relevant for all classes together, and each class counts alike. The *similarity* of two paths is their overlap: filters that both keep, over filters that either keeps.

# %%
path = paths["50%"]
everyone = experts.average_rel_path(net, relevance, 0.5, example)
shares = {
    "filters kept": {name: 1 - share for name, share in experts.pruning_ratio(path).items()},
    "relevance kept": experts.score_kept(path, relevance[wanted]),
    "similarity to the average path": experts.similarity(path, everyone),
}
figures.path_layers(shares)

# %% [markdown]
# **What you see.** A bar is a layer, from the input on the left to the output. The expert keeps most of the first stage, and about a third of the wide layers in the last one. Wherever it leaves filters out, it keeps a larger share of the relevance than of the filters: that is what the choice buys. It agrees most with the average path about the layers near the input, and least about two layers of the classifier, where classes part.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Which experts are alike?
# A path of half of the filters for every class. Two classes whose paths overlap share the net's work.

# %%
per_class = {name: experts.relevant_path(net, one, 0.5, example, normalize="none") for name, one in relevance.items()}
overlap = [[experts.similarity(a, b)[ALL] for b in per_class.values()] for a in per_class.values()]
figures.path_similarity(overlap, list(per_class))

# %% [markdown]
# **What you see.** Two paths drawn by chance, half of the filters each, would overlap by a third. Here all pairs overlap by more: some filters serve everybody. Rail and trackbed are nearly one expert, for where there is one, there is the other. An anomaly, a box on the track, is closest to buildings: both are boxes.

# %% tags=["nbval-check-output"]
check.same("a path is like itself", [row[i] for i, row in enumerate(overlap)], [1.0] * len(overlap))
one, other, *_ = per_class.values()
check.true(
    "a joined expert keeps what either keeps",
    all(torch.equal(mask, one[name] | other[name]) for name, mask in experts.join(one, other).items()),
)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## An early warning, and two experts in one
# A camera that only has to cry *anomaly!* could run an expert for that class all day, and switch the rail expert on beside it when something is there. Joined, the two are one path: what either keeps.

# %%
pair = [name for name in budget.joined[data.name] if name in per_class]
team = {"super-net": paths["100%"]} | {name: per_class[name] for name in pair}
team["joined"] = experts.join(*(per_class[name] for name in pair))
image, truth = data.test[study.scene_with(data, pair[-1])]
figures.growing(
    image, truth, study.grown(net, image, team, example), data.classes, data.palette, data.classes.index(pair[-1])
)

# %% [markdown]
# **What you see.** As cut, the rail expert has no idea of a box, and the anomaly expert sees one everywhere. Joined, with two fifths of the work, they find the box where it is. It is one scene: B10, below, counts all of the test.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## In snow
# The net has never seen snow. An expert can be cut anew for it in a minute, from a few snowy scenes, without any training. Here are experts of 65 % of the filters. Does it pay?

# %%
weather = study.all_weathers(budget, plans[0], wanted) if data.name == "rail-scenes" else {}
if weather:
    figures.weather_bars(weather, f"IoU of {wanted}")

# %% [markdown]
# **What you see.** In snow the expert cut for snow does better than the one cut by day. But it is no worse by day either: whether it knows snow, or is just the better cut, these bars do not tell. The gap to the super-net is what the missing filters cost as long as nothing is trained. The recorded run has three nets, mean and range, and the ranges of both experts overlap:

# %%
full = reference("06_cut_out_relevant_experts" + ("" if dataset == "rail-scenes" else f".{dataset}"))
for line in results_of.weather_lines(full) if full else ():
    print(line)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The race
# Experts of five sizes, from three nets, by five kinds of path: relevance of the class, *average* relevance of all classes, *magnitude* of the weights across the whole net or with the same share of every layer, *random* filters. Each as it was cut, and after a short training on all classes. What is good enough is chosen on the validation split, and reported on the test split. This cell runs the small plan of the profile: one net, one size.

# %%
rows = [row for plan in plans for row in study.swept(plan, data)]
for line in results_of.summary(rows, wanted):
    print(line)

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
(start, *_), cut = results_of.supers(rows).values(), [row for row in rows if row["keep"] < 1]
check.same("a path of all filters is the super-net", (start["macs"], start["parameters"]), (1.0, 1.0))
check.true("the multiply-adds fall faster than the filters", all(row["macs"] < row["filters"] for row in cut))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run

# %%
if full:
    recorded = results_of.recorded(full)
    begin = [row["test as cut"][wanted] for row in results_of.supers(recorded).values()]
    begin = sum(begin) / len(begin)
    panels = {title: results_of.curves(recorded, wanted, when) for when, title in results_of.WHEN.items()}
    figures.expert_curves(panels, f"IoU of {wanted}", begin, begin - results_of.LOST)

# %% slideshow={"slide_type": "skip"}
for line in results_of.summary(recorded, wanted) if full else ():
    print(line)

# %% [markdown]
# **What you see.** On rail scenes, without half of the filters most of the rails are gone, whoever chose. How many are left is a matter of luck, see the wide ranges, and `quick` above may have more. 300 steps of training bring most back. Then relevance keeps with a quarter of the work nearly what the super-net had, magnitude and chance do not. Across the whole net, magnitude leaves one of 512 filters in a wide layer, a neck that nothing gets through (*layer collapse*); with the same share of every layer it is a fairer rival, and still behind. With half of the filters or less, even chance does better than either magnitude.
# But look at the *average*: relevance of all classes makes a better rail expert than relevance of the rail, with less work. What tells a rail from its surroundings also knows the surroundings. The publication has no such control.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where relevance loses
# The publication says that relevance is no better than magnitude for every class, above all not for rare ones. One expert a class, half of the filters each: how far is it ahead of the net that magnitude cuts at the same share, on the class it was made for?

# %%
frequency, _ = class_frequencies(data.train, data.classes, limit=400)
if full:
    ahead = results_of.advantage(recorded, 0.5, "trained")
    figures.advantage_by_frequency(
        {name: (frequency[name], values) for name, values in ahead.items()},
        "share of all pixels",
        "IoU ahead of magnitude",
    )

# %% [markdown]
# **What you see.** Each class has its range over three nets (the dots of trackbed and sky lie on each other), and the rival is whichever magnitude path is better on validation. After the training relevance is ahead for every class but one: *anomaly on track*, the rarest by far. Cut for anomalies, one of the three nets sees none at all, while the expert for buildings sees them as well as the super-net does. A class with few pixels gives few and noisy relevances; an early warning is better served by an expert that is joined with another (B10).

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Is it fast?
# Multiply-adds are not time. Super-net and expert take turns, one image at a time, in PyTorch and in ONNX Runtime, at the size of the scenes and at twice that size.

# %%
small = experts.compact(net, paths["50%"], example)
for row in study.times(net, small, example):
    print(row)

# %% [markdown]
# The gain is smaller than the multiply-adds promise. A small image is over before the cores are busy: every layer has a fixed cost, its call and its batch-norm, and the number of layers is what it was. In ONNX Runtime, where the batch-norms are folded into the convolutions, and for larger images, more of the promise is kept.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What it decides
# B5 and B8 take the expert with the fewest multiply-adds that loses two points of IoU at most on validation. If there is none, the super-net stays, and nothing is saved. `quick` has a single size to choose from.

# %%
results_of.note(record, rows)
results_of.note_weather(record, weather)
results_of.decide(record, rows, wanted, 0.5, frequency)
record.save()
print(claims_text(record.content))

# %%
stand_in = reference("06_cut_out_relevant_experts.camvid")
for name, content in ((dataset, full), ("CamVid's trees, for vegetation on Cityscapes", stand_in)):
    print(f"The recorded full run, {name}\n{claims_text(content) if content else 'not recorded yet'}\n")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: as few as carry it ★★
# Scores of the filters of a layer. Return how many of the best are needed to carry a share of the whole score. Hint: sort, and add up from the highest down.


# %% tags=["exercise"]
def needed(scores, share):
    # solution
    carried, goal = 0.0, share * sum(scores)
    for count, score in enumerate(sorted(scores, reverse=True), 1):
        carried += score
        if carried >= goal:
            return count
    return len(scores)


# %% tags=["nbval-check-output"]
shown = {((1, 5, 4), 0.5): 1, ((1, 5, 4), 0.9): 2, ((1, 1, 1, 1), 0.75): 3, ((2, 3), 1.0): 2}
check.exercise(needed, shown, fresh.needed)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 2: similarity ★
# Two paths through a layer, as lists of True and False. Return the overlap: filters that both keep over filters that either keeps. Hint: `zip` brings the two together, and True counts as 1.


# %% tags=["exercise"]
def overlap_of(one, other):
    # solution
    both = sum(a and b for a, b in zip(one, other))
    either = sum(a or b for a, b in zip(one, other))
    return both / either


# %% tags=["nbval-check-output"]
T, F = True, False
check.exercise(overlap_of, {((T, T, F), (T, F, F)): 0.5, ((T, F), (F, T)): 0.0}, fresh.overlap_of)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 3: multiply-adds ★
# A convolution with `inputs` and `outputs` channels and square filters of `side` pixels makes an output of `height` x `width`. Return its multiply-adds when a share `a` of the inputs and a share `b` of the outputs are kept. Hint: a number of the output takes one multiply-add for each weight of its filter.


# %% tags=["exercise"]
def work(inputs, outputs, side, height, width, a, b):
    # solution
    return a * inputs * b * outputs * side**2 * height * width


# %% tags=["nbval-check-output"]
check.exercise(work, {(4, 8, 3, 10, 10, 1.0, 1.0): 28800.0, (4, 8, 3, 10, 20, 0.5, 0.5): 14400.0}, fresh.work)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: write `gate` ★★★
# `state` has the numbers of a net by name, like `net.state_dict()`. Behind the layer `conv1` stands the batch-norm `bn1`, behind `conv2` `bn2`, and so on, but not every layer has one. `masks` gives some layers a mask, a tensor of True and False, one for each filter. Return the gated numbers: where a filter is off, its channel must be 0 whatever comes in.
# If a layer has a batch-norm, set scale and shift there to 0 (`bn1.weight`, `bn1.bias`), and leave the filter alone. If it has none, set the filter itself to 0, and its bias (`conv1.bias`), if it has one. All else stays, and so does `state`, because the net has to be what it was afterwards.


# %% tags=["exercise"]
def gate(state, masks):
    # solution
    gated = dict(state)
    for layer, mask in masks.items():
        norm = layer.replace("conv", "bn")
        place = norm if f"{norm}.weight" in state else layer
        for name in (f"{place}.weight", f"{place}.bias"):
            if name in state:
                gated[name] = state[name].clone()
                gated[name][~mask] = 0
    return gated


# %% tags=["nbval-check-output"]
off, weight = torch.tensor([True, False]), torch.tensor([[1.0], [2.0]])
numbers = {"weight": torch.ones(2), "bias": torch.tensor([3.0, 4.0])}
normed = {"conv1.weight": weight} | {f"bn1.{part}": value for part, value in numbers.items()}
silent = {"conv1.weight": weight, "bn1.weight": torch.tensor([1.0, 0.0]), "bn1.bias": torch.tensor([3.0, 0.0])}
alone = {"conv1.weight": torch.tensor([[1.0], [0.0]])}
shown = [
    ((normed, {"conv1": off}), silent),
    (({"conv1.weight": weight}, {"conv1": off}), alone),
    ((normed, {}), normed),
]
check.exercise(gate, shown, fresh.gate)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 5: open, a better mix
# A keep rate may differ from layer to layer: below, the last stage of the backbone gives up most. Can you find rates, or another way to rank filters, that lose less IoU at the same share of multiply-adds? Choose on the validation split. The rates below are a bad start; hint: *Grow an expert* shows what a single number for the whole net keeps of each layer. What would you have to do to *claim* that yours is better?

# %%
mix = {name: 0.4 if "layer4" in name else 0.7 for name in path}
mixed = experts.compact(net, experts.relevant_path(net, relevance[wanted], mix, example), example)
left = experts.macs(mixed, example)[ALL] / experts.macs(net, example)[ALL]
some = firsts(data.validation, 40)
before, after = (study.class_iou(one, some, data, wanted) for one in (net, mixed))
print(f"{left:.0%} of the multiply-adds, IoU of {wanted} {after:.1%} as cut, before {before:.1%}")

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Three questions
# 1. Half of the filters are gone. Why is more than half of the work gone?
# 2. A filter is set to 0, but its channel is not. What did it?
# 3. Two experts keep half of the filters each, and joined they keep more. What does it say about the two classes if it is barely more?
#
# <details><summary>Answers</summary>1. A layer's work is its inputs times its outputs: with half of both, a quarter is left. 2. The batch-norm behind it: of 0 it makes its shift. Set the batch-norm's scale and shift to 0 instead. 3. They use the same filters: one expert could serve both, and
# to switch between the two would save nothing.</details>
#
# ## References
# Fraunhofer HHI in the project BerDiBa, *Mixture of relevant experts* (slides and demonstrator) · Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*, 2015 · Yeom et al., *Pruning by Explaining*, 2021 · Fang et al., *DepGraph: Towards Any Structural Pruning*, 2023 (Torch-Pruning) · Li et al., *Pruning Filters for Efficient ConvNets*, 2017 (magnitude)
