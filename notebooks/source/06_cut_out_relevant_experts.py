# ---
# jupyter:
#   jupytext:
#     formats: ipynb,source//py:percent
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown] slideshow={"slide_type": "slide"}
# # Cut out relevant experts
# A net that knows seven classes is more than you need if all you ask is where the rails are. Relevance says which filters serve a class. Keep those, and the big net, the *super-net*, yields a small one: an *expert*. Fraunhofer HHI published a rail expert
# with less than a quarter of the computation. You cut out your own, train it a little, and race it against experts cut by magnitude and at random.
#
# | you do | you learn | you need |
# |---|---|---|
# | choose filters by class, switch them in the running net, cut them out, join experts | structured pruning, coupled filters, what a class needs of a net, where relevance loses | lessons 03 and 04, an hour |
#
# `quick` takes 2 min on two cores, `full` 1.5 h on rail scenes and half an hour on CamVid. The lesson decides B5 and B8 to B10 of the ledger.

# %% slideshow={"slide_type": "skip"}
import torch

from relcomp_kit import datasets, figures
from relcomp_kit.compression import experts
from relcomp_kit.compression.experts import ALL
from relcomp_kit.course import check
from relcomp_kit.course.cases import experts as fresh
from relcomp_kit.datasets.scenes import class_frequencies
from relcomp_kit.evidence.record import Record, claims_text, reference, reference_on
from relcomp_kit.studies.experts import measurement as study
from relcomp_kit.studies.experts import results as results_of
from relcomp_kit.studies.experts import sweep_claims
from relcomp_kit.studies.experts.experiment import class_relevance
from relcomp_kit.studies.profiles import get_profile
from relcomp_kit.studies.segmentation.measurement import firsts

# %% tags=["parameters"] slideshow={"slide_type": "skip"}
profile = "quick"
seed = 0
dataset = "rail-scenes"  # or "berdiba", "camvid", "cityscapes",
# "rail-scenes-192x320", "railsem19", "railsem19-rail8"

# %% slideshow={"slide_type": "skip"}
budget = get_profile(profile).experts
plans = budget.plans[dataset]
net, data = study.first_net(plans[0], seed)
wanted = budget.wanted[data.name]
print(f"profile: {profile}, the expert is for: {wanted}")
print(datasets.describe(data))

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Which filter serves which class?
# One pass over a few scenes measures the relevance of every filter, separately for each class. Here is a layer of the backbone's last stage.

# %%
relevance = class_relevance(net, data, budget.relevance_scenes)
layer = "backbone.layer4.0.conv2"
scores = torch.stack([one[layer] / one[layer].sum() for one in relevance.values()])
figures.filters_by_class(scores, list(relevance), layer)

# %% [markdown]
# **What you see.** A column is a filter, a row a class. Red means that the class has more than an even share of its relevance in this filter, blue less. A frame holds the filters that a class uses more than any other class does; the number on the right counts them. Every class has a dozen or more of its own. But few filters serve one class alone, so what an expert leaves out is a matter of degree.

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
# **What you see.** The narrow layers lose nothing. All of a class's relevance passes through every layer, so where there are few filters, each carries much. Filters of wide layers go, and there most of the work is done.
#
# This path is nearly right. But a residual block *adds* its result to its input. Channel 5 of the sum is gone only if filter 5 is gone in all convolutions that write into the sum. Such filters are *coupled*: they go or stay together. The kit finds them by following one pass of the net, operation by operation. Coupled filters get the sum of their relevances. (`normalize="none"` compares relevances as they are. Every layer hands on what it received, so all layers have one scale.)

# %%
example = study.as_example(data)
found = experts.groups(net, example)
coupled = [members for members in found.layers if len(members) > 1]
for members in coupled:
    count = len(found.units[members[0]])
    print(f"{len(members)} layers share {count} filters, such as {', '.join(members[:2])}")
path = experts.relevant_path(net, relevance[wanted], 0.5, example, normalize="none")
for name in looked_at:
    print(f"kept of {name}: {int(path[name].sum())} of {len(path[name])} filters")

# %% tags=["nbval-check-output"]
pairs = [(path[first], path[other]) for first, *more in coupled for other in more]
check.true("coupled layers have one mask", all(torch.equal(one, other) for one, other in pairs))
free = [members[0] for members in found.layers if len(members) == 1]
scored = [(relevance[wanted][name], path[name]) for name in free if not path[name].all()]
check.true(
    "within a layer, no filter stays that is less relevant than one that goes",
    all(score[mask].min() >= score[~mask].max() for score, mask in scored),
)

# %% [markdown]
# **What you see.** The layers that share filters are the wide ones. Their filters now have the relevance of three layers, so fewer of them go, and the narrow layers give up some of theirs instead.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Switch it on
# To try a path, set the other filters to 0 in the running net. But where? A batch-norm follows the filter. It turns an input of 0 into its shift, a number that is not 0. The filter is off, and its channel still says something.

# %%
name = "backbone.layer3.0.conv1"
before, after = study.channel_means(net, example, name, path[name])
figures.leak(before, after, path[name])

# %% [markdown]
# **What you see.** On the left the filters were set to 0 *before* the batch-norm. Many of their channels, in blue, are farther from 0 than the channels that stay. On the right they were set to 0 behind it.
#
# It is safest to set a channel to 0 where it is *read*. Then it does not matter what lies between. A unit is a filter, or several coupled ones; the kit's `groups` says which units each layer writes and reads. With that, a gate takes a few lines:

# %%
kept = torch.ones(found.count, dtype=torch.bool)
for name, mask in path.items():
    kept[found.units[name]] = mask  # one unit, one number: coupled masks agree
hooks = []
for name, units in found.reads.items():
    stays = ((units < 0) | kept[units])[:, None, None]  # below 0: the image's own channels
    reader = net.get_submodule(name)
    hooks.append(reader.register_forward_pre_hook(lambda _, x, stays=stays: x[0] * stays))
with torch.no_grad():
    by_hand = net(example)["out"]
for hook in hooks:
    hook.remove()

# %% [markdown]
# The kit's `gate` does the same inside a `with`, and removes the hooks even if something fails within it. No weight is copied, and a forward pass costs what it did. `compact` goes one step further. It builds the small net, in which the removed filters do not exist.

# %% tags=["nbval-check-output"]
with torch.no_grad():
    whole = net(example)["out"]
    with experts.gate(net, path):
        gated = net(example)["out"]
    again, small = net(example)["out"], experts.compact(net, path, example)
    cut_out = small(example)["out"]
most = gated.abs().max().item()
check.close("the kit's gate gives what yours does", gated, by_hand, atol=1e-6 * most)
check.true("behind the gate the net is as before, to the bit", torch.equal(again, whole))
check.close("cut out, the expert says what it says gated", cut_out, gated, atol=1e-4 * most)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Grow an expert
# From all filters down to three tenths of them, *as cut*, which means without any training. Above each picture you read the share of filters that is kept and the *MACs*, or multiply-adds, that are left: the work for one image. All other classes are drawn pale, because nobody asks the expert for them.

# %%
scene = study.scene_with(data, wanted)
paths = {
    f"{keep:.0%}": experts.relevant_path(net, relevance[wanted], keep, example, normalize="none")
    for keep in budget.shown
}
image, truth = data.test[scene]
seen, asked = study.grown(net, image, paths, example), data.classes.index(wanted)
figures.growing(image, truth, seen, data.classes, data.palette, asked)

# %% [markdown]
# **What you see.** Rails get thicker before they break up: the expert says *rail* too often at first, and then too seldom. The multiply-adds fall faster than the filters, because a layer with half of its inputs and half of its outputs has a quarter of the work.
#
# Now layer by layer, for half of the filters. The *average path* is the control. It keeps the filters that are relevant for all classes together, and each class counts the same. The *similarity* of two paths is their overlap: filters that both keep, over filters that either keeps.

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
# **What you see.** A bar is a layer, from the input on the left to the output on the right. The expert keeps most of the first stage, except of its first layer, and about a third of the wide layers in the last one. Wherever it leaves filters out, it keeps a larger share of the relevance than of the filters: that is the gain of choosing by relevance. It is most similar to the average path in the layers near the input, and least in two layers of the classifier, where classes are told apart.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Which experts are alike?
# Here every class has a path of half of the filters. Two classes whose paths overlap share the net's work.

# %%
per_class = {}
for name, one in relevance.items():
    per_class[name] = experts.relevant_path(net, one, 0.5, example, normalize="none")
overlap = [[experts.similarity(a, b)[ALL] for b in per_class.values()] for a in per_class.values()]
figures.path_similarity(overlap, list(per_class))

# %% [markdown]
# **What you see.** Two paths of half of the filters, drawn at random, would overlap by a third. Here all pairs overlap by more, so some filters serve every class. Rail and trackbed overlap most: where there is one, there is the other. The path for anomalies overlaps most with the one for buildings. In these scenes, both are boxes.

# %% tags=["nbval-check-output"]
itself = [row[i] for i, row in enumerate(overlap)]
check.same("a path overlaps with itself completely", itself, [1.0] * len(overlap))
one, other, *_ = per_class.values()
joined = experts.join(one, other)
either = all(torch.equal(mask, one[name] | other[name]) for name, mask in joined.items())
check.true("a joined expert keeps what either keeps", either)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## An early warning, and two experts in one
# A camera that only has to warn of anomalies could run an expert for that class all day. When it finds something, it adds the rail expert. Joined, the two are one path: the filters that either keeps.

# %%
pair = [name for name in budget.joined[data.name] if name in per_class]
team = {"super-net": paths["100%"]} | {name: per_class[name] for name in pair}
team["joined"] = experts.join(*(per_class[name] for name in pair))
image, truth = data.test[study.scene_with(data, pair[-1])]
seen, asked = study.grown(net, image, team, example), data.classes.index(pair[-1])
figures.growing(image, truth, seen, data.classes, data.palette, asked)

# %% [markdown]
# **What you see.** As cut, the rail expert does not see the box, and the anomaly expert sees boxes everywhere. Joined, with two fifths of the work, they find the box where it is. This is one scene; B10, below, counts the whole test split.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## In snow
# The net was trained without snow. An expert for snow can be cut in a minute, from a few snowy scenes, without any training. Here are experts of 65 % of the filters. Does it pay?

# %%
weather = study.all_weathers(budget, plans[0], wanted) if data.drawn else {}
if weather:
    figures.bars_by_group(weather, f"IoU of {wanted}")

# %% [markdown]
# **What you see.** In snow the expert cut for snow does better than the one cut by day. But it is no worse by day either. So these bars do not tell whether it knows snow, or is just the better expert. The gap to the super-net is what the missing filters cost as long as nothing is trained. The recorded run has three nets; it gives mean and range:

# %%
lesson = "06_cut_out_relevant_experts"
full = reference_on(lesson, dataset)
for line in results_of.weather_lines(full) if full else ():
    print(line)

# %% [markdown]
# **What you see.** On average the expert cut in snow is ahead in both weathers. The ranges of the two experts overlap, and the one cut by day has much the wider range. Three nets do not prove that cutting for snow helps. On average, both are far ahead of magnitude.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The race
# Five kinds of path choose experts of five sizes from three nets: relevance of the class; *average* relevance of all classes; *magnitude* of the weights, across the whole net or with the same share of every layer; *random* filters. Each expert is tested as cut, and after a short training on all classes. It is chosen on the validation split and reported on the test split. This cell runs the plan of the profile. `quick` has one net, one size, twenty training steps, and 60 scenes of each split to score on.

# %%
rows = [row for plan in plans for row in study.swept(plan, data)]
print("\n".join(results_of.summary(rows, wanted)))

# %% [markdown]
# **What you see.** As cut, only relevance and the average path still find rails. Twenty steps of training bring the average path to within two points of the super-net, and relevance half of the way; random filters and magnitude stay far behind.

# %% tags=["nbval-check-output"] slideshow={"slide_type": "skip"}
start, *_ = results_of.supers(rows).values()
whole = (start["macs"], start["parameters"])
check.same("a path of all filters is the super-net", whole, (1.0, 1.0))
faster = all(row["macs"] < row["filters"] for row in rows if row["keep"] < 1)
check.true("the multiply-adds fall faster than the filters", faster)

# %% [markdown] slideshow={"slide_type": "slide"}
# ## The recorded full run
# Multiply-adds on the horizontal axis, the IoU of the class in the test on the vertical one; the curves are means of three nets, the vertical lines their range.

# %%
if full:
    recorded = results_of.recorded(full)
    begin = [row["test as cut"][wanted] for row in results_of.supers(recorded).values()]
    begin = sum(begin) / len(begin)
    panels = {}
    for when, title in results_of.WHEN.items():
        panels[title] = results_of.curves(recorded, wanted, when)
    figures.expert_curves(panels, f"IoU of {wanted}", begin, begin - results_of.LOST)

# %% slideshow={"slide_type": "skip"}
for line in results_of.summary(recorded, wanted) if full else ():
    print(line)

# %% [markdown]
# **What you see.** As cut, an expert of half of the filters has lost most of the rails, whatever chose its filters. How many it keeps is partly luck, as the long vertical lines show, and `quick` above may keep more. At four fifths of the filters, magnitude across the whole net and the average path still keep nearly all of the rails, and relevance of the rail keeps three quarters of them. After 300 steps of training, relevance loses only two points with a quarter of the work, where random filters lose seven and magnitude more. Across the whole net, magnitude leaves one of 512 filters in a wide layer, and hardly anything gets through (*layer collapse*). With the same share of every layer, magnitude is a fairer rival, and still behind. At half of the filters even random filters are ahead of both kinds of magnitude.
#
# But look at the *average*. Relevance of all classes makes a better rail expert than relevance of the rail, with less work. A net that tells rails from their surroundings has to know the surroundings, too. The publication has no such control.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## At equal widths
# A path decides two things: how many filters each layer keeps, its *width*, and which ones. Magnitude across the whole net chose widths that let hardly anything through. Does relevance also know *which* filters to keep? Give a rival the widths of relevance. Then the two experts cost the same, and only differ in the filters that they keep.

# %%
as_wide = experts.magnitude_path(net, path, example)
rival = experts.compact(net, as_wide, example)
print(f"the two paths overlap by {experts.similarity(path, as_wide)[ALL]:.0%}")
check.same("equal widths, equal work", *(experts.macs(one, example)[ALL] for one in (rival, small)))

# %% [markdown]
# The recorded sweep did this for three nets and experts of four fifths of the filters, as cut. It has rivals that know the class, too: the *Taylor* score of a filter is by how much the loss at the class's pixels changes, to first order, if the filter is switched off; *Fisher* squares these changes.

# %%
of_class = ("relevance", "concept", "Taylor", "Fisher")
names = (*of_class, "average", "magnitude", "magnitude per layer", "random")
if as_cut := reference(f"{lesson}.{dataset}-widths-as-cut"):
    by_widths = sweep_claims.by_widths(results_of.recorded(as_cut), wanted, "as cut")
    drawn = {title: {arm: of[arm] for arm in names if arm in of} for title, of in by_widths.items()}
    figures.bars_by_group(drawn, f"IoU of {wanted}")
    print("\n".join(sweep_claims.table(by_widths)), claims_text(as_cut), sep="\n\n")

# %% [markdown]
# **What you see.** With widths of their own, experts differ in their work, too: from half of the multiply-adds (Taylor) to two thirds (random). At equal widths magnitude keeps half of the rails that it kept with its own, and relevance is ahead of it and of every score that knows no class. But three nets settle only that it is better than chance (B5f).
#
# The rivals that know the class do better than relevance, under either widths. With widths of its own, Fisher keeps all of the super-net's IoU, for hardly more work than relevance, which loses a quarter. The average of all classes is ahead of relevance, too. So as cut, relevance of the class is not the best choice. *Concept* asks for less than the class: only for what flows through its most relevant channel of the ASPP (CRP, lesson 04; layers behind it go by the class). All of that is far above chance. Against the whole class it is ahead on two nets, by six points and by one, and eleven points behind on the third, so three nets settle nothing (B5h). Changes of the loss ask what the net would lose; relevance asks what it used. The next picture shows what training makes of that: half of the filters, 300 steps.

# %%
if after := reference(f"{lesson}.{dataset}-widths"):
    by_widths = sweep_claims.by_widths(results_of.recorded(after), wanted, "trained")
    drawn = {title: {arm: of[arm] for arm in names if arm in of} for title, of in by_widths.items()}
    figures.bars_by_group(drawn, f"IoU of {wanted}")
    print("\n".join(sweep_claims.table(by_widths)), claims_text(after), sep="\n\n")

# %% [markdown]
# **What you see.** With widths of their own, relevance is seven points ahead of whichever magnitude is better on a net, and nearly five ahead of chance. At equal widths three points and one and a half are left. So some two thirds of its lead was how wide layers stay, and not which filters do. (For magnitude, three nets do not settle that it is half or more: B5e.) The lead over magnitude remains. The one over chance is smaller than the two points that count here, and over the average of all classes there is none (B5d). At these widths, which are those of relevance, it also hardly matters whom one asks about the class: relevance, the average, Taylor and Fisher end within half a point. With widths of its own the average stays a point ahead.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Where relevance loses
# The publication says that relevance does not beat magnitude for every class, above all not for rare ones. So cut one expert for each class, with half of the filters. How far is it ahead of magnitude at the same share of filters, on the class it was made for?

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
# **What you see.** Dots are means of three nets, lines their range; blue is behind magnitude. Dots that would cover each other stand side by side. The rival is whichever magnitude path is better on validation. After the training relevance is ahead of it for every class but one. For *anomaly on track*, the rarest by far, it is behind on average, and which of the two is ahead changes from net to net. A class with few pixels gives few and noisy relevances. Cut for anomalies alone, the expert of one net sees hardly any; joined with the expert for rails it sees them on all three (B10, below). An early warning is better served by the joined expert.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Is it fast?
# Multiply-adds are not time. Super-net and expert take turns, one image at a time, in PyTorch and in ONNX Runtime, at the size of the scenes and at twice their height and width. Beside the expert of half of the filters stands one that was made to be fast. It has a budget of multiply-adds, each of its layers a multiple of 8 filters, and its batch-norms are folded into the convolutions.

# %%
small = experts.compact(net, paths["50%"], example)
ready = experts.relevant_path(net, relevance[wanted], 0.19, example, by="macs", multiple=8)
quick = experts.compact(net, ready, example)
cut = {}
for name, one in {"half of the filters": small, "multiples of 8, folded": quick}.items():
    share = experts.macs(one, example)[ALL] / experts.macs(net, example)[ALL]
    cut[f"{name}, {share:.0%} of it all"] = experts.folded(one, example) if one is quick else one
print("\n".join(study.times(net, cut, example)))

# %% [markdown]
# **What you see.** *Of it all* are multiply-adds: by them alone an expert with a quarter would be four times faster. The gain is smaller. How much smaller depends on the program that runs the net, on the size of the images, and on what else the machine does at that moment: run the cell twice. Small images gain least, because the number of layers stays what it was, and each takes its time however few filters it has. Numbers of channels that are multiples of 8 suit processors, and a folded batch-norm is one pass less; ONNX Runtime folds them by itself. On a quiet machine of two cores the second kind, with 24 % of the multiply-adds, ran 3.3 times faster in PyTorch and 3.2 in ONNX Runtime at 384 x 640, and 1.8 and 2.3 times at 96 x 160 (`tests/benchmarks/test_experts_speed.py`). So measure on the machine that will run the expert.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## What it decides
# B5 and B8 take the expert with the fewest multiply-adds that loses at most two points of IoU on validation. If there is none, the super-net stays, and nothing is saved. `quick` has a single size to choose from.
#
# B5 is about computation, and so its experts are in float32 and as small as possible. Lesson 07 decides B6, about the bytes of a file. Its experts are *others*: they are quantized to 4 bit, which costs accuracy, too, so they keep more filters. The savings of B5 and B6 are never those of one expert.

# %% slideshow={"slide_type": "skip"}
record = Record(lesson, profile, data.name)
print(results_of.verdicts(record, rows, wanted, 0.5, frequency, weather))

# %%
stand_in = reference(f"{lesson}.camvid")
for name, content in ((dataset, full), ("CamVid's trees, for vegetation on Cityscapes", stand_in)):
    decided = claims_text(content) if content else "not recorded yet"
    print(f"The recorded full run, {name}\n{decided}\n")

# %% [markdown]
# **What you see.** On rail scenes the expert saves less than the published three quarters, on average over three nets and with less than two points lost. Two of the nets reach the three quarters and one misses them by far. Nor do three nets settle that at most two points are lost. So B5 is undecided. On CamVid's trees all three save more than was published, but the IoU that they lose differs so much that B8 is undecided, too. Joined experts are better on their classes than single ones, above all for anomalies.

# %% [markdown] slideshow={"slide_type": "slide"}
# ## Exercise 1: as few as carry it ★★
# You are given the scores of a layer's filters. Return how many of the best filters are needed to carry a share of the whole score. Hint: sort, and add up from the highest score downwards.


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
# You are given two paths through a layer, as lists of True and False. Return their overlap: filters that both keep over filters that either keeps. Hint: `zip` pairs the two lists, and True counts as 1.


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
# A convolution has `inputs` and `outputs` channels and square filters of `side` pixels. Its output has `height` x `width` pixels. Return its multiply-adds when a share `a` of the inputs and a share `b` of the outputs are kept. Hint: each number of the output takes one multiply-add for each weight of its filter.


# %% tags=["exercise"]
def work(inputs, outputs, side, height, width, a, b):
    # solution
    return a * inputs * b * outputs * side**2 * height * width


# %% tags=["nbval-check-output"]
shown = {(4, 8, 3, 10, 10, 1.0, 1.0): 28800.0, (4, 8, 3, 10, 20, 0.5, 0.5): 14400.0}
check.exercise(work, shown, fresh.work)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 4: write `gate` ★★★
# The gate above works where channels are read. This one works where they are written, in the numbers of the net itself. `state` has these numbers by name, like `net.state_dict()`. The batch-norm `bn1` follows the layer `conv1`, `bn2` follows `conv2`, and so on, but not every layer has one. `masks` gives some layers a mask: a tensor of True and False, one for each filter. Return the gated numbers. Where a filter is off, its channel must be 0, whatever comes in.
# If a layer has a batch-norm, set scale and shift there to 0 (`bn1.weight`, `bn1.bias`), and leave the filter alone. If it has none, set the filter itself to 0, and its bias (`conv1.bias`), if it has one. All other numbers stay as they are. Do not change `state` itself, because the net has to be what it was afterwards.


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
silenced = {"bn1.weight": torch.tensor([1.0, 0.0]), "bn1.bias": torch.tensor([3.0, 0.0])}
silent = {"conv1.weight": weight} | silenced
alone = {"conv1.weight": torch.tensor([[1.0], [0.0]])}
shown = [
    ((normed, {"conv1": off}), silent),
    (({"conv1.weight": weight}, {"conv1": off}), alone),
    ((normed, {}), normed),
]
check.exercise(gate, shown, fresh.gate)

# %% [markdown] slideshow={"slide_type": "subslide"}
# ## Exercise 5: open, a better mix
# The share to keep may differ from layer to layer. Below, the last stage of the backbone gives up most. Can you find shares, or another way to rank filters, that lose less IoU at the same multiply-adds? Choose on the validation split. The shares below are a bad start. Hint: *Grow an expert* shows what a single number for the whole net keeps of each layer. What would you have to do to *claim* that yours is better?

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
# 2. A filter is set to 0, but its channel is not 0. Why?
# 3. Two experts keep half of the filters each. Joined, they keep barely more. What does that say about the two classes?
#
# <details><summary>Answers</summary>1. A layer's work is its inputs times its outputs: with half of both, a quarter is left. 2. The batch-norm that follows it. It turns 0 into its shift. Set the batch-norm's scale and shift to 0 instead. 3. They use the same filters. One expert could serve both, and
# to switch between the two would save nothing.</details>
#
# ## References
# Fraunhofer HHI in the project BerDiBa, *Mixture of relevant experts* (slides and demonstrator) · Bach et al., *On Pixel-Wise Explanations for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation*, 2015 · Yeom et al., *Pruning by Explaining*, 2021 · Fang et al., *DepGraph: Towards Any Structural Pruning*, 2023 (Torch-Pruning) · Li et al., *Pruning Filters for Efficient ConvNets*, 2017 (magnitude)

# %% [markdown] tags=["navigation"] slideshow={"slide_type": "skip"}
# ← [05 Quantize by relevance](05_quantize_by_relevance.ipynb) · [Glossary](glossary.md) · [07 Encode with NNC](07_encode_with_nnc.ipynb) →
